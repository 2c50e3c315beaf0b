"""A file that takes its reader down costs itself; its neighbours come once each and in order."""

import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from bonito_assets.ingestion import sandbox as module
from bonito_assets.ingestion.sandbox import Entry, Job
from tests.ingestion.made import entry, job_rows, jsonl, parquet, sandbox
from tests.ingestion.test_archives import tarred, zipped

# Marks of two classes by turns after one letter: putting them in order takes time squared.
ENDLESS = "a" + "\u0300\u0316" * 400_000
# Each of these lists is 56 bytes in memory and 3 in the file.
HUNGRY = b"[" + b"[]," * 8_000_000 + b"[]]"


def outcome(rows):
    return [(row["uri"], row["text"], row["rejected_because"]) for row in rows]


@pytest.fixture
def workers():
    """Gives the workers that the test started; others may wait in a fixture of the module."""
    before = set(psutil.Process().children())
    return lambda: [child for child in psutil.Process().children() if child not in before]


@pytest.fixture(scope="module")
def hasty():
    """A sandbox whose files have three seconds each: on a busy machine, imports take one."""
    with sandbox(limits={"seconds": 3, "memory_mb": 400}) as opened:
        yield opened


def test_a_file_that_does_not_end_is_given_up_among_its_neighbours(hasty):
    many = [{"text": f"row {i}"} for i in range(3000)]
    files = {
        "a.txt": "first",
        "b.jsonl": jsonl(*many),
        "c.txt": ENDLESS,
        "d.txt": "last",
        "e.jsonl": jsonl({"text": "x"}, {"text": "y"}),
    }
    job = hasty.submit(Job([entry(*file) for file in files.items()]))
    rows = job_rows(job)
    assert outcome(rows) == [
        ("a.txt", "first", None),
        *((f"b.jsonl#{i + 1}", f"row {i}", None) for i in range(3000)),
        ("c.txt", None, "timed_out"),
        ("d.txt", "last", None),
        ("e.jsonl#1", "x", None),
        ("e.jsonl#2", "y", None),
    ]
    assert [row["entry"] for row in rows] == [0] + [1] * 3000 + [2, 3, 4, 4]
    assert job.lost == {2}
    assert "took longer than 3 s to read (limits.seconds)" in rows[3001]["error"]


@pytest.mark.parametrize(("name", "packed"), [("a.zip", zipped), ("a.tar", tarred)])
def test_inside_an_archive_the_next_member_is_read(hasty, name, packed):
    members = [("1.txt", b"one"), ("2.txt", ENDLESS.encode()), ("3.txt", b"three")]
    files = [entry(name, packed(members)), entry("b.txt", "beside")]
    assert outcome(job_rows(hasty.submit(Job(files)))) == [
        (f"{name}!/1.txt", "one", None),
        (f"{name}!/2.txt", None, "timed_out"),
        (f"{name}!/3.txt", "three", None),
        ("b.txt", "beside", None),
    ]


def test_a_file_that_wants_too_much_memory_is_too_large(hasty):
    files = [entry("a.txt", "first"), entry("b.json", HUNGRY), entry("c.txt", "last")]
    rows = job_rows(hasty.submit(Job(files)))
    assert outcome(rows) == [
        ("a.txt", "first", None),
        ("b.json", None, "too_large"),
        ("c.txt", "last", None),
    ]
    assert "limits.memory_mb" in rows[1]["error"]


def test_a_table_that_gives_more_text_than_its_size_allows_is_stopped(hasty, monkeypatch):
    monkeypatch.setattr(module, "_HARMLESS_BYTES", 1 << 20)
    swelling = parquet({"text": ["x" * 10_000] * 20_000})
    assert len(swelling) * 200 < 20_000 * 10_000
    files = [entry("a.parquet", swelling), entry("b.txt", "after")]
    rows = job_rows(hasty.submit(Job(files)))
    assert outcome(rows)[-2:] == [("a.parquet", None, "too_large"), ("b.txt", "after", None)]
    assert "limits.ratio" in rows[-2]["error"]
    assert sum(len(row["text"] or "") for row in rows) < 20_000 * 10_000


def test_rows_that_are_left_out_are_a_sign_of_life():
    """A reader that finds nothing to keep for longer than a file may take is still at work."""
    rows = b'{"keep": 0}\n' * 300_000
    with sandbox(limits={"seconds": 0.5}, where={"keep": 1}) as opened:
        # Whatever the first file has to import does not count.
        job_rows(opened.submit(Job([entry("first.jsonl", b'{"keep": 1, "text": "x"}')])))
        started = time.monotonic()
        job = opened.submit(Job([entry("a.jsonl", rows)]))
        assert job_rows(job) == []
        assert time.monotonic() - started > 0.5
        assert job.left_out == {0: 300_000}


@pytest.mark.parametrize("how", [signal.SIGSEGV, signal.SIGKILL, signal.SIGABRT])
def test_a_reader_that_dies_of_a_signal_costs_the_file_it_was_at(how, workers):
    many = jsonl(*({"text": f"row {i}"} for i in range(2500)))
    files = [entry("a.jsonl", many), entry("b.txt", ENDLESS), entry("c.txt", "last")]
    with sandbox(limits={"seconds": 60}) as opened:
        job = opened.submit(Job(files))
        batches = job.batches()
        rows = []
        while len(rows) < 2500:
            rows += next(batches).to_pylist()
        time.sleep(0.3)  # until it is at the next file
        [worker] = workers()
        worker.send_signal(how)
        rows += [row for batch in batches for row in batch.to_pylist()]
    assert len(rows) == 2502
    assert outcome(rows[2500:]) == [("b.txt", None, "unreadable"), ("c.txt", "last", None)]
    assert how.name in rows[2500]["error"]
    assert job.lost == {1}


def test_rows_come_in_the_order_of_the_jobs_however_many_workers_there_are():
    with sandbox(workers=2) as opened:
        jobs = [
            opened.submit(Job([entry(f"{job}-{i}.txt", f"{job} {i}") for i in range(job % 3 + 1)]))
            for job in range(30)
        ]
        found = [row["text"] for job in jobs for row in job_rows(job)]
    assert found == [f"{job} {i}" for job in range(30) for i in range(job % 3 + 1)]


# What is our own fault


def test_a_fault_of_our_own_fails_the_refresh_instead_of_blaming_the_file():
    with sandbox() as opened:
        job = opened.submit(Job([Entry(None, 1, "", b"x"), entry("a.txt", "text")]))
        with pytest.raises(RuntimeError, match="a reader of files is faulty"):
            job_rows(job)
        assert outcome(job_rows(opened.submit(Job([entry("a.txt", "text")])))) == [
            ("a.txt", "text", None)
        ]


def test_a_reader_that_cannot_be_started_fails_the_refresh_instead_of_every_file(monkeypatch):
    monkeypatch.setattr(module.sys, "executable", "/bin/false")
    with sandbox() as opened:
        job = opened.submit(Job([entry("a.txt", "text")]))
        with pytest.raises(RuntimeError, match="does not start"):
            job_rows(job)


# What a worker may do


def test_a_worker_can_write_no_file_and_has_its_memory_limited(workers):
    with sandbox(limits={"memory_mb": 300}) as opened:
        job_rows(opened.submit(Job([entry("a.txt", "text")])))
        [worker] = workers()
        assert worker.rlimit(resource.RLIMIT_FSIZE) == (0, 0)
        assert worker.rlimit(resource.RLIMIT_CORE) == (0, 0)
        assert worker.rlimit(resource.RLIMIT_DATA) == (300 << 20, 300 << 20)


def test_a_worker_takes_no_module_from_the_folder_a_person_stands_in(tmp_path, monkeypatch):
    (tmp_path / "orjson.py").write_text("raise SystemExit('taken from the folder')")
    monkeypatch.chdir(tmp_path)
    with sandbox() as opened:
        assert len(job_rows(opened.submit(Job([entry("a.txt", "text")])))) == 1


def test_closing_early_leaves_no_process_behind(workers):
    with sandbox(workers=2, limits={"seconds": 60}) as opened:
        jobs = [opened.submit(Job([entry("a.txt", "x"), entry("b.txt", ENDLESS)])) for _ in "12"]
        while len(workers()) < 2:
            time.sleep(0.01)
        started = workers()
    assert jobs
    assert workers() == []
    assert not any(worker.is_running() for worker in started)


PARENT = """
import sys
from bonito_assets.ingestion.sandbox import Job
from tests.ingestion.made import entry, sandbox
import psutil
with sandbox(limits={"seconds": 60}) as opened:
    job = opened.submit(Job([entry("b.txt", "a" + "\\u0300\\u0316" * 400_000)]))
    while not psutil.Process().children():
        pass
    print(psutil.Process().children()[0].pid, flush=True)
    list(job.batches())
"""


def test_a_worker_ends_with_the_process_that_started_it():
    command = [sys.executable, "-c", PARENT]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path.cwd()) as parent:
        worker = psutil.Process(int(parent.stdout.readline()))
        parent.kill()
    psutil.wait_procs([worker], timeout=10)
    assert not worker.is_running()
