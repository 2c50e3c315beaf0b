"""The visible characters of a page: what they say, where they stand and how they look."""

from __future__ import annotations

import ctypes
import math
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

Box = tuple[float, float, float, float]  # left, bottom, right, top, y growing upwards

_BOLD = re.compile(r"bold|black|heavy|demi|cmbx", re.IGNORECASE)
# Semi-bold, on the scale where normal is 400 and bold 700 (ISO 32000-1, 9.8.1).
_BOLD_WEIGHT = 600


@dataclass(slots=True)
class Style:
    """What the glyphs of one text object, drawn in one go, have in common."""

    turn: int | None  # quarter turns of the text, None at a slant
    size: float
    bold: bool
    origin: tuple[float, float]  # of the first glyph; all stand on its baseline


@dataclass(slots=True)
class Glyph:
    """A visible character, or the letters of a ligature."""

    text: str
    box: Box
    style: Style
    spaced: bool  # the file has a space before it
    apart: bool  # a space or the end of a line, in the file or seen by PDFium
    unmapped: bool


def read_glyphs(page: Any) -> Iterator[Glyph]:
    """Gives the visible characters within the page's box, in the order of the file."""
    from pypdfium2 import raw

    visible = raw.FS_RECTF()
    raw.FPDF_GetPageBoundingBox(page, visible)
    text_page = page.get_textpage()
    box = raw.FS_RECTF()
    styles: dict[int | None, Style] = {}
    spaced = apart = True
    for index in range(text_page.count_chars()):
        code = raw.FPDFText_GetUnicode(text_page, index)
        hyphen = code in (0x02, 0xFFFE) and raw.FPDFText_IsHyphen(text_page, index) == 1
        unmapped = not hyphen and raw.FPDFText_HasUnicodeMapError(text_page, index) == 1
        # A surrogate outside a pair is an error of the file, and would break every encoder.
        char = "-" if hyphen else chr(code) if not 0xD800 <= code < 0xE000 else "\ufffd"
        if not unmapped and (char.isspace() or code == 0):
            apart = True
            spaced |= raw.FPDFText_IsGenerated(text_page, index) != 1
            continue
        raw.FPDFText_GetLooseCharBox(text_page, index, box)
        x, y = (box.left + box.right) / 2, (box.bottom + box.top) / 2
        if not (visible.left <= x <= visible.right and visible.bottom <= y <= visible.top):
            apart = True
            continue
        key = ctypes.cast(raw.FPDFText_GetTextObject(text_page, index), ctypes.c_void_p).value
        if key not in styles:
            styles[key] = _style(text_page, index)
        place = (box.left, box.bottom, box.right, box.top)
        yield Glyph(_letters(char), place, styles[key], spaced, apart, unmapped)
        spaced = apart = False
    text_page.close()


def turned(x: float, y: float, turn: int) -> tuple[float, float]:
    """Gives a point of the page after `turn` quarter turns back, with y growing downwards."""
    return ((x, -y), (y, x), (-x, y), (-y, -x))[turn]


def _style(text_page: Any, index: int) -> Style:
    from pypdfium2 import raw

    matrix = raw.FS_MATRIX(1, 0, 0, 1, 0, 0)
    raw.FPDFText_GetMatrix(text_page, index, matrix)
    size = raw.FPDFText_GetFontSize(text_page, index) * math.hypot(matrix.c, matrix.d)
    quarters = math.atan2(matrix.b, matrix.a) / (math.pi / 2)
    # Five degrees are a crooked scan; more is a watermark.
    turn = round(quarters) % 4 if abs(quarters - round(quarters)) < 5 / 90 else None
    name = ctypes.create_string_buffer(128)
    flags = ctypes.c_int()
    raw.FPDFText_GetFontInfo(text_page, index, name, len(name), flags)
    heavy = raw.FPDFText_GetFontWeight(text_page, index) >= _BOLD_WEIGHT
    bold = heavy or bool(_BOLD.search(name.value.decode("utf-8", "replace")))
    x, y = ctypes.c_double(), ctypes.c_double()
    raw.FPDFText_GetCharOrigin(text_page, index, x, y)
    return Style(turn, max(size, 0.1), bold, (x.value, y.value))


def _letters(char: str) -> str:
    """Gives the letters of a ligature or presentation form, and other characters as they are."""
    if "\ufb00" <= char <= "\ufdff" or "\ufe70" <= char <= "\ufefc":
        return unicodedata.normalize("NFKC", char)
    return char
