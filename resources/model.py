"""Which checkpoint a name means: a local folder, or a hub repository at one commit.

The fingerprint is what generations are addressed by, so that a changed model is another model.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

# Pickled weights can run code when they load, so only these files are ever fetched.
_WANTED = ["*.json", "*.safetensors", "*.model", "*.txt"]


class ModelError(ValueError):
    """A model is not there or cannot be used; the message names the setting and the remedy."""


@dataclass(frozen=True)
class Model:
    """A checkpoint on this machine's disk.

    ``fingerprint`` is the hub commit, or the digest of config, tokenizer and weights.
    """

    name: str
    folder: Path
    fingerprint: str

    @property
    def label(self) -> str:
        """Gives the name and the start of the fingerprint, as it stands in tables."""
        name = self.folder.name if Path(self.name).is_absolute() else self.name.partition("@")[0]
        return f"{name}@{self.fingerprint[:12]}"

    @property
    def max_tokens(self) -> int:
        """Gives the length of the model's window in tokens, as its config states it."""
        config = json.loads((self.folder / "config.json").read_text(encoding="utf-8"))
        return int(config["max_position_embeddings"])


def is_path(name: str) -> bool:
    """Tells whether `name` means a place on disk and not a hub repository (``owner/name``)."""
    return name.startswith(("/", ".", "~")) or name.count("/") != 1 or Path(name).exists()


def resolve(name: str, setting: str) -> Model:
    """Gives the checkpoint that `name` means, fetched from the hub when it is not a folder.

    `setting` is the environment variable that holds the name, for the message.
    Raises ``ModelError`` when it is not there, or holds no safetensors weights.
    """
    if is_path(name):
        folder = Path(name).expanduser()
        if not folder.is_dir():
            raise ModelError(
                f"{setting}: '{name}' does not exist; set {setting} to a folder with a Hugging "
                "Face checkpoint, to a hub id such as BatsResearch/bonito-v1, or leave it unset"
            )
        _require_files(folder, name, setting)
        return Model(name, folder, _content_digest(folder))
    repository, _, revision = name.partition("@")
    from huggingface_hub import snapshot_download

    try:
        folder = Path(
            snapshot_download(repository, revision=revision or None, allow_patterns=_WANTED)
        )
    except Exception as error:  # the client raises many kinds; each means "not to be had"
        raise ModelError(
            f"{setting}: model '{name}' is neither a folder nor to be had from the hub: "
            f"{str(error).strip().splitlines()[0]}; check the name and the network, or "
            f"set {setting} to a folder"
        ) from error
    _require_files(folder, name, setting)
    return Model(name, folder, folder.name)


def _require_files(folder: Path, name: str, setting: str) -> None:
    for pattern in ("config.json", "*.safetensors"):
        if not any(folder.glob(pattern)):
            raise ModelError(
                f"{setting}: '{name}' holds no {pattern}; it must be a checkpoint in Hugging Face "
                "format with safetensors weights"
            )


def _content_digest(folder: Path) -> str:
    sha = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        if path.suffix in (".json", ".safetensors", ".model") and path.name != "training.json":
            sha.update(f"{path.name}\0{path.stat().st_size}\0".encode())
            with path.open("rb") as file:
                while block := file.read(1 << 22):
                    sha.update(block)
    return sha.hexdigest()
