"""The sensor that serves the key `refresh` of catalogue files: a cron line per corpus, in UTC.

A schedule of Dagster's is fixed when the code loads, and corpora come and go without that. UTC is
what Dagster's own schedules take, and it has no hour that happens twice or never.
"""

from __future__ import annotations

import time
from collections.abc import Container
from datetime import UTC, datetime

import dagster as dg
from dagster._vendored.croniter import croniter  # the one that Dagster's own schedules use
from pydantic import BaseModel

from bonito_assets.automation.catalogue_watch import read_catalogue
from bonito_assets.automation.jobs import refresh_corpus
from bonito_assets.automation.under_way import corpora_under_way
from bonito_assets.catalogue import Catalogue, CatalogueError, corpora


class Served(BaseModel):
    """The sensor's cursor: of each corpus, its cron line and the last tick that was served."""

    ticks: dict[str, tuple[str, float]] = {}


def last_tick(cron: str, now: float) -> float:
    """Gives the last time at which `cron` was due, `now` included; seconds since the epoch."""
    # croniter looks strictly before the moment it is given.
    start = datetime.fromtimestamp(now + 1, UTC).replace(microsecond=0)
    return croniter(cron, start).get_prev(datetime).timestamp()


def due(
    served: Served, lines: dict[str, str], busy: set[str], now: float, invalid: Container[str] = ()
) -> tuple[dict[str, float], Served]:
    """Gives the tick to serve of each corpus that is due, and what is served then.

    However many ticks have passed, a corpus is due once. A corpus seen for the first time, or with
    a changed line, starts counting now. One with a run under way stays due until that has ended,
    and one whose file is `invalid` until somebody has put it right.
    """
    wanted, ticks = {}, {name: kept for name, kept in served.ticks.items() if name in invalid}
    for name, cron in lines.items():
        tick = last_tick(cron, now)
        line, before = served.ticks.get(name, (None, 0.0))
        if line == cron and tick > before:
            if name in busy:
                tick = before
            else:
                wanted[name] = tick
        ticks[name] = (cron, tick)
    return wanted, Served(ticks=ticks)


@dg.sensor(
    job=refresh_corpus,
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Refreshes each corpus at the times of its catalogue file's key `refresh`, in UTC. "
    "After a pause of the daemon each is refreshed once.",
)
def refresh_on_schedule(
    context: dg.SensorEvaluationContext, catalogue: Catalogue
) -> dg.SensorResult | dg.SkipReason:
    """Requests a refresh of each corpus whose cron line is due."""
    try:
        valid, problems = read_catalogue(catalogue)
    except CatalogueError as error:
        return dg.SkipReason(f"nothing is refreshed: {error}")
    known = set(context.instance.get_dynamic_partitions(corpora.name))
    lines = {n: c.refresh for n, c in valid.items() if c.refresh is not None and n in known}
    served = Served.model_validate_json(context.cursor) if context.cursor else Served()
    busy = corpora_under_way(context.instance)
    wanted, after = due(served, lines, busy, time.time(), problems)
    requests = [
        # The key keeps a tick from being served twice where the daemon dies before it stores this.
        dg.RunRequest(
            run_key=f"{name} {datetime.fromtimestamp(tick, UTC):%Y-%m-%dT%H:%M}Z",
            partition_key=name,
        )
        for name, tick in wanted.items()
    ]
    return dg.SensorResult(
        run_requests=requests,
        skip_reason=None if requests else f"{len(lines)} corpora have a time, none is due",
        cursor=after.model_dump_json(),
    )
