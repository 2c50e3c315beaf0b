"""Checks between stages: columns as promised, results that are short, and gates per corpus."""

import dagster as dg
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bonito_assets import tables
from bonito_assets.books import Books
from bonito_assets.catalogue import corpora
from bonito_assets.checks import (
    books_balance,
    corpus_check,
    judged,
    schema_holds,
    schema_problems,
)
from bonito_assets.definitions import defs
from bonito_assets.lineage.columns import TABLES
from resources.store import Store


@pytest.fixture
def store(tmp_path):
    return Store(root=str(tmp_path / "data"))


@pytest.mark.parametrize("table", [*tables.SCHEMAS, "round_trips"])
def test_a_table_as_the_store_writes_it_holds_its_schema(store, table):
    schema = TABLES[table]
    store.write(table, "c", schema.empty_table())
    result = schema_holds(store, table, "c", schema)
    assert result.passed
    assert result.metadata["columns examined"].value == len(schema)


@given(st.sampled_from(sorted(TABLES)), st.data())
def test_every_departure_from_a_schema_is_told_by_the_column_s_name(table, data):
    promised = TABLES[table]
    number = data.draw(st.integers(0, len(promised) - 1))
    field = promised.field(number)
    another = pa.int32() if field.type != pa.int32() else pa.string()
    departures = [
        promised.remove(number),
        promised.set(number, field.with_type(another)),
        promised.append(pa.field("surprise", pa.string())),
    ]
    if not field.nullable:
        departures.append(promised.set(number, field.with_nullable(True)))
    for found in departures:
        [problem] = schema_problems(found, promised)
        assert field.name in problem or "surprise" in problem
    assert schema_problems(promised, promised) == []


def test_a_table_of_another_version_fails_and_says_what_to_do(store):
    old = tables.TASKS.remove(tables.TASKS.get_field_index("label"))
    store.write("tasks", "c", old.empty_table())
    result = schema_holds(store, "tasks", "c", tables.TASKS)
    assert not result.passed
    assert "column label is missing" in result.description
    assert "materialize" in result.description


def test_a_verdict_outside_the_published_list_fails_the_books():
    rows = pa.table({"id": ["0" * 32], "rejected_because": ["of_my_own"]})
    result = books_balance(1, Books.of(rows, "id"))
    assert not result.passed
    assert "of_my_own" in result.description


def test_a_result_carries_numbers_and_few_ids_and_never_long_text():
    ids = [f"{number:032x}" for number in range(1000)]
    result = judged("c", False, "x\u202e" * 10_000, {"rows examined": 7}, failing_ids=ids)
    assert len(result.description) <= 1000
    assert "\u202e" not in result.description
    assert result.metadata["rows examined"].value == 7
    assert result.metadata["failing ids"].value == ", ".join(ids[:5])
    assert result.severity is dg.AssetCheckSeverity.ERROR
    assert judged("c", False, "x", {}, warns=True).severity is dg.AssetCheckSeverity.WARN


def test_a_check_is_judged_for_each_corpus_by_itself():
    assert corpus_check("c", "chunks", "Something holds.").partitions_def == corpora


def test_every_table_of_a_corpus_has_its_columns_and_books_judged_before_it_is_read():
    graph = defs().resolve_asset_graph()
    blocking = {
        (key.asset_key.to_user_string(), key.name)
        for key in graph.asset_check_keys
        if graph.get(key).blocking
    }
    for table in TABLES:
        assert (table, "schema_holds") in blocking
        # Of passages there is no count due: there it is the text that has to be whole.
        books = "passages_cover_documents" if table == "chunks" else "books_balance"
        assert (table, books) in blocking


def test_every_check_asks_in_a_sentence():
    for key in (graph := defs().resolve_asset_graph()).asset_check_keys:
        sentence = graph.get(key).description
        assert sentence and sentence[0].isupper() and sentence.endswith("."), key
