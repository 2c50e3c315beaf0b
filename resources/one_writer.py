"""One run at a time writes a corpus: who may publish is written down, and checked at each publish.

``<root>/.writers/corpus=<corpus>.json`` is the claim of the run that may publish tables and folders
of that corpus, ``<root>/.writers/<table>.json`` that of the run that makes a folder of no corpus.
The run's id is the token: a run that is not the newest to claim is refused, however alive its
processes are, and one that was superseded cannot claim again. Under a local root a lock keeps
claims and publishes apart, so that none slips in between; it needs flock, which local filesystems
and NFS 4 have. An object store has no lock: there the claim is looked at just before the object is
put.

Dagster promises no such thing: the step of a killed run lives on, while the run counts as failed
and its retry has begun. Linux only.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import json
import logging
import multiprocessing
import os
import signal
import socket
import uuid
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

import dagster as dg
import fsspec
from fsspec.implementations.local import LocalFileSystem

PARTITION = "dagster/partition"
# Tags of a run: the machine and the process that run it. A retry copies them from the run that it
# repeats, so the third says whose they are. The UI shows no tag that begins as these do.
HOST, PROCESS = ".dagster/bonito_host", ".dagster/bonito_process"
PROCESS_OF = ".dagster/bonito_process_of"
# A run superseded so many claims ago is long over: a claim is one refresh.
_EARLIER = 50
# From <linux/prctl.h>.
_PR_SET_PDEATHSIG = 1
_log = logging.getLogger(__name__)


class SecondWriter(dg.Failure):
    """Another run is under way where this one wants to write; the message says which."""


class StaleWriter(dg.Failure):
    """The run was superseded, or has ended; the message says by whom. Nothing was written."""


@dataclass(frozen=True)
class Claim:
    """The newest claim: its run, its time (for people only), and the runs that held it before."""

    run_id: str
    since: str
    earlier: tuple[str, ...] = ()


class Writer:
    """What one run may write. A step holds one, from its own process."""

    def __init__(
        self,
        filesystem: fsspec.AbstractFileSystem,
        folder: str,
        run: dg.DagsterRun,
        instance: dg.DagsterInstance,
    ) -> None:
        self._filesystem = filesystem
        self._folder = folder
        self._run = run
        self._instance = instance
        corpus = run.tags.get(PARTITION)
        self._corpus = None if corpus is None else f"corpus={corpus}"
        self._claimed: set[str] = set()

    def write_for(self, corpus: str) -> None:
        """Takes `corpus` for that of the run, where the run does not carry it as its partition."""
        self._corpus = f"corpus={corpus}"

    def take_turn(self) -> None:
        """Claims the corpus of the run, if it has one; raises as ``claim`` does."""
        if self._corpus is not None and self._corpus not in self._claimed:
            self.claim(self._corpus)

    def claim(self, scope: str) -> None:
        """Makes this run the one that may publish in `scope`; for its later steps it still is.

        Raises ``SecondWriter`` while another run is under way there, and ``StaleWriter`` when this
        one was superseded or has ended.
        """
        with self._locked(scope):
            held = self._read(scope)
            if held is None or held.run_id != self._run.run_id:
                self._refuse_if_over(scope, held)
                self._refuse_if_taken(scope, held)
                self._tag_run()
                self._write(scope, self._next(held))
            self._claimed.add(scope)

    @contextlib.contextmanager
    def publishing(self, *scopes: str) -> Iterator[None]:
        """Lets the block publish; no other run can claim the corpus or `scopes` until it ends.

        Raises ``StaleWriter``, before the block, when one of them was claimed by another run since.
        """
        self.take_turn()
        with contextlib.ExitStack() as locks:
            # In one order everywhere, so that no two runs wait for each other.
            for scope in sorted({*scopes, *([self._corpus] if self._corpus else [])}):
                locks.enter_context(self._locked(scope))
                held = self._read(scope)
                if held is None or held.run_id != self._run.run_id:
                    raise self._superseded(scope, held)
            yield

    def _refuse_if_over(self, scope: str, held: Claim | None) -> None:
        if held is not None and self._run.run_id in held.earlier:
            raise self._superseded(scope, held)
        # A run may be over in Dagster's books, and another have come and gone, before its step
        # gets here.
        own = self._instance.get_run_by_id(self._run.run_id)
        if own is not None and own.is_finished:
            raise StaleWriter(
                f"run {own.run_id} of {_words(scope)} has ended ({own.status.value}) before this "
                "step could write; nothing was written, start it again",
                allow_retries=False,
            )

    def _refuse_if_taken(self, scope: str, held: Claim | None) -> None:
        other = None if held is None else self._instance.get_run_by_id(held.run_id)
        if held is None or other is None or other.is_finished:
            return
        if is_gone(other):
            _log.warning("takes %s over from run %s, whose process is gone", scope, other.run_id)
            return
        raise SecondWriter(busy(_words(scope), held.run_id, held.since), allow_retries=False)

    def _superseded(self, scope: str, held: Claim | None) -> StaleWriter:
        whose = f"run {self._run.run_id} of {_words(scope)}"
        if held is None:
            by = f"has lost its claim, {self._path(scope)}, which somebody deleted"
            remedy = "start it again"
        else:
            by = f"was superseded by run {held.run_id} at {held.since}"
            remedy = "the other run's result stands"
        return StaleWriter(f"{whose} {by}; nothing was written, {remedy}", allow_retries=False)

    def _tag_run(self) -> None:
        """Says in the run's tags which process runs it, for whoever asks whether it is gone."""
        worker = process_name(_run_worker())
        # Without its worker this step is about to end; of a run not kept here nobody can ask.
        if worker is None or not self._instance.has_run(self._run.run_id):
            return
        tags = {HOST: socket.gethostname(), PROCESS: worker, PROCESS_OF: self._run.run_id}
        self._instance.add_run_tags(self._run.run_id, tags)

    def _next(self, held: Claim | None) -> Claim:
        since = f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC"
        earlier = () if held is None else (*held.earlier, held.run_id)
        return Claim(self._run.run_id, since, earlier[-_EARLIER:])

    def _path(self, scope: str, suffix: str = "json") -> str:
        return f"{self._folder}/{quote(scope, safe='=')}.{suffix}"

    def _read(self, scope: str) -> Claim | None:
        try:
            found = json.loads(self._filesystem.cat_file(self._path(scope)))
            return Claim(**{**found, "earlier": tuple(found["earlier"])})
        except (FileNotFoundError, ValueError, TypeError, KeyError):
            return None  # whoever damaged it has taken the claim from its run

    def _write(self, scope: str, claim: Claim) -> None:
        content = json.dumps(asdict(claim), indent=1).encode()
        if not self._is_local:
            self._filesystem.pipe_file(self._path(scope), content)
            return
        temporary = Path(self._folder) / f".{uuid.uuid4().hex}.tmp"
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self._path(scope))

    @property
    def _is_local(self) -> bool:
        return isinstance(self._filesystem, LocalFileSystem)

    @contextlib.contextmanager
    def _locked(self, scope: str) -> Iterator[None]:
        """Holds the lock of `scope`, which ends with the process at the latest."""
        if not self._is_local:
            yield
            return
        Path(self._folder).mkdir(parents=True, exist_ok=True)
        with Path(self._path(scope, "lock")).open("ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def busy(what: str, run_id: str, since: str | None = None) -> str:
    """Gives the sentence for whoever comes second."""
    began = f" since {since}" if since else ""
    return (
        f"{what} is being refreshed by run {run_id}{began}; wait for it to end, or terminate it "
        "in the UI (make ui) under Runs"
    )


def _words(scope: str) -> str:
    table, corpus, name = scope.partition("corpus=")
    return f"corpus '{name}'" if corpus else f"'{table}'"


# Processes


def process_name(pid: int) -> str | None:
    """Gives a name that no later process with the same number has, None for one that has ended."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The program's name stands in brackets and may itself hold spaces and brackets.
    fields = stat.rpartition(")")[2].split()
    # The start counts from that of the machine, see proc_pid_stat(5): a clock that is set does not
    # move it. What nobody has taken leave of yet (Z) has ended all the same.
    return None if fields[0] in "ZX" else f"{pid}@{fields[19]}"


def is_gone(run: dg.DagsterRun) -> bool:
    """Tells whether the process that ran `run` was on this machine and has ended.

    It is false where that cannot be known: on another machine, or before a retry has got so far as
    to write over the tags that it copied.
    """
    if not names_its_process(run) or run.tags.get(HOST) != socket.gethostname():
        return False
    process = run.tags[PROCESS]
    return process_name(int(process.partition("@")[0])) != process


def names_its_process(run: dg.DagsterRun) -> bool:
    """Tells whether the tags of `run` name its process, and not that of a run that it repeats."""
    owner = run.tags.get(PROCESS_OF, None if run.parent_run_id else run.run_id)
    return PROCESS in run.tags and owner == run.run_id


def _run_worker() -> int:
    """Gives the process that runs the steps: the parent of this one, unless it does so itself."""
    parent = multiprocessing.parent_process()
    return os.getpid() if parent is None or parent.pid is None else parent.pid


def end_with_run_worker() -> None:
    """Ends this process, hard, as soon as the run worker that started it is gone.

    Dagster counts the run as failed then, and what this process still made would be refused. The
    kernel does it, because Python may be busy in a library. Its own children see to themselves:
    engines have their guard, readers of files their parent's death.
    """
    worker = multiprocessing.parent_process()
    if worker is None:
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if not worker.is_alive():  # it went before the request stood
        os.kill(os.getpid(), signal.SIGKILL)
