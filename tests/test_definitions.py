"""The code location loads fast and quietly, and its graph is the one that was agreed."""

import json
import subprocess
import sys

import dagster as dg
import pytest

from bonito_assets.automation.inputs import EXTERNAL
from bonito_assets.catalogue import corpora
from bonito_assets.definitions import defs

CHAIN = {
    "documents": {"source", "ingestion_settings"},
    "bonito_model": {"generating_model_setting"},
    "chunks": {"documents", "bonito_model", "chunking_settings"},
    "generations": {"chunks", "bonito_model", "generation_settings"},
    "tasks": {"generations", "chunks", "parsing_settings"},
    "round_trips": {"tasks", "chunks", "round_trip_settings", "base_model_setting"},
    "curated_tasks": {
        "tasks", "generations", "chunks", "round_trips", "curation_settings", "test_sets"
    },
    "instruction_dataset": {"curated_tasks", "chunks", "documents", "publishing_settings"},
    "tuned_model": {"instruction_dataset", "chunks", "tuning_settings", "base_model_setting"},
    "evaluation": {"tuned_model", "evaluation_settings", "test_sets", "base_model_setting"},
}  # fmt: skip


@pytest.fixture(scope="module")
def specs():
    return {spec.key.to_user_string(): spec for spec in defs().resolve_all_asset_specs()}


def test_definitions_are_loadable():
    dg.Definitions.validate_loadable(defs())


def test_the_graph_is_the_agreed_one(specs):
    graph = {
        name: {dep.asset_key.to_user_string() for dep in spec.deps} for name, spec in specs.items()
    }
    assert {name: graph[name] for name in CHAIN} == CHAIN


def test_making_a_generator_is_a_chain_of_its_own(specs):
    assert {d.asset_key.to_user_string() for d in specs["bonito_checkpoint"].deps} == {"ctga"}
    assert set(specs) == {
        *CHAIN, *EXTERNAL, "instruction_mixture", "mixture_model", "ctga", "bonito_checkpoint"
    }  # fmt: skip


def test_every_stage_is_partitioned_by_corpus(specs):
    for name in CHAIN:
        expected = None if name == "bonito_model" else corpora
        assert specs[name].partitions_def == expected


def test_every_asset_is_described_owned_and_grouped(specs):
    for name, spec in specs.items():
        assert len(spec.description or "") > 60, f"{name} needs a description that teaches"
        assert spec.owners, f"{name} needs an owner"
        assert spec.kinds, f"{name} needs its kinds"
        assert spec.group_name != "default", f"{name} needs a group"
        assert spec.code_version or name in EXTERNAL, f"{name} needs a code version"


def test_the_mixture_is_made_of_all_corpora_and_has_a_job_of_its_own(specs):
    mixture = specs["instruction_mixture"]
    assert {dep.asset_key.to_user_string() for dep in mixture.deps} == {
        "instruction_dataset",
        "mixture_settings",
    }
    assert mixture.partitions_def is None
    model = specs["mixture_model"]
    assert {dep.asset_key.to_user_string() for dep in model.deps} == {"instruction_mixture"}
    for name, asset in (
        ("refresh_mixture", "instruction_mixture"),
        ("tune_mixture", "mixture_model"),
    ):
        job = defs().resolve_job_def(name)
        assert {k.to_user_string() for k in job.asset_layer.selected_asset_keys} == {asset}


def test_checks_are_judged_per_corpus_where_their_asset_is():
    graph = defs().resolve_asset_graph()
    for key in graph.asset_check_keys:
        assert graph.get(key).partitions_def == graph.get(key.asset_key).partitions_def, (
            f"{key} lets one corpus open another's gate"
        )


def test_a_refresh_is_the_whole_chain_and_trains_no_generator():
    job = defs().resolve_job_def("refresh_corpus")
    assert {k.to_user_string() for k in job.asset_layer.selected_asset_keys} == set(CHAIN)


def test_steps_that_use_the_card_share_its_pool():
    graph = defs().resolve_asset_graph()
    for name in ("generations", "round_trips", "tuned_model", "evaluation"):
        assert graph.get(dg.AssetKey(name)).pools == {"gpu"}


def test_loading_imports_nothing_heavy_and_prints_nothing():
    code = (
        "import sys, json; from bonito_assets.definitions import defs; defs();"
        "print(json.dumps([m for m in ('torch', 'vllm', 'trl', 'peft', 'transformers', 'datasets',"
        " 'matplotlib') if m in sys.modules]))"
    )
    done = subprocess.run(
        [sys.executable, "-W", "always", "-c", code], capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout) == []
    ours = [
        line for line in done.stderr.splitlines() if "bonito_assets" in line or "resources" in line
    ]
    assert ours == []
    assert "PreviewWarning" not in done.stderr


def test_what_is_made_by_hand_only_has_no_condition():
    graph = defs().resolve_asset_graph()
    by_hand = {
        key.to_user_string()
        for key in graph.materializable_asset_keys
        if graph.get(key).automation_condition is None
    }
    assert by_hand == {"mixture_model", "ctga", "bonito_checkpoint"}


def test_the_watches_and_the_daily_look_run_without_being_switched_on():
    loaded = defs()
    for name in ("catalogue_watch", "source_watch", "renewal", "refresh_on_schedule"):
        sensor = loaded.resolve_sensor_def(name)
        assert sensor.default_status == dg.DefaultSensorStatus.RUNNING
    daily = loaded.resolve_schedule_def("daily_health")
    assert daily.default_status == dg.DefaultScheduleStatus.RUNNING
    assert daily.cron_schedule == "0 7 * * *"


def test_every_run_has_a_time_limit():
    loaded = defs()
    for name in ("refresh_corpus", "refresh_mixture", "tune_mixture", "check_health"):
        assert "dagster/max_runtime" in loaded.resolve_job_def(name).tags
    assert "dagster/max_runtime" in loaded.resolve_sensor_def("renewal").run_tags


def test_a_step_whose_process_is_killed_starts_again_where_that_is_worth_it():
    loaded = defs()
    for name in ("generations", "round_trips", "tuned_model", "evaluation"):
        policy = loaded.resolve_assets_def(name).op.retry_policy
        assert policy is not None and policy.max_retries == 2
