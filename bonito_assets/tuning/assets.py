"""The asset `tuned_model`."""

from typing import Any

import dagster as dg

from bonito_assets.catalogue import Catalogue, corpora
from bonito_assets.tuning.base_model import BaseModel
from bonito_assets.tuning.examples import read_split
from bonito_assets.tuning.lora import TuningError, tune
from bonito_assets.tuning.plots import as_markdown, loss_plot
from bonito_assets.tuning.record import write_record
from resources.model import ModelError
from resources.store import Store


@dg.asset(
    partitions_def=corpora,
    deps=["chunks", "instruction_dataset"],
    pool="gpu",
    group_name="tuning",
    kinds={"pytorch", "huggingface"},
    owners=["team:bonito"],
    code_version="1",
)
def tuned_model(
    context: dg.AssetExecutionContext, catalogue: Catalogue, store: Store, base_model: BaseModel
) -> dg.MaterializeResult:
    """A LoRA adapter: the small set of weights that specialises the base model on one corpus.

    The base model stays as it is; only low-rank matrices beside its linear layers learn, from the
    published dataset's `train` split and from the answers alone. Load the folder with PEFT over
    the base model, or serve it with vLLM as a LoRA request. `training.json` says what it was made
    from.
    """
    corpus = catalogue.corpus(context.partition_key)
    dataset = store.folder("instruction_dataset", corpus.name)
    passages = store.read("chunks", corpus.name, ["chunk_id", "text"]).to_pydict()
    try:
        base = base_model.resolve()
        with store.new_folder("tuned_model", corpus.name) as folder:
            outcome = tune(
                base,
                read_split(dataset, "train"),
                read_split(dataset, "validation"),
                dict(zip(passages["chunk_id"], passages["text"], strict=True)),
                corpus.tuning,
                folder,
                context.log.info,
            )
            record = write_record(folder, corpus.name, base, dataset, corpus.tuning, outcome)
    except (ModelError, TuningError) as error:
        raise dg.Failure(f"{corpus.name}: {error}", allow_retries=False) from error
    return dg.MaterializeResult(
        metadata={"dagster/uri": store.uri("tuned_model", corpus.name), **_metadata(record)},
        data_version=dg.DataVersion(record["adapter_sha256"]),
    )


def _metadata(record: dict[str, Any]) -> dict[str, Any]:
    losses = [(point["step"], point["loss"]) for point in record["losses"]]
    base = record["base_model"]
    shown: dict[str, Any] = {
        "rows": record["rows"],
        "rows shortened": record["rows_shortened"],
        "rows left out": len(record["rows_left_out"]),
        "steps": record["steps"],
        "first loss": losses[0][1],
        "last loss": losses[-1][1],
        "seconds": record["seconds"],
        "base model": f"{base['name']} ({base['fingerprint'][:12]})",
        "dataset version": record["dataset_version"],
        "loss curve": dg.MetadataValue.md(as_markdown(loss_plot(losses), "loss by step")),
    }
    if record["validation_loss"]:
        shown["validation loss before"] = record["validation_loss"]["before"]
        shown["validation loss after"] = record["validation_loss"]["after"]
    return shown
