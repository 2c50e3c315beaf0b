import pyarrow as pa
import pyarrow.parquet as pq

from bonito_assets.tuning.examples import examples, read_split


def row(number, text, output="yes"):
    return {"generation_id": f"g{number}", "chunk_id": "c", "input": text, "output": output}


def test_only_the_answer_carries_loss(encoder, tokenizer):
    made = examples([row(1, "the river\n\nis it ?")], {"c": "the river"}, encoder, 100)
    [ids], [labels] = made.input_ids, made.labels
    learned = [token for token in labels if token != -100]
    assert tokenizer.decode(learned) == "yes</s>"
    assert tokenizer.decode(ids) == "<s><|input|>\nthe river\n\nis it ?\n<|output|>\nyes</s>"
    assert ids[-len(learned) :] == learned


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
    assert len(made.input_ids[0]) <= 100
    assert text.startswith("<s><|input|>\nthe river rises")
    assert text.endswith("\n\nwhat is it ?\n<|output|>\nyes</s>")


def test_a_row_with_an_unknown_passage_is_kept_when_it_fits(encoder):
    assert len(examples([row(1, "the river")], {}, encoder, 100)) == 1


def test_a_split_that_was_not_published_has_no_rows(tmp_path):
    (tmp_path / "data").mkdir()
    table = pa.Table.from_pylist([{**row(1, "a"), "messages": [], "doc_id": "d"}])
    pq.write_table(table, tmp_path / "data" / "train.parquet")
    assert read_split(tmp_path, "train") == [row(1, "a")]
    assert read_split(tmp_path, "validation") == []
