"""The random base model of the tuning tests, and an adapter for it that says something else."""

import importlib.util
from pathlib import Path

import pytest

_spec = importlib.util.spec_from_file_location(
    "tuning_fixtures", Path(__file__).parents[1] / "tuning" / "conftest.py"
)
_tuning = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_tuning)
base, tokenizer, encoder = _tuning.base, _tuning.tokenizer, _tuning.encoder


@pytest.fixture(scope="session")
def model(base):
    from bonito_assets.tuning.base_model import load

    return load(base)[0]


@pytest.fixture(scope="session")
def adapter(base, tmp_path_factory):
    """An adapter tuned to answer `yes` to everything."""
    from bonito_assets.catalogue import Tuning
    from bonito_assets.tuning.lora import tune
    from bonito_assets.tuning.record import write_record

    folder = tmp_path_factory.mktemp("adapter")
    rows = [
        {"generation_id": f"g{n}", "chunk_id": "c", "input": f"the river {n}", "output": "yes"}
        for n in range(32)
    ]
    settings = Tuning(learning_rate=2e-2, lora_r=8, batch_size=8, max_tokens=256, max_steps=20)
    outcome = tune(base, rows, [], {}, settings, folder, lambda line: None)
    write_record(folder, "meadows", base, folder, settings, outcome)
    return folder
