"""What every generator backend keeps: requests in, one outcome per request out, as they finish."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from resources.model import Model


@dataclass(frozen=True)
class Sampling:
    """How one output is drawn."""

    temperature: float
    top_p: float
    max_tokens: int


@dataclass(frozen=True)
class Request:
    """One output asked for; ``key`` comes back with it."""

    key: str
    prompt: str


@dataclass(frozen=True)
class Outcome:
    """What became of one request: an output, or the reason why the model was not asked.

    ``mean_logprob`` is the mean natural log-probability of the output tokens.
    """

    key: str
    output: str | None = None
    finish_reason: str | None = None
    prompt_tokens: int | None = None
    output_tokens: int | None = None
    mean_logprob: float | None = None
    rejected_because: str | None = None


class Session(Protocol):
    """An open generator."""

    def generate(self, requests: Iterable[Request], sampling: Sampling) -> Iterator[Outcome]:
        """Gives exactly one outcome per request, in the order in which they finish."""
        ...


class Generator(Protocol):
    """A backend: knows its model, and hands out a session that is closed with the block."""

    def resolve(self) -> Model:
        """Gives the checkpoint that will be asked; raises ``ModelError`` without one."""
        ...

    def open(self) -> AbstractContextManager[Session]:
        """Opens a session; at its end the model's memory is free again."""
        ...
