"""The assets `bonito_model` and `generations`."""

import dagster as dg

from bonito_assets.catalogue import Catalogue, corpora
from bonito_assets.checks import books_balance, books_balance_spec
from bonito_assets.generation.generate import generate
from bonito_assets.generation.requests import generations as build_generations
from bonito_assets.generation.requests import plan
from bonito_assets.metadata import definition_metadata, table_metadata
from resources.generation_cache import GenerationCache
from resources.generator import Sampling
from resources.model import ModelError
from resources.store import Store
from resources.vllm_engine import VllmEngine


@dg.asset(group_name="model", kinds={"huggingface"}, owners=["team:bonito"], code_version="1")
def bonito_model(generator: VllmEngine) -> dg.MaterializeResult:
    """The checkpoint that generation uses, named by BONITO_MODEL and pinned to its content.

    Its data version is the hub commit, or the digest of a local folder: another model makes the
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
            "fingerprint": model.fingerprint,
            "window (tokens)": model.max_tokens,
        },
        data_version=dg.DataVersion(model.fingerprint),
    )


@dg.asset(
    partitions_def=corpora,
    deps=["chunks", "bonito_model"],
    pool="gpu",
    group_name="generation",
    kinds={"vllm", "parquet"},
    owners=["team:bonito"],
    code_version="1",
    metadata=definition_metadata("generations"),
    check_specs=[books_balance_spec("generations", "passages x task types x samples")],
)
def generations(
    context: dg.AssetExecutionContext, catalogue: Catalogue, store: Store, generator: VllmEngine
) -> dg.MaterializeResult:
    """One row per passage, task type and sample: what Bonito wrote, untouched.

    Outputs are addressed by prompt, model, sampling and sample number. What was generated once is
    never generated again, and a step that dies loses at most a few seconds of work.
    """
    corpus = catalogue.corpus(context.partition_key)
    model = generator.resolve()
    passages = store.read("chunks", corpus.name)
    planned = plan(passages, corpus, model)
    done = generate(
        planned,
        generator,
        GenerationCache(store),
        Sampling(**corpus.sampling.model_dump()),
        context.log.info,
    )
    table = build_generations(corpus.name, planned, done.outputs, done.refusals, model)
    written = store.write("generations", corpus.name, table)
    accepted = passages["rejected_because"].null_count
    due = accepted * len(corpus.task_types) * corpus.samples_per_chunk
    return dg.MaterializeResult(
        metadata={
            **table_metadata("generations", table, written, ["task_type", "output"]),
            "from the cache": done.reused,
            "generated": done.paid,
            "output tokens": done.output_tokens,
            "seconds": round(done.seconds, 1),
        },
        data_version=dg.DataVersion(written.digest),
        check_results=[books_balance(due, table["generation_id"], table)],
    )
