"""A real web server of Dagster, and requests as no well-behaved client would send them."""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

# A location that loads at once: the attacks are on the web server, whatever it serves.
LOCATION = """
import dagster as dg

corpora = dg.DynamicPartitionsDefinition(name="corpora")

@dg.asset(partitions_def=corpora)
def documents(): ...

@dg.op
def documents_op(): ...

@dg.job
def refresh(): documents_op()

@dg.definitions
def defs():
    return dg.Definitions(assets=[documents], jobs=[refresh])
"""
# Runs wait in the queue for ever, since no daemon takes them out.
GUARD = "instance_class: {module: resources.instance, class: GuardedInstance}\n"
DAGSTER_YAML = """
telemetry: {enabled: false}
run_coordinator: {module: dagster.core.run_coordinator, class: QueuedRunCoordinator}
"""

LAUNCH = """mutation { launchRun(executionParams: {selector: {repositoryName: "__repository__",
 repositoryLocationName: "served.py", jobName: "refresh"}, runConfigData: {}})
 { __typename } }""".replace("\n", "")
WIPE = (
    'mutation { wipeAssets(assetPartitionRanges: [{assetKey: {path: ["documents"]}}]) '
    "{ __typename } }"
)
ADD_PARTITION = (
    'mutation { addDynamicPartition(partitionsDefName: "corpora", partitionKey: "evil", '
    'repositorySelector: {repositoryName: "__repository__", repositoryLocationName: "served.py"})'
    " { __typename } }"
)
QUERY = "{ version }"


@dataclass(frozen=True)
class Answer:
    """A response: its status (0 where the connection was closed without one), headers and body."""

    status: int
    head: str
    body: str

    @property
    def succeeded(self) -> bool:
        """Tells whether a mutation went through."""
        return "Success" in self.body and "data" in self.body


def free_port() -> int:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return held.getsockname()[1]


@contextlib.contextmanager
def web_server(home: Path, *options: str, guarded: bool = True) -> Iterator[int]:
    """Runs `dagster-webserver` over `home` and hands out its port once it answers."""
    port = free_port()
    (home / "dagster.yaml").write_text((GUARD if guarded else "") + DAGSTER_YAML)
    (home / "served.py").write_text(LOCATION)
    process = subprocess.Popen(
        [sys.executable, "-m", "dagster_webserver", "-p", str(port), "-f", "served.py", *options],
        cwd=home,
        env={**os.environ, "DAGSTER_HOME": str(home), "PYTHONPATH": str(Path.cwd())},
        stdout=(home / "web.log").open("a"),
        stderr=subprocess.STDOUT,
    )
    try:
        until_it_answers(port, process)
        yield port
    finally:
        process.terminate()
        process.wait(30)


def until_it_answers(port: int, process: subprocess.Popen[bytes]) -> None:
    """Waits until a program listens on `port`."""
    for _ in range(600):
        assert process.poll() is None, "it ended before it answered"
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.1)
    raise AssertionError("it never answered")


def send(port: int, raw: bytes, tls_name: str | None = None) -> Answer:
    """Sends bytes as they are and gives the answer, or what there is when the other side closes."""
    with contextlib.ExitStack() as stack:
        line = stack.enter_context(socket.create_connection(("127.0.0.1", port), 60))
        if tls_name is not None:
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            line = stack.enter_context(context.wrap_socket(line, server_hostname=tls_name))
        line.sendall(raw)
        received = b""
        with contextlib.suppress(ConnectionError):
            while not _is_whole(received) and (block := line.recv(65536)):
                received += block
    head, _, body = received.decode("latin-1").partition("\r\n\r\n")
    status = head.split(" ")[1] if head else "0"
    return Answer(int(status), head, body)


def _is_whole(received: bytes) -> bool:
    head, end, body = received.partition(b"\r\n\r\n")
    if not end:
        return False
    size = re.search(rb"\r\ncontent-length: (\d+)", head, re.IGNORECASE)
    return head.startswith(b"HTTP/1.1 101") or (size is not None and len(body) >= int(size[1]))


def request(
    method: str,
    target: str,
    headers: list[tuple[str, str]],
    body: str = "",
    version: str = "HTTP/1.1",
) -> bytes:
    """Gives the bytes of a request whose connection is closed after the answer."""
    lines = [f"{method} {target} {version}", *(f"{name}: {value}" for name, value in headers)]
    if not any(name == "Connection" for name, _ in headers):
        lines.append("Connection: close")
    if body:
        lines.append(f"Content-Length: {len(body.encode())}")
    return ("\r\n".join(lines) + "\r\n\r\n" + body).encode()


def question(query: str) -> str:
    """Gives the body of a GraphQL request."""
    return json.dumps({"query": query})
