"""The asset `chunks`."""

import dagster as dg

from bonito_assets.catalogue import Catalogue, CatalogueError, corpora
from bonito_assets.chunking.refresh import refresh
from bonito_assets.metadata import definition_metadata, table_metadata
from resources.generator import Generator
from resources.model import ModelError
from resources.store import Store


@dg.asset(
    partitions_def=corpora,
    deps=["documents", "bonito_model"],
    group_name="chunking",
    kinds={"python", "parquet"},
    owners=["team:bonito"],
    code_version="2",
    metadata=definition_metadata("chunks"),
)
def chunks(
    context: dg.AssetExecutionContext, catalogue: Catalogue, store: Store, generator: Generator
) -> dg.MaterializeResult:
    """One row per passage: the stretch of a document that one prompt shows to Bonito.

    `documents.text[start_char:end_char]` is exactly the passage. Most task types are asked of
    paragraphs, some of single sentences, as the model was trained; `units` says what a passage
    serves as. No passage is longer than the corpus's `max_chars` or than the model's window allows,
    and no character but whitespace is left out. A passage that holds nothing to ask about (too
    short, a table of contents, code) keeps its row with the reason.
    """
    try:
        model = generator.resolve()
        made = refresh(
            store, catalogue.corpus(context.partition_key), model, generator.window(model)
        )
    except (CatalogueError, ModelError) as error:
        raise dg.Failure(str(error), allow_retries=False) from error
    if made.unchanged:
        context.log.info("documents and settings are as they were: nothing was cut anew")
    return dg.MaterializeResult(
        metadata={
            **table_metadata(
                made.books,
                made.written,
                ["position", "start_char", "end_char", "n_tokens", "units", "text"],
            ),
            "most tokens of a passage": made.max_tokens,
            "cached outputs of vanished documents deleted": made.forgotten,
        },
        data_version=dg.DataVersion(made.written.digest),
    )
