"""The horizontal and vertical strokes of a page."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from itertools import pairwise
from typing import Any, NamedTuple

from bonito_assets.ingestion.formats.pdf.glyphs import turned

# A stroke up to this thick is a rule, and rules so far apart touch.
RULE_WIDTH = 2.5
# Rules of a table; a drawing with more strokes than this is a picture.
_MOST_STROKES = 3000


class Rule(NamedTuple):
    """The box around a straight stroke, y growing downwards."""

    left: float
    top: float
    right: float
    bottom: float


def read_rules(page: Any, turn: int) -> list[Rule]:
    """Gives the rules of a page after `turn` quarter turns; none where the page is a drawing."""
    from pypdfium2 import raw

    rules: list[Rule] = []

    def add(x0: float, y0: float, x1: float, y1: float) -> None:
        ax, ay = turned(x0, y0, turn)
        bx, by = turned(x1, y1, turn)
        wide, high = abs(ax - bx), abs(ay - by)
        if min(wide, high) <= RULE_WIDTH < max(wide, high):
            rules.append(Rule(min(ax, bx), min(ay, by), max(ax, bx), max(ay, by)))

    n_objects = raw.FPDFPage_CountObjects(page)
    if n_objects > _MOST_STROKES:
        return []
    edges = [ctypes.c_float() for _ in range(4)]
    matrix = raw.FS_MATRIX()
    fill, stroke = ctypes.c_int(), ctypes.c_int()
    for index in range(n_objects):
        item = raw.FPDFPage_GetObject(page, index)
        if raw.FPDFPageObj_GetType(item) != raw.FPDF_PAGEOBJ_PATH:
            continue
        raw.FPDFPageObj_GetBounds(item, *edges)
        left, bottom, right, top = (edge.value for edge in edges)
        if min(right - left, top - bottom) <= RULE_WIDTH:
            add(left, bottom, right, top)
            continue
        raw.FPDFPath_GetDrawMode(item, fill, stroke)
        n_segments = raw.FPDFPath_CountSegments(item)
        if not stroke.value or n_segments > _MOST_STROKES:
            continue
        raw.FPDFPageObj_GetMatrix(item, matrix)
        for before, after in pairwise(_points(item, n_segments, matrix)):
            if before and after:
                add(*before, *after)
    return rules[:_MOST_STROKES]


def _points(item: Any, n_segments: int, matrix: Any) -> Iterator[tuple[float, float] | None]:
    """Gives the corners of a path on the page, and None where the pen is lifted."""
    from pypdfium2 import raw

    x, y = ctypes.c_float(), ctypes.c_float()
    first = None
    for index in range(n_segments):
        segment = raw.FPDFPath_GetPathSegment(item, index)
        raw.FPDFPathSegment_GetPoint(segment, x, y)
        point = (
            matrix.a * x.value + matrix.c * y.value + matrix.e,
            matrix.b * x.value + matrix.d * y.value + matrix.f,
        )
        if raw.FPDFPathSegment_GetType(segment) == raw.FPDF_SEGMENT_MOVETO:
            yield None
            first = point
        yield point
        if raw.FPDFPathSegment_GetClose(segment):
            yield first
