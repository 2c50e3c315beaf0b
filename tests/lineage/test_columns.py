"""The lineage of columns holds to the schemas and to the arrows of the asset graph."""

import dagster as dg
import pytest

from bonito_assets import tables
from bonito_assets.definitions import defs
from bonito_assets.lineage.columns import COLUMNS, TABLES, column_lineage, column_schema


def _sources(table):
    return {source for sources in COLUMNS[table].values() for source in sources}


@pytest.mark.parametrize("table", COLUMNS)
def test_every_column_has_an_entry_or_is_declared_as_made_there(table):
    assert set(COLUMNS[table]) == set(TABLES[table].names)


@pytest.mark.parametrize("table", COLUMNS)
def test_every_source_is_a_column_of_another_table(table):
    for source in _sources(table):
        upstream, column = source.split(".")
        assert upstream != table
        assert column in TABLES[upstream].names, source


def test_columns_come_along_the_arrows_of_the_graph():
    graph = defs().resolve_asset_graph()
    for table in COLUMNS:
        upstream = {key.to_user_string() for key in graph.get(dg.AssetKey(table)).parent_keys}
        assert {source.split(".")[0] for source in _sources(table)} <= upstream, table


def test_a_column_that_is_handed_on_keeps_its_type():
    for table, columns in COLUMNS.items():
        for name, sources in columns.items():
            if len(sources) == 1 and sources[0].endswith(f".{name}"):
                upstream = TABLES[sources[0].split(".")[0]]
                assert TABLES[table].field(name).type == upstream.field(name).type, (table, name)


def test_lineage_names_assets_and_leaves_out_what_is_made_there():
    found = column_lineage("generations").deps_by_column
    assert "created_at" not in found
    [dep] = found["output"]
    assert (dep.asset_key, dep.column_name) == (dg.AssetKey("chunks"), "text")
    assert not column_lineage("documents").deps_by_column


def test_every_table_is_described_column_by_column_with_its_sources():
    assert set(tables.SCHEMAS) < set(TABLES)
    for table, schema in TABLES.items():
        shown = column_schema(table).columns
        assert [column.name for column in shown] == schema.names
        assert all(len(column.description) > 5 for column in shown)
    [start] = [c for c in column_schema("instruction_dataset").columns if c.name == "start_char"]
    assert start.description.endswith("(from chunks.start_char)")


def test_a_table_that_no_asset_makes_has_no_lineage():
    with pytest.raises(KeyError):
        column_lineage("source_files")
