"""A broken checkpoint is refused with its cause before the first row is asked for."""

import json
import os
import shutil
import struct
from pathlib import Path

import pytest

from resources.generator import Outcome, Request, Sampling
from resources.model import ModelError, resolve
from resources.model_checks import canaries, check

DEMO = Path(__file__).parents[2] / "models" / "bonito-demo"
WEIGHTS = "model.safetensors"
LAYER = "model.layers.1.mlp.up_proj.weight"


@pytest.fixture
def folder(tmp_path):
    return Path(shutil.copytree(DEMO, tmp_path / "model"))


@pytest.fixture
def checked(folder):
    """Checks the copy as it is now; gives the warnings."""

    def run(log=lambda line: None, adapter=None):
        return check(resolve(str(folder), "BONITO_MODEL", adapter), log)

    return run


@pytest.fixture
def tensors(folder):
    """The weights of the copy; what a test changes in them goes by `save`."""
    from safetensors.torch import load_file

    return load_file(folder / WEIGHTS)


def save(tensors, folder, name=WEIGHTS):
    from safetensors.torch import save_file

    save_file(tensors, folder / name)


def edit_json(path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def split(tensors, folder):
    """Turns the one file of weights into two with an index; gives their names."""
    names = sorted(tensors)
    parts = {"a.safetensors": names[: len(names) // 2], "b.safetensors": names[len(names) // 2 :]}
    (folder / WEIGHTS).unlink()
    for file, held in parts.items():
        save({name: tensors[name] for name in held}, folder, file)
    weight_map = {name: file for file, held in parts.items() for name in held}
    (folder / f"{WEIGHTS}.index.json").write_text(json.dumps({"weight_map": weight_map}))
    return parts


@pytest.mark.parametrize("name", ["bonito-demo", "base-demo"])
def test_the_shipped_checkpoints_are_in_order(name, tmp_path):
    lines = []
    # A copy, since what passed once in this process is not looked at again.
    copy = shutil.copytree(DEMO.parent / name, tmp_path / name)
    assert check(resolve(str(copy), "BONITO_MODEL"), lines.append) == []
    assert len(lines) == 1
    assert "56 tensors" in lines[0]


def test_a_checkpoint_is_read_once_per_process(checked):
    lines = []
    checked(lines.append)
    checked(lines.append)
    assert len(lines) == 1


def test_weights_in_several_files_are_in_order(checked, folder, tensors):
    split(tensors, folder)
    assert checked() == []


@pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
@pytest.mark.parametrize(
    "dtype", ["bfloat16", "float16", "float32", "float64", "float8_e5m2", "float8_e4m3fn"]
)
def test_a_value_that_is_no_number_is_found_in_every_type(checked, folder, tensors, dtype, value):
    import torch

    kind = getattr(torch, dtype)
    whole = tensors[LAYER].to(kind)
    assert not whole.float().isnan().any()
    if dtype == "float8_e4m3fn":
        value = "nan"  # the type has no infinity
    whole[-1, -1] = torch.tensor(float(value), dtype=kind)
    save(tensors | {LAYER: whole}, folder)
    with pytest.raises(ModelError, match=rf"model\.safetensors: '{LAYER}' holds NaN or infinity"):
        checked()


@pytest.mark.parametrize(
    "dtype", ["bfloat16", "float16", "float32", "float64", "float8_e5m2", "float8_e4m3fn"]
)
def test_the_largest_numbers_of_every_type_are_numbers(checked, folder, tensors, dtype):
    import torch

    kind = getattr(torch, dtype)
    most = torch.full(tensors[LAYER].shape, torch.finfo(kind).max, dtype=kind)
    save(tensors | {LAYER: most, "model.norm.weight": -tensors["model.norm.weight"]}, folder)
    assert checked() == []


def test_integers_are_not_taken_for_numbers_gone_wrong(checked, folder, tensors):
    import torch

    save(tensors | {"ids": torch.full((8,), 0x7F80, dtype=torch.int16)}, folder)
    assert checked() == []


def test_a_missing_tensor_is_named(checked, folder, tensors):
    del tensors[LAYER]
    save(tensors, folder)
    with pytest.raises(ModelError, match=rf"lacks weights .*'{LAYER}'.*again"):
        checked()


def test_many_missing_tensors_are_counted(checked, folder, tensors):
    save({name: t for name, t in tensors.items() if "layers.5" not in name}, folder)
    with pytest.raises(ModelError, match=r"lacks weights .*'model\.layers\.5.*, 6 more\)"):
        checked()


def test_tied_weights_may_be_absent_and_untied_ones_not(checked, folder):
    assert checked() == []  # the demonstration checkpoint ties its output layer
    edit_json(folder / "config.json", tie_word_embeddings=False)
    with pytest.raises(ModelError, match=r"lacks weights.*'lm_head\.weight'"):
        checked()


def test_weights_of_another_shape_are_refused(checked, folder):
    edit_json(folder / "config.json", intermediate_size=640)
    with pytest.raises(ModelError, match=r"has the shape \[.*calls for \[.*640.*different models"):
        checked()


@pytest.mark.parametrize("kept", [0, 5, 1000, 1_000_000])
def test_a_file_that_is_cut_off_is_named(checked, folder, kept):
    os.truncate(folder / WEIGHTS, kept)
    with pytest.raises(ModelError, match=r"model\.safetensors (is cut off|has 1,000,000 bytes)"):
        checked()


def test_a_file_that_is_too_long_is_named(checked, folder):
    with (folder / WEIGHTS).open("ab") as file:
        file.write(b"more")
    with pytest.raises(ModelError, match=r"model\.safetensors has [\d,]+ bytes where"):
        checked()


def test_a_damaged_header_is_named(checked, folder):
    (folder / WEIGHTS).write_bytes(struct.pack("<Q", 6) + b'{"a":}')
    with pytest.raises(ModelError, match=r"model\.safetensors: its header is damaged"):
        checked()


def test_a_pointer_to_weights_that_were_not_pulled_is_explained(checked, folder):
    (folder / WEIGHTS).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n")
    with pytest.raises(ModelError, match="git lfs pull"):
        checked()


def test_a_file_that_the_index_names_must_be_there(checked, folder, tensors):
    split(tensors, folder)
    (folder / "b.safetensors").unlink()
    with pytest.raises(ModelError, match=r"b\.safetensors is missing"):
        checked()


def test_a_tensor_must_lie_where_the_index_says(checked, folder, tensors):
    parts = split(tensors, folder)
    gone = parts["b.safetensors"][0]
    save({name: tensors[name] for name in parts["b.safetensors"][1:]}, folder, "b.safetensors")
    with pytest.raises(ModelError, match=rf"b\.safetensors does not hold '{gone}'"):
        checked()


def test_a_tokenizer_of_another_model_is_refused(checked, folder):
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    tokenizer["model"]["vocab"] |= {f"word{i}": i for i in range(4000, 6000)}
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    with pytest.raises(ModelError, match=r"knows 5,\d\d\d tokens and the model 3,072: it belongs"):
        checked()


def test_a_token_added_beyond_the_vocabulary_is_a_warning(checked, folder):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert tokenizer.add_tokens(["<|poison|>"]) == 1
    tokenizer.save_pretrained(folder)
    (warning,) = checked()
    assert "added to it and not to the model" in warning
    assert "'<|poison|>'" in warning


def test_a_tokenizer_that_cannot_be_loaded_is_explained(checked, folder):
    (folder / "tokenizer.json").write_text("{")
    with pytest.raises(ModelError, match=r"the tokenizer in .* cannot be loaded \("):
        checked()


def test_an_architecture_that_nobody_knows_is_logged_and_its_values_are_checked(
    checked, folder, tensors
):
    edit_json(folder / "config.json", model_type="novel")
    lines = []
    assert checked(lines.append) == []
    assert "novel" in lines[0]
    assert "not checked" in lines[0]
    tensors[LAYER][0, 0] = float("nan")
    save(tensors, folder)
    with pytest.raises(ModelError, match="NaN"):
        checked()


def test_a_checkpoint_that_brings_its_own_code_is_refused(checked, folder):
    marker = folder / "ran"
    (folder / "novel.py").write_text(f"open({str(marker)!r}, 'w')\nclass Novel: ...\n")
    edit_json(
        folder / "config.json",
        model_type="novel",
        auto_map={"AutoConfig": "novel.Novel", "AutoModelForCausalLM": "novel.Novel"},
    )
    with pytest.raises(ModelError, match=r"'novel'.*never run"):
        checked()
    assert not marker.exists()


def test_quantised_weights_may_go_by_other_names(checked, folder, tensors):
    import torch

    edit_json(folder / "config.json", quantization_config={"quant_method": "awq", "bits": 4})
    module = LAYER.removesuffix(".weight")
    del tensors[LAYER]
    save(tensors, folder)
    with pytest.raises(ModelError, match="lacks weights"):
        checked()
    save(tensors | {f"{module}.qweight": torch.zeros(8, 8, dtype=torch.int32)}, folder)
    assert checked() == []


@pytest.fixture
def adapter(tmp_path, tensors):
    """A LoRA adapter of rank 4 over one layer; its halves can be changed and saved again."""
    folder = tmp_path / "adapter"
    folder.mkdir()
    (folder / "adapter_config.json").write_text(json.dumps({"r": 4}))
    outputs, inputs = tensors[LAYER].shape
    name = f"base_model.model.{LAYER.removesuffix('.weight')}"

    def write(inputs=inputs, value=0.0):
        import torch

        halves = {
            f"{name}.lora_A.weight": torch.full((4, inputs), value),
            f"{name}.lora_B.weight": torch.zeros(outputs, 4),
        }
        save(halves, folder, "adapter_model.safetensors")
        return str(folder)

    return write


def test_an_adapter_is_checked_with_its_base(checked, adapter):
    lines = []
    assert checked(lines.append, adapter=adapter()) == []
    assert "58 tensors" in lines[-1]
    with pytest.raises(ModelError, match=r"lora_A.*NaN"):
        checked(adapter=adapter(value=float("nan")))


def test_an_adapter_of_another_model_is_refused(checked, adapter):
    with pytest.raises(ModelError, match=r"made for another model.*lora_A.*\[4, 7\]"):
        checked(adapter=adapter(inputs=7))


class Answers:
    """A session that answers every request with the same outcome."""

    cards = 1

    def __init__(self, *outcomes):
        self.outcomes = outcomes

    def generate(self, requests):
        list(requests)
        return iter(self.outcomes)


def answer(output, tokens=8, finish_reason="length", mean_logprob=-1.0):
    return Outcome("key", output, finish_reason, 5, tokens, mean_logprob)


REQUESTS = [Request("key", "prompt", Sampling(0.0, 1.0, 8))]


@pytest.mark.parametrize(
    ("outcomes", "seen"),
    [
        ([answer("fine"), answer("fine", mean_logprob=float("nan"))], r"not finite \(nan\)"),
        ([answer(""), answer(" \n")], "nothing but white space"),
        ([answer("the" * 8)], "one token over and over"),
        ([answer("the the the", 3)], "one token over and over"),
        ([answer(" a" * 8), answer("\ufffd" * 8)], "one token over and over"),
    ],
)
def test_answers_that_only_a_broken_model_gives_stop_the_run(outcomes, seen):
    with pytest.raises(ModelError, match=seen):
        canaries(Answers(*outcomes), REQUESTS)


@pytest.mark.parametrize(
    "outcomes",
    [
        [answer("Is it so?\n<|pipe|>\nYes", 6, "stop")],
        [answer(""), answer("text")],  # one empty answer is no broken model
        [answer("the" * 8), answer("text and more")],
        [answer("no", 1, "stop")],
        [answer("an output that met its limit", 6)],
        [answer("text", mean_logprob=None)],
    ],
)
def test_answers_that_a_sane_model_may_give_pass(outcomes):
    canaries(Answers(*outcomes), REQUESTS)


def test_trial_prompts_that_nobody_answers_stop_the_run():
    with pytest.raises(ModelError, match="none of 1 trial prompts got an answer: engine_error"):
        canaries(Answers(Outcome("key", rejected_because="engine_error")), REQUESTS)


def test_a_model_whose_weights_are_on_a_server_is_judged_by_its_tokenizer(tmp_path):
    folder = tmp_path / "bonito"
    shutil.copytree(DEMO, folder, ignore=shutil.ignore_patterns("*.safetensors"))
    with pytest.raises(ModelError, match="safetensors"):
        resolve(str(folder), "BONITO_MODEL")
    lines = []
    assert check(resolve(str(folder), "BONITO_MODEL", weights=False), lines.append) == []
    assert "not on this machine" in lines[0]
