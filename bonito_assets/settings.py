"""The settings that come from the environment, each with a default that works.

Read when definitions load, so that a run shows in the UI with what it ran with.
"""

from __future__ import annotations

import json
import os
import re
import socket
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from pydantic import ValidationError

from resources.generator import Generator
from resources.ray_cluster import RayCluster
from resources.secrets import has_secret, scrub, without_login
from resources.vllm_engine import VllmEngine
from resources.vllm_server import VllmServer

PROJECT = Path(__file__).resolve().parents[1]

DEMO_MODEL = PROJECT / "models" / "bonito-demo"
DEMO_BASE_MODEL = PROJECT / "models" / "base-demo"
OWN_CHECKPOINT = "checkpoint"
BONITO_V1 = "BatsResearch/bonito-v1"
# The base model of the paper's recipe: bonito.md of the authors' card, Mistral-7B-v0.1.
BASE_V1 = "mistralai/Mistral-7B-v0.1"


class SettingError(ValueError):
    """A setting is wrong; the message names the variable and what would be right."""


def has_gpu() -> bool:
    """Tells whether an NVIDIA card is to be used, without importing torch.

    ``BONITO_ENGINE``, by which the setup chose its packages, decides where it is set.
    """
    engine = os.environ.get("BONITO_ENGINE")
    if engine:
        return engine == "gpu"
    return Path("/dev/nvidia0").exists() or Path("/proc/driver/nvidia/version").exists()


def data_root() -> str:
    """Gives ``BONITO_DATA``: the folder or fsspec URL that holds all tables and models.

    Raises ``SettingError`` for a URL with a password: it would stand beside every table.
    """
    root = _location("BONITO_DATA", PROJECT / "data")
    if has_secret(root):
        raise SettingError(
            f"BONITO_DATA: '{scrub(root)}' holds a password; give the URL without it, and the "
            "password in the variables of that store, such as AWS_SECRET_ACCESS_KEY"
        )
    return root


def corpora_folder() -> Path:
    """Gives ``BONITO_CORPORA``: the folder of catalogue files."""
    return Path(_location("BONITO_CORPORA", PROJECT / "corpora"))


def model() -> str:
    """Gives ``BONITO_MODEL``: hub id, ``id@revision`` or folder of the generating model.

    The word ``checkpoint`` means the folder that the asset `bonito_checkpoint` publishes.
    """
    name = os.environ.get("BONITO_MODEL")
    if name == OWN_CHECKPOINT:
        root = data_root()
        if "://" in root:
            raise SettingError(
                f"BONITO_MODEL: '{OWN_CHECKPOINT}' needs BONITO_DATA on this machine and it is "
                f"{root}; copy its folder bonito_checkpoint/bonito here and set BONITO_MODEL to it"
            )
        return str(Path(root) / "bonito_checkpoint" / "bonito")
    return name or (BONITO_V1 if has_gpu() else str(DEMO_MODEL))


def base_model() -> str:
    """Gives ``BONITO_BASE_MODEL``: hub id or folder of the model that is tuned."""
    return os.environ.get("BONITO_BASE_MODEL") or (BASE_V1 if has_gpu() else str(DEMO_BASE_MODEL))


def generator() -> Generator:
    """Gives the backend that ``BONITO_BACKEND`` names, over the model of ``BONITO_MODEL``.

    Raises ``SettingError`` for a backend that there is not and for values that it does not take.
    """
    backend = os.environ.get("BONITO_BACKEND") or "engine"
    common = {"model": model(), "price_per_gpu_hour": _number("BONITO_GPU_HOUR_PRICE", 0.0)}
    if backend == "engine":
        return _build(VllmEngine, {**_engine_arguments(), **common}, "BONITO_ENGINE_ARGS")
    if backend == "server":
        urls = [url for url in re.split(r"[\s,]+", os.environ.get("BONITO_SERVER_URL", "")) if url]
        if not urls:
            raise SettingError(
                "BONITO_SERVER_URL: the backend 'server' needs the address of one, or several with "
                "commas between; for one on this machine: http://127.0.0.1:8000"
            )
        # What a resource is built with is stored with every run; the server backend finds names and
        # passwords again in the environment.
        urls = [without_login(url) for url in urls]
        return _build(VllmServer, {"urls": urls, **common}, "BONITO_SERVER_URL")
    if backend == "ray":
        address = os.environ.get("BONITO_RAY_ADDRESS") or None
        values = {"address": address, "engine": _engine_arguments(), **common}
        return _build(RayCluster, values, "BONITO_ENGINE_ARGS")
    raise SettingError(
        f"BONITO_BACKEND: there is no backend '{backend}'; use engine, server or ray"
    )


@dataclass(frozen=True)
class Mail:
    """Where alerts go by e-mail; ``server`` may hold a password and is never shown."""

    to: str
    sender: str
    server: str = field(repr=False)


def alert_webhook() -> str | None:
    """Gives ``BONITO_ALERT_WEBHOOK``: the URL that is told of failures; it is a secret.

    Raises ``SettingError``, which does not quote it, when it is not http or https.
    """
    url = os.environ.get("BONITO_ALERT_WEBHOOK") or None
    if url and not re.fullmatch(r"https?://[^\s/]+\S*", url):
        raise SettingError(
            "BONITO_ALERT_WEBHOOK: not a URL with https:// in front; copy the whole address that "
            "Slack, Mattermost or Teams shows for an incoming webhook"
        )
    return url


def alert_mail() -> Mail | None:
    """Gives who is told of failures by e-mail: ``BONITO_ALERT_EMAIL`` by ``BONITO_SMTP_URL``.

    Raises ``SettingError``, which quotes no password, when one of them is missing or wrong.
    """
    to, server = os.environ.get("BONITO_ALERT_EMAIL"), os.environ.get("BONITO_SMTP_URL")
    if not to:
        return None
    if not all(re.fullmatch(r"[^\s@,]+@[^\s@,]+", part.strip()) for part in to.split(",")):
        raise SettingError(
            f"BONITO_ALERT_EMAIL: '{to}' is not an e-mail address, or several with commas between"
        )
    if not server or not re.fullmatch(r"smtps?://[^\s/]+/?", server):
        raise SettingError(
            "BONITO_SMTP_URL: e-mail needs smtps://user:password@host:port, with %40 for an @ in "
            "the user or password, or smtp://host:port for a server that asks for neither"
        )
    user = unquote(urlsplit(server).username or "")
    sender = user if "@" in user else f"bonito@{socket.gethostname()}"
    return Mail(to, sender, server)


def ui_url() -> str | None:
    """Gives ``BONITO_UI_URL``: where people reach the UI, for links; None without."""
    return (os.environ.get("BONITO_UI_URL") or "").rstrip("/") or None


def _engine_arguments() -> dict[str, Any]:
    value = os.environ.get("BONITO_ENGINE_ARGS")
    if not value:
        return {}
    try:
        arguments = json.loads(value)
        if isinstance(arguments, dict):
            _refuse_tokens(arguments)
            return arguments
    except json.JSONDecodeError:
        pass
    raise SettingError(
        f"BONITO_ENGINE_ARGS: '{value}' is not a JSON object; for two cards and 8-bit weights: "
        '{"tensor_parallel_size": 2, "quantization": "fp8"}'
    )


def _refuse_tokens(arguments: dict[str, Any]) -> None:
    """Raises ``SettingError`` for a secret among the arguments: every run would store it."""
    extra = arguments.get("extra")
    for name in [*arguments, *(extra if isinstance(extra, dict) else ())]:
        if re.search(r"(^|_)(token|api_key|password|secret)$", name):
            raise SettingError(
                f"BONITO_ENGINE_ARGS: '{name}' is no place for a secret; the engine reads HF_TOKEN "
                "from the environment"
            )


def _build(backend: type[Generator], values: dict[str, Any], setting: str) -> Generator:
    unknown = sorted(set(values) - set(backend.model_fields))
    if unknown:
        known = ", ".join(sorted(set(backend.model_fields) - {"model", "price_per_gpu_hour"}))
        raise SettingError(
            f"{setting}: there is no argument '{unknown[0]}'; known: {known}; any other argument "
            'of vLLM goes under "extra"'
        )
    try:
        return backend(**values)
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(str(part) for part in problem["loc"])
        raise SettingError(f"{setting}: {where}: {problem['msg']}") from error


def _number(variable: str, default: float) -> float:
    value = os.environ.get(variable)
    try:
        number = float(value) if value else default
        if number >= 0:
            return number
    except ValueError:
        pass
    raise SettingError(f"{variable}: '{value}' is not a number of 0 or more")


def _location(variable: str, default: Path) -> str:
    value = os.environ.get(variable)
    if not value:
        return str(default)
    return value if "://" in value else str(Path(value).expanduser().absolute())
