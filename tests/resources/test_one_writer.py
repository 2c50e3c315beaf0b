"""Only the run with the newest claim publishes, whatever else is still alive."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time

import dagster as dg
import fsspec
import pyarrow as pa
import pytest
from dagster._core.definitions.scoped_resources_builder import ScopedResourcesBuilder
from dagster._core.test_utils import create_run_for_test
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    rule,
)

from resources import one_writer
from resources.one_writer import SecondWriter, StaleWriter, Writer, is_gone, process_name
from resources.store import Store

# No process has this number: Linux stops counting at 4,194,304.
GONE = "999999999@1"
STARTED = dg.DagsterRunStatus.STARTED


@pytest.fixture
def instance():
    with dg.DagsterInstance.ephemeral() as opened:
        yield opened


@pytest.fixture(params=["local", "memory"])
def root(request, tmp_path):
    return str(tmp_path / "data") if request.param == "local" else f"memory://{tmp_path}/data"


def started(instance, corpus="demo", status=STARTED, **more):
    tags = {} if corpus is None else {"dagster/partition": corpus}
    return create_run_for_test(instance, status=status, tags=tags, **more)


def step(root, instance, run):
    """A store as a step of `run` has it."""
    store = Store(root=root)
    context = dg.InitResourceContext(
        resource_config={},
        resources=ScopedResourcesBuilder().build(None),
        resource_def=None,
        all_resource_defs={},
        instance=instance,
        dagster_run=run,
    )
    store.setup_for_execution(context)
    return store


def publish(store, value, corpus="demo"):
    store.write("chunks", corpus, pa.table({"x": [value]}))


def published(root, corpus="demo"):
    return Store(root=root).read("chunks", corpus)["x"].to_pylist()


def put(store, *parts, text="text"):
    with store.new_folder(*parts) as folder:
        (folder / "file").write_text(text)


def end(instance, run):
    instance.report_run_failed(instance.get_run_by_id(run.run_id))


def kill(instance, run):
    instance.add_run_tags(run.run_id, {one_writer.PROCESS: GONE})


def test_a_run_of_no_partition_can_write_for_a_corpus_and_waits_its_turn_too(root, instance):
    refresh, forgetting = started(instance), started(instance, corpus=None)
    publish(step(root, instance, refresh), 1)
    with pytest.raises(SecondWriter, match=refresh.run_id):
        step(root, instance, forgetting).write_for("demo")
    end(instance, refresh)
    other = step(root, instance, forgetting)
    other.write_for("demo")
    publish(other, 2)
    assert published(root) == [2]


def test_all_steps_of_one_run_publish(root, instance):
    run = started(instance)
    for value in (1, 2):
        publish(step(root, instance, run), value)
    assert published(root) == [2]


def test_a_second_run_is_refused_at_its_first_use_of_the_store_and_told_which_run_is_under_way(
    root, instance
):
    first = started(instance)
    publish(step(root, instance, first), 1)
    second = step(root, instance, started(instance))
    with pytest.raises(
        SecondWriter, match=f"corpus 'demo' is being refreshed by run {first.run_id}"
    ):
        second.exists("chunks", "demo")
    assert published(root) == [1]


def test_another_corpus_is_not_held_up(root, instance):
    publish(step(root, instance, started(instance)), 1)
    publish(step(root, instance, started(instance, "other")), 2, "other")
    assert (published(root), published(root, "other")) == ([1], [2])


def test_the_next_run_follows_one_that_has_ended(root, instance):
    first = started(instance)
    publish(step(root, instance, first), 1)
    end(instance, first)
    publish(step(root, instance, started(instance)), 2)
    assert published(root) == [2]


@pytest.mark.parametrize("leave", [end, kill], ids=["counts as failed", "lost its worker"])
def test_a_step_that_outlives_its_run_is_refused_everywhere_and_told_who_won(root, instance, leave):
    first = started(instance)
    orphan = step(root, instance, first)
    publish(orphan, 1)
    put(orphan, "tuned_model", "demo", text="first")
    leave(instance, first)
    second = started(instance)
    winner = step(root, instance, second)
    publish(winner, 2)
    with pytest.raises(StaleWriter, match=f"superseded by run {second.run_id} at 2"):
        publish(orphan, 3)
    with pytest.raises(StaleWriter, match="nothing was written"):
        put(orphan, "tuned_model", "demo", text="late")
    with pytest.raises(StaleWriter), orphan.new_file("generation_cache", "segment") as file:
        file.write(b"late")
    with pytest.raises(StaleWriter, match="superseded"):
        publish(step(root, instance, first), 4)
    assert published(root) == [2]
    assert (winner.folder("tuned_model", "demo") / "file").read_text() == "first"
    assert not winner.segments("generation_cache")


def test_a_publish_that_began_before_the_claim_of_another_run_does_not_end_after_it(root, instance):
    first = started(instance)
    orphan = step(root, instance, first)
    with pytest.raises(StaleWriter), orphan.new_file("reports", "corpus=demo", "a") as file:
        file.write(b"half")
        kill(instance, first)
        publish(step(root, instance, started(instance)), 2)
        file.write(b"whole")
    assert not orphan.is_published("reports", "corpus=demo", "a")


def test_a_run_that_has_ended_cannot_begin_to_write(root, instance):
    late = started(instance, status=dg.DagsterRunStatus.FAILURE)
    with pytest.raises(StaleWriter, match=r"has ended \(FAILURE\)"):
        publish(step(root, instance, late), 1)


def test_a_folder_of_no_corpus_has_one_writer_too(root, instance):
    first, second = started(instance, None), started(instance, None)
    early, late = step(root, instance, first), step(root, instance, second)
    put(early, "instruction_mixture")
    put(late, "mixture_model")
    with pytest.raises(SecondWriter, match=f"'instruction_mixture' .* run {first.run_id}"):
        put(late, "instruction_mixture")
    end(instance, first)
    put(late, "instruction_mixture", text="second")
    with pytest.raises(StaleWriter, match=second.run_id):
        put(early, "instruction_mixture", text="first")
    assert (late.folder("instruction_mixture") / "file").read_text() == "second"


def test_a_run_of_a_corpus_that_remakes_a_shared_folder_has_to_hold_both(root, instance):
    forgetting = step(root, instance, started(instance))
    put(forgetting, "instruction_mixture")
    with pytest.raises(SecondWriter, match="'instruction_mixture'"):
        put(step(root, instance, started(instance, None)), "instruction_mixture")


def test_a_lost_claim_is_named_with_the_remedy(root, instance):
    store = step(root, instance, started(instance))
    publish(store, 1)
    store.filesystem.rm(store._path(".writers"), recursive=True)
    with pytest.raises(StaleWriter, match=r"corpus=demo\.json, which somebody deleted"):
        publish(store, 2)


def test_outside_a_run_anybody_publishes(root, instance):
    publish(step(root, instance, started(instance)), 1)
    publish(Store(root=root), 2)
    assert published(root) == [2]


def test_a_claim_waits_for_the_publish_that_is_under_way(tmp_path, instance):
    order = []
    filesystem = fsspec.filesystem("file")
    first, second = started(instance), started(instance)
    one, two = (Writer(filesystem, str(tmp_path), run, instance) for run in (first, second))
    with one.publishing():
        kill(instance, first)
        claimer = threading.Thread(target=lambda: (two.take_turn(), order.append("claimed")))
        claimer.start()
        # Long enough for a claim that does not wait, which takes some milliseconds.
        claimer.join(timeout=0.3)
        order.append("published")
    claimer.join()
    assert order == ["published", "claimed"]


def test_the_refusal_fails_the_step_with_its_sentence_and_is_not_tried_again(tmp_path, instance):
    publish(step(str(tmp_path), instance, busy := started(instance)), 1)

    @dg.asset(partitions_def=dg.StaticPartitionsDefinition(["demo"]))
    def chunks(store: Store):
        publish(store, 2)

    result = dg.materialize(
        [chunks],
        partition_key="demo",
        instance=instance,
        resources={"store": Store(root=str(tmp_path))},
        raise_on_error=False,
    )
    (failure,) = result.get_step_failure_events()
    told = failure.step_failure_data.user_failure_data.description
    assert told.startswith(f"corpus 'demo' is being refreshed by run {busy.run_id} since 2")
    assert published(str(tmp_path)) == [1]


@pytest.mark.parametrize("process", [GONE, f"{os.getpid()}@1"], ids=["no such", "another process"])
def test_a_run_is_gone_when_its_process_is(instance, process):
    tags = {one_writer.HOST: socket.gethostname(), one_writer.PROCESS: process}
    assert is_gone(create_run_for_test(instance, tags=tags))
    assert not is_gone(create_run_for_test(instance, tags={**tags, one_writer.HOST: "elsewhere"}))


def test_a_run_is_not_gone_while_its_process_lives(instance):
    tags = {one_writer.HOST: socket.gethostname(), one_writer.PROCESS: process_name(os.getpid())}
    assert not is_gone(create_run_for_test(instance, tags=tags))


def test_a_retry_is_not_gone_because_of_the_tags_that_it_copied(tmp_path, instance):
    tags = {one_writer.HOST: socket.gethostname(), one_writer.PROCESS: GONE}
    killed = create_run_for_test(instance, tags=tags)
    retry = started(instance, parent_run_id=killed.run_id, root_run_id=killed.run_id)
    instance.add_run_tags(retry.run_id, tags)
    assert not is_gone(instance.get_run_by_id(retry.run_id))
    publish(step(str(tmp_path), instance, retry), 1)
    assert not is_gone(instance.get_run_by_id(retry.run_id))
    kill(instance, retry)
    assert is_gone(instance.get_run_by_id(retry.run_id))


def test_a_process_that_has_ended_has_no_name_even_before_its_parent_takes_leave():
    process = subprocess.Popen([sys.executable, "-S", "-c", "input()"], stdin=subprocess.PIPE)
    assert process_name(process.pid) is not None
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert process_name(process.pid) is None
    process.wait()
    assert process_name(process.pid) is None


WORKER = """
import multiprocessing, os, time

def step():
    from resources.one_writer import end_with_run_worker
    end_with_run_worker()
    print(os.getpid(), flush=True)
    sum(range(1 << 60))  # in which no other thread of Python gets its turn

if __name__ == "__main__":
    multiprocessing.get_context("spawn").Process(target=step).start()
    time.sleep(600)
"""


def test_a_step_ends_with_its_run_worker(tmp_path):
    script = tmp_path / "worker.py"
    script.write_text(WORKER)
    worker = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True)
    pid = int(worker.stdout.readline())
    assert process_name(pid) is not None
    worker.send_signal(signal.SIGKILL)
    worker.wait()
    while process_name(pid) is not None:  # the test's own time limit says when it failed
        time.sleep(0.05)


class Claims(RuleBasedStateMachine):
    """Runs of two corpora claim, publish, end and die in any order."""

    steps = Bundle("steps")
    runs = Bundle("runs")

    @initialize()
    def begin(self):
        self.opened = dg.DagsterInstance.ephemeral()
        self.filesystem = fsspec.filesystem("memory")
        self.folder = f"memory://{id(self)}"
        self.holder = {}  # corpus -> run
        self.over, self.dead, self.superseded = set(), set(), set()
        self.begun = set()  # steps that have claimed

    def teardown(self):
        if hasattr(self, "opened"):
            self.opened.dispose()

    @rule(target=runs, corpus=st.sampled_from(["a", "b"]))
    def start(self, corpus):
        return started(self.opened, corpus)

    @rule(target=steps, run=runs)
    def open_step(self, run):
        return Writer(self.filesystem, self.folder, run, self.opened), run

    @rule(run=runs)
    def ends(self, run):
        end(self.opened, run)
        self.over.add(run.run_id)

    @rule(run=runs)
    def dies(self, run):
        tags = {
            one_writer.HOST: socket.gethostname(),
            one_writer.PROCESS: GONE,
            one_writer.PROCESS_OF: run.run_id,
        }
        self.opened.add_run_tags(run.run_id, tags)
        self.dead.add(run.run_id)

    def may_claim(self, run):
        holder = self.holder.get(run.tags["dagster/partition"])
        if holder == run.run_id:
            return True
        free = holder is None or holder in self.over | self.dead
        return free and run.run_id not in self.over | self.superseded

    def claimed(self, run):
        corpus = run.tags["dagster/partition"]
        if self.holder.get(corpus) != run.run_id:
            self.superseded.add(self.holder.get(corpus))
            self.holder[corpus] = run.run_id
            self.dead.discard(run.run_id)  # it lives: a process of it has just claimed

    @rule(step=steps)
    def publishes(self, step):
        writer, run = step
        if writer in self.begun:
            may = self.holder[run.tags["dagster/partition"]] == run.run_id
        else:
            may = self.may_claim(run)
        try:
            with writer.publishing():
                did = True
        except (SecondWriter, StaleWriter):
            did = False
        assert did == may
        if did:
            self.begun.add(writer)
            self.claimed(run)


TestClaims = Claims.TestCase
TestClaims.settings = settings(max_examples=30, stateful_step_count=25, deadline=None)
