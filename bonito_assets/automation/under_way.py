"""Which runs, and of which corpora, have not ended at this moment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import dagster as dg

from resources.one_writer import PARTITION, is_gone

_UNFINISHED = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


def runs_under_way(
    instance: dg.DagsterInstance, tags: Mapping[str, str] | None = None
) -> Sequence[dg.DagsterRun]:
    """Gives the runs with `tags` that are queued, about to start or under way in Dagster's books.

    The process of one may be gone: a killed command could not say goodbye.
    """
    return instance.get_runs(filters=dg.RunsFilter(tags=tags or {}, statuses=_UNFINISHED))


def corpora_under_way(instance: dg.DagsterInstance) -> set[str]:
    """Gives the corpora that a run is about to make something of, or is making something of."""
    runs = [run for run in runs_under_way(instance) if PARTITION in run.tags]
    # One that was killed before it began stays so in the books until a command clears it.
    return {run.tags[PARTITION] for run in runs if not is_gone(run)}
