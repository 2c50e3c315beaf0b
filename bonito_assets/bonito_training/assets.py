"""The assets `ctga` and `bonito_checkpoint`: how a Bonito model is made."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow.parquet as pq
from pydantic import Field, ValidationError

from bonito_assets.bonito_training import annotated, card, checkpoint, pairs, published, qlora
from bonito_assets.bonito_training.data_set import Counts, DataSet
from bonito_assets.bonito_training.pairs import Pair
from bonito_assets.metadata import capped, markdown_table, placed
from bonito_assets.tuning import checkpoints
from bonito_assets.tuning.base_model import BaseModel
from bonito_assets.tuning.errors import TuningError
from bonito_assets.tuning.plots import as_markdown, loss_plot
from resources.model import ModelError
from resources.store import Store, TableMissing

_PAIRS = "pairs.parquet"
_RULED_PAIRS = 20_000


class SourceConfig(dg.Config):
    """One source of text that pairs are made from by rule; the fields of ``pairs.Source``."""

    path: str
    name: str
    license: str
    text_field: str = "text"
    skip_if: str | None = None
    labelled: bool = False


class AnnotatedConfig(dg.Config):
    """One annotated data set: where it is, and how its rows are to be read."""

    path: str = Field(description="a JSONL or Parquet file, a folder, or a hub id")
    form: str = Field(description=", ".join(annotated.FORMS))
    license: str
    name: str | None = Field(default=None, description="configuration of a hub data set")
    split: str = "train"
    revision: str | None = None
    columns: dict[str, str] = Field(
        default_factory=dict, description="field of the form -> column, a.b for a nested one"
    )
    labels: list[str] = Field(default_factory=list, description="names of the labels 0, 1, ...")
    limit: int = Field(default=annotated.MOST_ROWS, description="rows that are drawn at most")


class PublishedConfig(dg.Config):
    """The authors' own pairs, or a copy of them."""

    path: str = published.CTGA
    revision: str | None = None
    split: str = "train"
    limit: int | None = Field(default=None, description="rows that are drawn at most")


class CtgaConfig(dg.Config):
    """What the pairs are made from. Without anything, invented passages: nothing is fetched."""

    sources: list[SourceConfig] = Field(default_factory=list)
    annotated: list[AnnotatedConfig] = Field(default_factory=list)
    published: PublishedConfig | None = None
    pairs: int | None = Field(
        default=None,
        description=f"pairs made by rule; {_RULED_PAIRS:,}, or none with `annotated`/`published`",
    )
    seed: int = 0


class CheckpointConfig(dg.Config):
    """How the model is trained: `scratch` (a small network of our own) or `qlora` (an adapter).

    For `scratch` a preset of sizes and times (`small` or `demo`), and what to change in it.
    """

    method: str = "scratch"
    preset: str = "small"
    base_minutes: float | None = None
    bonito_minutes: float | None = None
    base_steps: int | None = None
    bonito_steps: int | None = None
    threads: int = 2
    seed: int = 0
    base_model: str | None = Field(
        default=None, description="of `qlora`: hub id or folder; BONITO_BASE_MODEL without"
    )
    tuning: dict[str, Any] = Field(
        default_factory=dict, description="of `qlora`: keys of a corpus's `tuning` to change"
    )


@dg.asset(
    group_name="bonito_training",
    kinds={"python", "parquet"},
    owners=["team:bonito"],
    tags={"stage": "training", "device": "cpu"},
    code_version="2",
)
def ctga(
    context: dg.AssetExecutionContext, config: CtgaConfig, store: Store
) -> dg.MaterializeResult:
    """One row per pair: a passage and a task type as prompt, and the task to write for it.

    Conditional task generation is learned from such pairs, so they decide what the model can ask.
    The tasks come from annotated data sets, put into wordings of this project; from the authors'
    own pairs; or by rule from the sentences of a passage, so that every answer is known to be
    right. Look at the counts per task type first. It is made only when you ask for it, and costs
    the download of the data sets.
    """
    counts: list[tuple[dict[str, Any], Counts]] = []
    try:
        ruled, listed = _by_rule(config)
        with store.new_folder("ctga") as folder:
            made = _all(config, ruled, counts, context)
            of_type = pairs.write(folder / _PAIRS, made)
            listed += [_told(origin, count) for origin, count in counts]
            if not of_type:
                raise ValueError("no row of the sources made a pair; look at why they are left out")
            (folder / "sources.json").write_text(json.dumps(listed, indent=1), encoding="utf-8")
            sample = _sample(folder / _PAIRS)
    except ValueError as error:
        raise dg.Failure(str(error), allow_retries=False) from error
    types = [{"task type": kind, "pairs": f"{n:,}"} for kind, n in of_type.most_common()]
    return dg.MaterializeResult(
        metadata=capped(
            {
                "dagster/row_count": of_type.total(),
                **placed(store.uri("ctga", _PAIRS)),
                "task types": dg.MetadataValue.md(markdown_table(types)),
                "sources": dg.MetadataValue.md(markdown_table(listed)),
                "sample": dg.MetadataValue.md(markdown_table(sample)),
            }
        )
    )


def _by_rule(config: CtgaConfig) -> tuple[list[Pair], list[dict[str, Any]]]:
    given = bool(config.annotated or config.published)
    number = config.pairs if config.pairs is not None else 0 if given else _RULED_PAIRS
    if not number:
        return [], []
    sources = [pairs.Source(**source.model_dump()) for source in config.sources]
    return pairs.build(sources, number, config.seed)


def _all(
    config: CtgaConfig,
    ruled: list[Pair],
    counts: list[tuple[dict[str, Any], Counts]],
    context: dg.AssetExecutionContext,
) -> Iterator[Pair]:
    """Yields the pairs of all sources; what became of each source is appended to `counts`."""
    yield from ruled
    for one in config.annotated:
        data_set = DataSet(one.path, one.name, one.split, one.revision)
        source = annotated.Annotated(
            data_set, one.form, one.license, one.columns, tuple(one.labels), one.limit
        )
        count = Counts()
        counts.append(({"name": data_set.title, "path": one.path, "license": one.license}, count))
        yield from annotated.pairs(source, count, config.seed)
        context.log.info(f"{data_set.title}: {count.pairs:,} pairs of {count.rows:,} rows")
    if one := config.published:
        data_set = DataSet(one.path, split=one.split, revision=one.revision)
        count = Counts()
        of_each = {"name": data_set.title, "path": one.path, "license": "that of each data set"}
        counts.append((of_each, count))
        yield from published.pairs(published.Published(data_set, one.limit), count, config.seed)
        context.log.info(f"{data_set.title}: {count.pairs:,} pairs of {count.rows:,} rows")


def _told(origin: dict[str, Any], count: Counts) -> dict[str, Any]:
    reasons = ", ".join(f"{reason} {n:,}" for reason, n in count.left_out.most_common())
    return {
        **origin,
        "version": count.version,
        "passages": count.rows,
        "pairs": count.pairs,
        "left out": reasons,
    }


def _sample(path: Path) -> list[dict[str, Any]]:
    """Gives eight pairs from the whole length of the table."""
    table = pq.read_table(path, columns=["task_type", "context", "completion", "source"])
    step = max(1, table.num_rows // 8)
    return table.take(list(range(0, table.num_rows, step))[:8]).to_pylist()


@dg.asset(
    deps=[ctga],
    pool="gpu",
    group_name="bonito_training",
    kinds={"pytorch", "huggingface"},
    owners=["team:bonito"],
    tags={"stage": "training", "device": "gpu"},
    code_version="2",
)
def bonito_checkpoint(
    context: dg.AssetExecutionContext,
    config: CheckpointConfig,
    store: Store,
    base_model: BaseModel,
) -> dg.MaterializeResult:
    """A model that writes tasks, trained on `ctga`; `BONITO_MODEL=checkpoint` generates with it.

    With `method: qlora` it is an adapter over a base model, by the recipe of the Bonito card: days
    on several cards for a 7B and the authors' pairs. Without, two small checkpoints are trained
    from scratch: `base` has read the passages and learned to copy, `bonito` to write tasks.
    """
    try:
        folder = store.folder("ctga")
        if config.method == "qlora":
            return _adapter(context, config, store, base_model, folder)
        if config.method != "scratch":
            raise ValueError(f"method: there is no '{config.method}'; choose scratch or qlora")
        return _from_scratch(context, config, store, folder)
    except (TableMissing, ModelError, TuningError, ValueError) as error:
        raise dg.Failure(str(error), allow_retries=False) from error


def _from_scratch(
    context: dg.AssetExecutionContext, config: CheckpointConfig, store: Store, folder: Path
) -> dg.MaterializeResult:
    shape, plan = settings(config)
    table = pq.read_table(folder / _PAIRS)
    sources = json.loads((folder / "sources.json").read_text(encoding="utf-8"))
    with store.new_folder("bonito_checkpoint") as place:
        record = checkpoint.make(table, sources, shape, plan, place, context.log.info)
    return dg.MaterializeResult(
        metadata=capped(
            {
                **placed(store.uri("bonito_checkpoint")),
                "parameters": record["shape"]["parameters"],
                "tokens": record["base"]["tokens"] + record["bonito"]["tokens"],
                "tokens per second": record["bonito"]["tokens_per_second"],
                "held-out answers right": dg.MetadataValue.json(record["held_out_answers_right"]),
                "loss curve": dg.MetadataValue.md(
                    as_markdown(checkpoint.loss_plot(record), "loss by step")
                ),
            }
        )
    )


def _adapter(
    context: dg.AssetExecutionContext,
    config: CheckpointConfig,
    store: Store,
    base_model: BaseModel,
    folder: Path,
) -> dg.MaterializeResult:
    base = (BaseModel(name=config.base_model) if config.base_model else base_model).resolve()
    sources = json.loads((folder / "sources.json").read_text(encoding="utf-8"))
    unfinished = checkpoints.place(store, "bonito_checkpoint")
    with store.new_folder("bonito_checkpoint") as place:
        target = place / "bonito"
        target.mkdir()
        try:
            record = qlora.train(
                folder / _PAIRS, base, target, unfinished, context.log.info, **config.tuning
            )
        except ValidationError as error:
            raise ValueError(f"config 'tuning': {error.errors()[0]['msg']}") from error
        record = {"sources": sources, **record, "hardware": checkpoint.hardware()}
        (target / "training.json").write_text(json.dumps(record, indent=1), encoding="utf-8")
        (target / "README.md").write_text(card.adapter_card(record), encoding="utf-8")
    shutil.rmtree(unfinished, ignore_errors=True)
    plot = loss_plot({"bonito": record["losses"]})
    names = "validation loss before", "validation loss after"
    held_out = dict(zip(names, record["validation_loss"] or (), strict=False))
    return dg.MaterializeResult(
        metadata=capped(
            {
                **placed(store.uri("bonito_checkpoint", "bonito")),
                "base model": f"{base.name} ({base.fingerprint[:12]})",
                "pairs": record["pairs"]["rows"],
                "steps": record["steps"],
                "tokens per second": round(record["tokens"] / max(record["seconds"], 0.1)),
                **held_out,
                "loss curve": dg.MetadataValue.md(as_markdown(plot, "loss by step")),
            }
        )
    )


def settings(config: CheckpointConfig) -> tuple[Any, Any]:
    """Gives shape and plan of a configuration; raises ``ValueError`` for an unknown preset."""
    if config.preset not in checkpoint.PRESETS:
        known = ", ".join(checkpoint.PRESETS)
        raise ValueError(f"preset: there is no '{config.preset}'; choose one of: {known}")
    shape, plan = checkpoint.PRESETS[config.preset]
    given = {k: v for k, v in config.model_dump().items() if k in asdict(plan) and v is not None}
    return shape, replace(plan, **given)
