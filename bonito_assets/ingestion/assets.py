"""The asset `documents`."""

import dagster as dg

from bonito_assets.books import Books
from bonito_assets.catalogue import Catalogue, CatalogueError, corpora
from bonito_assets.checks import corpus_check
from bonito_assets.ingestion import sources
from bonito_assets.ingestion.documents import documents as build_documents
from bonito_assets.metadata import definition_metadata, table_metadata
from resources.store import Store

READABLE = "some_document_is_readable"


@dg.asset(
    partitions_def=corpora,
    group_name="ingestion",
    kinds={"python", "parquet"},
    owners=["team:bonito"],
    code_version="1",
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
    """
    selection = sources.Selection()
    try:
        corpus = catalogue.corpus(context.partition_key)
        table = build_documents(corpus.name, sources.read(corpus, selection))
    except (CatalogueError, sources.SourceError) as error:
        raise dg.Failure(str(error), allow_retries=False) from error
    written = store.write("documents", corpus.name, table)
    usable = table.num_rows - sum(v is not None for v in table["rejected_because"].to_pylist())
    return dg.MaterializeResult(
        metadata={
            **table_metadata(
                Books.of(table, "doc_id"), written, ["uri", "title", "text", "n_chars"]
            ),
            "rows left out by 'where'": selection.left_out,
        },
        data_version=dg.DataVersion(written.digest),
        check_results=[
            dg.AssetCheckResult(
                passed=usable > 0,
                check_name=READABLE,
                description=f"{usable:,} of {table.num_rows:,} documents can be used"
                + ("" if usable else "; `bonito check` on the catalogue file shows why"),
            )
        ],
    )
