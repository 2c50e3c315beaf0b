"""Questions: `sql`."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from bonito_assets.commands.terminal import fail, one_sentence_errors

_SHOWN_ROWS = 200


def sql(
    query: Annotated[str, typer.Argument(help="One SELECT over the tables, in DuckDB's SQL.")],
    json_lines: Annotated[bool, typer.Option("--json", help="One JSON object per row.")] = False,
) -> None:
    """Query the tables, read only: documents, chunks, generations, tasks, curated_tasks."""
    import duckdb

    from bonito_assets import settings
    from resources.store import Store

    with one_sentence_errors(), Store(root=settings.data_root()).reader() as connection:
        try:
            statements = connection.extract_statements(query)
            # EXPLAIN ANALYZE would run whatever it explains, a COPY into the data folder too.
            if [statement.type for statement in statements] != [duckdb.StatementType.SELECT]:
                fail("the tables are read only: give one SELECT")
            if json_lines:
                cursor = connection.execute(query)
                columns = [column[0] for column in cursor.description]
                while batch := cursor.fetchmany(1000):
                    for row in batch:
                        record = dict(zip(columns, row, strict=True))
                        typer.echo(json.dumps(record, default=str, ensure_ascii=False))
            else:
                connection.sql(query).show(max_rows=_SHOWN_ROWS)
        except duckdb.Error as error:
            fail(str(error))
