"""A writer is killed at any moment of publishing: whoever reads meanwhile finds a whole state."""

import multiprocessing
import random
import threading
import time
from pathlib import Path

import pyarrow as pa
import pytest

from resources.store import Store

ROWS = 5_000
FILES = 3


def publish_for_ever(root, first, begun):
    """Publishes a table and a folder of which every row and file says the same number."""
    store = Store(root=root)
    number = first
    while True:
        store.write("chunks", "c", pa.table({"number": pa.array([number] * ROWS, pa.int64())}))
        with store.new_folder("tuned_model", "c") as folder:
            for name in range(FILES):
                (folder / str(name)).write_text(f"{number} " * 1000)
        begun.set()
        number += 1


class Reader(threading.Thread):
    """Reads all the time; ``torn`` is what was not whole, ``seen`` counts the states."""

    def __init__(self, store):
        super().__init__(daemon=True)
        self.store, self.over = store, threading.Event()
        self.seen, self.torn, self.reads = set(), [], 0

    def run(self):
        while not self.over.is_set():
            numbers = self.store.read("chunks", "c")["number"].to_pylist()
            words = (Path(self.store._path("tuned_model", "c")) / "0").read_text().split()
            for state, size in ((numbers, ROWS), (words, 1000)):
                self.reads += 1
                if len(state) != size or len(set(state)) != 1:
                    self.torn.append(state)
            self.seen.add(numbers[0])


def kill_while_publishing(root, kills, seed):
    """Gives the reader of `kills` writers, each killed within 0.5 s of its first publish."""
    # A server process with the imports done, so that each writer begins at once.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["resources.store"])
    store = Store(root=root)
    moments = random.Random(seed)
    reader = Reader(store)
    for number in range(kills):
        begun = context.Event()
        writer = context.Process(target=publish_for_ever, args=(root, number * 1_000_000, begun))
        writer.start()
        begun.wait()
        if not number:
            reader.start()
        time.sleep(moments.uniform(0, 0.5))
        writer.kill()
        writer.join()
    reader.over.set()
    reader.join()
    return reader


@pytest.mark.slow
def test_a_reader_finds_the_old_state_or_the_new_one_however_often_writers_are_killed(tmp_path):
    reader = kill_while_publishing(str(tmp_path), kills=200, seed=8)
    assert not reader.torn
    # A test in which nothing was published while somebody read would show nothing.
    assert len(reader.seen) > 200


def test_a_torn_state_would_be_seen(tmp_path):
    store = Store(root=str(tmp_path))
    store.write("chunks", "c", pa.table({"number": [1, 2]}))
    with store.new_folder("tuned_model", "c") as folder:
        (folder / "0").write_text("1 1")
    reader = Reader(store)
    reader.start()
    while not reader.torn:
        time.sleep(0.01)
    reader.over.set()
    reader.join()
    assert reader.torn
