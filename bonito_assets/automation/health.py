"""The daily look at all corpora: which failed, which are stale, and what to do about each.

Dagster's freshness policies are judged per asset, so one fresh corpus hides all stale ones.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import dagster as dg

from bonito_assets.automation import alerts, inputs
from bonito_assets.automation.catalogue_watch import read_catalogue
from bonito_assets.automation.cron import last_tick
from bonito_assets.automation.failures import causes
from bonito_assets.automation.staleness import Staleness
from bonito_assets.automation.under_way import corpora_under_way
from bonito_assets.catalogue import Catalogue, CatalogueError, Corpus, corpora
from bonito_assets.metadata import markdown_table
from resources.one_writer import PARTITION

HEALTHY = "corpora_are_healthy"
# In the order in which a person should look at them; the last two call for nothing.
STATES = ("invalid", "failed", "overdue", "never refreshed", "stale", "under way", "retired")
_AT_REST = frozenset({"under way", "retired"})
# A refresh may have waited for its turn; what is later than this was not going to come.
_GRACE_SECONDS = 6 * 3600.0
_NAMED = 5


@dataclass(frozen=True)
class Finding:
    """What is to be said of one corpus: its state, a sentence, and what to do."""

    corpus: str
    state: str
    sentence: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.corpus}: {self.sentence}; {self.remedy}"


def survey(
    instance: dg.DagsterInstance, catalogue: Catalogue, graph: Any, now: float
) -> list[Finding]:
    """Gives what is to be said of the corpora at `now`, the gravest first; nothing of a fresh one.

    `graph` is the asset graph of the definitions. Raises ``CatalogueError`` for a catalogue that
    cannot be read.
    """
    valid, problems = read_catalogue(catalogue)
    busy = corpora_under_way(instance)
    found = [
        Finding(name, "invalid", "its catalogue file cannot be used", sentence)
        for name, sentence in problems.items()
    ]
    stale = Staleness(instance, graph)
    for name, corpus in valid.items():
        found += _of_corpus(instance, corpus, name in busy, stale, now)
    found += _retired(instance, {*valid, *problems})
    return sorted(found, key=lambda finding: (STATES.index(finding.state), finding.corpus))


def verdict(found: list[Finding], total: int) -> dg.AssetCheckResult:
    """Gives the result of the check on `total` corpora: it warns when somebody has to act."""
    counts = Counter(finding.state for finding in found)
    wrong = [finding for finding in found if finding.state not in _AT_REST]
    told = "; ".join(str(finding) for finding in wrong[:_NAMED])
    if len(wrong) > _NAMED:
        told += f"; and {len(wrong) - _NAMED} more"
    well = f"all {total} corpora are as they should be"
    metadata: dict[str, Any] = {"corpora": total, **{s: counts[s] for s in STATES}}
    if found:
        metadata["what to do"] = dg.MetadataValue.md(markdown_table([asdict(f) for f in found]))
    return dg.AssetCheckResult(
        asset_key=inputs.CATALOGUE,
        check_name=HEALTHY,
        passed=not wrong,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{len(wrong)} of {total} corpora need you: {told}" if wrong else well,
        metadata=metadata,
    )


def _of_corpus(
    instance: dg.DagsterInstance, corpus: Corpus, busy: bool, stale: Staleness, now: float
) -> Iterator[Finding]:
    name = corpus.name
    run_it = f"bonito run {name}"
    if busy:
        yield Finding(name, "under way", "is being refreshed", "nothing to do")
        return
    last = instance.get_run_records(
        filters=dg.RunsFilter(tags={PARTITION: name}), limit=1, order_by="id"
    )
    if last and last[0].dagster_run.status == dg.DagsterRunStatus.FAILURE:
        yield Finding(name, "failed", _failure(instance, last[0], now), run_it)
        return
    if last and last[0].dagster_run.status == dg.DagsterRunStatus.CANCELED:
        sentence = f"its last refresh was ended by hand {ago(_ended(last[0]), now)}"
        yield Finding(name, "failed", sentence, run_it)
        return
    seen = _last_made(instance, "documents", name)
    if seen is None or _last_made(instance, "instruction_dataset", name) is None:
        yield Finding(name, "never refreshed", "has no dataset yet", run_it)
        return
    if corpus.refresh is not None:
        tick = last_tick(corpus.refresh, now - _GRACE_SECONDS)
        if seen < tick:
            when = datetime.fromtimestamp(tick, UTC)
            sentence = f"was due at {when:%Y-%m-%d %H:%M} UTC and last refreshed {ago(seen, now)}"
            yield Finding(
                name, "overdue", sentence, f"{run_it}, and see that the daemon runs: bonito doctor"
            )
            return
    if reasons := stale.reasons(name):
        yield Finding(name, "stale", f"is stale: {reasons}", run_it)


def _failure(instance: dg.DagsterInstance, record: dg.RunRecord, now: float) -> str:
    found = causes(instance, record.dagster_run.run_id)
    step = next(iter(found), None)
    when = ago(_ended(record), now)
    if step is None:
        return f"failed {when}: its worker is gone; the machine may be out of memory"
    return f"failed at {step} {when}: {found[step].strip().partition(chr(10))[0]}"


def _ended(record: dg.RunRecord) -> float:
    return record.end_time or record.update_timestamp.timestamp()


def _last_made(instance: dg.DagsterInstance, asset: str, corpus: str) -> float | None:
    found = instance.fetch_materializations(
        dg.AssetRecordsFilter(asset_key=dg.AssetKey(asset), asset_partitions=[corpus]), limit=1
    ).records
    return found[0].timestamp if found else None


def _retired(instance: dg.DagsterInstance, files: set[str]) -> Iterator[Finding]:
    """Gives the corpora of which there is data, or a partition, and no catalogue file."""
    there = instance.get_materialized_partitions(dg.AssetKey("documents"))
    for name in sorted({*there, *instance.get_dynamic_partitions(corpora.name)} - files):
        sentence = "is retired: its catalogue file is gone and its data stays"
        yield Finding(name, "retired", sentence, "put the file back to go on with it")


def ago(then: float, now: float) -> str:
    """Gives how long `then` is before `now`, in the largest unit of which there are two."""
    seconds = max(0.0, now - then)
    for unit, size in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds // size:.0f} {unit} ago"
    return "just now"


@dg.asset_check(
    asset=inputs.CATALOGUE,
    name=HEALTHY,
    description="No corpus failed, is overdue or stale, or has an invalid catalogue file.",
)
def corpora_are_healthy(
    context: dg.AssetCheckExecutionContext, catalogue: Catalogue
) -> dg.AssetCheckResult:
    """Looks at every corpus and tells a person what to do, in the UI and by an alert."""
    from bonito_assets.definitions import defs

    now = datetime.now(UTC).timestamp()
    try:
        found = survey(context.instance, catalogue, defs().resolve_asset_graph(), now)
        result = verdict(found, len(catalogue.names()))
    except CatalogueError as error:
        result = dg.AssetCheckResult(
            asset_key=inputs.CATALOGUE,
            check_name=HEALTHY,
            passed=False,
            severity=dg.AssetCheckSeverity.WARN,
            description=str(error),
        )
    if not result.passed:
        said = alerts.alert(HEALTHY, "Bonito: corpora need you", result.description or "")
        for problem in alerts.send(said):
            context.log.warning(problem)
    return result
