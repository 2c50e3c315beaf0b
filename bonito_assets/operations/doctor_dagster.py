"""What `bonito doctor` looks at in Dagster: history, daemon, code location, runs, slots, ports."""

from __future__ import annotations

import os
import time
import tomllib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import psutil
import yaml
from dagster._core.scheduler.instigation import InstigatorStatus  # it has no public name

from bonito_assets import settings
from bonito_assets.automation.under_way import runs_under_way
from bonito_assets.operations.findings import OK, PROBLEM, WARNING, Check, Finding
from resources.one_writer import HOST, PROCESS, is_gone

# Each daemon gives a sign of life every 30 seconds.
_SILENT_SECONDS = 120.0
# The UI's port, by `make ui`.
PORT = 3000
# What an older copy of dagster.yaml does without.
_OURS = {
    "instance_class": "secrets are not scrubbed, and other web pages can give the UI orders",
    "run_launcher": "a run that died together with its code server counts as under way",
}


def checks() -> dict[str, Check]:
    """Gives the checks of Dagster by their topic."""
    return {"code location": code_location, "dagster": history, "network": network}


def home() -> Path:
    """Gives the folder of dagster.yaml: DAGSTER_HOME, else the project's own."""
    return Path(os.environ.get("DAGSTER_HOME") or settings.PROJECT)


def most_runs() -> int | None:
    """Gives max_concurrent_runs of dagster.yaml, None where it is not set."""
    return _settled(home()).get("concurrency", {}).get("runs", {}).get("max_concurrent_runs")


def _settled(folder: Path) -> dict[str, Any]:
    """Gives what the dagster.yaml of `folder` says; nothing without one."""
    path = folder / "dagster.yaml"
    return (yaml.safe_load(path.read_text(encoding="utf-8")) or {}) if path.exists() else {}


def code_location() -> Iterator[Finding]:
    """Looks whether the definitions load, and whether both files name the same location."""
    from bonito_assets.definitions import defs

    keys = defs().resolve_asset_graph().materializable_asset_keys
    yield Finding("code location", OK, f"the definitions load: {len(keys)} assets")
    project = tomllib.loads((settings.PROJECT / "pyproject.toml").read_text(encoding="utf-8"))
    ours = project["tool"]["dg"]["project"]["code_location_name"]
    text = (settings.PROJECT / "workspace.yaml").read_text(encoding="utf-8")
    named = [e["python_module"]["location_name"] for e in yaml.safe_load(text)["load_from"]]
    if named != [ours]:
        told = f"pyproject.toml names the code location '{ours}', workspace.yaml {named}"
        yield Finding("code location", PROBLEM, told, "give both the same name")


def history() -> Iterator[Finding]:
    """Looks at the instance: its home, the daemon, runs and slots that hang, what is stopped."""
    from bonito_assets.runs import instance

    if not (home() / "dagster.yaml").exists():
        told = f"there is no dagster.yaml in {home()}"
        yield Finding("dagster", PROBLEM, told, "copy the project's dagster.yaml there")
        return
    settled = _settled(home())
    for block, without in _OURS.items():
        if block not in settled:
            told = f"{home() / 'dagster.yaml'} has no block '{block}': {without}"
            yield Finding("dagster", WARNING, told, "copy that block from the project's file")
    with instance() as opened:
        runs = opened.get_runs_count()
        yield Finding("dagster", OK, f"{home()} opens, with {runs:,} runs")
        alive = yield from daemon(opened)
        yield from hanging(opened, alive)
        yield from instigators(opened)


def daemon(opened: dg.DagsterInstance) -> Iterator[Finding]:
    """Judges the daemons by their heartbeats; returns whether all of them live."""
    beats = opened.get_daemon_heartbeats()
    due = opened.get_required_daemon_types()
    silent = {
        kind: beats.get(kind)
        for kind in due
        if kind not in beats or time.time() - beats[kind].timestamp > _SILENT_SECONDS
    }
    remedy = "make ui, or as a service: dagster-daemon run -w workspace.yaml"
    if len(silent) == len(due):
        last = max((beat.timestamp for beat in beats.values()), default=None)
        since = f"since {datetime.fromtimestamp(last, UTC):%F %T} UTC" if last else "yet"
        told = f"the daemon has given no sign of life {since}: no schedule, sensor or queue works"
        yield Finding("dagster", WARNING, told, remedy)
    elif silent:
        told = f"these parts of the daemon are silent: {', '.join(sorted(silent))}"
        yield Finding("dagster", PROBLEM, told, "restart the daemon")
    else:
        yield Finding("dagster", OK, f"the daemon lives: {len(due)} parts")
    for kind in sorted(set(due) - set(silent)):
        if beats[kind].errors:
            message = beats[kind].errors[0].message.strip().partition("\n")[0]
            yield Finding("dagster", PROBLEM, f"{kind}: {message}", "look at the daemon's log")
    return not silent


def hanging(opened: dg.DagsterInstance, daemon_lives: bool) -> Iterator[Finding]:
    """Gives the runs whose process is gone, the slots of ended runs, the queue without a daemon."""
    for run in runs_under_way(opened):
        if HOST in run.tags and PROCESS in run.tags and is_gone(run):
            told = f"run {run.run_id} counts as under way and its process is gone"
            yield Finding(
                "dagster",
                PROBLEM,
                told,
                "the daemon clears it within a minute, and so does bonito run of any corpus",
            )
    queued = opened.get_runs_count(dg.RunsFilter(statuses=[dg.DagsterRunStatus.QUEUED]))
    if queued and not daemon_lives:
        told = f"{queued} runs are queued and there is no daemon to start them"
        yield Finding("dagster", PROBLEM, told, "make ui")
    storage = opened.event_log_storage
    for pool in sorted(storage.get_concurrency_keys()):
        for run_id in sorted(storage.get_concurrency_info(pool).active_run_ids):
            run = opened.get_run_by_id(run_id)
            if run is None or run.is_finished:
                told = f"run {run_id} has ended and holds a slot of the pool '{pool}'"
                remedy = "bonito run of any corpus frees it; in the UI: Deployment, Concurrency"
                yield Finding("dagster", PROBLEM, told, remedy)


def instigators(opened: dg.DagsterInstance) -> Iterator[Finding]:
    """Gives the schedules and sensors that somebody stopped, and those whose last tick failed."""
    for state in opened.all_instigator_state():
        where = "in the UI: Automation"
        if state.status == InstigatorStatus.STOPPED:
            told = f"'{state.instigator_name}' was stopped by hand"
            yield Finding("dagster", WARNING, told, f"start it again {where}")
            continue
        ticks = opened.get_ticks(state.instigator_origin_id, state.selector_id, limit=1)
        if ticks and ticks[0].error:
            message = ticks[0].error.message.strip().partition("\n")[0]
            told = f"the last tick of '{state.instigator_name}' failed: {message}"
            yield Finding("dagster", PROBLEM, told, f"look at it {where}")


def network() -> Iterator[Finding]:
    """Looks who listens: whether the UI's port is ours, and nothing of ours is open to others."""
    ours: dict[int, str] = {}
    for process in psutil.process_iter(["cmdline"]):
        words = " ".join(process.info["cmdline"] or [])
        if any(name in words for name in ("dagster-webserver", "dagster-daemon", "dagster api")):
            ours[process.pid] = words
    holders = set()
    for connection in psutil.net_connections("tcp"):
        if connection.status != psutil.CONN_LISTEN:
            continue
        address, port = connection.laddr[:2]
        if port == PORT:
            holders.add(connection.pid)
        if connection.pid in ours and address not in ("127.0.0.1", "::1"):
            told = f"a process of Dagster listens on {address}:{port}, open to other machines"
            remedy = "bind it to 127.0.0.1 and put the proxy of docs/security.md in front"
            yield Finding("network", PROBLEM, told, remedy)
    if not holders:
        yield Finding("network", OK, f"port {PORT} is free for the UI")
    elif holders <= ours.keys():
        yield Finding("network", OK, f"the UI runs on port {PORT}")
    else:
        # Of another person's program the system does not tell the process.
        pids = ", ".join(str(pid) for pid in sorted(holders - ours.keys() - {None}))
        told = f"another program has port {PORT} (process {pids or 'of another user'})"
        yield Finding("network", WARNING, told, "end it, or start the UI with dg dev --port 3001")
