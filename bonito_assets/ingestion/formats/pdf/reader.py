"""From the bytes of a PDF file to its text, or the cause why there is none."""

from __future__ import annotations

from bonito_assets.ingestion.formats.extracted import Extracted, Refused
from bonito_assets.ingestion.formats.pdf.furniture import without_furniture
from bonito_assets.ingestion.formats.pdf.headings import heading_levels, largest_heading
from bonito_assets.ingestion.formats.pdf.layout import lay_out
from bonito_assets.ingestion.formats.pdf.metadata import from_xmp, sensible
from bonito_assets.ingestion.formats.pdf.pages import DAMAGED, load_pages
from bonito_assets.ingestion.formats.pdf.paragraphs import flow, form_paragraphs
from bonito_assets.ingestion.formats.pdf.rows import form_rows
from bonito_assets.ingestion.formats.pdf.writing import write


def read(content: bytes) -> Extracted:
    """Gives the text, title and headings of a PDF file, as a person would read them.

    Raises ``Refused`` with `encrypted` where a password is needed to open it, `empty` where no page
    has a text layer, and `unreadable` where it is damaged or its fonts do not say which characters
    they show. Annotations, form fields, and text at a slant or across the page are left out.
    """
    pages, stated_title, n_damaged = load_pages(content)
    texts = [page for page in pages if page.n_chars]
    n_pictures = sum(not page.n_chars and page.has_pictures for page in pages)
    if not texts and n_damaged:
        raise Refused("unreadable", DAMAGED)
    if not texts and n_pictures:
        raise Refused("empty", "has no text layer: it is made of pictures; run OCR over it first")
    if not texts:
        raise Refused("empty", "has no text: its pages are blank")
    legible = [page for page in texts if not page.is_gibberish]
    n_gibberish = len(texts) - len(legible)
    if n_gibberish > len(texts) / 2:
        raise Refused(
            "unreadable",
            "cannot be read: its fonts do not say which characters they show; run OCR over it",
        )
    rows = without_furniture(
        [form_rows(page.words) for page in legible], [page.number for page in legible]
    )
    blocks = [
        form_paragraphs(lay_out(page_rows, page.rules))
        for page_rows, page in zip(rows, legible, strict=True)
    ]
    first_page = [paragraph for block in blocks[0] for paragraph in block]
    paragraphs = flow(blocks)
    text, headings = write(paragraphs, heading_levels(paragraphs))
    if not text:
        raise Refused("empty", "has no text: its pages are blank")
    xmp_title, license_ = from_xmp(content)
    title = sensible(stated_title) or sensible(xmp_title) or largest_heading(first_page, paragraphs)
    losses = [
        f"has {count} of {len(pages) + n_damaged} pages {what}"
        for count, what in [
            (n_pictures, "without a text layer"),
            (n_gibberish, "whose fonts do not say which characters they show"),
            (n_damaged, "that are damaged"),
        ]
        if count
    ]
    warning = f"{' and '.join(losses)}; they are left out" if losses else None
    return Extracted(text, title, headings, license_, warning)
