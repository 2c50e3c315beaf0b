"""Settings choose the backend; a wrong one is explained."""

import pytest

from bonito_assets import settings
from bonito_assets.settings import SettingError
from resources.ray_cluster import RayCluster
from resources.vllm_engine import VllmEngine
from resources.vllm_server import VllmServer


@pytest.fixture(autouse=True)
def clean(monkeypatch):
    for name in ("BACKEND", "ENGINE_ARGS", "SERVER_URL", "RAY_ADDRESS", "GPU_HOUR_PRICE"):
        monkeypatch.delenv(f"BONITO_{name}", raising=False)


def test_the_engine_on_this_machine_is_the_default():
    assert isinstance(settings.generator(), VllmEngine)


def test_arguments_of_vllm_come_as_json(monkeypatch):
    monkeypatch.setenv("BONITO_ENGINE_ARGS", '{"tensor_parallel_size": 2, "quantization": "fp8"}')
    made = settings.generator()
    assert (made.tensor_parallel_size, made.quantization) == (2, "fp8")
    monkeypatch.setenv("BONITO_BACKEND", "ray")
    assert settings.generator().engine["tensor_parallel_size"] == 2


def test_several_servers_share_the_work(monkeypatch):
    monkeypatch.setenv("BONITO_BACKEND", "server")
    monkeypatch.setenv("BONITO_SERVER_URL", "http://a:8000, http://b:8000/v1")
    made = settings.generator()
    assert isinstance(made, VllmServer)
    assert made.urls == ["http://a:8000", "http://b:8000/v1"]


def test_a_ray_cluster_is_joined_by_its_address(monkeypatch):
    monkeypatch.setenv("BONITO_BACKEND", "ray")
    monkeypatch.setenv("BONITO_RAY_ADDRESS", "auto")
    made = settings.generator()
    assert isinstance(made, RayCluster)
    assert made.address == "auto"


def test_a_price_per_hour_reaches_every_backend(monkeypatch):
    monkeypatch.setenv("BONITO_GPU_HOUR_PRICE", "2.5")
    assert settings.generator().price_per_gpu_hour == 2.5


@pytest.mark.parametrize(
    ("variable", "value", "sentence"),
    [
        ("BONITO_BACKEND", "tgi", "there is no backend 'tgi'; use engine, server or ray"),
        ("BONITO_BACKEND", "server", "BONITO_SERVER_URL: the backend 'server' needs the address"),
        ("BONITO_ENGINE_ARGS", "tp=2", "not a JSON object"),
        ("BONITO_ENGINE_ARGS", "[2]", "not a JSON object"),
        ("BONITO_ENGINE_ARGS", '{"tensor_paralel_size": 2}', "no argument 'tensor_paralel_size'"),
        ("BONITO_ENGINE_ARGS", '{"max_num_seqs": "many"}', "max_num_seqs"),
        ("BONITO_ENGINE_ARGS", '{"extra": {"quantization": "fp8"}}', "a setting of its own"),
        ("BONITO_GPU_HOUR_PRICE", "cheap", "not a number"),
        ("BONITO_GPU_HOUR_PRICE", "-1", "not a number"),
    ],
)
def test_a_wrong_setting_names_itself_and_what_would_be_right(
    monkeypatch, variable, value, sentence
):
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingError, match=sentence) as error:
        settings.generator()
    assert "BONITO_" in str(error.value)


@pytest.mark.parametrize("backend", ["engine", "ray"])
def test_what_changes_the_outputs_is_part_of_the_model_with_every_engine(monkeypatch, backend):
    monkeypatch.setenv("BONITO_BACKEND", backend)
    plain = settings.generator().resolve().fingerprint
    monkeypatch.setenv("BONITO_ENGINE_ARGS", '{"max_num_seqs": 8}')
    assert settings.generator().resolve().fingerprint == plain
    monkeypatch.setenv("BONITO_ENGINE_ARGS", '{"quantization": "fp8"}')
    assert settings.generator().resolve().fingerprint != plain
