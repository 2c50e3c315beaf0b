"""Catalogue files and partitions: what is added, reported, retired, and what is left alone."""

import dagster as dg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bonito_assets.automation import inputs
from bonito_assets.automation.catalogue_watch import Plan, Seen, catalogue_watch, plan
from bonito_assets.catalogue import corpora
from tests.automation.platform import Platform

NAMES = st.sets(st.sampled_from("abcdefgh"))


@pytest.fixture
def platform(tmp_path):
    with dg.DagsterInstance.ephemeral() as instance:
        yield Platform(instance, tmp_path / "corpora")


def partitions(platform):
    return set(platform.instance.get_dynamic_partitions(corpora.name))


def looks(seen, files, problems, known, busy, times=2):
    """Gives the plan of the last of several looks at the same catalogue."""
    made = Plan(seen)
    for _ in range(times):
        made = plan(made.seen, files, problems, known, busy)
    return made


def test_a_file_becomes_a_partition_and_its_settings_are_known_before(platform):
    platform.write("a")
    result = platform.tick(catalogue_watch)
    assert partitions(platform) == {"a"}
    assert all(
        inputs.known_version(platform.instance, name, "a")
        for name in inputs.EXTERNAL
        if name.endswith("_settings")
    )
    assert "a" in result.skip_reason.skip_message


def test_a_catalogue_in_which_nothing_changed_reports_nothing(platform):
    platform.write("a")
    platform.tick(catalogue_watch)
    again = platform.tick(catalogue_watch)
    assert not again.asset_events
    assert not again.dynamic_partitions_requests


def test_an_invalid_file_is_told_once_and_stops_no_other(platform):
    platform.write("broken", nonsense=1)
    platform.write("a")
    first, second = platform.tick(catalogue_watch), platform.tick(catalogue_watch)
    assert "unknown key 'nonsense'" in first.skip_reason.skip_message
    assert "nonsense" not in second.skip_reason.skip_message
    assert partitions(platform) == {"a"}


def test_a_folder_that_cannot_be_read_is_no_empty_catalogue(platform):
    platform.write("a")
    platform.tick(catalogue_watch)
    platform.folder.rename(platform.folder.with_name("elsewhere"))
    assert "no such folder" in platform.tick(catalogue_watch).skip_message
    platform.folder.mkdir()  # what an unmounted disk leaves
    for _ in range(3):
        platform.tick(catalogue_watch)
    assert partitions(platform) == {"a"}


def test_a_corpus_whose_file_is_gone_is_retired_at_the_second_look(platform):
    gone = platform.write("a")
    platform.write("b")
    platform.tick(catalogue_watch)
    gone.unlink()
    platform.tick(catalogue_watch)
    assert partitions(platform) == {"a", "b"}
    platform.tick(catalogue_watch)
    assert partitions(platform) == {"b"}
    told = platform.instance.fetch_observations(dg.AssetKey(inputs.CATALOGUE), limit=1).records[0]
    assert told.asset_observation.metadata["retired"].value == "a"


@given(NAMES, NAMES, NAMES, NAMES)
def test_only_idle_partitions_without_a_file_are_removed(valid, invalid, known, busy):
    files = dict.fromkeys(valid, "1")
    made = looks(Seen(), files, dict.fromkeys(invalid - valid, "wrong"), known, busy)
    present = valid | invalid
    assert set(made.remove) == (known - present - busy if present else set())


@given(NAMES, NAMES, NAMES)
def test_a_change_is_reported_once_and_only_when_no_run_is_under_way(valid, known, busy):
    files = dict.fromkeys(valid, "2")
    before = Seen(reported=dict.fromkeys(valid, "1"))
    first = plan(before, files, {}, known, busy)
    assert set(first.report) == valid - busy
    second = plan(first.seen, files, {}, known, set())
    assert set(second.report) == valid & busy
    assert plan(second.seen, files, {}, known, set()).report == []


def test_thousands_of_new_files_are_taken_in_over_several_ticks():
    files = {f"c{number:04}": "1" for number in range(60)}
    seen, known, ticks = Seen(), set(), 0
    while known != set(files):
        made = plan(seen, files, {}, known, set())
        assert set(made.report) == set(made.add), "no settings without their partition"
        seen, known, ticks = made.seen, known | set(made.add), ticks + 1
    assert ticks > 1
