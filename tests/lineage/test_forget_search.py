"""The search looks into every file, also where a text is packed, encoded or only half deleted."""

import base64
import gzip
import sqlite3
import zlib

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bonito_assets.lineage.forget.fingerprints import Fingerprints
from bonito_assets.lineage.forget.search import search

SAID = "The lighthouse keeper wrote the name of the drowned captain into the book of the harbour."
OTHER = "The baker counts the loaves on the upper shelf and writes the number on a slate."


def plain(path, text):
    path.write_text(text)


def parquet(path, text):
    pq.write_table(pa.table({"a": [OTHER, text]}), path, compression="zstd")


def nested_parquet(path, text):
    kind = pa.list_(pa.struct([("content", pa.string())]))
    rows = pa.array([None, [{"content": OTHER}, {"content": text}]], kind)
    pq.write_table(pa.table({"a": rows}), path)


def dictionary_parquet(path, text):
    pq.write_table(pa.table({"a": pa.array([text] * 3).dictionary_encode()}), path)


def footer_of_parquet(path, text):
    pq.write_table(pa.table({"a": [1]}).replace_schema_metadata({"note": text}), path)


def packed(path, text):
    path.write_bytes(b"\x01\x02" + zlib.compress(text.encode()) + b"\x03")


def zipped(path, text):
    path.write_bytes(gzip.compress(text.encode()))


def zstd(path, text):
    path.write_bytes(b"head" + pa.compress(text.encode(), "zstd", asbytes=True))


def encoded(path, text):
    code = base64.b64encode(text.encode()).decode()
    path.write_text(f'<img src="data:text/plain;base64,{code}">')


def packed_and_encoded(path, text):
    path.write_bytes(b'"' + base64.b64encode(zlib.compress((text * 2).encode())) + b'"')


def deleted_row_of_sqlite(path, text):
    with sqlite3.connect(path) as connection:
        connection.execute("pragma secure_delete = off")
        connection.execute("create table t (a)")
        connection.execute("insert into t values (?)", (text,))
        connection.commit()
        connection.execute("delete from t")


def log_of_sqlite(path, text):
    connection = sqlite3.connect(path)
    connection.execute("pragma journal_mode = wal")
    connection.execute("pragma wal_autocheckpoint = 0")
    connection.execute("create table t (a)")
    connection.execute("insert into t values (?)", (text,))
    connection.commit()
    path.with_name("copy-wal").write_bytes(path.with_name(f"{path.name}-wal").read_bytes())
    connection.close()


WAYS = (plain, parquet, nested_parquet, dictionary_parquet, footer_of_parquet, packed, zipped, zstd,
        encoded, packed_and_encoded, deleted_row_of_sqlite, log_of_sqlite)  # fmt: skip


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_a_text_is_found_however_it_was_written(tmp_path, way):
    folder = tmp_path / "deep" / "down"
    folder.mkdir(parents=True)
    way(folder / "file", SAID)
    assert search([str(tmp_path)], Fingerprints.of([SAID])).found


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_another_text_is_not_taken_for_it(tmp_path, way):
    way(tmp_path / "file", OTHER)
    done = search([str(tmp_path)], Fingerprints.of([SAID]))
    assert (done.found, done.unreadable) == ([], [])
    assert done.files >= 1
    assert done.bytes > 0


def test_parquet_that_is_cut_off_is_named_and_not_passed_over(tmp_path):
    parquet(tmp_path / "whole", OTHER)
    (tmp_path / ".half.tmp").write_bytes((tmp_path / "whole").read_bytes()[:-9])
    assert search([str(tmp_path)], Fingerprints.of([SAID])).unreadable == [
        str(tmp_path / ".half.tmp")
    ]


def test_a_root_that_is_no_folder_of_this_machine_is_searched_too():
    import fsspec

    with fsspec.open("memory://forgetting/file", "w") as file:
        file.write(SAID)
    assert len(search(["memory://forgetting"], Fingerprints.of([SAID])).found) == 1
