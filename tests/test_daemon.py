"""The live daemon: a catalogue file dropped in becomes a published dataset by itself."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import dagster as dg
import pytest
import yaml

from bonito_assets import settings
from bonito_assets.catalogue import corpora
from bonito_assets.publishing.publish import DATASET

pytestmark = pytest.mark.slow

TEXT = """The tenant shall pay the rent on the first day of each month. If the rent is late by more
than ten days, the landlord may charge interest of five per cent a year. The tenant may end the
contract with a notice of three months. The landlord keeps the deposit until the flat was inspected.
"""


@pytest.fixture
def home(tmp_path, monkeypatch):
    """Gives a Dagster home of the test's own, with the project's settings."""
    folder = tmp_path / "home"
    folder.mkdir()
    content = yaml.safe_load((settings.PROJECT / "dagster.yaml").read_text())
    content["storage"]["sqlite"]["base_dir"] = str(folder / "storage")
    content["local_artifact_storage"]["config"]["base_dir"] = str(folder)
    content["compute_logs"]["config"]["base_dir"] = str(folder / "logs")
    (folder / "dagster.yaml").write_text(yaml.safe_dump(content))
    (tmp_path / "corpora").mkdir()
    for variable, place in (
        ("DAGSTER_HOME", "home"),
        ("BONITO_DATA", "data"),
        ("BONITO_CORPORA", "corpora"),
    ):
        monkeypatch.setenv(variable, str(tmp_path / place))
    monkeypatch.setenv("BONITO_MODEL", str(settings.DEMO_MODEL))
    monkeypatch.setenv("BONITO_BASE_MODEL", str(settings.DEMO_BASE_MODEL))
    # Two processes that make the databases at the same moment get into each other's way.
    with dg.DagsterInstance.from_config(str(folder)):
        pass
    return folder


@pytest.fixture
def daemon(home, tmp_path):
    """Runs the daemon until the test is over."""
    command = [str(Path(sys.executable).with_name("dagster-daemon")), "run"]
    with (tmp_path / "daemon.log").open("w") as log:
        process = subprocess.Popen(
            [*command, "-m", "bonito_assets.definitions", "-d", str(settings.PROJECT)],
            cwd=settings.PROJECT, env=os.environ, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
        yield process
        process.send_signal(signal.SIGINT)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def test_a_catalogue_file_dropped_in_becomes_a_dataset(home, daemon, tmp_path):
    with dg.DagsterInstance.from_config(str(home)) as instance:
        wait(120, lambda: instance.get_daemon_statuses(), daemon)
        (tmp_path / "lease.txt").write_text(TEXT)
        content = {
            "source": {"files": "../lease.txt"}, "task_types": ["exqa", "ynqa"],
            "chunking": {"max_chars": 200}, "samples_per_chunk": 4,
            "tuning": {"max_steps": 2, "batch_size": 2},
        }  # fmt: skip
        dropped = time.monotonic()
        (tmp_path / "corpora" / "lease.yaml").write_text(yaml.safe_dump(content))

        wait(120, lambda: "lease" in instance.get_dynamic_partitions(corpora.name), daemon)
        partition = time.monotonic() - dropped
        wait(500, lambda: materialized(instance, DATASET), daemon)
        dataset = time.monotonic() - dropped
        wait(300, lambda: materialized(instance, "tuned_model"), daemon)
        runs = instance.get_runs(filters=dg.RunsFilter(tags={"dagster/partition": "lease"}))
    figures = {"partition": partition, "dataset": dataset, "runs": len(runs)}
    (tmp_path / "figures.json").write_text(json.dumps(figures))
    assert (tmp_path / "data" / DATASET / "lease" / "README.md").exists()


def materialized(instance, asset):
    return "lease" in instance.get_materialized_partitions(dg.AssetKey(asset))


def wait(seconds, condition, daemon):
    """Waits until `condition` holds; the limit is there to end a test that hangs."""
    until = time.monotonic() + seconds
    while not condition():
        assert daemon.poll() is None, "the daemon ended"
        assert time.monotonic() < until, "it did not happen"
        time.sleep(1)
