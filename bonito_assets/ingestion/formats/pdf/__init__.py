"""Reads PDF files: glyphs at places on pages become text in the order in which a person reads it.

A PDF does not know lines, paragraphs or columns. They are found again, a module for each step:

- ``pages`` loads the file: ``glyphs`` make ``words``, ``rules`` are the strokes of tables, and
  ``scrambled`` tells which pages make no sense;
- ``rows`` are words on one baseline, and ``furniture`` is what repeats at the edge of the pages;
- ``layout`` puts the rows of a page into reading order: those that leave the same gutter free are
  ``columns`` or ``tables``;
- ``paragraphs`` are made of lines, ``headings`` are those that stand out, and ``writing`` makes the
  text of them; ``marks`` knows what list items begin with;
- ``metadata`` is what the file says of itself, and ``reader`` takes all of these steps.

All distances are in points (1/72 inch), with y growing downwards and the text running to the right,
whatever way the page is turned.
"""

from bonito_assets.ingestion.formats.pdf.reader import read

__all__ = ["read"]
