import gzip
import hashlib
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bonito_assets.catalogue import Evaluation
from bonito_assets.evaluation.test_set import Question, TestSetError, read_test_set

CHOICE = Evaluation(test="t", metric="choice_f1")
SQUAD = Evaluation(test="t", metric="squad")

ROW = {
    "id": "q1",
    "context": "The river rises.",
    "question": "Does it rise?",
    "answers": ["yes"],
    "label": "yes",
    "choices": ["yes", "no"],
}
QUESTION = Question("q1", "The river rises.", "Does it rise?", (), "yes", ("yes", "no"))


def jsonl(folder, *rows, name="test.jsonl"):
    path = folder / name
    data = "".join(json.dumps(row) + "\n" for row in rows).encode()
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return str(path)


@pytest.mark.parametrize("name", ["test.jsonl", "test.jsonl.gz"])
def test_json_lines_are_read_packed_or_not(tmp_path, name):
    assert read_test_set(jsonl(tmp_path, ROW, name=name), CHOICE).questions == [QUESTION]


@pytest.mark.parametrize("name", ["test.parquet", "test.parquet.gz"])
def test_parquet_is_read_packed_or_not(tmp_path, name):
    path = tmp_path / name
    pq.write_table(pa.Table.from_pylist([ROW]), tmp_path / "test.parquet")
    if name.endswith(".gz"):
        path.write_bytes(gzip.compress((tmp_path / "test.parquet").read_bytes()))
    assert read_test_set(str(path), CHOICE).questions == [QUESTION]


def test_an_fsspec_url_is_read():
    import fsspec

    with fsspec.open("memory://tests/test.jsonl", "wb") as file:
        file.write(json.dumps(ROW).encode())
    assert read_test_set("memory://tests/test.jsonl", CHOICE).questions == [QUESTION]


def test_free_answers_need_neither_label_nor_choices(tmp_path):
    row = {key: ROW[key] for key in ("id", "context", "question")} | {"answers": ["a", "b"]}
    [question] = read_test_set(jsonl(tmp_path, row), SQUAD).questions
    assert (question.answers, question.label, question.choices) == (("a", "b"), "", ())


def test_the_limit_keeps_the_first_rows_and_the_digest_is_of_the_whole_file(tmp_path):
    path = jsonl(tmp_path, ROW, ROW | {"id": "q2"}, ROW | {"id": "q3"})
    found = read_test_set(path, Evaluation(test="t", limit=2))
    assert [question.id for question in found.questions] == ["q1", "q2"]
    assert found.sha256 == hashlib.sha256((tmp_path / "test.jsonl").read_bytes()).hexdigest()


@pytest.mark.parametrize(
    ("change", "evaluation", "says"),
    [
        ({"id": None}, CHOICE, "key 'id': is null; it must be text"),
        ({"question": " "}, CHOICE, "key 'question'"),
        ({"context": 7}, CHOICE, "key 'context': is 7"),
        ({"choices": ["yes"]}, CHOICE, "key 'choices'.*at least 2.*metric to squad"),
        ({"choices": ["yes", "yes"]}, CHOICE, "key 'choices': an entry stands twice"),
        ({"choices": "yes/no"}, CHOICE, "key 'choices': is \"yes/no\""),
        ({"label": 0}, CHOICE, "key 'label': is 0"),
        ({"label": "maybe"}, CHOICE, "key 'label': 'maybe' is not one of the choices yes, no"),
        ({"answers": []}, SQUAD, "key 'answers'.*metric to choice_f1"),
    ],
)
def test_a_wrong_value_is_named_by_file_row_and_key(tmp_path, change, evaluation, says):
    path = jsonl(tmp_path, ROW | {"id": "q0"}, ROW | change)
    with pytest.raises(TestSetError, match=rf"test\.jsonl: row 2: {says}"):
        read_test_set(path, evaluation)


def test_a_missing_key_is_named(tmp_path):
    row = {key: value for key, value in ROW.items() if key != "choices"}
    with pytest.raises(TestSetError, match="row 1: key 'choices': is missing"):
        read_test_set(jsonl(tmp_path, row), CHOICE)


def test_an_id_that_stands_twice_is_an_error(tmp_path):
    with pytest.raises(TestSetError, match="row 2: key 'id': 'q1' stands in row 1 too"):
        read_test_set(jsonl(tmp_path, ROW, ROW), CHOICE)


@pytest.mark.parametrize(
    ("name", "data", "says"),
    [
        ("test.jsonl", b"", "holds no rows"),
        ("test.jsonl", b"{broken", "row 1: is no JSON"),
        ("test.jsonl", b'{"id": "\xff"}', "row 1: is no JSON in UTF-8"),
        ("test.jsonl", b"[1]", "row 1: is no JSON object"),
        ("test.jsonl", b'{"id": ' + b"[" * 200_000, "row 1: is no JSON"),
        ("test.jsonl.gz", b"plain", "is no whole gzip file"),
        (
            "test.jsonl.gz",
            gzip.compress(b"{}", mtime=0)[:12] + b"\xff" * 9,
            "is no whole gzip file",
        ),
        ("test.parquet", b"plain", "is no Parquet file"),
        ("test.csv", b"id", "is neither .jsonl nor .parquet"),
    ],
)
def test_a_file_that_cannot_be_read_is_an_error(tmp_path, name, data, says):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(TestSetError, match=f"{name}.*{says}"):
        read_test_set(str(tmp_path / name), CHOICE)


def test_a_file_that_is_not_there_points_at_the_catalogue(tmp_path):
    with pytest.raises(TestSetError, match=r"nowhere\.jsonl.*correct evaluation.test"):
        read_test_set(str(tmp_path / "nowhere.jsonl"), CHOICE)
