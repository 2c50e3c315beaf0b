"""Judges passages before anything is generated from them, and names what is wrong with one.

In doubt a passage passes: a question about a table costs one generation, a good passage refused is
lost. So each rule asks for clear evidence, and what looks like prose at the first glance, as nearly
every passage does, is asked no further. Thresholds were set on 8,188 passages of
up to 2,000 characters from ten sets of English, Spanish, Arabic and Chinese prose, of which seven
are refused, and on the examples of what must be refused that stand in the tests.
"""

from __future__ import annotations

import re
from collections.abc import Collection

from bonito_assets.chunking.language import in_language
from bonito_assets.personal_data import find


def judge(
    text: str,
    units: Collection[str],
    wanted_languages: Collection[str] = (),
    pii: str = "keep",
    shape: bool = True,
) -> str | None:
    """Gives the first verdict against a passage, of ``tables.REJECTIONS``, or None if it passes.

    `units` says what it serves as, "paragraph" or "sentence" or both; the milder demand counts.
    `wanted_languages` are codes of ISO 639-1, none for all languages. Personal data is a reason
    only where `pii` is "reject"; without `shape` it may be short, boilerplate or code. Raises
    ``ValueError`` for a language that is not known.
    """
    words = text.split()
    if not words:
        return "too_short"
    vocabulary = frozenset(words)
    # Menus and copyright lines are mostly too short as well; what they are says more.
    if shape and boilerplate(text, vocabulary):
        return "boilerplate"
    if shape and too_short(text, units):
        return "too_short"
    if shape and not_natural_language(text, words, vocabulary):
        return "not_natural_language"
    if wanted_languages and in_language(text, wanted_languages) is False:
        return "wrong_language"
    if pii == "reject" and find(text):
        return "personal_data"
    return None


# A passage is what most of it is.
_MOST = 0.5
# Words that a passage must have. Shorter ones hold one thing at most, and what a model writes about
# them repeats it; sentence tasks were trained on single sentences, which may be very short.
_LEAST_WORDS = {"paragraph": 5, "sentence": 3}
# Above this many characters too few words are no lack of text but a sign of something else.
_SHORT_CHARS = 60
# And below this many it does not matter what else there is.
_NOTHING_CHARS = 20
# Scripts that set no spaces between words, and about how many of their characters make one word:
# two in Chinese, Japanese and what stands near them, four in Thai, Lao, Burmese and Khmer.
_UNSPACED = ((re.compile(r"[\u2e80-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"), 2),
             (re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff]"), 4))  # fmt: skip
_SENTENCE_END = re.compile(r"[.!?:;,…。！？؟।][\"'”’»)\]*_]*\Z")


def too_short(text: str, units: Collection[str]) -> bool:
    """Gives whether there is too little text for a task: a few words, or a heading by itself."""
    if len(text) > 4 * _SHORT_CHARS:
        return False
    words = [word for word in text.split() if any(map(str.isalpha, word))]
    amount = len(words)
    if not text.isascii():
        for script, word_chars in _UNSPACED:
            amount = max(amount, len(script.findall(text)) // word_chars)
    least = min((_LEAST_WORDS[unit] for unit in units), default=_LEAST_WORDS["paragraph"])
    if amount < least and len(text) <= _SHORT_CHARS:
        # Few words among many numbers are a table and no lack of text.
        mostly_letters = sum(map(str.isalpha, text)) >= _MOST * len("".join(text.split()))
        return mostly_letters or len(text) <= _NOTHING_CHARS
    return _is_heading(text.strip(), words)


# Headings have seldom more words, and people who write in capitals throughout need more.
_HEADING_WORDS = 8
_CAPITALS_WORDS = 4


def _is_heading(text: str, words: list[str]) -> bool:
    """Gives whether it is one line with no end of a sentence and capitals throughout."""
    most = _CAPITALS_WORDS if text.isupper() else _HEADING_WORDS
    if "\n" in text or len(words) > most or "," in text or _SENTENCE_END.search(text):
        return False
    # Articles and prepositions stand in lower case in headings.
    long = [word for word in words if len(word) > 3]
    return len(long) >= 3 and all(word[0].isupper() for word in long)


# What only a licence, a disclaimer or a colophon says, in lower case, after a word of it that
# stands between spaces: few texts have one of these words, and only those are searched.
_SIGNATURES = (
    ("2.0", 'version 2.0 (the "license")'),
    ("apache", "licensed to the apache software foundation"),
    ("compliance", "you may not use this file except in compliance"),
    ("warranties", "without warranties or conditions of any kind"),
    ("hereby", "permission is hereby granted, free of charge"),
    ("modify,", "permission to use, copy, modify, and"),
    ("permission", "this permission notice"),
    ('"as', 'the software is provided "as is"'),
    ("software", "this software is provided by the copyright"),
    ("binary", "redistribution and use in source and binary forms"),
    ("redistributions", "redistributions of source code must retain"),
    ("binary", "redistributions in binary form must reproduce"),
    ("redistribute", "redistribute it and/or modify it under the terms"),
    ("implied", "without even the implied warranty"),
    ("gnu", "received a copy of the gnu"),
    ("mozilla", "terms of the mozilla public license"),
    ("licensed", "this work is licensed under"),
    ("licensed", "this project is licensed under"),
    ("spdx-license-identifier:", "spdx-license-identifier:"),
    ("spdx-filecopyrighttext:", "spdx-filecopyrighttext:"),
    ("rights", "all rights reserved"),
    ("rechte", "alle rechte vorbehalten"),
    ("droits", "tous droits réservés"),
    ("derechos", "todos los derechos reservados"),
    ("publication", "no part of this publication may be reproduced"),
    ("intended", "if you are not the intended recipient"),
    ("e-mail", "this e-mail and any attachments"),
    ("main", "skip to main content"),
)
_SIGNATURE_WORDS = frozenset(
    spelt for word, _ in _SIGNATURES for spelt in (word, word.capitalize(), word.upper())
) | {"SPDX-License-Identifier:", "SPDX-FileCopyrightText:"}
_COPYRIGHT_WORDS = frozenset(("copyright", "Copyright", "COPYRIGHT", "(c)", "(C)"))
_COPYRIGHT = re.compile(
    r"^[#*/; -]{0,8}(?:copyright\b|©|\(c\))\s{0,3}(?:©|\(c\)|[12][0-9]{3}\b)", re.I | re.M
)
# So much text a signature speaks for: licence headers have one in each 180 to 240 characters, and
# an article in which somebody licenses something has one in all.
_SIGNED_CHARS = 250
# Buttons and phrases of a consent banner. It has two at least and is no longer than this, where a
# policy that explains cookies goes on.
_BANNER = re.compile(
    r"\b(?:accept (?:all|cookies)|reject all|cookie (?:settings|preferences)|manage preferences"
    r"|uses? cookies|our use of cookies|by continuing to (?:use|browse)|alle akzeptieren"
    r"|tout accepter|aceptar todo)"
)
_BANNER_CHARS = 600


def boilerplate(text: str, vocabulary: frozenset[str]) -> bool:
    """Gives whether it is a licence, a banner, a table of contents, an index or navigation.

    Bibliographies and the confidentiality notices under e-mails count too: they state nothing that
    could be asked about. `vocabulary` are the different words of `text`, as spaces part them.
    """
    signed = 0
    if not vocabulary.isdisjoint(_SIGNATURE_WORDS):
        lower = text.lower()
        signed = sum(signature in lower for _, signature in _SIGNATURES)
    if not vocabulary.isdisjoint(_COPYRIGHT_WORDS) or "©" in text:
        signed += _COPYRIGHT.search(text) is not None
    if signed * _SIGNED_CHARS >= _MOST * len(text):
        return signed > 0
    if len(text) <= _BANNER_CHARS and "ookies" in text and len(_BANNER.findall(text.lower())) >= 2:
        return True
    lines = [line for line in text.split("\n") if line and not line.isspace()]
    return _lists_places(text, lines) or _navigates(text, lines)


# Dots or spaced dots that lead to a page number.
_LEADERS = ("....", ". . .", "……")
_LEADER = re.compile(
    r"(?:(?<!\.)\.{4,}+|(?<!\. )(?:\. ){3,}+\.?|(?<!…)…{2,}+)\s{0,4}(?:[0-9]{1,4}|[ivxlc]{1,6})\b"
)
# An entry with its leader takes less than this.
_ENTRY_CHARS = 150
_TITLE_AND_PAGE = re.compile(r"\s*(\S.{0,98}?)\s+([0-9]{1,4}|[ivxlc]{1,6})\s*\Z")
_TERM_AND_PAGES = re.compile(
    r"[^\d\n]{2,60},\s(?:see\s.{1,60}|[0-9]{1,4}(?:[–-][0-9]{1,4})?(?:,\s?[0-9]{1,4}(?:[–-][0-9]{1,4})?)*)\.?\Z"
)
_REFERENCE = (
    re.compile(r"\b(?:1[6-9]|20)[0-9]{2}[a-z]?\b"),
    re.compile(r"\b[A-Z]\."),
    re.compile(
        r"\bvol\b|\bpp?\.|\bProc|\bJ\.|Journal|doi|arXiv|Press|Verlag|[0-9] ?\(|[0-9][–-][0-9]"
    ),
)
# On the average a reference takes less than this.
_REFERENCE_CHARS = 400
# What most lines of a list have in common, and the fewest lines in which this is no accident.
_MOST_LINES = 0.7
_LEAST_LINES = 3


def _lists_places(text: str, lines: list[str]) -> bool:
    """Gives whether it is a table of contents, an index or a bibliography."""
    if sum(map(text.count, _LEADERS)) >= _LEAST_LINES:
        n_leaders = len(_LEADER.findall(text))
        if n_leaders >= _LEAST_LINES and len(text) <= n_leaders * _ENTRY_CHARS:
            return True
    if len(lines) < _LEAST_LINES or len(text) > len(lines) * _REFERENCE_CHARS:
        return False
    least = max(_LEAST_LINES, _MOST_LINES * len(lines))
    short = [line for line in lines if len(line) <= _ENTRY_CHARS]
    if len(short) > least:
        entries = [match for line in short if (match := _TITLE_AND_PAGE.match(line))]
        titled = [entry[2] for entry in entries if any(map(str.isalpha, entry[1]))]
        pages = [int(page) for page in titled if page.isdigit()]
        # Of four numbers in a table, one in 24 ascends.
        if len(titled) > least and pages == sorted(pages) and pages[:1] < pages[-1:]:
            return True
        if sum(_TERM_AND_PAGES.match(line) is not None for line in short) > least:
            return True
    return sum(all(sign.search(line) for sign in _REFERENCE) for line in lines) >= least


_LINK = re.compile(
    r"\s*(?:[-*+•]|[0-9]{1,3}\.)?\s*(?:\[[^\]\n]{0,200}\]\([^)\s]{0,500}\)|https?://\S{1,500}+)\s*\Z"
)
_CRUMBS = re.compile(r"\s[»›>→]\s")
_BARS = re.compile(r"\s[|·•/]\s|\n")
_MENU = frozenset(
    "home about contact login register search menu next previous prev up top help faq blog news "
    "sitemap products services careers shop cart account index contents policy service support "
    "in out us press jobs team docs startseite kontakt impressum datenschutz suche hilfe accueil "
    "recherche aide inicio contacto ayuda buscar главная контакты поиск 首页 登录 搜索".split()
)
# Entries of a menu have seldom more words, and together seldom more characters.
_MENU_WORDS = 4
_MENU_CHARS = 500


def _navigates(text: str, lines: list[str]) -> bool:
    """Gives whether it is a list of links, a menu, or the path to a page."""
    if len(lines) >= _LEAST_LINES and lines[-1].rstrip()[-1] not in ".!?":
        n_links = sum(_LINK.match(line) is not None for line in lines)
        if n_links >= _MOST_LINES * len(lines):
            return True
    if len(text) > _MENU_CHARS:
        return False
    for separator, least_known in ((_CRUMBS, 0), (_BARS, 2)):
        entries = [entry.split() for entry in separator.split(text.strip()) if entry.strip()]
        if len(entries) < _LEAST_LINES or max(map(len, entries)) > _MENU_WORDS:
            continue
        known = sum(entry[-1].lower() in _MENU for entry in entries)
        worded = all(entry[-1][-1].isalpha() and entry[0][0].isalpha() for entry in entries)
        if worded and known >= max(least_known, least_known * len(entries) / 6):
            return True
    return False


# Classes of bytes in UTF-8: letter, digit, space, sign of prose, other sign, control character,
# and the first and the later bytes of what is not ASCII, nearly all of it letters.
_SHAPES = bytes(
    ord(
        "a" if chr(byte).isalpha() and byte < 128
        else "0" if chr(byte).isdigit() and byte < 128
        else " " if byte in b" \t\n\r\f\v"
        else "." if byte in b".,;:'\"()?!-"
        else "c" if byte < 32 or byte == 127
        else "#" if byte < 128
        else "y" if byte < 192
        else "x"
    )
    for byte in range(256)
)  # fmt: skip
# The most frequent words of some twenty languages. One that is missing here is judged as well, only
# more slowly.
_COMMON = frozenset(
    "the of and to in a is that for it as was with be by on not he his but at are this have from "
    "or had an they which you were her all she there would their we him been has when who will no "
    "if The In It He This A She I You We They "
    "de la que el en y los se del las un por con una su para es al lo como más no "
    "le et les des est une dans qui sur pas au pour ce il ne sont par plus avec "
    "der die und den von zu das mit sich auf für ist im dem nicht ein eine als auch "
    "di che è non per sono della il da del si con dei o os um uma não com mais do dos na no "
    "het een van dat niet zijn och att det som på med av til er og jeg ikke "
    "i w na z się nie do że jest to ja on ve bir bu için ile da yang dan dengan untuk "
    "в на не что с по как и из это для من في على إلى أن التي الذي هذا ما عن "
    "के का में की है और से को".split()
)
# Of the first 200 words of prose 86 and more are different, of the first 30 words 14 and more; of
# what repeats itself it is a few. Short refrains are left alone.
_REPEATED_WORDS = 200
_REPEATED_SHARE = 0.15
_FEWEST_REPEATED = 30
# A text of 200 characters in any script has twenty different ones and more.
_FEWEST_CHARS = 12
# The targets of links in Markdown, beside their text or in a list of their own: nobody reads them.
_LINK_TARGET = re.compile(r"(?<=\])(?:\([^)\s]{0,500}+\)|:[ \t]\S{1,500}+$)", re.MULTILINE)
# A first glance: within these shares are 97% of 4,821 passages of English prose, and hardly any
# code, table or damaged text.
_GLANCE_SIGNS = 0.03
_GLANCE_DIGITS = 0.15
_GLANCE_COMMON = 0.15
_GLANCE_WORD_CHARS = 12


def not_natural_language(text: str, words: list[str], vocabulary: frozenset[str]) -> bool:
    """Gives whether it is code, numbers, a table of values, identifiers or garbled text.

    Text in any script is language; what is looked at is of which signs and words it is made.
    `words` are what spaces part in `text`, and `vocabulary` the different ones among them.
    """
    shape = text.encode("utf-8", "surrogatepass").translate(_SHAPES)
    visible = len(shape) - shape.count(b" ") - shape.count(b"y")
    # The same few words again and again.
    least = _REPEATED_SHARE * min(len(words), _REPEATED_WORDS)
    if len(words) >= _FEWEST_REPEATED and len(vocabulary) <= least:
        return True
    damaged = shape.count(b"c")
    if not text.isascii() and any(map(text.__contains__, _DAMAGE_STARTS)):
        damaged += len(_DAMAGE.findall(text))
    if (
        shape.count(b"#") <= _GLANCE_SIGNS * visible
        and shape.count(b"0") <= _GLANCE_DIGITS * visible
        and sum(map(_COMMON.__contains__, words)) >= _GLANCE_COMMON * len(words)
        and len(text) <= _GLANCE_WORD_CHARS * len(words)
        and not damaged
    ):
        return False
    text = _LINK_TARGET.sub("", text)
    return (
        damaged >= max(_LEAST_DAMAGED, _DAMAGED_SHARE * len(text))
        or (len(text) >= _REPEATED_WORDS and len(set(text)) < _FEWEST_CHARS)
        or _unbroken(text)
        or _plain_share(text) < _LEAST_PLAIN
        or _code_share(text) >= _MOST
        or _unpronounceable(text)
    )


# What stands for bytes that were no text, and how UTF-8 looks when it is read as Windows-1252.
_DAMAGE = re.compile("[ÃÐÑ][\u0080-\u00bf\u0152-\u0192\u2013-\u2122 ]|â€|\ufffd")
_DAMAGE_STARTS = ("Ã", "Ð", "Ñ", "â€", "\ufffd")
# One damaged character in so many makes a passage unreadable; a few in all do not.
_DAMAGED_SHARE = 0.02
_LEAST_DAMAGED = 3


# Compounds and the names of chemicals keep below; one passage in a thousand has a longer word, most
# of them an address, and none consists of such.
_LONGEST_WORD = 60
_FIRST_UNSPACED = "\u0e00"


def _unbroken(text: str) -> bool:
    """Gives whether most of it stands in words too long for any language that sets spaces."""
    long = [word for word in text.split() if len(word) > _LONGEST_WORD]
    spaced = [
        word
        for word in long
        if sum(char < _FIRST_UNSPACED for char in word[:_LONGEST_WORD]) > _LONGEST_WORD / 2
    ]
    return sum(map(len, spaced)) >= _MOST * len(text)


# A word of letters, in one of the three ways of capitals, with the signs that prose sets around it.
_PLAIN = re.compile(
    r"(?<!\S)[(\"'\[*_]{0,4}+(?:[A-Z]?[a-z\x80-\U0010ffff]++|[A-Z]++)"
    r"(?:['-][A-Za-z\x80-\U0010ffff]++)*+[)\"'\].,;:!?*_]{0,4}+(?!\S)"
)
_NUMBER = re.compile(r"(?<!\S)[($€£]{0,2}+[0-9][0-9.,:/–-]*+(?:st|nd|rd|th|%)?[).,;:]{0,2}+(?!\S)")
_BLANKS = re.compile(r"_{3,}+|\.{4,}+|-{4,}+|…{2,}+")
_WITHOUT_SPACES = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\U0010ffff]+")
# Plain words make 0.6 and more of 99.9% of the passages of prose, policies full of tables of links
# aside; two thirds of what is no prose is below this, and most of the rest is code.
_LEAST_PLAIN = 0.5


def _plain_share(text: str) -> float:
    """Gives the share of the visible characters that stand in plain words.

    The blanks of a form, to be filled in by hand, do not count, nor do numbers as long as there are
    no more of them than words: prose may be full of them, and tables have more.
    """
    read = _BLANKS.sub("", text)
    if not read.isascii():
        read = _WITHOUT_SPACES.sub(r" \g<0> ", read)
    visible = sum(map(len, read.split()))
    plain = [word for word in _PLAIN.findall(read) if len(word) > 1 and any(map(str.isalpha, word))]
    numbers = _NUMBER.findall(read)
    if len(numbers) <= len(plain):
        visible -= sum(map(len, numbers))
    return sum(map(len, plain)) / max(1, visible)


# Five words in a row are a comment, a message or a sentence, on whatever line they stand.
_PHRASE = re.compile(r"(?:\b[^\W\d_]{2,},? ){5}")
_LOGGED = re.compile(
    r"\W?(?:[0-9]{4}[-/][0-9]{2}[-/][0-9]{2}|[0-9]{1,2}:[0-9]{2}:[0-9]{2}"
    r"|[A-Z][a-z]{2} [0-9 ][0-9] )"
    r".{0,60}?(?:\w\[[0-9]+\]:|\b(?:TRACE|DEBUG|INFO|NOTICE|WARN|WARNING|ERROR|FATAL)\b"
    r"|\[(?:trace|debug|info|notice|warn|error|crit)\])"
)
_QUERY = re.compile(
    r"(?:CREATE|ALTER|DROP) TABLE\b|SELECT\b.{0,500}?\bFROM\b|INSERT INTO\b|UPDATE \S+ SET\b"
)
_CODE_SIGNS = "(){}[]<>=;"
# Of lines of prose one in a thousand has 0.093 and more.
_SIGNS_SHARE = 0.1
_CODE_END = re.compile(r"\w\(|[={}\[\]<>]")
_CODE_START = re.compile(
    # Directives, prompts, decorators, markup, brackets alone, stack traces.
    r"#include\b|#!|@\w+(?:\(|\Z)|(?:\$|>>>|\.\.\.|%) \S|</?[A-Za-z!?]|[\]})][\]}),;]*\Z"
    r"|File \"|Traceback \(|diff --|@@ "
    # Keywords before a bracket or an operator.
    r"|(?:async|case|catch|class|const|def|elif|else|enum|except|final|fn|for|func|function|if|impl|let"
    r"|private|protected|pub|public|return|static|struct|switch|try|type|var|void|while|with|CREATE"
    r"|DELETE|FROM|INSERT|JOIN|SELECT|UPDATE|WHERE)\b[^(){}\[\]=:;<>*]*[(){}\[\]=:;<>*]"
    r"|(?:from [\w.]+ )?import [\w.*]+(?: as \w+)?;?\Z|(?:package|use|using) [\w.:]+;\Z"
    # Assignments, calls, keys of configuration files, properties.
    r"|[\w.\[\]\"'$-]+ ?(?::=|[+*/|-]?=|<-|=>) ?\S|[\w.]+\(.*\)[;:]?\Z"
    r"|(?:- )?[a-z][\w.-]*:(?: \S+)?\Z|\[[\w.-]+\]\Z|[.#]?[\w-]+ ?\{"
)


def _code_share(text: str) -> float:
    """Gives the share of the characters that stand on lines of code or of a log."""
    lines = [line.strip() for line in text.split("\n")]
    return sum(len(line) for line in lines if line and _is_code(line)) / sum(map(len, lines))


def _is_code(line: str) -> bool:
    if _LOGGED.match(line) or _QUERY.match(line):
        return True
    if _PHRASE.search(line):
        return False
    ended = line[-1] in ";{}" and _CODE_END.search(line) is not None
    dense = sum(map(line.count, _CODE_SIGNS)) >= _SIGNS_SHARE * len(line)
    return ended or dense or _CODE_START.match(line) is not None


# Pairs of letters that make less than one in 20,000 of English, Spanish, French, German and Turkish
# text: after each first letter the second ones. A third of the pairs of letters typed at random are
# among them; of other languages in Latin letters it is 19% of a Polish tongue-twister at most, and
# of passages of prose 7%.
_RARE_PAIRS = frozenset(
    group[0] + second
    for group in (
        "aa bfgknqvwxz cdfjvwxz dbfkqtxz fbdghjkmnpqvwxz gcfjkpqvwxz hbcdfghjkqvwxz iw "
        "jbcdfghjklmnpqrstvwxyz kbcfgjpqrvwxy ljkwxz mfhjkqvwxz nx pbfgjknqwxz "
        "qabcdefghijklmnopqrstvwxyz rx sjvx tdgjqvx uhuw vbcdfghjklmnpqtvwxyz wbcdfgjkmpqtvxyz "
        "xbdfghjklmnoqrsuwz ybcfhjkqvwxy zbcdfhjknpqrvxyz"
    ).split()
    for second in group[1:]
)
_RARE_SHARE = 0.25
# Fewer pairs say nothing; more of them than this say nothing new.
_LEAST_PAIRS = 15
_MOST_PAIRS = 2000
_LATIN_WORD = re.compile(r"[a-z]{2,}")


def _unpronounceable(text: str) -> bool:
    """Gives whether its letters stand together as they do in no language."""
    words = _LATIN_WORD.findall(text[:_MOST_PAIRS].lower())
    pairs = [word[i : i + 2] for word in words for i in range(len(word) - 1)]
    rare = sum(map(_RARE_PAIRS.__contains__, pairs))
    return len(pairs) >= _LEAST_PAIRS and rare >= _RARE_SHARE * len(pairs)
