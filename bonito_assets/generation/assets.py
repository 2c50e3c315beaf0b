"""The assets `bonito_model` and `generations`."""

import dagster as dg
from pydantic import Field

from bonito_assets.catalogue import Catalogue, CatalogueError, corpora
from bonito_assets.checks import books_balance, books_balance_spec
from bonito_assets.generation.refresh import refresh
from bonito_assets.metadata import definition_metadata, table_metadata
from resources.generator import Generator, GeneratorError
from resources.model import ModelError
from resources.quantised import quantization
from resources.store import Store


@dg.asset(group_name="model", kinds={"huggingface"}, owners=["team:bonito"], code_version="1")
def bonito_model(generator: Generator) -> dg.MaterializeResult:
    """The checkpoint that generation uses, named by BONITO_MODEL and pinned to its content.

    That is a hub id at a commit, a folder, a quantised model (AWQ, GPTQ, FP8), a LoRA adapter,
    which brings its base model along, or ``checkpoint``: what `bonito_checkpoint` made last. The
    data version is the hub commit, or the digest of what lies there: another model makes the
    generations of every corpus stale.
    """
    try:
        model = generator.resolve()
    except ModelError as error:
        raise dg.Failure(str(error), allow_retries=False) from error
    return dg.MaterializeResult(
        metadata={
            "name": model.name,
            "folder": dg.MetadataValue.path(str(model.folder)),
            "adapter": "none" if model.adapter is None else str(model.adapter),
            "quantised": quantization(model.folder) or "no",
            "fingerprint": model.fingerprint,
            "window (tokens)": model.max_tokens,
        },
        data_version=dg.DataVersion(model.fingerprint),
    )


class GenerationConfig(dg.Config):
    """How a refresh treats what an earlier one had to set aside."""

    retry_engine_errors: bool = Field(
        default=False, description="ask again for rows with the verdict engine_error"
    )


@dg.asset(
    partitions_def=corpora,
    deps=["chunks", "bonito_model"],
    pool="gpu",
    group_name="generation",
    kinds={"vllm", "parquet"},
    owners=["team:bonito"],
    code_version="2",
    metadata=definition_metadata("generations"),
    check_specs=[books_balance_spec("generations", "passages x task types x samples")],
)
def generations(
    context: dg.AssetExecutionContext,
    config: GenerationConfig,
    catalogue: Catalogue,
    store: Store,
    generator: Generator,
) -> dg.MaterializeResult:
    """One row per passage, task type and sample: what Bonito wrote, untouched.

    Outputs are addressed by prompt, model, sampling and sample number. What was generated once is
    never generated again, and a step that dies loses at most a few seconds of work.
    """
    corpus = catalogue.corpus(context.partition_key)
    try:
        made = refresh(
            store, corpus, generator, context.run_id, context.log.info, config.retry_engine_errors
        )
    except (CatalogueError, ModelError, GeneratorError) as error:
        raise dg.Failure(str(error), allow_retries=isinstance(error, GeneratorError)) from error
    return dg.MaterializeResult(
        metadata={
            **table_metadata(made.books, made.written, ["task_type", "output"]),
            "from the cache": made.cached,
            **made.bill.metadata(made.stopped_by),
        },
        data_version=dg.DataVersion(made.written.digest),
        check_results=[books_balance(made.due, made.books)],
    )
