"""What the daily check tells of each corpus: its state, the cause, and what to do."""

import dagster as dg
import pytest

from bonito_assets.automation import alerts, inputs
from bonito_assets.automation.health import STATES, Finding, ago, survey, verdict
from bonito_assets.catalogue import Catalogue, corpora
from tests.automation.platform import CHAIN, Platform

DAY = 86_400.0


@pytest.fixture
def platform(tmp_path):
    with dg.DagsterInstance.ephemeral() as instance:
        yield Platform(instance, tmp_path / "corpora")


def look(platform, later=0.0):
    import time

    catalogue = Catalogue(folder=str(platform.folder))
    found = survey(platform.instance, catalogue, platform.graph, time.time() + later)
    return {finding.corpus: finding for finding in found}


def refreshed(platform, name, **keys):
    platform.write(name, **keys)
    platform.watch()
    assert platform.run(name, ["bonito_model", *CHAIN])


def test_a_fresh_corpus_needs_nobody(platform):
    refreshed(platform, "a")
    assert look(platform) == {}
    assert verdict([], 1).passed


def test_a_corpus_that_failed_is_told_with_step_cause_age_and_remedy(platform):
    platform.write("a")
    platform.watch()
    platform.failing.add(("generations", "a"))
    platform.run("a", ["bonito_model", *CHAIN])
    assert str(look(platform, later=2.5 * DAY)["a"]) == (
        "a: failed at generations 2 days ago: generations is broken; bonito run a"
    )


def test_a_corpus_is_stale_after_a_change_that_nobody_took_in(platform):
    refreshed(platform, "a")
    platform.write("a", curation={"max_per_document": 1})
    platform.watch()
    found = look(platform)["a"]
    assert found.state == "stale"
    assert "curated_tasks has a new dependency data version (curation_settings)" in found.sentence


def test_a_corpus_whose_time_passed_without_a_refresh_is_overdue(platform):
    refreshed(platform, "a", refresh="0 3 * * *")
    assert look(platform) == {}
    assert look(platform, later=3 * DAY)["a"].state == "overdue"


def test_a_corpus_without_a_dataset_was_never_refreshed(platform):
    platform.write("a")
    assert look(platform)["a"].state == "never refreshed"


def test_a_retired_corpus_is_listed_and_calls_for_nothing(platform):
    refreshed(platform, "a")
    (platform.folder / "a.yaml").unlink()
    platform.write("b")
    platform.instance.delete_dynamic_partition(corpora.name, "a")
    found = look(platform)
    assert found["a"].state == "retired"
    assert verdict([found["a"]], 1).passed


def test_an_invalid_file_is_told_with_its_own_sentence(platform):
    platform.write("a", nonsense=1)
    assert "unknown key 'nonsense'" in look(platform)["a"].remedy


def test_a_corpus_with_a_run_under_way_is_left_alone(platform):
    platform.write("a")
    job = platform.defs.resolve_implicit_global_asset_job_def()
    platform.instance.create_run_for_job(job, tags={"dagster/partition": "a"})
    found = look(platform)["a"]
    assert found.state == "under way"
    assert verdict([found], 1).passed


def test_the_verdict_counts_every_state_and_names_five():
    found = [Finding(f"c{number}", "failed", "failed", "run it") for number in range(7)]
    result = verdict(found, 9)
    assert not result.passed
    assert result.severity == dg.AssetCheckSeverity.WARN
    assert result.description.startswith("7 of 9 corpora need you: c0: failed; run it;")
    assert result.description.endswith("and 2 more")
    assert {state: result.metadata[state].value for state in STATES}["failed"] == 7


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(30, "just now"), (600, "10 minutes ago"), (7200, "2 hours ago"), (2 * DAY, "2 days ago")],
    ids=["now", "minutes", "hours", "days"],
)
def test_an_age_is_told_in_the_unit_that_fits(seconds, words):
    assert ago(1_000_000.0, 1_000_000.0 + seconds) == words


def test_the_job_warns_in_the_ui_and_by_an_alert(platform, tmp_path, monkeypatch):
    from bonito_assets.automation.health import corpora_are_healthy

    sent = []
    monkeypatch.setattr(alerts, "send", lambda said: sent.append(said) or [])
    platform.write("a", nonsense=1)
    done = (
        dg.Definitions(
            assets=inputs.external_assets(),
            asset_checks=[corpora_are_healthy],
            jobs=[dg.define_asset_job("look", dg.AssetSelection.checks(corpora_are_healthy))],
            resources={"catalogue": Catalogue(folder=str(platform.folder))},
        )
        .resolve_job_def("look")
        .execute_in_process(instance=platform.instance)
    )
    (result,) = done.get_asset_check_evaluations()
    assert not result.passed
    assert "nonsense" in sent[0].cause
