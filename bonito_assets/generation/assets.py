"""The assets `bonito_model` and `generations`."""

import dagster as dg
from pydantic import Field

from bonito_assets import tables
from bonito_assets.automation.conditions import AFTER_A_CRASH, WHEN_CHANGED
from bonito_assets.books import Books
from bonito_assets.catalogue import Catalogue, CatalogueError, corpora
from bonito_assets.checks import (
    books_balance,
    books_balance_spec,
    corpus_check,
    judged,
    schema_holds,
    schema_spec,
)
from bonito_assets.generation.refresh import refresh
from bonito_assets.metadata import capped, definition_metadata, distribution, table_metadata
from bonito_assets.operations.logs import log_link
from resources.engine_log import engine_log
from resources.generator import Generator, GeneratorError
from resources.model import ModelError
from resources.quantised import quantization
from resources.store import Store

ALL_ANSWERED = "all_answered"
# Verdicts of rows that may yet get an output, each with what a person can do about them.
_REMEDIES = {
    "engine_error": "materialize 'generations' with retry_engine_errors to ask for them again",
    "over_budget": "the next refresh goes on from there; 'budget' in the catalogue file sets caps",
}


@dg.asset(
    deps=["generating_model_setting"],
    automation_condition=WHEN_CHANGED,
    group_name="model",
    kinds={"huggingface"},
    owners=["team:bonito"],
    tags={"stage": "generation", "device": "cpu"},
    code_version="1",
)
def bonito_model(generator: Generator) -> dg.MaterializeResult:
    """The checkpoint that generation uses, named by BONITO_MODEL and pinned to its content.

    That is a hub id at a commit, a folder, a quantised model (AWQ, GPTQ, FP8), a LoRA adapter,
    which brings its base model along, or ``checkpoint``: what `bonito_checkpoint` made last. The
    data version is the hub commit, or the digest of what lies there: another model makes the
    generations of every corpus stale. Look at the name first: the demonstration checkpoint shows
    that the plumbing works and nothing else. A hub model is fetched once; after that it is free.
    """
    try:
        model = generator.resolve()
    except ModelError as error:
        raise dg.Failure(str(error), allow_retries=False) from error
    return dg.MaterializeResult(
        metadata=capped(
            {
                "name": model.name,
                "folder": dg.MetadataValue.path(str(model.folder)),
                "adapter": "none" if model.adapter is None else str(model.adapter),
                "quantised": quantization(model.folder) or "no",
                "fingerprint": model.fingerprint,
                "window (tokens)": model.max_tokens,
            }
        ),
        data_version=dg.DataVersion(model.fingerprint),
    )


class GenerationConfig(dg.Config):
    """How a refresh treats what an earlier one had to set aside."""

    retry_engine_errors: bool = Field(
        default=False, description="ask again for rows with the verdict engine_error"
    )


@dg.asset(
    partitions_def=corpora,
    deps=["chunks", "bonito_model", "generation_settings"],
    automation_condition=WHEN_CHANGED,
    retry_policy=AFTER_A_CRASH,
    pool="gpu",
    group_name="generation",
    kinds={"vllm", "parquet"},
    owners=["team:bonito"],
    tags={"stage": "generation", "device": "gpu"},
    code_version="3",
    metadata=definition_metadata("generations"),
    check_specs=[
        schema_spec("generations"),
        books_balance_spec("generations", "passages x task types x samples"),
        corpus_check(
            ALL_ANSWERED,
            "generations",
            "No row waits for an output that the engine or the budget did not give.",
            blocking=False,
        ),
    ],
)
def generations(
    context: dg.AssetExecutionContext,
    config: GenerationConfig,
    catalogue: Catalogue,
    store: Store,
    generator: Generator,
) -> dg.MaterializeResult:
    """One row per passage, task type and sample: what Bonito wrote, untouched.

    A prompt shows the model one passage and one task type, and it answers with an instruction and
    its answer, divided by a mark. They are kept as they came, so that reading them with better
    rules costs nothing. This is the stage that costs GPU time: look at the bill and at the outputs
    per second first. Outputs are addressed by prompt, model, sampling and sample number: what was
    generated once is never generated again, and a step that dies loses at most seconds of work.
    """
    corpus = catalogue.corpus(context.partition_key)
    try:
        with engine_log(store.root, context.run.run_id, "generations") as log_file:
            made = refresh(
                store,
                corpus,
                generator,
                context.run.run_id,
                context.log.info,
                config.retry_engine_errors,
            )
    except (CatalogueError, ModelError, GeneratorError) as error:
        raise dg.Failure(str(error), allow_retries=False) from error
    return dg.MaterializeResult(
        metadata=capped(
            {
                **table_metadata("generations", made.books, made.written, ["task_type", "output"]),
                "from the cache": made.cached,
                **made.bill.metadata(made.stopped_by),
                **log_link(log_file),
                **distribution(
                    store, "generations", corpus.name, "output_tokens", "tokens of an output"
                ),
            }
        ),
        data_version=dg.DataVersion(made.written.digest),
        check_results=[
            schema_holds(store, "generations", corpus.name, tables.GENERATIONS),
            books_balance(made.due, made.books),
            _all_answered(made.books),
        ],
    )


def _all_answered(books: Books) -> dg.AssetCheckResult:
    """Judges that no row has a verdict that another refresh may lift."""
    waiting = {code: books.verdicts.get(code, 0) for code in _REMEDIES}
    told = [f"{n:,} rows are {code}: {_REMEDIES[code]}" for code, n in waiting.items() if n]
    return judged(
        ALL_ANSWERED,
        not told,
        "; ".join(told) or "every prompt that could be asked has its output",
        {"rows examined": books.rows, "rows failed": sum(waiting.values()), **waiting},
        warns=True,
    )
