"""Which checkpoint a name means: a local folder, or a hub repository at one commit.

The fingerprint is what generations are addressed by, so that a changed model is another model.
"""

from __future__ import annotations

import functools
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Pickled weights can run code when they load, so only these files are ever fetched.
_WANTED = ["*.json", "*.safetensors", "*.model", "*.txt"]
# Some of Mistral's repositories hold all weights a second time in a format of their own.
_UNWANTED = ["consolidated*"]
# What the outputs depend on; `training.json` is the history of a checkpoint and not a part of it.
_DIGESTED = (".json", ".safetensors", ".model", ".txt")
_HISTORY = "training.json"

ADAPTER_CONFIG = "adapter_config.json"
ADAPTER_WEIGHTS = "adapter_model.safetensors"

# The hub's client waits for ever for an answer unless told otherwise.
_HUB_SECONDS = 10.0


class ModelError(ValueError):
    """A model is not there or cannot be used; the message names the setting and the remedy."""


@dataclass(frozen=True)
class Model:
    """A checkpoint on this machine's disk, with the LoRA adapter that is laid over it, if any.

    ``fingerprint`` is the hub commit, or the digest of config, tokenizer and weights; with an
    adapter or a quantisation at load time it is a digest that covers them too.
    """

    name: str
    folder: Path
    fingerprint: str
    adapter: Path | None = None

    @property
    def label(self) -> str:
        """Gives the name and the start of the fingerprint, as it stands in tables."""
        name = self.folder.name if Path(self.name).is_absolute() else self.name.partition("@")[0]
        over = f"+{self.adapter.name}" if self.adapter else ""
        return f"{name}{over}@{self.fingerprint[:12]}"

    @property
    def max_tokens(self) -> int:
        """Gives the length of the model's window in tokens, as its config states it."""
        return self._stated("max_position_embeddings")

    @property
    def vocabulary(self) -> int:
        """Gives the number of token ids that the model has an embedding for."""
        return self._stated("vocab_size")

    def _stated(self, size: str) -> int:
        path = self.folder / "config.json"
        config = read_json(path)
        # Models that also see or hear keep the language model's sizes in a part of their own.
        try:
            return int(config.get("text_config", config)[size])
        except KeyError:
            raise ModelError(
                f"{path} states no {size}; it is not that of a language model"
            ) from None


def is_path(name: str) -> bool:
    """Tells whether `name` means a place on disk and not a hub repository (``owner/name``)."""
    return name.startswith(("/", ".", "~")) or name.count("/") != 1 or Path(name).exists()


def read_json(path: Path) -> dict[str, Any]:
    """Gives the content of one of a checkpoint's JSON files; ``ModelError`` if it is damaged."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ModelError(f"{path} is damaged ({error}); copy or download it again") from error


def resolve(
    name: str,
    setting: str,
    adapter: str | None = None,
    quantization: str | None = None,
    weights: bool = True,
    may_be_adapter: bool = False,
) -> Model:
    """Gives the checkpoint that `name` means, fetched from the hub when it is not a folder.

    `setting` is the environment variable that holds the name, for the message. `adapter` is the
    folder or hub id of a LoRA adapter over the model, `quantization` what the engine does to the
    weights while it loads them: both change the outputs and so the fingerprint. Without `weights`
    only config and tokenizer are fetched and asked for: the weights are where the engine is.
    Where it `may_be_adapter`, the name of an adapter means the base model that it names, with the
    adapter over it.
    Raises ``ModelError`` when something is not there, or its weights are not safetensors.
    """
    folder, digest = _locate(name, setting, weights)
    if may_be_adapter and _is_adapter(folder):
        if adapter is not None:
            raise ModelError(
                f"{setting}: '{name}' is an adapter, and the backend's `adapter` is one too: "
                f"'{adapter}'; only one can be laid over a model"
            )
        name, adapter = _base_of(folder, name, setting), name
        folder, digest = _locate(name, f"{setting}'s base model", weights)
    _require_model(folder, name, setting, weights)
    place = None
    parts = [digest or _content_digest(folder)]
    if adapter is not None:
        place, digest = _locate(adapter, f"{setting}'s adapter", weights)
        _require_adapter(place, adapter, setting, weights)
        parts.append(f"adapter {digest or _content_digest(place)}")
    if quantization is not None:
        parts.append(f"quantization {quantization}")
    whole = parts[0] if len(parts) == 1 else hashlib.sha256("\0".join(parts).encode()).hexdigest()
    return Model(name, folder, whole, place)


def _locate(name: str, setting: str, weights: bool = True) -> tuple[Path, str | None]:
    """Gives the folder that `name` means and its hub commit, None where it is not of the hub."""
    if is_path(name):
        folder = Path(name).expanduser()
        if not folder.is_dir():
            raise ModelError(
                f"{setting}: '{name}' does not exist; set {setting} to a folder with a Hugging "
                "Face checkpoint, to a hub id such as BatsResearch/bonito-v1, or leave it unset"
            )
        return folder, None
    repository, _, revision = name.partition("@")
    try:
        folder = _fetch(repository, revision or None, weights)
    except Exception as error:  # the client raises many kinds; each means "not to be had"
        cause = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ModelError(
            f"{setting}: model '{name}' is neither a folder nor to be had from the hub: {cause}; "
            f"check the name and the network, or set {setting} to a folder"
        ) from error
    return folder, folder.name


def _fetch(repository: str, revision: str | None, weights: bool) -> Path:
    """Gives the folder of a repository at the commit that `revision` means now.

    Without the hub, or with HF_HUB_OFFLINE, what was fetched earlier will do.
    """
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    fetch = functools.partial(
        snapshot_download,
        repository,
        revision=revision,
        allow_patterns=_WANTED,
        ignore_patterns=_UNWANTED if weights else [*_UNWANTED, "*.safetensors"],
    )
    try:
        HfApi().model_info(repository, revision=revision, timeout=_HUB_SECONDS)
    except Exception as unreachable:
        try:
            return Path(fetch(local_files_only=True))
        except LocalEntryNotFoundError:
            raise unreachable from None
    return Path(fetch())


def _is_adapter(folder: Path) -> bool:
    """Tells whether a folder holds an adapter and no model of its own."""
    # Of the hub only an adapter's JSON files may be here; some lie beside their base's config.json.
    alone = not (folder / "config.json").exists() or (folder / ADAPTER_WEIGHTS).exists()
    return (folder / ADAPTER_CONFIG).exists() and alone and not _model_weights(folder)


def _model_weights(folder: Path) -> list[Path]:
    return [path for path in folder.glob("*.safetensors") if path.name != ADAPTER_WEIGHTS]


def _base_of(folder: Path, name: str, setting: str) -> str:
    """Gives the name of an adapter's base model, ``id@revision`` where it states one."""
    config = read_json(folder / ADAPTER_CONFIG)
    base, revision = config.get("base_model_name_or_path"), config.get("revision")
    if not base:
        raise ModelError(
            f"{setting}: {folder / ADAPTER_CONFIG} names no base model; set {setting} to the "
            "model that the adapter was made for and the backend's `adapter` to this one"
        )
    if is_path(base):
        if not Path(base).is_dir():
            raise ModelError(
                f"{setting}: the base model of '{name}', '{base}', is not there; put it back, or "
                f"set {setting} to where it is and the backend's `adapter` to '{name}'"
            )
        return base
    return f"{base}@{revision}" if revision else base


def _require_model(folder: Path, name: str, setting: str, weights: bool) -> None:
    if _is_adapter(folder):
        base = read_json(folder / ADAPTER_CONFIG).get("base_model_name_or_path")
        raise ModelError(
            f"{setting}: '{name}' is a LoRA adapter and no model by itself; set {setting} to its "
            f"base model '{base}' and the backend's `adapter` to this folder"
        )
    if not (folder / "config.json").exists():
        raise ModelError(
            f"{setting}: '{name}' holds no config.json; it must be a checkpoint in Hugging Face "
            "format with safetensors weights"
        )
    if weights and not _model_weights(folder):
        raise ModelError(_no_weights(setting, name, "*.safetensors"))


def _require_adapter(folder: Path, name: str, setting: str, weights: bool) -> None:
    if not (folder / ADAPTER_CONFIG).exists():
        raise ModelError(
            f"{setting}'s adapter: '{name}' holds no {ADAPTER_CONFIG}; it must be a LoRA adapter "
            f"in PEFT's format (a whole model is set as {setting} itself)"
        )
    if weights and not (folder / ADAPTER_WEIGHTS).exists():
        raise ModelError(_no_weights(f"{setting}'s adapter", name, ADAPTER_WEIGHTS))


def _no_weights(setting: str, name: str, wanted: str) -> str:
    return (
        f"{setting}: '{name}' holds no {wanted}; pickled weights (.bin, .pt) can run code when "
        "they load and are never read, so convert them to safetensors first"
    )


def _content_digest(folder: Path) -> str:
    files = []
    for path in sorted(folder.iterdir()):
        if path.suffix in _DIGESTED and path.name != _HISTORY:
            state = path.stat()
            files.append((path, state.st_size, state.st_mtime_ns, state.st_ino))
    return _digest_of(tuple(files))


@functools.cache
def _digest_of(files: tuple[tuple[Path, int, int, int], ...]) -> str:
    """Gives the sha256 over names, sizes and contents; read once per process and state.

    A state is path, size, time of change in ns and inode: what a changed file cannot keep.
    """
    sha = hashlib.sha256()
    for path, size, *_ in files:
        sha.update(f"{path.name}\0{size}\0".encode())
        with path.open("rb") as file:
            while block := file.read(1 << 22):
                sha.update(block)
    return sha.hexdigest()
