"""A table is read row by row: a broken row says what is wrong, its neighbours are untouched."""

import csv
import importlib.metadata
import io
import json
import random
import sys
from types import SimpleNamespace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bonito_assets.ingestion import reading
from bonito_assets.ingestion.items import LeftOut
from bonito_assets.ingestion.reading import Reading
from tests.ingestion.made import jsonl, parquet, read, texts, verdicts

# A file that is control characters for the most part is no text.
PRINTED = st.characters(codec="utf-8", exclude_categories=["Cc"])
WORDS = st.text(PRINTED, min_size=1).filter(str.strip)
NOISE = st.one_of(
    st.text(PRINTED, max_size=30).map(str.encode),
    st.sampled_from(
        [b"\xff", b"{", b'{"text": ', b'{"text": 1}', b'"', b"null", b'{"text": "ok"}']
    ),
)


def uris(found):
    return [item.uri for item in found]


# Any table


def as_csv(rows, delimiter=","):
    sink = io.StringIO(newline="")
    writer = csv.DictWriter(sink, ["id", "text"], delimiter=delimiter)
    writer.writeheader()
    writer.writerows(rows)
    return sink.getvalue().encode()


def as_arrow(rows):
    sink = io.BytesIO()
    table = pa.Table.from_pylist(rows, pa.schema([("id", pa.string()), ("text", pa.string())]))
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue()


FORMATS = {
    "a.jsonl": lambda rows: jsonl(*rows),
    "a.json": lambda rows: json.dumps(rows, indent=1).encode(),
    "a.csv": as_csv,
    "a.tsv": lambda rows: as_csv(rows, "\t"),
    "a.parquet": lambda rows: parquet({name: [r[name] for r in rows] for name in ("id", "text")}),
    "a.arrow": as_arrow,
}


@settings(deadline=None)
@given(st.sampled_from([*FORMATS]), st.lists(WORDS, min_size=1, max_size=6))
def test_every_text_comes_out_of_every_format_as_it_went_in(name, wanted):
    rows = [{"id": f"k{i}", "text": text} for i, text in enumerate(wanted)]
    found = read(name, FORMATS[name](rows), id_field="id")
    assert texts(found) == wanted
    assert [item.own_id for item in found] == [row["id"] for row in rows]
    assert uris(found) == [f"{name}#{i}" for i in range(1, len(rows) + 1)]


@pytest.mark.parametrize("name", FORMATS)
def test_fields_give_id_title_and_licence(name):
    rows = [{"id": "7", "text": "body"}]
    [item] = read(name, FORMATS[name](rows), id_field="id", title_field="id", license_field="id")
    assert (item.own_id, item.title, item.license, item.text) == ("7", "7", "7", "body")


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.parquet", "a.arrow"])
def test_a_table_without_the_column_of_text_is_refused_with_its_columns(name):
    [item] = read(name, FORMATS[name]([{"id": "1", "text": "x"}]), text_field="body")
    assert item.rejected_because == "unreadable"
    assert "'body' (text_field); it has: id, text" in item.error


@pytest.mark.parametrize("name", FORMATS)
def test_a_table_without_rows_is_empty(name):
    [item] = read(name, FORMATS[name]([]))
    assert (item.uri, item.rejected_because) == (name, "empty")


@pytest.mark.parametrize("name", FORMATS)
def test_where_keeps_rows_with_the_value_and_counts_the_others(name):
    rows = [{"id": "1", "text": "one"}, {"id": "2", "text": "two"}, {"id": "1", "text": "three"}]
    found = read(name, FORMATS[name](rows), where={"id": "1"})
    assert texts(found) == ["one", "three"]
    assert [isinstance(item, LeftOut) for item in found] == [False, True, False]


@pytest.mark.parametrize("wanted", [3, 3.0, "3"])
def test_in_tables_of_text_a_number_is_as_good_as_its_digits(wanted):
    content = "n,text\n3,three\n4,four\n"
    expected = ["three"] if wanted != 3.0 or isinstance(wanted, int) else []
    assert texts(read("a.csv", content, where={"n": wanted})) == expected
    content = "flag,text\ntrue,yes\nfalse,no\n"
    assert texts(read("a.csv", content, where={"flag": True})) == ["yes"]


def test_where_on_a_field_that_is_not_there_keeps_nothing():
    assert all(isinstance(i, LeftOut) for i in read("a.jsonl", '{"text": "x"}', where={"s": "a"}))


# JSON Lines


def test_a_broken_line_costs_itself_and_is_named_by_its_number():
    lines = [
        '{"id": 1, "text": "good"}',
        "{broken",
        "[1]",
        '"text"',
        '{"id": 5}',
        '{"id": 6, "text": 5}',
        '{"id": 7, "text": ["x"]}',
        '{"id": 8, "text": null}',
        '{"id": 9, "text": ""}',
        "",
        "   ",
        '{"text": "no id"}',
        '{"id": 13, "text": "also good"}',
    ]
    found = read("a.jsonl", "\n".join(lines), id_field="id")
    assert uris(found) == [f"a.jsonl#{i}" for i in (1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 13)]
    bad = [item for item in found if item.rejected_because]
    assert {item.rejected_because for item in bad} == {"unreadable"}
    assert uris(bad) == [f"a.jsonl#{i}" for i in (2, 3, 4, 5, 6, 7, 12)]
    assert texts(found) == ["good", "", "", "also good"]
    assert "line 2" in bad[0].error
    assert "'text' (text_field); it has: id" in bad[3].error
    assert "is int, not text" in bad[4].error


@pytest.mark.parametrize("ends", ["\n", "\r\n", "\n\n"])
@pytest.mark.parametrize("last", ["", "\n"])
def test_line_ends_and_a_missing_last_one_make_no_difference(ends, last):
    content = ends.join(['{"text": "a"}', '{"text": "b"}']) + last
    assert texts(read("a.jsonl", content)) == ["a", "b"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("name", ["a.jsonl", "a.json", "a.csv"])
def test_unicode_with_a_mark_is_read_whatever_its_width(name, encoding):
    mark = "\ufeff" if encoding.endswith("e") else ""
    rows = [{"id": "1", "text": "grüße 😀\u2028 x"}, {"id": "2", "text": "y"}]
    content = (mark + FORMATS[name](rows).decode()).encode(encoding)
    assert texts(read(name, content)) == ["grüße 😀\u2028 x", "y"]


def test_what_strict_json_forbids_but_many_write_is_read():
    content = '{"text": "a", "score": NaN}\n{"text": "b\\ud800", "x": -Infinity}\n'
    assert texts(read("a.jsonl", content)) == ["a", "b\ud800"]


def test_bytes_that_are_no_utf_8_cost_their_line():
    assert verdicts(read("a.jsonl", b'{"text": "a"}\n{"text": "\xff"}\n{"text": "b"}')) == [
        None,
        "unreadable",
        None,
    ]


@pytest.mark.parametrize("depth", [2_000, 1_000_000])
def test_a_line_that_is_nested_without_end_costs_itself(depth):
    content = '{"text": "a"}\n' + '{"text": ' + "[" * depth + "\n" + '{"text": "b"}\n'
    assert verdicts(read("a.jsonl", content)) == [None, "unreadable", None]
    closed = '{"text": "a", "x": ' + "[" * depth + "]" * depth + "}\n" + '{"text": "b"}\n'
    assert verdicts(read("a.jsonl", closed)) == ["unreadable", None]


def test_a_line_longer_than_the_limit_costs_itself():
    content = '{"text": "a"}\n{"text": "' + "x" * 1_500_000 + '"}\n{"text": "b"}\n'
    found = read("a.jsonl", content, limits={"text_mb": 1})
    assert verdicts(found) == [None, "too_large", None]
    assert "limits.text_mb (1)" in found[1].error
    assert texts(found) == ["a", "b"]


@settings(deadline=None)
@given(st.lists(NOISE, max_size=8))
def test_whatever_stands_around_it_a_good_line_is_read(lines):
    content = b"\n".join([b'{"text": "first"}', *lines])
    found = read("a.jsonl", content)
    assert texts(found)[0] == "first"
    assert texts(found).count("ok") == lines.count(b'{"text": "ok"}')
    assert len(found) == 1 + sum(bool(line.strip()) for line in lines)


# JSON


def test_a_list_of_objects_is_a_table_and_other_json_says_what_to_do():
    found = read("a.json", '[{"text": "a"}, 5, {"text": "b"}, {"x": 1}]')
    assert verdicts(found) == [None, "unreadable", None, "unreadable"]
    [item] = read("a.json", '{"text": "a"}')
    assert (item.rejected_because, "JSONL" in item.error) == ("unsupported_format", True)
    for broken in ("[", "[1,", '{"text": "a"', "[" * 100_000):
        [item] = read("a.json", broken)
        assert item.rejected_because == "unreadable"


def test_json_lines_under_the_name_of_json_are_read_as_what_they_are():
    assert texts(read("a.json", '{"text": "a"}\n{"text": "b"}\n')) == ["a", "b"]


# CSV


def test_fields_may_hold_line_ends_quotes_and_separators():
    content = 'id,text\n1,"two\nlines, ""quoted"""\n2,plain\r\n3,"a\r\nb"\r\n'
    assert texts(read("a.csv", content)) == ['two\nlines, "quoted"', "plain", "a\r\nb"]


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_the_separator_is_the_one_that_the_header_has_most_of(separator):
    content = separator.join(["id", "text", "x"]) + "\n" + separator.join(["1", "a b", "c"])
    assert texts(read("a.csv", content)) == ["a b"]


def test_ragged_rows_are_kept_as_far_as_they_have_text():
    found = read("a.csv", "id,text,x\n1,short\n2,long,x,y,z\n3\n4,whole,x\n\n5,last,x\n")
    assert texts(found) == ["short", "long", "whole", "last"]
    assert [bool(item.warning) for item in found] == [True, True, False, False, False]
    assert found[2].rejected_because == "unreadable"
    assert "row 3 (line 4): has 1 of 3 columns" in found[2].error


def test_a_quote_that_is_never_closed_costs_its_row_only():
    content = 'id,text\n1,"open\n2,two\n3,"three"\n4,"also open\n5,five\n'
    found = read("a.csv", content)
    assert verdicts(found) == ["unreadable", None, None, "unreadable", None]
    assert texts(found) == ["two", "three", "five"]
    assert "row 1 (line 2): a quote is opened and never closed" in found[0].error
    assert "row 4 (line 5)" in found[3].error


def test_two_quotes_that_are_never_closed_do_not_swallow_what_lies_between():
    found = read("a.csv", 'id,text\n1,"open\n2,two\n3,"three"\n4,"open\n5,five\n')
    assert texts(found) == ["two", "three", "five"]


def test_a_quote_at_the_very_end_that_is_never_closed_is_said_to_be_so():
    assert verdicts(read("a.csv", 'id,text\n1,a\n2,"cut of')) == [None, "unreadable"]


def test_a_quote_inside_a_field_is_a_character():
    content = 'id,text\n1,5" of snow\n2,b\n3,6" at last'
    assert texts(read("a.csv", content)) == ['5" of snow', "b", '6" at last']
    assert texts(read("a.tsv", 'id\ttext\n1\tHe said "no\n')) == ['He said "no']


def test_too_many_broken_rows_end_the_table_with_a_sentence():
    found = read("a.csv", "id,text\n0,a\n" + '1,"open\n' * 1500)
    assert texts(found) == ["a"]
    assert "too many broken rows; nothing was read from row" in found[-1].error


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("cp1252", "Café “crème” – déjà vu, naïve façade, où est l’été à Orléans"),
        ("cp1251", "Быстрая лисица прыгает через ленивую собаку в саду у дома"),
        ("shift_jis", "これは日本語の文章です。昨日は雨が降りましたが今日は晴れています"),
    ],
)
def test_other_encodings_are_recognised(encoding, text):
    content = ("id;text\n" + f"1;{text}\n" * 20).encode(encoding)
    assert set(texts(read("a.csv", content))) == {text}


def test_bytes_that_show_up_late_and_fit_no_encoding_are_replaced_with_a_warning():
    content = b"id,text\n" + b"1,plain\n" * 20_000 + b"2,caf\xe9\n"
    last = read("a.csv", content)[-1]
    assert last.text == "caf\ufffd"
    assert "invalid in its encoding" in last.warning


def test_nuls_are_passed_over():
    assert texts(read("a.csv", b"id,text\n1,a\0b\n2,c\n")) == ["ab", "c"]


def test_a_field_of_five_megabytes_is_read_and_one_above_the_limit_costs_its_row():
    content = 'id,text\n1,"' + "long " * 1_000_000 + '"\n2,next\n'
    assert [len(text) for text in texts(read("a.csv", content))] == [5_000_000, 4]
    found = read("a.csv", content, limits={"text_mb": 1})
    assert verdicts(found) == ["unreadable", None]
    assert texts(found) == ["next"]


# A row that is broken may be mended in more ways than one; a sound neighbour must not change.
@settings(deadline=None)
@given(
    st.lists(
        st.sampled_from(
            ["{},good{}", '{},"quoted, {}"', '{},"open{}', "{}", '{},5" {}', "{},a,b{}"]
        ),
        max_size=8,
    )
)
def test_sound_rows_of_one_line_are_read_once_each_whatever_is_broken(patterns):
    lines = [pattern.format(i, i) for i, pattern in enumerate(patterns)]
    found = read("a.csv", "\n".join(["id,text", *lines, "99,the end", ""]))
    sound = [f"good{i}" for i, p in enumerate(patterns) if "good" in p]
    assert [text for text in texts(found) if text.startswith("good")] == sound
    assert texts(found)[-1] == "the end"


# Columns


def test_row_groups_and_chunks_are_counted_through():
    content = parquet({"text": [f"t{i}" for i in range(2000)]}, row_group_size=300)
    found = read("a.parquet", content)
    assert (found[0].uri, found[-1].uri) == ("a.parquet#1", "a.parquet#2000")
    assert texts(found) == [f"t{i}" for i in range(2000)]


def test_a_null_text_is_empty_and_another_type_is_refused():
    found = read("a.parquet", parquet({"text": ["a", None]}))
    assert texts(found) == ["a", ""]
    for values in ([1, 2], [["x"], ["y"]], [{"a": 1}, {"a": 2}], [b"x", b"y"]):
        found = read("a.parquet", parquet({"text": values}))
        assert verdicts(found) == ["unreadable", "unreadable"]
        assert "not text" in found[0].error


def test_kinds_of_text_column_make_no_difference():
    words = pa.array(["a", "b", "a"])
    for kind in (pa.large_string(), pa.dictionary(pa.int32(), pa.string()), pa.string_view()):
        assert texts(read("a.parquet", parquet({"text": words.cast(kind)}))) == ["a", "b", "a"]


def test_columns_that_are_not_asked_for_need_not_be_readable():
    nested = [{"deep": [{"x": [1]}]}, None]
    assert texts(read("a.parquet", parquet({"text": ["a", "b"], "more": nested}))) == ["a", "b"]


@pytest.mark.parametrize("compression", ["none", "snappy", "gzip", "zstd", "lz4"])
def test_parquet_comes_compressed_in_any_way(compression):
    content = parquet({"text": ["a"]}, compression=compression)
    assert texts(read("a.parquet", content)) == ["a"]


def test_parquet_with_brotli_is_refused_with_the_remedy():
    [item] = read("a.parquet", parquet({"text": ["a"]}, compression="brotli"))
    assert item.rejected_because == "unsupported_format"
    assert "zstd or snappy" in item.error


@pytest.mark.parametrize("share", [0.02, 0.5, 0.98])
def test_truncated_parquet_is_refused(share):
    content = parquet({"text": [random.Random(i).randbytes(50).hex() for i in range(300)]})
    [item] = read("a.parquet", content[: int(len(content) * share)])
    assert (item.text, item.rejected_because) == (None, "unreadable")


def invalid_texts():
    raw = pa.array([b"one", b"bad \xff\xfe", b"two"], pa.binary())
    return pa.table({"text": pa.Array.from_buffers(pa.string(), 3, raw.buffers())})


def test_a_text_that_is_no_utf_8_costs_its_row():
    sink = io.BytesIO()
    pq.write_table(invalid_texts(), sink)
    found = read("a.parquet", sink.getvalue())
    assert verdicts(found) == [None, "unreadable", None]
    assert "row 2" in found[1].error


def test_an_arrow_table_that_points_outside_itself_is_not_believed():
    offsets = pa.py_buffer(b"".join(at.to_bytes(4, "little") for at in (0, 4, 1 << 30, 8)))
    texts_ = pa.Array.from_buffers(pa.string(), 3, [None, offsets, pa.py_buffer(b"abcdefgh")])
    sink = io.BytesIO()
    with pa.ipc.new_file(sink, pa.schema([("text", pa.string())])) as writer:
        writer.write_batch(pa.RecordBatch.from_arrays([texts_], ["text"]))
    found = read("a.arrow", sink.getvalue())
    assert texts(found) == ["abcd"]
    assert verdicts(found) == [None, "unreadable", "unreadable"]


# When a table is read again


@pytest.mark.parametrize("library", ["pyarrow", "orjson", "pyyaml"])
def test_another_release_of_a_reader_lets_tables_be_read_again(monkeypatch, library):
    before = Reading("c").fingerprint
    version = importlib.metadata.version
    monkeypatch.setattr(
        importlib.metadata,
        "version",
        lambda name: version(name) + (".post1" if name == library else ""),
    )
    assert Reading("c").fingerprint != before


def test_another_python_lets_tables_be_read_again_but_not_its_next_patch(monkeypatch):
    before = Reading("c").fingerprint
    major, minor, *rest = sys.version_info
    monkeypatch.setattr(reading, "sys", SimpleNamespace(version_info=(major, minor, 99, *rest[1:])))
    assert Reading("c").fingerprint == before
    monkeypatch.setattr(reading, "sys", SimpleNamespace(version_info=(major, minor + 1, *rest)))
    assert Reading("c").fingerprint != before
