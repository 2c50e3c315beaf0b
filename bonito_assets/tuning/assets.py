"""The assets `tuned_model`, one per corpus, and `mixture_model`, over all of them."""

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from statistics import fmean
from typing import Any

import dagster as dg
from pydantic import Field, ValidationError

from bonito_assets.automation.conditions import AFTER_A_CRASH, WHEN_CHANGED
from bonito_assets.catalogue import Catalogue, Tuning, corpora
from bonito_assets.checks import corpus_check, judged
from bonito_assets.metadata import capped, placed
from bonito_assets.tuning import arms
from bonito_assets.tuning.again import AgainConfig
from bonito_assets.tuning.base_model import BaseModel
from bonito_assets.tuning.errors import TuningError
from bonito_assets.tuning.plots import as_markdown, loss_plot
from bonito_assets.tuning.record import CODE
from resources.model import ModelError
from resources.store import Store

_LOSS_FELL = "loss_fell"
_ASKS_LOSS = "The loss on rows that were not learned, or else on those that were, has fallen."


@dg.asset(
    partitions_def=corpora,
    deps=["chunks", "instruction_dataset", "tuning_settings", "base_model_setting"],
    automation_condition=WHEN_CHANGED,
    retry_policy=AFTER_A_CRASH,
    pool="gpu",
    group_name="tuning",
    kinds={"pytorch", "huggingface"},
    owners=["team:bonito"],
    tags={"stage": "training", "device": "gpu"},
    code_version=CODE,
    check_specs=[corpus_check(_LOSS_FELL, "tuned_model", _ASKS_LOSS, blocking=False)],
)
def tuned_model(
    context: dg.AssetExecutionContext,
    config: AgainConfig,
    catalogue: Catalogue,
    store: Store,
    base_model: BaseModel,
) -> dg.MaterializeResult:
    """A LoRA adapter: the small set of weights that specialises the base model on one corpus.

    The base model stays as it is; only low-rank matrices beside its linear layers learn, from the
    published dataset's `train` split and from the answers alone. Load the folder with PEFT over
    the base model, or serve it with vLLM as a LoRA request. `training.json` says what it was made
    from. With `tuning: {arms: [bonito, tapt]}` a second adapter under `arms/tapt` has only gone on
    with the raw passages, for comparison. A run that is killed goes on at its last checkpoint.
    Where nothing that decides has changed, the published model stays, and nothing is trained.
    """
    corpus = catalogue.corpus(context.partition_key)
    with _clear_failure(corpus.name):
        base = base_model.resolve()
        records = arms.refresh(store, corpus, base, config.again, context.log.info)
    return _result(store.uri("tuned_model", corpus.name), records)


class MixtureModelConfig(AgainConfig):
    """How `mixture_model` is tuned."""

    tuning: dict[str, Any] = Field(
        default_factory=dict, description="keys of a corpus's section `tuning`, without `arms`"
    )


@dg.asset(
    deps=["instruction_mixture"],
    pool="gpu",
    group_name="tuning",
    kinds={"pytorch", "huggingface"},
    owners=["team:bonito"],
    tags={"stage": "training", "device": "gpu"},
    code_version=CODE,
    check_specs=[dg.AssetCheckSpec(_LOSS_FELL, asset="mixture_model", description=_ASKS_LOSS)],
)
def mixture_model(
    context: dg.AssetExecutionContext,
    config: MixtureModelConfig,
    catalogue: Catalogue,
    store: Store,
    base_model: BaseModel,
) -> dg.MaterializeResult:
    """A LoRA adapter tuned on `instruction_mixture`, the datasets of all corpora together.

    One model for all corpora is less to serve than one each, and may do worse on each of them. It
    is made and published as `tuned_model` is, in one folder, and only when you ask for it. Look at
    the loss curve first; it costs what tuning on all rows together costs.
    """
    with _clear_failure("mixture_model"):
        try:
            settings = Tuning(**config.tuning)
        except ValidationError as error:
            raise TuningError(f"config 'tuning': {error.errors()[0]['msg']}") from error
        base = base_model.resolve()
        used = [name for name in catalogue.names() if store.exists("chunks", name)]
        record = arms.refresh_mixture(store, used, base, settings, config.again, context.log.info)
    return _result(store.uri("mixture_model"), {"bonito": record})


@contextmanager
def _clear_failure(name: str) -> Iterator[None]:
    try:
        yield
    except (ModelError, TuningError) as error:
        raise dg.Failure(f"{name}: {error}", allow_retries=False) from error


def _result(uri: str, records: Mapping[str, dict[str, Any]]) -> dg.MaterializeResult:
    """Gives the result; the data version is the digest of the adapter, or of all adapters."""
    shown: dict[str, Any] = placed(uri)
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
    return dg.MaterializeResult(
        metadata=capped(shown),
        data_version=dg.DataVersion(version),
        check_results=[_loss_fell(records["bonito"])],
    )


def _loss_fell(record: Mapping[str, Any]) -> dg.AssetCheckResult:
    """Judges that the model learned anything: by rows held out where there are some."""
    held_out = record["validation_loss"]
    if held_out:
        before, after = held_out["before"], held_out["after"]
    else:
        # By halves, since the loss of one batch says little.
        losses = [point["loss"] for point in record["losses"]]
        half = max(1, len(losses) // 2)
        before, after = fmean(losses[:half]), fmean(losses[-half:])
    of = "validation" if held_out else "training"
    sentence = f"the {of} loss went from {before:.3f} to {after:.3f}"
    if not after < before:
        sentence += ": nothing was learned; look at 'tuning' (learning_rate, epochs) and the rows"
    return judged(
        _LOSS_FELL,
        after < before,
        sentence,
        {"loss before": before, "loss after": after},
        warns=True,
    )


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
