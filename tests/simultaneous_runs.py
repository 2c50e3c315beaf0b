"""Refreshes of one corpus that start in the same instant: a small chain, each run in a process.

Every run reads what the one before left, and adds 1 in each of two tables, so that runs which
interleave leave two tables that no single run could have left.
"""

import multiprocessing
import time
from pathlib import Path

import dagster as dg
import pyarrow as pa

from resources.store import Store

corpora = dg.StaticPartitionsDefinition(["demo"])


def number(store: Store, table: str) -> int:
    """Gives the number that stands in `table`, 0 before there is one."""
    return store.read(table, "demo")["x"][0].as_py() if store.exists(table, "demo") else 0


@dg.asset(partitions_def=corpora)
def documents(store: Store) -> None:
    """Publishes the number of the refresh."""
    found = number(store, "documents")
    time.sleep(0.05)  # in which others do the same, where they may
    store.write("documents", "demo", pa.table({"x": [found + 1]}))


@dg.asset(partitions_def=corpora, deps=[documents])
def chunks(store: Store) -> None:
    """Publishes the number of the refresh twice: its own, and what the first table says."""
    found = number(store, "chunks")
    time.sleep(0.05)
    both = pa.table({"x": [found + 1], "documents": [number(store, "documents")]})
    store.write("chunks", "demo", both)


def refresh(folder: str, gate: object, said: object) -> None:
    """Runs the chain once, at the gate with all others; says what made it fail, or ''."""
    with dg.DagsterInstance.from_config(f"{folder}/home") as instance:
        gate.wait()
        result = dg.materialize(
            [documents, chunks],
            partition_key="demo",
            instance=instance,
            resources={"store": Store(root=f"{folder}/data")},
            raise_on_error=False,
        )
        failures = result.get_step_failure_events()
        said.put(failures[0].step_failure_data.user_failure_data.description if failures else "")


def start_together(folder: Path, runs: int) -> tuple[list[str], list[int]]:
    """Gives what each of `runs` refreshes said, and the numbers that they left."""
    # A server process with the imports done, so that the runs begin together.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["dagster", "resources.store"])
    with dg.DagsterInstance.from_config(f"{folder}/home"):
        pass  # else all of them would create its tables at once
    gate, said = context.Barrier(runs), context.SimpleQueue()
    processes = [
        context.Process(target=refresh, args=(str(folder), gate, said)) for _ in range(runs)
    ]
    for process in processes:
        process.start()
    sentences = [said.get() for _ in processes]
    for process in processes:
        process.join()
    chunks_now = Store(root=f"{folder}/data").read("chunks", "demo")
    return sentences, [column[0].as_py() for column in chunks_now.columns]
