"""A mistake ends in one sentence that names file, key and remedy, and touches no table."""

import subprocess
import sys

import pytest

GOOD = "source: {files: docs}\ntask_types: [ynqa]\n"


@pytest.fixture
def bonito(tmp_path):
    (tmp_path / "corpora" / "docs").mkdir(parents=True)
    (tmp_path / "corpora" / "docs" / "a.txt").write_text("The heron waits in the reeds.")

    def call(*arguments, **environment):
        return subprocess.run(
            [sys.executable, "-c", "from bonito_assets.cli import main; main()", *arguments],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env={
                "PATH": "/usr/bin:/bin",
                "HOME": str(tmp_path),
                "DAGSTER_HOME": str(tmp_path / "home"),
                "BONITO_CORPORA": str(tmp_path / "corpora"),
                "BONITO_DATA": str(tmp_path / "data"),
                **environment,
            },
        )

    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    return call


def catalogue(tmp_path, text, name="mine"):
    (tmp_path / "corpora" / f"{name}.yaml").write_text(text)


@pytest.mark.parametrize(
    ("text", "environment", "fragments"),
    [
        (GOOD + "smapling: {}\n", {}, ["mine.yaml", "'smapling'", "did you mean 'sampling'"]),
        (GOOD.replace("ynqa", "yesno"), {}, ["mine.yaml", "'yesno'", "ynqa"]),
        (GOOD.replace("docs", "dogs"), {}, ["source.files", "dogs", "does not exist", "mine.yaml"]),
        (GOOD.replace("docs", "void"), {}, ["source.files", "void", "without files"]),
        (GOOD, {"BONITO_MODEL": "/no/such/model"}, ["BONITO_MODEL", "/no/such/model"]),
        (GOOD, {"BONITO_BASE_MODEL": "./none"}, ["BONITO_BASE_MODEL", "/none"]),
        (GOOD + "evaluation: {test: t.jsonl}\n", {}, ["evaluation.test", "t.jsonl"]),
    ],
)
def test_a_mistake_is_explained_before_anything_runs(
    bonito, tmp_path, text, environment, fragments
):
    (tmp_path / "corpora" / "void").mkdir()
    catalogue(tmp_path, text)
    done = bonito("run", "mine", **environment)
    assert done.returncode == 1
    assert len(done.stderr.strip().splitlines()) == 1
    for fragment in fragments:
        assert fragment in done.stderr
    assert not (tmp_path / "data").exists()


def test_an_unknown_asset_to_stop_after_is_answered_with_the_list(bonito, tmp_path):
    catalogue(tmp_path, GOOD)
    done = bonito("run", "mine", "--to", "chunk")
    assert done.returncode == 1
    assert "chunks" in done.stderr


def test_check_shows_a_sample_and_generates_nothing(bonito, tmp_path):
    catalogue(tmp_path, GOOD)
    (tmp_path / "corpora" / "docs" / "b.pdf").write_bytes(b"%PDF-1.7 cut off")
    done = bonito("check", "corpora/mine.yaml")
    assert done.returncode == 0
    assert "The heron waits" in done.stdout
    assert "unreadable" in done.stdout
    assert not (tmp_path / "data").exists()


def test_check_fails_when_nothing_can_be_used(bonito, tmp_path):
    catalogue(tmp_path, GOOD)
    (tmp_path / "corpora" / "docs" / "a.txt").write_text(" ")
    done = bonito("check", "corpora/mine.yaml")
    assert done.returncode == 1
    assert "mine.yaml" in done.stderr


def test_relative_settings_start_where_the_command_is_typed(bonito, tmp_path):
    catalogue(tmp_path, GOOD)
    done = bonito("run", "mine", BONITO_CORPORA="corpora", BONITO_MODEL="./nowhere")
    assert f"'{tmp_path / 'nowhere'}' does not exist" in done.stderr


def test_register_names_what_is_new(bonito, tmp_path):
    catalogue(tmp_path, GOOD)
    assert "mine: registered" in bonito("register").stdout
    assert "mine: already registered" in bonito("register", "mine").stdout


@pytest.mark.parametrize(
    "query", ["drop table x", "select 1; select 2", "selct", "create table t(i int)"]
)
def test_sql_takes_one_select_and_nothing_else(bonito, query):
    done = bonito("sql", query)
    assert done.returncode == 1
    assert done.stderr.startswith("bonito: ")


def test_sql_prints_rows_as_json(bonito):
    assert bonito("sql", "select 1 as a, 'é' as b", "--json").stdout == '{"a": 1, "b": "é"}\n'


def test_help_lists_the_commands(bonito):
    text = bonito("--help").stdout
    for command in ("run", "register", "status", "check", "sql"):
        assert command in text
