"""Puts the text of a document together, as ``Extracted`` wants it."""

from __future__ import annotations

from collections.abc import Iterable

from bonito_assets.ingestion.formats.extracted import Extracted, Refused


class Writer:
    """Puts blocks together to a text in the form of ``Extracted`` and keeps its headings."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self.length = 0
        self.headings: list[tuple[int, int]] = []
        self.first_heading: str | None = None

    def add(self, block: str, level: int | None = None, joined: bool = False) -> None:
        """Adds a paragraph, or a heading of depth `level`; `joined` puts it on the next line.

        A list item or table row is joined to the one before it. A blank block adds nothing.
        """
        if not block.strip():
            return
        if self._parts:
            self._put("\n" if joined else "\n\n")
        if level is not None:
            self.headings.append((self.length, level))
            self.first_heading = self.first_heading or " ".join(block.split())
        self._put(block)

    def add_row(self, cells: Iterable[str], joined: bool) -> bool:
        """Adds the row of a table, unless it is blank, and gives whether it was added.

        Blank cells at its end are left out; those before keep the others in their column.
        """
        row = " | ".join(" ".join(cell.split()) for cell in cells)
        self.add(row.rstrip(" |").lstrip(" "), joined=joined)
        return bool(row.strip(" |"))

    def _put(self, part: str) -> None:
        self._parts.append(part)
        self.length += len(part)

    def extracted(
        self, title: str | None = None, license: str | None = None, warning: str | None = None
    ) -> Extracted:
        """Gives what was added; the first heading stands in for a missing `title`.

        Raises ``Refused`` when nothing was added.
        """
        if not self._parts:
            raise Refused("empty", "holds no text")
        return Extracted(
            "".join(self._parts),
            title=title or self.first_heading,
            headings=tuple(self.headings),
            license=license,
            warning=warning,
        )


_ROMAN = list(
    zip(
        (1000, 900, 500, 400, 100, 90, 50, 40, 10, 9, 5, 4, 1),
        "m cm d cd c xc l xl x ix v iv i".split(),
        strict=True,
    )
)


def numeral(number: int, kind: str) -> str:
    """Gives `number` as a list shows it: `kind` is ``decimal``, ``letter`` or ``roman``.

    Letters go on after z with aa, as Word writes them. Numbers below 1 or beyond the longest that
    a list plausibly has are given in decimal.
    """
    if kind == "letter" and 1 <= number <= 780:
        return chr(ord("a") + (number - 1) % 26) * ((number - 1) // 26 + 1)
    if kind == "roman" and 1 <= number < 4000:
        written = ""
        for value, sign in _ROMAN:
            count, number = divmod(number, value)
            written += sign * count
        return written
    return str(number)
