"""The assets `round_trips` and `curated_tasks`, and the checks on what was kept."""

from typing import Any

import dagster as dg

from bonito_assets.catalogue import Catalogue, corpora
from bonito_assets.checks import books_balance, books_balance_spec, corpus_check
from bonito_assets.curation import report, round_trip
from bonito_assets.curation.passages import StaleTable
from bonito_assets.curation.refresh import Refreshed, Report, refresh
from bonito_assets.curation.semantic import MissingLibraryError, MissingModelError
from bonito_assets.curation.verdicts import REASONS
from bonito_assets.evaluation.test_set import TestSetError
from bonito_assets.metadata import definition_metadata, markdown_table, table_metadata
from bonito_assets.tuning.base_model import BaseModel
from bonito_assets.tuning.plots import as_markdown
from resources.generator import Generator, GeneratorError
from resources.model import ModelError
from resources.store import Store

NO_CONTAMINATION = "no_contamination"
MOST_KEPT = "most_kept"
LABELS_BALANCED = "labels_balanced"


@dg.asset(
    partitions_def=corpora,
    deps=["tasks", "chunks"],
    pool="gpu",
    group_name="curation",
    kinds={"vllm", "parquet"},
    owners=["team:bonito"],
    code_version="1",
    metadata={"dagster/table_name": round_trip.TABLE, "dagster/storage_kind": "parquet"},
)
def round_trips(
    context: dg.AssetExecutionContext,
    catalogue: Catalogue,
    store: Store,
    generator: Generator,
    base_model: BaseModel,
) -> dg.MaterializeResult:
    """What another model answers to each instruction, where the corpus asks for that.

    A row that nobody else can answer from its passage teaches guessing. `curation.round_trip` names
    the model, by default the base model, and how far both answers must agree; without that key the
    table is empty and nothing is loaded. Answers are cached as generations are.
    """
    corpus = catalogue.corpus(context.partition_key)
    try:
        made = round_trip.refresh(
            store, corpus, generator, base_model.name, context.run.run_id, context.log.info
        )
    except (ModelError, GeneratorError) as error:
        raise dg.Failure(str(error), allow_retries=isinstance(error, GeneratorError)) from error
    shown: dict[str, Any] = {
        "dagster/partition_row_count": made.written.rows,
        "dagster/uri": made.written.uri,
        "asked": made.asked,
        "answered": made.answered,
        "cached answers of vanished passages deleted": made.forgotten,
    }
    if made.mean_agreement is not None:
        shown["mean agreement"] = round(made.mean_agreement, 3)
    if made.bill is not None:
        shown |= made.bill.metadata(made.stopped_by)
    return dg.MaterializeResult(metadata=shown, data_version=dg.DataVersion(made.written.digest))


@dg.asset(
    partitions_def=corpora,
    deps=["tasks", "generations", "chunks", "round_trips"],
    group_name="curation",
    kinds={"python", "parquet"},
    owners=["team:bonito"],
    code_version="2",
    metadata=definition_metadata("curated_tasks"),
    check_specs=[
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
    first. Why a row is not in your dataset is one query on this table. A changed threshold or cap
    costs no generation and no comparison again.
    """
    corpus = catalogue.corpus(context.partition_key)
    try:
        made = refresh(store, corpus, context.log.info)
    except (TestSetError, StaleTable, MissingLibraryError, MissingModelError) as error:
        raise dg.Failure(str(error), allow_retries=False) from error
    for line in made.report.warnings:
        context.log.warning(line)
    due = sum(batch.num_rows for batch in store.batches("tasks", corpus.name, ["task_type"]))
    return dg.MaterializeResult(
        metadata={
            **table_metadata(
                made.books, made.written, ["task_type", "input", "output", "label", "mean_logprob"]
            ),
            **_metadata(made),
        },
        data_version=dg.DataVersion(made.written.digest),
        check_results=[
            books_balance(due, made.books),
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
        "task types and labels": dg.MetadataValue.md(
            report.distribution(found.before, found.after)
        ),
        "scores of kept rows": dg.MetadataValue.md(report.quantile_table(found.quantiles)),
        "funnel": dg.MetadataValue.md(
            as_markdown(report.funnel(made.books.verdicts, REASONS[1:]), "rows left")
        ),
    }
    if found.contamination:
        shown["contamination"] = dg.MetadataValue.md(markdown_table(found.contamination))
    if found.warnings:
        shown["warnings"] = dg.MetadataValue.md(markdown_table([{"": w} for w in found.warnings]))
    return shown | {f"worked out: {name}": n for name, n in found.worked_out.items()}


def _no_contamination(found: Report) -> dg.AssetCheckResult:
    sentence = f"none of the accepted rows overlaps; {found.rechecked:,} were compared once more"
    return dg.AssetCheckResult(
        check_name=NO_CONTAMINATION,
        passed=not found.overlapping,
        description=f"{found.overlapping:,} accepted rows overlap with a test set"
        if found.overlapping
        else sentence
        if found.contamination
        else "the corpus names no test set",
    )


def _most_kept(made: Refreshed) -> dg.AssetCheckResult:
    """Judges that curation took no more than half of what the parser had accepted."""
    fallen = {code: n for code, n in made.books.verdicts.items() if code in REASONS}
    taken, kept = sum(fallen.values()), made.books.accepted
    commonest = max(fallen, key=fallen.__getitem__, default="")
    return dg.AssetCheckResult(
        check_name=MOST_KEPT,
        passed=taken <= kept,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{kept:,} of {kept + taken:,} rows are kept"
        + (f"; the commonest reason is {commonest}" if commonest else ""),
        metadata=fallen,
    )


def _labels_balanced(found: Report) -> dg.AssetCheckResult:
    uneven = report.one_sided(found.after)
    named = ", ".join(f"{name} is {share:.0%} {label}" for name, (label, share) in uneven.items())
    return dg.AssetCheckResult(
        check_name=LABELS_BALANCED,
        passed=not uneven,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{named}; curation.max_share_per_label sets a limit"
        if uneven
        else "no label has more than nine tenths of its task type",
        metadata={f"share of {label} in {name}": s for name, (label, s) in uneven.items()},
    )
