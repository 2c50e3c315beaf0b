"""Starts Dagster runs from the terminal and follows them."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg
from fsspec.core import url_to_fs

from bonito_assets import settings
from bonito_assets.automation.failures import cause
from bonito_assets.automation.under_way import runs_under_way
from bonito_assets.catalogue import Catalogue, CatalogueError, Corpus, corpora
from bonito_assets.definitions import defs
from bonito_assets.ingestion.files import SourceError, find_files
from bonito_assets.publishing.difference import DiffError
from bonito_assets.publishing.hub import PushError
from resources.model import ModelError, is_path, resolve
from resources.one_writer import HOST, PARTITION, PROCESS, busy, is_gone, process_name
from resources.secrets import expand

JOB = "refresh_corpus"
MIXTURE_JOB = "refresh_mixture"
FORGET_JOB = "forget_documents"
_POLL_SECONDS = 0.3
_INVOCATION = ".dagster/bonito_invocation"


class RunRefused(RuntimeError):
    """A run cannot start; the message says why and what to do."""


@contextlib.contextmanager
def instance() -> Iterator[dg.DagsterInstance]:
    """Opens the Dagster instance that the UI uses: DAGSTER_HOME, else the project's own."""
    # dagster.yaml names its storage relative to the project, as `dg dev` finds it there.
    os.chdir(settings.PROJECT)
    home = os.environ.get("DAGSTER_HOME") or str(settings.PROJECT)
    with dg.DagsterInstance.from_config(home) as opened:
        yield opened


def reconstruct_job(name: str) -> dg.JobDefinition:
    """Gives the job called `name`; each step's own process finds its job by this function."""
    return defs().resolve_job_def(name)


def asset_names() -> list[str]:
    """Gives the assets of a refresh in the order in which data flows."""
    job = reconstruct_job(JOB)
    graph = job.asset_layer.asset_graph
    selected = {key.to_user_string() for key in job.asset_layer.selected_asset_keys}
    return [
        n
        for level in graph.toposorted_asset_keys_by_level
        for key in sorted(level)
        if (n := key.to_user_string()) in selected
    ]


def check_files(corpus: Corpus) -> None:
    """Raises ``SourceError`` or ``CatalogueError`` for a source or test set that is not there."""
    if corpus.source.dataset is None:
        find_files(corpus)
    if corpus.evaluation is not None:
        test = corpus.path(corpus.evaluation.test)
        filesystem, path = url_to_fs(expand(test))
        if not filesystem.exists(path):
            raise CatalogueError(
                f"{corpus.folder / (corpus.name + '.yaml')}: evaluation.test: '{test}' does not "
                "exist; point it at a JSONL or Parquet file, or remove the key 'evaluation'"
            )


def check_models() -> None:
    """Raises ``ModelError`` for a model folder that is not there.

    A hub id may take minutes to fetch: that belongs into the run, where it is seen.
    """
    for setting, name in (
        ("BONITO_MODEL", settings.model()),
        ("BONITO_BASE_MODEL", settings.base_model()),
    ):
        if is_path(name):
            resolve(name, setting)


def register(opened: dg.DagsterInstance, names: list[str]) -> list[str]:
    """Adds `names` as partitions; gives those that were not there before."""
    known = set(opened.get_dynamic_partitions(corpora.name))
    new = [name for name in names if name not in known]
    if new:
        opened.add_dynamic_partitions(corpora.name, new)
    return new


@dataclass
class Followed:
    """How a run ended: its id, the row counts it reported, and why it failed if it did."""

    run_id: str | None = None
    success: bool = False
    rows: dict[str, int] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)


def run(
    opened: dg.DagsterInstance, corpus: str, to: str | None, report: Callable[[str, str], None]
) -> Followed:
    """Refreshes `corpus` up to the asset `to` and reports each step as it happens.

    `report` gets the step and a line. Raises ``RunRefused`` while another run of it is under way.
    """
    clear_dead_runs(opened)
    refuse_second_run(opened, corpus)
    selection = None
    if to is not None:
        graph = reconstruct_job(JOB).asset_layer.asset_graph
        selection = list(dg.AssetSelection.assets(to).upstream().resolve(graph))
    return _execute(opened, JOB, {PARTITION: corpus}, selection, report)


def mix(opened: dg.DagsterInstance, report: Callable[[str, str], None]) -> Followed:
    """Makes the mixture of all published corpora and reports as ``run`` does."""
    clear_dead_runs(opened)
    return _execute(opened, MIXTURE_JOB, {}, None, report)


def forget(
    opened: dg.DagsterInstance,
    corpus: str,
    doc_ids: list[str],
    reason: str,
    report: Callable[[str, str], None],
) -> Followed:
    """Forgets documents of `corpus` and reports as ``run`` does.

    Raises ``RunRefused`` while a run of it is under way.
    """
    clear_dead_runs(opened)
    refuse_second_run(opened, corpus)
    given = {"config": {"corpus": corpus, "doc_ids": doc_ids, "reason": reason}}
    ops = {"forget_them": given}
    return _execute(opened, FORGET_JOB, {PARTITION: corpus}, None, report, ops)


def _execute(
    opened: dg.DagsterInstance,
    job: str,
    tags: dict[str, str],
    selection: list[dg.AssetKey] | None,
    report: Callable[[str, str], None],
    ops: dict[str, Any] | None = None,
) -> Followed:
    invocation = uuid.uuid4().hex
    tags = {
        **tags,
        _INVOCATION: invocation,
        # By this the UI tells whose run it is: without it the timeline passes it by.
        ".dagster/repository": "__repository__@bonito",
        HOST: socket.gethostname(),
        PROCESS: str(process_name(os.getpid())),
    }
    followed = Followed()
    ended = threading.Event()
    follower = threading.Thread(
        target=_follow, args=(opened, invocation, ended, followed, report), daemon=True
    )
    follower.start()
    try:
        with dg.execute_job(
            dg.build_reconstructable_job("bonito_assets.runs", "reconstruct_job", (job,)),
            instance=opened,
            tags=tags,
            asset_selection=selection,
            # The follower tells the story; Dagster's own hundred lines stay in its log.
            run_config={
                "loggers": {"console": {"config": {"log_level": "CRITICAL"}}},
                "ops": ops or {},
            },
        ) as result:
            followed.success = result.success
    finally:
        ended.set()
        follower.join()
    return followed


def clear_dead_runs(opened: dg.DagsterInstance) -> None:
    """Ends the runs whose process on this machine was killed, and frees their slots.

    It could not say goodbye: its run would count as under way, and its slot of the pool `gpu`
    as taken, for ever (without the daemon nobody else looks after them).
    """
    for run in runs_under_way(opened, {HOST: socket.gethostname()}):
        if is_gone(run):
            opened.report_run_failed(run, "The process that ran it is gone.")
    storage = opened.event_log_storage
    for pool in storage.get_concurrency_keys():
        info = storage.get_concurrency_info(pool)
        for run_id in info.active_run_ids | info.pending_run_ids:
            holder = opened.get_run_by_id(run_id)
            if holder is None or holder.is_finished:
                storage.free_concurrency_slots_for_run(run_id)


def refuse_second_run(opened: dg.DagsterInstance, corpus: str) -> None:
    """Raises ``RunRefused`` while a run of `corpus` is under way.

    Of two that ask in the same instant both may pass; the store then refuses one of them.
    """
    for other in runs_under_way(opened, {PARTITION: corpus}):
        raise RunRefused(busy(f"corpus '{corpus}'", other.run_id))


def _follow(
    opened: dg.DagsterInstance,
    invocation: str,
    ended: threading.Event,
    followed: Followed,
    report: Callable[[str, str], None],
) -> None:
    cursor: str | None = None
    last_round = False
    while not last_round:
        last_round = ended.wait(_POLL_SECONDS)
        if followed.run_id is None:
            runs = opened.get_runs(filters=dg.RunsFilter(tags={_INVOCATION: invocation}))
            if not runs:
                continue
            followed.run_id = runs[0].run_id
        while True:
            page = opened.get_records_for_run(followed.run_id, cursor=cursor)
            cursor = page.cursor
            for record in page.records:
                _tell(record.event_log_entry, followed, report)
            if not page.has_more:
                break


def _tell(entry: dg.EventLogEntry, followed: Followed, report: Callable[[str, str], None]) -> None:
    step = entry.step_key or ""
    event = entry.dagster_event
    if event is None:
        # What a failed step keeps from running is told once, by the failure itself.
        skipped = entry.user_message.startswith("Dependencies for step")
        if entry.level >= 20 and step and not skipped:
            report(step, entry.user_message)
    elif event.is_engine_event and "blocked by limit for pool" in (event.message or ""):
        report(step, "waits for its turn: " + event.message)
    elif event.is_step_start:
        report(step, "started")
    elif event.is_step_materialization:
        made = event.step_materialization_data.materialization
        # Of a step that reports several assets no single count is its own.
        metadata = made.metadata if made.asset_key.to_user_string() == step else {}
        for count in ("dagster/partition_row_count", "dagster/row_count"):
            if count in metadata:
                followed.rows[step] = int(metadata[count].value)
    elif event.is_step_success:
        seconds = event.step_success_data.duration_ms / 1000
        rows = f"{followed.rows[step]:,} rows, " if step in followed.rows else ""
        report(step, f"done: {rows}{seconds:.1f} s")
    elif event.event_type == dg.DagsterEventType.ASSET_CHECK_EVALUATION:
        check = event.asset_check_evaluation_data
        if not check.passed:
            if check.severity == dg.AssetCheckSeverity.ERROR:
                sentence = f"check {check.check_name} failed: {check.description}"
                followed.failures.setdefault(step, sentence)
            else:
                sentence = f"warning of check {check.check_name}: {check.description}"
            report(step, sentence)
    elif event.is_step_failure:
        followed.failures.setdefault(step, cause(event, quoting=True))
        report(step, "failed")


def catalogue() -> Catalogue:
    """Gives the catalogue that the settings name."""
    return Catalogue(folder=str(settings.corpora_folder()))


KNOWN_ERRORS = (
    CatalogueError,
    settings.SettingError,
    SourceError,
    ModelError,
    RunRefused,
    DiffError,
    PushError,
)


def catalogue_file(corpus: str) -> Path:
    """Gives the place of the catalogue file of `corpus`."""
    return settings.corpora_folder() / f"{corpus}.yaml"
