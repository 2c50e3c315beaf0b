"""The asset `documents`."""

import dagster as dg

from bonito_assets.catalogue import Catalogue, CatalogueError, corpora
from bonito_assets.checks import corpus_check
from bonito_assets.ingestion.documents import refresh
from bonito_assets.ingestion.files import SourceError
from bonito_assets.metadata import definition_metadata, table_metadata
from resources.store import Store

READABLE = "some_document_is_readable"


@dg.asset(
    partitions_def=corpora,
    group_name="ingestion",
    kinds={"python", "parquet"},
    owners=["team:bonito"],
    code_version="2",
    metadata=definition_metadata("documents"),
    check_specs=[
        corpus_check(READABLE, "documents", "At least one document of the source can be used.")
    ],
)
def documents(
    context: dg.AssetExecutionContext, catalogue: Catalogue, store: Store
) -> dg.MaterializeResult:
    """One row per item of the corpus's source: its text, or the reason why it cannot be used.

    An item that cannot be read keeps its place with a verdict, so that the number of rows is the
    number of things that you pointed at. All character offsets further down count from `text`.
    Files whose bytes are as they were are not read again; what is gone at the source is gone here.
    """
    try:
        made = refresh(store, catalogue.corpus(context.partition_key), context.log.info)
    except (CatalogueError, SourceError) as error:
        raise dg.Failure(str(error), allow_retries=False) from error
    books, seen = made.books, made.seen
    return dg.MaterializeResult(
        metadata={
            **table_metadata(books, made.written, ["uri", "title", "text", "n_chars"]),
            **seen.metadata(),
        },
        data_version=dg.DataVersion(made.written.digest),
        check_results=[
            dg.AssetCheckResult(
                passed=books.accepted > 0,
                check_name=READABLE,
                description=f"{books.accepted:,} of {books.rows:,} documents can be used"
                + ("" if books.accepted else "; `bonito check` on the catalogue file shows why"),
            )
        ],
    )
