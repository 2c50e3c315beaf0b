"""The asset `tasks` and the checks on what was kept."""

from typing import Any

import dagster as dg

from bonito_assets import tables
from bonito_assets.automation.conditions import WHEN_CHANGED
from bonito_assets.books import Books
from bonito_assets.catalogue import Catalogue, corpora
from bonito_assets.checks import (
    books_balance,
    books_balance_spec,
    corpus_check,
    judged,
    schema_holds,
    schema_spec,
)
from bonito_assets.metadata import capped, definition_metadata, table_metadata
from bonito_assets.parsing.judge import judge_of
from bonito_assets.parsing.report import Verdicts
from bonito_assets.parsing.tasks import CHUNK_COLUMNS, GENERATION_COLUMNS, Passages, read
from bonito_assets.tuning.plots import as_markdown
from resources.store import Store

SOMETHING_KEPT = "something_kept"
MOST_KEPT = "most_kept"
_LEAST_SHARE_KEPT = 0.5


@dg.asset(
    partitions_def=corpora,
    deps=["generations", "chunks", "parsing_settings"],
    automation_condition=WHEN_CHANGED,
    group_name="parsing",
    kinds={"python", "parquet"},
    owners=["team:bonito"],
    tags={"stage": "judgement", "device": "cpu"},
    code_version="3",
    metadata=definition_metadata("tasks"),
    check_specs=[
        schema_spec("tasks"),
        books_balance_spec("tasks", "generations"),
        corpus_check(SOMETHING_KEPT, "tasks", "Of the outputs that were read, some were kept."),
        corpus_check(
            MOST_KEPT,
            "tasks",
            "Of each task type at least half of the outputs were kept.",
            blocking=False,
        ),
    ],
)
def tasks(
    context: dg.AssetExecutionContext, catalogue: Catalogue, store: Store
) -> dg.MaterializeResult:
    """One row per generation: instruction, answer and label, or the reason why there are none.

    An output is kept when it is what its task type promises: an extractive answer is a stretch of
    the passage, a choice is among the options shown, a label is one that the instruction names.
    What a small model gets wrong in form would teach the next one the same mistake. Look at the
    shares per task type first: a type that keeps little does not suit your text. Reading again
    with other rules costs no generation.
    """
    corpus = catalogue.corpus(context.partition_key)
    verdicts, books = Verdicts(), Books(tables.TASKS, "generation_id")
    passages = Passages(lambda: store.batches("chunks", corpus.name, CHUNK_COLUMNS))
    generations = store.batches("generations", corpus.name, GENERATION_COLUMNS)
    rows = books.passing(read(generations, passages, judge_of(corpus), verdicts.enter))
    written = store.write_batches("tasks", corpus.name, tables.TASKS, rows)
    due = sum(batch.num_rows for batch in store.batches("generations", corpus.name, ["sample"]))
    return dg.MaterializeResult(
        metadata=capped(
            {
                **table_metadata(
                    "tasks", books, written, ["task_type", "input", "output", "label"]
                ),
                **_metadata(verdicts),
            }
        ),
        data_version=dg.DataVersion(written.digest),
        check_results=[
            schema_holds(store, "tasks", corpus.name, tables.TASKS),
            books_balance(due, books),
            *_kept(corpus.name, verdicts),
        ],
    )


def _metadata(verdicts: Verdicts) -> dict[str, Any]:
    if not verdicts.task_types:
        return {}
    return {
        **{f"kept of {name}": round(verdicts.kept_rate(name), 3) for name in verdicts.task_types},
        "kept": dg.MetadataValue.md(as_markdown(verdicts.plot(), "shares of the verdicts")),
        "verdicts by task type": dg.MetadataValue.md(verdicts.markdown()),
        "labels of kept rows": dg.MetadataValue.md(verdicts.labels_markdown()),
    }


def _kept(corpus: str, verdicts: Verdicts) -> list[dg.AssetCheckResult]:
    """Judges that something was kept, and that no task type keeps less than half."""
    kept = sum(n for (_, verdict), n in verdicts.counts.items() if verdict is None)
    outputs = sum(verdicts.counts.values())
    sentence = f"{kept:,} of {outputs:,} outputs were kept"
    if outputs and not kept:
        sentence += f"; the verdicts of this table tell why, as does `bonito status {corpus}`"
    poor = verdicts.under_half()
    named = ", ".join(f"{name} {rate:.0%}" for name, rate in poor.items())
    return [
        judged(
            SOMETHING_KEPT,
            kept > 0 or outputs == 0,
            sentence,
            {"rows examined": outputs, "rows accepted": kept},
        ),
        judged(
            MOST_KEPT,
            not poor,
            f"less than half was kept of: {named}; such a type does not suit this text, so take it "
            f"out of 'task_types' in {corpus}.yaml"
            if poor
            else "at least half was kept of every task type",
            {
                "task types examined": len(verdicts.task_types),
                "task types failed": len(poor),
                "threshold": _LEAST_SHARE_KEPT,
                **{f"kept of {name}": round(rate, 3) for name, rate in poor.items()},
            },
            warns=True,
        ),
    ]
