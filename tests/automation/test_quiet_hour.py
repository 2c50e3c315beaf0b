"""Twenty corpora in which nothing changes, watched for an hour by a clock of the test's own."""

import dagster as dg
import pytest

from bonito_assets.automation.catalogue_watch import catalogue_watch
from bonito_assets.automation.source_watch import source_watch
from tests.automation.platform import CHAIN, MODEL, Platform

pytestmark = pytest.mark.slow


def test_an_hour_in_which_nothing_changes_starts_no_run(tmp_path, monkeypatch):
    monkeypatch.setenv("BONITO_MODEL", "owner/model")
    monkeypatch.setenv("BONITO_BASE_MODEL", "owner/base")
    (tmp_path / "home").mkdir()
    with dg.DagsterInstance.local_temp(str(tmp_path / "home")) as instance:
        platform = Platform(instance, tmp_path / "corpora")
        names = [f"corpus{number:02}" for number in range(20)]
        for name in names:
            platform.write(name, refresh="0 3 * * *")
        platform.watch()
        platform.renew()
        for name in names:
            platform.run(name, [MODEL, *CHAIN])
        platform.run(names[0], ["instruction_mixture"])
        platform.settle(5)

        before = len(instance.get_runs())
        started = []
        for _ in range(60):
            for _ in range(4):
                started += platform.tick(catalogue_watch).asset_events
                started += platform.tick(source_watch).asset_events
            for _ in range(2):
                started += platform.schedule().run_requests or []
                started += platform.renew()
        assert started == []
        assert len(instance.get_runs()) == before
