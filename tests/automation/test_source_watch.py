"""Sources: what counts as a change, what a look may cost, and what happens when none answers."""

import os
import threading

import dagster as dg
import pytest

from bonito_assets.automation import inputs
from bonito_assets.automation import source_watch as watching
from bonito_assets.automation.source_watch import Look, due, pause, source_watch, to_report, within
from bonito_assets.catalogue import Corpus
from bonito_assets.ingestion.files import SourceError
from tests.automation.platform import Platform


@pytest.fixture
def platform(tmp_path):
    with dg.DagsterInstance.ephemeral() as instance:
        yield Platform(instance, tmp_path / "corpora")


def version(platform, name):
    return inputs.known_version(platform.instance, inputs.SOURCE, name)


def corpus(folder, **source):
    return Corpus(name="a", folder=folder, source=source, task_types=["exqa"])


def test_a_listing_changes_with_names_sizes_and_dates(tmp_path):
    (tmp_path / "one.txt").write_text("1")
    wanted = corpus(tmp_path, files="*.txt")
    first = inputs.source_version(wanted)
    assert inputs.source_version(wanted) == first
    os.utime(tmp_path / "one.txt", ns=(1, 1))
    second = inputs.source_version(wanted)
    (tmp_path / "two.txt").write_text("2")
    assert len({first, second, inputs.source_version(wanted)}) == 3


def test_a_dataset_of_the_hub_counts_by_name_and_revision(tmp_path):
    hub = {"path": "owner/name", "revision": "abc"}
    same = inputs.source_version(corpus(tmp_path, dataset=hub))
    assert inputs.source_version(corpus(tmp_path, dataset=hub)) == same
    assert inputs.source_version(corpus(tmp_path, dataset={**hub, "revision": "def"})) != same


def test_a_copy_that_is_under_way_is_waited_for():
    look = Look(reported={"source": "1"}, seen={"source": "1"})
    growing = {"source": "2"}
    assert not to_report(look, growing, busy=False)
    assert to_report(look.model_copy(update={"seen": growing}), growing, busy=False)


def test_a_change_during_a_run_is_reported_after_it():
    changed = {"source": "2"}
    look = Look(reported={"source": "1"}, seen=changed)
    assert not to_report(look, changed, busy=True)
    assert to_report(look, changed, busy=False)


def test_a_source_that_is_not_there_is_told_and_reports_nothing(platform):
    platform.write("a")
    platform.watch()
    before = version(platform, "a")
    (platform.folder.parent / "a.txt").unlink()
    results = [platform.tick(source_watch) for _ in range(3)]
    assert any("a.txt" in (result.skip_reason.skip_message or "") for result in results)
    assert version(platform, "a") == before


def test_the_longest_waiting_corpus_is_looked_at_first():
    looks = {"a": Look(again_at=30), "b": Look(again_at=10), "c": Look(again_at=90)}
    assert due(looks, ["a", "b", "c", "new"], now=50) == ["new", "b", "a"]


def test_looking_takes_a_hundredth_of_the_time_and_less_over_the_network(tmp_path):
    assert pause(corpus(tmp_path, files="*.txt"), seconds=2.0) == 200.0
    assert pause(corpus(tmp_path, files="s3://bucket/docs"), seconds=0.1) == 300.0


def test_a_source_that_hangs_is_given_up_and_not_asked_by_a_second_thread():
    release, calls = threading.Event(), []

    def hanging():
        calls.append(1)
        release.wait()
        return {}

    for _ in range(3):
        with pytest.raises(SourceError, match="did not answer"):
            within("slow", 0.05, hanging)
    release.set()
    watching._hanging["slow"].join()
    assert len(calls) == 1
    assert within("slow", 5, lambda: {"source": "1"}) == {"source": "1"}
