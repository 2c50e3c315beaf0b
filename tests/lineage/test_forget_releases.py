"""A document goes out of all releases that held it, and each is whole again afterwards."""

import datasets
import pytest

from bonito_assets.catalogue import Catalogue
from bonito_assets.identity import digest
from bonito_assets.lineage.forget.models import mark, stale_because, that_saw
from bonito_assets.lineage.forget.releases import Cut, cut, holding
from bonito_assets.publishing.checksums import verify
from bonito_assets.publishing.mixture import MIXTURE, sources
from bonito_assets.publishing.mixture_release import publish_mixture
from bonito_assets.publishing.publish import DATASET
from resources.store import Store
from tests.publishing.made import CORPUS, catalogue_file, letters, put, read_json, release

PLACE = (DATASET, CORPUS)


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.setattr(Store, "refresh_warehouse", lambda _: None)
    # Plots and review page take seconds; that they go is seen by their names.
    monkeypatch.setattr("bonito_assets.publishing.publish._write_plots", lambda *_: {})
    monkeypatch.setattr(
        "bonito_assets.publishing.review.page.write_review", lambda path, *_: path.write_text("x")
    )
    return Store(root=str(tmp_path / "data"))


@pytest.fixture
def versions(store, tmp_path):
    """Publishes nine letters, then twelve; gives both versions."""
    corpus = catalogue_file(tmp_path)
    made = []
    for n in (9, 12):
        put(store, letters(n))
        made.append(release(store, corpus)[0].rows.version)
    return made


def letter(number):
    return digest(CORPUS, f"{number}.txt")


def documents_in(folder):
    loaded = datasets.load_dataset(str(folder), cache_dir=str(folder.parents[3] / "cache"))
    return {doc_id for split in loaded.values() for doc_id in split["doc_id"]}


def tuned(store, version, *arms):
    with store.new_folder("tuned_model", CORPUS) as folder:
        for place in (folder, *(folder / "arms" / arm for arm in arms)):
            place.mkdir(parents=True, exist_ok=True)
            (place / "training.json").write_text(f'{{"dataset_version": "{version}"}}')


def test_every_release_that_held_it_gets_another_version_and_is_whole(store, versions):
    done = cut(store, PLACE, [letter(3)])
    assert [(c.old, c.rows) for c in done] == [(version, 2) for version in versions]
    dataset = store.folder(*PLACE)
    old, new = (dataset / "releases" / c.new for c in done)
    for folder in (dataset, old, new):
        assert verify(folder) == []
    assert letter(3) not in documents_in(old) | documents_in(new)
    assert letter(11) in documents_in(new)
    assert read_json(dataset / "release.json") == read_json(new / "release.json")
    assert sorted(p.name for p in (dataset / "releases").iterdir()) == sorted(c.new for c in done)


def test_a_release_says_what_it_lost_and_follows_the_new_version_of_the_one_before(store, versions):
    first, second = cut(store, PLACE, [letter(3)])
    found = read_json(store.folder(*PLACE) / "release.json")
    assert found["follows"] == first.new
    assert found["version"] == second.new
    assert (found["forgotten"]["rows"], found["forgotten"]["was"]) == (2, [versions[1]])
    cut(store, PLACE, [letter(3), letter(4)])
    found = read_json(store.folder(*PLACE) / "release.json")
    assert (found["forgotten"]["rows"], found["forgotten"]["was"]) == (4, [versions[1], second.new])


def test_a_document_that_came_with_the_last_release_leaves_the_one_before(store, versions):
    gone = [letter(n) for n in (9, 10, 11)]
    assert cut(store, PLACE, gone) == [Cut(versions[1], versions[0], 6)]
    dataset = store.folder(*PLACE)
    assert read_json(dataset / "release.json")["version"] == versions[0]
    assert verify(dataset) == []


def test_samples_and_review_pages_go_since_they_may_show_it(store, versions):
    dataset = store.folder(*PLACE)
    assert "rows, a sample" in (dataset / "README.md").read_text()
    cut(store, PLACE, ["no such document"])
    assert not list(dataset.rglob("review.html"))
    for card in dataset.rglob("README.md"):
        assert ", a sample" not in card.read_text()
        assert "harbour" not in card.read_text()
    assert {p.name for p in (dataset / "releases").iterdir()} == set(versions)


def test_cutting_again_changes_nothing(store, versions):
    cut(store, PLACE, [letter(3)])
    before = {p: p.stat().st_mtime_ns for p in store.folder(*PLACE).rglob("*")}
    assert cut(store, PLACE, [letter(3)]) == []
    assert {p: p.stat().st_mtime_ns for p in store.folder(*PLACE).rglob("*")} == before


def test_with_the_last_row_the_dataset_goes(store, versions):
    assert {c.new for c in cut(store, PLACE, [letter(n) for n in range(12)])} == {None}
    assert not store.is_published(*PLACE)


def test_the_rows_that_will_go_are_counted_by_release(store, versions):
    assert holding(store, CORPUS, [letter(10)]) == {CORPUS: {versions[1]: 2}}


def test_a_model_saw_what_was_in_the_train_split_of_its_release(store, versions):
    sides = {n: digest_side(store, letter(n)) for n in range(12)}
    seen = next(n for n in range(9) if sides[n] == "train")
    held_out = next(n for n in range(12) if sides[n] == "validation")
    tuned(store, versions[1], "tapt")
    assert that_saw(store, CORPUS, [letter(seen)]) == {("tuned_model", CORPUS): ["bonito", "tapt"]}
    assert that_saw(store, CORPUS, [letter(held_out)]) == {}
    tuned(store, versions[0])
    assert that_saw(store, CORPUS, [letter(10)]) == {}


def test_a_model_of_a_release_that_lost_other_rows_still_saw_what_is_left(store, versions):
    tuned(store, versions[1])
    train = [n for n in range(12) if digest_side(store, letter(n)) == "train"]
    cut(store, PLACE, [letter(train[0])])
    assert that_saw(store, CORPUS, [letter(train[1])]) == {("tuned_model", CORPUS): ["bonito"]}


def test_a_model_whose_release_is_gone_is_taken_to_have_seen_it(store, versions):
    tuned(store, "0123456789abcdef")
    assert that_saw(store, CORPUS, [letter(1)]) == {("tuned_model", CORPUS): ["bonito"]}


def test_a_mark_says_why_and_goes_with_the_next_model(store, versions):
    place = ("tuned_model", CORPUS)
    tuned(store, versions[1])
    assert stale_because(store, *place) is None
    mark(store, place, ["bonito"], [letter(1)], "2026-11-24")
    mark(store, place, ["bonito"], [letter(2)], "2026-11-25")
    assert "2 documents" in stale_because(store, *place)
    tuned(store, versions[1])
    assert stale_because(store, *place) is None


def digest_side(store, doc_id):
    import pyarrow.parquet as pq

    path = store.folder(*PLACE) / "data/validation.parquet"
    return "validation" if doc_id in pq.read_table(path)["doc_id"].to_pylist() else "train"


def test_the_mixture_loses_its_rows_and_keeps_those_of_the_other_corpora(store, tmp_path):
    for name, text in (
        (CORPUS, "Letter {} tells of the harbour."),
        ("memos", "Memo {} of a mill."),
    ):
        put(store, letters(4), corpus=name, text=text)
        release(store, catalogue_file(tmp_path, name))
    given = sources(store, Catalogue(folder=str(tmp_path)))
    with store.new_folder(MIXTURE) as folder:
        before = publish_mixture(store, given, folder, None).rows
    [done] = cut(store, (MIXTURE,), [letter(1)])
    assert (done.old, done.rows) == (before.version, 2)
    left = read_json(store.folder(MIXTURE) / "release.json")
    assert sum(left["splits"].values()) == before.total - 2
    assert verify(store.folder(MIXTURE)) == []
    assert cut(store, (MIXTURE,), ["no such document"]) == []
