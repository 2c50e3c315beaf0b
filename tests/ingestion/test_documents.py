"""A refresh gives the table that a first one would give, and reads only what changed."""

import json
import os
import tempfile
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bonito_assets import tables
from bonito_assets.ingestion import documents as module
from bonito_assets.ingestion import snapshot
from bonito_assets.ingestion.documents import Seen, documents, grouped, refresh
from bonito_assets.ingestion.files import SourceError
from resources.store import Store
from tests.ingestion.made import InThisProcess, corpus, jsonl, parquet, put, table


def quiet(_line):
    pass


@pytest.fixture
def here(monkeypatch):
    """Files are read in this process, which is all the same to the books of a refresh."""
    monkeypatch.setattr(module, "Sandbox", InThisProcess)


@pytest.fixture
def store(tmp_path):
    return Store(root=str(tmp_path / "data"))


def stored(store):
    return store.read("documents", "c").to_pylist()


def refreshed(store, made):
    """Gives what a refresh saw; the table must be the one that is made from nothing."""
    seen = refresh(store, made, quiet).seen
    assert stored(store) == table(made)
    return seen


def edit_unseen(path, content):
    """Writes as many other bytes and sets the clock back: size and date are as they were."""
    before = path.stat()
    assert len(content) == before.st_size
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


# One row


def test_a_document_says_where_it_comes_from_and_what_it_is(here, tmp_path):
    content = "A title\n\nSome text — é."
    put(tmp_path, "in/sub/page.md", f"# {content}")
    [row] = table(corpus(tmp_path))
    assert set(row) == set(tables.DOCUMENTS.names)
    assert (row["corpus"], row["uri"], row["title"]) == ("c", "in/sub/page.md", "A title")
    assert (row["media_type"], row["n_chars"]) == ("text/markdown", len(row["text"]))
    assert row["headings"] == [{"start_char": 0, "level": 1}]
    assert row["rejected_because"] is row["error"] is row["warning"] is None


def test_ids_do_not_depend_on_where_the_project_lies(here, tmp_path):
    for place in ("one", "two"):
        put(tmp_path, f"{place}/in/a.txt", "text")
    one, two = (table(corpus(tmp_path / place))[0]["doc_id"] for place in ("one", "two"))
    assert one == two


def test_an_edit_keeps_the_id_and_changes_the_digest(here, tmp_path):
    put(tmp_path, "in/a.txt", "one")
    [before] = table(corpus(tmp_path))
    put(tmp_path, "in/a.txt", "two")
    [after] = table(corpus(tmp_path))
    assert before["doc_id"] == after["doc_id"]
    assert before["content_sha256"] != after["content_sha256"]


def test_an_own_id_survives_a_move_inside_the_file_and_to_another(here, tmp_path):
    made = corpus(tmp_path, id_field="id")
    rows = [{"id": "x", "text": "a"}, {"id": 7, "text": "b"}]

    def ids():
        return {row["text"]: row["doc_id"] for row in table(made)}

    put(tmp_path, "in/r.jsonl", jsonl(*rows))
    before = ids()
    put(tmp_path, "in/r.jsonl", jsonl(*rows[::-1]))
    assert ids() == before
    (tmp_path / "in/r.jsonl").rename(tmp_path / "in/s.jsonl")
    assert ids() == before


# Rows among others


def test_of_equal_texts_the_first_is_kept(here, tmp_path):
    put(tmp_path, "in/a.txt", "same\r\ntext")
    put(tmp_path, "in/b.txt", "same\ntext")
    put(tmp_path, "in/c.jsonl", jsonl({"text": "same\ntext"}, {"text": "other"}))
    found = table(corpus(tmp_path))
    duplicate = "exact_duplicate_document"
    assert [r["rejected_because"] for r in found] == [None, duplicate, duplicate, None]
    assert {r["error"] for r in found[1:3]} == {"has the same text as in/a.txt"}


def test_when_the_first_of_equal_texts_goes_the_next_takes_its_place(here, tmp_path, store):
    for name in "abc":
        put(tmp_path, f"in/{name}.txt", "same")
    made = corpus(tmp_path)
    refreshed(store, made)
    for gone in "ab":
        (tmp_path / f"in/{gone}.txt").unlink()
        assert refreshed(store, made).read == 0
    assert [(r["uri"], r["rejected_because"]) for r in stored(store)] == [("in/c.txt", None)]


def test_rows_that_cannot_be_used_are_not_duplicates_of_each_other(here, tmp_path):
    for name in ("a.txt", "b.txt"):
        put(tmp_path, f"in/{name}", " \n")
    assert [r["rejected_because"] for r in table(corpus(tmp_path))] == ["empty", "empty"]


def test_rows_with_one_own_id_are_all_kept_under_different_ids(here, tmp_path, store):
    made = corpus(tmp_path, id_field="id")
    for name in "abc":
        put(tmp_path, f"in/{name}.jsonl", jsonl({"id": "x", "text": name}))
    refreshed(store, made)
    assert len({row["doc_id"] for row in stored(store)}) == 3
    (tmp_path / "in/a.jsonl").unlink()
    refreshed(store, made)


def test_names_that_unicode_takes_for_one_are_two_documents(here, tmp_path):
    put(tmp_path, "in/caf\u00e9.txt", "composed")
    put(tmp_path, "in/cafe\u0301.txt", "decomposed")
    found = table(corpus(tmp_path))
    assert {row["text"] for row in found} == {"composed", "decomposed"}
    assert len({row["doc_id"] for row in found}) == 2


@pytest.mark.parametrize("limit", [1, 2, 3, 5, 6, 7])
def test_a_limit_ends_after_so_many_documents_also_amid_a_file(here, tmp_path, store, limit):
    put(tmp_path, "in/a.jsonl", jsonl({"text": "1"}, {"text": "2"}))
    put(tmp_path, "in/b.txt", "3")
    put(tmp_path, "in/c.jsonl", jsonl(*({"text": str(i)} for i in (4, 5, 6))))
    made = corpus(tmp_path, limit=limit)
    for _ in "12":
        refreshed(store, made)
        assert [r["text"] for r in stored(store)] == [str(i) for i in range(1, 7)][:limit]


# Again


CONTENTS = [
    ("txt", b"one"),
    ("txt", b"two"),
    ("txt", b""),
    ("txt", b"\x00\x01\x02\x03"),
    ("jsonl", jsonl({"id": "x", "text": "one"}, {"id": "y", "text": "three"})),
    ("jsonl", jsonl({"id": "x", "text": "four"}, {"id": "x", "text": "five"})),
    ("jsonl", jsonl({"id": "y", "text": "two"}) + b"{broken"),
    ("csv", b"id,text\nx,six\n"),
    ("parquet", parquet({"id": ["z"], "text": ["seven"]})),
]
NAMES = st.sampled_from(["a", "b", "c", "d/a", "d/e", "é"])
EDITS = st.one_of(
    st.tuples(st.just("write"), NAMES, st.sampled_from(CONTENTS)),
    st.tuples(st.just("unseen"), NAMES, st.integers(0, 255)),
    st.tuples(st.just("delete"), NAMES, st.none()),
    st.tuples(st.just("rename"), NAMES, NAMES),
    st.tuples(st.just("touch"), NAMES, st.none()),
)


def apply(folder, edit):
    kind, name, detail = edit
    found = sorted(folder.glob(f"in/{name}.*"))
    if kind == "write":
        for path in found:
            path.unlink()
        put(folder, f"in/{name}.{detail[0]}", detail[1])
    elif found and kind == "unseen":
        content = bytearray(found[0].read_bytes())
        if content:
            content[detail % len(content)] ^= 1
        edit_unseen(found[0], bytes(content))
    elif found and kind == "delete":
        found[0].unlink()
    elif found and kind == "rename":
        target = folder / f"in/{detail}{found[0].suffix}"
        target.parent.mkdir(exist_ok=True)
        found[0].rename(target)
    elif found and kind == "touch":
        os.utime(found[0])


def contents(folder):
    return {path: path.read_bytes() for path in folder.glob("in/**/*") if path.is_file()}


@settings(max_examples=15, deadline=None)
@given(st.lists(st.lists(EDITS, min_size=1, max_size=4), min_size=1, max_size=4), st.booleans())
def test_whatever_is_edited_a_refresh_gives_what_a_first_one_would_give(rounds, with_ids):
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "Sandbox", InThisProcess)
        folder = Path(name)
        store = Store(root=f"{name}/data")
        made = corpus(folder, id_field="id" if with_ids else None)
        put(folder, "in/always.txt", "always")
        put(folder, "in/b.jsonl", CONTENTS[4][1])
        before = {}
        for edits in rounds:
            for edit in edits:
                apply(folder, edit)
            seen = refreshed(store, made)
            now = contents(folder)
            changed = {path for path, content in now.items() if before.get(path) != content}
            # Rows that share an id are settled anew each time.
            assert seen.read >= len(changed) if with_ids else seen.read == len(changed)
            assert seen.files == len(now) == seen.read + seen.unchanged
            before = now


def test_a_second_refresh_reads_nothing_and_gives_the_same_digest(tmp_path, store):
    """With workers, as ever; the others of these tests do without."""
    for i in range(40):
        put(tmp_path, f"in/{i}.txt", f"text {i}")
    put(tmp_path, "in/rows.jsonl", jsonl(*({"text": f"row {i}"} for i in range(3000))))
    put(tmp_path, "in/large.txt", "line of text\n" * 200_000)
    made = corpus(tmp_path)
    first = refresh(store, made, quiet)
    before = stored(store)
    second = refresh(store, made, quiet)
    assert (first.seen.read, second.seen.read, second.seen.unchanged) == (42, 0, 42)
    assert first.written.digest == second.written.digest
    assert stored(store) == before
    assert second.books.rows == 3041


def test_edits_that_keep_size_and_date_are_all_seen(here, tmp_path, store):
    paths = [put(tmp_path, f"in/{i:03}.txt", f"before {i:03}") for i in range(100)]
    made = corpus(tmp_path)
    refreshed(store, made)
    for i, path in enumerate(paths[::5]):
        edit_unseen(path, f"behind {i * 5:03}")
    assert refreshed(store, made).read == 20
    assert sum("behind" in row["text"] for row in stored(store)) == 20


def test_what_is_deleted_is_gone_and_nothing_else_is_read(here, tmp_path, store):
    paths = [put(tmp_path, f"in/{i:03}.txt", f"text {i}") for i in range(1000)]
    made = corpus(tmp_path)
    refresh(store, made, quiet)
    for path in paths[3::100]:
        path.unlink()
    seen = refreshed(store, made)
    assert (seen.read, seen.unchanged, len(stored(store))) == (0, 990, 990)


@pytest.mark.parametrize(
    "change",
    [{"title_field": "id"}, {"where": {"id": "1"}}, {"limits": {"text_mb": 1}}, {"id_field": "id"}],
)
def test_other_settings_mean_reading_everything_again(here, tmp_path, store, change):
    put(tmp_path, "in/a.jsonl", jsonl({"id": "1", "text": "a"}, {"id": "2", "text": "b"}))
    put(tmp_path, "in/b.txt", "text")
    assert refreshed(store, corpus(tmp_path)).read == 2
    assert refreshed(store, corpus(tmp_path)).read == 0
    assert refreshed(store, corpus(tmp_path, **change)).read == 2


def test_rows_that_where_leaves_out_are_counted_also_when_nothing_is_read(here, tmp_path, store):
    put(tmp_path, "in/a.csv", "keep,text\n1,a\n0,b\n1,c\n")
    put(tmp_path, "in/b.csv", "keep,text\n0,none\n")
    made = corpus(tmp_path, where={"keep": 1})
    for read, unchanged in ((2, 0), (0, 2)):
        assert refresh(store, made, quiet).seen.metadata() == {
            "files": 2,
            "files read": read,
            "files unchanged": unchanged,
            "hidden files passed by": 0,
            "rows left out by 'where'": 2,
        }


def test_the_ledger_of_another_table_counts_for_nothing(here, tmp_path, store, monkeypatch):
    """A crash may come after the table and before the ledger that tells what is in it."""
    put(tmp_path, "in/a.txt", "first")
    made = corpus(tmp_path)
    refreshed(store, made)
    put(tmp_path, "in/a.txt", "second")
    put(tmp_path, "in/0.txt", "new")
    write, writes = Store.write_batches, []

    def crash(self, name, *args, **kwargs):
        writes.append(name)
        if len(writes) == 2:
            raise OSError("no more disk")
        return write(self, name, *args, **kwargs)

    with monkeypatch.context() as broken:
        broken.setattr(Store, "write_batches", crash)
        with pytest.raises(OSError, match="no more disk"):
            refresh(store, made, quiet)
    assert writes == ["documents", "source_files"]
    put(tmp_path, "in/a.txt", "first")
    assert refreshed(store, made).read == 2


def test_a_failed_refresh_leaves_the_old_table(here, tmp_path, store):
    path = put(tmp_path, "in/a.txt", "text")
    made = corpus(tmp_path)
    refreshed(store, made)
    before = stored(store)
    path.unlink()
    with pytest.raises(SourceError):
        refresh(store, made, quiet)
    assert stored(store) == before
    put(tmp_path, "in/a.txt", "text")
    assert refreshed(store, made).read == 0


def test_a_file_that_took_its_reader_down_is_tried_again(tmp_path, store, monkeypatch):
    """It may have been the machine: the same bytes under the same settings can be read later."""

    class Losing(InThisProcess):
        def submit(self, job):
            job.lost = {n for n, file in enumerate(job.entries) if file.uri == "in/b.txt"}
            return super().submit(job)

    monkeypatch.setattr(module, "Sandbox", Losing)
    for name in ("a.txt", "b.txt", "c.parquet"):
        put(tmp_path, f"in/{name}", name)
    made = corpus(tmp_path)
    assert refreshed(store, made).read == 3
    assert refreshed(store, made).read == 1


# Much at once


def test_row_groups_are_neither_large_nor_many():
    schema = pa.schema([("text", pa.string())])

    def batch(*texts):
        return pa.RecordBatch.from_arrays([pa.array(texts)], schema=schema)

    small = [batch("x")] * 5000
    assert [group.num_rows for group in grouped(small)] == [2048, 2048, 904]
    assert [group.num_rows for group in grouped([batch(*"x" * 5000)])] == [1250, 1250, 1250, 1250]
    large = "y" * (20 << 20)
    groups = list(grouped([batch("x", large, large, large, "z")]))
    assert [value for group in groups for value in group["text"].to_pylist()] == [
        "x",
        large,
        large,
        large,
        "z",
    ]
    assert all(group.nbytes <= 32 << 20 for group in groups)


def test_files_are_not_fetched_further_ahead_than_memory_allows(here, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_AHEAD_BYTES", 1000)
    for i in range(30):
        put(tmp_path, f"in/{i:02}.txt", f"{i:02} " * 100)
    fetched = []
    take = module.take
    monkeypatch.setattr(module, "take", lambda file, mb: fetched.append(file) or take(file, mb))
    monkeypatch.setattr(module, "_JOB_FILES", 1)
    rows = documents(corpus(tmp_path), seen=Seen())
    next(rows)
    assert len(fetched) < 15
    rows.close()


@settings(max_examples=20, deadline=None)
@given(st.randoms(use_true_random=False))
def test_the_order_of_the_table_is_that_of_the_uris(source):
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "Sandbox", InThisProcess)
        for _ in range(source.randint(1, 12)):
            put(Path(name), f"in/{source.choice('ab/ é-').strip('/')}{source.random()}.txt", "x")
        uris = [row["uri"] for row in table(corpus(Path(name)))]
    assert uris == sorted(uris)


# Large tables


@pytest.fixture
def small_parts(monkeypatch):
    """A file counts as large from a few hundred bytes on."""
    monkeypatch.setattr(snapshot, "INLINE_BYTES", 200)
    monkeypatch.setattr(snapshot, "PART_BYTES", 400)
    monkeypatch.setattr(snapshot, "_BLOCK", 128)


def test_a_large_jsonl_file_is_shared_among_workers_and_its_rows_are_as_ever(
    small_parts, store, tmp_path
):
    lines = [json.dumps({"id": number, "text": f"row {number} " * 9}) for number in range(200)]
    lines[20:20] = ["{broken", "", json.dumps({"text": "x" * 3000})]
    put(tmp_path, "in/rows.jsonl", "\n".join(lines))
    put(tmp_path, "in/z.txt", "A file behind it.")
    whole = table(corpus(tmp_path))
    assert [row["uri"] for row in whole if row["rejected_because"]] == ["in/rows.jsonl#21"]
    assert "line 21" in next(row["error"] for row in whole if row["error"])
    numbers = [int(row["uri"].partition("#")[2]) for row in whole[:-1]]
    assert numbers == [n for n in range(1, 204) if n != 22]
    first = refresh(store, corpus(tmp_path), quiet)
    assert stored(store) == whole
    again = refresh(store, corpus(tmp_path), quiet)
    assert (first.seen.read, again.seen.unchanged) == (2, 2)
    assert first.written.digest == again.written.digest


def test_a_large_jsonl_file_of_blank_lines_is_an_empty_one(small_parts, tmp_path):
    put(tmp_path, "in/a.jsonl", "\n" * 3000)
    put(tmp_path, "in/b.txt", "A file behind it.")
    found = [(row["uri"], row["rejected_because"]) for row in table(corpus(tmp_path))]
    assert found == [("in/a.jsonl", "empty"), ("in/b.txt", None)]


@given(
    content=st.lists(
        st.sampled_from(["", "x", "é" * 70, "y" * 300, "z" * 1500]).map(lambda text: text + "\n")
    ).map("".join),
    end=st.sampled_from(["", "no line end"]),
)
def test_the_parts_of_a_file_are_its_bytes_cut_between_lines(content, end):
    content = (content + end).encode()
    blocks = [content[at : at + 64] for at in range(0, len(content), 64)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(snapshot, "INLINE_BYTES", -1)
        patch.setattr(snapshot, "PART_BYTES", 400)
        taken = snapshot._collected(iter(blocks), len(content), 100)
    at = 0
    for part in taken.parts:
        assert part.start == at and part.size > 0
        assert at == 0 or content[at - 1 : at] == b"\n"
        assert part.lines_before == content.count(b"\n", 0, at)
        at += part.size
    assert at == len(content)
