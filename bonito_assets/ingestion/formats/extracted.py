"""What a reader hands out, and how it refuses."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Extracted:
    """The text of one document as a person would read it, with what the format says of it.

    ``headings`` are ``(start_char, level)`` of each heading: the offset in ``text``, in Unicode
    code points, at which its line starts, and its depth from 1. Paragraphs are set apart by a
    blank line, table cells by " | ", list items begin with "- " or their number. ``license`` is
    what the source itself states, such as a URL or an SPDX name. ``warning`` says what was lost
    or replaced on the way, in a sentence that continues "<name of the file> ...".
    """

    text: str
    title: str | None = None
    headings: tuple[tuple[int, int], ...] = ()
    license: str | None = None
    warning: str | None = None


class Refused(ValueError):
    """A file cannot be read: ``code`` is one of ``tables.REJECTIONS``, the message a sentence.

    The sentence continues "<name of the file> ...": "is encrypted; save a copy without password".
    """

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code
