"""Where annotated rows come from."""

from __future__ import annotations

import gzip
import json
import random
import socket
from pathlib import Path

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bonito_assets.bonito_training import data_set
from bonito_assets.bonito_training.data_set import Counts, DataSet, drawn, opened

_ROWS = [{"text": "rye", "label": 0}, {"text": "oats", "label": 1}]


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.jsonl.gz", "rows.parquet"])
def test_files_are_read_and_known_by_their_digest(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name.endswith("parquet"):
        pq.write_table(pa.Table.from_pylist(_ROWS), path)
    else:
        lines = "\n".join(json.dumps(row) for row in _ROWS).encode()
        path.write_bytes(gzip.compress(lines) if name.endswith("gz") else lines)
    found = opened(DataSet(str(path)))
    assert list(found.rows) == _ROWS
    assert len(found.version) == 64


def test_a_folder_that_datasets_saved_brings_the_names_of_its_labels(tmp_path: Path) -> None:
    features = datasets.Features(
        {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["grain", "oat"])}
    )
    datasets.Dataset.from_list(_ROWS, features=features).save_to_disk(tmp_path / "saved")
    found = opened(DataSet(str(tmp_path / "saved")))
    assert [row["text"] for row in found.rows] == ["rye", "oats"]
    assert found.classes == {"label": ["grain", "oat"]}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("rows.csv", "text\nrye", r"neither \.jsonl .* nor \.parquet; convert it"),
        ("rows.jsonl", '{"text": "rye"}\n{"te', r"line 2 is no JSON"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(
    tmp_path: Path, name: str, content: str, message: str
) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(ValueError, match=message):
        list(opened(DataSet(str(tmp_path / name))).rows)


def test_a_path_that_is_not_there_is_named() -> None:
    with pytest.raises(ValueError, match=r"/none/here: no such file or folder"):
        opened(DataSet("/none/here"))


def test_a_hub_that_does_not_answer_is_not_waited_for(monkeypatch) -> None:
    import huggingface_hub.constants as settings

    monkeypatch.setattr(data_set, "_HUB_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setattr(settings, "ENDPOINT", f"http://127.0.0.1:{server.getsockname()[1]}")
        with pytest.raises(ValueError, match=r"owner/set/train: could not be loaded.*the network"):
            opened(DataSet("owner/set"))


def test_every_row_is_as_likely_to_be_drawn_as_any_other() -> None:
    seen = [0] * 10
    for seed in range(2000):
        rows = ({"n": n} for n in range(10))
        for row in drawn(rows, 3, random.Random(seed), Counts()):
            seen[row["n"]] += 1
    # 600 are expected of each; the bound is six standard deviations of a binomial.
    assert all(abs(count - 600) < 6 * (2000 * 0.3 * 0.7) ** 0.5 for count in seen)


def test_drawn_rows_keep_their_order_and_without_a_limit_all_are_drawn() -> None:
    rows = [{"n": n} for n in range(50)]
    some = [row["n"] for row in drawn(iter(rows), 7, random.Random(1), Counts())]
    assert some == sorted(some)
    assert list(drawn(iter(rows), None, random.Random(1), Counts())) == rows
