import json

import pytest

from bonito_assets.catalogue import Tuning
from bonito_assets.tuning.base_model import load_model
from bonito_assets.tuning.export import export
from bonito_assets.tuning.lora import tune
from bonito_assets.tuning.record import write_record
from resources.model import ModelError, resolve

SETTINGS = Tuning(learning_rate=1e-2, lora_r=8, batch_size=8, max_tokens=64, max_steps=10)


@pytest.fixture(scope="module")
def adapter(base, tmp_path_factory):
    folder = tmp_path_factory.mktemp("adapter")
    rows = [
        {"generation_id": f"g{n}", "chunk_id": "c", "input": f"the river {n}", "output": "yes"}
        for n in range(16)
    ]
    outcome = tune(base, rows, [], {}, SETTINGS, folder, lambda line: None)
    write_record(folder, "meadows", base, folder, SETTINGS, outcome)
    return folder


def test_a_merged_model_gives_the_probabilities_of_base_and_adapter(
    base, adapter, encoder, tmp_path
):
    from peft import PeftModel

    from bonito_assets.evaluation.scoring import log_likelihoods

    export(adapter, base, tmp_path / "merged")
    prompts = [encoder.prompt(f"the river {n}") for n in range(20)]
    answers = [[encoder.answer("yes"), encoder.answer("the stork of 1976")]] * 20
    tuned = PeftModel.from_pretrained(load_model(base), adapter).eval()
    merged = load_model(resolve(str(tmp_path / "merged"), "BONITO_BASE_MODEL"))
    expected = log_likelihoods(tuned, prompts, answers)
    got = log_likelihoods(merged, prompts, answers)
    assert got == [pytest.approx(row, abs=0.03) for row in expected]
    assert got != log_likelihoods(load_model(base), prompts, answers)


def test_the_precision_of_the_base_can_be_kept_for_size(base, adapter, tmp_path):
    import shutil

    import torch
    from safetensors.torch import load_file
    from transformers import AutoModelForCausalLM

    half = AutoModelForCausalLM.from_pretrained(base.folder, dtype=torch.bfloat16)
    folder = shutil.copytree(base.folder, tmp_path / "half")
    half.save_pretrained(folder)
    small_base = resolve(str(folder), "BONITO_BASE_MODEL")
    mine = shutil.copytree(adapter, tmp_path / "adapter")
    record = json.loads((mine / "training.json").read_text())
    record["base_model"]["fingerprint"] = small_base.fingerprint
    (mine / "training.json").write_text(json.dumps(record))
    for small, dtype in ((True, torch.bfloat16), (False, torch.float32)):
        export(mine, small_base, tmp_path / f"merged {small}", small)
        weights = load_file(tmp_path / f"merged {small}" / "model.safetensors")
        assert {tensor.dtype for tensor in weights.values()} == {dtype}


def test_it_is_a_whole_checkpoint_that_says_what_it_was_made_from(base, adapter, tmp_path):
    export(adapter, base, tmp_path / "merged")
    names = {path.name for path in (tmp_path / "merged").iterdir()}
    assert {"config.json", "model.safetensors", "tokenizer.json", "README.md"} <= names
    assert not any("adapter" in name for name in names)
    record = json.loads((tmp_path / "merged" / "training.json").read_text())
    assert record["corpus"] == "meadows"
    assert [path.name for path in tmp_path.iterdir()] == ["merged"]


def test_a_folder_that_holds_something_is_left_alone(base, adapter, tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(ModelError, match="holds something already"):
        export(adapter, base, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_an_adapter_of_another_base_is_refused(base, adapter, tmp_path):
    import shutil

    other = shutil.copytree(base.folder, tmp_path / "other")
    config = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(json.dumps(config | {"rope_theta": 5000.0}))
    with pytest.raises(ModelError, match=r"tuned over .* has other weights"):
        export(adapter, resolve(str(other), "BONITO_BASE_MODEL"), tmp_path / "merged")
    assert not (tmp_path / "merged").exists()
