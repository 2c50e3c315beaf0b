import json

import pytest

from bonito_assets.catalogue import Tuning
from bonito_assets.tuning.lora import TuningError, planned_steps, rows_at_once, tune
from bonito_assets.tuning.record import adapter_digest, read_record, write_record
from resources.model import ModelError, resolve

SETTINGS = Tuning(learning_rate=1e-2, lora_r=8, batch_size=8, max_tokens=256, max_steps=6)


def rows(count):
    return [
        {
            "generation_id": f"g{n}",
            "chunk_id": "c",
            "input": f"the river rises in {n}\n\nis it spring ?",
            "output": "yes" if n % 2 else "no",
        }
        for n in range(count)
    ]


@pytest.fixture(scope="module")
def tuned(base, tmp_path_factory):
    folder = tmp_path_factory.mktemp("adapter")
    lines = []
    outcome = tune(base, rows(24), rows(2), {}, SETTINGS, folder, lines.append)
    return folder, outcome, lines


@pytest.mark.parametrize(
    ("count", "settings", "steps"),
    [
        (32, Tuning(), 2),
        (33, Tuning(), 3),
        (1, Tuning(), 1),
        (32, Tuning(epochs=3), 6),
        (1_000_000, Tuning(), 10_000),
        (1_000_000, Tuning(max_steps=20_000), 20_000),
    ],
)
def test_steps_are_one_epoch_up_to_ten_thousand_unless_told_otherwise(count, settings, steps):
    assert planned_steps(count, settings) == steps


def test_rows_at_once_divide_the_batch_and_keep_to_the_memory_limit():
    assert rows_at_once(Tuning(batch_size=16, max_tokens=1024)) == 4
    assert rows_at_once(Tuning(batch_size=15, max_tokens=1024)) == 3
    assert rows_at_once(Tuning(batch_size=16, max_tokens=8192)) == 1


def test_the_loss_falls_on_rows_seen_and_is_measured_on_rows_held_out(tuned):
    _, outcome, lines = tuned
    steps, losses = zip(*outcome.losses, strict=True)
    assert steps == (1, 2, 3, 4, 5, 6)
    assert losses[-1] < losses[0] - 1
    before, after = outcome.validation_loss
    assert after < before
    assert (outcome.rows, outcome.left_out, outcome.precision) == (24, [], "float32")
    assert any("step 6 of 6, loss" in line for line in lines)


def test_the_adapter_holds_matrices_for_every_linear_layer_and_names_its_base(tuned, base):
    from safetensors import safe_open

    folder, _, _ = tuned
    config = json.loads((folder / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == str(base.folder)
    with safe_open(folder / "adapter_model.safetensors", "pt") as weights:
        layers = {name.split(".")[-3] for name in weights.keys()}  # noqa: SIM118
    assert layers == {
        "q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"
    }  # fmt: skip


def test_the_same_rows_and_seed_give_the_same_adapter(tuned, base, tmp_path):
    tune(base, rows(24), [], {}, SETTINGS, tmp_path, lambda line: None)
    assert adapter_digest(tmp_path) == adapter_digest(tuned[0])


def test_the_record_says_what_the_model_was_made_from(tuned, base, tmp_path):
    folder, outcome, _ = tuned
    (tmp_path / "release.json").write_text('{"version": "abc"}')
    write_record(folder, "meadows", base, tmp_path, SETTINGS, outcome)
    record = read_record(folder)
    assert record["corpus"] == "meadows"
    assert record["base_model"] == {"name": base.name, "fingerprint": base.fingerprint}
    assert record["dataset_version"] == "abc"
    assert record["settings"]["learning_rate"] == 1e-2
    assert record["adapter_sha256"] == adapter_digest(folder)
    assert [point["step"] for point in record["losses"]] == [1, 2, 3, 4, 5, 6]
    assert {"torch", "trl", "peft"} <= set(record["libraries"])
    assert "meadows" in (folder / "README.md").read_text()


def test_one_row_is_enough(base, tmp_path):
    outcome = tune(base, rows(1), [], {}, Tuning(max_steps=1), tmp_path, lambda line: None)
    assert (outcome.rows, outcome.steps, outcome.validation_loss) == (1, 1, None)


def test_no_row_is_a_clear_error(base, tmp_path):
    with pytest.raises(TuningError, match="nothing to tune on: of 0 rows"):
        tune(base, [], [], {}, SETTINGS, tmp_path, lambda line: None)


def test_a_loss_that_is_not_a_number_stops_the_run(base, tmp_path):
    settings = SETTINGS.model_copy(update={"learning_rate": 1e30})
    with pytest.raises(TuningError, match=r"not a number at step \d of 6.*learning_rate"):
        tune(base, rows(24), [], {}, settings, tmp_path, lambda line: None)
    assert not list(tmp_path.iterdir())


def test_a_base_model_that_is_not_there_names_the_setting(tmp_path):
    from bonito_assets.tuning.base_model import BaseModel

    with pytest.raises(ModelError, match=r"BONITO_BASE_MODEL.*nowhere"):
        BaseModel(name=str(tmp_path / "nowhere")).resolve()


def test_weights_that_cannot_be_read_name_the_setting(tmp_path):
    from bonito_assets.tuning.base_model import load

    (tmp_path / "config.json").write_text('{"model_type": "no-such-architecture"}')
    (tmp_path / "model.safetensors").write_bytes(b"")
    with pytest.raises(ModelError, match=r"BONITO_BASE_MODEL.*cannot be loaded"):
        load(resolve(str(tmp_path), "BONITO_BASE_MODEL"))
