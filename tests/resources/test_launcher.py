"""A run whose process is gone is ended by the run monitoring, with nobody's help."""

import json
import logging
import os
import socket

import dagster as dg
import pytest
import yaml
from dagster._core.storage.tags import GRPC_INFO_TAG
from dagster._daemon.monitoring.run_monitoring import monitor_started_run

from bonito_assets import settings
from resources.one_writer import HOST, PROCESS, PROCESS_OF, process_name


@pytest.fixture
def instance():
    ours = yaml.safe_load((settings.PROJECT / "dagster.yaml").read_text())
    taken = {key: ours[key] for key in ("run_launcher", "run_monitoring")}
    with dg.instance_for_test(overrides=taken) as made:
        yield made


@dg.job
def nothing():
    pass


def monitored(instance, tags, **given):
    """Gives the status of a started run with `tags` after the daemon has looked at it."""
    run = instance.create_run_for_job(
        nothing, tags=tags, status=dg.DagsterRunStatus.STARTED, **given
    )
    record = instance.get_run_record_by_id(run.run_id)
    monitor_started_run(instance, None, record, logging.getLogger(__name__))
    return instance.get_run_by_id(run.run_id).status


def on_this_machine(process, **more):
    return {HOST: socket.gethostname(), PROCESS: process, **more}


def server(place):
    return {GRPC_INFO_TAG: json.dumps({"host": "localhost", **place})}


GONE = f"{os.getpid()}@1"


def test_a_run_whose_process_is_gone_has_failed(instance):
    assert monitored(instance, on_this_machine(GONE)) == dg.DagsterRunStatus.FAILURE


@pytest.mark.parametrize("place", [{"socket": "/no/such/socket"}, {"port": 1}], ids=list)
def test_a_run_that_has_not_named_its_process_goes_with_its_code_server(instance, place):
    assert monitored(instance, server(place)) == dg.DagsterRunStatus.FAILURE


def test_a_run_that_lives_goes_on_without_its_code_server(instance):
    tags = on_this_machine(process_name(os.getpid()), **server({"socket": "/no/such/socket"}))
    assert monitored(instance, tags) == dg.DagsterRunStatus.STARTED


def test_a_run_with_a_code_server_that_listens_goes_on(instance, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # the path of a socket may not be long
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("code")
        listening.listen()
        assert monitored(instance, server({"socket": "code"})) == dg.DagsterRunStatus.STARTED


def test_a_repeated_run_is_not_taken_for_the_one_that_it_repeats(instance):
    first = instance.create_run_for_job(nothing, tags=on_this_machine(GONE))
    for tags in (on_this_machine(GONE), on_this_machine(GONE, **{PROCESS_OF: first.run_id})):
        status = monitored(instance, tags, parent_run_id=first.run_id, root_run_id=first.run_id)
        assert status == dg.DagsterRunStatus.STARTED


def test_a_run_started_from_a_terminal_or_on_another_machine_is_left_alone(instance):
    for tags in ({}, {HOST: "elsewhere", PROCESS: GONE}):
        assert monitored(instance, tags) == dg.DagsterRunStatus.STARTED
