"""A file that takes its reader down costs itself; its neighbours come once each and in order."""

import hashlib
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from bonito_assets.ingestion import sandbox as module
from bonito_assets.ingestion.reading import Reading
from bonito_assets.ingestion.sandbox import Entry, Job
from bonito_assets.ingestion.snapshot import Part
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


@pytest.fixture
def hasty_choosy():
    with sandbox(limits={"seconds": 3}, where={"keep": 1}) as opened:
        yield opened


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


@pytest.mark.slow
def test_rows_that_were_left_out_before_and_after_a_lost_member_are_all_counted(hasty_choosy):
    rows = jsonl({"keep": 0}, {"keep": 0}, {"keep": 1, "text": "kept"})
    members = [("1.jsonl", rows), ("2.txt", ENDLESS.encode()), ("3.jsonl", rows)]
    job = hasty_choosy.submit(Job([entry("a.zip", zipped(members)), entry("b.jsonl", rows)]))
    assert outcome(job_rows(job)) == [
        ("a.zip!/1.jsonl#3", "kept", None),
        ("a.zip!/2.txt", None, "timed_out"),
        ("a.zip!/3.jsonl#3", "kept", None),
        ("b.jsonl#3", "kept", None),
    ]
    assert job.left_out == {0: 4, 1: 2}


@pytest.mark.slow
def test_files_that_are_read_a_second_time_count_their_rows_once(hasty_choosy):
    rows = jsonl({"keep": 0}, {"keep": 1, "text": "kept"})
    files = [entry("a.jsonl", rows), entry("b.jsonl", rows), entry("c.txt", ENDLESS)]
    job = hasty_choosy.submit(Job(files))
    assert [row["text"] for row in job_rows(job)] == ["kept", "kept", None]
    assert (job.left_out[0], job.left_out[1]) == (1, 1)


@pytest.mark.slow
def test_a_file_after_an_archive_that_ends_with_a_lost_member_costs_no_row_twice(hasty):
    members = [("1.txt", b"one"), ("2.txt", ENDLESS.encode())]
    files = [entry("a.zip", zipped(members)), entry("b.txt", "b"), entry("c.txt", ENDLESS)]
    assert outcome(job_rows(hasty.submit(Job(files)))) == [
        ("a.zip!/1.txt", "one", None),
        ("a.zip!/2.txt", None, "timed_out"),
        ("b.txt", "b", None),
        ("c.txt", None, "timed_out"),
    ]


def test_an_archive_may_not_cost_any_number_of_readers(hasty, monkeypatch):
    monkeypatch.setattr(module, "_LOST_MEMBERS", 2)
    members = [(f"{i}.json", HUNGRY) for i in range(3)]
    files = [entry("a.zip", zipped(members)), entry("b.txt", "beside")]
    rows = job_rows(hasty.submit(Job(files)))
    assert outcome(rows) == [
        ("a.zip!/0.json", None, "too_large"),
        ("a.zip!/1.json", None, "too_large"),
        ("a.zip", None, "unreadable"),
        ("b.txt", "beside", None),
    ]
    assert rows[2]["error"].endswith("nothing was read of it after a.zip!/1.json")
    assert rows[2]["content_sha256"] == files[0].sha256


def test_members_that_are_passed_over_are_a_sign_of_life():
    """The way back to the member after a lost one may take longer than a file may."""
    archive = entry("a.tar", tarred([(f"{i}.txt", b"text") for i in range(5)]))
    worker = module._Worker(Reading("c"))
    try:
        worker.give(Job([archive]), (0, 3), careful=False)
        kinds = []
        while b"D" not in kinds:
            kinds.append(worker.next_frame()[0])
    finally:
        worker.kill()
    assert b"".join(kinds) == b"B" + b"AAA" + b"BRBR" + b"ED"


# Which rows are missing


@pytest.mark.slow
def test_a_table_that_is_lost_midway_says_how_far_it_was_read(hasty):
    content = jsonl(*({"text": f"row {i}"} for i in range(3000)), {"text": ENDLESS})
    rows = job_rows(hasty.submit(Job([entry("a.jsonl", content), entry("b.txt", "after")])))
    [lost] = [row for row in rows if row["rejected_because"]]
    read = len(rows) - 2
    assert 0 < read < 3001
    assert lost["error"].endswith(f"; what stands before it was read, up to row {read}")


@pytest.mark.slow
@pytest.mark.parametrize("before", [0, 3000])
def test_a_stretch_of_a_table_that_is_lost_says_which_lines_are_missing(hasty, tmp_path, before):
    content = jsonl(*({"text": f"row {i}"} for i in range(before)), {"text": ENDLESS}, {"text": ""})
    (tmp_path / "a.jsonl").write_bytes(content)
    with (tmp_path / "a.jsonl").open("rb") as file:
        sha256 = hashlib.sha256(content).hexdigest()
        part = Part(0, len(content), 70_000)
        stretch = Entry("a.jsonl", len(content), sha256, file, part)
        *read, lost = job_rows(hasty.submit(Job([stretch])))
    assert (len(read) > 0) == (before > 0)
    first = 70_001 + len(read)
    assert lost["error"].endswith(f"; its lines from {first} on are here in part")


@pytest.mark.slow
def test_a_document_that_is_lost_is_lost_as_a_whole(hasty):
    [row] = job_rows(hasty.submit(Job([entry("a.txt", ENDLESS)])))
    assert row["error"] == "took longer than 3 s to read (limits.seconds)"


# Readers that are lost while they read nothing


def test_a_reader_that_dies_between_two_jobs_costs_no_file(workers):
    with sandbox() as opened:
        assert len(job_rows(opened.submit(Job([entry("a.txt", "one")])))) == 1
        [worker] = workers()
        worker.kill()
        job = opened.submit(Job([entry("b.txt", "two"), entry("c.txt", "three")]))
        assert outcome(job_rows(job)) == [("b.txt", "two", None), ("c.txt", "three", None)]
        assert job.lost == set()


@pytest.fixture
def losing(monkeypatch):
    """Lets readers go at the moment at which they are to go on inside an archive."""

    def lose(times):
        give = module._Worker.give

        def failing(self, job, cursor, careful):
            nonlocal times
            if cursor[1] and times:
                times -= 1
                raise module._Lost("unreadable", "went away")
            give(self, job, cursor, careful)

        monkeypatch.setattr(module._Worker, "give", failing)

    return lose


ARCHIVE = [("1.txt", b"one"), ("2.txt", ENDLESS.encode()), ("3.txt", b"three"), ("4.txt", b"four")]


@pytest.mark.slow
def test_a_reader_that_dies_before_it_is_at_a_member_passes_over_none(hasty, losing):
    losing(1)
    files = [entry("a.zip", zipped(ARCHIVE)), entry("b.txt", "beside")]
    assert outcome(job_rows(hasty.submit(Job(files)))) == [
        ("a.zip!/1.txt", "one", None),
        ("a.zip!/2.txt", None, "timed_out"),
        ("a.zip!/3.txt", "three", None),
        ("a.zip!/4.txt", "four", None),
        ("b.txt", "beside", None),
    ]


@pytest.mark.slow
def test_an_archive_at_which_readers_die_again_and_again_is_refused_and_says_so(hasty, losing):
    losing(2)
    job = Job([entry("a.zip", zipped(ARCHIVE)), entry("b.txt", "beside")])
    assert outcome(job_rows(hasty.submit(job))) == [
        ("a.zip!/1.txt", "one", None),
        ("a.zip!/2.txt", None, "timed_out"),
        ("a.zip", None, "unreadable"),
        ("b.txt", "beside", None),
    ]
    assert job.lost == {0}


# The order of things


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


def test_a_worker_gets_no_credentials(workers, monkeypatch):
    for name in ("AWS_SECRET_ACCESS_KEY", "HF_TOKEN", "DAGSTER_CLOUD_API_TOKEN", "PGPASSWORD"):
        monkeypatch.setenv(name, "a secret word")
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "1")
    monkeypatch.setenv("TMPDIR", "/tmp")
    with sandbox() as opened:
        job_rows(opened.submit(Job([entry("a.txt", "text")])))
        [worker] = workers()
        environment = worker.environ()
    assert "a secret word" not in environment.values()
    assert (environment["OPENBLAS_NUM_THREADS"], environment["TMPDIR"]) == ("1", "/tmp")


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
