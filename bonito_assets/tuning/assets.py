"""The assets `tuned_model`, one per corpus, and `mixture_model`, over all of them."""

import hashlib
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import dagster as dg
from pydantic import Field, ValidationError

from bonito_assets.catalogue import Catalogue, Tuning, corpora
from bonito_assets.tuning import checkpoints
from bonito_assets.tuning.arms import tune_arms, tune_on_tasks
from bonito_assets.tuning.base_model import BaseModel
from bonito_assets.tuning.errors import TuningError
from bonito_assets.tuning.plots import as_markdown, loss_plot
from resources.model import ModelError
from resources.store import Store

_TABLE, _MIXTURE, _MIXTURE_DATASET = "tuned_model", "mixture_model", "instruction_mixture"


@dg.asset(
    partitions_def=corpora,
    deps=["chunks", "instruction_dataset"],
    pool="gpu",
    group_name="tuning",
    kinds={"pytorch", "huggingface"},
    owners=["team:bonito"],
    code_version="2",
)
def tuned_model(
    context: dg.AssetExecutionContext, catalogue: Catalogue, store: Store, base_model: BaseModel
) -> dg.MaterializeResult:
    """A LoRA adapter: the small set of weights that specialises the base model on one corpus.

    The base model stays as it is; only low-rank matrices beside its linear layers learn, from the
    published dataset's `train` split and from the answers alone. Load the folder with PEFT over
    the base model, or serve it with vLLM as a LoRA request. `training.json` says what it was made
    from. With `tuning: {arms: [bonito, tapt]}` a second adapter under `arms/tapt` has only gone on
    with the raw passages, for comparison. A run that is killed goes on at its last checkpoint.
    """
    corpus = catalogue.corpus(context.partition_key)
    unfinished = checkpoints.place(store, _TABLE, corpus.name)
    with _clear_failure(corpus.name):
        base = base_model.resolve()
        with store.new_folder(_TABLE, corpus.name) as folder:
            records = tune_arms(store, corpus, base, folder, unfinished, context.log.info)
    shutil.rmtree(unfinished, ignore_errors=True)
    return _result(store.uri(_TABLE, corpus.name), records)


class MixtureModelConfig(dg.Config):
    """How `mixture_model` is tuned."""

    tuning: dict[str, Any] = Field(
        default_factory=dict, description="keys of a corpus's section `tuning`, without `arms`"
    )


@dg.asset(
    deps=[_MIXTURE_DATASET],
    pool="gpu",
    group_name="tuning",
    kinds={"pytorch", "huggingface"},
    owners=["team:bonito"],
    code_version="1",
)
def mixture_model(
    context: dg.AssetExecutionContext,
    config: MixtureModelConfig,
    catalogue: Catalogue,
    store: Store,
    base_model: BaseModel,
) -> dg.MaterializeResult:
    """A LoRA adapter tuned on `instruction_mixture`, the datasets of all corpora together.

    It is made and published as `tuned_model` is, in one folder for all corpora.
    """
    unfinished = checkpoints.place(store, _MIXTURE)
    with _clear_failure(_MIXTURE):
        try:
            settings = Tuning(**config.tuning)
        except ValidationError as error:
            raise TuningError(f"config 'tuning': {error.errors()[0]['msg']}") from error
        base = base_model.resolve()
        with store.new_folder(_MIXTURE) as folder:
            record = tune_on_tasks(
                store,
                [name for name in catalogue.names() if store.exists("chunks", name)],
                _MIXTURE_DATASET,
                store.folder(_MIXTURE_DATASET),
                base,
                settings,
                folder,
                unfinished,
                context.log.info,
            )
    shutil.rmtree(unfinished, ignore_errors=True)
    return _result(store.uri(_MIXTURE), {"bonito": record})


@contextmanager
def _clear_failure(name: str) -> Iterator[None]:
    try:
        yield
    except (ModelError, TuningError) as error:
        raise dg.Failure(f"{name}: {error}", allow_retries=False) from error


def _result(uri: str, records: Mapping[str, dict[str, Any]]) -> dg.MaterializeResult:
    """Gives the result; the data version is the digest of the adapter, or of all adapters."""
    shown: dict[str, Any] = {"dagster/uri": uri}
    for arm, record in records.items():
        shown |= _metadata(record, "" if arm == "bonito" else f"{arm}: ")
    curves = {
        arm: [(point["step"], point["loss"]) for point in record["losses"]]
        for arm, record in records.items()
    }
    shown["loss curve"] = dg.MetadataValue.md(as_markdown(loss_plot(curves), "loss by step"))
    digests = [record["adapter_sha256"] for record in records.values()]
    version = digests[0]
    if len(digests) > 1:
        version = hashlib.sha256("".join(digests).encode()).hexdigest()
    return dg.MaterializeResult(metadata=shown, data_version=dg.DataVersion(version))


def _metadata(record: dict[str, Any], arm: str) -> dict[str, Any]:
    base = record["base_model"]
    shown: dict[str, Any] = {
        "rows": record["rows"],
        "rows shortened": record["rows_shortened"],
        "rows left out": len(record["rows_left_out"]),
        "steps": record["steps"],
        "first loss": record["losses"][0]["loss"],
        "last loss": record["losses"][-1]["loss"],
        "seconds": record["seconds"],
        "tokens per second": round(record["tokens"] / max(record["seconds"], 0.1)),
        "method": record["method"],
        "base model": f"{base['name']} ({base['fingerprint'][:12]})",
        "dataset version": record["dataset_version"],
    }
    if record["validation_loss"]:
        shown["validation loss before"] = record["validation_loss"]["before"]
        shown["validation loss after"] = record["validation_loss"]["after"]
    return {f"{arm}{key}": value for key, value in shown.items()}
