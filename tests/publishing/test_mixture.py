"""The mixture holds the rows of all corpora, none twice, and each corpus with its weight."""

from collections import Counter

import dagster as dg
import hypothesis.strategies as st
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from huggingface_hub import DatasetCard
from hypothesis import given

from bonito_assets.catalogue import Catalogue
from bonito_assets.publishing import assets
from bonito_assets.publishing.assets import instruction_mixture
from bonito_assets.publishing.checksums import verify
from bonito_assets.publishing.mixture import KEPT, OVER_WEIGHT, amounts, choose
from bonito_assets.publishing.release import data_files
from tests.publishing.made import catalogue_file, letters, put, read_json, release, row

pytestmark = pytest.mark.usefixtures("rows_alone")

LONG = (
    "The ferry from Askerby to the islands leaves at dawn when the tide is high and the wind comes "
    "from the west, carries mail, bread and forty passengers, stops at three small piers on the "
    "way, and comes back in the evening with fish, wool and whoever has business in the town {}."
)


@pytest.fixture
def mixed(store, tmp_path):
    """Publishes corpora, given as tables and settings by name, and then makes the mixture."""

    def run(**corpora):
        for name, (content, options, settings) in corpora.items():
            corpus = catalogue_file(tmp_path, name, **settings)
            if content is not None:
                put(store, content, corpus=name, **options)
                release(store, corpus)
        done = dg.materialize(
            [instruction_mixture],
            resources={"store": store, "catalogue": Catalogue(folder=str(tmp_path))},
            selection=[instruction_mixture],
            raise_on_error=False,
            instance=dg.DagsterInstance.ephemeral(),
        )
        folder = store.published("instruction_mixture")
        return done, folder, read_json(folder / "books.json") if folder else None

    return run


def rows_of(folder):
    return pa.concat_tables([pq.read_table(path) for path in data_files(folder).values()])


def corpus_of(content, options=None, **settings):
    return content, options or {}, settings


def test_it_holds_the_rows_of_all_corpora_and_opens_like_each_of_them(mixed, store):
    _, folder, books = mixed(
        a=corpus_of(letters(6)), b=corpus_of(letters(9), {"text": "In {} the sea is rough."})
    )
    rows = rows_of(folder)
    assert Counter(rows["corpus"].to_pylist()) == {"a": 12, "b": 18}
    assert rows.schema == rows_of(store.folder("instruction_dataset", "a")).schema
    assert verify(folder) == []
    assert books["published"]["ids"] == 30


def test_a_row_keeps_the_split_that_it_has_in_its_corpus(mixed, store):
    _, folder, _ = mixed(
        a=corpus_of(letters(12)), b=corpus_of(letters(9), {"text": "In {} the sea is rough."})
    )
    for split, path in data_files(folder).items():
        ids = pq.read_table(path)["generation_id"].to_pylist()
        theirs = [
            value
            for name in ("a", "b")
            for value in pq.read_table(
                store.folder("instruction_dataset", name) / "data" / f"{split}.parquet"
            )["generation_id"].to_pylist()
        ]
        assert ids == theirs


def test_equal_rows_of_two_corpora_stand_once_where_the_model_was_surest(mixed):
    unsure, sure = letters(4), letters(4)
    for name in list(sure)[:1]:
        sure[name] = [{**entry, "mean_logprob": -0.1} for entry in sure[name]]
    _, folder, books = mixed(a=corpus_of(unsure), b=corpus_of(sure))
    assert Counter(rows_of(folder)["corpus"].to_pylist()) == {"a": 6, "b": 2}
    assert books["duplicates"] == [
        {"corpus": "a", "kept_in": "b", "kind": "exact", "rows": 2},
        {"corpus": "b", "kept_in": "a", "kind": "exact", "rows": 6},
    ]


def test_the_same_question_on_a_near_copy_of_the_passage_is_one_row(mixed):
    asked = {"x": [row("Does the ferry carry mail?")]}
    _, folder, books = mixed(
        a=corpus_of(asked, {"text": LONG.format("hall")}),
        b=corpus_of(asked, {"text": LONG.format("court")}),
    )
    assert rows_of(folder)["corpus"].to_pylist() == ["a"]
    assert [entry["kind"] for entry in books["duplicates"]] == ["near"]


def test_other_questions_and_other_passages_are_no_duplicates(mixed):
    _, folder, books = mixed(
        a=corpus_of({"x": [row("Does it carry mail?")]}, {"text": LONG.format("hall")}),
        b=corpus_of({"x": [row("Does it carry wool?")]}, {"text": LONG.format("hall")}),
        c=corpus_of({"x": [row("Does it carry mail?")]}, {"text": "A brig lies in the bay."}),
    )
    assert rows_of(folder).num_rows == 3
    assert books["duplicates"] == []


def test_weights_are_the_proportion_of_the_corpora_and_the_best_rows_come_first(mixed):
    ranked = {f"{n}.txt": [row(f"Is it ship {n}?", mean_logprob=-float(n))] for n in range(1, 13)}
    _, folder, books = mixed(
        a=corpus_of(ranked, mixture_weight=1),
        b=corpus_of(letters(4), {"text": "In {} the sea is rough."}, mixture_weight=2),
        c=corpus_of(letters(3), {"text": "In {} the sea is calm."}),
    )
    rows = rows_of(folder)
    assert Counter(rows["corpus"].to_pylist()) == {"a": 4, "b": 8, "c": 6}
    asked = [i for i, c in zip(rows["input"], rows["corpus"], strict=True) if c.as_py() == "a"]
    assert sorted(text.as_py().split("ship ")[1] for text in asked) == ["1?", "2?", "3?", "4?"]
    assert books["corpora"]["a"]["over_weight"] == 8


def test_a_corpus_without_a_release_or_with_weight_zero_is_named(mixed):
    done, folder, books = mixed(
        a=corpus_of(letters(3)),
        b=corpus_of(letters(3), {"text": "In {} the sea is rough."}, mixture_weight=0),
        c=corpus_of(None),
    )
    assert set(rows_of(folder)["corpus"].to_pylist()) == {"a"}
    assert (books["missing"], books["left_out"]) == (["c"], ["b"])
    metadata = done.asset_materializations_for_node("instruction_mixture")[0].metadata
    assert metadata["not published yet"].value == "c"


def failure(done):
    event = next(event for event in done.all_events if event.is_step_failure)
    return event.step_failure_data.user_failure_data.description


def test_without_any_release_it_says_what_to_do(mixed):
    done, folder, _ = mixed(a=corpus_of(None))
    assert not done.success
    assert folder is None
    assert "looked for a" in failure(done)
    assert "bonito run" in failure(done)


def test_a_release_that_its_tables_have_left_behind_is_to_be_published_again(mixed, store):
    mixed(a=corpus_of(letters(3)))
    put(store, letters(2), corpus="a")
    done, _, _ = mixed()
    assert "bonito run a --to instruction_dataset" in failure(done)


def test_the_same_releases_give_the_same_bytes_and_a_new_one_another_version(mixed, store):
    _, folder, _ = mixed(a=corpus_of(letters(5)))
    first = {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    _, folder, _ = mixed()
    assert {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()} == first
    version = read_json(folder / "release.json")["version"]
    _, folder, _ = mixed(a=corpus_of(letters(6)))
    record = read_json(folder / "release.json")
    assert record["follows"] == version
    assert (folder / "releases" / version / "SHA256SUMS").is_file()


def test_books_that_do_not_reconcile_keep_the_last_mixture(mixed, monkeypatch):
    _, folder, _ = mixed(a=corpus_of(letters(5)))
    kept = read_json(folder / "release.json")["version"]
    monkeypatch.setattr(assets.mixture, "problems", lambda *_: ["a row is missing"])
    done, folder, _ = mixed(a=corpus_of(letters(6)))
    assert not done.success
    assert "a row is missing" in failure(done)
    assert read_json(folder / "release.json")["version"] == kept


def test_its_card_is_valid_and_names_corpora_licences_and_duplicates(mixed):
    _, folder, _ = mixed(a=corpus_of(letters(4)), b=corpus_of(letters(6), license="mit"))
    card = DatasetCard.load(folder / "README.md")
    assert card.data.license == "other"
    assert card.data.license_name == "several: cc0-1.0, mit"
    assert "| b | a | exact | 8 |" in card.text
    assert "| a | " in card.text


WEIGHTS = st.one_of(st.none(), st.floats(0.01, 100, allow_nan=False))
CORPORA = st.lists(st.tuples(st.integers(0, 60), WEIGHTS), min_size=1, max_size=5)


@given(CORPORA)
def test_amounts_keep_the_proportions_and_leave_no_more_out_than_they_must(corpora):
    rows, weights = zip(*corpora, strict=True)
    given_ = amounts(rows, weights)
    measured = [(g, n, w) for g, n, w in zip(given_, rows, weights, strict=True) if w and n]
    assert all(g == n for g, n, w in zip(given_, rows, weights, strict=True) if w is None)
    assert all(g <= n for g, n in zip(given_, rows, strict=True))
    if measured:
        # One corpus gives all it has, and no other is more than a row short of its share of that.
        assert any(g == n for g, n, _ in measured)
        scale = min(n / w for _, n, w in measured)
        assert all(abs(g - scale * w) <= 1 + 1e-6 for g, _, w in measured)


@given(st.data())
def test_of_each_family_one_corpus_keeps_its_rows_and_it_is_that_of_the_best(data):
    n = data.draw(st.integers(1, 30))
    corpus = np.sort(data.draw(st.lists(st.integers(0, 2), min_size=n, max_size=n)))
    drawn = data.draw(st.lists(st.integers(0, n - 1), min_size=n, max_size=n))
    first = {member: place for place, member in reversed(list(enumerate(drawn)))}
    family = np.array([first[member] for member in drawn])
    sure = np.array(
        data.draw(
            st.lists(st.sampled_from([-3.0, -2.0, -1.0, float("nan")]), min_size=n, max_size=n)
        )
    )
    chosen = choose(corpus, sure, {"exact": family}, [None, None, None])
    for number in set(family.tolist()):
        members = np.flatnonzero(family == number)
        best = min(members, key=lambda i: (-sure[i] if sure[i] == sure[i] else np.inf, i))
        kept = members[chosen.fate[members] == KEPT]
        assert kept.tolist() == [i for i in members if corpus[i] == corpus[best]]
    assert sum(chosen.duplicates.values()) == (chosen.fate != KEPT).sum()


def test_a_weight_counts_what_duplicates_have_left():
    corpus = np.array([0, 0, 0, 1, 1, 1])
    family = np.array([0, 1, 2, 0, 4, 5])
    chosen = choose(corpus, np.zeros(6), {"exact": family}, [1.0, 1.0])
    assert (chosen.fate[:3] == KEPT).sum() == (chosen.fate[3:] == KEPT).sum() == 2
    assert (chosen.fate == OVER_WEIGHT).sum() == 1
