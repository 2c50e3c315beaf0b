"""vLLM on this machine, in a process of its own that can die without taking the step along.

The step tokenises and judges; the engine's process only computes. What was in an engine when it
died is asked of the next one, in ever smaller groups, until the request that kills engines stands
alone and is set aside.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import math
import re
import time
from collections import abc, deque
from collections.abc import Iterable, Iterator
from typing import Any

from pydantic import Field, field_validator

from resources.admission import Admission
from resources.engine_loop import ENGINE_LOOP, EngineArguments, Entry
from resources.engine_process import EngineLost, EngineProcess
from resources.generator import Generator, GeneratorError, Log, Outcome, Request, window_of
from resources.hardware import find_cards
from resources.model import Model, resolve
from resources.quantised import cpu_features, quantization, require_hardware

_SETTING = "BONITO_MODEL"

# Prompts are judged by so many: the tokenizer is faster by the batch, and 64 take 10 ms.
_BATCH = 64
_RETRIES = 2
# After so many requests set aside in a row, without one answer, it is not the requests.
_MOST_CULPRITS = 3
# What was in a dead engine runs again in so many groups. With one culprit among 512 requests, 16
# groups and then single requests cost three deaths, and the fewest runs with few in the engine.
_GROUPS = 16

# By what the cause says, the first that fits.
_REMEDIES = {
    "out of memory": "free the card of other programs, lower gpu_memory_utilization or "
    "max_num_seqs, or raise tensor_parallel_size",
    "memory": "lower gpu_memory_utilization when other programs use the card, lower max_model_len, "
    "or raise tensor_parallel_size; on a CPU set VLLM_CPU_KVCACHE_SPACE (GiB)",
    "max_model_len": "lower max_model_len",
    "quantiz|config file for": "set quantization to what the checkpoint was made with, or "
    "leave it unset",
    "tensor_parallel": "set tensor_parallel_size to a number that the machine has cards for",
    "start_seconds": "raise start_seconds, or look into the log for what it was waiting for",
    "stall_seconds": "raise stall_seconds if single steps of this model take that long",
}


class VllmEngine(Generator):
    """The local vLLM engine over one checkpoint.

    Every setting but the model may be left out, and is then chosen from the hardware. ``adapter``
    is the folder or hub id of a LoRA adapter, ``extra`` takes any further argument of vLLM's
    ``EngineArgs``. An engine that shows no progress for ``stall_seconds`` counts as dead.
    """

    tensor_parallel_size: int | None = None
    dtype: str | None = None
    quantization: str | None = None
    max_model_len: int | None = None
    gpu_memory_utilization: float | None = None
    max_num_seqs: int | None = None
    max_num_batched_tokens: int | None = None
    enable_chunked_prefill: bool | None = None
    kv_cache_dtype: str | None = None
    load_format: str | None = None
    enforce_eager: bool | None = None
    adapter: str | None = None
    seed: int | None = None
    extra: dict[str, Any] = Field(default_factory=dict)
    stall_seconds: float = 30.0
    start_seconds: float = 1800.0

    @field_validator("extra")
    @classmethod
    def _nothing_twice(cls, extra: dict[str, Any]) -> dict[str, Any]:
        return EngineArguments(extra=extra).extra

    def resolve(self) -> Model:
        """Gives the checkpoint; raises ``ModelError`` when it is not there or cannot run here."""
        model = resolve(self.model, _SETTING, self.adapter, self.quantization, may_be_adapter=True)
        if quantization(model.folder) is not None:
            require_hardware(model, _SETTING, find_cards(), cpu_features())
        return model

    @property
    def arguments(self) -> EngineArguments:
        """Gives what is set of the engine's arguments."""
        fields = dataclasses.fields(EngineArguments)
        return EngineArguments(**{field.name: getattr(self, field.name) for field in fields})

    def window(self, model: Model) -> int:
        """Gives the largest sum of prompt and output tokens that will be taken."""
        return window_of(model, self.max_model_len)

    @contextlib.contextmanager
    def open(self, log: Log) -> Iterator[VllmSession]:
        """Opens a session; the engine itself starts with the first prompt that needs it."""
        session = VllmSession(self.resolve(), self, log)
        try:
            yield session
        finally:
            session.close()


class VllmSession:
    """Keeps an engine's scheduler full from an iterator of requests.

    ``loop`` names the class that the engine's process runs, as ``module:name``.
    """

    def __init__(
        self, model: Model, settings: VllmEngine, log: Log, loop: str = ENGINE_LOOP
    ) -> None:
        self.cards = settings.tensor_parallel_size or 1
        self._admission = Admission(model, settings.max_model_len)
        self._folder = model.folder
        adapter = None if model.adapter is None else str(model.adapter)
        self._arguments = dataclasses.replace(settings.arguments, adapter=adapter)
        self._settings = settings
        self._log = log
        self._loop = loop
        self._names = (str(number) for number in itertools.count())
        self._engine: EngineProcess | None = None
        self._room = 1  # requests under way at once; the first engine says how many
        self._ever_ran = False
        self._losses = 0  # in a row, with neither an answer nor a culprit in between
        self._culprits = 0  # in a row, without an answer in between

    def generate(self, requests: Iterable[Request]) -> Iterator[Outcome]:
        """Gives one outcome per request as they finish; see ``Session``."""
        judged = self._judged(requests)
        suspects = _Suspects()
        under_way: dict[str, _Job] = {}
        finished: list[Outcome] = []
        alone = False
        while True:
            if not under_way:
                alone = bool(suspects)
            if alone:
                batch = [] if under_way else suspects.next_group()
            else:
                batch = yield from self._fresh(judged, len(under_way))
            # The engine gets its next requests before the caller sees the outcomes of the last.
            if batch:
                under_way |= {job.name: job for job in batch}
                self._running().send([job.entry for job in batch])
            yield from finished
            if not under_way:
                return
            try:
                finished = self._take(under_way)
            except EngineLost as loss:
                culprit = suspects.blame(list(under_way.values()))
                under_way = {}
                self._bury(loss, culprit)
                finished = [] if culprit is None else [culprit.verdict()]

    @property
    def started(self) -> bool:
        """Tells whether the engine holds memory."""
        return self._engine is not None

    def close(self) -> None:
        """Ends the engine's processes and frees their memory; without an engine does nothing."""
        engine, self._engine = self._engine, None
        if engine is not None:
            engine.stop()

    def _judged(self, requests: Iterable[Request]) -> Iterator[_Job | Outcome]:
        """Gives an outcome for each prompt that the engine must not see, a job for the others."""
        waiting = iter(requests)
        while batch := list(itertools.islice(waiting, _BATCH)):
            for request, verdict in zip(batch, self._admission.judge(batch), strict=True):
                if verdict.rejected_because is None:
                    # Keys may repeat (two passages with one text); names in the engine may not.
                    name = next(self._names)
                    entry = (name, verdict.ids, request.sampling, request.seed)
                    yield _Job(name, request.key, entry)
                else:
                    yield Outcome(
                        request.key,
                        prompt_tokens=len(verdict.ids),
                        rejected_because=verdict.rejected_because,
                    )

    def _fresh(
        self, judged: Iterator[_Job | Outcome], under_way: int
    ) -> abc.Generator[Outcome, None, list[_Job]]:
        """Gives on the refusals that come by and returns as many jobs as there is room for."""
        jobs: list[_Job] = []
        while under_way + len(jobs) < self._room:
            item = next(judged, None)
            if item is None:
                break
            if isinstance(item, Outcome):
                yield item
            else:
                jobs.append(item)
                self._running()  # the first job starts the engine, which says what room there is
        return jobs

    def _take(self, under_way: dict[str, _Job]) -> list[Outcome]:
        """Waits for outcomes and takes their jobs out of `under_way`."""
        # A name may be unknown: of what an earlier caller asked for and did not wait for.
        outcomes = [
            dataclasses.replace(outcome, key=job.key)
            for outcome in self._running().receive()
            if (job := under_way.pop(outcome.key, None)) is not None
        ]
        if outcomes:
            self._losses = self._culprits = 0
        return outcomes

    def _running(self) -> EngineProcess:
        """Gives the engine, started where there is none; raises ``GeneratorError``."""
        while self._engine is None:
            began = time.monotonic()
            self._engine = EngineProcess(
                self._loop,
                self._folder,
                self._admission.window,
                self._arguments,
                self._settings.stall_seconds,
            )
            try:
                started = self._engine.wait(self._settings.start_seconds)
            except EngineLost as loss:
                self._bury(loss)
                continue
            self.cards = started.cards
            self._room = 2 * started.max_num_seqs
            chosen = ", ".join(f"{k}={v}" for k, v in started.arguments.set_values().items())
            self._log(
                f"engine {'restarted' if self._ever_ran else 'started'} on {started.device} in "
                f"{time.monotonic() - began:.1f} s: {chosen}"
            )
            self._ever_ran = True
        return self._engine

    def _bury(self, loss: EngineLost, culprit: _Job | None = None) -> None:
        """Ends what is left of the engine; raises ``GeneratorError`` when another is no use."""
        engine, self._engine = self._engine, None
        engine.kill()
        if culprit is None:
            self._losses += 1
        else:
            self._losses = 0
            self._culprits += 1
        if not self._ever_ran:
            raise GeneratorError(_account("the engine did not start", loss, engine))
        if self._losses > _RETRIES:
            times = f"the engine was lost {self._losses} times in a row"
            raise GeneratorError(_account(times, loss, engine))
        if self._culprits > _MOST_CULPRITS:
            raise GeneratorError(_account("the engine dies of every request", loss, engine))
        self._log(f"engine lost: {loss}; its log: {engine.log_path}")
        if culprit is not None:
            self._log(f"set aside: request {culprit.key}, which an engine died of for the 2nd time")


@dataclasses.dataclass(slots=True)
class _Job:
    """A request that the engine is to answer; ``deaths`` counts the engines lost over it."""

    name: str
    key: str
    entry: Entry
    deaths: int = 0

    def verdict(self) -> Outcome:
        """Gives the outcome of a request that kills engines."""
        tokens = len(self.entry[1])
        return Outcome(self.key, prompt_tokens=tokens, rejected_because="engine_error")


class _Suspects:
    """What was in an engine when it was lost, in groups that are each to run alone."""

    def __init__(self) -> None:
        self._groups: deque[list[_Job]] = deque()

    def __bool__(self) -> bool:
        return bool(self._groups)

    def next_group(self) -> list[_Job]:
        return self._groups.popleft()

    def blame(self, jobs: list[_Job]) -> _Job | None:
        """Takes what was in the engine at its death; gives the culprit where there is no doubt.

        That is a request which was alone in there, and in another engine that died before.
        """
        if len(jobs) == 1 and jobs[0].deaths:
            # Neighbours are often of one passage and as bad: to see whether an engine can live at
            # all, the next group is one from elsewhere.
            self._groups.reverse()
            return jobs[0]
        size = 1 if jobs[0].deaths else math.ceil(len(jobs) / _GROUPS)
        for job in jobs:
            job.deaths += 1
        groups = [jobs[start : start + size] for start in range(0, len(jobs), size)]
        self._groups.extendleft(reversed(groups))
        return None


def _account(what: str, loss: EngineLost, engine: EngineProcess) -> str:
    """Gives the message of an error that ends the step: cause, remedy, and the log's end."""
    cause = "; ".join([str(loss), *engine.errors()])
    remedy = next(
        (remedy for said, remedy in _REMEDIES.items() if re.search(said, cause.lower())),
        "look for the first error in the log; the engine's arguments are set by BONITO_ENGINE_ARGS",
    )
    return (
        f"{what}: {cause}. What to do: {remedy}. "
        f"The log is {engine.log_path} and ends with:\n{engine.tail()}"
    )
