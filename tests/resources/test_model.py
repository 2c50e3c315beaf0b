"""A model's name leads to one checkpoint, or to a sentence that says what is wrong with it."""

import json

import pytest

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
