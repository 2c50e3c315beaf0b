"""A model's name leads to one checkpoint, or to a sentence that says what is wrong with it."""

import json
import os
import socket
import time
from pathlib import Path

import pytest

from resources import model as models
from resources.model import ModelError, is_path, resolve


@pytest.fixture
def checkpoint(tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"max_position_embeddings": 512}))
    (folder / "tokenizer.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"weights")
    return folder


def test_a_folder_is_fingerprinted_by_its_content(checkpoint):
    before = resolve(str(checkpoint), "BONITO_MODEL")
    assert before.max_tokens == 512
    assert before == resolve(str(checkpoint), "BONITO_MODEL")
    (checkpoint / "model.safetensors").write_bytes(b"Weights")
    assert resolve(str(checkpoint), "BONITO_MODEL").fingerprint != before.fingerprint


def test_a_moved_folder_is_the_same_model(checkpoint, tmp_path):
    before = resolve(str(checkpoint), "BONITO_MODEL")
    after = resolve(str(checkpoint.rename(tmp_path / "moved")), "BONITO_MODEL")
    assert before.fingerprint == after.fingerprint


def test_a_card_is_no_part_of_the_model(checkpoint):
    before = resolve(str(checkpoint), "BONITO_MODEL")
    (checkpoint / "README.md").write_text("a better card")
    assert resolve(str(checkpoint), "BONITO_MODEL").fingerprint == before.fingerprint


def test_a_label_is_short_and_names_the_fingerprint(checkpoint):
    model = resolve(str(checkpoint), "BONITO_MODEL")
    assert model.label == f"model@{model.fingerprint[:12]}"


def test_a_config_that_states_no_sizes_is_explained(checkpoint):
    with pytest.raises(ModelError, match=r"config\.json states no vocab_size"):
        _ = resolve(str(checkpoint), "BONITO_MODEL").vocabulary
    (checkpoint / "config.json").write_text("{")
    with pytest.raises(ModelError, match=r"config\.json is damaged"):
        _ = resolve(str(checkpoint), "BONITO_MODEL").vocabulary


def test_a_checkpoint_that_has_not_changed_is_not_read_again(checkpoint, monkeypatch):
    before = resolve(str(checkpoint), "BONITO_MODEL")
    reads = []
    plain = Path.open
    monkeypatch.setattr(Path, "open", lambda path, *a: reads.append(path.name) or plain(path, *a))
    assert resolve(str(checkpoint), "BONITO_MODEL") == before
    assert reads == []
    os.utime(checkpoint / "model.safetensors", ns=(0, 0))  # touched: it may have changed
    assert resolve(str(checkpoint), "BONITO_MODEL") == before
    assert "model.safetensors" in reads


@pytest.mark.parametrize("pickled", ["pytorch_model.bin", "model.pt"])
def test_pickled_weights_are_never_read(checkpoint, pickled):
    (checkpoint / "model.safetensors").rename(checkpoint / pickled)
    with pytest.raises(ModelError, match=r"BONITO_MODEL.*can run code.*convert them"):
        resolve(str(checkpoint), "BONITO_MODEL")


@pytest.fixture
def adapter(tmp_path):
    folder = tmp_path / "adapter"
    folder.mkdir()
    (folder / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": "a/base"}))
    (folder / "adapter_model.safetensors").write_bytes(b"halves")
    return folder


def test_an_adapter_and_a_quantisation_make_another_model(checkpoint, adapter):
    def asked(**settings):
        return resolve(str(checkpoint), "BONITO_MODEL", **settings)

    fingerprints = {
        asked().fingerprint,
        asked(adapter=str(adapter)).fingerprint,
        asked(quantization="fp8").fingerprint,
        asked(adapter=str(adapter), quantization="fp8").fingerprint,
    }
    (adapter / "adapter_model.safetensors").write_bytes(b"Halves")
    fingerprints.add(asked(adapter=str(adapter)).fingerprint)
    assert len(fingerprints) == 5


def test_a_model_with_an_adapter_names_both(checkpoint, adapter):
    model = resolve(str(checkpoint), "BONITO_MODEL", adapter=str(adapter))
    assert (model.folder, model.adapter) == (checkpoint, adapter)
    assert model.label.startswith("model+adapter@")


def test_an_adapter_in_the_place_of_a_model_says_what_to_set(adapter):
    with pytest.raises(
        ModelError, match=r"set BONITO_MODEL to its base model 'a/base' and .*adapt"
    ):
        resolve(str(adapter), "BONITO_MODEL")


def _over(adapter, base, **config):
    stated = {"base_model_name_or_path": str(base), **config}
    (adapter / "adapter_config.json").write_text(json.dumps(stated))


def test_an_adapter_brings_along_the_base_model_that_it_names(checkpoint, adapter):
    _over(adapter, checkpoint)
    model = resolve(str(adapter), "BONITO_MODEL", may_be_adapter=True)
    assert (model.folder, model.adapter) == (checkpoint, adapter)
    assert model == resolve(str(checkpoint), "BONITO_MODEL", adapter=str(adapter))


def test_an_adapter_is_another_model_when_its_base_or_its_weights_change(checkpoint, adapter):
    _over(adapter, checkpoint)
    fingerprints = set()
    for changed in (None, checkpoint / "model.safetensors", adapter / "adapter_model.safetensors"):
        if changed:
            changed.write_bytes(changed.read_bytes().upper())
        model = resolve(str(adapter), "BONITO_MODEL", may_be_adapter=True)
        fingerprints.add(model.fingerprint)
    assert len(fingerprints) == 3


@pytest.mark.parametrize(
    ("base", "message"),
    [
        ("/none/here", "the base model of .* '/none/here', is not there; put it back, or"),
        ("", "names no base model; set BONITO_MODEL to the"),
    ],
)
def test_an_adapter_without_its_base_model_is_explained(adapter, base, message):
    _over(adapter, base)
    with pytest.raises(ModelError, match=rf"BONITO_MODEL: .*{message}"):
        resolve(str(adapter), "BONITO_MODEL", may_be_adapter=True)


def test_two_adapters_over_one_another_are_refused(checkpoint, adapter):
    _over(adapter, checkpoint)
    with pytest.raises(ModelError, match="only one can be laid over a model"):
        resolve(str(adapter), "BONITO_MODEL", adapter=str(adapter), may_be_adapter=True)


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        ("adapter_config.json", "must be a LoRA adapter"),
        ("adapter_model.safetensors", "can run code"),
    ],
)
def test_a_folder_that_is_no_adapter_is_explained(checkpoint, adapter, missing, message):
    (adapter / missing).unlink()
    with pytest.raises(ModelError, match=rf"BONITO_MODEL's adapter: .* holds no .*{message}"):
        resolve(str(checkpoint), "BONITO_MODEL", adapter=str(adapter))


@pytest.mark.parametrize("missing", ["config.json", "model.safetensors"])
def test_a_folder_that_is_no_checkpoint_is_explained(checkpoint, missing):
    (checkpoint / missing).unlink()
    with pytest.raises(ModelError, match=r"BONITO_MODEL.*holds no"):
        resolve(str(checkpoint), "BONITO_MODEL")


def test_a_folder_that_is_not_there_is_explained():
    with pytest.raises(ModelError, match="BONITO_BASE_MODEL: '/none/here' does not exist"):
        resolve("/none/here", "BONITO_BASE_MODEL")


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("BatsResearch/bonito-v1", False),
        ("a/b@main", False),
        ("./x", True),
        ("/x", True),
        ("x", True),
    ],
)
def test_a_hub_id_is_told_from_a_path(name, path):
    assert is_path(name) is path


COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def hub(tmp_path, monkeypatch, checkpoint):
    """A hub that takes connections and never answers, and a cache that holds one model."""
    import huggingface_hub.constants as settings

    cached = tmp_path / "hub" / "models--owner--cached"
    (cached / "snapshots").mkdir(parents=True)
    (cached / "refs").mkdir()
    (cached / "refs" / "main").write_text(COMMIT)
    checkpoint.rename(cached / "snapshots" / COMMIT)
    monkeypatch.setattr(settings, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(models, "_HUB_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setattr(settings, "ENDPOINT", f"http://127.0.0.1:{server.getsockname()[1]}")
        yield


@pytest.mark.usefixtures("hub")
@pytest.mark.parametrize("name", ["owner/cached", "owner/cached@main", f"owner/cached@{COMMIT}"])
def test_a_model_of_the_hub_is_pinned_to_its_commit_and_needs_no_hub_again(name):
    model = resolve(name, "BONITO_MODEL")
    assert model.fingerprint == COMMIT
    assert model.label == "owner/cached@0123456789ab"


@pytest.mark.usefixtures("hub")
def test_an_adapter_takes_its_base_from_the_hub_at_the_commit_it_was_made_for(adapter):
    _over(adapter, "owner/cached", revision=COMMIT)
    model = resolve(str(adapter), "BONITO_MODEL", may_be_adapter=True)
    assert (model.folder.name, model.adapter) == (COMMIT, adapter)
    _over(adapter, "owner/cached", revision="f" * 40)
    with pytest.raises(ModelError, match="BONITO_MODEL's base model: model 'owner/cached@f"):
        resolve(str(adapter), "BONITO_MODEL", may_be_adapter=True)


@pytest.mark.usefixtures("hub")
@pytest.mark.parametrize("name", ["owner/absent", "owner/cached@other"])
def test_a_hub_that_does_not_answer_is_not_waited_for(name):
    started = time.monotonic()
    with pytest.raises(ModelError, match=rf"BONITO_MODEL: model '{name}' is neither .* timed out"):
        resolve(name, "BONITO_MODEL")
    assert time.monotonic() - started < 10


@pytest.mark.usefixtures("hub")
def test_offline_mode_is_kept_to(monkeypatch):
    import huggingface_hub.constants as settings

    monkeypatch.setattr(settings, "HF_HUB_OFFLINE", True)
    assert resolve("owner/cached", "BONITO_MODEL").fingerprint == COMMIT
    with pytest.raises(ModelError, match=r"'owner/absent'.*offline"):
        resolve("owner/absent", "BONITO_MODEL")
