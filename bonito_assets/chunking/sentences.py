"""Finds single sentences, in any script that marks their ends.

Six of Bonito's task types were trained on single sentences. A full stop is only sometimes the end
of one, so each is looked at with the word before it and the word after it: titles, initials,
numbers, abbreviations and what goes on in lower case are no ends. Where both readings are possible
("the U.S. ..."), the next word decides: one that often opens a sentence speaks for an end.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Collection, Iterator, Sequence

Span = tuple[int, int]
Heading = tuple[int, int]

# In French a space stands before the closing mark.
_CLOSERS = "(?:[\"'”’»›)\\]」』）》】〉]|[ \u00a0\u202f]»(?=\\s)){0,6}"
# Full stops of scripts that set no space after them, or that have one of their own: CJK full and
# half width, Devanagari, Urdu, Arabic, Armenian, Ethiopic, Burmese, Khmer.
_OWN_STOPS = "。！？｡।॥۔؟։።။។"
_CJK = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
# One class in front lets the matcher skip from mark to mark; `_is_end` sorts out the rest. Bounds
# keep a row of a million full stops from being gone through a million times.
_MARKS = re.compile(
    rf"[.!?…;{_OWN_STOPS}]{{1,8}}{_CLOSERS}(?:(?=[\s{_CJK}])|(?<![.!?…;])|(?<=[{_OWN_STOPS}]))"
)
_SPACE = re.compile(r"\s*")
_AFTER = re.compile(r"\s*[\"'“„‘«‹(\[¿¡]*(\w*)")
_BEFORE = re.compile(r"[^\s\"'“„‘«(\[/-]*\Z")
# A sentence does not begin with one of these.
_NOT_OPENING = frozenset(".,;:!?…%")
_ABBREVIATED = re.compile(r"[^\W\d](?:[^\W\d]?(?:\.[^\W\d]{1,2})+)?")  # "j", "u.s", "ph.d"
# A number alone at the head of its line counts an item; so many characters hold it and its indent.
_ITEM_NUMBER = re.compile(r"(?:\A|\n)\s*\(?\d{1,3}\Z")
_GERMAN_ORDINAL = re.compile(
    r"\b(?:am|der|die|das|dem|den|des|vom|zum|im|ins|bis|und|ab|beim|seit|jeder) \d{1,2}\Z", re.I
)
# A quotation that its sentence goes on from: "...。」と言った", "...。”他说".
_SAID = re.compile(r"(?:と|っ|な|の|[^，。！？]{0,3}[说道问答喊])")
# What a sentence ends with; in Thai and Lao, which only leave a space, any letter will do.
_COMPLETE = re.compile(rf"[.!?…{_OWN_STOPS}]{_CLOSERS}\Z|(?<=[α-ώ]);\Z|[\u0e00-\u0eff]\Z")
_LETTERS = re.compile(r"[^\W\d_]")
_WORD = re.compile(r"\S*")
# A heading of Markdown, a row of a table, a rule, a fence.
_NO_PROSE = re.compile(r"#{1,6}\s|\||[^\n|]+\|[^\n|]+\||[^\t\n]+\t|[-=*_~`+]{3,}")
_ITEM_MARK = re.compile(r"(?:[-*+•‣◦–—·]\s+|\(?(?:\d{1,3}|[a-z])[.)]\s+|\(?[A-Z]\)\s+|>\s*)?")
# Text is broken at 72 to 100 columns by hand or by an editor; a longer line is a whole paragraph.
_WIDEST = 120
_LOOK = 32  # the longest abbreviation or opening word is far shorter

# No sentence ends with one of these. English, German, French, Spanish, Italian, Russian, Hindi.
_NEVER_LAST = frozenset(
    "mr mrs ms dr drs prof gen col maj lt capt cpt sgt rev hon pres gov sen rep messrs mt st "
    "vs cf viz e.g i.e eg ie approx al z.b d.h u.a v.a i.d.r o.ä bzw vgl ggf evtl sog inkl "
    "zzgl hr fr dipl ing mme mlle mm sra srta dra sr ud uds ee dña sig dott avv p.ej p.ex т.е "
    "т.к ул им проф акад тов гр डॉ श्री".split()
)
# Nor with one of these before a number.
_BEFORE_NUMBER = frozenset(
    "no nos nr nro pág págs núm num nº p pp pg vol vols ch chap cap fig figs figure sec secs "
    "art arts eq eqs abs kap bd bl para par ver v ca c circa abb tab ziff jan feb mar apr jun "
    "jul aug sept sep oct nov dec стр рис гл №".split()
)
# These may or may not be last: before a word that often opens a sentence they are.
_SOMETIMES_LAST = frozenset("inc ltd co corp bros jr plc llc dept univ est".split())
_OPENING_WORDS = frozenset(
    "the this that these those it he she they we you an in on at but and however there if "
    "when while as after before since for with by from to not no what why how who where his "
    "her their our its my your some many most all both each one also then so yet such "
    "although because during under according der die das ein eine er sie es wir ich im am auf "
    "aber und wenn nach mit für le la les un une il elle ils elles nous vous je ce cette ces "
    "dans en mais et pour el los las una él ella pero se por con он она они это мы в и но на "
    "по как".split()
)


def sentences(text: str, headings: Sequence[Heading] = ()) -> list[Span]:
    """Gives the ``(start, end)`` offsets of the sentences of `text`, in order, white space outside.

    `headings` are the ``(start, level)`` of headings. Only what ends as a sentence does is one:
    headings, table rows and list items without a full stop are left out, and so is what stands
    between them. Lines of a script without sentence marks (Thai, Lao) count as sentences.
    Offsets count Unicode code points.
    """
    found: list[Span] = []
    for start, end in _stretches(text, {start for start, _ in headings}):
        cuts = [start, *sentence_ends(text, start, end), end]
        for first, last in itertools.pairwise(cuts):
            while last > first and text[last - 1].isspace():
                last -= 1
            if _COMPLETE.search(text, max(first, last - _LOOK), last) and _LETTERS.search(
                text, first, last
            ):
                found.append((first, last))
    return found


def _stretches(text: str, headings: Collection[int]) -> Iterator[Span]:
    """Gives the stretches of running text: list items singly, no headings, no table rows."""
    for lines in _paragraphs(text):
        width = max(end - start for start, end in lines)
        begun: int | None = None
        for line, following in zip(lines, [*lines[1:], None], strict=True):
            if _stands_alone(text, line, headings):
                begun = None
                continue
            if begun is None:
                begun = _ITEM_MARK.match(text, *line).end()
            if following is None or not _goes_on(text, line, following, width, headings):
                yield begun, line[1]
                begun = None


def _paragraphs(text: str) -> Iterator[list[Span]]:
    """Gives the lines of each paragraph without their outer white space."""
    lines: list[Span] = []
    start = 0
    for line in text.split("\n"):
        inner = line.lstrip()
        if inner:
            first = start + len(line) - len(inner)
            lines.append((first, first + len(inner.rstrip())))
        elif lines:
            yield lines
            lines = []
        start += len(line) + 1
    if lines:
        yield lines


def _stands_alone(text: str, line: Span, headings: Collection[int]) -> bool:
    return line[0] in headings or _NO_PROSE.match(text, *line) is not None


def _goes_on(text: str, line: Span, following: Span, width: int, headings: Collection[int]) -> bool:
    """Tells whether the text of `line` goes on in the line after it.

    It does where a lower-case letter follows, or where the lines are broken at a width and the
    next word would have gone beyond it: a line that had room for it was ended on purpose.
    """
    start, end = following
    if _stands_alone(text, following, headings) or _ITEM_MARK.match(text, start, end).end() > start:
        return False
    if text[start].islower():
        return True
    word = _WORD.match(text, start, end).end() - start
    return width <= _WIDEST and line[1] - line[0] + 1 + word > width


def sentence_ends(text: str, start: int, end: int) -> Iterator[int]:
    """Gives the offsets between `start` and `end` at which a sentence follows another one.

    White space between the two belongs to the one before.
    """
    for mark in _MARKS.finditer(text, start, end):
        if _is_end(text, mark):
            cut = _SPACE.match(text, mark.end(), end).end()
            if cut < end:
                yield cut


def _is_end(text: str, mark: re.Match[str]) -> bool:
    marks, place = mark[0], mark.end()
    if marks[0] in _OWN_STOPS:
        quoted = marks[-1] not in _OWN_STOPS
        return not (quoted and _SAID.match(text, place))
    spaced = text[place : place + 1].isspace()
    if not spaced and (marks[0] not in "!?" or text[mark.start() - 1 : mark.start()].isascii()):
        return False
    after = _AFTER.match(text[place : place + _LOOK])
    following = after[1]
    opening = place + after.start(1)
    if following[:1].islower() or text[opening : opening + 1] in _NOT_OPENING:
        return False
    before = text[max(0, mark.start() - _LOOK) : mark.start()]
    if marks[0] == ";":  # the question mark of Greek
        return "α" <= before[-1:] <= "ώ"
    if marks != ".":
        return True
    word = _BEFORE.search(before)[0].lower()
    if word in _NEVER_LAST:
        return False
    if following[:1].isdigit() and word in _BEFORE_NUMBER:
        return False
    if word.isdigit():
        return not (_ITEM_NUMBER.search(before) or _GERMAN_ORDINAL.search(before))
    if word in _SOMETIMES_LAST or _ABBREVIATED.fullmatch(word):
        return following.lower() in _OPENING_WORDS
    return True
