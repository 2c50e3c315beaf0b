"""Both ends of the line between a step and its engine, which runs in a process of its own.

The step holds an ``EngineProcess``; ``main`` is the engine's side. The step sends lists of
requests (the arguments of ``EngineLoop.add``), or None as the wish that the engine stop. The
engine sends a ``Started`` and then pairs: a number that grows while it gets on with its work, and
the outcomes that finished. Neither side ever waits for the other to read: each writes from a
thread.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import queue
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from resources import guard
from resources.engine_log import LogFile
from resources.engine_loop import EngineArguments, Entry
from resources.generator import Outcome

# Outcomes of the steps of this time travel together: fifty messages a second cost nothing.
_PAUSE = 0.02
_HEARTBEAT = 1.0
# More than the heartbeat's own work takes, less than any engine's that computes.
_LEAST_PROGRESS = 0.01
_STOP_SECONDS = 5.0
_KILL_SECONDS = 3.0
_TAIL_LINES = 20
# The last line of a traceback, with what pydantic says on the lines after it, and what vLLM says
# of a dead worker.
_ERROR = re.compile(
    r".*?((?:\w+\.)*\w*(?:Error|Exception)(?:: .*)?|Fatal Python error: .*"
    r"|Value error, .*|Worker proc .*)$"
)
_ERROR_CHARACTERS = 400


@dataclass(frozen=True)
class Started:
    """What an engine says of itself once it can take requests."""

    device: str
    max_num_seqs: int
    arguments: EngineArguments

    @property
    def cards(self) -> int:
        """Gives the number of accelerators, or of CPU engines, that it occupies."""
        return self.arguments.tensor_parallel_size or 1


class EngineLost(Exception):
    """The engine is dead or stuck; the message says how that shows, and holds no log."""


class EngineProcess:
    """The step's end: one engine under its guard, and the log that the engine writes.

    ``loop`` names a class like ``EngineLoop`` as ``module:name``, which the engine imports.
    """

    def __init__(
        self, loop: str, folder: Path, window: int, arguments: EngineArguments, stall_seconds: float
    ) -> None:
        self._stall_seconds = stall_seconds
        self._last_progress = 0.0
        self._still = 0.0  # seconds without progress
        self._silent = 0.0  # seconds without a message
        self._log = LogFile()
        ours, theirs = socket.socketpair()
        lifeline, held = os.pipe()
        self._lifeline = os.fdopen(held, "wb", buffering=0)
        with theirs, self._log.open() as log:
            try:
                self._guard = subprocess.Popen(
                    _command(lifeline, theirs.fileno()),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env=_environment(),
                    pass_fds=(lifeline, theirs.fileno()),
                    start_new_session=True,
                )
            finally:
                os.close(lifeline)
        self._connection = Connection(ours.detach())
        self._inbox: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._outbox: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._threads = [
            threading.Thread(target=_read, args=(self._connection, self._inbox), daemon=True),
            threading.Thread(target=_write, args=(self._connection, self._outbox), daemon=True),
        ]
        for thread in self._threads:
            thread.start()
        self._outbox.put((loop, folder, window, arguments))

    def wait(self, seconds: float) -> Started:
        """Waits until the engine can take requests; raises ``EngineLost`` when it will not."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if (message := self._next()) is not None:
                return message
        raise EngineLost(f"it did not start within start_seconds={seconds:g}")

    def send(self, entries: Sequence[Entry]) -> None:
        """Hands requests to the engine; never waits, and leaves all trouble to ``receive``."""
        self._outbox.put(list(entries))
        self._still = self._silent = 0.0

    def receive(self) -> list[Outcome]:
        """Waits for outcomes of what is under way; raises ``EngineLost`` when none can come."""
        while True:
            before = time.monotonic()
            message = self._next()
            # Time in which this process itself was stopped is not held against the engine.
            waited = min(time.monotonic() - before, 2 * _HEARTBEAT)
            if message is None:
                self._silent += waited
                self._still += waited
            else:
                self._silent = 0.0
                progress, outcomes = message
                moved = progress > self._last_progress + _LEAST_PROGRESS
                self._still = 0.0 if moved else self._still + waited
                self._last_progress = max(progress, self._last_progress)
                if outcomes:
                    return outcomes
            if self._still >= self._stall_seconds:
                what = "sign of life" if self._silent >= self._stall_seconds / 2 else "progress"
                raise EngineLost(f"it gave no {what} for stall_seconds={self._stall_seconds:g}")

    def stop(self) -> None:
        """Ends the engine in good order, or by force after five seconds.

        Its log stays where it is that of a step.
        """
        self._outbox.put(None)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._guard.wait(_STOP_SECONDS)
        self.kill()
        self._log.close()

    def kill(self) -> None:
        """Ends the engine and every process of its making at once; the log stays."""
        self._lifeline.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._guard.wait(_KILL_SECONDS)
        # When the guard is stopped, or was killed itself, its work is left to us.
        guard.kill_members(self._guard.pid, _KILL_SECONDS)
        self._guard.kill()
        self._guard.wait()
        self._outbox.put(None)
        for thread in self._threads:
            thread.join(_KILL_SECONDS)
        self._connection.close()

    @property
    def log_path(self) -> Path:
        """Gives the place of the log that the engine writes."""
        return self._log.path

    def errors(self) -> list[str]:
        """Gives the last different errors in the engine's log, the oldest first."""
        found = [match[1] for line in self._log.lines() if (match := _ERROR.match(line))]
        # Pydantic goes on to print its whole input.
        told = (error.partition(" [type=")[0][:_ERROR_CHARACTERS] for error in found)
        return list(dict.fromkeys(told))[-3:]

    def tail(self) -> str:
        """Gives the last lines of the engine's log."""
        return "\n".join(self._log.lines()[-_TAIL_LINES:])

    def _next(self) -> Any | None:
        """Gives the next message, None when there was none for the time of a heartbeat."""
        self._log.cap()
        try:
            message = self._inbox.get(timeout=_HEARTBEAT)
        except queue.Empty:
            if self._guard.poll() is None:
                return None
            message = EOFError
        if message is EOFError:
            raise EngineLost(self._ending())
        return message

    def _ending(self) -> str:
        try:
            code = self._guard.wait(_KILL_SECONDS)
        except subprocess.TimeoutExpired:
            return "it closed its line and did not end"
        if code < 0:
            return f"its guard was killed by {signal.Signals(-code).name}"
        if code - 128 in signal.valid_signals():
            name = signal.Signals(code - 128).name
            hint = " (often: the machine ran out of memory)" if name == "SIGKILL" else ""
            return f"it was killed by {name}{hint}"
        return f"it ended with exit code {code}"


def _command(lifeline: int, connection: int) -> list[str]:
    # By -c and not by -m: what it sends then belongs to this module, and not to `__main__`.
    engine = [sys.executable, "-P", "-c", f"from {__name__} import main; main()", str(connection)]
    numbers = [str(number) for number in (lifeline, connection, os.getpid())]
    return [sys.executable, "-I", "-S", guard.__file__, *numbers, *engine]


def _environment() -> dict[str, str]:
    """Gives this process's environment, with its import path, and a log that holds the cause."""
    path = os.pathsep.join(entry or os.getcwd() for entry in sys.path)  # noqa: PTH109
    return {"VLLM_LOGGING_LEVEL": "INFO", **os.environ, "PYTHONPATH": path}


def _read(connection: Connection, inbox: queue.SimpleQueue[Any]) -> None:
    """Puts every message into `inbox`, and ``EOFError`` after the last."""
    with contextlib.suppress(EOFError, OSError):
        while True:
            inbox.put(connection.recv())
    inbox.put(EOFError)


def _write(connection: Connection, outbox: queue.SimpleQueue[Any]) -> None:
    """Sends what is put into `outbox`, up to and including None."""
    with contextlib.suppress(OSError):  # the other side is gone, which the reader notices
        while True:
            message = outbox.get()
            connection.send(message)
            if message is None:
                return


class _Reporter:
    """The engine's writing thread: outcomes as they finish, and a sign of life every second."""

    def __init__(self, connection: Connection, started: Started) -> None:
        self.outbox: queue.SimpleQueue[list[Outcome]] = queue.SimpleQueue()
        self.steps = 0
        # On one CPU process a step may take minutes, and its work shows in the time used. A card
        # that hangs is waited for in a busy loop, and so is a worker: there only steps count.
        self._alone_on_cpu = started.device == "cpu" and started.cards == 1
        self._connection = connection
        connection.send(started)
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        with contextlib.suppress(OSError):  # the step is gone, and the guard knows
            while True:
                outcomes = self._outcomes()
                self._connection.send((self._progress(), outcomes))
                time.sleep(_PAUSE)

    def _outcomes(self) -> list[Outcome]:
        outcomes: list[Outcome] = []
        with contextlib.suppress(queue.Empty):
            outcomes += self.outbox.get(timeout=_HEARTBEAT)
            while True:
                outcomes += self.outbox.get_nowait()
        return outcomes

    def _progress(self) -> float:
        return self.steps + (time.process_time() if self._alone_on_cpu else 0.0)


def _serve(loop: Any, inbox: queue.SimpleQueue[Any], reporter: _Reporter) -> None:
    """Keeps the loop stepping while there is work, until the step asks it to stop or is gone."""
    while True:
        while not loop.busy or not inbox.empty():
            message = inbox.get()
            if message is None or message is EOFError:
                return
            for entry in message:
                loop.add(*entry)
        outcomes = loop.step()
        reporter.steps += 1
        if outcomes:
            reporter.outbox.put(outcomes)


def _run(connection: Connection) -> None:
    name, folder, window, arguments = connection.recv()
    module, _, attribute = name.partition(":")
    loop = getattr(import_module(module), attribute)(folder, window, arguments)
    reporter = _Reporter(connection, Started(loop.device, loop.max_num_seqs, loop.arguments))
    inbox: queue.SimpleQueue[Any] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(connection, inbox), daemon=True).start()
    _serve(loop, inbox, reporter)
    loop.close()


def main() -> None:
    """Runs an engine at the other end of the descriptor that the first argument names."""
    faulthandler.enable()  # a crash in native code leaves its Python stack in the log
    descriptor = int(sys.argv[1])
    os.set_inheritable(descriptor, False)
    code = 1
    try:
        _run(Connection(descriptor))
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        # The interpreter would take seconds to tear down what the system frees at once, and wait
        # for workers that are dead.
        sys.stdout.flush()
        os._exit(code)
