"""A step in a process of its own, to be killed: refreshes so many passages in a store.

``python -m tests.generation.step STORE PASSAGES LOOP LOG``: LOOP is what the engine's process runs,
as ``module:name``; LOG takes a line per output that an engine of ``CountedLoop`` gives.
"""

from __future__ import annotations

import os
import sys
import time
from contextlib import contextmanager

from bonito_assets import settings, tables
from bonito_assets.catalogue import Corpus
from bonito_assets.generation.refresh import refresh
from resources.generator import Outcome
from resources.store import Store
from resources.vllm_engine import VllmEngine, VllmSession

TASK_TYPES = ["nli", "exqa"]
LOG = "BONITO_TEST_LOG"


class CountedLoop:
    """Stands in for the engine's loop: answers eight requests per step, and writes down each."""

    max_num_seqs = 64
    device = "cpu"

    def __init__(self, folder, window, arguments):
        self.arguments = arguments
        self._waiting = []
        self._log = os.open(os.environ[LOG], os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    @property
    def busy(self):
        return bool(self._waiting)

    def add(self, name, ids, sampling, seed):
        self._waiting.append((name, ids))

    def step(self):
        time.sleep(0.008)  # a thousand answers per second, which no engine gives
        done, self._waiting = self._waiting[:8], self._waiting[8:]
        os.write(self._log, b"x" * len(done))
        return [
            Outcome(name, f"Q {sum(ids)}?\n<|pipe|>\nA", "stop", len(ids), 7, -0.5)
            for name, ids in done
        ]

    def close(self):
        pass


class Engine(VllmEngine):
    """The engine backend, with another loop in the engine's process."""

    loop: str

    @contextmanager
    def open(self, log):
        session = VllmSession(self.resolve(), self, log, loop=self.loop)
        try:
            yield session
        finally:
            session.close()


def corpus():
    return Corpus(name="c", folder="/", source={"files": "x"}, task_types=TASK_TYPES)


def chunks(number):
    return tables.build("chunks", [
        {"corpus": "c", "chunk_id": f"c{i}", "doc_id": f"d{i}", "position": 0, "start_char": 0,
         "end_char": 30, "text": f"The passage with number {i}.", "n_tokens": 9,
         "units": ["paragraph"]}
        for i in range(number)
    ])  # fmt: skip


if __name__ == "__main__":
    os.environ[LOG] = sys.argv[4]
    store = Store(root=sys.argv[1])
    store.write("chunks", "c", chunks(int(sys.argv[2])))
    engine = Engine(model=str(settings.DEMO_MODEL), loop=sys.argv[3])
    refresh(store, corpus(), engine, "test", print)
