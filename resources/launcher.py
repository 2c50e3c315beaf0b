"""Starts runs as Dagster does, and notices when the process of one is gone.

Dagster's own launcher leaves that to the code server that started the process. Where both end
together (a power cut, a service that is restarted) the run would count as under way until its
limit, a week, and with it its corpus and its slot of the pool `gpu`. With this launcher the run
monitoring of ``dagster.yaml`` ends it within its interval, and the run is started again.
"""

from __future__ import annotations

import json
import socket

import dagster as dg
from dagster._core.launcher import CheckRunHealthResult, WorkerStatus  # no public names
from dagster._core.storage.tags import GRPC_INFO_TAG

from resources.one_writer import is_gone, names_its_process

# The code server is on this machine.
_TIMEOUT_SECONDS = 5.0


class WatchfulRunLauncher(dg.DefaultRunLauncher):
    """Dagster's launcher for one machine, which tells the run monitoring what became of a run."""

    @property
    def supports_check_run_worker_health(self) -> bool:
        """Tells the run monitoring that it may ask."""
        return True

    def check_run_worker_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        """Gives whether the process of a started `run` is still there.

        A run that has not got so far as to name its process is gone when its code server is. Should
        it live on all the same, the store refuses what it writes.
        """
        gone = is_gone(run) if names_its_process(run) else _is_deserted(run)
        return CheckRunHealthResult(WorkerStatus.NOT_FOUND if gone else WorkerStatus.RUNNING)


def _is_deserted(run: dg.DagsterRun) -> bool:
    """Tells whether nobody listens where the code server was that started `run`."""
    if GRPC_INFO_TAG not in run.tags:
        return False  # started from a terminal
    server = json.loads(run.tags[GRPC_INFO_TAG])
    try:
        if path := server.get("socket"):
            with socket.socket(socket.AF_UNIX) as asked:
                asked.settimeout(_TIMEOUT_SECONDS)
                asked.connect(path)
        else:
            socket.create_connection((server["host"], server["port"]), _TIMEOUT_SECONDS).close()
    except TimeoutError:
        return False  # somebody is there, and busy
    except OSError:
        return True
    return False
