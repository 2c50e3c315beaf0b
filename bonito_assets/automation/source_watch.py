"""The sensor that follows what catalogue files point to: sources and test sets.

It lists and reads nothing, so a tick in which nothing changed costs a listing. A listing is looked
at again the later the longer it took, and one that hangs is left to the corpus's cron line.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import dagster as dg
from pydantic import BaseModel

from bonito_assets.automation import inputs
from bonito_assets.automation.catalogue_watch import read_catalogue
from bonito_assets.automation.under_way import corpora_under_way
from bonito_assets.catalogue import Catalogue, CatalogueError, Corpus, corpora
from bonito_assets.ingestion.files import SourceError

# Looking takes at most a hundredth of the time, and no tick begins another look after a second.
_SHARE = 0.01
_TICK_SECONDS = 1.0
# A minute is what Dagster gives a tick; what takes longer than this is looked at once an hour.
_PATIENCE_SECONDS = 20.0
_LATER_SECONDS = 3600.0
# What is listed over the network costs somebody money: every five minutes at most.
_REMOTE_SECONDS = 300.0


class Look(BaseModel):
    """What is known of one corpus: the versions reported, those seen last, and when to look again.

    Times are seconds since the epoch. ``problem`` is what kept the last look from an answer.
    """

    reported: dict[str, str] = {}
    seen: dict[str, str] = {}
    again_at: float = 0.0
    problem: str | None = None


class Looks(BaseModel):
    """The sensor's cursor: one ``Look`` per corpus."""

    corpora: dict[str, Look] = {}


def due(looks: dict[str, Look], names: list[str], now: float) -> list[str]:
    """Gives the corpora whose time to be looked at has come, the longest waiting first."""
    waiting = {name: looks.get(name, Look()).again_at for name in names}
    return sorted((name for name in names if waiting[name] <= now), key=lambda n: (waiting[n], n))


def to_report(look: Look, versions: dict[str, str], busy: bool) -> bool:
    """Tells whether `versions` are to be reported now.

    The first ones at once. Later ones when two looks in a row saw the same, so that a copy under
    way is waited for, and not while a run is under way, which may have been too early to see them.
    """
    if versions == look.reported or busy:
        return False
    return not look.reported or versions == look.seen


def after(look: Look, versions: dict[str, str], reported: bool, again_at: float) -> Look:
    """Gives what is known of a corpus after a look that saw `versions`."""
    return Look(reported=versions if reported else look.reported, seen=versions, again_at=again_at)


def pause(corpus: Corpus, seconds: float) -> float:
    """Gives for how many seconds a corpus is left alone after a look that took `seconds`."""
    remote = any("://" in corpus.path(pattern) for pattern in corpus.source.patterns)
    return max(seconds / _SHARE, _REMOTE_SECONDS if remote else 0.0)


_hanging: dict[str, threading.Thread] = {}


def within(name: str, seconds: float, action: Callable[[], dict[str, str]]) -> dict[str, str]:
    """Gives what `action` gives, or raises ``SourceError`` when that takes more than `seconds`.

    A listing that hangs (a dead network disk) cannot be ended from outside; its thread is kept and
    no other one is started for the same name while it lives.
    """
    late = f"corpus '{name}': its source did not answer within {seconds:.0f} s"
    if name in _hanging and _hanging[name].is_alive():
        raise SourceError(late)
    outcome: list[dict[str, str] | BaseException] = []

    def work() -> None:
        try:
            outcome.append(action())
        except BaseException as error:  # handed on below, in the caller's thread
            outcome.append(error)

    thread = _hanging[name] = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(seconds)
    if not outcome:
        raise SourceError(late)
    del _hanging[name]
    if isinstance(outcome[0], BaseException):
        raise outcome[0]
    return outcome[0]


@dg.sensor(
    minimum_interval_seconds=15,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Lists the sources and test sets that catalogue files name, and makes stale what "
    "depends on one that changed.",
)
def source_watch(
    context: dg.SensorEvaluationContext, catalogue: Catalogue
) -> dg.SensorResult | dg.SkipReason:
    """Follows the sources and test sets of all corpora."""
    try:
        valid, _ = read_catalogue(catalogue)
    except CatalogueError as error:
        return dg.SkipReason(f"nothing is looked at: {error}")
    known = set(context.instance.get_dynamic_partitions(corpora.name))
    names = [name for name in valid if name in known]
    kept = Looks.model_validate_json(context.cursor) if context.cursor else Looks()
    looks = {name: look for name, look in kept.corpora.items() if name in valid}
    busy = corpora_under_way(context.instance)
    events: list[dg.AssetMaterialization | dg.AssetObservation] = []
    said: list[str] = []
    began = time.monotonic()
    now = time.time()
    for name in due(looks, names, now):
        started = time.monotonic()
        if started - began > _TICK_SECONDS:
            break
        look = looks.get(name, Look())
        corpus = valid[name]
        try:
            versions = within(
                name, _PATIENCE_SECONDS, lambda corpus=corpus: inputs.found_versions(corpus)
            )
        except (SourceError, CatalogueError) as error:
            took = time.monotonic() - started
            wait = _LATER_SECONDS if took >= _PATIENCE_SECONDS else pause(corpus, took)
            looks[name] = look.model_copy(update={"problem": str(error), "again_at": now + wait})
            said.append(str(error))
            continue
        reported = to_report(look, versions, name in busy)
        if reported:
            events += inputs.changes(context.instance, versions, name)
            said.append(f"'{name}' has another source or test set than before")
        again_at = now + pause(corpus, time.monotonic() - started)
        looks[name] = after(look, versions, reported, again_at)
    return dg.SensorResult(
        skip_reason="; ".join(said) or f"{len(names)} corpora, nothing changed",
        asset_events=events,
        cursor=Looks(corpora=looks).model_dump_json(),
    )
