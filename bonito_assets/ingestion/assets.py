"""The asset `documents`."""

import dagster as dg

from bonito_assets import tables
from bonito_assets.automation.conditions import REFRESHED_MONTHLY, WHEN_CHANGED
from bonito_assets.books import Books
from bonito_assets.catalogue import Catalogue, CatalogueError, corpora
from bonito_assets.checks import (
    BOOKS_BALANCE,
    books_balance,
    corpus_check,
    judged,
    schema_holds,
    schema_spec,
)
from bonito_assets.ingestion.documents import FILES, refresh
from bonito_assets.ingestion.files import SourceError
from bonito_assets.metadata import capped, definition_metadata, distribution, table_metadata
from resources.store import Store

READABLE = "some_document_is_readable"


@dg.asset(
    partitions_def=corpora,
    deps=["source", "ingestion_settings"],
    automation_condition=WHEN_CHANGED,
    freshness_policy=REFRESHED_MONTHLY,
    group_name="ingestion",
    kinds={"python", "parquet"},
    owners=["team:bonito"],
    tags={"stage": "text", "device": "cpu"},
    code_version="2",
    metadata=definition_metadata("documents"),
    check_specs=[
        schema_spec("documents"),
        corpus_check(
            BOOKS_BALANCE,
            "documents",
            "Each file of the source is here with all its rows, and no id stands twice.",
        ),
        corpus_check(READABLE, "documents", "At least one document of the source can be used."),
    ],
)
def documents(
    context: dg.AssetExecutionContext, catalogue: Catalogue, store: Store
) -> dg.MaterializeResult:
    """One row per item of the corpus's source: its text, or the reason why it cannot be used.

    An item that cannot be read keeps its place with a verdict, so that the number of rows is the
    number of things that you pointed at. All character offsets further down count from `text`.
    Look at the verdicts first: a format that is not read costs you its whole share of the corpus.
    Files whose bytes are as they were are not read again, so a refresh costs the changed ones;
    what is gone at the source is gone here.
    """
    corpus = catalogue.corpus(context.partition_key)
    try:
        made = refresh(store, corpus, context.log.info)
    except (CatalogueError, SourceError) as error:
        raise dg.Failure(str(error), allow_retries=False) from error
    books, seen = made.books, made.seen
    return dg.MaterializeResult(
        metadata=capped(
            {
                **table_metadata(
                    "documents", books, made.written, ["uri", "title", "text", "n_chars"]
                ),
                **seen.metadata(),
                **distribution(store, "documents", corpus.name, "n_chars", "characters"),
            }
        ),
        data_version=dg.DataVersion(made.written.digest),
        check_results=[
            schema_holds(store, "documents", corpus.name, tables.DOCUMENTS),
            books_balance(_due(store, corpus.name) or books.rows, books),
            judged(
                READABLE,
                books.accepted > 0,
                f"{books.accepted:,} of {books.rows:,} documents can be used" + _remedy(books),
                {"rows examined": books.rows, "rows accepted": books.accepted},
            ),
        ],
    )


def _remedy(books: Books) -> str:
    if books.accepted:
        return ""
    if books.rows and books.verdicts.get("forgotten") == books.rows:
        return "; all were forgotten: add others, or remove the catalogue file"
    return "; `bonito check` on the catalogue file shows why"


def _due(store: Store, corpus: str) -> int:
    """Gives the rows that the files of the source were seen to hold.

    It is 0 where the corpus sets a `limit`: then no count of whole files is kept.
    """
    return sum(store.read(FILES, corpus, ["documents"])["documents"].to_pylist())
