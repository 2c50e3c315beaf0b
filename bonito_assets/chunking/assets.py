"""The asset `chunks`."""

import dagster as dg

from bonito_assets.books import Books
from bonito_assets.catalogue import Catalogue, corpora
from bonito_assets.chunking.chunks import chunks as build_chunks
from bonito_assets.chunking.tokens import token_counter
from bonito_assets.metadata import definition_metadata, table_metadata
from resources.generator import Generator
from resources.store import Store


@dg.asset(
    partitions_def=corpora,
    deps=["documents", "bonito_model"],
    group_name="chunking",
    kinds={"python", "parquet"},
    owners=["team:bonito"],
    code_version="1",
    metadata=definition_metadata("chunks"),
)
def chunks(
    context: dg.AssetExecutionContext, catalogue: Catalogue, store: Store, generator: Generator
) -> dg.MaterializeResult:
    """One row per passage: the stretch of a document that one prompt shows to Bonito.

    `documents.text[start_char:end_char]` is exactly the passage. Passages keep to paragraph and
    sentence ends and below the corpus's `max_chars`; no character but whitespace is left out.
    """
    corpus = catalogue.corpus(context.partition_key)
    table = build_chunks(
        store.read("documents", corpus.name),
        corpus.chunking.max_chars,
        token_counter(generator.resolve()),
    )
    written = store.write("chunks", corpus.name, table)
    return dg.MaterializeResult(
        metadata=table_metadata(
            Books.of(table, "chunk_id"),
            written,
            ["position", "start_char", "end_char", "n_tokens", "text"],
        ),
        data_version=dg.DataVersion(written.digest),
    )
