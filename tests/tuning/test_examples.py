import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bonito_assets.tuning.errors import TuningError
from bonito_assets.tuning.examples import blocks, examples, read_split
from bonito_assets.tuning.record import dataset_version


def row(number, text, output="yes"):
    return {"generation_id": f"g{number}", "chunk_id": "c", "input": text, "output": output}


def publish(folder, rows):
    (folder / "data").mkdir()
    table = pa.Table.from_pylist([{**row, "messages": [], "doc_id": "d"} for row in rows])
    pq.write_table(table, folder / "data" / "train.parquet", write_page_checksum=True)
    return folder / "data" / "train.parquet"


def test_only_the_answer_carries_loss(encoder, tokenizer):
    made = examples([row(1, "the river\n\nis it ?")], {"c": "the river"}, encoder, 100)
    [ids], [labels] = made.input_ids, made.labels
    learned = [token for token in labels if token != -100]
    assert tokenizer.decode(learned) == "yes</s>"
    assert tokenizer.decode(ids) == "<s><|input|>\nthe river\n\nis it ?\n<|output|>\nyes</s>"
    assert list(ids[-len(learned) :]) == learned


def test_a_long_row_is_shortened_and_an_impossible_one_is_named(encoder, tokenizer):
    passage = "the river rises in spring " * 40
    rows = [
        row(1, f"{passage.strip()}\n\nwhat is it ?"),
        row(2, f"{passage.strip()}\n\nwhat is it ?", output=passage),
        row(3, "the river\n\nis it ?"),
    ]
    made = examples(rows, {"c": passage}, encoder, 100)
    assert (len(made), made.shortened, made.left_out) == (2, 1, ["g2"])
    text = tokenizer.decode(made.input_ids[0])
    assert made.lengths[0] <= 100
    assert text.startswith("<s><|input|>\nthe river rises")
    assert text.endswith("\n\nwhat is it ?\n<|output|>\nyes</s>")


def test_a_row_with_an_unknown_passage_is_kept_when_it_fits(encoder):
    assert len(examples([row(1, "the river")], {}, encoder, 100)) == 1


def test_the_digest_tells_examples_apart_whose_tokens_are_cut_elsewhere(encoder):
    def digest(*rows):
        return examples(rows, {}, encoder, 100).digest()

    assert digest(row(1, "a"), row(2, "b")) == digest(row(3, "a"), row(4, "b"))
    assert digest(row(1, "a"), row(2, "b")) != digest(row(1, "b"), row(2, "a"))
    assert digest(row(1, "a", output="yes no")) != digest(row(1, "a yes", output="no"))


@given(
    texts=st.lists(st.sampled_from(["the river", "is it spring ?", "yes", "a of to in"])),
    budget=st.integers(2, 12),
)
def test_blocks_hold_the_texts_in_order_and_all_but_the_last_are_full(encoder, texts, budget):
    made = blocks(texts, encoder, budget)
    joined = [int(token) for ids in made.input_ids for token in ids]
    whole = [token for text in texts for token in encoder.passage(text)]
    assert joined == whole[: len(joined)]
    assert len(whole) - len(joined) <= 1  # a single token teaches nothing
    assert all(length == budget for length in made.lengths[:-1])
    assert all(np.array_equal(*pair) for pair in zip(made.input_ids, made.labels, strict=True))


def test_of_more_blocks_than_are_wanted_the_first_are_made(encoder):
    made = blocks(["the river"] * 50, encoder, 8, most=3)
    assert made.lengths == [8, 8, 8]


def test_a_split_that_was_not_published_has_no_rows(tmp_path):
    publish(tmp_path, [row(1, "a")])
    assert read_split(tmp_path, "train").rows == [row(1, "a")]
    assert (read_split(tmp_path, "validation").rows, read_split(tmp_path, "validation").of) == (
        [],
        0,
    )


def test_of_a_larger_split_rows_are_drawn_by_the_seed(tmp_path):
    rows = [row(n, "a") for n in range(5000)]
    publish(tmp_path, rows)
    first, again = (read_split(tmp_path, "train", most=50, seed=1) for _ in range(2))
    other = read_split(tmp_path, "train", most=50, seed=2)
    assert first.of == 5000
    assert first.rows == again.rows
    assert len({r["generation_id"] for r in first.rows}) == 50
    assert first.rows != other.rows
    assert [r for r in rows if r in first.rows] == first.rows  # in the order of the file


def test_a_folder_that_is_no_dataset_says_what_to_do(tmp_path):
    with pytest.raises(TuningError, match=r"holds no folder 'data'; materialize"):
        read_split(tmp_path, "train")


@pytest.mark.parametrize("harm", ["cut", "flipped", "no column"])
def test_a_damaged_split_names_the_file(tmp_path, harm):
    path = publish(tmp_path, [row(n, f"text {n}") for n in range(100)])
    if harm == "no column":
        pq.write_table(pq.read_table(path).drop_columns("output"), path)
    else:
        content = path.read_bytes()
        flipped = content[:40] + bytes([content[40] ^ 255]) + content[41:]
        path.write_bytes(content[:-20] if harm == "cut" else flipped)
    with pytest.raises(TuningError, match=r"train\.parquet is damaged \(.*\); materialize"):
        read_split(tmp_path, "train")


@pytest.mark.parametrize("content", ["{", "[]", "{}"])
def test_a_damaged_release_file_names_the_file(tmp_path, content):
    (tmp_path / "release.json").write_text(content)
    with pytest.raises(TuningError, match=r"release\.json is damaged"):
        dataset_version(tmp_path)


def test_the_version_is_that_of_the_release(tmp_path):
    assert dataset_version(tmp_path) is None
    (tmp_path / "release.json").write_text(json.dumps({"version": "v7"}))
    assert dataset_version(tmp_path) == "v7"
