"""A training that is killed at any moment, of training or of saving, goes on as if it had not."""

import json
import subprocess
import sys

import pytest


@pytest.fixture(scope="module", params=[2, pytest.param(20, marks=pytest.mark.slow)])
def report(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("killed")
    command = [sys.executable, "-m", "tests.tuning.killed", str(folder), str(request.param)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads((folder / "report.json").read_text())


def test_every_killed_training_ends_with_the_weights_of_one_that_was_not(report):
    assert all(killed["after"] is not None for killed in report["killed"])
    adapters = {killed["after"]["adapter"] for killed in report["killed"]}
    assert adapters == {report["clean"]["adapter"]}


def test_its_loss_curve_has_no_gap(report):
    for killed in report["killed"]:
        assert killed["after"]["losses"] == report["clean"]["losses"]
        assert killed["after"]["validation_loss"] == report["clean"]["validation_loss"]


def test_it_goes_on_at_the_last_whole_checkpoint(report):
    for killed in report["killed"]:
        expected = [] if killed["whole"] is None else [killed["whole"]]
        assert killed["after"]["resumed_at"] == expected
    # Else the test would only show that trainings can be started twice.
    assert any(killed["whole"] is not None for killed in report["killed"])
