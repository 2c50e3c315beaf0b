"""From the bytes of a PDF file to its pages: words, rules, and how much of them makes sense."""

from __future__ import annotations

import unicodedata
from collections import Counter
from dataclasses import dataclass
from typing import Any

from bonito_assets.ingestion.formats.extracted import Refused
from bonito_assets.ingestion.formats.pdf.glyphs import read_glyphs
from bonito_assets.ingestion.formats.pdf.rules import Rule, read_rules
from bonito_assets.ingestion.formats.pdf.scrambled import is_scrambled, reads_like_words
from bonito_assets.ingestion.formats.pdf.words import Word, form_words

DAMAGED = "is no PDF file or is damaged; open it and save it again"
# Pages that fail one after another before the rest is given up: /Count may promise a million.
_MOST_FAILURES = 50
# Above this share of characters that stand for nothing, a page cannot be read for the rest either.
_MOST_UNREADABLE = 0.3


@dataclass(slots=True)
class Page:
    """The legible words of one page, its rules, and counts of all its characters."""

    number: int  # of the page in the file, from 0
    words: list[Word]
    rules: list[Rule]
    n_chars: int
    n_unreadable: int
    has_pictures: bool

    @property
    def is_gibberish(self) -> bool:
        """Whether so many characters stand for nothing that the page makes no sense."""
        return self.n_unreadable > _MOST_UNREADABLE * self.n_chars


def load_pages(content: bytes) -> tuple[list[Page], str, int]:
    """Gives the pages that can be loaded, the title in the metadata, and the number of the rest.

    Raises ``Refused`` with `encrypted` or, where not one page can be loaded, `unreadable`.
    """
    import pypdfium2 as pdfium
    from pypdfium2 import raw

    try:
        document = pdfium.PdfDocument(content)
    except pdfium.PdfiumError as error:
        if error.err_code in (raw.FPDF_ERR_PASSWORD, raw.FPDF_ERR_SECURITY):
            raise Refused("encrypted", "is encrypted; save a copy without password") from error
        raise Refused("unreadable", DAMAGED) from error
    try:
        pages: list[Page] = []
        n_damaged = failures = 0
        for number in range(len(document)):
            try:
                page = document[number]
                pages.append(_load(page, number))
                page.close()
                failures = 0
            except pdfium.PdfiumError:
                n_damaged += 1
                failures += 1
                if failures == _MOST_FAILURES:
                    n_damaged = len(document) - len(pages)
                    break
        if not pages:
            raise Refused("unreadable", DAMAGED)
        return pages, document.get_metadata_value("Title"), n_damaged
    finally:
        document.close()


def _load(page: Any, number: int) -> Page:
    from pypdfium2 import raw

    glyphs = list(read_glyphs(page))
    turns = Counter(glyph.style.turn for glyph in glyphs if glyph.style.turn is not None)
    turn = turns.most_common(1)[0][0] if turns else 0
    glyphs = [glyph for glyph in glyphs if glyph.style.turn == turn]
    # What a font does not map is taken from its own numbers. That may be right, as in old bitmap
    # fonts, but then it reads like words.
    unmapped = "".join(" " * glyph.apart + glyph.text for glyph in glyphs if glyph.unmapped)
    trusted = reads_like_words(unmapped)
    legible = [
        glyph
        for glyph in glyphs
        if (trusted or not glyph.unmapped) and not _stands_for_nothing(glyph.text)
    ]
    # Symbol fonts put their bullets into private use: a few are right.
    n_private = sum(unicodedata.category(glyph.text[0]) == "Co" for glyph in legible)
    n_unreadable = len(glyphs) - len(legible) + n_private
    words = form_words(legible, turn)
    if is_scrambled(" ".join(word.text for word in words)):
        n_unreadable = len(glyphs)
    rules = read_rules(page, turn) if words else []
    has_pictures = raw.FPDFPage_CountObjects(page) > 0
    return Page(number, words, rules, len(glyphs), n_unreadable, has_pictures)


def _stands_for_nothing(char: str) -> bool:
    return unicodedata.category(char[0]) in ("Cc", "Cn", "Cs") or char == "\ufffd"
