"""Progress lines for work that takes more than a few seconds: done, rate, time left."""

from __future__ import annotations

import time
from collections.abc import Callable


class Progress:
    """Logs how far a job is, at most once per `every` seconds and once at the end."""

    def __init__(
        self,
        what: str,
        total: int,
        log: Callable[[str], None],
        every: float = 5.0,
        also: Callable[[], str] | None = None,
    ) -> None:
        self._what = what
        self._total = total
        self._log = log
        self._every = every
        self._also = also
        self._started = self._last = time.monotonic()
        self._done = 0

    def advance(self, n: int = 1) -> None:
        """Counts `n` more as done."""
        self._done += n
        now = time.monotonic()
        if now - self._last >= self._every or self._done == self._total:
            self._last = now
            self._log(self._line(now))

    def _line(self, now: float) -> str:
        rate = self._done / max(now - self._started, 1e-9)
        left = (self._total - self._done) / rate if rate else 0.0
        also = f"{self._also()}, " if self._also else ""
        return (
            f"{self._what}: {self._done:,} of {self._total:,} "
            f"({self._done / self._total:.0%}), {rate:,.1f}/s, {also}{left:,.0f} s left"
        )
