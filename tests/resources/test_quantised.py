"""What a quantised checkpoint asks of the hardware."""

from __future__ import annotations

import json

import pytest

from resources import quantised, vllm_engine
from resources.hardware import Card
from resources.model import Model, ModelError, resolve
from resources.quantised import quantization, require_hardware
from resources.vllm_engine import VllmEngine

_OLD, _NEW = Card("Tesla V100", 1 << 34, (7, 0)), Card("NVIDIA H100", 1 << 36, (9, 0))


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / "model"
    place.mkdir()
    (place / "tokenizer.json").write_text("{}")
    (place / "model.safetensors").write_bytes(b"weights")
    return place


def _quantised(folder, method, **more) -> Model:
    config = {"max_position_embeddings": 512}
    if method is not None:
        config["quantization_config"] = {"quant_method": method, **more}
    (folder / "config.json").write_text(json.dumps(config))
    return resolve(str(folder), "BONITO_MODEL")


@pytest.mark.parametrize("method", ["awq", "gptq", "fp8", "compressed-tensors", None])
def test_the_config_says_how_a_checkpoint_is_quantised(folder, method):
    assert quantization(_quantised(folder, method).folder) == method


def test_another_quantisation_is_another_model(folder):
    made = {
        _quantised(folder, method, bits=bits).fingerprint
        for method, bits in (("awq", 4), ("awq", 8), ("gptq", 4))
    }
    assert len(made | {_quantised(folder, None).fingerprint}) == 4


@pytest.mark.parametrize(
    ("method", "lacks"), [("awq", "AVX-512"), ("gptq", "AVX-512"), ("fp8", "AMX")]
)
def test_a_cpu_that_cannot_run_it_is_told_what_it_lacks(folder, method, lacks):
    model = _quantised(folder, method)
    with pytest.raises(ModelError, match=rf"BONITO_MODEL: .*quantised \({method}\).*{lacks}.*card"):
        require_hardware(model, "BONITO_MODEL", [], {"avx2"})
    require_hardware(model, "BONITO_MODEL", [], {"avx2", "avx512f", "amx_tile"})
    require_hardware(model, "BONITO_MODEL", [], None)  # not known: the engine will say


def test_a_card_that_is_too_old_is_named_with_what_it_takes(folder):
    model = _quantised(folder, "awq")
    with pytest.raises(ModelError, match=r"a Tesla V100 of compute capability 7\.0.* 7\.5 or more"):
        require_hardware(model, "BONITO_MODEL", [_NEW, _OLD], None)
    require_hardware(model, "BONITO_MODEL", [_NEW], None)


@pytest.mark.parametrize("method", [None, "a-kind-of-next-year"])
def test_what_is_not_known_to_need_anything_is_left_to_the_engine(folder, method):
    require_hardware(_quantised(folder, method), "BONITO_MODEL", [], set())


def test_the_engine_refuses_before_it_starts(folder, monkeypatch):
    monkeypatch.setattr(vllm_engine, "find_cards", list)
    monkeypatch.setattr(vllm_engine, "cpu_features", lambda: {"avx2"})
    _quantised(folder, "fp8")
    with pytest.raises(ModelError, match="CPU without AMX"):
        VllmEngine(model=str(folder)).resolve()


def test_the_features_of_an_x86_processor_are_read(tmp_path, monkeypatch):
    info = tmp_path / "cpuinfo"
    info.write_text("processor\t: 0\nflags\t\t: fpu avx2 amx_tile\n\nprocessor\t: 1\n")
    monkeypatch.setattr(quantised, "_CPU_INFO", info)
    assert quantised.cpu_features() == {"fpu", "avx2", "amx_tile"}
    info.write_text("Features\t: fp asimd\n")
    assert quantised.cpu_features() is None
