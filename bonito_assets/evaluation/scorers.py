"""The arms of an evaluation, each as a scorer: the base model, and the base with an adapter.

Two engines give the same scores. ``transformers`` runs in this process and shares the beginning
that prompts have in common; ``vllm`` keeps a GPU full and lays adapters over one copy of the base.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from bonito_assets.evaluation.rank_loop import RANK_LOOP, Entry, adapter_arguments
from bonito_assets.evaluation.scoring import ScoringError, Tokens, greedy_answers, log_likelihoods
from bonito_assets.tuning.base_model import load_model
from resources.engine_loop import EngineArguments
from resources.engine_process import EngineLost, EngineProcess
from resources.hardware import find_cards
from resources.model import Model

if TYPE_CHECKING:
    from transformers import PreTrainedModel

BASE = "base"

# A 7B model loads from a slow disk in minutes. Scoring gives no sign of progress within one step,
# which is at most a batch of tokens: seconds on a GPU, on a CPU with a large model minutes.
_START_SECONDS = 1800.0
_STALL_SECONDS = 600.0


class Scorer(Protocol):
    """What a model says to prompts; see the functions of the same names in ``scoring``."""

    def log_likelihoods(
        self,
        prompts: Sequence[Tokens],
        answers: Sequence[Sequence[Tokens]],
        advance: Callable[[int], None],
    ) -> list[list[float]]:
        """Gives the log-likelihood of each answer after its prompt."""
        ...

    def greedy_answers(
        self, prompts: Sequence[Tokens], end: int, most_tokens: int, advance: Callable[[int], None]
    ) -> list[list[int]]:
        """Gives the most likely next tokens after each prompt."""
        ...


Arms = Iterator[tuple[str, Scorer]]


def open_arms(
    engine: str, base: Model, adapters: Mapping[str, Path], budget: int, log: Callable[[str], None]
) -> AbstractContextManager[Arms]:
    """Opens the base model and then each of `adapters`, one after the other, as scorers.

    An arm is to be used before the next is taken. `engine` is ``transformers``, ``vllm`` or
    ``auto``: vLLM where there is a GPU, since on a CPU its start takes longer than most test sets
    and sharing the beginnings of prompts is worth more. `budget` is the most tokens of a prompt
    with its answer.
    """
    if engine == "vllm" or (engine == "auto" and find_cards()):
        return _vllm_arms(base, adapters, budget, log)
    return contextlib.nullcontext(_transformers_arms(base, adapters))


# transformers


class TransformersScorer:
    """A model in this process."""

    def __init__(self, model: PreTrainedModel) -> None:
        self._model = model

    def log_likelihoods(
        self,
        prompts: Sequence[Tokens],
        answers: Sequence[Sequence[Tokens]],
        advance: Callable[[int], None],
    ) -> list[list[float]]:
        """Gives the log-likelihood of each answer after its prompt."""
        return log_likelihoods(self._model, prompts, answers, advance)

    def greedy_answers(
        self, prompts: Sequence[Tokens], end: int, most_tokens: int, advance: Callable[[int], None]
    ) -> list[list[int]]:
        """Gives the most likely next tokens after each prompt."""
        return greedy_answers(self._model, prompts, end, most_tokens, advance)


def _transformers_arms(base: Model, adapters: Mapping[str, Path]) -> Arms:
    yield BASE, TransformersScorer(load_model(base))
    from peft import PeftModel

    for name, adapter in adapters.items():
        # Loaded anew, since an adapter that was merged leaves its rounding in the weights.
        model = PeftModel.from_pretrained(load_model(base), adapter).eval()
        if str(model.dtype) == "torch.float32":
            # A third faster, and exact enough in this precision only.
            model = model.merge_and_unload()
        yield name, TransformersScorer(model)


# vLLM


class VllmScorer:
    """One arm of a running engine; ``adapter`` is the folder that its requests go through."""

    def __init__(self, engine: EngineProcess, room: int, adapter: str | None) -> None:
        self._engine, self._room, self._adapter = engine, room, adapter

    def log_likelihoods(
        self,
        prompts: Sequence[Tokens],
        answers: Sequence[Sequence[Tokens]],
        advance: Callable[[int], None],
    ) -> list[list[float]]:
        """Gives the log-likelihood of each answer after its prompt."""
        scores = [[0.0] * len(row) for row in answers]
        missing = [len(row) for row in answers]
        entries = (
            (f"{row}/{number}", [*prompts[row], *answer], len(answer), 1, None, self._adapter)
            for row, row_answers in enumerate(answers)
            for number, answer in enumerate(row_answers)
        )
        for name, score in self._results(entries):
            row, number = map(int, name.split("/"))
            scores[row][number] = score
            missing[row] -= 1
            if not missing[row]:
                advance(1)
        if any(score != score for row in scores for score in row):
            raise ScoringError("the model gives probabilities that are not numbers; tune it again")
        return scores

    def greedy_answers(
        self, prompts: Sequence[Tokens], end: int, most_tokens: int, advance: Callable[[int], None]
    ) -> list[list[int]]:
        """Gives the most likely next tokens after each prompt."""
        answers: list[list[int]] = [[] for _ in prompts]
        entries = (
            (str(row), list(prompt), 0, most_tokens, end, self._adapter)
            for row, prompt in enumerate(prompts)
        )
        for name, tokens in self._results(entries):
            answers[int(name)] = tokens
            advance(1)
        return answers

    def _results(self, entries: Iterable[Entry]) -> Iterator[tuple[str, Any]]:
        """Gives name and result of each entry as they finish; keeps the engine full."""
        waiting, under_way = iter(entries), 0
        while True:
            batch = list(itertools.islice(waiting, self._room - under_way))
            if batch:
                self._engine.send(batch)
                under_way += len(batch)
            if not under_way:
                return
            try:
                finished = self._engine.receive()
            except EngineLost as loss:
                raise ScoringError(_account(loss, self._engine)) from loss
            under_way -= len(finished)
            yield from finished


@contextlib.contextmanager
def _vllm_arms(
    base: Model, adapters: Mapping[str, Path], budget: int, log: Callable[[str], None]
) -> Iterator[Arms]:
    arguments = EngineArguments(
        # As transformers computes it: float32 on a CPU, where nothing is gained by less.
        dtype=None if find_cards() else "float32",
        # Scores of a prompt's own tokens are never taken from the cache.
        extra={"enable_prefix_caching": False, **adapter_arguments(adapters.values())},
    )
    # vLLM writes one token after each prompt that it scores.
    engine = EngineProcess(RANK_LOOP, base.folder, budget + 1, arguments, _STALL_SECONDS)
    try:
        try:
            started = engine.wait(_START_SECONDS)
        except EngineLost as loss:
            raise ScoringError(_account(loss, engine)) from loss
        log(f"engine started on {started.device} for {1 + len(adapters)} arms")
        room = 2 * started.max_num_seqs
        places = {BASE: None, **{name: str(path) for name, path in adapters.items()}}
        yield ((name, VllmScorer(engine, room, place)) for name, place in places.items())
    finally:
        engine.stop()


def _account(loss: EngineLost, engine: EngineProcess) -> str:
    causes = "; ".join([str(loss), *engine.errors()])
    return (
        f"the engine was lost: {causes}. Set evaluation.engine to transformers to go without it. "
        f"Its log is {engine.log_path} and ends with:\n{engine.tail()}"
    )
