"""Several processes share a step: here on a CPU, on a machine with cards one for each."""

import json
from dataclasses import replace

import psutil
import pytest

from bonito_assets.catalogue import Tuning
from bonito_assets.tuning import cards
from bonito_assets.tuning.errors import TuningError
from bonito_assets.tuning.examples import examples
from bonito_assets.tuning.lora import Job, run

SETTINGS = Tuning(learning_rate=1e-3, lora_r=4, batch_size=4, max_tokens=64, max_steps=4)


@pytest.fixture
def job(base, encoder, tmp_path):
    rows = [
        {
            "generation_id": f"g{n}",
            "chunk_id": "c",
            "input": f"the river {n}",
            "output": "yes " * (1 + n % 5),
        }
        for n in range(16)
    ]
    made = examples(rows, {}, encoder, 64)
    return Job(base, made, made, SETTINGS, tmp_path / "adapter", tmp_path / "unfinished")


def gradient_norms(job):
    """The norms that the trainer wrote into its last checkpoint, one per step."""
    [state] = job.checkpoints.glob("*/checkpoint-4/trainer_state.json")
    history = json.loads(state.read_text())["log_history"]
    return [point["grad_norm"] for point in history if "grad_norm" in point]


@pytest.mark.parametrize(("found", "rows", "expected"), [(0, 16, 1), (4, 16, 4), (3, 16, 2)])
def test_as_many_cards_are_used_as_share_a_step_evenly(monkeypatch, found, rows, expected):
    import torch

    monkeypatch.setattr(torch.cuda, "device_count", lambda: found)
    assert cards.usable(rows) == expected


@pytest.mark.slow
def test_two_processes_learn_what_one_does(job, tmp_path):
    alone_job = replace(job, folder=tmp_path / "alone", checkpoints=tmp_path / "other")
    alone = run(alone_job, lambda line: None)
    lines = []
    shared = cards.on_all(replace(job, processes=2), lines.append)
    assert shared.cards == 2
    assert (job.folder / "adapter_model.safetensors").exists()
    assert [loss for _, loss in shared.losses] == pytest.approx(
        [loss for _, loss in alone.losses], rel=1e-3
    )
    assert shared.validation_loss == pytest.approx(alone.validation_loss, rel=1e-3)
    assert gradient_norms(job) == pytest.approx(gradient_norms(alone_job), rel=1e-2)
    assert (shared.rows, shared.tokens) == (alone.rows, alone.tokens)
    assert any("step 4 of 4" in line for line in lines)
    again = cards.on_all(replace(job, processes=2), lines.append)
    assert again.resumed_at == [4]


@pytest.mark.slow
def test_what_goes_wrong_in_one_is_told_and_leaves_none_behind(job):
    wild = SETTINGS.model_copy(update={"learning_rate": 1e30})
    with pytest.raises(TuningError, match="not a number"):
        cards.on_all(replace(job, settings=wild, processes=2), lambda line: None)
    assert not psutil.Process().children(recursive=True)
