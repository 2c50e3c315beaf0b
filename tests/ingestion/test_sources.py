"""Every source item comes out once, readable or with its reason; a missing source is an error."""

import json

import pytest

from bonito_assets.catalogue import Corpus
from bonito_assets.ingestion.documents import clean, documents
from bonito_assets.ingestion.sources import Selection, SourceError, read


def corpus(folder, files, **source):
    return Corpus(name="c", folder=folder, source={"files": files, **source}, task_types=["nli"])


def rows(made, selection=None):
    return documents("c", read(made, selection)).to_pylist()


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "in" / "sub").mkdir(parents=True)
    return tmp_path


def put(folder, name, content):
    data = content if isinstance(content, bytes) else content.encode()
    (folder / "in" / name).write_bytes(data)


def test_text_and_markdown_files_become_documents_with_titles(folder):
    put(folder, "a.txt", "Plain text.")
    put(folder, "sub/b.md", "# A heading\n\nBody.")
    found = rows(corpus(folder, "in/**/*"))
    assert [(r["uri"], r["title"], r["text"]) for r in found] == [
        ("in/a.txt", "a", "Plain text."),
        ("in/sub/b.md", "A heading", "# A heading\n\nBody."),
    ]
    assert all(r["rejected_because"] is None for r in found)


@pytest.mark.parametrize("files", ["in", "in/*.txt", ["in/a.txt", "in/b.txt"], "in/**/*.txt"])
def test_a_folder_a_glob_and_a_list_find_the_same_files(folder, files):
    put(folder, "a.txt", "a")
    put(folder, "b.txt", "b")
    assert [r["uri"] for r in rows(corpus(folder, files))] == ["in/a.txt", "in/b.txt"]


def test_a_file_named_by_two_patterns_is_read_once(folder):
    put(folder, "a.txt", "a")
    assert len(rows(corpus(folder, ["in/a.txt", "in/*"]))) == 1


def test_a_name_with_glob_characters_is_found_as_it_stands(folder):
    put(folder, "a [1].txt", "bracketed")
    assert [r["text"] for r in rows(corpus(folder, "in/a [1].txt"))] == ["bracketed"]


def test_hidden_files_are_left_alone_but_a_hidden_parent_is_not(folder):
    put(folder, ".secret.txt", "x")
    (folder / ".cache").mkdir()
    (folder / ".cache" / "a.txt").write_text("visible")
    put(folder, "a.txt", "a")
    assert [r["uri"] for r in rows(corpus(folder, "in"))] == ["in/a.txt"]
    assert len(rows(corpus(folder, str(folder / ".cache")))) == 1


def test_jsonl_rows_become_documents_and_a_broken_line_costs_only_itself(folder):
    lines = ['{"id": 7, "text": "good"}', "{broken", "[1]", '{"id": 8}', '{"id": 9, "text": 5}', ""]
    put(folder, "rows.jsonl", "\n".join([*lines, '{"id": 10, "text": "also good"}']))
    found = rows(corpus(folder, "in/rows.jsonl", id_field="id"))
    assert [(r["uri"], r["rejected_because"]) for r in found] == [
        ("in/rows.jsonl#1", None),
        ("in/rows.jsonl#2", "unreadable"),
        ("in/rows.jsonl#3", "unreadable"),
        ("in/rows.jsonl#4", "unreadable"),
        ("in/rows.jsonl#5", "unreadable"),
        ("in/rows.jsonl#7", None),
    ]
    assert "line 2" in found[1]["error"]
    assert "'text'" in found[3]["error"]


def test_where_selects_rows_and_counts_those_left_out(folder):
    put(
        folder,
        "r.jsonl",
        "\n".join(json.dumps({"text": f"t{i}", "in_test": i % 2 == 0}) for i in range(10)),
    )
    selection = Selection()
    found = rows(corpus(folder, "in/r.jsonl", where={"in_test": False}), selection)
    assert [r["text"] for r in found] == ["t1", "t3", "t5", "t7", "t9"]
    assert selection.left_out == 5


def test_limit_reads_only_the_first_documents(folder):
    put(folder, "r.jsonl", "\n".join(json.dumps({"text": f"t{i}"}) for i in range(10)))
    assert len(rows(corpus(folder, "in/r.jsonl", limit=3))) == 3


@pytest.mark.parametrize(
    ("name", "content", "verdict"),
    [
        ("x.txt", b"\xff\xfe\x00bad", "unreadable"),
        ("x.txt", b"", "empty"),
        ("x.md", b" \n\t ", "empty"),
        ("x.pdf", b"%PDF-1.7", "unsupported_format"),
        ("noext", b"text", "unsupported_format"),
    ],
)
def test_what_cannot_be_used_keeps_its_row_and_says_why(folder, name, content, verdict):
    put(folder, "good.txt", "good")
    put(folder, name, content)
    found = {r["uri"]: r for r in rows(corpus(folder, "in"))}
    assert found["in/good.txt"]["rejected_because"] is None
    assert found[f"in/{name}"]["rejected_because"] == verdict
    assert found[f"in/{name}"]["error"]


def test_of_equal_documents_the_first_is_kept(folder):
    put(folder, "a.txt", "same\r\ntext")
    put(folder, "b.txt", "same\ntext")
    put(folder, "c.txt", "other")
    found = rows(corpus(folder, "in"))
    assert [r["rejected_because"] for r in found] == [None, "exact_duplicate_document", None]
    assert "in/a.txt" in found[1]["error"]


def test_an_edit_keeps_the_id_and_changes_the_digest(folder):
    put(folder, "a.txt", "one")
    before = rows(corpus(folder, "in"))[0]
    put(folder, "a.txt", "two")
    after = rows(corpus(folder, "in"))[0]
    assert before["doc_id"] == after["doc_id"]
    assert before["content_sha256"] != after["content_sha256"]


def test_the_sources_own_id_survives_a_move_inside_the_file(folder):
    put(folder, "r.jsonl", '{"id": "x", "text": "a"}\n{"id": "y", "text": "b"}')
    before = {r["text"]: r["doc_id"] for r in rows(corpus(folder, "in/r.jsonl", id_field="id"))}
    put(folder, "r.jsonl", '{"id": "y", "text": "b"}\n{"id": "x", "text": "a"}')
    after = {r["text"]: r["doc_id"] for r in rows(corpus(folder, "in/r.jsonl", id_field="id"))}
    assert before == after


def test_rows_with_one_id_get_ids_of_their_own(folder):
    put(folder, "r.jsonl", '{"id": "x", "text": "a"}\n{"id": "x", "text": "b"}')
    found = rows(corpus(folder, "in/r.jsonl", id_field="id"))
    assert len({r["doc_id"] for r in found}) == 2


def test_ids_do_not_depend_on_where_the_project_lies(tmp_path):
    ids = []
    for place in ("one", "two"):
        (tmp_path / place / "in").mkdir(parents=True)
        (tmp_path / place / "in" / "a.txt").write_text("text")
        ids.append(rows(corpus(tmp_path / place, "in"))[0]["doc_id"])
    assert ids[0] == ids[1]


@pytest.mark.parametrize(
    ("files", "fragment"),
    [("none", "does not exist"), ("in/*.none", "matches no file"), ("in", "without files")],
)
def test_a_source_without_anything_in_it_is_an_error_that_names_the_key(folder, files, fragment):
    with pytest.raises(SourceError, match=fragment) as error:
        rows(corpus(folder, files))
    assert "source.files" in str(error.value)


def test_a_dataset_saved_as_files_is_read_through_the_datasets_library(tmp_path):
    (tmp_path / "ds").mkdir()
    (tmp_path / "ds" / "train.jsonl").write_text(
        '{"text": "a", "id": "1"}\n{"text": "b", "id": "2"}\n'
    )
    made = Corpus(
        name="c",
        folder=tmp_path,
        source={"dataset": {"path": "ds"}, "id_field": "id"},
        task_types=["nli"],
    )
    assert [r["text"] for r in rows(made)] == ["a", "b"]


def test_cleaning_makes_every_text_storable():
    assert clean("e\u0301 \0 \ud800") == "é  \ufffd"
    clean("\ud83d\ude00 \udfff").encode("utf-8")
