"""Runs are told to a catalogue as OpenLineage events, where that is switched on.

Dagster's instance, the client and the server that it talks to are real.
"""

import json
import os
import sys
import threading
import uuid
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from unittest import mock

import dagster as dg
import pytest

from bonito_assets import tables
from bonito_assets.catalogue import corpora
from bonito_assets.lineage import openlineage
from bonito_assets.lineage.openlineage import OpenLineageError, is_on, namespace

client = pytest.importorskip("openlineage.client")


TEXT = "The ferry leaves at nine."


class Collector:
    """A catalogue's endpoint on this machine; ``answers`` are the statuses it gives, then 200."""

    def __init__(self, port):
        self.url = f"http://127.0.0.1:{port}"
        self.answers, self.events = [], []


@pytest.fixture
def collector():
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status = collector.answers.pop(0) if collector.answers else 200
            if status == 200:
                collector.events.append(json.loads(body))
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    collector = Collector(server.server_port)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    # The client writes settings of its own into the environment, which later tests must not see.
    with mock.patch.dict(os.environ, {"OPENLINEAGE_URL": collector.url}):
        yield collector
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def data(monkeypatch, tmp_path):
    monkeypatch.setenv("BONITO_DATA", str(tmp_path / "data"))
    return tmp_path / "data"


class Fails(dg.Config):
    fails: bool = False


@dg.asset(partitions_def=corpora)
def documents():
    counts = {"dagster/partition_row_count": 3, "bytes": 99}
    return dg.MaterializeResult(
        metadata={**counts, "sample": TEXT}, data_version=dg.DataVersion("d1")
    )


@dg.asset(partitions_def=corpora, deps=["documents"])
def chunks(config: Fails):
    if config.fails:
        raise dg.Failure("a passage of the corpus is missing", allow_retries=False)
    return dg.MaterializeResult(
        metadata={"dagster/partition_row_count": 7}, data_version=dg.DataVersion("c1")
    )


defs = dg.Definitions(assets=[documents, chunks], jobs=[dg.define_asset_job("refresh_corpus", "*")])


@pytest.fixture
def instance():
    with dg.DagsterInstance.ephemeral() as opened:
        opened.add_dynamic_partitions(corpora.name, ["demo"])
        yield opened


def run(instance, fails=False):
    return defs.resolve_job_def("refresh_corpus").execute_in_process(
        instance=instance,
        partition_key="demo",
        raise_on_error=False,
        run_config={"ops": {"chunks": {"config": {"fails": fails}}}},
    )


def tick(instance, cursor):
    """Runs the sensor once; gives the new cursor."""
    context = dg.build_sensor_context(
        instance, cursor=cursor, repository_def=defs.get_repository_def()
    )
    openlineage.openlineage(context)
    return context.cursor


def of_job(collector, name):
    return [e for e in collector.events if e["job"]["name"] == name]


def test_it_is_off_unless_the_client_s_own_settings_name_a_place():
    assert not is_on({})
    assert not is_on({"OPENLINEAGE_URL": "http://x", "OPENLINEAGE_DISABLED": "true"})
    for name in ("OPENLINEAGE_URL", "OPENLINEAGE_CONFIG", "OPENLINEAGE__TRANSPORT__TYPE"):
        assert is_on({name: "x"})


def test_without_its_client_a_tick_says_what_to_install(instance, monkeypatch):
    monkeypatch.setitem(sys.modules, "openlineage.client", None)
    with pytest.raises(OpenLineageError, match=r"pip install .*openlineage"):
        tick(instance, None)


def test_runs_from_before_it_was_switched_on_are_not_told(instance, collector, data):
    run(instance)
    cursor = tick(instance, None)
    tick(instance, cursor)
    assert collector.events == []


def test_a_run_begins_and_completes_and_each_asset_is_a_child_of_it(instance, collector, data):
    cursor = tick(instance, None)
    done = run(instance)
    tick(instance, cursor)
    assert [e["eventType"] for e in of_job(collector, "refresh_corpus")] == ["START", "COMPLETE"]
    assert {e["run"]["runId"] for e in of_job(collector, "refresh_corpus")} == {done.run_id}
    for asset in ("documents", "chunks"):
        events = of_job(collector, f"refresh_corpus.{asset}")
        assert [e["eventType"] for e in events] == ["START", "COMPLETE"]
        [run_id] = {e["run"]["runId"] for e in events}
        assert str(uuid.UUID(run_id)) == run_id
        assert {e["run"]["facets"]["parent"]["run"]["runId"] for e in events} == {done.run_id}


def test_a_table_is_told_with_its_columns_lineage_rows_and_versions(instance, collector, data):
    cursor = tick(instance, None)
    run(instance)
    tick(instance, cursor)
    event = of_job(collector, "refresh_corpus.chunks")[-1]
    [source], [made] = event["inputs"], event["outputs"]
    assert (made["namespace"], made["name"]) == (data.as_uri(), "chunks/demo")
    assert (source["namespace"], source["name"]) == (data.as_uri(), "documents/demo")
    assert made["facets"]["version"]["datasetVersion"] == "c1"
    assert source["facets"]["version"]["datasetVersion"] == "d1"
    assert made["outputFacets"]["outputStatistics"]["rowCount"] == 7
    fields = {f["name"]: f["description"] for f in made["facets"]["schema"]["fields"]}
    assert fields == tables.meanings("chunks")
    lineage = made["facets"]["columnLineage"]["fields"]["text"]["inputFields"]
    assert [(i["name"], i["field"]) for i in lineage] == [("documents/demo", "text")]


def test_events_have_the_shape_of_the_specification(instance, collector, data):
    cursor = tick(instance, None)
    run(instance)
    tick(instance, cursor)
    assert len(collector.events) == 6
    for event in collector.events:
        assert {"eventTime", "producer", "schemaURL", "run", "job", "eventType"} <= set(event)
        assert datetime.fromisoformat(event["eventTime"]).tzinfo is not None
        facets = [*event["run"]["facets"].values(), *event["job"]["facets"].values()]
        for dataset in [*event["inputs"], *event["outputs"]]:
            facets += dataset["facets"].values()
        for facet in facets:
            assert facet["_schemaURL"].startswith("https://openlineage.io/spec/")
            assert facet["_producer"].startswith("https://")


def test_a_step_that_failed_is_told_with_its_cause(instance, collector, data):
    cursor = tick(instance, None)
    run(instance, fails=True)
    tick(instance, cursor)
    assert of_job(collector, "refresh_corpus")[-1]["eventType"] == "FAIL"
    assert of_job(collector, "refresh_corpus.documents")[-1]["eventType"] == "COMPLETE"
    event = of_job(collector, "refresh_corpus.chunks")[-1]
    assert event["eventType"] == "FAIL"
    assert event["run"]["facets"]["errorMessage"]["message"] == "a passage of the corpus is missing"


def test_nothing_is_told_twice_and_what_did_not_arrive_is_told_later(instance, collector, data):
    cursor = tick(instance, None)
    run(instance)
    collector.answers = [404]
    first = tick(instance, cursor)
    assert collector.events == []
    cursor = tick(instance, first)
    assert len(collector.events) == 6
    tick(instance, cursor)
    assert len(collector.events) == 6


def test_an_event_that_is_refused_for_ever_does_not_keep_the_others(
    instance, collector, data, monkeypatch
):
    monkeypatch.setattr(openlineage, "_MOST_ATTEMPTS", 2)
    cursor = tick(instance, None)
    run(instance)
    collector.answers = [404, 404]
    tick(instance, tick(instance, cursor))
    assert [e["eventType"] for e in of_job(collector, "refresh_corpus")] == ["COMPLETE"]


def test_events_hold_no_text_of_a_corpus(instance, collector, data):
    cursor = tick(instance, None)
    run(instance)
    tick(instance, cursor)
    assert collector.events
    assert TEXT not in json.dumps(collector.events)


@pytest.mark.parametrize(
    ("root", "said"), [("/data", "file:///data"), ("s3://bucket/data/", "s3://bucket/data")]
)
def test_the_namespace_of_datasets_is_the_data_root(root, said):
    assert namespace(root) == said
