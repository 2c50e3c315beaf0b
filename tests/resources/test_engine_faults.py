"""Engines die, hang and are killed, and the step gets all its outcomes or one clear error.

Everything here is real (processes, guards, pipes, signals) but the model; the tests with a real
model are in ``test_vllm_engine.py`` and at the end, where they take minutes.
"""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

import psutil
import pytest

from bonito_assets import settings
from resources.engine_log import engine_log
from resources.engine_loop import ENGINE_LOOP
from resources.generator import GeneratorError, Request, Sampling
from resources.model import resolve
from resources.vllm_engine import VllmEngine, VllmSession
from tests.resources.fake_engine import DEADLY, HANGING, RAISING

FAKE_ENGINE = "tests.resources.fake_engine:FakeEngine"
MODEL = str(settings.DEMO_MODEL)
SAMPLING = Sampling(temperature=0.5, top_p=0.95, max_tokens=16)


def requests(number, seeds=None):
    """`number` requests; `seeds` maps some of their numbers to what they do to an engine."""
    seeds = seeds or {}
    return [Request(f"k{n}", f"text {n}", SAMPLING, seeds.get(n, n)) for n in range(number)]


@pytest.fixture(autouse=True)
def _logs_go_with_the_test(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))


@contextlib.contextmanager
def opened(log=None, loop=FAKE_ENGINE, **arguments):
    engine = VllmEngine(model=MODEL, **arguments)
    lines = [] if log is None else log
    session = VllmSession(resolve(MODEL, "BONITO_MODEL"), engine, lines.append, loop)
    try:
        yield session
    finally:
        session.close()
        assert processes() == []


def processes(of=None):
    """The guards and engines below a process, by default this one."""
    return [p for p in psutil.Process(of).children(recursive=True) if "-P" in _line(p)]


def guards():
    return [p for p in psutil.Process().children() if any("guard.py" in word for word in _line(p))]


def _line(process):
    with contextlib.suppress(psutil.Error):
        return process.cmdline()
    return []


def engine():
    """The process that holds the engine."""
    (guard,) = guards()
    return guard.children()[0]


def assert_gone(victims, seconds=10):
    _, alive = psutil.wait_procs(victims, timeout=seconds)
    assert [p for p in alive if p.status() != psutil.STATUS_ZOMBIE] == []


def after(number, deed, outcomes):
    """Passes outcomes on and does a deed once, when so many have come."""
    for count, outcome in enumerate(outcomes, start=1):
        if count == number:
            deed()
        yield outcome


def assert_all_there(outcomes, number, culprits=()):
    """Each request has one outcome, and it is good unless the request is a culprit."""
    assert Counter(o.key for o in outcomes) == Counter(f"k{n}" for n in range(number))
    bad = {o.key for o in outcomes if o.rejected_because}
    assert bad == {f"k{n}" for n in culprits}
    assert {o.rejected_because for o in outcomes} <= {None, "engine_error"}


def test_a_killed_engine_costs_no_outcome_and_doubles_none():
    log = []
    with opened(log, extra={"seconds_per_step": 0.02}) as session:
        kill = lambda: engine().kill()  # noqa: E731
        outcomes = list(after(100, kill, session.generate(requests(400))))
    assert_all_there(outcomes, 400)
    assert [line.split(" on ")[0].split(";")[0] for line in log] == [
        "engine started",
        "engine lost: it was killed by SIGKILL (often: the machine ran out of memory)",
        "engine restarted",
    ]


def test_the_guard_may_be_killed_as_well():
    with opened(extra={"seconds_per_step": 0.02}) as session:
        started = []

        def kill():
            started.append(engine())
            guards()[0].kill()

        outcomes = list(after(100, kill, session.generate(requests(400))))
        assert_gone(started, seconds=0)
    assert_all_there(outcomes, 400)


@pytest.mark.parametrize("seed", [DEADLY, RAISING])
def test_a_request_that_kills_the_engine_is_set_aside_and_the_rest_goes_on(seed):
    with opened(log := []) as session:
        outcomes = list(session.generate(requests(300, {150: seed})))
    assert_all_there(outcomes, 300, culprits=[150])
    assert sum("restarted" in line for line in log) == 3
    assert "set aside: request k150, which an engine died of for the 2nd time" in log


def test_a_request_that_hangs_the_engine_is_set_aside():
    with opened(stall_seconds=1.0) as session:
        outcomes = list(session.generate(requests(40, {20: HANGING})))
    assert_all_there(outcomes, 40, culprits=[20])


def test_bad_requests_side_by_side_are_set_aside():
    """They are often of one passage."""
    culprits = [0, 1, 2, 3, 4]
    with opened() as session:
        outcomes = list(session.generate(requests(200, dict.fromkeys(culprits, DEADLY))))
    assert_all_there(outcomes, 200, culprits)


def test_an_engine_that_dies_of_everything_ends_the_step_with_the_cause():
    with opened() as session, pytest.raises(GeneratorError) as raised:
        list(session.generate(requests(200, dict.fromkeys(range(200), RAISING))))
    message = str(raised.value)
    assert "ValueError: token id 5000 is out of vocabulary" in message
    assert Path(message.partition("The log is ")[2].split()[0]).is_file()


def test_an_engine_that_is_lost_three_times_running_ends_the_step():
    def killed(outcomes):
        over = threading.Event()

        def kill():
            while not over.wait(0.05):
                with contextlib.suppress(ValueError, IndexError, psutil.Error):
                    engine().kill()

        killer = threading.Thread(target=kill)
        killer.start()
        try:
            yield from outcomes
        finally:
            over.set()
            killer.join()

    with opened() as session:
        list(session.generate(requests(1)))
        with pytest.raises(GeneratorError, match="lost 3 times in a row"):
            list(killed(session.generate(requests(200))))


def test_an_engine_that_cannot_start_is_not_tried_again():
    log = []
    with (
        opened(log, extra={"broken": "No available memory for the cache blocks"}) as session,
        pytest.raises(GeneratorError) as raised,
    ):
        list(session.generate(requests(3)))
    assert "did not start" in str(raised.value)
    assert "RuntimeError: No available memory for the cache blocks" in str(raised.value)
    assert "gpu_memory_utilization" in str(raised.value)
    assert log == []


def test_an_engine_that_takes_too_long_to_start_is_given_up():
    with (
        opened(start_seconds=1.0, extra={"start_seconds": 100}) as session,
        pytest.raises(GeneratorError, match="start_seconds=1"),
    ):
        list(session.generate(requests(3)))


def test_a_stopped_engine_is_noticed():
    log = []
    with opened(log, stall_seconds=1.0, extra={"seconds_per_step": 0.02}) as session:
        stop = lambda: engine().suspend()  # noqa: E731
        outcomes = list(after(50, stop, session.generate(requests(200))))
    assert_all_there(outcomes, 200)
    assert "no sign of life for stall_seconds=1" in log[1]


def test_outside_a_step_the_log_of_an_engine_that_ended_well_is_removed(tmp_path):
    with opened() as session:
        list(session.generate(requests(3)))
        assert len(list(tmp_path.glob("bonito-engine-*.log"))) == 1
    assert list(tmp_path.iterdir()) == []


def test_engines_of_a_step_write_into_one_file_that_stays_and_nothing_else(tmp_path):
    with engine_log(str(tmp_path / "data"), "run-1", "generations") as file, opened(log := []) as s:
        assert not file.exists()
        list(s.generate(requests(40, {20: DEADLY})))
        assert f"its log: {file}" in log[1]
    assert file == tmp_path / "data" / "logs" / "run-1" / "generations.log"
    assert file.read_text().count("an engine starts") == 4
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_a_cause_is_looked_for_in_the_log_of_the_engine_that_died_alone(tmp_path):
    with engine_log(str(tmp_path), "run-1", "generations") as file:
        file.parent.mkdir(parents=True)
        file.write_text("ValueError: of the attempt before\n")
        with opened() as session, pytest.raises(GeneratorError) as raised:
            list(session.generate(requests(9, dict.fromkeys(range(9), RAISING))))
    assert "of the attempt before" not in str(raised.value)
    assert f"The log is {file} and ends with" in str(raised.value)


def test_a_slow_step_is_no_death():
    with opened(log := [], stall_seconds=3.0, extra={"seconds_per_step": 1.5}) as session:
        assert_all_there(list(session.generate(requests(50))), 50)
    assert len(log) == 1


def test_a_caller_who_takes_long_over_an_outcome_is_no_death():
    with opened(log := [], stall_seconds=1.0) as session:
        rest = lambda: time.sleep(2.5)  # noqa: E731
        assert_all_there(list(after(10, rest, session.generate(requests(200)))), 200)
    assert len(log) == 1


def test_what_left_the_group_is_killed_too():
    with opened(extra={"helper": True, "seconds_per_step": 0.02}) as session:
        outcomes = session.generate(requests(300))
        next(outcomes)
        (helper,) = [p for p in engine().children() if p.name() == "sleep"]
        engine().kill()
        list(outcomes)
        assert_gone([helper], seconds=0)
        (helper,) = [p for p in engine().children() if p.name() == "sleep"]
    assert_gone([helper], seconds=0)


def test_an_engine_that_does_not_end_when_asked_is_killed():
    with opened(extra={"stays": True}) as session:
        list(session.generate(requests(3)))
        started, began = engine(), time.monotonic()
        session.close()
        assert time.monotonic() - began < 10
        assert_gone([started], seconds=0)


def test_a_stopped_guard_does_not_save_the_engine():
    with opened() as session:
        list(session.generate(requests(3)))
        started = [engine(), *guards()]
        guards()[0].suspend()
        engine().suspend()
        session.close()
        assert_gone(started, seconds=0)


@contextlib.contextmanager
def step_process(*command):
    """A process that generates for ever, as ``step_process.py`` says."""
    path = os.pathsep.join(entry or str(Path.cwd()) for entry in sys.path)
    step = subprocess.Popen(
        [sys.executable, *command],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": path, "TMPDIR": tempfile.gettempdir()},
    )
    try:
        yield step
    finally:
        step.kill()
        step.communicate()


STEP = str(Path(__file__).with_name("step_process.py"))


def test_no_process_outlives_a_killed_step():
    with step_process(STEP, MODEL, FAKE_ENGINE, '{"extra": {"helper": true}}') as step:
        step.stdout.readline()
        below = psutil.Process(step.pid).children(recursive=True)
        assert len(below) == 3
        step.kill()
        assert_gone(below)


def test_no_process_outlives_a_step_that_is_ended_while_its_engine_starts():
    with step_process(STEP, MODEL, FAKE_ENGINE, '{"extra": {"start_seconds": 100}}') as step:
        wait_for(lambda: len(processes(step.pid)) == 2)
        below = psutil.Process(step.pid).children(recursive=True)
        step.terminate()
        assert_gone(below)


def test_a_process_forked_off_the_step_does_not_keep_the_engine_alive(tmp_path):
    """It inherits the lifeline's write end, so that its end of file does not come."""
    told = tmp_path / "pid"
    program = f"""
import os, pathlib, runpy, sys, threading, time
def fork():
    while not pathlib.Path({str(told)!r} + ".go").exists():
        time.sleep(0.1)
    if pid := os.fork():
        pathlib.Path({str(told)!r}).write_text(str(pid))
    else:
        time.sleep(100)
        os._exit(0)
threading.Thread(target=fork, daemon=True).start()
runpy.run_path({STEP!r})
"""
    with step_process("-c", program, MODEL, FAKE_ENGINE, "{}") as step:
        step.stdout.readline()
        told.with_name("pid.go").touch()
        wait_for(lambda: told.exists() and told.read_text())
        child = psutil.Process(int(told.read_text()))
        try:
            below = set(psutil.Process(step.pid).children(recursive=True)) - {child}
            step.kill()
            assert_gone(below)
        finally:
            child.kill()


def wait_for(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


class TimedLog(list):
    """Log lines with the time at which they came."""

    def append(self, line):
        super().append((time.monotonic(), line))

    def seconds_to_notice(self, blow):
        """From a blow to the line that tells of it; by then all processes are gone as well."""
        return min(at for at, line in self if at > blow and "engine lost" in line) - blow


@pytest.mark.slow
def test_ten_kills_of_vllm_are_noticed_at_once_and_cost_nothing():
    blows, log = [], TimedLog()

    def kill():
        blows.append(time.monotonic())
        engine().kill()

    with opened(log, ENGINE_LOOP, max_num_seqs=16) as session:
        outcomes = session.generate(requests(1_000))
        for number in range(50, 1_000, 95):
            outcomes = after(number, kill, outcomes)
        outcomes = list(outcomes)
    assert_all_there(outcomes, 1_000)
    assert len(blows) == 10
    assert max(log.seconds_to_notice(blow) for blow in blows) < 10


@pytest.mark.slow
@pytest.mark.parametrize(("deed", "limit"), [("kill", 30), ("suspend", 90)])
def test_a_worker_of_vllm_that_dies_or_hangs_is_noticed(deed, limit):
    blows, log = [], TimedLog()

    def strike():
        workers = [p for p in engine().children() if "Worker_TP" in p.name()]
        blows.append(time.monotonic())
        getattr(workers[-1], deed)()

    with opened(log, ENGINE_LOOP, max_num_seqs=16, tensor_parallel_size=2) as session:
        outcomes = list(after(50, strike, session.generate(requests(200))))
        assert session.cards == 2
    assert_all_there(outcomes, 200)
    assert log.seconds_to_notice(blows[0]) < limit


@pytest.mark.slow
@pytest.mark.parametrize("blow", [signal.SIGKILL, signal.SIGTERM])
@pytest.mark.parametrize("cards", [1, 2])
def test_no_process_of_vllm_outlives_a_killed_step(blow, cards):
    values = f'{{"tensor_parallel_size": {cards}}}'
    with step_process(STEP, MODEL, ENGINE_LOOP, values) as step:
        step.stdout.readline()
        below = psutil.Process(step.pid).children(recursive=True)
        assert len(below) >= 2 + (cards if cards > 1 else 0)
        step.send_signal(blow)
        assert_gone(below)


@pytest.mark.slow
def test_a_hundred_bad_requests_among_ten_thousand():
    """Those that a check foresees cost no restart; see ``resources.admission``."""
    bad = {n: "" if n % 200 == 50 else "word " * 5_000 for n in range(50, 10_000, 100)}
    asked = [Request(f"k{n}", bad.get(n, f"text {n}"), SAMPLING, seed=None) for n in range(10_000)]
    with opened(log := []) as session:
        outcomes = list(session.generate(asked))
    assert Counter(o.key for o in outcomes) == Counter(r.key for r in asked)
    assert {o.key for o in outcomes if o.rejected_because} == {f"k{n}" for n in bad}
    assert len(log) == 1
