"""Judges tasks as a set, in DuckDB: exact duplicates."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pyarrow as pa

from bonito_assets import tables

_QUERY = Path(__file__).with_name("curate.sql").read_text(encoding="utf-8")


def curate(
    connection: duckdb.DuckDBPyConnection, tasks: pa.Table, generations: pa.Table
) -> pa.Table:
    """Gives one row of `curated_tasks` per row of `tasks`, in the same order."""
    place = pa.array(range(tasks.num_rows), pa.int64())
    connection.register("tasks", tasks.append_column("place", place))
    connection.register("generations", generations)
    return tables.check("curated_tasks", connection.sql(_QUERY).to_arrow_table())
