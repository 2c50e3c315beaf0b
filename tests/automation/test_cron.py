"""The key `refresh`: when a corpus is due, and that it is due once."""

from datetime import UTC, datetime

import dagster as dg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bonito_assets.automation.cron import Served, due, last_tick
from tests.automation.platform import Platform

NIGHTLY = "0 3 * * *"
DAY = 86_400.0
START = datetime(2026, 3, 1, 12, tzinfo=UTC).timestamp()


@pytest.fixture
def platform(tmp_path):
    with dg.DagsterInstance.ephemeral() as instance:
        yield Platform(instance, tmp_path / "corpora", now=START)


def requests(result):
    return [(request.partition_key, request.run_key) for request in result.run_requests or []]


def test_a_corpus_is_refreshed_at_its_time_in_utc(platform):
    platform.write("a", refresh=NIGHTLY)
    platform.write("b")
    platform.watch()
    assert requests(platform.schedule()) == []
    platform.now = datetime(2026, 3, 2, 3, 0, 10, tzinfo=UTC).timestamp()
    assert requests(platform.schedule()) == [("a", "a 2026-03-02T03:00Z")]
    assert requests(platform.schedule()) == []


def test_after_three_missed_ticks_each_corpus_is_refreshed_exactly_once(platform):
    for name in "abc":
        platform.write(name, refresh=NIGHTLY)
    platform.watch()
    platform.schedule()
    platform.now += 3 * DAY + 60
    caught_up = [request for _ in range(20) for request in requests(platform.schedule())]
    assert sorted(name for name, _ in caught_up) == ["a", "b", "c"]


def test_a_corpus_with_a_run_under_way_is_refreshed_when_that_has_ended(platform):
    platform.write("a", refresh=NIGHTLY)
    platform.watch()
    platform.schedule()
    platform.now += DAY
    run = platform.instance.create_run_for_job(
        platform.defs.resolve_implicit_global_asset_job_def(), tags={"dagster/partition": "a"}
    )
    assert requests(platform.schedule()) == []
    platform.instance.report_run_canceled(run)
    assert len(requests(platform.schedule())) == 1


def test_a_corpus_whose_file_was_invalid_at_its_time_is_refreshed_when_that_is_put_right(platform):
    path = platform.write("a", refresh=NIGHTLY)
    right = path.read_text()
    platform.watch()
    platform.schedule()
    path.write_text("source: {files: [")
    platform.now += DAY
    assert requests(platform.schedule()) == []
    path.write_text(right)
    assert len(requests(platform.schedule())) == 1
    assert requests(platform.schedule()) == []


def test_a_tick_that_was_lost_with_the_daemon_has_the_same_key_again(platform):
    platform.write("a", refresh=NIGHTLY)
    platform.watch()
    platform.schedule()
    platform.now += DAY
    before = dict(platform.cursors)
    first = requests(platform.schedule())
    platform.cursors = before
    assert requests(platform.schedule()) == first


@given(st.floats(0, 4e9), st.sampled_from([NIGHTLY, "*/5 * * * *", "30 6 * * 1", "0 0 1 * *"]))
def test_the_last_tick_is_not_in_the_future_and_stays_the_last_until_the_next(now, cron):
    tick = last_tick(cron, now)
    assert tick <= now + 1
    assert last_tick(cron, tick) == tick


@given(st.lists(st.floats(1, 10 * DAY), max_size=20))
def test_no_tick_is_served_twice_however_the_daemon_sleeps(pauses):
    served, now, ticks = Served(), START, []
    for pause in pauses:
        wanted, served = due(served, {"a": NIGHTLY}, set(), now)
        ticks += wanted.values()
        now += pause
    assert len(ticks) == len(set(ticks))
    assert ticks == sorted(ticks)
