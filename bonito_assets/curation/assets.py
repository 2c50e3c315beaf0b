"""The assets `round_trips` and `curated_tasks`, and the checks on what was kept."""

from typing import Any

import dagster as dg

from bonito_assets import tables
from bonito_assets.automation.conditions import AFTER_A_CRASH, WHEN_CHANGED
from bonito_assets.catalogue import Catalogue, Corpus, corpora
from bonito_assets.checks import (
    BOOKS_BALANCE,
    books_balance,
    books_balance_spec,
    corpus_check,
    judged,
    schema_holds,
    schema_spec,
)
from bonito_assets.curation import report, round_trip
from bonito_assets.curation.passages import StaleTable
from bonito_assets.curation.refresh import Refreshed, Report, refresh
from bonito_assets.curation.semantic import MissingLibraryError, MissingModelError
from bonito_assets.curation.verdicts import REASONS
from bonito_assets.evaluation.test_set import TestSetError
from bonito_assets.metadata import (
    capped,
    definition_metadata,
    markdown_table,
    placed,
    table_metadata,
    written_columns,
)
from bonito_assets.operations.logs import log_link
from bonito_assets.tuning.base_model import BaseModel
from bonito_assets.tuning.plots import as_markdown
from resources.engine_log import engine_log
from resources.generator import Generator, GeneratorError
from resources.model import ModelError
from resources.store import Store

NO_CONTAMINATION = "no_contamination"
MOST_KEPT = "most_kept"
LABELS_BALANCED = "labels_balanced"
_LEAST_SHARE_KEPT = 0.5
_SAMPLE_ROWS = 5


@dg.asset(
    partitions_def=corpora,
    deps=["tasks", "chunks", "round_trip_settings", "base_model_setting"],
    automation_condition=WHEN_CHANGED,
    retry_policy=AFTER_A_CRASH,
    pool="gpu",
    group_name="curation",
    kinds={"vllm", "parquet"},
    owners=["team:bonito"],
    tags={"stage": "judgement", "device": "gpu"},
    code_version="1",
    metadata=definition_metadata(round_trip.TABLE),
    check_specs=[
        schema_spec(round_trip.TABLE),
        corpus_check(
            BOOKS_BALANCE,
            round_trip.TABLE,
            "Every row of tasks has its row here, or none has where the corpus does not ask.",
        ),
    ],
)
def round_trips(
    context: dg.AssetExecutionContext,
    catalogue: Catalogue,
    store: Store,
    generator: Generator,
    base_model: BaseModel,
) -> dg.MaterializeResult:
    """One row per task: what another model answers to the instruction, where the corpus asks.

    A row that nobody else can answer from its passage teaches guessing. `curation.round_trip` names
    the model, by default the base model, and how far both answers must agree; without that key the
    table is empty and nothing is loaded. Look at the mean agreement first: close to none says that
    the other model is too weak to be a judge. It costs a short answer per row; answers are cached
    as generations are.
    """
    corpus = catalogue.corpus(context.partition_key)
    try:
        with engine_log(store.root, context.run.run_id, "round_trips") as log_file:
            made = round_trip.refresh(
                store, corpus, generator, base_model.name, context.run.run_id, context.log.info
            )
    except (ModelError, GeneratorError) as error:
        raise dg.Failure(str(error), allow_retries=False) from error
    shown: dict[str, Any] = {
        "dagster/partition_row_count": made.written.rows,
        **placed(made.written.uri),
        **written_columns(round_trip.TABLE),
        "asked": made.asked,
        "answered": made.answered,
        "cached answers of vanished passages deleted": made.forgotten,
    }
    if made.mean_agreement is not None:
        shown["mean agreement"] = round(made.mean_agreement, 3)
    if made.bill is not None:
        shown |= made.bill.metadata(made.stopped_by) | log_link(log_file)
    if made.written.rows:
        first = next(store.batches(round_trip.TABLE, corpus.name, ["answer", "agreement"]))
        sample = first.slice(0, _SAMPLE_ROWS).to_pylist()
        shown["sample"] = dg.MetadataValue.md(markdown_table(sample))
    return dg.MaterializeResult(
        metadata=capped(shown),
        data_version=dg.DataVersion(made.written.digest),
        check_results=[
            schema_holds(store, round_trip.TABLE, corpus.name, tables.ROUND_TRIPS),
            _all_there(store, corpus, made.written.rows),
        ],
    )


def _all_there(store: Store, corpus: Corpus, rows: int) -> dg.AssetCheckResult:
    """Judges that each row of `tasks` has one of the `rows`, where the corpus asks for them."""
    asked = corpus.curation.round_trip is not None
    due = _rows_of_tasks(store, corpus.name) if asked else 0
    sentence = f"{rows:,} rows, one per row of tasks"
    if not asked:
        sentence = "the corpus asks no other model: set 'curation.round_trip' to do so"
    if rows != due:
        sentence = f"{due:,} rows were due and {rows:,} are here: materialize 'round_trips' again"
    return judged(BOOKS_BALANCE, rows == due, sentence, {"rows due": due, "rows examined": rows})


def _rows_of_tasks(store: Store, corpus: str) -> int:
    return sum(batch.num_rows for batch in store.batches("tasks", corpus, ["task_type"]))


@dg.asset(
    partitions_def=corpora,
    deps=["tasks", "generations", "chunks", "round_trips", "curation_settings", "test_sets"],
    automation_condition=WHEN_CHANGED,
    group_name="curation",
    kinds={"python", "parquet"},
    owners=["team:bonito"],
    tags={"stage": "judgement", "device": "cpu"},
    code_version="2",
    metadata=definition_metadata("curated_tasks"),
    check_specs=[
        schema_spec("curated_tasks"),
        books_balance_spec("curated_tasks", "tasks"),
        corpus_check(
            NO_CONTAMINATION, "curated_tasks", "No accepted row overlaps with a test set."
        ),
        corpus_check(
            MOST_KEPT,
            "curated_tasks",
            "Of the rows that were read, at least half are kept.",
            blocking=False,
        ),
        corpus_check(
            LABELS_BALANCED,
            "curated_tasks",
            "No label has more than nine tenths of its task type.",
            blocking=False,
        ),
    ],
)
def curated_tasks(
    context: dg.AssetExecutionContext, catalogue: Catalogue, store: Store
) -> dg.MaterializeResult:
    """One row per generation again, now judged beside all others, with scores.

    Refused are what overlaps with a test set, what is outside the corpus's thresholds, duplicates
    (each names the row kept in its place) and what is too much of its kind, always the best rows
    first: the same row ten times over teaches less than ten rows. Look at the funnel first, then at
    the shares per label. Why a row is not in your dataset is one query on this table. A changed
    threshold or cap costs no generation and no comparison again.
    """
    corpus = catalogue.corpus(context.partition_key)
    try:
        made = refresh(store, corpus, context.log.info)
    except (TestSetError, StaleTable, MissingLibraryError, MissingModelError) as error:
        raise dg.Failure(str(error), allow_retries=False) from error
    for line in made.report.warnings:
        context.log.warning(line)
    return dg.MaterializeResult(
        metadata=capped(
            {
                **table_metadata(
                    "curated_tasks",
                    made.books,
                    made.written,
                    ["task_type", "input", "output", "label", "mean_logprob"],
                ),
                **_metadata(made),
            }
        ),
        data_version=dg.DataVersion(made.written.digest),
        check_results=[
            schema_holds(store, "curated_tasks", corpus.name, tables.CURATED_TASKS),
            books_balance(_rows_of_tasks(store, corpus.name), made.books),
            _no_contamination(made.report),
            _most_kept(made),
            _labels_balanced(made.report),
        ],
    )


def _metadata(made: Refreshed) -> dict[str, Any]:
    found = made.report
    if not made.books.rows:
        return {}
    shown: dict[str, Any] = {
        "funnel": dg.MetadataValue.md(
            as_markdown(report.funnel(made.books.verdicts, REASONS[1:]), "rows left")
        ),
        "task types and labels": dg.MetadataValue.md(
            report.distribution(found.before, found.after)
        ),
        "scores of kept rows": dg.MetadataValue.md(report.quantile_table(found.quantiles)),
    }
    if found.contamination:
        shown["contamination"] = dg.MetadataValue.md(markdown_table(found.contamination))
    if found.warnings:
        shown["warnings"] = dg.MetadataValue.md(markdown_table([{"": w} for w in found.warnings]))
    return shown | {f"worked out: {name}": n for name, n in found.worked_out.items()}


def _no_contamination(found: Report) -> dg.AssetCheckResult:
    sentence = f"none of the accepted rows overlaps; {found.rechecked:,} were compared once more"
    if not found.contamination:
        sentence = "the corpus names no test set: 'curation.decontaminate_against' would"
    if found.overlapping:
        sentence = (
            f"{found.overlapping:,} accepted rows overlap with a test set: materialize "
            "'curated_tasks' again, and report it if it stays"
        )
    numbers = {"rows examined": found.rechecked, "rows failed": found.overlapping}
    return judged(NO_CONTAMINATION, not found.overlapping, sentence, numbers)


def _most_kept(made: Refreshed) -> dg.AssetCheckResult:
    """Judges that curation took no more than half of what the parser had accepted."""
    fallen = {code: n for code, n in made.books.verdicts.items() if code in REASONS}
    taken, kept = sum(fallen.values()), made.books.accepted
    commonest = max(fallen, key=fallen.__getitem__, default="")
    sentence = f"{kept:,} of {kept + taken:,} rows are kept"
    if commonest:
        sentence += f"; the commonest reason is {commonest}: {tables.REJECTIONS[commonest]}"
    return judged(
        MOST_KEPT,
        taken <= kept,
        sentence,
        {
            "rows examined": kept + taken,
            "rows accepted": kept,
            "threshold": _LEAST_SHARE_KEPT,
            **fallen,
        },
        warns=True,
    )


def _labels_balanced(found: Report) -> dg.AssetCheckResult:
    uneven = report.one_sided(found.after)
    named = ", ".join(f"{name} is {share:.0%} {label}" for name, (label, share) in uneven.items())
    return judged(
        LABELS_BALANCED,
        not uneven,
        f"{named}; curation.max_share_per_label sets a limit"
        if uneven
        else "no label has more than nine tenths of its task type",
        {
            "task types failed": len(uneven),
            "threshold": report.MOST_OF_ONE_LABEL,
            # By task type alone: a label is text of the corpus or of the model.
            **{f"largest share in {name}": round(s, 3) for name, (_, s) in uneven.items()},
        },
        warns=True,
    )
