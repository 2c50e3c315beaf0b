"""The Dagster instance of this project: nothing secret is stored, no foreign web page is obeyed.

``dagster.yaml`` names the class under ``instance_class``, by which Dagster builds it in every
process that it starts: the web server, the daemon, the code server, run workers and steps.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import dagster as dg
from dagster._core.events.log import EventLogEntry
from dagster._core.instance.ref import InstanceRef
from dagster._core.scheduler.instigation import InstigatorTick, TickData
from dagster._serdes import deserialize_value, serialize_value

from resources import secrets

if TYPE_CHECKING:
    from dagster._core.events import DagsterEventBatchMetadata

_Stored = TypeVar("_Stored", EventLogEntry, InstigatorTick, TickData)


class GuardedInstance(dg.DagsterInstance):
    """A Dagster instance that scrubs what it stores and guards its web server.

    Messages, errors with their tracebacks, metadata and ticks pass through ``secrets.scrub``
    before they reach the database; log lines before they reach the console and the compute logs.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        secrets.guard_process()

    # What Dagster asks of a class in `instance_class` (internals of this exact version).

    @classmethod
    def config_schema(cls) -> dict[str, Any]:
        """Gives the keys of ``dagster.yaml`` that are this class's own: none."""
        return {}

    @staticmethod
    def config_defaults(base_dir: str) -> dict[str, Any]:
        """Gives Dagster's defaults for what ``dagster.yaml`` in `base_dir` leaves open."""
        return dict(InstanceRef.config_defaults(base_dir))

    # The doors to the database

    def handle_new_event(
        self,
        event: EventLogEntry,
        *,
        batch_metadata: DagsterEventBatchMetadata | None = None,
    ) -> None:
        """Stores what a run has to say, scrubbed."""
        super().handle_new_event(_scrubbed(event), batch_metadata=batch_metadata)

    def create_tick(self, tick_data: TickData) -> InstigatorTick:
        """Stores the beginning of a sensor's or schedule's tick, scrubbed."""
        return super().create_tick(_scrubbed(tick_data))

    def update_tick(self, tick: InstigatorTick) -> InstigatorTick:
        """Stores what became of a tick, scrubbed."""
        return super().update_tick(_scrubbed(tick))

    # The web server

    def optimize_for_webserver(
        self, statement_timeout: int, pool_recycle: int, max_overflow: int
    ) -> None:
        """Prepares for the web server, which alone calls this, before it builds its application."""
        super().optimize_for_webserver(statement_timeout, pool_recycle, max_overflow)
        from resources.same_origin import guard_webserver

        guard_webserver()


def _scrubbed(value: _Stored) -> _Stored:
    text = serialize_value(value)
    clean = secrets.scrub(text)
    return value if clean == text else deserialize_value(clean, type(value))
