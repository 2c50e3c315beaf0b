"""What a check of `bonito doctor` says, and how checks run so that none holds up the rest."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

OK, WARNING, PROBLEM = "ok", "warning", "problem"


@dataclass(frozen=True)
class Finding:
    """One sentence about one thing, how grave it is, and what to do where there is something."""

    topic: str
    level: str
    sentence: str
    remedy: str | None = None


Check = Callable[[], Iterable[Finding]]


def examine(checks: dict[str, Check], seconds: float) -> Iterator[Finding]:
    """Gives what each check finds, in order; each has so many seconds.

    A check that takes longer, or breaks, is a finding itself, after what it has found so far.
    """
    for topic, check in checks.items():
        said: queue.SimpleQueue[Finding | None] = queue.SimpleQueue()
        # A daemon thread: one that hangs in a network call must not keep the command from ending.
        threading.Thread(target=_run, args=(topic, check, said), daemon=True).start()
        try:
            while (finding := said.get(timeout=seconds)) is not None:
                yield finding
        except queue.Empty:
            yield Finding(
                topic,
                PROBLEM,
                f"the check gave no answer within {seconds:g} s",
                "look whether the disk, or the server that the settings name, still answers",
            )


def _run(topic: str, check: Check, said: queue.SimpleQueue[Finding | None]) -> None:
    try:
        for finding in check():
            said.put(finding)
    except Exception as error:  # whatever is broken is what a person wants to hear of
        line = str(error).strip().partition("\n")[0]
        said.put(
            Finding(topic, PROBLEM, f"could not be looked at ({type(error).__name__}: {line})")
        )
    said.put(None)
