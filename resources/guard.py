"""The small process between a step and its engine: when the step is gone, so is the engine.

``python -I -S guard.py LIFELINE CONNECTION STEP program arguments...`` starts the program and ends
with its exit code (128 + n after signal n). It is to be started as leader of its own session.
LIFELINE is the read end of a pipe whose write end only the step holds, so that its end of file
means that the step is gone, however it died; CONNECTION is a descriptor meant for the program
alone; STEP is the step's process id. At the program's end and at the step's, every process that
descends from the program is killed. vLLM's workers would else outlive both and keep the card.

It imports the least that it can, and starts in some 20 ms. Linux only.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import sys
import time
from pathlib import Path

# From <linux/prctl.h>.
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_TRACKER_SECONDS = 2.0


def members(guard: int) -> set[int]:
    """Gives the live processes that descend from `guard` or are in its session, without itself.

    The session finds those whose line of descent broke because the guard itself was killed.
    """
    parents: dict[int, int] = {}
    live: set[int] = set()
    found: set[int] = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                state, parent, session, threads = _stat(entry)
                # A zombie holds nothing, unless some of its threads are still on their way out:
                # until they are gone it also keeps its children.
                parents[int(entry.name)] = parent
                if state not in "ZX" or threads > 1:
                    live.add(int(entry.name))
                    if session == guard:
                        found.add(int(entry.name))
    for pid in live:
        ancestor = pid
        while ancestor in parents and ancestor != guard:
            ancestor = parents[ancestor]
        if ancestor == guard:
            found.add(pid)
    return found - {guard}


def _stat(process: Path) -> tuple[str, int, int, int]:
    """Gives state, parent, session and number of threads; see proc_pid_stat(5)."""
    # The program's name stands in brackets and may itself hold spaces and brackets.
    fields = (process / "stat").read_text(errors="replace").rpartition(")")[2].split()
    return fields[0], int(fields[1]), int(fields[3]), int(fields[17])


def kill_members(guard: int, seconds: float) -> None:
    """Kills the members until none is left, for at most `seconds`."""
    began = time.monotonic()
    while (left := members(guard)) and time.monotonic() < began + seconds:
        for pid in left:
            if time.monotonic() < began + _TRACKER_SECONDS and _tracks_memory(pid):
                continue
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.02)


def _tracks_memory(pid: int) -> bool:
    """Tells Python's resource tracker, which ends last and by itself.

    It frees the shared memory that vLLM's workers leave behind when they are killed.
    """
    with contextlib.suppress(OSError):
        return b"multiprocessing.resource_tracker" in Path(f"/proc/{pid}/cmdline").read_bytes()
    return False


def _start(command: list[str]) -> int:
    guard = os.getpid()
    pid = os.fork()
    if pid:
        return pid
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() == guard:  # else it died before the line above
        with contextlib.suppress(OSError):
            os.execv(command[0], command)
    os._exit(127)


def _prctl(option: int, value: int) -> None:
    ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def _ended(program: int) -> int | None:
    """Takes leave of all children that have ended; gives the program's exit code if it has."""
    code = None
    with contextlib.suppress(ChildProcessError):
        while (child := os.waitpid(-1, os.WNOHANG)) != (0, 0):
            if child[0] == program:
                code = os.waitstatus_to_exitcode(child[1])
    return code


def main() -> None:
    """Guards the program until it or the step has ended."""
    lifeline, connection, step = (int(argument) for argument in sys.argv[1:4])
    os.set_inheritable(lifeline, False)
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)  # orphaned grandchildren come to us, where we find them
    awake, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake)
    program = _start(sys.argv[4:])
    os.close(connection)
    code = None
    # A process forked off the step may hold the lifeline open, so the parent is looked at as well.
    while code is None and os.getppid() == step:
        readable = select.select([lifeline, awake], [], [], 1.0)[0]
        if lifeline in readable:
            break
        if awake in readable:
            os.read(awake, 4096)
        code = _ended(program)
    kill_members(os.getpid(), seconds=10)
    os._exit(128 + signal.SIGKILL if code is None else 128 - code if code < 0 else code)


if __name__ == "__main__":
    main()
