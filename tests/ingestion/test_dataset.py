"""What `datasets` finds on this machine is read like a file, and an edit is seen."""

import os

import pytest

from bonito_assets.catalogue import Corpus
from bonito_assets.ingestion.documents import refresh
from bonito_assets.ingestion.files import SourceError
from resources.store import Store
from tests.ingestion.made import jsonl, parquet, put, table


def corpus(folder, split="train", **source):
    return Corpus(
        name="c",
        folder=folder,
        source={"dataset": {"path": "ds", "split": split}, **source},
        task_types=["nli"],
    )


CONTENTS = {
    "ds/train.jsonl": jsonl({"id": "1", "text": "a"}, {"id": "2", "text": "b"}),
    "ds/train.csv": b"id,text\n1,a\n2,b\n",
    "ds/train.parquet": parquet({"id": ["1", "2"], "text": ["a", "b"]}),
}


@pytest.mark.parametrize("name", CONTENTS)
def test_a_folder_of_files_gives_its_rows(tmp_path, name):
    put(tmp_path, name, CONTENTS[name])
    found = table(corpus(tmp_path, id_field="id"))
    assert [(r["text"], r["rejected_because"]) for r in found] == [("a", None), ("b", None)]
    assert [r["uri"] for r in found] == [f"{tmp_path}/ds/train#0", f"{tmp_path}/ds/train#1"]


def test_a_dataset_that_was_saved_gives_its_rows_split_by_split(tmp_path):
    from datasets import Dataset, DatasetDict

    halves = {split: Dataset.from_dict({"text": [split]}) for split in ("train", "test")}
    DatasetDict(halves).save_to_disk(tmp_path / "ds")
    assert [r["text"] for r in table(corpus(tmp_path, "test"))] == ["test"]
    Dataset.from_dict({"text": ["alone"]}).save_to_disk(tmp_path / "other/ds")
    assert [r["text"] for r in table(corpus(tmp_path / "other"))] == ["alone"]


def test_where_and_limit_hold_for_datasets_too(tmp_path):
    rows = [{"n": i, "text": f"t{i}"} for i in range(6)]
    put(tmp_path, "ds/train.jsonl", jsonl(*rows, {"n": 7, "text": "t7"}, {"n": 7, "text": "t8"}))
    assert [r["text"] for r in table(corpus(tmp_path, where={"n": 7}, limit=1))] == ["t7"]


def test_an_edit_is_seen_also_when_size_and_date_stay(tmp_path):
    store = Store(root=str(tmp_path / "data"))
    path = put(tmp_path, "ds/train.jsonl", jsonl({"text": "before"}))
    made = corpus(tmp_path)

    def read():
        return refresh(store, made, lambda _line: None).seen.read

    assert (read(), read()) == (1, 0)
    before = path.stat()
    path.write_bytes(jsonl({"text": "behind"}))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert read() == 1
    assert store.read("documents", "c")["text"].to_pylist() == ["behind"]


def test_a_dataset_that_is_not_there_or_has_no_rows_is_an_error_that_names_the_key(tmp_path):
    put(tmp_path, "ds/train.jsonl", jsonl({"text": "x"}))
    with pytest.raises(SourceError, match=r"source\.dataset"):
        table(corpus(tmp_path, "none"))
    put(tmp_path, "ds/train.jsonl", b"")
    with pytest.raises(SourceError, match=r"source\.dataset"):
        table(corpus(tmp_path))


def test_a_dataset_that_breaks_off_is_an_error_and_leaves_the_old_table(tmp_path):
    store = Store(root=str(tmp_path / "data"))
    put(tmp_path, "ds/train.jsonl", jsonl({"text": "x"}))
    refresh(store, corpus(tmp_path), lambda _line: None)
    put(tmp_path, "ds/train.jsonl", jsonl(*[{"text": "x"}] * 100) + b"{broken\n")
    with pytest.raises(SourceError, match=r"source\.dataset"):
        refresh(store, corpus(tmp_path), lambda _line: None)
    assert store.read("documents", "c")["text"].to_pylist() == ["x"]


def test_scripts_are_refused_and_never_run(tmp_path):
    proof = tmp_path / "it-ran"
    put(tmp_path, "ds/ds.py", f"open({str(proof)!r}, 'w')\n")
    with pytest.raises(SourceError, match=r"source\.dataset"):
        table(corpus(tmp_path))
    assert not proof.exists()


def test_pickles_are_refused_and_never_opened(tmp_path):
    import pickle

    proof = tmp_path / "it-ran"

    class Opener:
        def __reduce__(self):
            return open, (str(proof), "w")

    put(tmp_path, "ds/train.pkl", pickle.dumps(Opener()))
    with pytest.raises(SourceError, match=r"source\.dataset"):
        table(corpus(tmp_path))
    assert not proof.exists()
