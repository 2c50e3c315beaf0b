"""What every generator backend keeps: requests in, one outcome per request out, as they finish.

Three backends keep it (``vllm_engine``, ``vllm_server``, ``ray_cluster``); what is asked of the
model, and which prompts it never sees, is the same for all of them (``admission``).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

import dagster as dg

from resources.model import Model
from resources.one_writer import end_with_run_worker

Log = Callable[[str], None]

# Passages are short, so a longer window would only reserve memory that nothing uses.
DEFAULT_WINDOW = 4096


@dataclass(frozen=True, slots=True)
class Sampling:
    """How one output is drawn."""

    temperature: float
    top_p: float
    max_tokens: int


@dataclass(frozen=True, slots=True)
class Request:
    """One output asked for; ``key`` comes back with it.

    With a ``seed`` the same request gives the same output again on the same hardware.
    """

    key: str
    prompt: str
    sampling: Sampling
    seed: int | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one request: an output, or the reason why there is none.

    ``mean_logprob`` is the mean natural log-probability of the output tokens.
    ``rejected_because`` is ``too_long``, ``empty`` or ``invalid_text`` for a prompt that the model
    must not see, and ``engine_error`` for one that the engine cannot answer.
    """

    key: str
    output: str | None = None
    finish_reason: str | None = None
    prompt_tokens: int | None = None
    output_tokens: int | None = None
    mean_logprob: float | None = None
    rejected_because: str | None = None


class GeneratorError(RuntimeError):
    """The backend cannot go on; the message holds the root cause and a remedy.

    What had been handed out before is good; everything else is to be asked for again.
    """


def window_of(model: Model, wanted: int | None = None) -> int:
    """Gives the largest sum of prompt and output tokens that a backend takes for `model`."""
    return min(model.max_tokens, wanted or DEFAULT_WINDOW)


class Session(Protocol):
    """An open generator."""

    cards: int  # accelerators (or CPU engines) that one second of this session occupies

    def generate(self, requests: Iterable[Request]) -> Iterator[Outcome]:
        """Gives exactly one outcome per request, in the order in which they finish.

        Takes requests from the iterator only as fast as the engine needs them. Keys may repeat.
        Raises ``GeneratorError`` when the backend is beyond help.
        """
        ...


class Generator(dg.ConfigurableResource, ABC):
    """A backend: knows its model, and hands out a session that is closed with the block."""

    model: str
    # What one accelerator costs per hour, in any currency; 0 leaves money out of the bill.
    price_per_gpu_hour: float = 0.0

    def setup_for_execution(self, context: dg.InitResourceContext) -> None:
        """Ends the step with its run worker, as the store does: `bonito_model` uses no store."""
        if context.run is not None:
            end_with_run_worker()

    @abstractmethod
    def resolve(self) -> Model:
        """Gives the checkpoint that will be asked; raises ``ModelError`` without one."""

    def window(self, model: Model) -> int:
        """Gives the largest sum of prompt and output tokens that will be taken."""
        return window_of(model)

    @abstractmethod
    def open(self, log: Log) -> AbstractContextManager[Session]:
        """Opens a session; at its end the model's memory is free again.

        `log` takes a line for people: what was started, with what, and what went wrong.
        The model itself starts with the first request that needs it.
        """
