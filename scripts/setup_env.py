"""Creates .venv and installs the locked packages and this project into it; make runs it.

Needs nothing but a Python 3.8 or later with its standard library, because it runs before anything
is installed. The environment itself gets Python 3.11 or 3.12 (PYTHON=... chooses) and the CUDA
build of vLLM and torch where an NVIDIA GPU is found, else the CPU build (BONITO_ENGINE=cpu|gpu
decides).

What has been done stands in .venv/setup.json, step by step, each with a digest of what it was made
from. A step whose digest is unchanged is not done again; an environment whose set-up was
interrupted in the middle of a step is made anew, because a half unpacked package looks installed.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
STATE = VENV / "setup.json"
LOG = VENV / "setup.log"

PYTHONS = ("3.11", "3.12")
# Measured: 4.6 GB unpacked and 1.2 GB of downloads for CPU; 4.3 GB of downloads for CUDA, which
# unpack to a good twice that.
GIGABYTES = {"cpu": 6, "gpu": 15}
# llguidance, which vLLM needs, has no wheels for an older one.
GLIBC = (2, 31)
# As in scripts/lock.py: pure Python that is published as source alone.
SOURCE_ONLY = ("jsonpath-rw",)

# Asked only when pip does not find the CPU build of torch with its own settings.
TORCH_CPU_INDEX = "https://download.pytorch.org/whl/cpu"

NO_NETWORK = (
    "NewConnectionError",
    "NameResolutionError",
    "name resolution",
    "Network is unreachable",
    "Connection refused",
    "ConnectTimeoutError",
    "ReadTimeoutError",
    "ProxyError",
    "ProtocolError",
    "CERTIFICATE_VERIFY_FAILED",
)


class SetupError(Exception):
    """Ends the set-up; its text is the one sentence that the user reads."""


class KilledError(SetupError):
    """A command was killed in the middle of its work, by a person or for want of memory."""


# Decisions: from facts to choices, without touching anything.


def choose_engine(wanted: str, has_device: bool, smi_lists: str) -> tuple[str, str]:
    """Gives the engine, `cpu` or `gpu`, and the reason in words.

    wanted: BONITO_ENGINE, empty if unset; has_device: whether the driver's device node exists;
    smi_lists: what `nvidia-smi -L` printed, one line per GPU, empty if it failed.
    """
    if wanted:
        if wanted not in GIGABYTES:
            raise SetupError(f"BONITO_ENGINE is {wanted!r}: set it to cpu or gpu, or unset it.")
        return wanted, "BONITO_ENGINE says so"
    cards = [line for line in smi_lists.splitlines() if line.startswith("GPU ")]
    if cards:
        return "gpu", re.sub(r"^GPU \d+: | \(UUID.*", "", cards[0])
    if has_device:
        return "gpu", "/dev/nvidia0 exists"
    return "cpu", "no NVIDIA GPU found"


def platform_problem(system: str, machine: str, libc: tuple[str, str]) -> str:
    """Gives the sentence on why the locked wheels do not fit this platform, or an empty string."""
    version = tuple(int(part) for part in re.findall(r"\d+", libc[1])[:2])
    if system == "Linux" and machine == "x86_64" and libc[0] == "glibc" and version >= GLIBC:
        return ""
    return (
        f"vLLM's wheels are for Linux on x86_64 with glibc {GLIBC[0]}.{GLIBC[1]} or later and this "
        f"is {system} on {machine} with {' '.join(libc).strip() or 'another C library'}: "
        "use such a machine or a container (Debian 11, Ubuntu 20.04 or later)."
    )


def disk_problem(free_bytes: int, engine: str, folder: Path) -> str:
    """Gives the sentence on too little disk space for a fresh environment, or an empty string."""
    needed = GIGABYTES[engine]
    if free_bytes >= needed * 10**9:
        return ""
    return (
        f"The environment needs about {needed} GB and {folder} has {free_bytes / 1e9:.1f} GB free: "
        "free some space there, or clone the project onto a larger disk."
    )


def python_problem(asked: str, version: str, has_venv: bool) -> str:
    """Gives the sentence on why this Python cannot carry the environment, or an empty string.

    asked: the value of PYTHON, empty if the search was ours; version: such as `3.11`, empty if no
    Python could be started; has_venv: whether it can create environments with pip.
    """
    wanted = " or ".join(PYTHONS)
    if version not in PYTHONS:
        if not asked:
            return (
                f"No Python {wanted} was found on the PATH: install one (on Debian and Ubuntu: apt "
                "install python3.11 python3.11-venv), or name it: make PYTHON=/path/to/python3.11."
            )
        what = f"is Python {version}" if version else "cannot be started"
        return f"PYTHON={asked} {what}: name a Python {wanted}."
    if not has_venv:
        return (
            f"Python {version} is there without its venv module: install it "
            f"(on Debian and Ubuntu: apt install python{version}-venv)."
        )
    return ""


def explain(step: str, log: str) -> str:
    """Gives the sentence on why pip failed in this step and what to do, from what it wrote."""
    missing = re.search(r"No matching distribution found for (\S+)", log)
    if "No space left on device" in log:
        return (
            f"The disk ran full while installing {step}: free space here and in "
            f"{os.environ.get('TMPDIR', '/tmp')}, then run make again."
        )
    if "Permission denied" in log:
        return (
            f"A file could not be written while installing {step}: "
            "make .venv and pip's cache writable, then run make again."
        )
    if "DO NOT MATCH THE HASHES" in log:
        return (
            f"A downloaded file of {step} is not the one that the lock names: try again, and if it "
            "stays so, ask whoever runs the package index that pip is set to."
        )
    if any(sign in log for sign in NO_NETWORK):
        return (
            f"The package index could not be reached while installing {step}: "
            "check the network or pip's index and proxy settings, then run make again."
        )
    if missing:
        return (
            f"The package index that pip is set to has no {missing.group(1)} for this Python, or "
            "did not answer: check the network and pip's index settings, then run make again."
        )
    return f"pip could not install {step}."


def digests(root: Path, engine: str) -> dict[str, str]:
    """Gives each step of the installation in order, with the digest of what it is made from."""
    sources = {
        "torch": ["locks/cpu-torch.txt"] if engine == "cpu" else [],
        "packages": [f"locks/{engine}.txt"],
        "project": ["pyproject.toml"],
    }
    return {
        step: hashlib.sha256(b"\0".join((root / file).read_bytes() for file in files)).hexdigest()
        for step, files in sources.items()
        if files
    }


def steps_to_do(state: dict | None, root: Path, engine: str, python: str) -> list[str] | None:
    """Gives the steps that are still to be done; None if the environment has to be made anew.

    state: what setup.json holds, None if it is not there or unreadable; python: the version
    asked for by PYTHON=, empty if any will do.
    """
    if state is None or state.get("running"):
        return None
    if state["root"] != str(root) or state["engine"] != engine:
        return None
    if python and state["python"] != python:
        return None
    wanted = digests(root, engine)
    return [step for step, digest in wanted.items() if state["done"].get(step) != digest]


def torch_is_cpu_build(version_py: str) -> bool:
    """Tells from the text of torch/version.py whether that torch was built without CUDA."""
    return re.search(r"^cuda\b[^=]*= *None", version_py, re.MULTILINE) is not None


# Facts and actions.


def run_quietly(*command: str) -> str:
    """Gives what a command prints, empty if it fails or cannot be started."""
    try:
        done = subprocess.run(command, capture_output=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.decode(errors="replace").strip() if done.returncode == 0 else ""


def detect_engine() -> tuple[str, str]:
    wanted = os.environ.get("BONITO_ENGINE", "").strip()
    asks_smi = not wanted and shutil.which("nvidia-smi")
    smi_lists = run_quietly("nvidia-smi", "-L") if asks_smi else ""
    return choose_engine(wanted, Path("/dev/nvidia0").exists(), smi_lists)


def probe_python(command: str) -> tuple[str, str]:
    """Gives path and version (`3.11`) of a Python, both empty if it cannot be started."""
    ask = "import sys; print('%s %d.%d' % ((sys.executable,) + sys.version_info[:2]))"
    path, _, version = run_quietly(command, "-c", ask).rpartition(" ")
    return path, version


def find_python(asked: str) -> str:
    """Gives the path of the Python that .venv is made with."""
    # Not the one inside .venv, should that be activated: it may be about to be removed.
    folders = [f for f in os.environ.get("PATH", "").split(os.pathsep) if Path(f) != VENV / "bin"]
    names = [asked] if asked else ["python3.11", "python3.12", "python3", "python"]
    found = [shutil.which(name, path=os.pathsep.join(folders)) for name in names]
    path, version = "", ""
    for candidate in filter(None, found):
        path, version = probe_python(candidate)
        if version in PYTHONS:
            break
    has_venv = bool(path) and run_quietly(path, "-c", "import venv, ensurepip; print(1)") == "1"
    problem = python_problem(asked, version, has_venv)
    if problem:
        raise SetupError(problem)
    return path


def read_state() -> dict | None:
    if not (VENV / "bin" / "python").exists():
        return None
    try:
        return json.loads(STATE.read_text())
    except (OSError, ValueError):
        return None


def write_state(state: dict) -> None:
    temporary = STATE.with_suffix(".tmp")
    temporary.write_text(json.dumps(state, indent=1) + "\n")
    temporary.replace(STATE)


class Stage:
    """Prints one line per stage: what is done, then the seconds it took."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __enter__(self) -> None:
        self.start = time.monotonic()
        print(f"  {self.text} ... ", end="", flush=True)

    def __exit__(self, error: type | None, *rest: object) -> None:
        print("failed" if error else f"{time.monotonic() - self.start:.0f} s", flush=True)


def logged(command: list[str]) -> tuple[bool, str]:
    """Runs a command, appends its output to the log, gives success and that output.

    Raises KilledError if a signal ended it.
    """
    clean = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONHOME")}
    # A person's own pip may be set to install elsewhere; this one installs into .venv only.
    clean.update(PIP_USER="0", PIP_DISABLE_PIP_VERSION_CHECK="1", PIP_REQUIRE_VIRTUALENV="0")
    for elsewhere in ("PIP_TARGET", "PIP_PREFIX", "PIP_ROOT"):
        clean.pop(elsewhere, None)
    with LOG.open("ab") as log:
        log.write(("$ " + " ".join(command) + "\n").encode())
        log.flush()
        begin = log.tell()
        # The command inherits the lock on this folder: should only we be killed, the next set-up
        # waits until the command has ended too.
        done = subprocess.run(
            command, cwd=ROOT, env=clean, stdout=log, stderr=subprocess.STDOUT, close_fds=False
        )
    if done.returncode < 0:
        raise KilledError(
            f"pip was killed by signal {-done.returncode}, perhaps for want of memory: "
            "run make again, which starts over."
        )
    with LOG.open("rb") as log:
        log.seek(begin)
        return done.returncode == 0, log.read().decode(errors="replace")


def stopped(step: str, output: str) -> SetupError:
    return SetupError(f"{explain(step, output)} The log is {LOG.relative_to(ROOT)}.")


def create_venv(python: str) -> None:
    if VENV.is_symlink():
        VENV.unlink()
    elif VENV.exists():
        with Stage(f"removing the {VENV.name} that cannot be used"):
            shutil.rmtree(VENV)
    with Stage(f"environment {VENV.name} with Python {probe_python(python)[1]}"):
        VENV.mkdir()
        done, output = logged([python, "-m", "venv", str(VENV)])
        if not done:
            raise stopped("the environment", output)


def install(step: str, engine: str) -> None:
    """Installs one step with plain pip; raises SetupError with the reason."""
    pip = [str(VENV / "bin" / "python"), "-m", "pip", "install", "--no-deps", "--no-input"]
    source_only = [f"--no-binary={name}" for name in SOURCE_ONLY]
    wheels = [*pip, "--only-binary=:all:", *source_only, "--progress-bar=off"]
    if step == "torch":
        requirement = ["-r", "locks/cpu-torch.txt"]
        with Stage("torch, CPU build"):
            done, output = logged(wheels + requirement)
            if not done and "No space left on device" not in output:
                done, output = logged([*wheels, f"--index-url={TORCH_CPU_INDEX}", *requirement])
            if not done:
                raise stopped("the CPU build of torch", output)
    elif step == "packages":
        lock = f"locks/{engine}.txt"
        number = sum("==" in line for line in (ROOT / lock).read_text().splitlines())
        with Stage(f"{number} packages of {lock}"):
            done, output = logged([*wheels, "--require-hashes", "-r", lock])
            if not done:
                raise stopped(f"the packages of {lock}", output)
    else:
        with Stage("this project, in place"):
            done, output = logged([*pip, "--no-build-isolation", "--editable", "."])
            if not done:
                raise stopped("this project", output)


def check_torch(engine: str) -> None:
    """Raises SetupError if the torch that was installed is not the one that the engine needs."""
    found = list(VENV.glob("lib/python3.*/site-packages/torch/version.py"))
    if not found or torch_is_cpu_build(found[0].read_text()) != (engine == "cpu"):
        raise SetupError(
            f"The torch that was installed is not the build for {engine}: look in pip's settings "
            "for a folder or index with another build, then run make clean and make again."
        )


def check_room(engine: str) -> None:
    system = (platform.system(), platform.machine(), platform.libc_ver())
    free = shutil.disk_usage(ROOT).free
    if VENV.is_dir() and not VENV.is_symlink():
        # It is about to be removed, and gives back what it holds.
        files = (Path(folder) / name for folder, _, names in os.walk(VENV) for name in names)
        free += sum(file.lstat().st_blocks * 512 for file in files)
    problem = platform_problem(*system) or disk_problem(free, engine, ROOT)
    if problem:
        raise SetupError(problem)


def set_up(quiet: bool) -> None:
    asked = os.environ.get("PYTHON", "").strip()
    asked_version = probe_python(asked)[1] if asked else ""
    engine, reason = detect_engine()
    begin = time.monotonic()
    if steps_to_do(read_state(), ROOT, engine, asked_version) == []:
        if not quiet:
            print(f"The environment in {VENV.name} is up to date (engine: {engine}, {reason}).")
        return

    lock = os.open(ROOT, os.O_RDONLY)
    os.set_inheritable(lock, True)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print("Another set-up of this folder is running: waiting for it.", flush=True)
        fcntl.flock(lock, fcntl.LOCK_EX)

    state = read_state()
    steps = steps_to_do(state, ROOT, engine, asked_version)
    if steps is None:
        python = find_python(asked)
        check_room(engine)
        print(f"Setting up (engine: {engine}, {reason}); details in {LOG.relative_to(ROOT)}")
        create_venv(python)
        version = probe_python(python)[1]
        state = {"root": str(ROOT), "engine": engine, "python": version, "done": {}}
        steps = list(digests(ROOT, engine))
    elif steps:
        print(f"Updating {VENV.name} (engine: {engine}); details in {LOG.relative_to(ROOT)}")
    for step in steps:
        write_state({**state, "running": step})
        try:
            install(step, engine)
        except KilledError:
            raise
        except SetupError:
            # pip ended by itself and left whole packages only: the next call can go on from here.
            write_state(state)
            raise
        state["done"][step] = digests(ROOT, engine)[step]
        write_state(state)
    if steps:
        check_torch(engine)
        print(f"  ready after {time.monotonic() - begin:.0f} s")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quiet", action="store_true", help="silent if all is done")
    try:
        set_up(parser.parse_args().quiet)
    except SetupError as problem:
        print(f"Setup stopped: {problem}", file=sys.stderr)
        return 1
    except OSError as problem:
        print(f"Setup stopped: {problem}: make this folder and its disk writable.", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nSetup interrupted: the next make starts over.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
