"""A release holds every accepted row once, split by document, and opens with `datasets`."""

import datasets
import hypothesis.strategies as st
import pytest
from huggingface_hub import DatasetCard
from hypothesis import given

from bonito_assets import tables
from bonito_assets.catalogue import Corpus
from bonito_assets.publishing.card import card
from bonito_assets.publishing.release import build, write
from bonito_assets.publishing.split import validation_documents

CORPUS = Corpus(
    name="c",
    folder="/",
    source={"files": "x"},
    task_types=["nli"],
    description="Letters | of <b>1901</b>",
    license="cc0-1.0",
)


def books(n_documents, rows_each=2, refused=1):
    chunks = tables.build("chunks", [
        {"corpus": "c", "chunk_id": f"k{d}", "doc_id": f"d{d}", "position": 0, "start_char": d,
         "end_char": d + 5, "text": "P", "n_tokens": 1, "units": ["paragraph"]}
        for d in range(n_documents)
    ])  # fmt: skip
    curated = tables.build("curated_tasks", [
        {"corpus": "c", "generation_id": f"g{d}-{i}", "chunk_id": f"k{d}", "doc_id": f"d{d}",
         "task_type": "nli", "input": f"Q{d}-{i}", "output": "A",
         "rejected_because": "truncated" if i < refused else None}
        for d in range(n_documents)
        for i in range(rows_each + refused)
    ])  # fmt: skip
    documents = tables.build("documents", [
        {"corpus": "c", "doc_id": f"d{d}", "uri": f"{d}.txt", "text": f"text {d}"}
        for d in range(n_documents)
    ])  # fmt: skip
    return {"documents": documents, "chunks": chunks, "curated_tasks": curated}


def publish(folder, n_documents, previous=None, **kwargs):
    made = books(n_documents, **kwargs)
    release = build(made["curated_tasks"], made["chunks"])
    folder.mkdir()
    write(release, card(CORPUS, release, made, "m@1"), folder, previous)
    return release


def test_the_dataset_opens_with_both_splits_and_the_contracts_columns(tmp_path):
    publish(tmp_path / "ds", 20)
    opened = datasets.load_dataset(str(tmp_path / "ds"), cache_dir=str(tmp_path / "cache"))
    assert set(opened) == {"train", "validation"}
    assert opened["train"].column_names == [
        "input", "output", "task_type", "messages", "corpus", "doc_id", "chunk_id",
        "generation_id", "start_char", "end_char",
    ]  # fmt: skip
    row = opened["train"][0]
    assert row["messages"] == [
        {"role": "user", "content": row["input"]},
        {"role": "assistant", "content": row["output"]},
    ]


def test_every_accepted_row_is_in_one_split_and_no_document_in_two(tmp_path):
    release = publish(tmp_path / "ds", 30)
    train = set(release.train["generation_id"].to_pylist())
    validation = set(release.validation["generation_id"].to_pylist())
    assert len(train) + len(validation) == 60
    assert not train & validation
    assert not set(release.train["doc_id"].to_pylist()) & set(
        release.validation["doc_id"].to_pylist()
    )


def test_offsets_are_those_of_the_passage(tmp_path):
    release = publish(tmp_path / "ds", 5)
    for row in release.train.to_pylist():
        assert (row["start_char"], row["end_char"]) == (
            int(row["doc_id"][1:]),
            int(row["doc_id"][1:]) + 5,
        )


def test_a_single_document_is_published_as_train_alone(tmp_path):
    publish(tmp_path / "ds", 1)
    opened = datasets.load_dataset(str(tmp_path / "ds"), cache_dir=str(tmp_path / "cache"))
    assert set(opened) == {"train"}


def test_the_card_is_valid_for_the_hub_and_shows_the_books(tmp_path):
    publish(tmp_path / "ds", 20)
    parsed = DatasetCard.load(tmp_path / "ds" / "README.md")
    assert parsed.data.license == "cc0-1.0"
    assert [f["split"] for f in parsed.data.configs[0]["data_files"]] == ["train", "validation"]
    assert "truncated" in parsed.text
    assert "60" in parsed.text


def test_the_version_is_the_content_and_nothing_else():
    one, two = books(10), books(10)
    assert (
        build(one["curated_tasks"], one["chunks"]).version
        == build(two["curated_tasks"], two["chunks"]).version
    )
    three = books(11)
    assert (
        build(three["curated_tasks"], three["chunks"]).version
        != build(one["curated_tasks"], one["chunks"]).version
    )


def test_earlier_releases_stay_and_the_new_one_is_what_opens(tmp_path):
    first = publish(tmp_path / "one", 10)
    second = publish(tmp_path / "two", 12, previous=tmp_path / "one")
    kept = {path.name for path in (tmp_path / "two" / "releases").iterdir()}
    assert kept == {first.version, second.version}
    opened = datasets.load_dataset(str(tmp_path / "two"), cache_dir=str(tmp_path / "cache"))
    assert sum(split.num_rows for split in opened.values()) == 24
    old = datasets.load_dataset(
        str(tmp_path / "two" / "releases" / first.version), cache_dir=str(tmp_path / "cache")
    )
    assert sum(split.num_rows for split in old.values()) == 20


@given(st.sets(st.text(min_size=1), min_size=2, max_size=60))
def test_two_or_more_documents_fill_both_splits(doc_ids):
    held_out = validation_documents(doc_ids)
    assert 0 < len(held_out) < len(doc_ids)
    assert held_out < doc_ids


@pytest.mark.parametrize("n", [1000])
def test_about_a_tenth_is_held_out_and_new_documents_move_no_old_one(n):
    before = validation_documents({f"d{i}" for i in range(n)})
    after = validation_documents({f"d{i}" for i in range(2 * n)})
    assert 0.07 * n < len(before) < 0.13 * n
    assert before <= after
