"""One refresh of a corpus at a time, and a killed one stands in nobody's way."""

import os
import socket

import dagster as dg
import pytest

from bonito_assets import runs
from resources.one_writer import HOST, PROCESS, process_name


@pytest.fixture
def opened():
    with dg.instance_for_test(
        overrides={"concurrency": {"pools": {"default_limit": 1, "granularity": "op"}}}
    ) as instance:
        yield instance


def under_way(opened, process):
    run = opened.create_run_for_job(
        runs.reconstruct_job(runs.JOB),
        tags={
            "dagster/partition": "demo",
            HOST: socket.gethostname(),
            PROCESS: process,
        },
        status=dg.DagsterRunStatus.STARTED,
    )
    opened.event_log_storage.initialize_concurrency_limit_to_default("gpu")
    opened.event_log_storage.claim_concurrency_slot("gpu", run.run_id, "generations")
    return run.run_id


def slots_taken(opened):
    return opened.event_log_storage.get_concurrency_info("gpu").active_slot_count


def test_a_second_refresh_of_a_corpus_is_refused_with_the_run_that_is_under_way(opened):
    run_id = under_way(opened, process_name(os.getpid()))
    runs.clear_dead_runs(opened)
    with pytest.raises(runs.RunRefused, match=run_id):
        runs.refuse_second_run(opened, "demo")
    assert slots_taken(opened) == 1


def test_another_corpus_is_not_held_up(opened):
    under_way(opened, process_name(os.getpid()))
    runs.refuse_second_run(opened, "other")


@pytest.mark.parametrize(
    "process",
    ["999999999@1.0", f"{os.getpid()}@1.0"],
    ids=["no process has that number", "another process has that number now"],
)
def test_a_run_whose_process_is_gone_is_ended_and_gives_its_slot_back(opened, process):
    run_id = under_way(opened, process)
    runs.clear_dead_runs(opened)
    runs.refuse_second_run(opened, "demo")
    assert opened.get_run_by_id(run_id).status == dg.DagsterRunStatus.FAILURE
    assert slots_taken(opened) == 0


def test_assets_are_listed_in_the_order_in_which_data_flows():
    names = runs.asset_names()
    assert names[-2:] == ["tuned_model", "evaluation"]
    assert names.index("documents") < names.index("chunks") < names.index("generations")
