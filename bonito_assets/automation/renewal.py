"""The sensor that evaluates the automation conditions of all assets."""

from __future__ import annotations

import dagster as dg

from bonito_assets.automation.jobs import REFRESH_LIMIT

# Dagster's own sensor of this kind starts stopped. One run per corpus instead of a backfill: a
# backfill is one thing that fails, is cancelled and retried as a whole.
renewal = dg.AutomationConditionSensorDefinition(
    "renewal",
    target=dg.AssetSelection.all(),
    default_status=dg.DefaultSensorStatus.RUNNING,
    minimum_interval_seconds=30,
    emit_backfills=False,
    run_tags=REFRESH_LIMIT,
    description="Makes again what is missing and what something upstream has left behind: a new "
    "corpus, a changed source, setting or model.",
)
