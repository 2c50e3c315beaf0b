"""Reads plain text and Markdown, in whatever encoding.

Nearly all text is UTF-8, so that is tried first and costs no more than the decoding itself. Only
what is not UTF-8 is looked at closer, and of that only a sample.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator

from bonito_assets.ingestion.formats.extracted import Extracted, Refused

# The marks of UTF-32 come first: those of UTF-16 are their beginnings.
_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
# Control characters that no text of any encoding holds; a tab, the line ends, a form feed and the
# escape of Japanese encodings and terminal colours are none of them.
_CONTROLS = bytes({*range(1, 8), *range(14, 27), *range(28, 32), 127})
# How much is looked at to judge what the bytes are.
_SAMPLE = 65_536
# Of random bytes a tenth are such controls, of a picture or a program a twentieth and more; of the
# texts seen, not one in ten thousand.
_MOST_CONTROLS = 0.02
# NULs between words come from broken exports; where they are a third, it is a binary format.
_MOST_NULS = 0.3
_BINARY = "is not text: its bytes are those of a binary file"
# Lines with other than ASCII that the detection sees, in bytes. More made no answer better.
_TELLING = 8_192
# The encodings that text without a declaration is found in. More only adds ways to be wrong.
_CANDIDATES = (
    "cp1252 cp1251 koi8_r cp1250 iso8859_2 cp1253 cp1254 cp1255 cp1256 iso8859_5 cp866 "
    "cp932 euc_jp cp949 gb18030 big5"
).split()
# These differ in a few letters only, which counting characters cannot tell apart. What can is the
# letters of one language: no Czech text has a letter that Polish alone has. First come the more
# common encodings, which win a tie.
_LATIN = ("cp1252", "cp1254", "cp1250", "iso8859_2")
_LETTERS = tuple(
    frozenset(letters)
    for letters in (
        "áéíóúüñºª",  # Spanish
        "àâæçèéêëîïôùûüÿœ",  # French
        "äöüß",  # German
        "àáâãçéêíóôõúºª",  # Portuguese
        "àèéìíòóù",  # Italian
        "æøåéäöü",  # Danish, Norwegian, Swedish, Finnish
        "áðéíóúýþæö",  # Icelandic
        "àéèëïöüó",  # Dutch, Catalan
        "çğıöşüâî",  # Turkish
        "ąćęłńóśźż",  # Polish
        "áčďéěíňóřšťúůýž",  # Czech
        "áäčďéíĺľňóôŕšťúýž",  # Slovak
        "áéíóöőúüű",  # Hungarian
        "čćđšž",  # Croatian, Slovene
        "ăâîşţ",  # Romanian
    )
)
_PUNCTUATION = frozenset("¿¡“”„‘’‚–—…«»‹›€£§°©®™·•´\u00a0\u00ad")
# Of the characters above ASCII, the share that must be signs or letters of a word. Sound text
# in a Latin alphabet has 0.9 and more; bytes that are noise have less than a half.
_LEAST_IN_WORDS = 0.7
_IN_WORD = re.compile(
    r"(?<=[A-Za-z])[^\W\d_a-zA-Z]+|(?<![^\W\d_a-zA-Z])[^\W\d_a-zA-Z]++(?=[A-Za-z])"
    # These are words by themselves, in French, Spanish, Portuguese, Italian or a Nordic language.
    r"|(?<!\S)[àáâäåæèéêíòóôöøÀÁÅÈÉÍÓÖØ](?!\S)"
)
# UTF-8 that was read as Latin-1 or windows-1252 and written as UTF-8 again: pairs that begin with
# what a lead byte turned into.
_MOJIBAKE = re.compile("[ÃÂÄÅ][\u0080-\u00bf‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ]|â[\u0080\u20ac]")


def decode(content: bytes) -> tuple[str, str | None]:
    """Gives the text of `content` with "\\n" for every line end, and a warning or None.

    A byte order mark rules; else UTF-8, also with a few broken bytes or its end cut off; else the
    encoding that the bytes speak for. The warning says what was replaced, removed or guessed.
    Raises ``Refused`` for bytes that are no text.
    """
    for mark, codec in _BYTE_ORDER_MARKS:
        if content.startswith(mark):
            return _finish(*decode_as(content[len(mark) :], codec))
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        codec, guess = _codec_of_other(content, error)
        text, warning = decode_as(content, codec)
        return _finish(text, "; ".join(filter(None, (guess, warning))) or None)
    head = content[:_SAMPLE]
    if b"\0" in head and (codec := _utf16(head)):
        return _finish(*decode_as(content, codec))
    if is_binary(head):
        raise Refused("unreadable", _BINARY)
    return _finish(text, None)


def encoding(sample: bytes) -> str:
    """Gives the codec of a text that begins with `sample`, as ``decode`` would choose it.

    It takes a byte order mark for what it is. Raises ``Refused`` for bytes that are no text.
    """
    for mark, codec in _BYTE_ORDER_MARKS:
        if sample.startswith(mark):
            # Without "-le" and "-be", since the mark says which it is.
            return "utf-8-sig" if codec == "utf-8" else codec[:6]
    try:
        _whole_characters(sample).decode()
    except UnicodeDecodeError as error:
        return _codec_of_other(sample, error)[0]
    return _utf16(sample) or "utf-8"


def decode_as(content: bytes, codec: str) -> tuple[str, str | None]:
    """Gives `content` decoded by `codec`, U+FFFD for what is invalid, and a warning that counts."""
    try:
        return content.decode(codec), None
    except UnicodeDecodeError:
        text = content.decode(codec, "replace")
    sound = content.decode(codec, "ignore")
    lost = len(content) - len(sound.encode(codec, "ignore"))
    return text, f"holds {max(lost, 1):,} bytes that are invalid in {codec}, which were replaced"


def _finish(text: str, warning: str | None) -> tuple[str, str | None]:
    warnings = [warning] if warning else []
    if "\0" in text:
        nuls = text.count("\0")
        text = text.replace("\0", "")
        warnings.append(f"held {nuls:,} NUL characters, which were removed")
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    if not text.isascii() and _is_mojibake(text[:_SAMPLE]):
        warnings.append("looks like UTF-8 that was once read as Latin-1; it was left as it is")
    return text, "; ".join(warnings) or None


def _is_mojibake(sample: str) -> bool:
    if not any(first in sample for first in "ÃÂÄÅâ"):
        return False  # told in no time of most text
    pairs = len(_MOJIBAKE.findall(sample))
    # A pair by itself can be meant; that most of what is not ASCII forms such pairs cannot.
    return pairs >= 3 and 2 * pairs >= 0.5 * sum(char > "\x7f" for char in sample)


def _codec_of_other(content: bytes, error: UnicodeDecodeError) -> tuple[str, str | None]:
    """Gives the codec of what is not UTF-8, and a warning if it was guessed.

    `error` tells where it is not. Raises ``Refused`` for bytes that are no text.
    """
    head = content[:_SAMPLE]
    if codec := _utf16(head):
        return codec, None
    if is_binary(head):
        raise Refused("unreadable", _BINARY)
    # A file may be ASCII for long: what tells its encoding is around the first broken byte.
    sample = _whole_characters(content[max(0, error.start - _SAMPLE // 2) :][:_SAMPLE])
    sound = sample.decode(errors="ignore")
    broken = len(sample) - len(sound.encode())
    foreign = len(sound) - len(sound.encode("ascii", "ignore"))
    cut_off = "unexpected end" in error.reason and len(content) - error.start > 1
    # Text of another encoding is next to never valid as UTF-8 by chance.
    if cut_off or foreign >= 4 * broken:
        return "utf-8", None
    codec = _detect(_telling(content, error.start))
    if codec is None and broken <= 0.05 * len(sample):
        return "utf-8", None
    if codec is None:
        raise Refused("unreadable", "is not text in any encoding that could be recognised")
    return codec, f"is not UTF-8 and was read as {codec}, the encoding that its bytes speak for"


def is_binary(sample: bytes) -> bool:
    """Tells whether bytes are no text, in whatever encoding: text has next to no control codes."""
    if sample.startswith(tuple(mark for mark, _ in _BYTE_ORDER_MARKS)) or _utf16(sample):
        return False
    controls = len(sample) - len(sample.translate(None, _CONTROLS))
    return controls > _MOST_CONTROLS * len(sample) or sample.count(0) > _MOST_NULS * len(sample)


def _utf16(sample: bytes) -> str | None:
    """Gives the UTF-16 that a text without a byte order mark is in: every other byte is 0."""
    first, second = sample[::2].count(0), sample[1::2].count(0)
    least = max(1, 0.3 * (len(sample) // 2))
    if second > least and second > 20 * first:
        return "utf-16-le"
    if first > least and first > 20 * second:
        return "utf-16-be"
    return None


def _whole_characters(sample: bytes) -> bytes:
    """Gives `sample` without the pieces of UTF-8 characters at its ends."""
    start = 0
    while start < min(3, len(sample)) and 0x80 <= sample[start] < 0xC0:
        start += 1
    end = len(sample)
    for back in range(1, min(4, end - start) + 1):
        if sample[end - back] >= 0xC0:
            end -= back
            break
        if sample[end - back] < 0x80:
            break
    return sample[start:end]


def _telling(content: bytes, at: int) -> bytes:
    """Gives the lines around and after offset `at` that are not ASCII, about ``_TELLING`` bytes."""
    start = max(0, at - _TELLING, content.rfind(b"\n", 0, at) + 1)
    lines, total = [], 0
    for line in content[start : start + 16 * _SAMPLE].splitlines():
        if line.isascii():
            continue
        lines.append(line[: 2 * _TELLING])
        total += len(lines[-1])
        if total >= _TELLING:
            break
    return b"\n".join(lines)


def _detect(sample: bytes) -> str | None:
    from charset_normalizer import from_bytes

    # In one piece: cut anywhere, half a character of a Chinese encoding would speak against it.
    # The sample itself may end in one, of up to four bytes.
    for cut in range(4):
        whole = sample[: len(sample) - cut]
        best = from_bytes(
            whole, cp_isolation=list(_CANDIDATES), steps=1, chunk_size=max(1, len(whole))
        ).best()
        if best is not None and best.encoding not in _LATIN:
            return _corrected(best.encoding, whole)
        if best is not None:
            break
    decoded = {codec: sample.decode(codec, "replace") for codec in _LATIN}
    codec = max(_LATIN, key=lambda codec: _of_one_language(decoded[codec]))
    return codec if _in_words(decoded[codec]) >= _LEAST_IN_WORDS else None


def _corrected(codec: str, sample: bytes) -> str:
    """Gives `codec`, or the one that it is taken for by mistake."""
    if _is_japanese(sample):
        return "euc_jp"
    # Where KOI8-R has its capitals, the Hebrew code page has its letters; no text is all capitals.
    foreign = "".join(char for char in sample.decode(codec, "replace") if char > "\x7f")
    return "cp1255" if codec == "koi8_r" and foreign.isupper() else codec


def _is_japanese(sample: bytes) -> bool:
    """Tells whether `sample` is EUC-JP, which is also valid as Korean and as Chinese.

    Japanese alone is written with two rows of 94 kana, which are half of its text.
    """
    try:
        text = sample.decode("euc_jp")
    except UnicodeDecodeError:
        return False
    foreign = sum(char > "\x7f" for char in text)
    return sum("\u3041" <= char <= "\u30fe" for char in text) > 0.25 * foreign


def _of_one_language(text: str) -> int:
    """Gives how many of the characters above ASCII are signs or letters of one language."""
    foreign = [char for char in text.lower() if char > "\x7f"]
    letters = max(sum(char in alphabet for char in foreign) for alphabet in _LETTERS)
    return letters + sum(char in _PUNCTUATION for char in foreign)


def _in_words(text: str) -> float:
    """Gives the share of the characters above ASCII that are signs or letters of a word."""
    signs = sum(char in _PUNCTUATION for char in text)
    letters = sum(map(len, _IN_WORD.findall(text)))
    return (signs + letters) / max(1, sum(char > "\x7f" for char in text))


def read_plain(content: bytes) -> Extracted:
    """Gives a plain text as it stands; raises ``Refused`` when it is no text or empty."""
    text, warning = decode(content)
    if not text.strip():
        raise Refused("empty", "holds no text")
    return Extracted(text, warning=warning)


# A title is a line; looking for markup in more would take the square of its length.
_LONGEST_TITLE = 500

# Markdown: https://spec.commonmark.org/0.31.2/, as far as headings need it.

_FRONT_MATTER = re.compile(r"\A---[ \t]*\n(.{0,65536}?)^(?:---|\.\.\.)[ \t]*$\n?", re.DOTALL | re.M)
_FENCE = re.compile(r" {0,3}(`{3,}(?=[^`]*$)|~{3,})")
_ATX = re.compile(r" {0,3}(#{1,6})(?=[ \t]|$)")
_UNDERLINE = re.compile(r" {0,3}(=+|-+)[ \t]*$")
# What a line of a heading with an underline cannot begin with: code, a quotation, a list, a table.
_NO_PARAGRAPH = re.compile(r" {4}|\t| {0,3}(?:>|[-+*][ \t]|\d{1,9}[.)][ \t]|\||<)")
_LINK = re.compile(r"!?\[([^\]]*)\](?:\([^)]*\)|\[[^\]]*\])|\s*\{#[^}]*\}\s*$")
_EMPHASIS = re.compile(r"\*{1,3}|`+|(?<!\w)_{1,3}(?=\w)|(?<=\w)_{1,3}(?!\w)")


def read_markdown(content: bytes) -> Extracted:
    """Gives a Markdown text as it is written, with its headings and what its front matter says.

    The title is the front matter's, else the first heading. Raises ``Refused`` as `read_plain`.
    """
    text, warning = decode(content)
    if not text.strip():
        raise Refused("empty", "holds no text")
    front = _FRONT_MATTER.match(text)
    said = _front_matter(front.group(1)) if front else {}
    found = list(_markdown_headings(text, front.end() if front else 0))
    title = said.get("title") or next((words for _, _, words in found if words), None)
    return Extracted(
        text,
        title=title,
        headings=tuple((start, level) for start, level, _ in found),
        license=said.get("license") or said.get("licence"),
        warning=warning,
    )


def _front_matter(block: str) -> dict[str, str]:
    import yaml

    try:
        said = yaml.safe_load(block)
    # ValueError: a date that is none; RecursionError: brackets in brackets without end.
    except (yaml.YAMLError, ValueError, RecursionError):
        return {}
    if not isinstance(said, dict):
        return {}
    plain = {str(key).lower(): value for key, value in said.items()}
    return {key: str(value).strip() for key, value in plain.items() if isinstance(value, str)}


def _markdown_headings(text: str, begin: int) -> Iterator[tuple[int, int, str]]:
    """Yields the start, level and words of each heading of `text` from offset `begin`."""
    fence = ""
    paragraph: list[tuple[int, str]] = []
    start = begin
    for line in text[begin:].split("\n"):
        at, start = start, start + len(line) + 1
        if fence:
            closing = line.strip()
            if closing.startswith(fence) and not closing.strip(fence[0]):
                fence = ""
        elif match := _FENCE.match(line):
            fence, paragraph = match.group(1), []
        elif match := _ATX.match(line):
            yield at, len(match.group(1)), _words(_unclosed(line[match.end() :]))
            paragraph = []
        elif paragraph and (match := _UNDERLINE.match(line)):
            words = " ".join(words.strip() for _, words in paragraph)
            yield paragraph[0][0], 1 if match.group(1)[0] == "=" else 2, _words(words)
            paragraph = []
        elif not line.strip() or (not paragraph and _NO_PARAGRAPH.match(line)):
            paragraph = []
        elif paragraph or not _in_block(text, at):
            paragraph.append((at, line))


def _in_block(text: str, at: int) -> bool:
    """Tells whether the line before offset `at` is of a list, quotation or table that goes on."""
    before = text[text.rfind("\n", 0, max(0, at - 1)) + 1 : max(0, at - 1)]
    return bool(before.strip() and _NO_PARAGRAPH.match(before))


def _unclosed(heading: str) -> str:
    """Gives the words of a heading without the # that may close it, set off by a space."""
    heading = heading.strip()
    before = heading.rstrip("#")
    return heading if before and not before[-1].isspace() else before.rstrip()


def _words(heading: str) -> str:
    """Gives the words of a heading without markup; of a very long one the beginning."""
    heading = heading[:_LONGEST_TITLE]
    return _EMPHASIS.sub("", _LINK.sub(r"\1", heading)).strip()


# For the readers of other formats.
