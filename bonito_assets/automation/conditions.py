"""When an asset is made again by itself: after a change, after a crash, or when it is due.

What moves an asset is another data version of what it is made of, not another run.

Dagster's ``eager`` is moved by every materialization upstream. A refresh in which nothing changed
materializes all stages, so here an update counts only where it brought another data version.
"""

from __future__ import annotations

from datetime import timedelta

import dagster as dg

from bonito_assets.automation.inputs import EXTERNAL

_Condition = dg.AutomationCondition

# A tick evaluates each part of a condition for each dependency, so nothing is asked of external
# assets that only stages can answer: those are never missing for long, nor in progress.
# (Dagster resolves a group to the assets that it can make, so each is named.)
_OUTSIDE = dg.AssetSelection.assets(*EXTERNAL)

# What was asked for or made is dealt with. A run that fails is not asked for again and again: the
# next change, cron tick or person tries again, and the daily health check names it until then.
_HANDLED = (_Condition.newly_requested() | _Condition.newly_updated()).with_label("handled")

# A dependency has another data version, and not from a run that makes this asset too.
_CHANGED = (
    _Condition.any_deps_match(_Condition.data_version_changed()).allow(_OUTSIDE)
    | _Condition.any_deps_match(
        (_Condition.data_version_changed() & ~_Condition.executed_with_root_target())
        | _Condition.will_be_requested()
    ).ignore(_OUTSIDE)
).with_label("any_deps_changed")

_MOVED = (_Condition.missing().newly_true() | _CHANGED).since(_HANDLED).with_label("moved")

# `documents` waits until the source was listed; the settings are known before the partition is.
_WAITED_FOR = (dg.AssetSelection.all() - _OUTSIDE) | dg.AssetSelection.assets("source")
_NOTHING_MISSING = ~_Condition.any_deps_missing().allow(_WAITED_FOR)

# A stage of a corpus: made when it is missing or when what it is made of changed. All stages below
# one that is asked for are asked for with it, so that a new corpus is one run. Two runs of a corpus
# wait for each other in the queue (dagster.yaml).
WHEN_CHANGED = (
    _MOVED
    & _NOTHING_MISSING
    & ~_Condition.in_progress()
    & _Condition.all_deps_blocking_checks_passed().ignore(_OUTSIDE)
).with_label("when_changed")

# The mixture: made when the dataset of any corpus changed, once the runs that are under way have
# ended, without waiting for corpora that have no dataset yet.
WHEN_ANY_CORPUS_CHANGED = (
    _MOVED
    & _Condition.any_deps_match(~_Condition.missing()).ignore(_OUTSIDE)
    & ~_Condition.any_deps_in_progress().ignore(_OUTSIDE)
    & ~_Condition.in_progress()
).with_label("when_any_corpus_changed")

# A step whose process was killed starts again after a pause in which a card gets its memory back.
# What is known to be permanent raises ``Failure(allow_retries=False)`` and is not repeated.
AFTER_A_CRASH = dg.RetryPolicy(max_retries=2, delay=10)

# The longest usual cron line is once a month; a day more is left for a refresh that waits. Without
# any refresh in a week somebody may want to look. The policy is judged for all corpora together:
# the daily health check tells which one is late.
REFRESHED_MONTHLY = dg.FreshnessPolicy.time_window(
    fail_window=timedelta(days=32), warn_window=timedelta(days=8)
)
