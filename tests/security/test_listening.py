"""Nothing listens where another machine could reach it: not the UI, not the code servers."""

import contextlib
import os
import shlex
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests.security.served import free_port

UNITS = sorted(Path("deploy/systemd").glob("*.service"))
MAKEFILE = Path("Makefile").read_text()


def command_of(unit):
    """The command that a unit of systemd starts, in this checkout."""
    (line,) = [x for x in unit.read_text().splitlines() if x.startswith("ExecStart=")]
    program, *arguments = shlex.split(line.removeprefix("ExecStart="))
    return [str(Path(sys.executable).parent / Path(program).name), *arguments]


def command_of_make(target):
    """The command that a target of the Makefile starts."""
    recipe = MAKEFILE.split(f"\n{target}: ")[1].split("\n\n")[0].replace("\\\n", " ")
    words = shlex.split(recipe.partition('$(CURDIR)}" ')[2])
    return [str(Path(sys.executable).parent / words[0]), *words[1:]]


COMMANDS = {
    "make ui": command_of_make("ui"),
    "make viewer": command_of_make("viewer"),
    **{unit.stem: command_of(unit) for unit in UNITS},
}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_documented_web_server_is_told_to_stay_on_this_machine(name):
    words = COMMANDS[name]
    if "daemon" in name:
        assert "--host" not in words
    else:
        assert words[words.index("--host") + 1] == "127.0.0.1"


def test_the_ui_reaches_the_socket_by_which_a_run_of_the_daemon_is_terminated():
    """Dagster keeps it in /tmp, of which a service with PrivateTmp has its own."""
    lines = Path("deploy/systemd/bonito-ui.service").read_text().splitlines()
    assert {"PrivateTmp=true", "JoinsNamespaceOf=bonito-daemon.service"} <= set(lines)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["make ui", "bonito-ui", "bonito-viewer", "bonito-daemon"])
def test_what_a_command_starts_listens_on_loopback_or_on_a_socket_file(name, tmp_path):
    words = list(COMMANDS[name])
    web = "--port" in words
    if web:
        words[words.index("--port") + 1] = port = str(free_port())
    (tmp_path / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    environment = {
        **os.environ,
        "DAGSTER_HOME": str(tmp_path),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "BONITO_DATA": str(tmp_path / "data"),
    }
    process = subprocess.Popen(
        words, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        root = psutil.Process(process.pid)
        for _ in range(600):
            assert process.poll() is None
            tcp, files = listening(root)
            if files and (not web or any(address.port == int(port) for address in tcp)):
                break
            time.sleep(0.2)
        assert files, "no code server came up"
        assert {address.ip for address in tcp} <= {"127.0.0.1"}
    finally:
        family = [root, *root.children(recursive=True)]
        process.terminate()
        _, left = psutil.wait_procs(family, 60)
        for one in left:
            with contextlib.suppress(psutil.NoSuchProcess):
                one.kill()


def listening(root):
    """Gives the TCP addresses and the socket files on which a process and its children listen."""
    tcp, files = set(), set()
    for process in [root, *root.children(recursive=True)]:
        with contextlib.suppress(psutil.NoSuchProcess):
            for connection in process.net_connections("inet"):
                if connection.status == psutil.CONN_LISTEN:
                    tcp.add(connection.laddr)
            files |= {c.laddr for c in process.net_connections("unix") if c.laddr}
    return tcp, files
