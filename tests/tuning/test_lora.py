import json
import shutil
from types import SimpleNamespace

import pytest

from bonito_assets.catalogue import Tuning
from bonito_assets.tuning.base_model import load_model
from bonito_assets.tuning.checkpoints import Checkpoints
from bonito_assets.tuning.errors import TuningError
from bonito_assets.tuning.examples import examples
from bonito_assets.tuning.lora import (
    Job,
    method,
    planned_steps,
    rows_at_once,
    train_on,
    tune,
    tune_on_pairs,
    tune_on_text,
)
from bonito_assets.tuning.record import adapter_digest, read_record, write_record
from resources.model import ModelError, resolve

SETTINGS = Tuning(learning_rate=1e-2, lora_r=8, batch_size=8, max_tokens=256, max_steps=6)
BLOCKS = SETTINGS.model_copy(update={"max_tokens": 32, "batch_size": 2})


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


def tune_on(base, folder, settings=SETTINGS, checkpoints=None, log=lambda line: None):
    return tune(base, rows(24), rows(2), {}, settings, folder, log, checkpoints)


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


def test_the_record_says_what_the_model_was_made_from(tuned, base, encoder, tmp_path):
    folder, outcome, _ = tuned
    learned_tokens = [
        len(encoder.prompt(row["input"]) + encoder.answer(row["output"])) for row in rows(24)
    ]
    (tmp_path / "release.json").write_text('{"version": "abc"}')
    write_record(folder, "meadows", base, tmp_path, SETTINGS, outcome)
    record = read_record(folder)
    assert record["corpus"] == "meadows"
    assert record["base_model"] == {"name": base.name, "fingerprint": base.fingerprint}
    assert record["dataset_version"] == "abc"
    assert record["settings"]["learning_rate"] == 1e-2
    assert (record["method"], record["prompt"], record["arm"]) == ("lora", "bonito", "bonito")
    assert (record["cards"], record["resumed_at"]) == (1, [])
    assert record["tokens"] == 2 * sum(learned_tokens)
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


def test_weights_that_cannot_be_read_name_the_setting(base, tmp_path):
    other = shutil.copytree(base.folder, tmp_path / "other")
    (other / "config.json").write_text('{"model_type": "no-such-architecture"}')
    with pytest.raises(ModelError, match=r"BONITO_BASE_MODEL.*cannot be loaded"):
        load_model(resolve(str(other), "BONITO_BASE_MODEL"))


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda folder: (folder / "tokenizer.json").unlink(), "has no tokenizer"),
        (lambda folder: (folder / "tokenizer.json").write_text("{"), "cannot be loaded"),
    ],
    ids=["without", "damaged"],
)
def test_a_base_model_without_a_usable_tokenizer_names_the_setting(base, tmp_path, harm, message):
    other = shutil.copytree(base.folder, tmp_path / "other")
    harm(other)
    with pytest.raises(ModelError, match=f"BONITO_BASE_MODEL.*{message}"):
        tune_on(resolve(str(other), "BONITO_BASE_MODEL"), tmp_path / "adapter")
    assert not (tmp_path / "adapter").exists()


def test_a_tokenizer_of_another_model_is_told_from_its_tokens(base, tmp_path):
    other = shutil.copytree(base.folder, tmp_path / "other")
    config = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(json.dumps(config | {"vocab_size": 100}))
    with pytest.raises(ModelError, match=r"writes token \d+ and the model knows 100"):
        tune_on(resolve(str(other), "BONITO_BASE_MODEL"), tmp_path / "adapter")


# The recipe


def test_the_defaults_are_those_of_the_paper():
    recipe = Tuning()
    assert (recipe.lora_r, recipe.lora_alpha, recipe.batch_size) == (64, 16, 16)
    assert (recipe.learning_rate, recipe.epochs, recipe.arms) == (1e-4, 1, ["bonito"])


@pytest.mark.parametrize("arms", [["tapt"], ["bonito", "bonito"], []])
def test_the_arm_that_is_published_stands_once_among_the_arms(arms):
    with pytest.raises(ValueError, match="arms"):
        Tuning(arms=arms)


def test_rows_per_step_are_the_same_however_many_cards_share_them():
    settings = Tuning(batch_size=16, max_tokens=1024)
    for cards in (1, 2, 4, 8, 16):
        at_once = rows_at_once(settings, cards)
        accumulated = settings.batch_size // at_once // cards
        assert at_once * accumulated * cards == 16


def test_a_machine_without_cards_tunes_by_lora(base):
    assert method(base, Tuning()) == "lora"
    assert method(base, Tuning(method="qlora")) == "qlora"


@pytest.mark.parametrize(("gigabytes", "expected"), [(80, "lora"), (24, "qlora")])
def test_a_base_that_fills_half_of_the_card_is_held_in_four_bits(
    base, monkeypatch, gigabytes, expected
):
    import torch

    card = SimpleNamespace(total_memory=gigabytes * 10**9)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda number: card)
    # The weights of a model with 7 billion parameters of two bytes.
    monkeypatch.setattr("bonito_assets.tuning.lora.weight_bytes", lambda folder: 14_500_000_000)
    assert method(base, Tuning()) == expected


def test_a_base_in_four_bits_learns_too(base, tmp_path):
    outcome = tune_on(base, tmp_path, SETTINGS.model_copy(update={"method": "qlora"}))
    assert outcome.method == "qlora"
    assert outcome.losses[-1][1] < outcome.losses[0][1] - 1
    config = json.loads((tmp_path / "adapter_config.json").read_text())
    assert (config["r"], config["lora_alpha"], config["lora_dropout"]) == (8, 16, 0.0)


def test_linear_layers_of_a_four_bit_base_are_nf4_quantised_twice(base):
    from bitsandbytes.nn import Linear4bit

    model = load_model(base, four_bit=True)
    layers = [layer for layer in model.modules() if isinstance(layer, Linear4bit)]
    assert len(layers) == 14
    assert {layer.weight.quant_type for layer in layers} == {"nf4"}
    assert all(layer.weight.quant_state.nested for layer in layers)


# Raw text and ready pairs


def test_raw_text_is_learned_too_and_needs_no_prompt(base, tmp_path):
    texts = ["the river rises in spring", "the stork is yes"] * 20
    outcome = tune_on_text(base, texts, texts[:2], BLOCKS, tmp_path, lambda line: None)
    before, after = outcome.validation_loss
    assert after < before - 1
    assert outcome.prompt is None


def test_no_text_is_a_clear_error(base, tmp_path):
    with pytest.raises(TuningError, match="no text to tune on"):
        tune_on_text(base, [], [], BLOCKS, tmp_path, lambda line: None)


def test_pairs_are_learned_as_they_are_and_too_long_ones_are_named(base, tmp_path):
    pairs = [("the river\n", "yes"), ("the river " * 300, "no"), ("the stork\n", "no")]
    outcome = tune_on_pairs(base, pairs, [], SETTINGS, tmp_path, lambda line: None)
    assert (outcome.rows, outcome.left_out) == (2, ["1"])


# Going on


def test_a_training_that_ended_while_saving_goes_on_from_the_checkpoint_before(
    base, encoder, tuned, tmp_path, monkeypatch
):
    learned, held_out = (examples(rows(n), {}, encoder, 256) for n in (24, 2))
    place = tmp_path / "unfinished"
    job = Job(base, learned, held_out, SETTINGS, tmp_path / "adapter", place, 0)

    whole = Checkpoints.declare_whole

    def die_at_the_fourth(self, progress):
        if progress.step == 4:
            raise KeyboardInterrupt
        whole(self, progress)

    monkeypatch.setattr(Checkpoints, "declare_whole", die_at_the_fourth)
    with pytest.raises(KeyboardInterrupt):
        train_on(job, lambda line: None)
    monkeypatch.undo()
    lines = []
    outcome = train_on(job, lines.append)
    assert outcome.resumed_at == [3]
    assert any("going on after step 3 of 6" in line for line in lines)
    assert outcome.losses == tuned[1].losses
    assert adapter_digest(tmp_path / "adapter") == adapter_digest(tuned[0])


def test_a_training_that_had_ended_is_not_done_again(base, tmp_path):
    tune_on(base, tmp_path / "first", checkpoints=tmp_path / "unfinished")
    outcome = tune_on(base, tmp_path / "second", checkpoints=tmp_path / "unfinished")
    assert outcome.resumed_at == [6]
    assert adapter_digest(tmp_path / "first") == adapter_digest(tmp_path / "second")


def test_other_rows_or_settings_begin_anew(base, tmp_path):
    unfinished = tmp_path / "unfinished"
    tune_on(base, tmp_path / "first", checkpoints=unfinished)
    other = SETTINGS.model_copy(update={"learning_rate": 2e-2})
    assert tune_on(base, tmp_path / "b", other, checkpoints=unfinished).resumed_at == []
    assert tune_on(base, tmp_path / "c", checkpoints=unfinished).resumed_at == []
    assert len(list(unfinished.iterdir())) == 1
