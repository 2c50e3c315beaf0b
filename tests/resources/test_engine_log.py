"""An engine's log is found again, does not fill the disk and does not stay for ever."""

import os
import time

from hypothesis import given
from hypothesis import strategies as st

from resources import engine_log
from resources.engine_log import KEPT_DAYS, LogFile, log_folder

DAY = 86_400


def test_logs_lie_in_the_data_folder_and_of_remote_data_on_this_machine(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert log_folder("/srv/data").as_posix() == "/srv/data/logs"
    assert log_folder("s3://bucket/data").parent == tmp_path


def test_logs_of_old_runs_are_swept_when_a_step_starts(tmp_path):
    ages = {"old": KEPT_DAYS + 1, "new": KEPT_DAYS - 1}
    for run, days in ages.items():
        folder = tmp_path / "logs" / run
        folder.mkdir(parents=True)
        file = folder / "generations.log"
        file.touch()
        for path in (file, folder):
            os.utime(path, (time.time() - days * DAY,) * 2)
    with engine_log.engine_log(str(tmp_path), "now", "generations"):
        pass
    assert [path.name for path in (tmp_path / "logs").iterdir()] == ["new"]


def test_a_log_that_grows_without_end_keeps_its_end(tmp_path, monkeypatch):
    monkeypatch.setattr(engine_log, "MOST_BYTES", 4096)
    with engine_log.engine_log(str(tmp_path), "run", "step") as path:
        log = LogFile()
    with log.open() as engine:  # which holds the file open all the time, as engines do
        for number in range(10_000):
            engine.write(b"line %d\n" % number)
            log.cap()
        assert path.stat().st_size < 4096 + 100
    assert log.lines()[-1] == "line 9999"
    assert "earlier lines were dropped" in log.lines()[0]


@given(st.lists(st.binary(max_size=50).filter(lambda b: b"\n" not in b and b"\r" not in b)))
def test_whatever_bytes_are_written_the_lines_can_be_read(tmp_path_factory, lines):
    with engine_log.engine_log(str(tmp_path_factory.mktemp("data")), "run", "step"):
        log = LogFile()
    with log.open() as engine:
        engine.write(b"".join(line + b"\n" for line in lines))
    assert "\n".join(log.lines()).count("\n") >= max(0, len(lines) - 1)


def test_a_log_that_somebody_deleted_costs_its_lines_and_nothing_else(tmp_path):
    with engine_log.engine_log(str(tmp_path), "run", "step") as path:
        log = LogFile()
    path.unlink()
    log.cap()
    assert log.lines() == []
