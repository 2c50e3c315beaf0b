"""The same engine on every node of a Ray cluster: all answers, each once, whatever dies.

Most of it runs real actors with a fake engine, which this module also is: the actors import it.
A fake engine does with a request what the request's seed says.
"""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from bonito_assets import settings
from resources.generator import GeneratorError, Outcome, Request, Sampling
from resources.model import ModelError
from resources.ray_cluster import EngineActor, RayCluster, RaySession

MODEL = str(settings.DEMO_MODEL)
SAMPLING = Sampling(temperature=0.5, top_p=0.95, max_tokens=16)
STORE = 100 << 20

DIES, STOPS, IS_REFUSED, RAISES = 1001, 1002, 1003, 1004


class FakeLoop:
    """Runs eight requests at once for one to three steps each; the answer is the seed."""

    max_num_seqs = 8

    def __init__(self, folder, window, arguments):
        self.window = window
        self.extra = arguments.extra
        self.under_way = {}
        if "start_error" in self.extra:
            raise RuntimeError(self.extra["start_error"])

    @property
    def busy(self):
        return bool(self.under_way)

    def add(self, name, ids, sampling, seed):
        assert name not in self.under_way
        assert len(ids) + sampling.max_tokens <= self.window
        if seed == IS_REFUSED:
            raise ValueError("not this one")
        self.under_way[name] = [1 + len(self.under_way) % 3, len(ids), seed]

    def step(self):
        time.sleep(self.extra.get("step_seconds", 0.0))
        finished = []
        for name, entry in list(self.under_way.items())[: self.max_num_seqs]:
            entry[0] -= 1
            self._misbehave(entry[2])
            if not entry[0]:
                _, tokens, seed = self.under_way.pop(name)
                finished.append(Outcome(name, f"answer {seed}", "stop", tokens, 3, -0.5))
        return finished

    def _misbehave(self, seed):
        if seed == DIES:
            os._exit(1)
        if seed == RAISES:
            raise RuntimeError("CUDA error: an illegal memory access was encountered")
        if seed == STOPS:
            marker = Path(self.extra["stopped"])
            if not marker.exists():  # only the first engine that gets it
                marker.touch()
                os.kill(os.getpid(), signal.SIGSTOP)


@pytest.fixture(scope="module")
def nodes_can_import_this_module():
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("PYTHONPATH", str(Path(__file__).parent))
        environment.setenv("RAY_USAGE_STATS_ENABLED", "0")
        yield


@pytest.fixture(scope="module")
def cluster(nodes_can_import_this_module):
    from ray.cluster_utils import Cluster

    head = {"num_cpus": 2, "include_dashboard": False, "object_store_memory": STORE}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    yield cluster
    cluster.shutdown()


@pytest.fixture
def log():
    return []


@pytest.fixture
def session(cluster, log):
    """Opens sessions over the fake engine with the settings given."""
    opened = []

    def open_session(address=cluster.address, **values):
        opened.append(fake_session(log, address=address, **values))
        return opened[-1]

    yield open_session
    for each in opened:
        each.close()


def fake_session(log, **values):
    cluster = RayCluster(model=MODEL, **values)
    return RaySession(cluster.resolve(), cluster, log.append, loop="test_ray_cluster:FakeLoop")


def requests(n, bad=None):
    """Gives n requests, every three of one key; `bad` maps positions to seeds."""
    for i in range(n):
        yield Request(f"key {i // 3}", f"Passage {i}.", SAMPLING, seed=(bad or {}).get(i, i % 1000))


def too_long(key):
    return Request(key, "word " * 5000, SAMPLING, seed=DIES)


def expected(asked):
    """Gives how often each pair of key and answer must come back."""
    return Counter((request.key, f"answer {request.seed}") for request in asked)


def answered(outcomes):
    return Counter((o.key, o.output) for o in outcomes if o.rejected_because is None)


def rejected(outcomes):
    return [(o.key, o.rejected_because) for o in outcomes if o.rejected_because is not None]


def test_every_request_is_answered_once_and_bad_prompts_never_reach_an_engine(session, log):
    asked = [*requests(400), too_long("long"), Request("none", "", SAMPLING, seed=DIES)]
    two = session(actors=2)
    outcomes = list(two.generate(reversed(asked)))
    assert answered(outcomes) == expected(asked[:400])
    assert sorted(rejected(outcomes)) == [("long", "too_long"), ("none", "empty")]
    assert two.cards in (1, 2)  # the second may not have found its place yet
    assert any("2 engines are asked for" in line for line in log)
    assert not any("lost" in line for line in log)
    # A session may be asked again, and keeps its engines.
    assert answered(two.generate(requests(50))) == expected(requests(50))
    assert sum("is ready" in line for line in log) <= 2


def test_bad_prompts_alone_start_nothing(session, log):
    outcomes = list(session(address="nowhere:1").generate([too_long("a"), too_long("b")]))
    assert rejected(outcomes) == [("a", "too_long"), ("b", "too_long")]
    assert log == []


def test_requests_are_taken_only_as_fast_as_they_are_needed(session):
    taken = 0

    def counted():
        nonlocal taken
        for request in requests(5000):
            taken += 1
            yield request

    for given, _ in enumerate(session(actors=1).generate(counted()), start=1):
        # The engine's window is 16, and prompts are judged in lists of 64.
        assert taken <= given + 16 + 64
        if given == 300:
            break


def test_a_request_that_kills_engines_is_set_aside_and_the_rest_is_answered(session, log):
    asked = list(requests(100, bad={40: DIES}))
    outcomes = list(session(actors=1).generate(asked))
    assert rejected(outcomes) == [("key 13", "engine_error")]
    assert answered(outcomes) == expected(r for r in asked if r.seed != DIES)
    # At most three deaths: among others, in a group, alone.
    assert sum("is lost" in line for line in log) <= 3


def test_a_request_that_the_engine_refuses_costs_no_engine(session, log):
    outcomes = list(session(actors=1).generate(requests(20, bad={7: IS_REFUSED})))
    assert rejected(outcomes) == [("key 2", "engine_error")]
    assert len(outcomes) == 20
    assert not any("is lost" in line for line in log)


@pytest.mark.slow
def test_an_engine_that_stands_still_is_replaced(session, log, tmp_path):
    extra = {"stopped": str(tmp_path / "marker")}
    asked = list(requests(60, bad={30: STOPS}))
    began = time.monotonic()
    outcomes = list(session(actors=1, stall_seconds=2, engine={"extra": extra}).generate(asked))
    assert answered(outcomes) == expected(asked)
    assert any("silent for 2 s" in line for line in log)
    assert time.monotonic() - began < 30


@pytest.mark.slow
def test_engines_that_die_of_everything_end_the_step_with_the_cause(session, log):
    asked = requests(50, bad=dict.fromkeys(range(50), RAISES))
    with pytest.raises(GeneratorError, match=r"died in a row.*illegal memory access"):
        list(session(actors=1).generate(asked))
    assert sum("is lost" in line for line in log) <= 6


def test_an_engine_that_cannot_start_ends_the_step_with_the_cause(session):
    engine = {"extra": {"start_error": "no kernel for this card"}}
    with pytest.raises(GeneratorError, match="cannot start: RuntimeError: no kernel for this card"):
        list(session(engine=engine).generate(requests(3)))


def test_a_cluster_without_room_is_told_and_not_waited_for(session):
    with pytest.raises(GeneratorError, match=r"each takes 64 CPU and 0 GPU; the cluster has 2 CPU"):
        list(session(cpus_per_actor=64, room_seconds=1).generate(requests(3)))


def test_another_checkpoint_on_a_node_is_refused():
    arguments = RayCluster(model=MODEL).arguments
    with pytest.raises(ModelError, match=r"another checkpoint.*same files on every node"):
        EngineActor().start("test_ray_cluster:FakeLoop", MODEL, "0" * 64, 512, arguments)


def test_an_unknown_engine_argument_is_refused():
    with pytest.raises(ValueError, match=r"no argument is called tensor_paralel_size"):
        RayCluster(model=MODEL, engine={"tensor_paralel_size": 2})


def test_a_cluster_that_is_not_there_is_told(log):
    with (
        closing(fake_session(log, address="127.0.0.1:1")) as session,
        pytest.raises(GeneratorError, match=r"cannot join the Ray cluster '127\.0\.0\.1:1'"),
    ):
        list(session.generate(requests(1)))


def test_without_the_package_the_error_says_what_to_install(log, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(GeneratorError, match="install this project with its extra `ray`"):
        list(fake_session(log).generate(requests(1)))


def test_the_resource_is_defined_without_ray():
    code = "import resources.ray_cluster, sys; sys.exit('ray' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.slow
def test_gpus_say_how_many_engines_there_are(cluster, session, log):
    with_gpus = [
        cluster.add_node(num_cpus=4, num_gpus=gpus, object_store_memory=STORE) for gpus in (4, 3)
    ]
    two_each = session(engine={"tensor_parallel_size": 2})
    assert answered(two_each.generate(requests(30))) == expected(requests(30))
    assert any("3 engines are asked for, each with 1 CPU and 2 GPU" in line for line in log)
    assert two_each.cards in (2, 4, 6)
    for node in with_gpus:
        cluster.remove_node(node)


@pytest.mark.slow
@pytest.mark.parametrize("places", [1, 2], ids=["no_room_for_another", "room_for_another"])
def test_a_node_lost_in_the_middle_costs_what_was_in_flight(places, cluster, session, log):
    # Three CPUs per engine: the head, with two, has no room for any.
    lasting, lost = (
        cluster.add_node(num_cpus=3 * places, object_store_memory=STORE) for _ in range(2)
    )
    slow = {"extra": {"step_seconds": 0.02}}
    outcomes = []
    for outcome in session(cpus_per_actor=3, engine=slow).generate(requests(6000)):
        outcomes.append(outcome)
        if len(outcomes) == 2000:
            cluster.remove_node(lost, allow_graceful=False)
    assert len(outcomes) == 6000
    assert answered(outcomes) == expected(requests(6000))
    # Its successor may be sent to the dead node too, as long as that counts as alive.
    (loss,) = [line for line in log if "is lost" in line and "with 0 requests" not in line]
    assert int(loss.split(" lost with ")[1].split()[0]) <= 16
    cluster.remove_node(lasting)


@pytest.mark.slow
def test_the_real_engine_in_an_actor_gives_the_same_again(cluster, log):
    asked = [Request(f"k{i}", f"The river {i} is long.", SAMPLING, seed=i) for i in range(40)]
    texts = []
    for _ in range(2):
        generator = RayCluster(model=MODEL, address=cluster.address, engine={"max_num_seqs": 16})
        with generator.open(log.append) as session:
            outcomes = {o.key: o for o in session.generate(asked)}
        assert set(outcomes) == {request.key for request in asked}
        assert all(o.output_tokens > 0 and o.mean_logprob < 0 for o in outcomes.values())
        texts.append({key: o.output for key, o in outcomes.items()})
    assert texts[0] == texts[1]


@pytest.mark.slow
def test_ray_started_here_ends_with_the_session(nodes_can_import_this_module, log):
    before, handler = children(), signal.getsignal(signal.SIGTERM)
    with closing(fake_session(log)) as session:
        assert answered(session.generate(requests(30))) == expected(requests(30))
        assert signal.getsignal(signal.SIGTERM) is handler
        started = children() - before
        assert started
    _, alive = psutil.wait_procs(started, timeout=10)
    assert alive == []


def children():
    return set(psutil.Process().children(recursive=True))
