"""Finds personal data and secrets in a text by their form: addresses, numbers and keys.

What has a check sum or a fixed prefix is told by it; a phone number, which has neither, by the way
it is written or by the word in front of it. Names of people are not looked for. Each detector
starts from something rare (an ``@``, a digit, a prefix) and looks only so far around it, so that
the time is linear in the text whatever stands there.
"""

from __future__ import annotations

import ipaddress
import re
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

# Where two detectors claim the same characters, the kind that stands first here has them.
KINDS = ("KEY", "EMAIL", "IBAN", "CARD", "IP", "PHONE")


class Finding(NamedTuple):
    """A stretch ``text[start:end]`` of a text, and what it is: one of ``KINDS``."""

    start: int
    end: int
    kind: str


def find(text: str) -> list[Finding]:
    """Gives the personal data in `text` in order, none overlapping another.

    Offsets count Unicode code points.
    """
    found = [*_keys(text), *_emails(text), *_numbers(text)]
    found += [*_ipv4_addresses(text), *_ipv6_addresses(text)]
    # Of two that start together the longer: a private key, not the assignment that names it.
    found.sort(key=lambda finding: (finding.start, -finding.end))
    kept: list[Finding] = []
    for finding in found:
        if not kept or finding.start >= kept[-1].end:
            kept.append(finding)
        elif KINDS.index(finding.kind) < KINDS.index(kept[-1].kind):
            kept[-1] = finding
    return kept


def mask(text: str) -> tuple[str, Counter[str]]:
    """Gives `text` with ``[EMAIL]`` and the like in place of each finding, and how many of each."""
    pieces: list[str] = []
    end = 0
    findings = find(text)
    for finding in findings:
        pieces += text[end : finding.start], f"[{finding.kind}]"
        end = finding.end
    return "".join([*pieces, text[end:]]), Counter(finding.kind for finding in findings)


# RFC 5321 allows 64 characters before the @ and 255 after it. Letters may be of any script (RFC
# 6531) but those that set no spaces between words, where nobody sees the address begin. The signs
# = / ? that are allowed too stand rather around addresses than in them.
_ADDRESS_CHAR = r"A-Za-z0-9_\u00c0-\u0dff-"
_LOCAL_PART = re.compile(rf"[{_ADDRESS_CHAR}.!#$%&'*+^{{|}}~]{{1,64}}+")
_DOMAIN = re.compile(
    rf"(?:(?!-)[{_ADDRESS_CHAR}]{{1,63}}+\.)+([A-Za-z\u00c0-\u0dff]{{2,24}}+)(?![{_ADDRESS_CHAR}])"
)
# What follows an @ in the name of an image for sharp screens, or of a package's file.
_FILE_ENDINGS = frozenset("png jpg jpeg gif svg webp css js json ts html py so dll".split())


def _emails(text: str) -> Iterator[Finding]:
    for at in _occurrences(text, "@"):
        words = _LOCAL_PART.findall(text, max(0, at - 64), at)
        local = words[-1].lstrip(".!#$%&'*+^{|}~-") if words else ""
        domain = _DOMAIN.match(text, at + 1, at + 256)
        if (
            not domain
            or not local
            or local[-1] == "."
            or not text.startswith(local, at - len(local))
        ):
            continue
        login = local == "git" and text.startswith(":", domain.end())
        if not login and domain[1].lower() not in _FILE_ENDINGS:
            yield Finding(at - len(local), domain.end(), "EMAIL")


# Two digits at least, with what may stand between the digits of one number.
_GAP = r"[ \u00a0\u202f.()/\u2010-\u2013-]"
_DIGITS = re.compile(rf"[0-9](?:{_GAP}{{0,3}}+[0-9])++")


# Every digit as 0, and what may stand in gaps left out, in the bytes of UTF-8.
_DIGIT_AS_ZERO = bytes.maketrans(b"123456789", b"000000000")
_GAP_BYTES = " \u00a0\u202f.()/\u2010\u2011\u2012\u2013-".encode()


def _numbers(text: str) -> Iterator[Finding]:
    """Gives IBANs, cards and phone numbers: all hold a run of digits."""
    end = -1
    for line in text.split("\n"):
        start, end = end + 1, end + 1 + len(line)
        # Whether there are seven digits in a row, as few lines have, is told three times as fast
        # this way as by the expression.
        plain = line.encode("utf-8", "surrogatepass").translate(_DIGIT_AS_ZERO, _GAP_BYTES)
        if b"0000000" in plain:
            for run in _DIGITS.finditer(text, start, end):
                yield from _number(text, *run.span())


def _number(text: str, start: int, end: int) -> Iterator[Finding]:
    if start >= 2 and (iban := _iban(text, start - 2)):
        yield iban
    elif end - start >= 7:
        yield from list(_cards(text, start, end)) or _phones(text, start, end)


# Length of the account number in each country, from the IBAN registry of SWIFT.
_IBAN_LENGTHS = {
    entry[:2]: int(entry[2:])
    for entry in (
        "AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BI27 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DJ27 "
        "DK18 DO28 EE20 EG29 ES24 FI18 FK18 FO18 FR27 GB22 GE22 GI23 GL18 GR27 GT28 HR21 HU28 IE22 "
        "IL23 IQ23 IS26 IT27 JO30 KW30 KZ20 LB28 LC32 LI21 LT20 LU20 LV21 LY25 MC27 MD24 ME22 MK19 "
        "MN20 MR27 MT31 MU30 NI28 NL18 NO15 OM23 PK24 PL28 PS29 PT25 QA29 RO24 RS22 RU33 SA24 SC31 "
        "SD18 SE24 SI19 SK24 SM27 SO23 ST25 SV28 TL23 TN24 TR26 UA29 VA22 VG24 XK20 YE30"
    ).split()
}


def _iban(text: str, start: int) -> Finding | None:
    """Gives the account number that begins at `start`, if its check digits are right (ISO 7064)."""
    length = _IBAN_LENGTHS.get(text[start : start + 2])
    if length is None or (start and text[start - 1].isalnum()):
        return None
    written = re.compile(
        rf"[A-Z]{{2}}[0-9]{{2}}(?:[ \u00a0-]?[A-Z0-9]){{{length - 4}}}(?![A-Z0-9])"
    )
    if not (match := written.match(text, start)):
        return None
    plain = re.sub(r"[^A-Z0-9]", "", match[0])
    value = int("".join(str(int(char, 36)) for char in plain[4:] + plain[:4]))
    return Finding(start, match.end(), "IBAN") if value % 97 == 1 else None


# Groups as they are embossed: 4-4-4-4 and a rest, 4-6-5 (American Express), 4-6-4 (Diners).
_CARD = re.compile(
    r"(?<![\w.])(?:[0-9]{4}([ \u00a0-]?)[0-9]{4}\1[0-9]{4}\1[0-9]{4}(?:\1[0-9]{3})?"
    r"|[0-9]{4}([ \u00a0-]?)[0-9]{6}\2[0-9]{4,5})(?![\w-]|\.[0-9])"
)
# First digits and lengths of the issuers (ISO/IEC 7812): Visa, Mastercard, American Express,
# Discover, Diners, JCB, UnionPay, Maestro. Visa's 13 digits are no longer issued and left out.
_ISSUED = re.compile(
    r"4(?:.{15}|.{18})|(?:5[1-5]|222[1-9]|22[3-9]|2[3-6]|27[01]|2720).+(?<=\A.{16})|3[47].{13}"
    r"|(?:6011|64[4-9]|65).+(?<=\A.{16})|(?:30[0-5]|36|3[89]).+(?<=\A.{14})"
    r"|35(?:2[89]|[3-8].).{12}|62.{14}(?:.{3})?|(?:5018|5020|5038|5893|6304|6759|676[1-3]).{12}"
)


def _cards(text: str, start: int, end: int) -> Iterator[Finding]:
    while match := _CARD.search(text, start, end):
        digits = re.sub(r"[^0-9]", "", match[0])
        if _ISSUED.fullmatch(digits) and _luhn(digits):
            yield Finding(*match.span(), "CARD")
            start = match.end()
        else:
            start = match.start() + 1


def _luhn(digits: str) -> bool:
    """Gives whether the check digit is right (ISO/IEC 7812-1, annex B)."""
    doubled = [sum(divmod(2 * int(digit), 10)) for digit in digits[-2::-2]]
    return (sum(map(int, digits[-1::-2])) + sum(doubled)) % 10 == 0


_IPV4_DOTS = re.compile(r"\.[0-9]{1,3}\.[0-9]")
_IPV4 = re.compile(r"(?<![\w.-])(?:[0-9]{1,3}\.){3}[0-9]{1,3}(?![\w-]|\.[0-9])")
# Four numbers with dots are a version or a section when such a word stands before them.
_NUMBERED = re.compile(
    r"(?:\b(?:v|ver|version|release|build|firmware|driver|section|sections|sec|chapter|clause"
    r"|paragraph|article|art|rule|annex|table|figure|fig|appendix|step)|§)[\s.:(]{0,3}\Z",
    re.IGNORECASE,
)
_ADDRESSED = re.compile(
    r"\b(?:ip|ipv4|address|addresses|host|server|client|from|ping|dns|gateway|resolver|proxy"
    r"|peer|router|subnet)\b\W{0,3}\w{0,3}\W{0,3}\Z",
    re.IGNORECASE,
)
# Section numbers seldom go beyond this, and few addresses keep below it in all four places.
_SECTION = 30
# Characters before a number in which a word may say what it is.
_BEFORE = 32


def _ipv4_addresses(text: str) -> Iterator[Finding]:
    for dots in _IPV4_DOTS.finditer(text):
        match = _IPV4.search(text, max(0, dots.start() - 3), dots.start() + 14)
        if not match or match.start() > dots.start():
            continue
        parts = [int(part) for part in match[0].split(".")]
        before = text[max(0, match.start() - _BEFORE) : match.start()]
        section = max(parts) <= _SECTION and not _ADDRESSED.search(before)
        if max(parts) <= 255 and not (section or _NUMBERED.search(before)):
            yield from _machine(match[0], match.start())


_IPV6_COLONS = re.compile(r":[0-9A-Fa-f]{0,4}:")
_IPV6 = re.compile(r"[0-9A-Fa-f:]{2,39}+(?![\w:])")


def _ipv6_addresses(text: str) -> Iterator[Finding]:
    end = 0
    for colons in _IPV6_COLONS.finditer(text):
        if colons.start() < end:
            continue
        start = colons.start()
        while start > max(end, colons.start() - 4) and text[start - 1] in "0123456789abcdefABCDEF":
            start -= 1
        match = _IPV6.match(text, start)
        end = match.end() if match else colons.end()
        if match and not (start and (text[start - 1].isalnum() or text[start - 1] in "_:")):
            address = match[0] if match[0].endswith("::") else match[0].rstrip(":")
            # `a::b` is also how programs name things.
            if any(char.isdigit() for char in address):
                yield from _machine(address, start)


def _machine(written: str, start: int) -> Iterator[Finding]:
    """Gives the address if it can be that of a machine.

    This computer, every computer and none of them are nobody's address. Those reserved for
    documentation count, as an e-mail address at example.com does: the form is all there is to see,
    and a text that invents its addresses is not harmed when they are masked.
    """
    try:
        address = ipaddress.ip_address(written)
    except ValueError:
        return
    netmask = address.version == 4 and written.startswith("255.")
    if not (address.is_loopback or address.is_unspecified or address.is_multicast or netmask):
        yield Finding(start, start + len(written), "IP")


# Words before a phone number, in the languages of some thirty countries.
_CALL = re.compile(
    r"(?:\b(?:tel|phones?|tele(?:ph|f)\w{2,5}|tel[eé]f\w{2,4}|fax|telefax|mob|mobile?|mobiel|cell"
    r"|cellulare|celular|call|dial|handy|whatsapp|hotline|helpline|portable"
    r"|m[oó]vil|puhelin|komórka|gsm)\b|\bтел|телефон|电话|電話|手机|携帯|전화|هاتف|फ़ोन|☎|📞)"
    r"[^0-9\n]{0,24}\Z",
    re.IGNORECASE,
)
# Words and signs before a number that is something else.
_OTHER_NUMBER = re.compile(
    r"(?:\b(?:isbn|issn|doi|pmid|order|invoice|ref|reference|no|nr|number|id|case|article|patent"
    r"|account|serial|part|ticket|sku|ean|upc|vat|tax|file|docket|grant|from|between)"
    r"\b[\s.:#-]{0,3}|[A-Za-z0-9_$€£¥#§%=/.,-])\Z",
    re.IGNORECASE,
)
_DATE = re.compile(
    r"[0-9]{1,2}([./-])[0-9]{1,2}\1(?:[0-9]{4}|[0-9]{2})(?![0-9])|(?:1[5-9]|20)[0-9]{2}(?![0-9])"
)
# E.164: at most 15 digits after the plus.
_INTERNATIONAL = re.compile(rf"[1-9](?:{_GAP}{{0,3}}[0-9]){{6,14}}+(?![0-9])")
_DIALLED = re.compile(
    r"(?:[0-9]{2,5} ?/ ?)?"
    r"[0-9](?:(?: ?\(0\) ?|\) ?|[ .\u00a0\u2010\u2011-]| - )?[0-9]){6,14}+(?![0-9])"
)
_NATIONAL = re.compile(
    # North America: 3-3-4, where neither area nor exchange begins with 0 or 1.
    r"(?:(?:1[ .-])?[2-9][0-9]{2}[ .-]|(?<=\()[2-9][0-9]{2}\)[ -]?)[2-9][0-9]{2}[ .-][0-9]{4}"
    # An area code in brackets.
    r"|(?<=\()0?[1-9][0-9]{0,4}\)[ -]?[0-9]{2,8}(?:[ -][0-9]{2,5}){0,4}"
    # The prefix 0 of most other countries, before nine to eleven digits in groups.
    r"|0[1-9][0-9]{0,4}[ /-][ /-]{0,2}[0-9]{2,8}(?:[ -][0-9]{2,5}){0,4}|0[1-9](?:\.[0-9]{2}){4}"
    # The prefix 00 before a country code.
    r"|00[1-9][0-9]{0,2}[ -][0-9]{1,5}(?:[ -]?[0-9]{2,8}){1,5}"
    # Chinese mobiles.
    r"|1[3-9][0-9][ -][0-9]{4}[ -][0-9]{4}"
)


def _phones(text: str, start: int, end: int) -> Iterator[Finding]:
    """Gives the phone numbers with which a run of digits begins.

    A plus makes it one, or a way of writing that is used for little else, or a word before it.
    """
    while start < end and (found := _phone(text, start, end)):
        yield found
        start = found.end
        while start < end and not text[start].isdigit():
            start += 1


def _phone(text: str, start: int, end: int) -> Finding | None:
    first = start
    while first > max(0, start - 2) and text[first - 1] in "+(":
        first -= 1
    before = text[max(0, first - _BEFORE) : first]
    if "+" in text[first:start] and not before[-1:].isdigit():
        match = _INTERNATIONAL.match(text, start, end)
        return Finding(first, match.end(), "PHONE") if match else None
    if _DATE.match(text, start):
        return None
    if _CALL.search(before):
        match, least = _DIALLED.match(text, start, end), 7
    elif _OTHER_NUMBER.search(before):
        return None
    else:
        match, least = _NATIONAL.match(text, start, end), 9
    # Points set off groups or decimals, and beside other gaps they are decimals.
    if match is None or ("." in match[0] and re.search(r"[ -]", match[0])):
        return None
    n_digits = sum(char.isdigit() for char in match[0])
    if not least <= n_digits <= 15 or re.match(r"[A-Za-z0-9_]|[.,%][0-9]", text[match.end() :][:2]):
        return None
    return Finding(first if ")" in match[0] else start, match.end(), "PHONE")


# The forms that the issuers of keys document. What begins them is sought by a sign that is rare in
# prose and the letters before it, or, where there is no such sign, by its letters.
_KEY_HEADS = {
    "_": tuple("ghp gho ghu ghs ghr github_pat sk rk whsec hf npm".split()),
    "-": tuple("sk glpat xoxa xoxb xoxe xoxo xoxp xoxr xoxs pypi".split()),
    **dict.fromkeys("AKIA ASIA AIza eyJ ya29. SG. hooks.slack.com -----BEGIN".split(), ("",)),
}
_KEY = re.compile(
    r"(?<![A-Za-z0-9])(?:"
    r"A[KS]IA[0-9A-Z]{16}(?![0-9A-Za-z])"  # Amazon
    r"|gh[pousr]_[A-Za-z0-9]{30,255}+|github_pat_[A-Za-z0-9_]{22,255}+|glpat-[A-Za-z0-9_-]{20,255}+"
    r"|xox[abeoprs]-[A-Za-z0-9-]{10,255}+|hooks\.slack\.com/services/[A-Za-z0-9/]{20,255}+"
    r"|AIza[A-Za-z0-9_-]{35}|ya29\.[A-Za-z0-9_-]{20,1024}+"  # Google
    r"|(?:[rs]k_(?:live|test)|whsec)_[A-Za-z0-9]{10,255}+"  # Stripe
    r"|sk-(?=[A-Za-z_-]{0,40}[0-9])[A-Za-z0-9_-]{20,255}+"  # OpenAI and those who followed
    r"|hf_[A-Za-z0-9]{30,64}+|npm_[A-Za-z0-9]{36}|pypi-[A-Za-z0-9_-]{50,255}+"
    r"|SG\.[A-Za-z0-9_-]{16,64}+\.[A-Za-z0-9_-]{16,64}+"  # SendGrid
    # JSON Web Tokens (RFC 7519): a header that begins with {" and two more parts.
    r"|(?<![_-])eyJ[A-Za-z0-9_-]{8,}+\.[A-Za-z0-9_-]{8,}+\.[A-Za-z0-9_-]*+"
    # RFC 7468 and its kin. What has no end is followed as far as its lines are base64.
    r"|-----BEGIN [A-Z0-9 ]{0,30}PRIVATE KEY(?: BLOCK)?-----"
    r"(?:(?:[^-]|-(?!----)){0,20000}+-----END [A-Z0-9 ]{0,50}-----"
    r"|(?:\s{0,4}+[A-Za-z0-9+/=]{32,}+)*+))"
)
# User and password in an address (RFC 3986, section 3.2.1).
_CREDENTIALS = re.compile(r"://([^\s/:@?#]{1,64}+:[^\s/:@]{1,128}+)@")
_AUTHORIZATION = re.compile(
    r"[Bb](?:earer|EARER) {1,2}((?=[A-Za-z._~+/-]{0,64}[0-9])[A-Za-z0-9._~+/-]{16,4096}+=*)"
    r"|[Aa]uthorization[\"']?: ?[\"']?(?:[Bb]asic|[Tt]oken|[Aa]pi[Kk]ey) "
    r"([A-Za-z0-9._~+/-]{8,4096}+=*)"
)
_ASSIGNED = {
    sign: re.compile(rf"{sign}>?\s{{0,3}}[\"'`]?([^\s\"'`<>{{}}()\[\],;$|=]{{6,200}}+)(?![(\[])")
    for sign in "=:："
}
# People's passwords are short; what else is called a secret or token and is short is a word.
_PASSWORD = 6
_SECRET = 12
_NAMED = re.compile(
    r"(?:(passwor|passwd|passphrase|pwd|contraseñ|mot de passe|senha|密码|пароль)"
    r"|secret|token|api[_ -]?key|a(?:ccess|ccount|uth)[_ -]?key|private_key)"
    r"[\w-]{0,32}(?: \w{1,3})?[\"'`]?\s{0,3}:?\Z",
    re.IGNORECASE,
)


def _keys(text: str) -> Iterator[Finding]:
    for sign, heads in _KEY_HEADS.items():
        for at in _occurrences(text, sign):
            # The longest head has ten letters.
            if text.endswith(heads, max(0, at - 10), at):
                head = next(head for head in heads if text.endswith(head, 0, at))
                if match := _KEY.match(text, at - len(head)):
                    yield Finding(*match.span(), "KEY")
    for form, sign, back in (
        (_CREDENTIALS, "://", 0),
        (_AUTHORIZATION, "earer ", 1),
        (_AUTHORIZATION, "uthorization", 1),
    ):
        for at in _occurrences(text, sign):
            if match := form.match(text, max(0, at - back)):
                yield Finding(*match.span(match.lastindex), "KEY")
    for sign, form in _ASSIGNED.items():
        for match in form.finditer(text) if sign in text else ():
            value = match[1].rstrip(".:!?")
            if _invented(value):
                name = _NAMED.search(text, max(0, match.start() - 64), match.start())
                if name and len(value) >= (_PASSWORD if name[1] else _SECRET):
                    yield Finding(match.start(1), match.start(1) + len(value), "KEY")


def _occurrences(text: str, sign: str) -> Iterator[int]:
    at = -1
    while (at := text.find(sign, at + 1)) >= 0:
        yield at


_MEASURE = re.compile(r"[0-9]+-?[a-z]+|/.*|[a-z]+://.*", re.IGNORECASE)


def _invented(value: str) -> bool:
    """Gives whether `value` is like no word, measure or path: letters mixed with other things."""
    if value.isalpha():
        return False
    digits = sum(char.isdigit() for char in value)
    letters = sum(char.isalpha() for char in value)
    cased = value.lower() != value != value.upper()
    # Five different characters: a row of x or of asterisks stands for a secret and is none.
    return (
        letters > 0
        and (digits > 0 or (cased and letters < len(value)))
        and len(set(value)) >= 5
        and not _MEASURE.fullmatch(value)
    )
