"""A reader of the store sees the old state or the new one, and queries cannot leave it."""

import itertools
import os
import threading
import time

import duckdb
import pyarrow as pa
import pytest

from resources.store import Store, TableMissing, digest


@pytest.fixture
def store(tmp_path):
    return Store(root=str(tmp_path / "data"))


def table(*values):
    return pa.table({"corpus": ["c"] * len(values), "x": pa.array(values, pa.int64())})


def test_what_is_written_is_read(store):
    written = store.write("chunks", "c", table(1, 2))
    assert store.read("chunks", "c") == table(1, 2)
    assert (written.rows, written.uri) == (2, f"{store.root}/chunks/corpus=c/data.parquet")


def test_tables_work_on_any_fsspec_filesystem():
    store = Store(root="memory://bucket/data")
    store.write("chunks", "c", table(1))
    assert store.read("chunks", "c") == table(1)
    with store.reader() as connection:
        assert connection.sql("select x from chunks").fetchall() == [(1,)]
    with store.new_folder("tuned_model", "c") as folder:
        (folder / "a.txt").write_text("a")
    assert (store.folder("tuned_model", "c") / "a.txt").read_text() == "a"


def test_a_table_that_was_not_made_is_named_with_the_remedy(store):
    with pytest.raises(TableMissing, match="materialize the asset 'chunks'"):
        store.read("chunks", "c")


def test_a_failed_write_leaves_the_old_table_and_no_debris(store):
    store.write("chunks", "c", table(1))

    def breaks_off():
        yield from table(2).to_batches()
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        store.write_batches("chunks", "c", table(1).schema, breaks_off())
    assert store.read("chunks", "c") == table(1)
    folder = store.folder("chunks", "corpus=c")
    assert {p.name for p in folder.iterdir()} == {"data.parquet", ".data.parquet.sha256"}


def test_what_a_killed_writer_left_is_swept_when_it_is_old(store):
    store.write("chunks", "c", table(1))
    folder = store.folder("chunks", "corpus=c")
    old, young = folder / ".data.parquet.1.tmp", folder / ".data.parquet.2.tmp"
    for leftover in (old, young):
        leftover.write_bytes(b"half")
    os.utime(old, (0, 0))
    store.write("chunks", "c", table(2))
    assert not old.exists()
    assert young.exists()


def test_a_failed_folder_leaves_the_old_one_and_no_debris(store):
    with store.new_folder("tuned_model", "c") as folder:
        (folder / "a").write_text("old")
    with pytest.raises(RuntimeError), store.new_folder("tuned_model", "c") as folder:
        (folder / "a").write_text("new")
        raise RuntimeError
    assert (store.folder("tuned_model", "c") / "a").read_text() == "old"
    assert len(list(store.folder("tuned_model").iterdir())) == 1


def test_a_reader_always_finds_a_whole_folder_while_it_is_replaced(store):
    with store.new_folder("tuned_model", "c") as folder:
        (folder / "a").write_text("0")
    seen, missing, over = set(), [], threading.Event()

    def look():
        while not over.is_set():
            try:
                seen.add((store.folder("tuned_model", "c") / "a").read_text())
            except FileNotFoundError:
                missing.append(1)

    reader = threading.Thread(target=look)
    reader.start()
    for number in range(1, 60):
        with store.new_folder("tuned_model", "c") as folder:
            (folder / "a").write_text(str(number))
    over.set()
    reader.join()
    assert len(seen) > 1
    # Two files read one after the other may be of two states; a single one never is missing.
    assert not missing


def test_the_warehouse_shows_all_corpora_of_a_table(store, tmp_path):
    store.write("chunks", "a", table(1))
    store.write("chunks", "b", table(2, 3))
    with duckdb.connect(str(tmp_path / "data" / "warehouse.duckdb"), read_only=True) as connection:
        assert connection.sql("select count(*) from chunks").fetchall() == [(3,)]


@pytest.mark.parametrize("opened", ["reader", "connect"])
@pytest.mark.parametrize(
    "query",
    [
        "select * from read_text('/etc/hostname')",
        "select * from read_text('{root}/../secret')",
        "select * from read_text('{root}/link')",
        "select * from glob('/etc/*')",
        "copy (select 1) to '{root}/../leak.csv'",
        "attach '{root}/../leak.duckdb'",
        "export database '{root}/../leak'",
        "select * from read_csv('http://127.0.0.1:1/x.csv')",
        "install httpfs",
        "load '{root}/x.duckdb_extension'",
        "set enable_external_access = true",
        "set lock_configuration = false",
        "set allowed_directories = ['/']",
        "set temp_directory = '{root}/..'",
    ],
)
def test_a_query_reaches_nothing_beside_the_data_folder(store, tmp_path, query, opened):
    store.write("chunks", "a", table(1))
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "data" / "link").symlink_to(tmp_path / "secret")
    with getattr(store, opened)() as connection:
        with pytest.raises(duckdb.Error, match=r"disabled|locked"):
            connection.execute(query.format(root=store.root)).fetchall()
        path = store.table_path("chunks", "a")
        assert connection.execute("select x from read_parquet(?)", [path]).fetchall() == [(1,)]
    assert {path.name for path in tmp_path.iterdir()} == {"data", "secret"}


def test_a_query_reads_the_data_folder_through_a_link_to_it(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "data").symlink_to(tmp_path / "disk")
    store = Store(root=str(tmp_path / "data"))
    store.write("chunks", "a", table(1))
    with store.reader() as connection:
        assert connection.sql("select x from chunks").fetchall() == [(1,)]


def test_a_query_reads_local_copies_of_what_lies_in_a_remote_root(tmp_path):
    store = Store(root=f"memory://{tmp_path}/data")
    with store.new_folder("instruction_dataset", "c") as folder:
        (folder / "a.txt").write_text("a")
        with store.connect() as connection:
            query = "select content from read_text(?)"
            assert connection.execute(query, [str(folder / "a.txt")]).fetchall() == [("a",)]
    copy = store.folder("instruction_dataset", "c") / "a.txt"
    with store.connect() as connection:
        assert connection.execute(query, [str(copy)]).fetchall() == [("a",)]
        with pytest.raises(duckdb.Error, match="disabled"):
            connection.execute(query, ["/etc/hostname"])


def test_settings_of_a_connection_are_taken_before_it_is_locked(store):
    with store.connect(disabled_optimizers="join_order") as connection:
        setting = "select current_setting('disabled_optimizers')"
        assert connection.sql(setting).fetchall() == [("join_order",)]


def test_a_query_that_needs_more_memory_than_it_may_use_spills(tmp_path):
    store = Store(root=str(tmp_path / "data"), memory_limit="60MB")
    with store.connect(threads="1") as connection:
        connection.execute(
            "create table large as select i, md5(i::varchar) word from range(1000000) t(i)"
        )
        groups = "select count(*) from (select word, count(*) from large group by word)"
        assert connection.sql(groups).fetchall() == [(1_000_000,)]


def test_the_digest_is_of_the_rows_and_not_of_their_packing():
    assert digest(pa.concat_tables([table(1), table(2)])) == digest(table(1, 2))
    assert digest(table(1, 2)) != digest(table(2, 1))
    assert digest(table(None, 1)) != digest(table(0, 1))


@pytest.mark.parametrize("rows", [1, 7, 64, 3000])
def test_neighbours_of_a_slice_are_no_part_of_it(rows):
    words = [f"w{i}" for i in range(2 * rows)]
    both = pa.table({"word": words, "list": [[word] for word in words]})
    alone = pa.table({"word": words[:rows], "list": [[word] for word in words[:rows]]})
    assert digest(both.slice(0, rows)) == digest(alone)
    assert digest(both.slice(rows)) == digest(
        pa.table({"word": words[rows:], "list": [[word] for word in words[rows:]]})
    )


def test_a_streamed_table_has_the_digest_of_the_whole_one(store):
    whole = table(*range(10_000))
    cuts = [0, 1, 4_000, 4_097, 9_999, 10_000]
    pieces = [whole.slice(a, b - a).to_batches() for a, b in itertools.pairwise(cuts)]
    streamed = store.write_batches("chunks", "c", whole.schema, itertools.chain(*pieces))
    assert streamed.digest == digest(whole)
    assert [b.num_rows for b in store.batches("chunks", "c")] != []
    assert pa.Table.from_batches(store.batches("chunks", "c")) == whole


def test_the_clock_stays_out_of_the_digest():
    one = table(1).append_column("created_at", pa.array([1]))
    two = table(1).append_column("created_at", pa.array([2]))
    assert digest(one) == digest(two)


def test_a_table_carries_the_digest_of_its_content_and_what_it_was_made_from(store):
    assert store.stamps("chunks", "c") == {}
    written = store.write("chunks", "c", table(1, 2))
    assert store.stamps("chunks", "c") == {"digest": written.digest}
    batches = table(3).to_batches()
    store.write_batches("tasks", "c", table(3).schema, batches, made_from=written.digest)
    assert store.stamps("tasks", "c")["made_from"] == store.stamps("chunks", "c")["digest"]
    assert store.read("tasks", "c") == table(3)


def test_a_table_that_another_program_wrote_carries_no_stamps(store):
    import pyarrow.parquet as pq

    store.write("chunks", "c", table(1))
    pq.write_table(table(1), store.table_path("chunks", "c"))
    assert store.stamps("chunks", "c") == {}


def test_the_warehouse_follows_new_columns_and_comes_again_when_it_is_lost(store, tmp_path):
    warehouse = tmp_path / "data" / "warehouse.duckdb"

    def columns():
        with duckdb.connect(str(warehouse), read_only=True) as connection:
            return [row[0] for row in connection.execute("describe numbers").fetchall()]

    store.write("numbers", "one", pa.table({"n": [1]}))
    assert columns() == ["n", "corpus"]
    store.write("numbers", "one", pa.table({"n": [1], "name": ["uno"]}))
    assert columns() == ["n", "name", "corpus"]
    warehouse.unlink()
    store.write("numbers", "one", pa.table({"n": [2], "name": ["dos"]}))
    assert columns() == ["n", "name", "corpus"]


def test_a_damaged_table_can_be_replaced(store):
    store.write("chunks", "a", table(1))
    with store.filesystem.open(store.table_path("chunks", "a"), "wb") as file:
        file.write(b"PAR1 not much else")
    assert store.written("chunks", "a") is None
    assert store.stamps("chunks", "a") == {}
    store.write("chunks", "a", table(2))
    assert store.read("chunks", "a") == table(2)


def test_a_folder_of_a_killed_writer_goes_once_nobody_can_still_be_filling_it(store, tmp_path):
    left = [tmp_path / "data" / "tuned_model" / f".c.{name}.tmp" for name in ("old", "new")]
    for folder in left:
        folder.mkdir(parents=True)
        (folder / "adapter").write_text("half")
    month_ago = time.time() - 30 * 86_400
    os.utime(left[0], (month_ago, month_ago))
    with store.new_folder("tuned_model", "c") as folder:
        (folder / "adapter").write_text("whole")
    assert [folder.exists() for folder in left] == [False, True]
