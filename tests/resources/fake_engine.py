"""An engine without a model, for tests of what goes on around engines; it runs in real processes.

A request's seed says what becomes of the engine that computes it.
"""

import os
import signal
import subprocess
import time

from resources.generator import Outcome

DEADLY, RAISING, HANGING = 1_001, 1_002, 1_003


class FakeEngine:
    """Answers with the number of prompt tokens, `max_num_seqs` requests a step."""

    device = "fake"

    def __init__(self, folder, window, arguments):
        self.arguments = arguments
        self.max_num_seqs = arguments.max_num_seqs or 32
        self._seconds = arguments.extra.get("seconds_per_step", 0.001)
        self._stays = arguments.extra.get("stays", False)
        self._waiting = []
        if message := arguments.extra.get("broken"):
            raise RuntimeError(message)
        if arguments.extra.get("helper"):  # as a worker would that has left the group
            subprocess.Popen(["sleep", "1000"], start_new_session=True)
        time.sleep(arguments.extra.get("start_seconds", 0))

    @property
    def busy(self):
        return bool(self._waiting)

    def add(self, name, ids, sampling, seed):
        self._waiting.append((name, ids, seed))

    def step(self):
        time.sleep(self._seconds)
        running = self._waiting[: self.max_num_seqs]
        for _, _, seed in running:
            if seed == DEADLY:
                os.kill(os.getpid(), signal.SIGKILL)
            if seed == RAISING:
                raise ValueError("token id 5000 is out of vocabulary")
            if seed == HANGING:
                time.sleep(1000)
        del self._waiting[: self.max_num_seqs]
        return [
            Outcome(name, f"{len(ids)} tokens", "stop", len(ids), 1, -0.5)
            for name, ids, _ in running
        ]

    def close(self):
        if self._stays:
            time.sleep(1000)
