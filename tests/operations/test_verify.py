"""Every flipped bit in a published file is found, and named with a remedy."""

import json
import random
import shutil

import dagster as dg
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as given_settings
from hypothesis import strategies as st

from bonito_assets.operations.verify import verify
from bonito_assets.operations.verify_job import nightly_verification, verify_files
from bonito_assets.publishing.release import RELEASE
from resources.checksums import compare, write_sums
from resources.generation_cache import GenerationCache
from resources.generator import Outcome
from resources.store import Store


def rows(number, word="a"):
    return pa.table({"id": list(range(number)), "text": [f"{word} {n}" for n in range(number)]})


def fill(root):
    """One small thing of each kind that is published."""
    store = Store(root=str(root))
    for table in ("documents", "chunks"):
        store.write(table, "one", rows(50))
    store.write("documents", "two", rows(9))
    with GenerationCache(store).writer() as writer:
        outcome = Outcome("0" * 32, "out", "stop", 3, 2, -0.1)
        writer.add(outcome, model="m", task_type="nli")
    for place, name in ((("tuned_model", "one"), "weights"), (("evaluation", "one"), "report")):
        with store.new_folder(*place) as folder:
            (folder / name).write_bytes(random.Random(name).randbytes(300))
    with store.new_folder("instruction_dataset", "one") as folder:
        release = folder / "releases" / "1"
        release.mkdir(parents=True)
        for place in (release, folder):
            (place / "README.md").write_text("A card.")
            (place / "data.jsonl").write_text(json.dumps({"input": "x", "output": "y"}))
            write_sums(place)
    return store


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return fill(tmp_path_factory.mktemp("whole"))


@pytest.fixture
def store(whole, tmp_path):
    shutil.copytree(whole.root, tmp_path / "data")
    return Store(root=str(tmp_path / "data"))


def published(store):
    """Every file that is published, with its checksums; the warehouse holds no data."""
    root = store.folder()
    names = (path for path in sorted(root.rglob("*")) if path.is_file())
    return [path for path in names if path.name != "warehouse.duckdb"]


def flip(path, bit):
    content = bytearray(path.read_bytes())
    content[bit // 8 % len(content)] ^= 1 << bit % 8
    path.write_bytes(content)


def test_what_nobody_touched_is_whole(whole):
    report = verify(whole)
    assert report.problems == [] and report.unstamped == []
    sidecars = [path for path in published(whole) if path.name.startswith(".")]
    assert report.files == len(published(whole)) - len(sidecars)
    assert report.bytes == sum(p.stat().st_size for p in published(whole) if p not in sidecars)


@given_settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 1 << 20))
def test_any_bit_that_flips_in_any_file_is_found(whole, place, bit):
    files = published(whole)
    path = files[int(place * len(files))]
    content = path.read_bytes()
    try:
        flip(path, bit)
        assert verify(whole).problems
    finally:
        path.write_bytes(content)


def test_a_damaged_file_is_named_with_the_command_that_makes_it_again(store):
    flip(store.folder("chunks", "corpus=one", "data.parquet"), 1000)
    flip(store.folder("tuned_model", "one", "weights"), 1000)
    told = {
        (p.place.removeprefix(store.root), p.sentence, p.remedy) for p in verify(store).problems
    }
    assert told == {
        (
            "/chunks/corpus=one/data.parquet",
            "its content is not what was written",
            "bonito run one",
        ),
        (
            "/tuned_model/one",
            "weights: its content is not what was published",
            "materialize 'tuned_model' of 'one' in the UI with the config again: true",
        ),
    }


def test_only_the_corpora_that_are_asked_for_are_read(store):
    flip(store.folder("chunks", "corpus=one", "data.parquet"), 1000)
    assert verify(store, ["two"]).problems == []
    assert len(verify(store, ["one"]).problems) == 1


def test_a_table_that_was_replaced_is_whole_and_has_one_checksum(store):
    store.write("chunks", "one", rows(3, "b"))
    assert verify(store).problems == []
    assert len(store.checksums("chunks", "one")) == 1


def test_a_writer_killed_before_or_after_the_table_took_its_place_leaves_no_alarm(store):
    old = store.folder("chunks", "corpus=one", "data.parquet").read_bytes()
    before = store.checksums("chunks", "one")
    store.write("chunks", "one", rows(3, "b"))
    both = [*before, *store.checksums("chunks", "one")]
    folder = store.folder("chunks", "corpus=one")
    (folder / ".data.parquet.sha256").write_text("\n".join([*both, ""]))
    assert verify(store).problems == []
    (folder / "data.parquet").write_bytes(old)
    assert verify(store).problems == []


def test_files_from_before_there_were_checksums_are_told_apart_from_damaged_ones(store):
    root = store.folder()
    for sums in [*root.glob("*/*/.data.parquet.sha256"), *root.glob("[te]*/*/SHA256SUMS")]:
        sums.unlink()
    report = verify(store)
    assert report.problems == []
    assert len(report.unstamped) == 5
    flip(store.folder("chunks", "corpus=one", "data.parquet"), 400)  # in a page of the first column
    assert [p.remedy for p in verify(store).problems] == ["bonito run one"]


def test_a_note_laid_on_a_model_is_no_damage(store):
    with store.new_file("tuned_model", "one", "stale.json") as file:
        file.write(b"{}")
    assert verify(store).problems == []


@pytest.mark.parametrize("name", ["tuned_model", "instruction_dataset"])
def test_a_folder_that_is_replaced_while_it_is_read_is_no_damage(store, monkeypatch, name):
    begun = iter([True])

    def replaced_meanwhile(folder):
        found = compare(folder)
        if folder.parent.name == name and next(begun, False):
            with store.new_folder(name, "one") as new:
                (new / "other").write_text("A new version.")
            found = (["README.md: missing"], [])  # as whoever had the old list would say
        return found

    for user in ("bonito_assets.operations.verify", "bonito_assets.publishing.checksums"):
        monkeypatch.setattr(f"{user}.compare", replaced_meanwhile)
    assert verify(store).problems == []
    assert next(begun, False) is False


def test_what_goes_while_it_is_read_is_no_damage(store, monkeypatch):
    store.write("curation_features", "one", rows(3))

    def merged_meanwhile(self):
        yield f"{store.root}/generation_cache/gone.parquet", True

    def dropped_meanwhile(self, table, corpus):
        if table == "curation_features" and store.exists(table, corpus):
            store.drop(table, corpus)
        return []

    monkeypatch.setattr(GenerationCache, "check", merged_meanwhile)
    monkeypatch.setattr(Store, "checksums", dropped_meanwhile)
    assert verify(store).problems == []


def test_a_segment_that_was_set_aside_is_told(store):
    (path,) = store.segments("generation_cache")
    shutil.move(path, f"{path}.damaged")
    assert [p.sentence for p in verify(store).problems] == ["it was set aside as damaged"]


def run(store, **config):
    return verify_files.execute_in_process(
        resources={"store": store},
        run_config={"ops": {"compare_files": {"config": config}}},
        raise_on_error=False,
    )


def test_the_nightly_job_fails_with_the_file_and_the_remedy_in_its_metadata(store):
    assert run(store).success
    flip(store.folder("chunks", "corpus=one", "data.parquet"), 1000)
    assert run(store, corpora=["two"]).success
    (failure,) = run(store).get_step_failure_events()
    data = failure.step_failure_data.user_failure_data
    assert "What to do: bonito run one" in data.description
    assert data.metadata["problems"].value == 1
    assert "chunks" in data.metadata["what to do"].value


def test_nothing_is_read_every_night_unless_somebody_starts_it():
    assert nightly_verification.default_status == dg.DefaultScheduleStatus.STOPPED


def test_releases_are_looked_at_one_by_one(store):
    flip(store.folder("instruction_dataset", "one", "releases", "1", "README.md"), 8)
    (problem,) = verify(store).problems
    assert problem.place.endswith("instruction_dataset/one/releases/1")
    assert not (store.folder("instruction_dataset", "one") / RELEASE).exists()
