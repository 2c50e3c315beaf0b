"""The asset `chunks`."""

import dagster as dg

from bonito_assets import tables
from bonito_assets.automation.conditions import WHEN_CHANGED
from bonito_assets.books import Books
from bonito_assets.catalogue import Catalogue, CatalogueError, Corpus, corpora
from bonito_assets.checks import corpus_check, judged, schema_holds, schema_spec
from bonito_assets.chunking.coverage import (
    CHUNK_COLUMNS,
    DOCUMENT_COLUMNS,
    Coverage,
    coverage,
)
from bonito_assets.chunking.refresh import refresh, units
from bonito_assets.metadata import capped, definition_metadata, distribution, table_metadata
from resources.generator import Generator
from resources.model import ModelError
from resources.store import Store

COVERED = "passages_cover_documents"
USABLE = "some_passage_is_usable"


@dg.asset(
    partitions_def=corpora,
    deps=["documents", "bonito_model", "chunking_settings"],
    automation_condition=WHEN_CHANGED,
    group_name="chunking",
    kinds={"python", "parquet"},
    owners=["team:bonito"],
    tags={"stage": "text", "device": "cpu"},
    code_version="2",
    metadata=definition_metadata("chunks"),
    check_specs=[
        schema_spec("chunks"),
        corpus_check(
            COVERED,
            "chunks",
            "Each passage is the text at its offsets, and no character but whitespace is left out.",
        ),
        corpus_check(USABLE, "chunks", "At least one passage can be asked about."),
    ],
)
def chunks(
    context: dg.AssetExecutionContext, catalogue: Catalogue, store: Store, generator: Generator
) -> dg.MaterializeResult:
    """One row per passage: the stretch of a document that one prompt shows to Bonito.

    `documents.text[start_char:end_char]` is exactly the passage. Most task types are asked of
    paragraphs, some of single sentences, as the model was trained; `units` says what a passage
    serves as. No passage is longer than the corpus's `max_chars` or than the model's window allows,
    and no character but whitespace is left out. A passage that holds nothing to ask about (too
    short, a table of contents, code) keeps its row with the reason, and costs no token further on.
    Look at the sample first: it is what the model will read.
    """
    corpus = catalogue.corpus(context.partition_key)
    try:
        model = generator.resolve()
        made = refresh(store, corpus, model, generator.window(model))
    except (CatalogueError, ModelError) as error:
        raise dg.Failure(str(error), allow_retries=False) from error
    if made.unchanged:
        context.log.info("documents and settings are as they were: nothing was cut anew")
    return dg.MaterializeResult(
        metadata=capped(
            {
                **table_metadata(
                    "chunks",
                    made.books,
                    made.written,
                    ["position", "start_char", "end_char", "n_tokens", "units", "text"],
                ),
                "most tokens of a passage": made.max_tokens,
                "cached outputs of vanished documents deleted": made.forgotten,
                **distribution(store, "chunks", corpus.name, "n_tokens", "tokens"),
            }
        ),
        data_version=dg.DataVersion(made.written.digest),
        check_results=[
            schema_holds(store, "chunks", corpus.name, tables.CHUNKS),
            _covered(_compared(store, corpus.name), "paragraph" in units(corpus)),
            _usable(corpus, made.books),
        ],
    )


def _compared(store: Store, corpus: str) -> Coverage:
    return coverage(
        store.batches("documents", corpus, DOCUMENT_COLUMNS),
        store.batches("chunks", corpus, CHUNK_COLUMNS),
    )


def _covered(found: Coverage, wholly: bool) -> dg.AssetCheckResult:
    """Judges that passages stand where they say, and where that is due, that they are `wholly` it.

    Single sentences alone need not be: one that is too long for the model is left out.
    """
    problems = []
    if found.misplaced:
        problems.append(f"{len(found.misplaced):,} passages are not the text at their offsets")
    if found.uncovered and wholly:
        problems.append(f"{len(found.uncovered):,} documents have text that is in no passage")
    sentence = f"{found.passages:,} passages of {found.documents:,} documents, each in its place"
    if problems:
        sentence = f"{'; '.join(problems)}: materialize 'documents' and 'chunks' again"
    return judged(
        COVERED,
        not problems,
        sentence,
        {
            "rows examined": found.passages,
            "rows failed": len(found.misplaced),
            "documents examined": found.documents,
            "documents not covered": len(found.uncovered),
        },
        failing_ids=[*found.misplaced, *(found.uncovered if wholly else [])],
    )


def _usable(corpus: Corpus, books: Books) -> dg.AssetCheckResult:
    sentence = f"{books.accepted:,} of {books.rows:,} passages can be asked about"
    if not books.accepted:
        commonest = next(iter(books.verdicts), "the corpus has no text")
        sentence += (
            f"; the commonest reason is {commonest}: look at 'chunking' and 'language' in "
            f"{corpus.name}.yaml"
        )
    numbers = {"rows examined": books.rows, "rows accepted": books.accepted}
    return judged(USABLE, books.accepted > 0, sentence, numbers)
