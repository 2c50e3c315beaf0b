"""What was generated once is found again, whatever happens to files and processes around it."""

import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resources import generation_cache
from resources.generation_cache import SCHEMA, CacheDamaged, GenerationCache
from resources.generator import Outcome
from resources.store import Store

FIRST_VERSION = SCHEMA.names[:7]
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.fixture
def store(tmp_path):
    return Store(root=str(tmp_path / "data"))


@pytest.fixture
def log():
    return []


@pytest.fixture
def cache(store, log):
    return GenerationCache(store, log.append)


@pytest.fixture
def small_classes(monkeypatch):
    """Compaction as it is, with segments of a few rows."""
    monkeypatch.setattr(generation_cache, "_SIZE_CLASSES", ((0, 8), (8, 32)))
    monkeypatch.setattr(generation_cache, "_MAX_SEGMENTS", 2)
    monkeypatch.setattr(generation_cache, "_GROUP_ROWS", 3)


def key(number):
    return hashlib.sha256(str(number).encode()).hexdigest()[:32]


def outcome(number, **changes):
    fields = {"output": f"output {number}", "finish_reason": "stop", "prompt_tokens": 7}
    fields |= {"output_tokens": 3, "mean_logprob": -0.25, "rejected_because": None, **changes}
    return Outcome(key=key(number), **fields)


def put(cache, *numbers, model="m", task_type="nli", **changes):
    """Writes one segment."""
    with cache.writer() as writer:
        for number in numbers:
            writer.add(outcome(number, **changes), model=model, task_type=task_type)


def rows(*entries, columns=SCHEMA.names):
    """Gives a table of the cache out of (number, output, seconds after noon)."""
    table = pa.Table.from_pylist(
        [
            {"key": key(number), "output": output, "created_at": NOON + timedelta(seconds=second)}
            for number, output, second in entries
        ],
        schema=SCHEMA,
    )
    return table.select(columns)


def outputs(cache, *numbers):
    """Gives the cached output of each number, None where there is none."""
    found = cache.find([[key(number) for number in numbers]])
    return found.rows(0, len(numbers))["output"].to_pylist()


def segments(store):
    return [Path(path) for path in store.segments("generation_cache")]


def put_first_version(store, *numbers):
    folder = Path(store.root) / "generation_cache"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{key(numbers)}-000000.parquet"
    entries = [(number, f"output {number}", number) for number in numbers]
    table = rows(*entries, columns=FIRST_VERSION)
    pq.write_table(table, path, compression="zstd", write_page_checksum=True)
    return path


def flip(path, bit):
    content = bytearray(path.read_bytes())
    content[bit // 8] ^= 1 << bit % 8
    path.write_bytes(content)


# Writing


def test_a_row_comes_back_as_it_was_written(cache):
    before = datetime.now(UTC)
    with cache.writer("run") as writer:
        writer.add(outcome(1), model="fingerprint", task_type="exqa", sampling='{"top_p":1.0}')
    [row] = cache.find([[key(1)]]).rows(0, 1).to_pylist()
    assert before <= row.pop("created_at") <= datetime.now(UTC)
    assert row == {
        "key": key(1),
        "output": "output 1",
        "finish_reason": "stop",
        "prompt_tokens": 7,
        "output_tokens": 3,
        "mean_logprob": -0.25,
        "rejected_because": None,
        "model": "fingerprint",
        "task_type": "exqa",
        "run_id": "run",
        "sampling": '{"top_p":1.0}',
    }


def test_rows_of_a_version_that_knew_no_run_come_back_without_one_and_merge_with_others(
    store, cache, small_classes
):
    put_first_version(store, 1)
    for number in range(2, 9):
        put(cache, number)
    cache.compact()
    assert len(segments(store)) < 8
    found = cache.find([[key(number) for number in range(1, 9)]]).rows(0, 8)
    assert found["output"].to_pylist() == [f"output {number}" for number in range(1, 9)]
    assert found["run_id"].null_count == found["sampling"].null_count == 8


def test_of_the_refusals_only_the_engine_s_own_is_kept(cache):
    for number, verdict in enumerate(["too_long", "empty", "invalid_text", "engine_error"]):
        put(cache, number, output=None, rejected_because=verdict)
    found = cache.find([[key(number) for number in range(4)]])
    assert found.present.tolist() == [False, False, False, True]
    assert found.rows(3, 4)["rejected_because"].to_pylist() == ["engine_error"]


def test_what_the_engine_could_not_answer_is_passed_over_on_request(cache):
    put(cache, 1, output=None, rejected_because="engine_error")
    put(cache, 2)
    keys = [[key(1), key(2)]]
    assert cache.find(keys).missing.tolist() == [False, False]
    assert cache.find(keys, without_errors=True).missing.tolist() == [True, False]
    put(cache, 1)
    assert outputs(cache, 1, 2) == ["output 1", "output 2"]


def test_128_results_are_on_disk_without_closing_the_writer(store, cache):
    writer = cache.writer()
    for number in range(128 + 127):
        writer.add(outcome(number), model="m", task_type="nli")
    assert len(segments(store)) == 1
    assert outputs(cache, 127, 128) == ["output 127", None]


def test_a_result_is_on_disk_when_the_last_write_was_five_seconds_ago(cache, monkeypatch):
    writer = cache.writer()
    writer.add(outcome(1), model="m", task_type="nli")
    now = time.monotonic()
    monkeypatch.setattr(generation_cache.time, "monotonic", lambda: now + 5)
    assert outputs(cache, 1) == [None]
    writer.add(outcome(2), model="m", task_type="nli")
    assert outputs(cache, 1, 2) == ["output 1", "output 2"]


def test_an_error_costs_nothing_that_was_generated(cache):
    with pytest.raises(RuntimeError), cache.writer() as writer:
        writer.add(outcome(1), model="m", task_type="nli")
        raise RuntimeError
    assert outputs(cache, 1) == ["output 1"]


def test_a_write_that_failed_can_be_tried_again(cache, monkeypatch):
    writer = cache.writer()
    writer.add(outcome(1), model="m", task_type="nli")
    with monkeypatch.context() as broken:
        broken.setattr(generation_cache.shutil, "copyfileobj", fail("disk full"))
        with pytest.raises(OSError, match="disk full"):
            writer.flush()
    writer.flush()
    assert outputs(cache, 1) == ["output 1"]


def fail(words):
    def failing(*_, **__):
        raise OSError(words)

    return failing


def test_the_name_of_a_segment_tells_age_rows_and_content(store, cache):
    cache.write(rows((1, "a", 0), (2, "b", 1)))
    [path] = segments(store)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:32]
    assert path.name == f"20260101T120000000000-2-{digest}.parquet"


@pytest.mark.parametrize("bad", ["", "0" * 31, "0" * 33, "g" * 32, "é" * 16, "0 " * 16])
def test_a_key_of_another_form_is_refused_by_name(cache, bad):
    with pytest.raises(ValueError, match=f"cache key '{bad}' is not 32"), cache.writer() as writer:
        writer.add(Outcome(bad, "output"), model="m", task_type="nli")
    with pytest.raises(ValueError, match=f"cache key '{bad}' is not 32"):
        cache.find([[key(1), bad]])


# Finding


def test_an_empty_cache_misses_everything(cache):
    found = cache.find([[key(1), key(2)]])
    assert found.present.tolist() == [False, False]
    assert found.missing.tolist() == [True, True]
    assert found.rows(0, 2).schema == SCHEMA
    assert found.rows(0, 2)["key"].to_pylist() == [None, None]


def test_no_keys_are_no_rows(cache):
    put(cache, 1)
    found = cache.find([])
    assert len(found.present) == len(found.missing) == found.rows(0, 0).num_rows == 0


def test_a_key_that_is_asked_twice_is_present_twice_but_missing_once(cache):
    put(cache, 1)
    found = cache.find([[key(1), key(2)], [key(2), key(1), key(3)]])
    assert found.present.tolist() == [True, False, False, True, False]
    assert found.missing.tolist() == [False, True, False, False, True]
    assert found.rows(0, 5)["output"].to_pylist() == ["output 1", None, None, "output 1", None]


def test_keys_come_as_lists_or_as_stretches_of_arrow_columns(cache):
    put(cache, *range(9))
    column = pa.array([key(number) for number in range(10)])
    found = cache.find(iter([[key(0)], column[3:6], pa.chunked_array([column[:1], column[8:]])]))
    expected = [f"output {number}" for number in (0, 3, 4, 5, 0, 8)]
    assert found.rows(0, 7)["output"].to_pylist() == [*expected, None]


def test_what_is_written_later_is_no_part_of_an_answer(cache):
    put(cache, 1)
    found = cache.find([[key(1), key(2)]])
    put(cache, 2)
    assert found.rows(0, 2)["output"].to_pylist() == ["output 1", None]


def test_of_two_rows_with_one_key_the_older_counts(cache):
    cache.write(rows((1, "later", 2), (2, "b", 5)))
    cache.write(rows((1, "earlier", 1), (2, "a", 5)))
    assert outputs(cache, 1, 2) == ["earlier", "a"]


def test_a_cache_on_any_fsspec_filesystem_works_the_same(log, small_classes):
    store = Store(root="memory://bucket/data")
    cache = GenerationCache(store, log.append)
    for number in range(20):
        put(cache, number)
    assert outputs(cache, 0, 19, 20) == ["output 0", "output 19", None]
    cache.compact()
    assert len(segments(store)) < 10
    [*_, last] = store.segments("generation_cache")
    store.filesystem.pipe_file(last, b"damaged")
    assert outputs(cache, 0, 19) == ["output 0", None]


actions = st.lists(
    st.lists(st.tuples(st.integers(0, 9), st.sampled_from("abc"), st.integers(0, 3)), max_size=6),
    max_size=12,
)


@settings(max_examples=50)
@given(actions=actions, asked=st.lists(st.integers(0, 12), max_size=20), cut=st.integers(0, 20))
def test_the_cache_is_a_dictionary_whatever_was_written_and_compacted(actions, asked, cut):
    """An empty list of rows stands for a compaction."""
    model = {}
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(generation_cache, "_SIZE_CLASSES", ((0, 8), (8, 32)))
        patch.setattr(generation_cache, "_MAX_SEGMENTS", 2)
        patch.setattr(generation_cache, "_GROUP_ROWS", 3)
        cache = GenerationCache(Store(root=folder))
        for entries in actions:
            if not entries:
                cache.compact()
                continue
            cache.write(rows(*entries))
            for number, output, second in entries:
                row = (second, output)
                model[number] = min(row, model.get(number, row))
        keys, cut = [key(number) for number in asked], min(cut, len(asked))
        found = cache.find([keys[:cut], keys[cut:]])
        assert found.present.tolist() == [number in model for number in asked]
        firsts = [number not in asked[:place] for place, number in enumerate(asked)]
        missing = [number not in model for number in asked]
        assert found.missing.tolist() == [a and b for a, b in zip(firsts, missing, strict=True)]
        halves = pa.concat_tables([found.rows(0, cut), found.rows(cut, len(asked))])
        assert halves["output"].to_pylist() == [
            model[number][1] if number in model else None for number in asked
        ]


# The first version


def test_segments_of_the_first_version_are_read(store, cache):
    put_first_version(store, 1, 2)
    put(cache, 3)
    table = cache.find([[key(1), key(3)]]).rows(0, 2)
    assert table["output"].to_pylist() == ["output 1", "output 3"]
    assert table["model"].to_pylist() == [None, "m"]


def test_compaction_takes_segments_of_the_first_version_along(store, cache, small_classes):
    for number in range(3):
        put_first_version(store, number)
    cache.compact()
    [path] = segments(store)
    assert len(path.name.split("-")) == 3
    assert outputs(cache, 0, 1, 2) == ["output 0", "output 1", "output 2"]


# Damage


def test_a_damaged_segment_is_set_aside_and_its_neighbours_stay(store, cache, log):
    put(cache, 1, 2)
    put(cache, 3)
    first, second = segments(store)
    flip(first, 8 * 100)
    assert outputs(cache, 1, 2, 3) == [None, None, "output 3"]
    assert segments(store) == [second]
    assert first.with_name(f"{first.name}.damaged").exists()
    assert [line for line in log if str(first) in line] == log != []


def test_what_was_damaged_can_be_generated_again(store, cache):
    put(cache, 1)
    flip(segments(store)[0], 8 * 100)
    assert cache.find([[key(1)]]).missing.tolist() == [True]
    put(cache, 1)
    assert outputs(cache, 1) == ["output 1"]


def test_a_copy_in_another_segment_serves_for_a_damaged_one(store, cache):
    cache.write(rows((1, "first", 1)))
    cache.write(rows((1, "second", 2)))
    flip(segments(store)[0], 8 * 100)
    assert outputs(cache, 1) == ["second"]


@pytest.mark.parametrize("content", [b"", b"PAR1", b"no Parquet at all" * 100])
@pytest.mark.parametrize("put_one", [put_first_version, None], ids=["first version", "now"])
def test_a_file_that_is_no_segment_any_more_is_set_aside(store, cache, put_one, content):
    put_one(store, 1) if put_one else put(cache, 1)
    [path] = segments(store)
    path.write_bytes(content)
    put(cache, 2)
    assert outputs(cache, 1, 2) == [None, "output 2"]
    assert not path.exists()


def test_a_segment_that_lost_its_end_is_set_aside(store, cache):
    put(cache, *range(100))
    [path] = segments(store)
    os.truncate(path, path.stat().st_size // 2)
    assert outputs(cache, 1) == [None]


@pytest.mark.parametrize("version", ["first version", "now"])
def test_no_flipped_bit_ever_gives_a_wrong_row(tmp_path, version):
    store = Store(root=str(tmp_path / "whole"))
    numbers = range(40)
    put_first_version(store, *numbers) if version != "now" else put(
        GenerationCache(store), *numbers
    )
    asked = [[key(number) for number in numbers]]
    whole = GenerationCache(store).find(asked).rows(0, 40).to_pylist()
    draw = random.Random(0)
    size = segments(store)[0].stat().st_size
    # Half of them in the footer, which no checksum of a page covers.
    bits = [draw.randrange(start, size * 8) for start in (0, (size - 1500) * 8) for _ in range(50)]
    noticed = 0
    for number, bit in enumerate(bits):
        root = tmp_path / str(number)
        shutil.copytree(store.root, root)
        flip(segments(Store(root=str(root)))[0], bit)
        found = GenerationCache(Store(root=str(root)), lambda line: None).find(asked)
        for row, right in zip(found.rows(0, 40).to_pylist(), whole, strict=True):
            assert row == right or row["key"] is None
        noticed += any(path.suffix == ".damaged" for path in root.rglob("*"))
    assert noticed == 100 if version == "now" else noticed > 50


def test_a_disk_that_fails_for_a_moment_costs_no_segment(store, cache, monkeypatch):
    put(cache, 1)
    with monkeypatch.context() as broken:
        broken.setattr(generation_cache.pq.ParquetFile, "read_row_group", fail("no answer"))
        with pytest.raises(OSError, match="no answer"):
            outputs(cache, 1)
    assert outputs(cache, 1) == ["output 1"]


def test_damage_between_finding_and_reading_is_an_error_with_a_remedy(store, log):
    put(GenerationCache(store), 1)
    cache = GenerationCache(store, log.append)
    found = cache.find([[key(1)]])
    segments(store)[0].write_bytes(b"damaged")
    cache._segments._file.cache_clear()
    with pytest.raises(CacheDamaged, match="refresh again"):
        found.rows(0, 1)
    assert cache.find([[key(1)]]).missing.tolist() == [True]


# Compaction


def test_compaction_leaves_few_files_and_every_row_in_order_of_age(store, cache):
    for number in range(70):
        put(cache, number)
    cache.compact()
    [path] = segments(store)
    assert pq.read_table(path)["output"].to_pylist() == [f"output {n}" for n in range(70)]
    assert outputs(cache, *range(70)) == [f"output {number}" for number in range(70)]


def test_segments_grow_by_size_class_and_the_largest_are_left_alone(store, cache, small_classes):
    for number in range(100):
        put(cache, number)
        cache.compact()
        assert len(segments(store)) <= 2 + 2 + number // 32
    assert outputs(cache, *range(100)) == [f"output {number}" for number in range(100)]


def test_few_segments_stay_as_they_are(store, cache):
    for number in range(64):
        put(cache, number)
    before = segments(store)
    cache.compact()
    assert segments(store) == before


def test_a_long_writer_keeps_the_number_of_files_small(store, cache, monkeypatch):
    monkeypatch.setattr(generation_cache, "_MAX_ROWS", 1)
    put(cache, *range(300))
    assert len(segments(store)) < 64
    assert outputs(cache, 0, 299) == ["output 0", "output 299"]


def test_a_compaction_that_stopped_before_deleting_doubles_nothing(store, cache, monkeypatch):
    for number in range(70):
        put(cache, number)
    with monkeypatch.context() as broken:
        broken.setattr(type(store.filesystem), "rm_file", fail("killed"))
        with pytest.raises(OSError, match="killed"):
            cache.compact()
    assert len(segments(store)) == 71
    found = cache.find([[key(number) for number in range(70)]])
    expected = [f"output {number}" for number in range(70)]
    assert found.rows(0, 70)["output"].to_pylist() == expected
    cache.compact()
    assert outputs(cache, *range(70)) == expected


def test_compaction_sets_a_damaged_segment_aside_and_merges_the_rest(store, cache, log):
    for number in range(70):
        put(cache, number)
    damaged = segments(store)[5]
    flip(damaged, 8 * 100)
    cache.compact()
    assert len(segments(store)) == len(log) == 1
    assert outputs(cache, 4, 5, 6) == ["output 4", None, "output 6"]


def test_an_answer_outlives_a_compaction_by_another_process(store, cache):
    for number in range(70):
        put(cache, number)
    found = cache.find([[key(number) for number in range(71)]])
    first = found.rows(0, 35)["output"].to_pylist()
    put(cache, 70)
    GenerationCache(store).compact()
    cache._segments._file.cache_clear()
    second = found.rows(35, 71)["output"].to_pylist()
    assert first + second == [*(f"output {number}" for number in range(70)), None]


def test_writers_readers_and_compactions_at_once_lose_and_double_nothing(store, small_classes):
    written, errors, over = [], [], threading.Event()

    def steadily(act):
        try:
            while not over.is_set():
                act(GenerationCache(store))
        except Exception as error:
            errors.append(error)

    def write(cache):
        number = len(written)
        put(cache, number)
        written.append(number)

    def read(cache):
        numbers = list(written)
        assert outputs(cache, *numbers) == [f"output {number}" for number in numbers]

    acts = [write, read, read, GenerationCache.compact, GenerationCache.compact]
    threads = [threading.Thread(target=steadily, args=[act]) for act in acts]
    for thread in threads:
        thread.start()
    time.sleep(1.5)
    over.set()
    for thread in threads:
        thread.join()
    assert errors == []
    assert len(written) > 5
    read(GenerationCache(store))


def test_what_killed_writers_left_is_swept_after_a_day(store, cache):
    put(cache, 1)
    [path] = segments(store)
    old, young = path.with_name(".old.tmp"), path.with_name(".young.tmp")
    for leftover in (old, young):
        leftover.touch()
    yesterday = time.time() - 25 * 3600
    os.utime(old, (yesterday, yesterday))
    cache.compact()
    assert not old.exists()
    assert young.exists()


# Lengths


def test_lengths_are_of_the_outputs_of_one_model_by_task_type(store, cache):
    put(cache, 1, 2, output_tokens=10)
    put(cache, 3, output_tokens=40)
    put(cache, 4, task_type="exqa", output_tokens=5)
    put(cache, 5, model="other", output_tokens=1000)
    put(cache, 6, output=None, output_tokens=None, rejected_because="engine_error")
    put_first_version(store, 7)
    assert cache.lengths("m") == {"nli": (3, 20.0), "exqa": (1, 5.0)}
    assert cache.lengths("unknown") == {}


# Death

WRITER = """
import sys
from resources import generation_cache
from resources.generation_cache import GenerationCache
from resources.generator import Outcome
from resources.store import Store

generation_cache._MAX_SEGMENTS = 8
cache = GenerationCache(Store(root=sys.argv[1]))
writer = cache.writer()
number = 0
while True:
    for _ in range(20):
        key = f"{int(sys.argv[2]):016x}{number:016x}"
        writer.add(Outcome(key, f"output {number}"), model="m", task_type="nli")
        number += 1
    writer.flush()
    print(number, flush=True)
    if number % 400 == 0:
        cache.compact()
"""


@pytest.mark.parametrize("kills", [3, pytest.param(50, marks=pytest.mark.slow)])
def test_what_a_killed_writer_had_written_is_all_there_once(store, kills):
    draw = random.Random(kills)
    promised = []
    for kill in range(kills):
        command = [sys.executable, "-c", WRITER, store.root, str(kill)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        process.stdout.readline()  # it is under way
        time.sleep(draw.uniform(0, 0.4))
        os.kill(process.pid, signal.SIGKILL)
        last = [line for line in process.communicate()[0].split("\n") if line][-1:] or ["20"]
        promised += [(kill, number) for number in range(int(last[0]))]
    keys = [f"{kill:016x}{number:016x}" for kill, number in promised]
    found = GenerationCache(store).find([keys])
    assert found.present.all()
    outputs = found.rows(0, len(keys))["output"].to_pylist()
    assert outputs == [f"output {number}" for _, number in promised]


# Forgetting


def test_what_is_forgotten_is_missing_and_the_rest_is_as_it_was(store, cache):
    put(cache, 1, 2, 3)
    put(cache, 2, 4)
    put(cache, 5)
    before = {path.name for path in segments(store)}
    assert cache.forget([key(2), key(99), key(2)]) == 2
    assert outputs(cache, 1, 2, 3, 4, 5) == ["output 1", None, "output 3", "output 4", "output 5"]
    # A segment that holds none of the keys is not touched.
    assert len(before & {path.name for path in segments(store)}) == 1
    assert cache.forget([key(2)]) == cache.forget([]) == 0


def test_a_segment_of_which_all_is_forgotten_goes(store, cache):
    put(cache, 1, 2)
    assert cache.forget([key(1), key(2)]) == 2
    assert segments(store) == []
    assert outputs(cache, 1, 2) == [None, None]


def test_what_is_forgotten_can_be_written_anew(store, cache):
    put(cache, 1, output="first")
    cache.forget([key(1)])
    put(cache, 1, output="second")
    assert outputs(cache, 1) == ["second"]


def test_segments_of_the_first_version_forget_too(store, cache):
    put_first_version(store, 1, 2)
    assert cache.forget([key(1)]) == 1
    assert outputs(cache, 1, 2) == [None, "output 2"]
    # The row that stays has no model in either form.
    assert cache.lengths("m") == {}


@given(
    written=st.lists(st.lists(st.integers(0, 9), min_size=1, max_size=6), max_size=4),
    unwanted=st.lists(st.integers(0, 11), max_size=6),
)
@settings(max_examples=15, deadline=None)
def test_exactly_the_rows_of_the_keys_are_forgotten(written, unwanted):
    with tempfile.TemporaryDirectory() as folder:
        cache = GenerationCache(Store(root=folder))
        for numbers in written:
            put(cache, *numbers)
        everything = [number for numbers in written for number in numbers]
        assert cache.forget([key(n) for n in unwanted]) == sum(n in unwanted for n in everything)
        present = cache.find([[key(n) for n in range(12)]]).present.tolist()
        assert present == [n in everything and n not in unwanted for n in range(12)]
