"""vLLM on every node of a Ray cluster: plain actors, each with an engine, fed from the step.

Ray Data's ``map_batches`` hands a model whole batches and waits for the slowest of each, and wants
its input in full before it starts. Here an actor is asked turn by turn: a turn brings new prompts,
lets the engine step for about a second, and brings back what has finished. Two turns are always
asked for, so that the engine steps while the answer to the one before travels.

What dies takes with it what was in its engine and nothing else: that is given to other engines,
and a new engine is started as soon as the cluster has room for one.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import os
import signal
import socket
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib import import_module
from itertools import count, islice
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from resources.admission import Admission
from resources.engine_loop import ENGINE_LOOP, EngineArguments, Entry
from resources.generator import Generator, GeneratorError, Log, Outcome, Request, window_of
from resources.model import Model, ModelError, is_path, resolve

_SETTING = "BONITO_MODEL"
# Prompts are judged in lists of this length.
_JUDGED_AT_ONCE = 64
# A turn is long beside its way to the step and back (about 1 ms), and short beside a person's
# patience. It ends early when an eighth of the engine's window has finished, so that two turns
# never run the queue in front of the scheduler dry.
_TURN_SECONDS = 1.0
_TURN_SHARE = 8
_TURNS_AHEAD = 2
# What was in an engine at its death is tried again in so many groups, then one by one.
_GROUPS = 16
# Deaths in a row without an answer, per engine. One bad request takes three: among all others, in
# its group, and alone.
_BARREN_DEATHS = 5
_PROBE_SECONDS = 10.0
# Only requests and outcomes lie in the object store, for moments.
_OBJECT_STORE_BYTES = 256 << 20


class RayCluster(Generator):
    """vLLM engines as actors of a Ray cluster, joined by its address or started on this machine.

    Every node needs this project installed in the same versions. A model given as a hub id is
    fetched by each node, at the commit that this machine resolved; a path must be the same on all.

    With GPUs in the cluster an engine takes ``tensor_parallel_size`` of them (1 unless ``engine``
    says more) on one node, and there are as many engines as the cluster has room for. Without GPUs
    there is one engine per node, on ``cpus_per_actor`` of its CPUs. A cluster that grows by itself
    gets what ``actors`` and ``gpus_per_actor`` ask for.
    """

    address: str | None = Field(
        None, description="`auto`, `host:port` or `ray://host:port`; none starts Ray here."
    )
    actors: int | None = Field(None, ge=1, description="Engines; none fills the cluster.")
    cpus_per_actor: int = Field(1, ge=1, description="CPUs that one engine reserves.")
    gpus_per_actor: int | None = Field(
        None, ge=0, description="GPUs of one engine; none takes them if the cluster has any."
    )
    engine: dict[str, Any] = Field(
        {}, description="Arguments of the vLLM engines, by the names of `EngineArguments`."
    )
    stall_seconds: float = Field(60.0, ge=1, description="So long silent, an engine is given up.")
    start_seconds: float = Field(1800.0, ge=1, description="An engine may take so long to start.")
    room_seconds: float = Field(120.0, ge=1, description="How long to wait for a node with room.")

    @field_validator("engine")
    @classmethod
    def _known(cls, engine: dict[str, Any]) -> dict[str, Any]:
        known = {field.name for field in dataclasses.fields(EngineArguments)}
        if unknown := sorted(engine.keys() - known):
            raise ValueError(
                f"engine: no argument is called {', '.join(unknown)}; there are "
                f"{', '.join(sorted(known))}, and any other of vLLM's goes into `extra`"
            )
        EngineArguments(**engine)  # raises ValueError for what stands twice
        return engine

    def resolve(self) -> Model:
        """Gives the checkpoint; raises ``ModelError`` when it is not there."""
        return _resolve(self.model, self.arguments)

    def window(self, model: Model) -> int:
        """Gives the largest sum of prompt and output tokens that will be taken."""
        return window_of(model, self.arguments.max_model_len)

    @contextlib.contextmanager
    def open(self, log: Log) -> Iterator[RaySession]:
        """Opens a session; Ray and the engines start with the first prompt that needs them."""
        session = RaySession(self.resolve(), self, log)
        try:
            yield session
        finally:
            session.close()

    @property
    def arguments(self) -> EngineArguments:
        """Gives the arguments of the engines; how many GPUs each has is settled here."""
        arguments = EngineArguments(**self.engine)
        return dataclasses.replace(
            arguments, tensor_parallel_size=arguments.tensor_parallel_size or 1
        )


class EngineActor:
    """One engine on a node of the cluster; what its methods take and give travels by Ray."""

    def place(self) -> tuple[str, str]:
        """Gives the id and the host name of the node that this actor lives on."""
        import ray

        return ray.get_runtime_context().get_node_id(), socket.gethostname()

    def start(
        self, loop: str, name: str, fingerprint: str, window: int, arguments: EngineArguments
    ) -> int:
        """Starts the engine with the checkpoint `name`; gives how many requests it runs at once.

        `loop` is the ``module:class`` of the engine's loop. Raises ``ModelError`` when the
        checkpoint on this node is not the one with `fingerprint`, and whatever vLLM raises.
        """
        model = _resolve(name, arguments)
        if model.fingerprint != fingerprint:
            raise ModelError(
                f"{_SETTING}: '{name}' is another checkpoint there (fingerprint "
                f"{model.fingerprint[:12]}) than here ({fingerprint[:12]}); put the same files on "
                "every node, or set a hub id"
            )
        adapter = None if model.adapter is None else str(model.adapter)
        arguments = dataclasses.replace(arguments, adapter=adapter)
        module, _, attribute = loop.partition(":")
        self._loop = getattr(import_module(module), attribute)(model.folder, window, arguments)
        return self._loop.max_num_seqs

    def turn(self, entries: list[Entry]) -> list[Outcome]:
        """Takes new requests, lets the engine step, and gives what has finished meanwhile."""
        outcomes = [refusal for entry in entries if (refusal := self._add(entry))]
        enough = max(1, 2 * self._loop.max_num_seqs // _TURN_SHARE)
        until = time.monotonic() + _TURN_SECONDS
        while self._loop.busy and len(outcomes) < enough and time.monotonic() < until:
            outcomes += self._loop.step()
        return outcomes

    def _add(self, entry: Entry) -> Outcome | None:
        try:
            self._loop.add(*entry)
        except ValueError:  # vLLM will not have this one; it says so before it does anything
            return Outcome(entry[0], rejected_because="engine_error")
        return None


@dataclass(slots=True)
class _Pending:
    """A request that the model may see, and how often an engine died with it inside."""

    name: str
    request: Request
    ids: list[int]
    deaths: int = 0

    @property
    def entry(self) -> Entry:
        return self.name, self.ids, self.request.sampling, self.request.seed


class _Engine:
    """An actor as the step sees it: what it has been asked, and what is in its engine.

    ``window`` is 0 until the engine is up. ``patience`` is for how many seconds it may be silent.
    """

    def __init__(self, number: int, actor: Any) -> None:
        self.number = number
        self.actor = actor
        self.calls: deque[tuple[str, Any]] = deque()
        self.pending: dict[str, _Pending] = {}
        self.isolates = False
        self.node = self.host = ""
        self.window = 0
        self.patience = math.inf
        self.heard = time.monotonic()
        self.ask("place")

    def ask(self, method: str, *arguments: Any) -> None:
        if not self.calls:
            self.heard = time.monotonic()
        self.calls.append((method, getattr(self.actor, method).remote(*arguments)))

    def give(self, several: list[_Pending]) -> None:
        self.pending |= {pending.name: pending for pending in several}
        self.ask("turn", [pending.entry for pending in several])

    def keep_busy(self) -> None:
        while self.pending and len(self.calls) < _TURNS_AHEAD:
            self.ask("turn", [])

    @property
    def silent(self) -> bool:
        return bool(self.calls) and time.monotonic() - self.heard > self.patience

    def __str__(self) -> str:
        return f"engine {self.number}" + (f" on {self.host}" if self.host else "")


class RaySession:
    """Keeps the engines of a cluster full from an iterator of requests.

    ``loop`` names the class that each actor runs, as ``module:name``.
    """

    def __init__(
        self, model: Model, settings: RayCluster, log: Log, loop: str = ENGINE_LOOP
    ) -> None:
        self._model = model
        self._settings = settings
        self._log = log
        self._arguments = settings.arguments
        if model.adapter is not None and self._arguments.adapter is None:
            # The model was named by its adapter; nodes find it where it lies here.
            self._arguments = dataclasses.replace(self._arguments, adapter=str(model.adapter))
        self._admission = Admission(self._model, self._arguments.max_model_len)
        self._loop = loop
        self._ray: Any = None
        self._engines: list[_Engine] = []
        self._engine_numbers = count(1)
        self._request_names = count()
        self._wanted = settings.actors or 1
        self._needs: dict[str, int] = {}
        self._barren = 0
        # Admitted requests, and those that an engine has died of or with, in groups.
        self._queue: deque[_Pending] = deque()
        self._suspects: deque[list[_Pending]] = deque()

    @property
    def cards(self) -> int:
        """Gives the number of GPUs that the engines hold, or of the engines where they hold none.

        Until the first engine has its place that is what is asked for.
        """
        engines = sum(bool(engine.node) for engine in self._engines) or self._wanted
        return engines * max(1, self._needs.get("num_gpus", 0))

    def generate(self, requests: Iterable[Request]) -> Iterator[Outcome]:
        """Gives exactly one outcome per request, in the order in which they finish.

        Raises ``GeneratorError`` when no engine starts, or when they die one after the other.
        """
        waiting = iter(requests)
        try:
            while True:
                while len(self._queue) < self._room() and (
                    several := list(islice(waiting, _JUDGED_AT_ONCE))
                ):
                    yield from self._admit(several)
                if not self._unanswered():
                    return
                self._start()
                self._feed()
                yield from self._collect()
        finally:
            if self._unanswered():  # the caller has had enough, or there was an error
                self.close()

    def close(self) -> None:
        """Ends every actor and leaves the cluster; one that was started here ends as well."""
        if self._ray is None:
            return
        for engine in self._engines:
            self._ray.kill(engine.actor)
        self._ray.shutdown()
        self._ray = None
        self._engines.clear()
        self._queue.clear()
        self._suspects.clear()

    # What is to be done.

    def _room(self) -> int:
        """Gives how many requests the engines could take now, at least one."""
        free = (e.window - len(e.pending) for e in self._engines if not e.isolates)
        return max(1, sum(n for n in free if n > 0))

    def _admit(self, requests: list[Request]) -> Iterator[Outcome]:
        """Queues what the model may see; gives the outcomes of the rest."""
        for request, verdict in zip(requests, self._admission.judge(requests), strict=True):
            if verdict.rejected_because is None:
                self._queue.append(_Pending(str(next(self._request_names)), request, verdict.ids))
            else:
                yield Outcome(
                    request.key,
                    prompt_tokens=len(verdict.ids),
                    rejected_because=verdict.rejected_because,
                )

    def _unanswered(self) -> bool:
        return bool(self._queue or self._suspects or any(e.pending for e in self._engines))

    def _feed(self) -> None:
        """Fills the engines; while there are suspects, the emptiest gets them, group by group."""
        ready = [engine for engine in self._engines if engine.window]
        ward = min(ready, key=lambda e: len(e.pending)) if self._suspects and ready else None
        for engine in ready:
            engine.isolates = engine.isolates and bool(engine.pending)
            if engine is ward:
                if not engine.pending:
                    engine.isolates = True
                    engine.give(self._suspects.popleft())
            elif not engine.isolates and self._queue:
                free = engine.window - len(engine.pending)
                if free > 0:
                    n = min(free, len(self._queue))
                    engine.give([self._queue.popleft() for _ in range(n)])
            engine.keep_busy()

    # What comes back.

    def _collect(self) -> Iterator[Outcome]:
        """Waits for an answer of any actor for a second at most; gives what has finished."""
        answered = self._answered()
        for engine in list(self._engines):
            try:
                while engine.calls and engine.calls[0][1] in answered:
                    method, call = engine.calls.popleft()
                    engine.heard = time.monotonic()
                    yield from self._take(engine, method, self._ray.get(call))
            except self._ray.exceptions.RayError as error:
                yield from self._failed(engine, method, error)
                continue
            if engine.silent:
                why = f"silent for {engine.patience:g} s"
                yield from self._lost(engine, why, blame=True)
        self._require_room()

    def _answered(self) -> set[Any]:
        calls = [call for engine in self._engines for _, call in engine.calls]
        first, rest = self._ray.wait(calls, num_returns=1, timeout=1.0)
        if not rest:
            return set(first)
        more, _ = self._ray.wait(rest, num_returns=len(rest), timeout=0)
        return {*first, *more}

    def _take(self, engine: _Engine, method: str, answer: Any) -> Iterator[Outcome]:
        if method == "place":
            engine.node, engine.host = answer
            engine.patience = self._settings.start_seconds
            name, fingerprint = _name_on_nodes(self._model), self._model.fingerprint
            window = self._admission.window
            engine.ask("start", self._loop, name, fingerprint, window, self._arguments)
        elif method == "start":
            # Twice what the scheduler runs at once: it never waits for the step.
            engine.window = 2 * answer
            engine.patience = self._settings.stall_seconds
            self._log(f"ray: {engine} is ready and runs {answer} requests at once")
        else:
            for outcome in answer:
                self._barren = 0
                request = engine.pending.pop(outcome.key).request
                yield dataclasses.replace(outcome, key=request.key)

    # What goes wrong.

    def _failed(self, engine: _Engine, method: str, error: Exception) -> Iterator[Outcome]:
        errors = self._ray.exceptions
        if method != "turn" and isinstance(error, errors.RayTaskError):
            self._unfit(engine, _cause(error))
            return
        # A process that dies is told from a node that is no longer heard from; and a node that
        # has just been lost counts as alive for some seconds.
        blame = not isinstance(error, errors.ActorUnavailableError) and self._alive(engine.node)
        yield from self._lost(engine, _cause(error), blame)

    def _unfit(self, engine: _Engine, why: str) -> None:
        """Goes on without an engine that cannot start, if others could."""
        self._drop(engine)
        self._wanted -= 1
        if not any(other.window for other in self._engines):
            raise GeneratorError(
                f"{engine} cannot start: {why}. Every node needs the model and this project's "
                "environment in the same versions; the engine's arguments are the setting `engine`"
            )
        self._log(f"ray: {engine} cannot start and is left out: {why}")

    def _lost(self, engine: _Engine, why: str, blame: bool) -> Iterator[Outcome]:
        """Replaces an engine and finds other engines for its requests.

        With `blame` one of them may have been the cause: all are tried again in groups, each alone
        in an engine, and then one by one. One that is alone in an engine when that dies, and was
        in another that died before, is set aside.
        """
        self._drop(engine)
        suspects = list(engine.pending.values())
        self._log(f"ray: {engine} is lost with {len(suspects)} requests in it: {why}")
        self._barren += 1
        if self._barren > _BARREN_DEATHS * self._wanted:
            raise GeneratorError(
                f"{self._barren} engines died in a row without one answer; the last: {why}. Its "
                "log is on its node, in the folder `logs` of Ray's session"
            )
        self._launch()
        if not blame:
            self._queue.extendleft(reversed(suspects))
            return
        for suspect in suspects:
            suspect.deaths += 1
        if len(suspects) == 1 and suspects[0].deaths > 1:
            request = suspects[0].request
            self._log(f"ray: request {request.key} is set aside: engines die of it")
            yield Outcome(
                request.key,
                prompt_tokens=len(suspects[0].ids),
                rejected_because="engine_error",
            )
            return
        size = 1 if engine.isolates else math.ceil(len(suspects) / _GROUPS)
        groups = [suspects[at : at + size] for at in range(0, len(suspects), size)]
        self._suspects.extendleft(reversed(groups))

    def _require_room(self) -> None:
        """Raises when no actor has found a node for too long; Ray itself would wait for ever."""
        if any(engine.node for engine in self._engines):
            return
        since = min(engine.heard for engine in self._engines)
        if time.monotonic() - since > self._settings.room_seconds:
            raise GeneratorError(
                f"no node has had room for an engine for {self._settings.room_seconds:g} s: each "
                f"takes {_amounts(self._needs)}; the cluster has "
                f"{_amounts(self._ray.cluster_resources())}, of which free "
                f"{_amounts(self._ray.available_resources())}. Set `cpus_per_actor`, "
                "`gpus_per_actor` or `engine.tensor_parallel_size`, or add nodes"
            )

    # The cluster.

    def _start(self) -> None:
        """Joins the cluster and asks for the engines, unless that was done before."""
        if self._ray is not None:
            return
        self._ray = _join(self._settings.address)
        nodes = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
        self._needs = _needs(self._settings, self._arguments, nodes)
        self._wanted = self._settings.actors or _places(self._needs, nodes)
        self._barren = 0
        where = "started here" if self._settings.address is None else self._settings.address
        self._log(
            f"ray: cluster {where} with {len(nodes)} nodes; {self._wanted} engines are asked for, "
            f"each with {_amounts(self._needs)}"
        )
        for _ in range(self._wanted):
            self._launch()

    def _launch(self) -> None:
        kind = self._ray.remote(EngineActor).options(
            **self._needs, scheduling_strategy="SPREAD", max_restarts=0, max_task_retries=0
        )
        self._engines.append(_Engine(next(self._engine_numbers), kind.remote()))

    def _drop(self, engine: _Engine) -> None:
        self._engines.remove(engine)
        self._ray.kill(engine.actor)

    def _alive(self, node: str) -> bool:
        return any(n["NodeID"] == node and n["Alive"] for n in self._ray.nodes())


def _join(address: str | None) -> Any:
    """Gives the module ``ray``, connected; raises ``GeneratorError`` where that does not work."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_SCHEDULER_EVENTS", "0")
    try:
        import ray
    except ImportError as error:
        raise GeneratorError(
            f"the backend `ray` needs the package ray ({error}); install this project with its "
            "extra `ray`, or set BONITO_BACKEND to `engine`"
        ) from error
    local = {"include_dashboard": False, "object_store_memory": _OBJECT_STORE_BYTES}
    with _own_sigterm():
        try:
            _probe(address)
            ray.init(
                address or "local",
                log_to_driver=False,
                logging_level="ERROR",
                **({} if address else local),
            )
        except Exception as error:  # Ray raises many kinds; each means "no cluster"
            raise GeneratorError(
                f"cannot join the Ray cluster '{address}': {_cause(error)}; correct the setting "
                "`address`, or leave it out to start Ray on this machine"
                if address
                else f"cannot start Ray on this machine: {_cause(error)}"
            ) from error
    # Of a death Ray prints pages; the session's own log has the line that matters.
    ray._private.worker._worker_logs_enabled = False
    return ray


def _probe(address: str | None) -> None:
    """Raises ``OSError`` where nobody listens; Ray itself would try for ten minutes."""
    where = urlsplit(f"//{(address or '').removeprefix('ray://')}")
    if where.port:
        socket.create_connection((where.hostname, where.port), _PROBE_SECONDS).close()


@contextlib.contextmanager
def _own_sigterm() -> Iterator[None]:
    """Puts back the handler that Ray replaces: the step has its own way of being interrupted."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)


def _needs(
    settings: RayCluster, arguments: EngineArguments, nodes: list[dict[str, float]]
) -> dict[str, int]:
    """Gives what one actor reserves on its node."""
    gpus = settings.gpus_per_actor
    if gpus is None:
        found = any(node.get("GPU") for node in nodes)
        gpus = arguments.tensor_parallel_size if found else 0
    return {"num_cpus": settings.cpus_per_actor, "num_gpus": gpus}


def _places(needs: dict[str, int], nodes: list[dict[str, float]]) -> int:
    """Gives how many actors the nodes have room for, one per node without GPUs; at least one."""
    per_node = (
        min(
            node.get("CPU", 0) // needs["num_cpus"],
            node.get("GPU", 0) // needs["num_gpus"] if needs["num_gpus"] else 1,
        )
        for node in nodes
    )
    return max(1, int(sum(per_node)))


def _resolve(name: str, arguments: EngineArguments) -> Model:
    """Gives the checkpoint with what is laid over it: adapter and quantisation change outputs."""
    adapter, quantization = arguments.adapter, arguments.quantization
    return resolve(name, _SETTING, adapter, quantization, may_be_adapter=True)


def _name_on_nodes(model: Model) -> str:
    """Gives the name by which every node finds the very same checkpoint."""
    if is_path(model.name):
        return str(Path(model.folder).resolve())
    # The hub's client names the folder by the commit; the fingerprint may cover an adapter too.
    return f"{model.name.partition('@')[0]}@{model.folder.name}"


def _amounts(resources: dict[str, float]) -> str:
    """Gives CPUs and GPUs for people; Ray's and the actors' names for them differ."""
    cpus = resources.get("CPU", resources.get("num_cpus", 0))
    gpus = resources.get("GPU", resources.get("num_gpus", 0))
    return f"{cpus:g} CPU and {gpus:g} GPU"


def _cause(error: Exception) -> str:
    """Gives the error that was raised on the node, or Ray's own, on one line."""
    cause = getattr(error, "cause", None) or error
    # What Ray says of a dead actor begins with names and numbers that mean nothing to people.
    reason = str(cause).rpartition("The actor is dead because ")[2]
    return f"{type(cause).__name__}: {' '.join(reason.split())[:600]}"
