"""A release holds every accepted row once, split by document, and opens with `datasets`."""

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bonito_assets.publishing.checksums import version_of
from bonito_assets.publishing.release import ROW_GROUP_ROWS, history, write_rows
from bonito_assets.publishing.rows import SCHEMA, published
from bonito_assets.publishing.split import border
from tests.publishing.made import letters, pay, put, read_json, release, row

pytestmark = pytest.mark.usefixtures("rows_alone")


def opened(folder, tmp_path):
    return datasets.load_dataset(str(folder), cache_dir=str(tmp_path / "cache"))


def all_bytes(folder):
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_the_dataset_opens_with_both_splits_and_the_contracts_columns(store, corpus, tmp_path):
    put(store, letters(20))
    _, folder = release(store, corpus)
    found = opened(folder, tmp_path)
    assert set(found) == {"train", "validation"}
    assert found["train"].column_names == [
        "input", "output", "task_type", "messages", "corpus", "doc_id", "chunk_id",
        "generation_id", "start_char", "end_char",
    ]  # fmt: skip
    first = found["train"][0]
    assert first["messages"] == [
        {"role": "user", "content": first["input"]},
        {"role": "assistant", "content": first["output"]},
    ]


def test_every_accepted_row_is_in_one_split_in_the_order_of_the_table(store, corpus):
    put(store, letters(30))
    _, folder = release(store, corpus)
    train, validation = (
        pq.read_table(folder / "data" / f"{split}.parquet") for split in ("train", "validation")
    )
    curated = store.read("curated_tasks", corpus.name)
    accepted = curated.filter(curated["rejected_because"].is_null())
    order = {value: n for n, value in enumerate(accepted["generation_id"].to_pylist())}
    for rows in (train, validation):
        places = [order.pop(value) for value in rows["generation_id"].to_pylist()]
        assert places == sorted(places)
    assert not order
    assert not set(train["doc_id"].to_pylist()) & set(validation["doc_id"].to_pylist())


def test_offsets_are_those_of_the_passage_wherever_it_stands_in_its_table(store, corpus):
    names = ["x" * (1 + 7 * n % 31) + f"{n}.txt" for n in range(31)]
    put(store, {name: [row("Did it sail?"), row("Did it sink?")] for name in names})
    chunks = store.read("chunks", corpus.name)
    store.write("chunks", corpus.name, chunks.take(list(range(30, -1, -1))))
    _, folder = release(store, corpus)
    ends = dict(zip(chunks["chunk_id"].to_pylist(), chunks["end_char"].to_pylist(), strict=True))
    assert len(set(ends.values())) > 20
    rows = pq.read_table(folder / "data" / "train.parquet").to_pylist()
    assert {r["end_char"] for r in rows} > {min(ends.values())}
    for found in rows:
        assert (found["start_char"], found["end_char"]) == (0, ends[found["chunk_id"]])


def test_rows_about_a_passage_that_is_not_there_are_an_error(store, corpus):
    put(store, letters(3))
    chunks = store.read("chunks", corpus.name)
    store.write("chunks", corpus.name, chunks.slice(1))
    with pytest.raises(ValueError, match="not in chunks"):
        list(published(store, corpus.name))


def test_a_single_document_is_published_as_train_alone(store, corpus, tmp_path):
    put(store, letters(1))
    _, folder = release(store, corpus)
    assert set(opened(folder, tmp_path)) == {"train"}


def test_two_runs_over_the_same_tables_give_the_same_bytes(store, corpus):
    put(store, letters(20))
    pay(store, 100, 2.0)
    first = all_bytes(release(store, corpus)[1])
    assert all_bytes(release(store, corpus)[1]) == first


def test_the_version_is_the_content_and_nothing_else(store, corpus):
    put(store, letters(10))
    version = release(store, corpus)[0].rows.version
    put(store, letters(10, refused=3), model="writer@0123")
    assert release(store, corpus)[0].rows.version == version
    put(store, letters(11))
    assert release(store, corpus)[0].rows.version != version


def test_earlier_releases_stay_in_their_order_and_the_new_one_is_what_opens(
    store, corpus, tmp_path
):
    versions = []
    for n in (10, 12):
        put(store, letters(n))
        made, folder = release(store, corpus)
        versions.append(made.rows.version)
    assert [entry["version"] for entry in history(folder)] == versions
    assert read_json(folder / "release.json")["follows"] == versions[0]
    assert sum(s.num_rows for s in opened(folder, tmp_path).values()) == 24
    old = opened(folder / "releases" / versions[0], tmp_path)
    assert sum(s.num_rows for s in old.values()) == 20


def test_history_takes_no_space(store, corpus):
    for n in (10, 12):
        put(store, letters(n))
        made, folder = release(store, corpus)
    at_top = folder / "data" / "train.parquet"
    kept = folder / "releases" / made.rows.version / "data" / "train.parquet"
    assert at_top.stat().st_ino == kept.stat().st_ino


def test_a_release_that_comes_again_is_the_newest_and_follows_the_one_between(store, corpus):
    versions = []
    for n in (10, 12, 10):
        put(store, letters(n))
        made, folder = release(store, corpus)
        versions.append(made.rows.version)
    assert versions[0] == versions[2]
    assert [entry["version"] for entry in history(folder)] == [versions[1], versions[0]]
    assert made.record["follows"] == versions[1]


def rows_in_batches_of(size, rows):
    numbers = [str(n) for n in range(rows)]
    texts = pa.array(numbers)
    chats = [[{"role": "user", "content": n}, {"role": "assistant", "content": n}] for n in numbers]
    columns = {
        field.name: pa.array(range(rows)) if field.type == pa.int64() else texts for field in SCHEMA
    } | {"messages": pa.array(chats, SCHEMA.field("messages").type)}
    table = pa.table({name: columns[name] for name in SCHEMA.names}, SCHEMA)
    line = border([table["doc_id"].combine_chunks()])
    for start in range(0, rows, size):
        batch = table.slice(start, size).combine_chunks().to_batches()[0]
        yield batch, line.in_validation(batch["doc_id"])


def test_how_rows_come_does_not_show_in_the_file(tmp_path):
    files = []
    for size in (700, 4096, 10_001, 2 * ROW_GROUP_ROWS):
        folder = tmp_path / str(size)
        folder.mkdir()
        made = write_rows(folder, rows_in_batches_of(size, 2 * ROW_GROUP_ROWS))
        files.append((made.version, (folder / "data" / "train.parquet").read_bytes()))
    assert len(set(files)) == 1
    groups = pq.ParquetFile(folder / "data" / "train.parquet").metadata
    assert groups.row_group(0).num_rows == ROW_GROUP_ROWS


def test_the_layout_of_the_file_does_not_show_in_the_version(tmp_path, monkeypatch):
    versions = set()
    for rows in (2048, ROW_GROUP_ROWS):
        monkeypatch.setattr("bonito_assets.publishing.release.ROW_GROUP_ROWS", rows)
        folder = tmp_path / str(rows)
        folder.mkdir()
        versions.add(write_rows(folder, rows_in_batches_of(1000, 2 * ROW_GROUP_ROWS)).version)
        assert version_of(folder) in versions
    assert len(versions) == 1


def test_a_damaged_page_is_noticed_by_whoever_reads_it(store, corpus):
    put(store, {"a.txt": [row("Is the harbour at Askerby deep?")]})
    _, folder = release(store, corpus)
    path = folder / "data" / "train.parquet"
    start = pq.ParquetFile(path).metadata.row_group(0).column(0).data_page_offset
    damaged = bytearray(path.read_bytes())
    damaged[start + 60] ^= 1
    (folder / "damaged.parquet").write_bytes(damaged)
    with pytest.raises(OSError, match=r"(?i)crc|checksum"):
        pq.read_table(folder / "damaged.parquet", page_checksum_verification=True)
