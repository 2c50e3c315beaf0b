"""The asset `tasks`."""

import dagster as dg

from bonito_assets.books import Books
from bonito_assets.catalogue import corpora
from bonito_assets.checks import books_balance, books_balance_spec
from bonito_assets.metadata import definition_metadata, table_metadata
from bonito_assets.parsing.tasks import tasks as build_tasks
from resources.store import Store


@dg.asset(
    partitions_def=corpora,
    deps=["generations", "chunks"],
    group_name="parsing",
    kinds={"python", "parquet"},
    owners=["team:bonito"],
    code_version="1",
    metadata=definition_metadata("tasks"),
    check_specs=[books_balance_spec("tasks", "generations")],
)
def tasks(context: dg.AssetExecutionContext, store: Store) -> dg.MaterializeResult:
    """One row per generation, read as instruction and answer, or with the reason why not.

    An output must hold exactly one `<|pipe|>`; the passage takes the place of `{{context}}`.
    Reading again with other rules costs no generation.
    """
    corpus = context.partition_key
    generations = store.read("generations", corpus)
    table = build_tasks(generations, store.read("chunks", corpus))
    written = store.write("tasks", corpus, table)
    books = Books.of(table, "generation_id")
    return dg.MaterializeResult(
        metadata=table_metadata(books, written, ["task_type", "input", "output"]),
        data_version=dg.DataVersion(written.digest),
        check_results=[books_balance(generations.num_rows, books)],
    )
