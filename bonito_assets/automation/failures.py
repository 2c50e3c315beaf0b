"""Why a run failed, in the words of the steps and checks that failed."""

from __future__ import annotations

import dagster as dg

_ASKED = {dg.DagsterEventType.STEP_FAILURE, dg.DagsterEventType.ASSET_CHECK_EVALUATION}


def causes(instance: dg.DagsterInstance, run_id: str) -> dict[str, str]:
    """Gives a cause for each failed step of a run, in order; none if no step could say anything.

    A blocking check that failed counts as the cause of its step. Errors that nobody foresaw are
    told by their kind alone: libraries quote what they choked on, and that may be text of a corpus.
    """
    found: dict[str, str] = {}
    for record in instance.get_records_for_run(run_id, of_type=_ASKED).records:
        event = record.event_log_entry.dagster_event
        if event.is_step_failure:
            found.setdefault(event.step_key, cause(event))
        elif (sentence := _of_check(event)) is not None:
            found.setdefault(event.step_key, sentence)
    return found


def _of_check(event: dg.DagsterEvent) -> str | None:
    check = event.asset_check_evaluation_data
    if check.passed or check.severity != dg.AssetCheckSeverity.ERROR:
        return None
    return f"check {check.check_name} failed: {check.description}"


def cause(event: dg.DagsterEvent, quoting: bool = False) -> str:
    """Gives the cause of a step's failure; `quoting` repeats what an unforeseen error said."""
    data = event.step_failure_data
    if data.user_failure_data and data.user_failure_data.description:
        return data.user_failure_data.description
    error = data.error
    while error is not None and error.cause is not None:
        error = error.cause
    if error is None:
        return "no cause was recorded"
    if quoting:
        return error.message.strip()
    return f"{error.cls_name or 'an error'}; its message is in the run's log"
