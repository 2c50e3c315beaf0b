"""Forgetting: afterwards nothing of a document is anywhere, and the others are as they were."""

import json
import random
import shutil
import subprocess
import sys
import time

import dagster as dg
import pytest

from bonito_assets.automation.staleness import Staleness
from bonito_assets.lineage.forget.run import take_back
from bonito_assets.lineage.forget.subject import ForgetError
from bonito_assets.lineage.tombstones import Tombstones
from bonito_assets.publishing.checksums import verify
from tests.lineage.forgettable import CORPUS, Place, asked, doc_id, place_of, secret, text

# Each runs the chain of assets, which takes seconds; the parts have fast tests of their own.
pytestmark = pytest.mark.slow
GONE = (3, 7)


@pytest.fixture(scope="module")
def forgotten(tmp_path_factory):
    """Gives a place in which two of twelve documents were forgotten, and what was there before."""
    place = place_of(tmp_path_factory.mktemp("forget"), range(12))
    with place.instance() as instance:
        place.refresh(instance)
        _tuned(place)
        before = {
            (table, column): set(place.ids(table, column))
            for table, column in (("generations", "generation_id"), ("chunks", "chunk_id"))
        }
        assert place.files_that_say(secret(3), secret(7))
        assert place.forget(instance, *map(doc_id, GONE)) is None
        yield place, instance, before


def _tuned(place):
    """Publishes a model that was tuned on the release."""
    version = place.digests()["release"]
    with place.store.new_folder("tuned_model", CORPUS) as folder:
        (folder / "training.json").write_text(json.dumps({"dataset_version": version}))


def _events(place):
    return [p for p in (place.folder / "home").rglob("*.db") if p.stat().st_size]


def test_nothing_that_the_documents_said_is_in_any_file(forgotten):
    place, _, _ = forgotten
    assert _events(place)
    for number in GONE:
        assert place.files_that_say(*secret(number).split()) == []
    assert place.files_that_say(secret(4))


def test_the_ids_of_all_others_are_as_they_were(forgotten):
    place, _, before = forgotten
    for (table, column), ids in before.items():
        left = set(place.ids(table, column))
        assert left < ids
        assert len(left) == len(ids) * 10 // 12


def test_the_documents_keep_a_row_that_says_only_that_they_are_forgotten(forgotten):
    place, _, _ = forgotten
    rows = {r["doc_id"]: r for r in place.store.read("documents", CORPUS).to_pylist()}
    for number in GONE:
        row = rows[doc_id(number)]
        assert row["rejected_because"] == "forgotten"
        assert row["title"] is row["text"] is row["n_chars"] is row["content_sha256"] is None
    assert len(rows) == 12


def test_the_next_refresh_changes_nothing_and_generates_nothing(forgotten):
    place, instance, _ = forgotten
    before, generated = place.digests(), len(asked())
    place.refresh(instance)
    assert place.digests() == before
    assert len(asked()) == generated
    for number in GONE:
        assert place.files_that_say(*secret(number).split()) == []


def test_releases_load_and_are_whole_and_say_what_they_lost(forgotten):
    import datasets

    place, _, _ = forgotten
    folder = place.folder / f"data/instruction_dataset/{CORPUS}"
    releases = [folder, *(folder / "releases").iterdir()]
    assert len(releases) > 1
    for release in releases:
        assert verify(release) == []
        loaded = datasets.load_dataset(str(release), cache_dir=str(place.folder / "corpora/hf"))
        ids = {d for split in loaded.values() for d in split["doc_id"]}
        assert ids
        assert not ids & set(map(doc_id, GONE))
    records = [json.loads((r / "release.json").read_text()) for r in releases]
    assert any(r.get("forgotten", {}).get("rows") == len(GONE) for r in records)


def test_a_model_that_saw_them_is_marked_with_the_reason(forgotten):
    place, _, _ = forgotten
    mark = json.loads((place.folder / f"data/tuned_model/{CORPUS}/stale.json").read_text())
    assert mark["documents"] == sorted(map(doc_id, GONE))
    assert mark["arms"] == ["bonito"]
    assert "forgotten" in mark["reason"]


def test_the_record_says_who_when_and_why_and_counts_but_no_text(forgotten):
    place, _, _ = forgotten
    lines = (place.folder / "data/forgotten/audit.jsonl").read_text().splitlines()
    begun, done = map(json.loads, lines[:2])
    assert begun["reason"] == done["reason"] == "they asked"
    assert begun["run_id"] == done["run_id"]
    assert done["done"]["doc_ids"] == list(map(doc_id, GONE))
    assert done["done"]["rows"]["tasks"] == begun["begun"]["rows"]["tasks"] == len(GONE)
    assert done["done"]["models"] == {f"tuned_model/{CORPUS}": ["bonito"]}


def test_forgetting_again_is_fine_and_changes_nothing(forgotten):
    place, instance, _ = forgotten
    before = place.digests()
    assert place.forget(instance, doc_id(3)) is None
    assert place.digests() == before


def test_what_was_fresh_for_dagster_is_fresh(forgotten):
    _, instance, _ = forgotten
    from bonito_assets.definitions import defs

    staleness = Staleness(instance, defs().resolve_asset_graph())
    for stage in ("chunks", "tasks"):
        assert staleness.reason(dg.AssetKey(stage), CORPUS) is None


def test_an_unknown_document_is_refused_before_anything_is_done(tmp_path):
    place = place_of(tmp_path, range(3))
    with place.instance() as instance:
        place.refresh(instance)
        before = place.digests()
        assert "has no document" in place.forget(instance, doc_id(1), "f" * 32)
        assert place.digests() == before
        assert not (tmp_path / "data/forgotten").exists()


def test_documents_stay_out_when_edited_or_renamed_until_they_are_taken_back(tmp_path):
    texts = {str(n): text(n) for n in range(4)}
    place = place_of(tmp_path, range(4))
    with place.instance() as instance:
        place.refresh(instance)
        assert place.forget(instance, doc_id(1)[:10], doc_id(2)) is None
        place.write({**texts, "1": text(1) + " It was edited.", "new name": text(2)})
        place.refresh(instance)
        said = place.files_that_say(*secret(1).split(), *secret(2).split())
        assert said == []
        with pytest.raises(ForgetError):
            take_back(place.store, CORPUS, [doc_id(0)])
        assert take_back(place.store, CORPUS, [doc_id(1)[:8]]) == [doc_id(1)]
        place.refresh(instance)
        assert place.files_that_say(secret(1))
        assert place.files_that_say(*secret(2).split()) == []
        assert Tombstones.read(place.store, CORPUS).doc_ids == {doc_id(2)}


def test_an_exact_copy_is_forgotten_with_it(tmp_path):
    place = place_of(tmp_path, range(3))
    place.write({"0": text(0), "1": text(1), "copy": text(1)})
    with place.instance() as instance:
        place.refresh(instance)
        assert place.forget(instance, doc_id(1)) is None
        assert place.ids("documents", "rejected_because") == [None, "forgotten", "forgotten"]
        assert place.files_that_say(*secret(1).split()) == []


def test_outputs_about_a_passage_that_another_document_has_too_stay(tmp_path):
    shared = text(9)
    place = place_of(tmp_path, [])
    place.write({"0": f"{shared}\n\n{text(0)}", "1": f"{shared}\n\n{text(1)}"},
                chunking={"max_chars": len(shared) + 5})  # fmt: skip
    with place.instance() as instance:
        place.refresh(instance)
        assert place.forget(instance, doc_id(0)) is None
        generated = len(asked())
        place.refresh(instance)
        assert len(asked()) == generated
        assert place.files_that_say(secret(9))
        assert place.files_that_say(*secret(0).split()) == []


def test_neither_the_source_nor_the_catalogue_file_is_needed(tmp_path):
    place = place_of(tmp_path, range(6))
    with place.instance() as instance:
        place.refresh(instance)
        for path in (tmp_path / "corpora").iterdir():
            path.unlink()
        assert place.forget(instance, doc_id(5)) is None
        assert place.files_that_say(*secret(5).split()) == []
        assert verify(tmp_path / f"data/instruction_dataset/{CORPUS}") == []


def test_what_a_killed_publisher_left_beside_the_tables_goes_too(tmp_path):
    place = place_of(tmp_path, range(3))
    left = tmp_path / "data/.instruction_mixture.1234.tmp"
    left.mkdir(parents=True)
    (left / "README.md").write_text(text(1))
    with place.instance() as instance:
        place.refresh(instance)
        assert place.forget(instance, doc_id(1)) is None
    assert not left.exists()


def test_the_last_document_takes_the_releases_with_it(tmp_path):
    place = place_of(tmp_path, [1])
    with place.instance() as instance:
        place.refresh(instance)
        assert place.forget(instance, doc_id(1)) is None
        assert not (tmp_path / f"data/instruction_dataset/{CORPUS}").exists()
        assert place.files_that_say(*secret(1).split()) == []


def test_ten_of_a_thousand_go_and_nine_hundred_and_ninety_stay(tmp_path):
    gone = range(0, 1000, 100)
    place = place_of(tmp_path, range(1000))
    with place.instance() as instance:
        place.refresh(instance)
        before = set(place.ids("generations", "generation_id"))
        assert place.forget(instance, *map(doc_id, gone)) is None
        left, tables, generated = (
            place.ids("generations", "generation_id"),
            place.digests(),
            len(asked()),
        )
        assert len(left) == 990
        assert set(left) < before
        place.refresh(instance)
        assert place.digests() == tables
        assert len(asked()) == generated
        assert place.files_that_say(*(w for n in gone for w in secret(n).split())) == []


@pytest.mark.parametrize("seed", range(4))
def test_one_who_is_killed_anywhere_can_begin_again(forgotten_twin, tmp_path, seed):
    """Kills the process at a random moment, three times, and then lets it end."""
    shutil.copytree(forgotten_twin, tmp_path, dirs_exist_ok=True)
    place, rng = Place(tmp_path), random.Random(seed)
    for _ in range(3):
        process = _forgetting(tmp_path)
        begun = tmp_path / "data/forgotten/audit.jsonl"
        lines = begun.read_text().count("\n") if begun.exists() else 0
        while process.poll() is None and not _has_more_lines(begun, lines):
            time.sleep(0.01)
        time.sleep(rng.uniform(0, 2.5))
        process.kill()
        process.wait()
        for table in ("documents", "chunks", "generations", "tasks", "curated_tasks"):
            place.store.read(table, CORPUS)
    assert _forgetting(tmp_path).wait() == 0
    assert place.files_that_say(*(w for n in GONE for w in secret(n).split())) == []
    for release in (tmp_path / f"data/instruction_dataset/{CORPUS}/releases").iterdir():
        assert verify(release) == []
    with place.instance() as instance:
        before = place.digests()
        place.refresh(instance)
        assert place.digests() == before


@pytest.fixture(scope="module")
def forgotten_twin(tmp_path_factory):
    """Gives a place in which nothing is forgotten yet, to be copied."""
    place = place_of(tmp_path_factory.mktemp("twin"), range(12))
    with place.instance() as instance:
        place.refresh(instance)
    return place.folder


def _forgetting(folder):
    command = [sys.executable, "-m", "tests.lineage.forgettable", str(folder)]
    return subprocess.Popen(
        [*command, *map(doc_id, GONE)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


def _has_more_lines(path, lines):
    return path.exists() and path.read_text().count("\n") > lines
