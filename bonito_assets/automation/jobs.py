"""Jobs and schedules: what can be started from the UI, by `dg launch` and by `bonito`."""

from __future__ import annotations

import dagster as dg

from bonito_assets.automation.inputs import GROUP

# A step that hangs is noticed by nobody but the clock. The 7B over a large corpus takes days on one
# card, so the limit is far off; a run's tag of this name, in the UI's launchpad, sets another one.
REFRESH_LIMIT = {"dagster/max_runtime": str(7 * 24 * 3600)}
_SHORT_LIMIT = {"dagster/max_runtime": str(3600)}

_MIXTURE = dg.AssetSelection.assets("instruction_mixture")
_MIXTURE_MODEL = dg.AssetSelection.assets("mixture_model")
_CATALOGUE = dg.AssetSelection.groups(GROUP)
# Training a generator from scratch is no part of a refresh, nor is what is made of all corpora.
_APART = dg.AssetSelection.groups("bonito_training") | _MIXTURE | _MIXTURE_MODEL | _CATALOGUE
_CHAIN = dg.AssetSelection.all() - _APART

refresh_corpus = dg.define_asset_job(
    "refresh_corpus",
    selection=_CHAIN,
    description="One corpus from its documents to the evaluation of the model tuned on them.",
    tags=REFRESH_LIMIT,
)

refresh_mixture = dg.define_asset_job(
    "refresh_mixture",
    selection=_MIXTURE,
    description="One dataset out of the published datasets of all corpora.",
    tags=REFRESH_LIMIT,
)

tune_mixture = dg.define_asset_job(
    "tune_mixture",
    selection=_MIXTURE_MODEL,
    description="One model tuned on the mixture of all corpora.",
    tags=REFRESH_LIMIT,
)

check_health = dg.define_asset_job(
    "check_health",
    selection=dg.AssetSelection.checks_for_assets("catalogue"),
    description="Looks at every corpus: failed, overdue, stale, retired, and what to do about it.",
    tags=_SHORT_LIMIT,
)

daily_health = dg.ScheduleDefinition(
    name="daily_health",
    job=check_health,
    cron_schedule="0 7 * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="The health of all corpora, every morning at seven, in UTC.",
)

jobs = [refresh_corpus, refresh_mixture, tune_mixture, check_health]
schedules = [daily_health]
