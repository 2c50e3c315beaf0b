"""The UI as it runs for people: web server, daemon and code server, over a home of their own."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

REPOSITORY = Path(__file__).parents[2]
# Names under which Chromium and its kin are installed; Playwright brings one of its own too.
_BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# A start takes 15 seconds on an idle machine of two cores, and tests share it.
_PATIENCE = 180.0


def browser() -> str | None:
    """Gives the path of a browser: one on the PATH, else Playwright's own, None without any."""
    for name in _BROWSERS:
        if found := shutil.which(name):
            return found
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        own = playwright.chromium.executable_path
    return own if Path(own).exists() else None


@dataclass(frozen=True)
class Ui:
    """A running UI: its address, and the environment in which commands see the same data."""

    url: str
    environment: dict[str, str]

    def ask(self, query: str, **variables: object) -> dict:
        """Gives the ``data`` of a GraphQL answer."""
        request = urllib.request.Request(
            f"{self.url}/graphql",
            json.dumps({"query": query, "variables": variables}).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)["data"]


def furnished(place: Path) -> dict[str, str]:
    """Gives the environment of an empty platform under `place`: home, data, catalogue."""
    for name in ("home", "data", "corpora"):
        (place / name).mkdir(parents=True, exist_ok=True)
    settings = (REPOSITORY / "dagster.yaml").read_text(encoding="utf-8")
    # Its paths are relative to the working directory, which is the repository's here too.
    settings = settings.replace("base_dir: .dagster", f"base_dir: {place / 'home'}")
    (place / "home" / "dagster.yaml").write_text(settings, encoding="utf-8")
    return {
        **os.environ,
        "DAGSTER_HOME": str(place / "home"),
        "BONITO_DATA": str(place / "data"),
        "BONITO_CORPORA": str(place / "corpora"),
        "BONITO_ENGINE": "cpu",
        "HF_HUB_OFFLINE": "1",
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }


def bonito(environment: dict[str, str], *arguments: str) -> None:
    """Runs the command `bonito`."""
    done = subprocess.run(
        [sys.executable, "-c", "from bonito_assets.cli import main; main()", *arguments],
        cwd=REPOSITORY,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@contextlib.contextmanager
def running(environment: dict[str, str]) -> Iterator[Ui]:
    """Runs the three servers until the block ends. No sensor and no schedule starts anything.

    The daemon comes last, when all automation is switched off: what a test sees is what it did.
    """
    home = Path(environment["DAGSTER_HOME"])
    code, web = _free_port(), _free_port()
    (home / "workspace.yaml").write_text(
        yaml.safe_dump(
            {
                "load_from": [
                    {
                        "grpc_server": {
                            "host": "127.0.0.1",
                            "port": code,
                            "location_name": "bonito",
                        }
                    }
                ]
            }
        )
    )
    workspace = ["-w", str(home / "workspace.yaml")]
    definitions = ["-m", "bonito_assets.definitions"]
    with contextlib.ExitStack() as stack:

        def start(name: str, module: str, *arguments: str) -> Callable[[], str | None]:
            return stack.enter_context(_process(name, module, arguments, environment))

        at = ["-h", "127.0.0.1", "-p"]
        code_ended = start("code", "dagster", "code-server", "start", *at, str(code), *definitions)
        _until(lambda: _listens(code), code_ended)
        web_ended = start("web", "dagster_webserver", *at, str(web), *workspace)
        ui = Ui(f"http://127.0.0.1:{web}", environment)
        _until(lambda: _listens(web) and _is_loaded(ui), web_ended)
        _stop_automation(ui)
        daemon_ended = start("daemon", "dagster._daemon", "run", *workspace)
        _until(lambda: _daemon_is_healthy(ui), daemon_ended)
        yield ui


@contextlib.contextmanager
def _process(
    name: str, module: str, arguments: tuple[str, ...], environment: dict[str, str]
) -> Iterator[Callable[[], str | None]]:
    """Runs a module in a process group of its own; hands out what tells how it ended, if it did."""
    log = Path(environment["DAGSTER_HOME"]) / f"{name}.log"
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            cwd=REPOSITORY,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def ended() -> str | None:
        return None if process.poll() is None else log.read_text(errors="replace")[-4000:]

    try:
        yield ended
    finally:
        # With it goes what it started: the proxied code server, the workers of runs.
        for number in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(20)


def _until(holds: Callable[[], bool], ended: Callable[[], str | None]) -> None:
    """Waits until `holds`; fails with the log of a process that ended before."""
    deadline = time.monotonic() + _PATIENCE
    while not holds():
        said = ended()
        assert said is None, said
        assert time.monotonic() < deadline, "it did not come up in time"
        time.sleep(0.3)


def _free_port() -> int:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return held.getsockname()[1]


def _listens(port: int) -> bool:
    with socket.socket() as tried:
        return tried.connect_ex(("127.0.0.1", port)) == 0


def _is_loaded(ui: Ui) -> bool:
    query = "{ workspaceOrError { ... on Workspace { locationEntries { loadStatus } } } }"
    entries = ui.ask(query)["workspaceOrError"]["locationEntries"]
    return [entry["loadStatus"] for entry in entries] == ["LOADED"]


def _daemon_is_healthy(ui: Ui) -> bool:
    query = "{ instance { daemonHealth { allDaemonStatuses { required healthy } } } }"
    daemons = ui.ask(query)["instance"]["daemonHealth"]["allDaemonStatuses"]
    return all(daemon["healthy"] for daemon in daemons if daemon["required"])


def _stop_automation(ui: Ui) -> None:
    found = ui.ask(
        "{ workspaceOrError { ... on Workspace { locationEntries { locationOrLoadError { "
        "... on RepositoryLocation { repositories { sensors { id } schedules { id } } } "
        "... on PythonError { message } } } } } }"
    )
    [entry] = found["workspaceOrError"]["locationEntries"]
    [repository] = entry["locationOrLoadError"]["repositories"]
    for sensor in repository["sensors"]:
        ui.ask("mutation($id: String) { stopSensor(id: $id) { __typename } }", id=sensor["id"])
    for schedule in repository["schedules"]:
        ui.ask(
            "mutation($id: String) { stopRunningSchedule(id: $id) { __typename } }",
            id=schedule["id"],
        )
