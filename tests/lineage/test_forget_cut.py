"""Whatever state tables and logs are in, nothing about a forgotten document stays in them."""

import pytest

from bonito_assets import tables
from bonito_assets.identity import digest
from bonito_assets.lineage.forget.cut import cut
from bonito_assets.lineage.forget.fingerprints import Fingerprints
from bonito_assets.lineage.forget.run import _drop_what_says_it
from bonito_assets.lineage.forget.subject import said_by, subject
from bonito_assets.lineage.tombstones import Tombstones
from resources.engine_log import log_folder
from resources.store import Store
from tests.lineage.test_forget_releases import letter
from tests.publishing.made import CORPUS, letters, put

TITLE = "The annual report of the harbour of Østergård for the year 2024"


@pytest.fixture
def store(tmp_path):
    return Store(root=str(tmp_path))


def rows(store, table):
    return store.read(table, CORPUS).to_pylist()


def write(store, table, entries):
    store.write(table, CORPUS, tables.build(table, entries))


def forgotten(store, *doc_ids):
    """Cuts the tables and gives the rows that each has lost."""
    found = subject(store, CORPUS, doc_ids)
    return cut(store, CORPUS, Tombstones().with_stones(found.stones, None))


def document(name, **columns):
    return {"corpus": CORPUS, "doc_id": digest(CORPUS, name), "uri": name, **columns}


def test_outputs_about_an_earlier_text_go_where_a_refresh_ended_after_the_passages(store):
    put(store, letters(3))
    edited = [{**c, "chunk_id": digest(c["chunk_id"], "edited")} for c in rows(store, "chunks")]
    write(store, "chunks", edited)
    lost = forgotten(store, letter(1))
    assert (lost["chunks"], lost["generations"], lost["tasks"]) == (1, 3, 3)
    assert "ship 1" not in str(rows(store, "generations"))
    assert len(rows(store, "generations")) == 6


def test_what_could_not_be_read_leaves_only_its_verdict_too(store):
    refused = {"title": "Of Ann Doe", "error": "is encrypted", "rejected_because": "encrypted"}
    write(store, "documents", [document("a.pdf", content_sha256="0", **refused)])
    assert forgotten(store, digest(CORPUS, "a.pdf"))["documents"] == 1
    [row] = rows(store, "documents")
    assert (row["title"], row["rejected_because"]) == (None, "forgotten")
    assert forgotten(store, digest(CORPUS, "a.pdf"))["documents"] == 0


def test_an_empty_file_is_no_copy_of_another_empty_file(store):
    nothing = {"content_sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
               "rejected_because": "empty"}  # fmt: skip
    write(store, "documents", [document(name, **nothing) for name in ("a.txt", "b.txt")])
    forgotten(store, digest(CORPUS, "a.txt"))
    assert [r["rejected_because"] for r in rows(store, "documents")] == ["forgotten", "empty"]


def test_a_uri_that_repeats_the_title_is_not_looked_for_since_it_stays(store):
    text = f"# {TITLE}\n\nThe lamp on the pier burns until the last ferry has left the harbour."
    write(store, "documents", [document(f"{TITLE}.md", text=text, n_chars=len(text))])
    texts, _ = said_by(store, CORPUS, {digest(CORPUS, f"{TITLE}.md")}, Fingerprints.of([]))
    assert not texts.in_text(f"{TITLE}.md")
    assert texts.in_text(text.partition("\n\n")[2])


@pytest.mark.parametrize("root", ["data", "memory://forgotten-logs"])
def test_engine_logs_that_say_it_go_wherever_the_data_lies(tmp_path, monkeypatch, root):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    root = root if "://" in root else str(tmp_path / root)
    folder = log_folder(root) / "run"
    folder.mkdir(parents=True)
    (folder / "generations.log").write_text(f"the engine choked on: {TITLE}")
    (folder / "round_trips.log").write_text("the engine is well")
    _drop_what_says_it(Store(root=root), CORPUS, Fingerprints.of([TITLE]))
    assert [path.name for path in folder.iterdir()] == ["round_trips.log"]
