"""The books of a release reconcile from documents to rows, or say where they do not."""

import copy

import pytest

from bonito_assets.publishing.books import problems, published_books, stage_books
from tests.publishing.made import letters, pay, put, read_json, release

pytestmark = pytest.mark.usefixtures("rows_alone")


JUDGED = {"rows": 30, "verdicts": {"accepted": 20, "truncated": 10}}
BOOKS = {
    "documents": {"rows": 10, "verdicts": {"accepted": 10}},
    "chunks": {"rows": 10, "verdicts": {"accepted": 10}},
    "generations": {"rows": 30, "verdicts": {"accepted": 30}},
    "tasks": JUDGED,
    "curated_tasks": {**JUDGED},
    "published": {"rows": 20, "splits": {"train": 18, "validation": 2}, "ids": 20, "chunks": 10,
                  "documents": 10, "shared_documents": 0},
}  # fmt: skip


def test_they_hold_every_stage_with_every_verdict(store, corpus):
    put(store, letters(10))
    folder = release(store, corpus)[1]
    books = read_json(folder / "books.json")
    assert list(books) == list(BOOKS)
    assert {name: books[name] for name in list(BOOKS)[:-1]} == {
        name: BOOKS[name] for name in list(BOOKS)[:-1]
    }
    assert books["published"] | {"splits": None} == BOOKS["published"] | {"splits": None}
    assert sum(books["published"]["splits"].values()) == 20
    assert problems(books) == []


@pytest.mark.parametrize(
    ("stage", "change", "sentence"),
    [
        ("tasks", {"rows": 29}, "verdicts do not add up"),
        ("tasks", {"rows": 29, "verdicts": {"accepted": 19, "truncated": 10}}, "of generations"),
        ("curated_tasks", {"verdicts": {"accepted": 21, "truncated": 9}}, "truncated"),
        ("curated_tasks", {"verdicts": {"accepted": 19, "truncated": 11}}, "19 rows accepted, 20"),
        ("published", {"rows": 19}, "19 published"),
        ("published", {"ids": 18}, "2 published ids stand twice"),
        ("published", {"shared_documents": 1}, "both splits"),
        ("published", {"documents": 11}, "11 documents published from, 10 accepted"),
    ],
)
def test_each_way_of_losing_a_row_is_named(stage, change, sentence):
    books = copy.deepcopy(BOOKS)
    books[stage].update(change)
    assert any(sentence in problem for problem in problems(books))


def test_the_account_of_the_files_is_that_of_the_files(store, corpus):
    put(store, letters(10))
    made, folder = release(store, corpus)
    (folder / "data" / "validation.parquet").write_bytes(
        (folder / "data" / "train.parquet").read_bytes()
    )
    found = published_books(store, folder, made.rows)
    assert found["shared_documents"] == found["documents"] > 0
    assert problems({**stage_books(store, corpus.name), "published": found})


def test_the_bill_is_spread_over_the_rows_and_split_at_the_last_release(store, corpus):
    pay(store, 1000, 40.0, money=2.0)
    put(store, letters(10))
    release(store, corpus)
    pay(store, 200, 10.0, money=0.5)
    put(store, letters(12))
    for _ in range(2):  # publishing again without a change changes no bill
        bill = read_json(release(store, corpus)[1] / "release.json")["bill"]
        assert bill["total"]["prompt_tokens"] == 1200
        assert bill["since"]["gpu_seconds"] == 10.0
        assert bill["since"]["money"] == 0.5
        assert bill["per_row"]["gpu_seconds"] == pytest.approx(50 / 24)


def test_rows_that_cost_nothing_here_have_a_bill_of_zeros(store, corpus):
    put(store, letters(3))
    assert set(release(store, corpus)[0].record["bill"]["total"].values()) == {0}
