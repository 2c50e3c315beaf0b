"""Reads PowerPoint files (Office Open XML, PresentationML): what is on the slides, and their notes.

A slide is a heading, its title, and below it the shapes in the order in which one reads them. The
notes of the speaker follow after a line "Notes:". They are kept since the slide has the keywords
and they have the sentences; the line keeps both apart.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
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

_TITLES = ("title", "ctrTitle")
# Placeholders that repeat on every slide.
_AROUND = ("dt", "ftr", "sldNum", "hdr")
# Placeholders of which the master says how their text looks as "body" (ECMA-376 part 1, 19.7.10).
_BODIES = ("body", "obj", "subTitle", "")
# What a numbered paragraph shows, by the name of its scheme without the punctuation at its end.
_KINDS = {"alphaLc": "letter", "alphaUc": "letter", "romanLc": "roman", "romanUc": "roman"}
_PUNCTUATION = {"ParenBoth": "({}) ", "ParenR": "{}) ", "Period": "{}. ", "Plain": "{} "}


def read(content: bytes) -> Extracted:
    """Gives the text of the slides that are shown, in their order, with titles as headings.

    Raises ``Refused`` for a file that cannot be read or has no text.
    """
    archive = open_office(content, ("PowerPoint", "pptx"))
    path = archive.linked("", "officeDocument")
    root = archive.tree(path) if path else None
    if path is None or root is None or local(root) != "presentation":
        raise Refused("unreadable", "is no PowerPoint file inside, whatever its name says")
    links = archive.links(path)
    writer = Writer()
    try:
        for entry in child(root, "sldIdLst") if child(root, "sldIdLst") is not None else ():
            # The number of a slide is an `id` too: what is meant is the one in a namespace.
            name = next((value for key, value in entry.items() if key.endswith("}id")), "")
            if name in links:
                _Slide(archive, links[name].path).write(writer)
    except RecursionError as error:
        raise Refused("unreadable", "is nested too deeply") from error
    said = properties(archive)
    return writer.extracted(said.get("title"), said.get("rights"))


@dataclass
class _Block:
    """A shape with text: where it is, in EMU, and its element."""

    left: int
    top: int
    right: int
    bottom: int
    element: Any


class _Slide:
    def __init__(self, archive: Archive, path: str) -> None:
        self._archive = archive
        self._links = archive.links(path)
        self._root = archive.tree(path)
        self._notes = archive.linked(path, "notesSlide")
        # A slide inherits from its layout, and that from its master, by the placeholder.
        self._models: list[Any] = []
        for kind in ("slideLayout", "slideMaster"):
            path = archive.linked(path, kind) or ""
            model = archive.tree(path)
            if model is None:
                break
            self._models.append(model)

    def write(self, writer: Writer) -> None:
        tree = child(self._root, "cSld", "spTree")
        if tree is None or attribute(self._root, "show") in ("0", "false"):
            return
        shapes = list(_shapes(tree))
        for shape in shapes:
            if _placeholder(shape)[0] in _TITLES:
                words = " ".join(" ".join(_lines(child(shape, "txBody"))).split())
                writer.add(words, level=1)
        for shape in self._in_reading_order(
            [shape for shape in shapes if _placeholder(shape)[0] not in (*_TITLES, *_AROUND)]
        ):
            self._write_shape(shape, writer)
        self._write_notes(writer)

    def _write_shape(self, shape: Any, writer: Writer) -> None:
        if local(shape) == "grpSp":
            for part in self._in_reading_order(list(_shapes(shape))):
                self._write_shape(part, writer)
        elif local(shape) == "graphicFrame":
            self._write_graphic(shape, writer)
        elif (body := child(shape, "txBody")) is not None:
            joined = False
            for marker, words in self._marked(shape, body):
                writer.add(marker + words, joined=joined and bool(marker))
                joined = bool(marker)

    def _write_graphic(self, frame: Any, writer: Writer) -> None:
        data = child(frame, "graphic", "graphicData")
        joined = False
        for row in child(data, "tbl") if child(data, "tbl") is not None else ():
            cells = [cell for cell in row if local(cell) == "tc"]
            # Cells that another one spans are there. Those beside it are left out, and those below
            # it are blank, as they stand in a column of their own.
            across = [cell for cell in cells if not _is_set(cell, "hMerge")]
            words = (
                "" if _is_set(cell, "vMerge") else " ".join(_lines(child(cell, "txBody")))
                for cell in across
            )
            joined |= writer.add_row(words, joined)
        # A diagram (SmartArt) keeps its words in a part of its own.
        name = attribute(child(data, "relIds"), "dm")
        model = self._archive.tree(self._links[name].path) if name in self._links else None
        for point in child(model, "ptLst") if child(model, "ptLst") is not None else ():
            words = " ".join(" ".join(_lines(child(point, "t"))).split())
            writer.add(f"- {words}" if words else "", joined=joined)
            joined |= bool(words)

    def _write_notes(self, writer: Writer) -> None:
        tree = child(self._archive.tree(self._notes) if self._notes else None, "cSld", "spTree")
        lines = [
            line
            for shape in (_shapes(tree) if tree is not None else ())
            if _placeholder(shape)[0] == "body"
            for line in _lines(child(shape, "txBody"))
            if line
        ]
        for number, line in enumerate(lines):
            if number == 0:
                writer.add("Notes:")
            writer.add(line)

    # Order

    def _in_reading_order(self, shapes: list[Any]) -> Iterator[Any]:
        blocks = [_Block(*self._place(shape), shape) for shape in shapes]
        yield from (block.element for block in _ordered(blocks))

    def _place(self, shape: Any) -> tuple[int, int, int, int]:
        """Gives left, top, right and bottom of a shape; those of its placeholder where it has none.

        Within a group the numbers count from another origin, which changes no order.
        """
        for element in (shape, *self._inherited(shape)):
            paths = (("spPr", "xfrm"), ("grpSpPr", "xfrm"), ("xfrm",))
            frames = (child(element, *path) for path in paths)
            frame = next((frame for frame in frames if child(frame, "off") is not None), None)
            if frame is None:
                continue
            left, top = (_integer(attribute(child(frame, "off"), name)) for name in "xy")
            size = child(frame, "ext")
            width, height = (_integer(attribute(size, name)) for name in ("cx", "cy"))
            return left, top, left + width, top + height
        return 0, 0, 0, 0

    # Bullets

    def _inherited(self, shape: Any) -> Iterator[Any]:
        """Yields the shapes of layout and master that a placeholder takes its properties from."""
        kind, index = _placeholder(shape)
        if kind is None:
            return
        for model in self._models:
            tree = child(model, "cSld", "spTree")
            shapes = list(_shapes(tree)) if tree is not None else []
            same = [other for other in shapes if _placeholder(other) == (kind, index)]
            alike = [other for other in shapes if _alike(_placeholder(other), kind, index)]
            yield from (same or alike)[:1]

    def _marked(self, shape: Any, body: Any) -> Iterator[tuple[str, str]]:
        """Yields the paragraphs of a shape, each with the marker that is shown before it."""
        styles = [child(body, "lstStyle")]
        styles += [child(other, "txBody", "lstStyle") for other in self._inherited(shape)]
        if _placeholder(shape)[0] in _BODIES:
            styles += [child(model, "txStyles", "bodyStyle") for model in self._models]
        numbers: dict[int, int] = {}
        for paragraph in body:
            if local(paragraph) != "p":
                continue
            words = _text(paragraph)
            if not words:
                continue
            said = child(paragraph, "pPr")
            depth = _integer(attribute(said, "lvl"))
            bullet = _bullet(said, *(child(style, f"lvl{depth + 1}pPr") for style in styles))
            numbers = {level: number for level, number in numbers.items() if level <= depth}
            if bullet is None or local(bullet) == "buNone":
                numbers.pop(depth, None)
                yield "", words
            elif local(bullet) == "buAutoNum":
                start = _integer(attribute(bullet, "startAt"), 1)
                numbers[depth] = numbers.get(depth, start - 1) + 1
                yield _numbered(attribute(bullet, "type") or "", numbers[depth]), words
            else:
                yield "- ", words


def _ordered(blocks: list[_Block]) -> list[_Block]:
    """Gives blocks as they are read: a gap across the page parts rows, one down it columns.

    The recursive cut of Nagy and Seth (1984). Blocks that no gap parts go by their upper edge.
    """
    if len(blocks) < 2:
        return blocks
    for before, after in (("top", "bottom"), ("left", "right")):
        ordered = sorted(blocks, key=lambda block: getattr(block, before))
        parts = [[ordered[0]]]
        reach = getattr(ordered[0], after)
        for block in ordered[1:]:
            if getattr(block, before) >= reach:
                parts.append([])
            parts[-1].append(block)
            reach = max(reach, getattr(block, after))
        if len(parts) > 1:
            return [block for part in parts for block in _ordered(part)]
    return sorted(blocks, key=lambda block: (block.top, block.left))


def _shapes(tree: Any) -> Iterator[Any]:
    """Yields the shapes that lie directly in a tree of shapes."""
    for element in tree:
        if local(element) == "AlternateContent":
            yield from _shapes(next(iter(element), ()))
        elif local(element) in ("sp", "grpSp", "graphicFrame"):
            named = next((part for part in element if local(part).startswith("nv")), None)
            if not _is_set(child(named, "cNvPr"), "hidden"):
                yield element


def _placeholder(shape: Any) -> tuple[str | None, str]:
    """Gives the kind and number of a placeholder; the kind is None for a free shape."""
    named = next((part for part in shape if local(part).startswith("nv")), None)
    mark = child(named, "nvPr", "ph")
    if mark is None:
        return None, ""
    return attribute(mark, "type") or "", attribute(mark, "idx") or "0"


def _alike(other: tuple[str | None, str], kind: str, index: str) -> bool:
    if other[0] is None:
        return False
    bodies = kind in _BODIES and other[0] in _BODIES
    titles = kind in _TITLES and other[0] in _TITLES
    return (other[1] == index and index != "0") or other[0] == kind or bodies or titles


def _bullet(*said: Any) -> Any:
    """Gives the first statement about a bullet, nearest first; None when there is none."""
    for properties_ in said:
        for part in properties_ if properties_ is not None else ():
            if local(part) in ("buNone", "buAutoNum", "buChar", "buBlip"):
                return part
    return None


def _numbered(scheme: str, number: int) -> str:
    name, pattern = next(
        ((scheme.removesuffix(end), p) for end, p in _PUNCTUATION.items() if scheme.endswith(end)),
        (scheme, "{}. "),
    )
    written = numeral(number, _KINDS.get(name, "decimal"))
    return pattern.format(written.upper() if name.endswith("Uc") else written)


def _lines(body: Any) -> Iterator[str]:
    for paragraph in body if body is not None else ():
        if local(paragraph) == "p":
            yield _text(paragraph)


def _text(paragraph: Any) -> str:
    pieces = []
    for part in paragraph:
        if local(part) in ("r", "fld"):
            pieces.append(getattr(child(part, "t"), "text", None) or "")
        elif local(part) == "br":
            pieces.append("\n")
        elif local(part) not in ("pPr", "endParaRPr"):
            # A formula, alone or with its picture for older versions.
            pieces += [found.text or "" for found in part.iter("{*}t")]
    lines = "".join(pieces).replace("\v", "\n").split("\n")
    return "\n".join(line for line in (" ".join(line.split()) for line in lines) if line)


def _is_set(element: Any, name: str) -> bool:
    return attribute(element, name) in ("1", "true")


def _integer(written: str | None, otherwise: int = 0) -> int:
    return int(written) if written and re.fullmatch(r"-?\d{1,18}", written) else otherwise
