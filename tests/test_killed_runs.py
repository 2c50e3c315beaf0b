"""Runs that are killed, and runs that start together: the tables are those of one run at a time."""

import contextlib
import importlib
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import dagster as dg
import psutil
import pytest

from resources.store import Store

slow = pytest.mark.slow
# Where the processes of a test find the modules beside it.
HERE = str(Path(__file__).parent)
TABLES = ("documents", "chunks", "generations", "tasks")
CATALOGUE = """
source: {files: docs}
task_types: [exqa]
chunking: {max_chars: 240}
sampling: {max_tokens: 96}
samples_per_chunk: 8
reproducible: true
"""
HERON = "The grey heron stands in shallow water for hours. It eats fish, frogs and small eels."
# Two words hold nothing to ask about: the passage is refused, and no refresh needs the model.
MARKER = "mark {}"


class Place:
    """A corpus of two documents, one of which says which refresh read it."""

    def __init__(self, folder):
        self.folder = folder
        docs = folder / "corpora" / "docs"
        docs.mkdir(parents=True)
        (docs / "heron.md").write_text(HERON)
        (folder / "corpora" / "two.yaml").write_text(CATALOGUE)
        (folder / "home").mkdir()
        (folder / "home" / "dagster.yaml").write_text(
            "telemetry: {enabled: false}\n"
            "concurrency: {pools: {default_limit: 1, granularity: op}}\n"
        )
        self.store = Store(root=str(folder / "data"))

    def mark(self, word):
        (self.folder / "corpora" / "docs" / "mark.txt").write_text(MARKER.format(word))

    def start(self, *command):
        return subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={
                **os.environ,
                "DAGSTER_HOME": str(self.folder / "home"),
                "BONITO_CORPORA": str(self.folder / "corpora"),
                "BONITO_DATA": str(self.folder / "data"),
                "HF_HUB_OFFLINE": "1",
            },
        )

    def refresh(self):
        main = "from bonito_assets.cli import main; main()"
        return self.start(sys.executable, "-c", main, "run", "two", "--to", "tasks")

    def launch(self):
        """As ``refresh``, but by Dagster's own command, which does not ask whether another runs."""
        dg_command = str(Path(sys.executable).with_name("dg"))
        assets = ["--assets", ",".join(TABLES), "--partition", "two"]
        return self.start(dg_command, "launch", *assets)

    def finished(self, process):
        output, _ = process.communicate()
        assert process.returncode == 0, output

    def texts(self):
        return {
            table: self.store.read(table, "two")["text"].to_pylist()
            for table in ("documents", "chunks")
        }

    def counts(self):
        """Gives the rows of each table and how many different ones, by their ids."""
        ids = ("doc_id", "chunk_id", "generation_id", "generation_id")
        columns = (self.store.read(t, "two", [i])[i] for t, i in zip(TABLES, ids, strict=True))
        return [(len(column), len(column.unique())) for column in columns]

    def digests(self):
        return {table: self.store.stamps(table, "two")["digest"] for table in TABLES}

    def processes(self):
        """Gives the live processes that were started for this place."""
        mine = f"BONITO_DATA={self.folder / 'data'}".encode()
        found = []
        for process in psutil.process_iter():
            try:
                if mine in Path(f"/proc/{process.pid}/environ").read_bytes().split(b"\0"):
                    found.append(process)
            except OSError:  # it has just ended
                continue
        return [process for process in found if process.status() != psutil.STATUS_ZOMBIE]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    place = Place(tmp_path_factory.mktemp("killed"))
    place.mark("first")
    place.finished(place.refresh())
    return place


def kill_and_repeat(place, number, seconds):
    """Kills the run worker of a refresh after `seconds` while the next one starts.

    Gives how many processes the killed one had, and how many of them were left 10 s later.
    """
    place.mark(f"stale{number}")
    killed = place.refresh()
    with contextlib.suppress(subprocess.TimeoutExpired):
        killed.communicate(timeout=seconds)
    orphans = place.processes()
    place.mark(f"fresh{number}")
    following = place.refresh()
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    _, left = psutil.wait_procs([p for p in orphans if p.pid != killed.pid], timeout=10)
    place.finished(following)
    return len(orphans) - 1, len(left)


@slow
@pytest.mark.parametrize("number", range(2))
def test_a_killed_refresh_leaves_no_row_and_no_process(place, number):
    before = place.counts()
    began = time.monotonic()
    place.finished(place.refresh())
    whole = time.monotonic() - began
    seconds = random.Random(number).uniform(0.3, 1) * whole
    _, left = kill_and_repeat(place, number, seconds)
    assert left == 0
    assert place.texts() == {
        table: [HERON, MARKER.format(f"fresh{number}")] for table in ("documents", "chunks")
    }
    assert place.counts() == before
    # The one that went well is on its way out too.
    assert psutil.wait_procs(place.processes(), timeout=10)[1] == []


def start_together(place, number, word):
    """Starts `number` refreshes at once, half of them by Dagster's own command.

    Gives how many went well, and what the others said.
    """
    place.mark(word)
    starts = [place.refresh, place.launch]
    processes = [starts[n % 2]() for n in range(number)]
    said = [process.communicate()[0] for process in processes]
    codes = [process.returncode for process in processes]
    return codes.count(0), [text for text, code in zip(said, codes, strict=True) if code]


@slow
@pytest.mark.parametrize("number", [2, 4])
def test_of_refreshes_that_start_together_one_writes_and_the_others_say_which(place, number):
    place.mark(f"together{number}")
    place.finished(place.refresh())
    alone = place.digests()
    place.mark("between")
    place.finished(place.refresh())
    assert place.digests() != alone
    well, refused = start_together(place, number, f"together{number}")
    assert place.digests() == alone
    assert well >= 1
    assert len(refused) == number - well
    for text in refused:
        assert "corpus 'two' is being refreshed by run " in text


def dagster_home(folder):
    (folder / "home").mkdir()
    (folder / "home" / "dagster.yaml").write_text("telemetry: {enabled: false}\n")


@slow
@pytest.mark.parametrize("number", [2, 4])
def test_runs_that_start_in_the_same_instant_leave_what_some_of_them_leave_one_after_the_other(
    tmp_path, monkeypatch, number
):
    monkeypatch.syspath_prepend(HERE)
    simultaneous_runs = importlib.import_module("simultaneous_runs")
    dagster_home(tmp_path)
    well = 0
    for _ in range(10):
        said, left = simultaneous_runs.start_together(tmp_path, number)
        well += said.count("")
        assert said.count("") >= 1
        assert left == [well, well]
        for sentence in filter(None, said):
            assert sentence.startswith("corpus 'demo' is being refreshed by run ")


def run_alone(folder, name):
    script = Path(__file__).with_name("outliving_step.py")
    return subprocess.Popen([sys.executable, str(script), str(folder), name])


def wait_for(path, process):
    while not path.exists():
        assert process.poll() is None
        time.sleep(0.05)


def outlive(folder, number):
    """Kills a run worker, lets another run publish, then lets the step of the first go on.

    Gives the rows of the table by the run that wrote them, and what the first step was told.
    """
    late, winner = f"late{number}", f"winner{number}"
    first = run_alone(folder, late)
    wait_for(folder / f"{late}.claimed", first)
    first.send_signal(signal.SIGKILL)
    first.wait()
    (folder / f"{winner}.go").touch()
    assert run_alone(folder, winner).wait() == 0
    (folder / f"{late}.go").touch()
    with dg.DagsterInstance.from_config(str(folder / "home")) as instance:
        (run,) = instance.get_runs(filters=dg.RunsFilter(tags={"name": late}))
        while not (failures := step_failures(instance, run)):
            time.sleep(0.1)
    rows = Store(root=str(folder / "data")).read("chunks", "demo")["by"].to_pylist()
    return {name: rows.count(name) for name in set(rows)}, failures


def step_failures(instance, run):
    records = instance.get_records_for_run(
        run.run_id, of_type=dg.DagsterEventType.STEP_FAILURE
    ).records
    events = [record.event_log_entry.dagster_event for record in records]
    return [event.step_failure_data.user_failure_data.description for event in events]


@slow
def test_a_step_that_outlives_its_killed_run_publishes_nothing_and_its_log_says_who_won(tmp_path):
    dagster_home(tmp_path)
    rows, (told,) = outlive(tmp_path, 1)
    assert rows == {"winner1": 1000}
    assert "was superseded by run " in told
