"""Reads Word files (Office Open XML, ECMA-376, transitional and strict).

The XML is read directly: what a reader of the page sees is decided by numbering, style
inheritance, revisions and notes, of which libraries for writing such files show little. Elements
are known by their local names, which are the same in the strict variant.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from bonito_assets.ingestion.formats.extracted import Extracted, Refused
from bonito_assets.ingestion.formats.package import (
    Archive,
    attribute,
    child,
    local,
    open_office,
    properties,
)
from bonito_assets.ingestion.formats.writer import Writer, numeral

# Styles


@dataclass
class _Style:
    name: str
    based_on: str | None
    level: int | None
    list_id: str | None
    list_level: int | None
    hidden: bool | None


# Styles inherit from each other a few times; more is a circle.
_MOST_INHERITED = 20
# An outline level of 9 says that a paragraph is no heading (ECMA-376 part 1, 17.3.1.20).
_BODY = 9


class _Styles:
    """The paragraph styles of a document, with what they inherit."""

    def __init__(self, root: Any) -> None:
        self._styles: dict[str, _Style] = {}
        self._default: str | None = None
        for element in root if root is not None else ():
            if local(element) != "style":
                continue
            name = attribute(element, "styleId") or ""
            style_of = attribute(element, "type")
            if style_of == "paragraph" and attribute(element, "default") in ("1", "true", "on"):
                self._default = name
            outline, list_id, list_level = _paragraph_says(child(element, "pPr"))
            self._styles[name] = _Style(
                (attribute(child(element, "name"), "val") or "").lower(),
                attribute(child(element, "basedOn"), "val"),
                outline,
                list_id,
                list_level,
                _on(child(element, "rPr", "vanish")),
            )

    def chain(self, name: str | None) -> Iterator[_Style]:
        """Yields the style of that id and those that it inherits from, nearest first."""
        name = name or self._default
        for _ in range(_MOST_INHERITED):
            style = self._styles.get(name or "")
            if style is None:
                return
            yield style
            name = style.based_on


def _paragraph_says(said: Any) -> tuple[int | None, str | None, int | None]:
    """Gives the outline level, the list and the level in it that a ``pPr`` states."""
    numbering = child(said, "numPr")
    return (
        _number(attribute(child(said, "outlineLvl"), "val")),
        attribute(child(numbering, "numId"), "val"),
        _number(attribute(child(numbering, "ilvl"), "val")),
    )


def _number(written: str | None, otherwise: int | None = None) -> int | None:
    return int(written) if written and re.fullmatch(r"-?\d{1,9}", written) else otherwise


def _on(element: Any) -> bool | None:
    if element is None:
        return None
    return attribute(element, "val") not in ("0", "false", "off")


# Lists

_LEVELS = 9
_KINDS = {
    "lowerLetter": ("letter", False),
    "upperLetter": ("letter", True),
    "lowerRoman": ("roman", False),
    "upperRoman": ("roman", True),
}


@dataclass
class _Level:
    kind: str = "decimal"
    pattern: str = ""
    start: int = 1
    restarts_after: int | None = None
    legal: bool = False


@dataclass
class _Counting:
    """Where a list stands. Lists that share a definition count on together, as in Word."""

    numbers: dict[int, int] = field(default_factory=dict)
    begun: set[str] = field(default_factory=set)


class _Lists:
    """The numbering of a document: gives each item the marker that is shown for it."""

    def __init__(self, root: Any) -> None:
        self._levels: dict[str, dict[int, _Level]] = {}
        self._definition: dict[str, str] = {}
        self._overrides: dict[str, dict[int, int]] = {}
        self._counting: dict[str, _Counting] = {}
        by_style: dict[str, str] = {}
        borrowed: dict[str, str] = {}
        for element in root if root is not None else ():
            if local(element) == "abstractNum":
                name = attribute(element, "abstractNumId") or ""
                self._levels[name] = dict(_level(part) for part in element if local(part) == "lvl")
                if style := attribute(child(element, "styleLink"), "val"):
                    by_style[style] = name
                if style := attribute(child(element, "numStyleLink"), "val"):
                    borrowed[name] = style
            elif local(element) == "num":
                self._add_list(element)
        for name, style in borrowed.items():
            if not self._levels[name]:
                self._levels[name] = self._levels.get(by_style.get(style, ""), {})

    def _add_list(self, element: Any) -> None:
        name = attribute(element, "numId") or ""
        self._definition[name] = attribute(child(element, "abstractNumId"), "val") or ""
        starts = {}
        for part in element:
            if local(part) != "lvlOverride":
                continue
            level = _number(attribute(part, "ilvl"), 0) or 0
            start = _number(attribute(child(part, "startOverride"), "val"))
            if start is None and child(part, "lvl") is not None:
                start = _level(child(part, "lvl"))[1].start
            if start is not None:
                starts[level] = start
        self._overrides[name] = starts

    def marker(self, list_id: str, at: int) -> str | None:
        """Gives the marker of the next item of a list at a level; None when it is in no list."""
        definition = self._definition.get(list_id)
        levels = self._levels.get(definition or "")
        if definition is None or not levels or not 0 <= at < _LEVELS:
            return None
        level = levels.get(at, _Level())
        if level.kind == "bullet":
            return "- "
        counting = self._counting.setdefault(definition, _Counting())
        overrides = self._overrides.get(list_id, {})
        if list_id not in counting.begun:
            counting.begun.add(list_id)
            for place, start in overrides.items():
                counting.numbers[place] = start - 1
        start = levels.get(at, _Level()).start
        counting.numbers[at] = counting.numbers.get(at, start - 1) + 1
        for deeper in range(at + 1, _LEVELS):
            after = levels.get(deeper, _Level()).restarts_after
            if after is None or at < after:
                counting.numbers.pop(deeper, None)
        return self._written(levels, at, counting.numbers)

    def _written(self, levels: dict[int, _Level], at: int, numbers: dict[int, int]) -> str:
        shown = levels.get(at, _Level())
        if shown.kind == "none":
            return ""

        def one(match: re.Match[str]) -> str:
            place = int(match.group(1)) - 1
            level = levels.get(place, _Level())
            number = numbers.get(place, level.start)
            kind, capital = _KINDS.get(level.kind, ("decimal", False))
            if shown.legal:
                kind = "decimal"
            if level.kind == "decimalZero":
                return f"{number:02d}"
            written = numeral(number, kind)
            return written.upper() if capital else written

        text = re.sub(r"%([1-9])", one, shown.pattern).strip()
        return f"{text} " if text else ""


def _level(element: Any) -> tuple[int, _Level]:
    return _number(attribute(element, "ilvl"), 0) or 0, _Level(
        attribute(child(element, "numFmt"), "val") or "decimal",
        attribute(child(element, "lvlText"), "val") or "",
        _number(attribute(child(element, "start"), "val"), 1) or 0,
        _number(attribute(child(element, "lvlRestart"), "val")),
        bool(_on(child(element, "isLgl"))),
    )


# Text

# Revisions that are no longer in the text, the pronunciation beside a character, the copy of a
# drawing for old versions, what a formula was before it was changed.
_LEFT_OUT = frozenset(
    "del moveFrom rt Fallback instrText delText delInstrText fldData rPr sectPr "
    "annotationRef commentReference".split()
)
_BREAKS = frozenset("br cr".split())
_WORDS = {"noBreakHyphen": "-", "tab": "\t", "ptab": "\t"}
# Galleries of building blocks that are made from the document: what a menu is on a web page.
_GENERATED = frozenset(("Table of Contents", "Bibliographies of Tables"))
_TOC_STYLE = re.compile(r"toc (?:\d|heading)|table of figures")
_HEADING_STYLE = re.compile(r"heading ([1-9])")


def read(content: bytes) -> Extracted:
    """Gives the text of a Word file as it reads with all revisions accepted.

    Notes stand at the end as "[1] ...", where "[1]" in the text refers to: a contract's or a
    court's footnotes are part of what it says. Headers, footers, comments and the table of
    contents are left out. Raises ``Refused`` for a file that cannot be read or has no text.
    """
    archive = open_office(content, ("Word", "docx"))
    path = archive.linked("", "officeDocument")
    root = archive.tree(path) if path else None
    body = child(root, "body")
    if path is None or body is None:
        raise Refused("unreadable", "is no Word file inside, whatever its name says")
    try:
        return _Document(archive, path).extracted(body)
    except RecursionError as error:
        raise Refused("unreadable", "is nested too deeply") from error


@dataclass
class _Paragraph:
    """A paragraph as it is shown, the text boxes anchored in it apart."""

    words: str = ""
    level: int | None = None
    marker: str = ""
    list_id: str | None = None
    style: str = ""
    boxes: list[Any] = field(default_factory=list)


class _Document:
    def __init__(self, archive: Archive, path: str) -> None:
        parts = {link.kind: link.path for link in archive.links(path).values()}
        self._archive = archive
        self._styles = _Styles(self._tree(parts.get("styles")))
        self._lists = _Lists(self._tree(parts.get("numbering")))
        self._notes = {
            kind: {
                attribute(note, "id"): note
                for note in self._tree(parts.get(f"{kind}s"), ())
                # Separators are notes too, of another type.
                if attribute(note, "type") in (None, "normal")
            }
            for kind in ("footnote", "endnote")
        }
        self._noted: list[Any] = []
        self._writer = Writer()
        self._title: str | None = None
        self._in_list: str | None = None
        self._lost = 0

    def _tree(self, path: str | None, otherwise: Any = None) -> Any:
        tree = self._archive.tree(path) if path else None
        return otherwise if tree is None else tree

    def extracted(self, body: Any) -> Extracted:
        self._blocks(body)
        # A note may have notes of its own, so the list can grow.
        for number, note in enumerate(self._noted, start=1):
            words = " ".join(" ".join(self._cell(note)).split())
            if words:
                self._writer.add(f"[{number}] {words}")
        said = properties(self._archive)
        return self._writer.extracted(
            said.get("title") or self._title,
            said.get("rights"),
            f"holds {self._lost} embedded documents that were not read" if self._lost else None,
        )

    def _blocks(self, container: Any) -> None:
        for element in container:
            name = local(element)
            if name == "p":
                self._paragraph(element)
            elif name == "tbl":
                self._table(element)
            elif name == "altChunk":
                self._lost += 1
            elif name == "sdt":
                gallery = child(element, "sdtPr", "docPartObj", "docPartGallery")
                if attribute(gallery, "val") not in _GENERATED:
                    self._blocks(child(element, "sdtContent") or ())
            elif name == "AlternateContent":
                self._blocks(_choice(element))
            elif name not in _LEFT_OUT:
                self._blocks(element)

    def _paragraph(self, element: Any) -> None:
        paragraph = self._parsed(element)
        if paragraph.words:
            if paragraph.style == "title":
                self._title = self._title or paragraph.words
            in_list = paragraph.list_id if paragraph.level is None else None
            self._writer.add(
                paragraph.marker + paragraph.words,
                paragraph.level,
                joined=in_list is not None and in_list == self._in_list,
            )
            self._in_list = in_list
        for box in paragraph.boxes:
            self._in_list = None
            self._blocks(box)

    def _parsed(self, element: Any) -> _Paragraph:
        said = child(element, "pPr")
        styles = list(self._styles.chain(attribute(child(said, "pStyle"), "val")))
        if any(_TOC_STYLE.fullmatch(style.name) for style in styles):
            return _Paragraph()
        hidden = next((style.hidden for style in styles if style.hidden is not None), False)
        boxes: list[Any] = []
        words = _tidy("".join(self._words(element, boxes, hidden)))
        outline, list_id, at = _paragraph_says(said)
        for style in styles:
            list_id = style.list_id if list_id is None else list_id
            at = style.list_level if at is None else at
        # The list 0 takes a paragraph out of the list of its style.
        marker = self._lists.marker(list_id, at or 0) if list_id not in (None, "0") else None
        return _Paragraph(
            words,
            _heading_level(outline, styles),
            marker or "",
            list_id if marker else None,
            styles[0].name if styles else "",
            boxes,
        )

    def _words(self, element: Any, boxes: list[Any], hidden: bool = False) -> Iterator[str]:
        """Yields the text of a paragraph in pieces; text boxes anchored in it go to `boxes`."""
        for part in element:
            name = local(part)
            if name == "t":
                if not hidden:
                    yield part.text or ""
            elif name in _LEFT_OUT or name == "pPr":
                continue
            elif name == "txbxContent":
                boxes.append(part)
            elif name == "AlternateContent":
                yield from self._words(_choice(part), boxes, hidden)
            elif name == "r":
                vanish = _on(child(part, "rPr", "vanish"))
                yield from self._words(part, boxes, hidden if vanish is None else vanish)
            elif name in _BREAKS:
                yield "\n"
            elif name in _WORDS:
                yield _WORDS[name]
            elif name in ("footnoteReference", "endnoteReference"):
                yield self._reference(name.removesuffix("Reference"), attribute(part, "id"))
            elif name == "sym":
                yield _symbol(attribute(part, "char"))
            else:
                yield from self._words(part, boxes, hidden)

    def _reference(self, kind: str, name: str | None) -> str:
        note = self._notes[kind].get(name)
        if note is None:
            return ""
        if note not in self._noted:
            self._noted.append(note)
        return f"[{self._noted.index(note) + 1}]"

    def _table(self, element: Any) -> None:
        rows = [row for row in _within(element, "tr") if child(row, "trPr", "del") is None]
        cells = [list(_within(row, "tc")) for row in rows]
        self._in_list = None
        if max(map(len, cells), default=0) <= 1:
            # A frame around paragraphs, which stay what they are.
            for row in cells:
                for cell in row:
                    self._blocks(cell)
            self._in_list = None
            return
        joined = False
        for row in cells:
            joined |= self._writer.add_row((" ".join(self._cell(cell)) for cell in row), joined)

    def _cell(self, element: Any) -> Iterator[str]:
        """Yields the text of a cell or note; one that continues the cell above it has none."""
        merge = child(element, "tcPr", "vMerge")
        if merge is not None and attribute(merge, "val") != "restart":
            return
        for part in _within(element, "p"):
            paragraph = self._parsed(part)
            if paragraph.words:
                yield paragraph.marker + paragraph.words
            for box in paragraph.boxes:
                yield from self._cell(box)


def _choice(alternatives: Any) -> Any:
    """Gives the first of the alternatives, which is the one for current versions."""
    return next((part for part in alternatives if local(part) in ("Choice", "Fallback")), ())


def _within(element: Any, name: str) -> Iterator[Any]:
    """Yields the descendants of that name which no other one of that name contains."""
    for part in element:
        if local(part) == name:
            yield part
        elif local(part) == "AlternateContent":
            yield from _within(_choice(part), name)
        elif local(part) not in _LEFT_OUT:
            yield from _within(part, name)


def _heading_level(outline: int | None, styles: list[_Style]) -> int | None:
    """Gives the depth of a heading from 1, or None for another paragraph.

    Word keeps the English names of its own styles in every language, so that they can be trusted;
    styles of the author inherit from them or state an outline level.
    """
    if outline is not None:
        return outline + 1 if outline < _BODY else None
    for style in styles:
        if style.level is not None:
            return style.level + 1 if style.level < _BODY else None
        if match := _HEADING_STYLE.fullmatch(style.name):
            return int(match.group(1))
        if style.name == "title":
            return 1
    return None


def _symbol(char: str | None) -> str:
    """Gives the character of a ``sym``; those of picture fonts are private and mute."""
    code = int(char, 16) if char and re.fullmatch(r"[0-9A-Fa-f]{1,6}", char) else 0
    if not 32 <= code <= 0x10FFFF or 0xD800 <= code <= 0xF8FF:
        return ""
    return chr(code)


_SPACES = re.compile("[ \u00a0]+")
_UNSEEN = re.compile("[\u00ad\u2060\ufeff]")


def _tidy(text: str) -> str:
    lines = (_SPACES.sub(" ", line).strip() for line in _UNSEEN.sub("", text).split("\n"))
    return "\n".join(line for line in lines if line)
