"""What the documentation tells people to type is there, and does what it says."""

import os
import re
import shutil
import signal
import subprocess
import time
import urllib.request
from pathlib import Path

import click
import pytest
import typer

from bonito_assets import catalogue
from bonito_assets.cli import app
from bonito_assets.definitions import defs
from tests.docs.blocks import blocks, calls, settings_in

PROJECT = Path(__file__).resolve().parents[2]
PAGES = [PROJECT / "README.md", *sorted((PROJECT / "docs").glob("*.md"))]
NAMES = [str(page.relative_to(PROJECT)) for page in PAGES]
# Why a shell block is not typed by the test that runs a page; its words parse all the same.
NOT_RUN = {
    "setup": "what a fresh clone does, and a test run cannot do inside itself",
    "gpu": "needs a card, or models that are fetched",
    "example": "names a corpus that the reader has and we have not",
    "cluster": "needs other machines",
    "service": "needs root, or a service that this machine does not have",
}
SERVER = "server"


@pytest.fixture(scope="module")
def known_settings():
    code = [*PROJECT.glob("bonito_assets/**/*.py"), *PROJECT.glob("resources/**/*.py")]
    code += [PROJECT / "Makefile", *PROJECT.glob("scripts/*.py")]
    return {name for path in code for name in settings_in(path.read_text(encoding="utf-8"))}


def shell(page):
    return [block for block in blocks(page) if block.language == "sh"]


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_every_bonito_command_has_the_form_that_the_program_takes(page):
    group = typer.main.get_command(app)
    context = click.Context(group)
    for block in shell(page):
        for line in block.lines:
            for name, *arguments in calls(line, "bonito"):
                command = group.get_command(context, name)
                assert command is not None, f"{page.name}:{block.line}: bonito {name}"
                try:
                    command.make_context(name, [*arguments])
                except click.UsageError as error:
                    pytest.fail(f"{page.name}:{block.line}: {line}: {error.format_message()}")


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_every_make_target_job_and_setting_exists(page, known_settings):
    makefile = (PROJECT / "Makefile").read_text(encoding="utf-8")
    jobs = {job.name for job in defs().jobs}
    for block in shell(page):
        for line in block.lines:
            for arguments in calls(line, "make"):
                target = next(word for word in arguments if "=" not in word)
                assert re.search(rf"^{target}:", makefile, re.M), f"{page.name}: make {target}"
            for arguments in calls(line, "dg"):
                if "--job" in arguments:
                    assert arguments[arguments.index("--job") + 1] in jobs
    assert settings_in(page.read_text(encoding="utf-8")) <= known_settings


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_every_link_inside_the_project_leads_somewhere(page):
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if not re.match(r"[a-z]+:|#", target):
            assert (page.parent / target.partition("#")[0]).exists(), f"{page.name}: {target}"


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_every_catalogue_file_that_is_shown_is_valid(page, tmp_path):
    for block in blocks(page):
        if block.path and block.path.startswith("corpora/"):
            file = tmp_path / Path(block.path).name
            file.write_text(block.text, encoding="utf-8")
            catalogue.load(file)


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_a_shell_block_that_no_test_runs_says_why(page):
    for block in shell(page):
        assert block.words <= {*NOT_RUN, SERVER}, f"{page.name}:{block.line}: {block.words}"


@pytest.fixture(scope="module")
def after_demo(tmp_path_factory):
    """The project after `make demo`, which all pages take for granted."""
    place = furnished(tmp_path_factory.mktemp("demo") / "bonito-assets")
    subprocess.run(
        ["bonito", "run", "demo"], cwd=place, env=environment(place), check=True, timeout=900
    )
    return place


@pytest.fixture
def workspace(after_demo, tmp_path):
    """A folder of its own in which the commands of a page can be typed."""
    place = furnished(tmp_path / "bonito-assets")
    shutil.copytree(after_demo / "data", place / "data")
    as_is = shutil.ignore_patterns("dagster.yaml")
    shutil.copytree(after_demo / "home", place / "home", ignore=as_is, dirs_exist_ok=True)
    return place


def furnished(place):
    """Fills the new folder `place` with the project, its catalogue, and a home for Dagster."""
    place.mkdir()
    for entry in PROJECT.iterdir():
        if entry.name not in ("corpora", "data", ".dagster", ".env", ".git"):
            (place / entry.name).symlink_to(entry)
    (place / "corpora").mkdir()
    for file in (PROJECT / "corpora").iterdir():
        (place / "corpora" / file.name).symlink_to(file)
    home = place / "home"
    home.mkdir()
    settled = (PROJECT / "dagster.yaml").read_text(encoding="utf-8")
    settled = settled.replace("base_dir: .dagster", f"base_dir: {home}")
    (home / "dagster.yaml").write_text(settled, encoding="utf-8")
    return place


def environment(workspace):
    here = {
        "PATH": f"{PROJECT / '.venv' / 'bin'}:{os.environ['PATH']}",
        "BONITO_DATA": str(workspace / "data"),
        "BONITO_CORPORA": str(workspace / "corpora"),
        "DAGSTER_HOME": str(workspace / "home"),
        "BONITO_ENGINE": "cpu",
    }
    return {**os.environ, **here}


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_a_reader_who_types_a_page_from_top_to_bottom_gets_through(page, workspace):
    for block in blocks(page):
        if block.path:
            file = workspace / block.path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.unlink(missing_ok=True)  # a link to the project's own file must not be written to
            file.write_text(block.text, encoding="utf-8")
        elif block.language == "sh" and not block.words & set(NOT_RUN):
            if SERVER in block.words:
                answers(block, workspace)
            else:
                done = subprocess.run(
                    ["bash", "-euo", "pipefail", "-c", as_typed(block, workspace)],
                    cwd=workspace,
                    env=environment(workspace),
                    capture_output=True,
                    text=True,
                    timeout=900,
                )
                said = done.stdout[-3000:] + done.stderr[-3000:]
                assert done.returncode == 0, f"{page.name}:{block.line}\n{block.text}{said}"


def as_typed(block, workspace):
    """Gives the block as a script that knows the variables of the blocks before it."""
    variables = workspace / "variables.sh"
    variables.touch()
    return f"set -a; . {variables}\n{block.text}\nexport -p > {variables}"


def answers(block, workspace):
    """Starts a block that goes on until it is stopped, and waits until the UI answers."""
    process = subprocess.Popen(
        ["bash", "-euo", "pipefail", "-c", block.text],
        cwd=workspace,
        env=environment(workspace),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        for _ in range(180):
            assert process.poll() is None, f"it ended with {process.returncode}:\n{block.text}"
            try:
                with urllib.request.urlopen("http://127.0.0.1:3000/server_info", timeout=5):
                    return
            except OSError:
                time.sleep(1)
        pytest.fail(f"no answer on port 3000 after three minutes:\n{block.text}")
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
