"""The assets `ctga` and `bonito_checkpoint`: how the demonstration checkpoint is made."""

import json
from collections import Counter
from dataclasses import asdict, replace
from typing import Any

import dagster as dg
import pyarrow.parquet as pq
from pydantic import Field

from bonito_assets.bonito_training import checkpoint, pairs
from bonito_assets.metadata import markdown_table
from bonito_assets.tuning.plots import as_markdown
from resources.store import Store, TableMissing


class SourceConfig(dg.Config):
    """One source of text; the fields are those of ``pairs.Source``."""

    path: str
    name: str
    license: str
    text_field: str = "text"
    skip_if: str | None = None
    labelled: bool = False


class CtgaConfig(dg.Config):
    """What the pairs are made from. Without sources, invented passages only: nothing is fetched."""

    sources: list[SourceConfig] = Field(default_factory=list)
    pairs: int = 20_000
    seed: int = 0


class CheckpointConfig(dg.Config):
    """A preset of sizes and times (`small` or `demo`), and what to change in it."""

    preset: str = "small"
    base_minutes: float | None = None
    bonito_minutes: float | None = None
    base_steps: int | None = None
    bonito_steps: int | None = None
    threads: int = 2
    seed: int = 0


@dg.asset(
    group_name="bonito_training",
    kinds={"python", "parquet"},
    owners=["team:bonito"],
    code_version="1",
)
def ctga(
    context: dg.AssetExecutionContext, config: CtgaConfig, store: Store
) -> dg.MaterializeResult:
    """Conditional-task-generation pairs: a passage and task type, and the task to write for it.

    One row is a prompt in Bonito's format and the completion that the model shall learn. The
    tasks are made by rule from the sentences of a passage, so every answer is known to be right.
    """
    sources = [pairs.Source(**source.model_dump()) for source in config.sources]
    try:
        table, listed = pairs.build(sources, config.pairs, config.seed)
    except ValueError as error:
        raise dg.Failure(str(error), allow_retries=False) from error
    with store.new_folder("ctga") as folder:
        pq.write_table(table, folder / "pairs.parquet", compression="zstd")
        (folder / "sources.json").write_text(json.dumps(listed, indent=1))
    sample = table.slice(0, 8).select(["task_type", "context", "completion"]).to_pylist()
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": table.num_rows,
            "dagster/uri": store.uri("ctga", "pairs.parquet"),
            "task_types": _counted(table["task_type"].to_pylist()),
            "sources": dg.MetadataValue.md(markdown_table(listed)),
            "sample": dg.MetadataValue.md(markdown_table(sample)),
        }
    )


@dg.asset(
    deps=[ctga],
    pool="gpu",
    group_name="bonito_training",
    kinds={"pytorch", "huggingface"},
    owners=["team:bonito"],
    code_version="1",
)
def bonito_checkpoint(
    context: dg.AssetExecutionContext, config: CheckpointConfig, store: Store
) -> dg.MaterializeResult:
    """Two small checkpoints trained from scratch: one that repeats text, one that writes tasks.

    `base` has read the passages of the pairs and learned to copy; `bonito` was trained from it to
    write instruction and answer. Point `BONITO_MODEL` at the folder `bonito` to generate with it.
    """
    try:
        shape, plan = settings(config)
        folder = store.folder("ctga")
        table = pq.read_table(folder / "pairs.parquet")
        sources = json.loads((folder / "sources.json").read_text())
        with store.new_folder("bonito_checkpoint") as place:
            record = checkpoint.make(table, sources, shape, plan, place, context.log.info)
    except (TableMissing, ValueError) as error:
        raise dg.Failure(str(error), allow_retries=False) from error
    return dg.MaterializeResult(
        metadata={
            "dagster/uri": store.uri("bonito_checkpoint"),
            "parameters": record["shape"]["parameters"],
            "tokens": record["base"]["tokens"] + record["bonito"]["tokens"],
            "tokens_per_second": record["bonito"]["tokens_per_second"],
            "held_out_answers_right": dg.MetadataValue.json(record["held_out_answers_right"]),
            "loss": dg.MetadataValue.md(as_markdown(checkpoint.loss_plot(record), "Loss")),
        }
    )


def settings(config: CheckpointConfig) -> tuple[Any, Any]:
    """Gives shape and plan of a configuration; raises ``ValueError`` for an unknown preset."""
    if config.preset not in checkpoint.PRESETS:
        known = ", ".join(checkpoint.PRESETS)
        raise ValueError(f"preset: there is no '{config.preset}'; choose one of: {known}")
    shape, plan = checkpoint.PRESETS[config.preset]
    given = {k: v for k, v in config.model_dump().items() if k in asdict(plan) and v is not None}
    return shape, replace(plan, **given)


def _counted(values: list[str]) -> dg.MetadataValue:
    """Gives how often each value occurs, as a table, most frequent first."""
    rows = [{"value": value, "rows": f"{n:,}"} for value, n in Counter(values).most_common()]
    return dg.MetadataValue.md(markdown_table(rows))
