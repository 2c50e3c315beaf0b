"""Runs as OpenLineage events, for teams with a catalogue such as Marquez; off by default.

It is on where the client's own settings say where to send: OPENLINEAGE_URL, OPENLINEAGE_CONFIG (its
YAML file) or OPENLINEAGE__TRANSPORT__... Events hold names, counts, versions and columns, and no
text of a corpus.

A run of Dagster is a run of the job that it started, and each asset in it is a run of a job of its
own, whose parent it is. A dataset is a table of a corpus: its namespace is the data root, its name
``<table>/<corpus>``. Format: https://openlineage.io/spec/2-0-2/OpenLineage.json
"""

import hashlib
import json
import os
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

from bonito_assets import settings
from bonito_assets.automation.failures import causes
from bonito_assets.lineage.columns import COLUMNS, TABLES, column_lineage
from resources.secrets import scrub

if TYPE_CHECKING:
    from dagster._core.definitions.assets.graph.asset_graph import AssetGraph  # no public name
    from openlineage.client import OpenLineageClient
    from openlineage.client.event_v2 import RunEvent

_PRODUCER = "https://dagster.io/"
_INTEGRATION = "DAGSTER"
# Of the ids of assets' runs, which must be the same when an event is sent again.
_IDS = uuid.UUID("6f9d2a54-6c1e-5b43-9c0a-0d6f2b7f4f61")
# A tick may take 60 seconds in all, and the client waits for an answer up to 5 seconds at a time.
_TICK_SECONDS = 25.0
_PAGE = 25
# An hour of ticks: what is refused for so long shall not keep back the rest.
_MOST_ATTEMPTS = 120
_STARTED = dg.DagsterEventType.RUN_START
# How a run ends here, and what OpenLineage calls that.
_ENDS = {
    dg.DagsterEventType.RUN_SUCCESS: "COMPLETE",
    dg.DagsterEventType.RUN_FAILURE: "FAIL",
    dg.DagsterEventType.RUN_CANCELED: "ABORT",
}
_OF_STEPS = {
    dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED,
    dg.DagsterEventType.STEP_START,
    dg.DagsterEventType.ASSET_MATERIALIZATION,
}
_DATA_VERSION, _INPUT_VERSION = "dagster/data_version", "dagster/input_data_version/"
_ROW_COUNTS = ("dagster/partition_row_count", "dagster/row_count")


class OpenLineageError(RuntimeError):
    """Events cannot be sent; the message says why and what to do."""


@dataclass(frozen=True)
class Made:
    """What one run did to one asset: when, how it ended, from what, and what it says of itself.

    ``ended`` is an event type of OpenLineage. ``inputs`` are names of datasets with their data
    versions, None where none is known.
    """

    asset: str
    partition: str | None
    started_at: float
    ended_at: float
    ended: str
    cause: str | None = None
    inputs: Mapping[str, str | None] = field(default_factory=dict)
    data_version: str | None = None
    rows: int | None = None
    bytes: int | None = None


def is_on(environment: Mapping[str, str] = os.environ) -> bool:
    """Tells whether the client's settings in the environment say where to send events."""
    if environment.get("OPENLINEAGE_DISABLED", "").strip().lower() == "true":
        return False
    named = ("OPENLINEAGE_URL", "OPENLINEAGE_CONFIG")
    return any(environment.get(name) for name in named) or any(
        name.startswith("OPENLINEAGE__TRANSPORT") for name in environment
    )


def dataset_name(asset: str, partition: str | None) -> str:
    """Gives the name of a dataset in the namespace of the data root."""
    return asset if partition is None else f"{asset}/{partition}"


def namespace(root: str) -> str:
    """Gives the namespace of the datasets under a data root: the root as a URL."""
    return root.rstrip("/") if "://" in root else Path(root).as_uri()


def made_by(
    instance: dg.DagsterInstance, run: dg.DagsterRun, graph: "AssetGraph", ended: str
) -> list[Made]:
    """Gives what a finished run did to each asset that it began with; `ended` is how it ended."""
    partition = run.tags.get("dagster/partition")
    failed = causes(instance, run.run_id)
    steps: dict[str, dg.AssetKey] = {}
    begun: dict[str, float] = {}
    found: dict[str, Made] = {}
    for record in instance.get_records_for_run(run.run_id, of_type=_OF_STEPS).records:
        entry = record.event_log_entry
        event, step = entry.dagster_event, entry.step_key
        if event.is_step_start:
            begun[step] = entry.timestamp
        elif event.is_step_materialization:
            done = event.step_materialization_data.materialization
            found[step] = _materialized(
                instance, graph, done, begun.get(step, entry.timestamp), entry.timestamp
            )
        elif step is not None:
            steps[step] = event.asset_key
    for step, key in steps.items():
        if step in begun and step not in found:
            how = "FAIL" if step in failed else ended
            name, cause = key.to_user_string(), failed.get(step)
            found[step] = Made(name, partition, begun[step], begun[step], how, cause)
    return list(found.values())


def _materialized(
    instance: dg.DagsterInstance,
    graph: "AssetGraph",
    done: dg.AssetMaterialization,
    started_at: float,
    ended_at: float,
) -> Made:
    tags, inputs = done.tags or {}, {}
    for parent in sorted(graph.get(done.asset_key).parent_keys):
        version = tags.get(_INPUT_VERSION + parent.to_user_string())
        for partition in _partitions(instance, graph, parent, done.partition):
            name = dataset_name(parent.to_user_string(), partition)
            inputs[name] = version and _version(instance, parent, partition, version)
    counts = [done.metadata[name].value for name in _ROW_COUNTS if name in done.metadata]
    size = done.metadata.get("bytes")
    return Made(
        done.asset_key.to_user_string(),
        done.partition,
        started_at,
        ended_at,
        "COMPLETE",
        inputs=inputs,
        data_version=tags.get(_DATA_VERSION),
        rows=counts[0] if counts else None,
        bytes=None if size is None else size.value,
    )


def _version(
    instance: dg.DagsterInstance, asset: dg.AssetKey, partition: str | None, noted: str
) -> str | None:
    """Gives the data version of an input, which Dagster notes for partitions as a digest alone.

    It is None where the partition has been made anew since.
    """
    if partition is None:
        return noted
    asked = dg.AssetRecordsFilter(asset_key=asset, asset_partitions=[partition])
    for record in instance.fetch_materializations(asked, limit=1).records:
        found = (record.asset_materialization.tags or {}).get(_DATA_VERSION)
        if found is not None and hashlib.sha256(found.encode()).hexdigest() == noted:
            return found
    return None


def _partitions(
    instance: dg.DagsterInstance, graph: "AssetGraph", asset: dg.AssetKey, of_child: str | None
) -> list[str | None]:
    """Gives the partitions of an asset that a child reads: its own, or all without one."""
    partitioned = graph.get(asset).partitions_def
    if partitioned is None:
        return [None]
    if of_child is not None:
        return [of_child]
    return list(partitioned.get_partition_keys(dynamic_partitions_store=instance))


# Events


def run_events(run: dg.DagsterRun, ended: str, at: float, made: list[Made]) -> "Iterator[RunEvent]":
    """Gives the events of a run that began (``START``) or ended, with those of its assets."""
    from openlineage.client.event_v2 import Job, Run
    from openlineage.client.facet_v2 import error_message_run, parent_run

    jobs, datasets = _job_namespace(), namespace(settings.data_root())
    parent = parent_run.ParentRunFacet(
        parent_run.Run(run.run_id), parent_run.Job(jobs, run.job_name)
    )
    for one in made:
        run_id = str(uuid.uuid5(_IDS, f"{run.run_id}/{one.asset}/{one.partition}"))
        job = Job(jobs, f"{run.job_name}.{one.asset}", {"jobType": _job_type("ASSET")})
        facets: dict[str, Any] = {"parent": parent}
        data = {
            "inputs": [_input(datasets, name, version) for name, version in one.inputs.items()],
            "outputs": [_output(datasets, one)],
        }
        yield _event(one.started_at, "START", Run(run_id, facets), job, **data)
        if one.cause is not None:
            error = error_message_run.ErrorMessageRunFacet(scrub(one.cause), "python")
            facets = {**facets, "errorMessage": error}
        yield _event(one.ended_at, one.ended, Run(run_id, facets), job, **data)
    job = Job(jobs, run.job_name, {"jobType": _job_type("JOB")})
    yield _event(at, ended, Run(run.run_id, {"processing_engine": _engine()}), job)


def _event(at: float, kind: str, run: Any, job: Any, **data: list[Any]) -> "RunEvent":
    from openlineage.client.event_v2 import RunEvent, RunState

    when = datetime.fromtimestamp(at, UTC).isoformat()
    return RunEvent(
        eventTime=when, producer=_PRODUCER, run=run, job=job, eventType=RunState[kind], **data
    )


def _job_namespace() -> str:
    """Gives the namespace of jobs: OPENLINEAGE_NAMESPACE, as with other clients."""
    return os.environ.get("OPENLINEAGE_NAMESPACE") or "bonito"


def _job_type(kind: str) -> Any:
    from openlineage.client.facet_v2 import job_type_job

    return job_type_job.JobTypeJobFacet("BATCH", _INTEGRATION, kind)


def _engine() -> Any:
    from openlineage.client.facet_v2 import processing_engine_run

    return processing_engine_run.ProcessingEngineRunFacet(dg.__version__, "Dagster")


def _input(space: str, name: str, version: str | None) -> Any:
    from openlineage.client.event_v2 import InputDataset

    return InputDataset(space, name, facets=_facets(name.partition("/")[0], version))


def _output(space: str, made: Made) -> Any:
    from openlineage.client.event_v2 import OutputDataset
    from openlineage.client.facet_v2 import output_statistics_output_dataset as statistics

    facets = _facets(made.asset, made.data_version)
    if made.asset in COLUMNS and (lineage := _lineage(space, made)).fields:
        facets["columnLineage"] = lineage
    counted = {}
    if made.rows is not None:
        counted["outputStatistics"] = statistics.OutputStatisticsOutputDatasetFacet(
            rowCount=made.rows, size=made.bytes
        )
    name = dataset_name(made.asset, made.partition)
    return OutputDataset(space, name, facets=facets, outputFacets=counted)


def _facets(asset: str, version: str | None) -> dict[str, Any]:
    """Gives the columns of an asset that is a table, and its data version where it is known."""
    from openlineage.client.facet_v2 import dataset_version_dataset, schema_dataset

    facets: dict[str, Any] = {}
    if asset in TABLES:
        columns = [
            schema_dataset.SchemaDatasetFacetFields(
                f.name, str(f.type), f.metadata[b"meaning"].decode()
            )
            for f in TABLES[asset]
        ]
        facets["schema"] = schema_dataset.SchemaDatasetFacet(columns)
    if version is not None:
        facets["version"] = dataset_version_dataset.DatasetVersionDatasetFacet(version)
    return facets


def _lineage(space: str, made: Made) -> Any:
    from openlineage.client.facet_v2 import column_lineage_dataset as columns

    return columns.ColumnLineageDatasetFacet(
        {
            name: columns.Fields(
                [
                    columns.InputField(
                        space,
                        dataset_name(source.asset_key.to_user_string(), made.partition),
                        source.column_name,
                    )
                    for source in sources
                ]
            )
            for name, sources in column_lineage(made.asset).deps_by_column.items()
        }
    )


# Sending


def client() -> "OpenLineageClient":
    """Gives the client as its settings say; raises ``OpenLineageError`` where it is missing."""
    try:
        from openlineage.client import OpenLineageClient
    except ImportError:
        raise OpenLineageError(
            "OpenLineage is switched on in the environment but its client is not installed: "
            "pip install openlineage-python, or unset OPENLINEAGE_URL and OPENLINEAGE_CONFIG"
        ) from None
    return OpenLineageClient()


@dg.sensor(
    name="openlineage",
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Sends an OpenLineage event for every run that starts or ends, and for each asset "
    "in it. What could not be sent is sent at a later tick.",
)
def openlineage(context: dg.SensorEvaluationContext) -> dg.SkipReason:
    """Sends the events of the runs that began or ended since the last tick, in their order."""
    instance, sender = context.instance, client()
    if context.cursor is None:
        newest = [_changes(instance, kind, None) for kind in (_STARTED, *_ENDS)]
        start = max((records[0].storage_id for records in newest if records), default=-1)
        context.update_cursor(_cursor(start))
        return dg.SkipReason("runs from now on are told")
    at, began, told = json.loads(context.cursor), time.monotonic(), 0
    pages = [_changes(instance, kind, at["after"]) for kind in (_STARTED, *_ENDS)]
    # Past the last record of a full page there may be others that come first.
    last = min((page[-1].storage_id for page in pages if len(page) == _PAGE), default=None)
    for record in sorted((r for page in pages for r in page), key=lambda r: r.storage_id):
        if (last is not None and record.storage_id > last) or (
            time.monotonic() - began > _TICK_SECONDS
        ):
            break
        events, attempts = list(_events(context, record)), at["attempts"] + 1
        try:
            for event in events:
                sender.emit(event)
        except Exception as error:  # a transport may fail in any way, and may quote its address
            what = "is given up" if attempts == _MOST_ATTEMPTS else "will be sent again"
            kind = type(error).__name__
            context.log.warning(
                f"an event of run {record.run_id} was not taken ({kind}) and {what}"
            )
            if attempts < _MOST_ATTEMPTS:
                context.update_cursor(_cursor(at["after"], attempts))
                break
        at = {"after": record.storage_id, "attempts": 0}
        context.update_cursor(_cursor(record.storage_id))
        told += 1
    sender.close(timeout=_TICK_SECONDS)
    return dg.SkipReason(f"{told} changes of runs told")


def _cursor(after: int, attempts: int = 0) -> str:
    """Gives how far the sensor is: the last change told, and how often the next was tried."""
    return json.dumps({"after": after, "attempts": attempts})


def _changes(instance: dg.DagsterInstance, kind: dg.DagsterEventType, after: int | None) -> Any:
    """Gives the next changes of one kind past the number `after`, or the newest one."""
    if after is None:
        return instance.fetch_run_status_changes(kind, limit=1).records
    asked = dg.RunStatusChangeRecordsFilter(event_type=kind, after_storage_id=after)
    return instance.fetch_run_status_changes(asked, limit=_PAGE, ascending=True).records


def _events(context: dg.SensorEvaluationContext, record: dg.EventLogRecord) -> "Iterator[RunEvent]":
    entry = record.event_log_entry
    run = context.instance.get_run_by_id(entry.run_id)
    if run is None:  # deleted since
        return
    ended = _ENDS.get(entry.dagster_event.event_type, "START")
    made = []
    if ended != "START":
        graph = context.repository_def.asset_graph
        made = made_by(context.instance, run, graph, ended)
    yield from run_events(run, ended, entry.timestamp, made)


def sensors() -> list[dg.SensorDefinition]:
    """Gives the sensor where events are to be sent, and nothing where they are not."""
    return [openlineage] if is_on() else []
