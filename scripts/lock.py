"""Resolves pyproject.toml into locks/cpu.txt and locks/gpu.txt; run by `make lock`.

Each lock is the whole set for one engine: the core and all other extras, with hashes.
Versions that a lock already names are kept as long as pyproject.toml allows them; `make lock
UPGRADE=1` asks for the newest of all. torch for CPU stands apart in locks/cpu-torch.txt: its build
is published on another index, where hashes of the same version differ per Python.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
UV = Path(sys.executable).with_name("uv")

# llguidance, which both engines need, has its oldest Linux wheels at glibc 2.31.
PLATFORM = "x86_64-manylinux_2_31"
# The lower end of requires-python; on 3.12 the same set resolves.
PYTHON = "3.11"
EXTRAS = ("training", "ray", "semantic", "openlineage", "dev")
# Packages that are published as source alone: pure Python, which the Croissant validator needs.
SOURCE_ONLY = ("jsonpath-rw",)


def compile_command(engine: str, options: list[str]) -> list[str]:
    """Gives the uv command that writes locks/<engine>.txt."""
    extras = [f"--extra={extra}" for extra in (engine, *EXTRAS)]
    # The CPU wheels of torch's sister packages are not where torch's are, and text needs none.
    cpu_only = ["--override=locks/cpu-overrides.txt", "--no-emit-package=torch"]
    return [
        *(str(UV), "pip", "compile", "pyproject.toml", *extras),
        *(f"--python-platform={PLATFORM}", f"--python-version={PYTHON}"),
        *("--only-binary=:all:", *(f"--no-binary={name}" for name in SOURCE_ONLY)),
        *("--generate-hashes", "--system-certs", "--quiet"),
        *("--custom-compile-command=make lock", f"--output-file=locks/{engine}.txt"),
        *(cpu_only if engine == "cpu" else []),
        *options,
    ]


def local_wheels() -> list[str]:
    """Gives the folders or pages of wheels in pip's settings, which uv does not read by itself."""
    pip = [sys.executable, "-m", "pip", "config", "get", "global.find-links"]
    places = subprocess.run(pip, capture_output=True, text=True, cwd=ROOT).stdout
    places = places or os.environ.get("PIP_FIND_LINKS", "")
    return [f"--find-links={place}" for place in places.split()]


def main() -> int:
    options = sys.argv[1:]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    pin = next(r for r in project["optional-dependencies"]["cpu"] if r.startswith("torch=="))
    (ROOT / "locks/cpu-torch.txt").write_text(
        "# Made by `make lock`. The CPU build of torch is on PyTorch's own index only: it stands\n"
        "# apart so that it can be fetched from there, and without a hash because the one known\n"
        "# where the lock was made is that of one Python's wheel.\n"
        f"{pin}\n"
    )
    wheels = local_wheels()
    # As in setup: what pip finds first, else the index that [tool.uv.sources] names for torch.
    attempts = {"cpu": [["--no-sources", *wheels], []] if wheels else [[]], "gpu": [[]]}
    for engine, sources in attempts.items():
        for extra in sources:
            done = subprocess.run(compile_command(engine, options + extra), cwd=ROOT)
            if done.returncode == 0:
                break
        else:
            return done.returncode
        lines = (ROOT / f"locks/{engine}.txt").read_text().splitlines()
        print(f"locks/{engine}.txt: {sum('==' in line for line in lines)} packages")
    return 0


if __name__ == "__main__":
    sys.exit(main())
