"""The asset `curated_tasks`."""

import dagster as dg

from bonito_assets.books import Books
from bonito_assets.catalogue import corpora
from bonito_assets.checks import books_balance, books_balance_spec
from bonito_assets.curation.curate import curate
from bonito_assets.metadata import definition_metadata, table_metadata
from resources.store import Store


@dg.asset(
    partitions_def=corpora,
    deps=["tasks", "generations"],
    group_name="curation",
    kinds={"duckdb", "parquet"},
    owners=["team:bonito"],
    code_version="1",
    metadata=definition_metadata("curated_tasks"),
    check_specs=[books_balance_spec("curated_tasks", "tasks")],
)
def curated_tasks(context: dg.AssetExecutionContext, store: Store) -> dg.MaterializeResult:
    """One row per generation again, now judged beside all others, with quality scores.

    Truncated and empty rows and exact duplicates are refused; a duplicate names the row that was
    kept in its place. Why a row is not in your dataset is one query on this table.
    """
    corpus = context.partition_key
    tasks = store.read("tasks", corpus)
    with store.connect() as connection:
        table = curate(connection, tasks, store.read("generations", corpus))
    written = store.write("curated_tasks", corpus, table)
    books = Books.of(table, "generation_id")
    return dg.MaterializeResult(
        metadata=table_metadata(books, written, ["task_type", "input", "output", "mean_logprob"]),
        data_version=dg.DataVersion(written.digest),
        check_results=[books_balance(tasks.num_rows, books)],
    )
