"""A real server, for the tests that need one."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

import pytest

from bonito_assets import settings

MODEL = str(settings.DEMO_MODEL)


def unused_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="module")
def vllm_url(tmp_path_factory):
    """A vLLM server with the demonstration checkpoint, in a process group of its own."""
    port = unused_port()
    log = tmp_path_factory.mktemp("server") / "log.txt"
    command = (
        f"{sys.executable} -m vllm.entrypoints.openai.api_server --model {MODEL} --port {port} "
        "--served-model-name bonito --enforce-eager --uvicorn-log-level warning "
        # With prompts in pieces a seeded request kills vLLM 0.32 on a CPU.
        "--no-enable-chunked-prefill --max-num-batched-tokens 8192"
    )
    environment = {
        **os.environ,
        "VLLM_CPU_KVCACHE_SPACE": "1",
        "VLLM_CPU_OMP_THREADS_BIND": "nobind",
        "OMP_NUM_THREADS": "1",
        "HF_HUB_OFFLINE": "1",
        "VLLM_NO_USAGE_STATS": "1",
    }
    with log.open("w") as out:
        process = subprocess.Popen(
            command.split(), stdout=out, stderr=out, env=environment, start_new_session=True
        )
    try:
        end = time.monotonic() + 480
        while process.poll() is None and not healthy(port) and time.monotonic() < end:
            time.sleep(0.2)
        assert process.poll() is None and healthy(port), log.read_text()[-3000:]
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def healthy(port):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5) as reply:
            return reply.status == 200
    except (urllib.error.URLError, OSError):
        return False
