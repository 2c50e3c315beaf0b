"""The server backend loses nothing and doubles nothing, whatever the endpoint does; what cannot
pass stops it at once, with the remedy."""

import threading
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import count

import pytest

from bonito_assets import settings
from resources.generator import GeneratorError, Request, Sampling
from resources.model import resolve
from resources.vllm_server import KEY_VARIABLE, VllmServer
from tests.resources.conftest import unused_port
from tests.resources.faulty_endpoint import Fault, FaultyEndpoint, storm, text_for

MODEL = str(settings.DEMO_MODEL)
SAMPLING = Sampling(temperature=0.5, top_p=0.95, max_tokens=16)


@pytest.fixture(autouse=True)
def without_a_key(monkeypatch):
    monkeypatch.delenv(KEY_VARIABLE, raising=False)


def requests(n):
    return [Request(f"key {i}", f"prompt number {i}", SAMPLING) for i in range(n)]


def server(*endpoints, **fields):
    urls = [endpoint if isinstance(endpoint, str) else endpoint.url for endpoint in endpoints]
    defaults = {"concurrency": 16, "timeout_seconds": 5.0, "give_up_seconds": 20.0}
    return VllmServer(model=MODEL, urls=urls, **{**defaults, **fields})


def ask(generator, asked):
    with generator.open(lambda line: None) as session:
        return list(session.generate(asked))


def failure(generator, asked=None):
    with pytest.raises(GeneratorError) as caught:
        ask(generator, asked or requests(1))
    return str(caught.value)


def ids(request):
    """What the endpoint is to see of a request."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(MODEL)
    return (tokenizer.bos_token_id, *tokenizer(request.prompt, add_special_tokens=False).input_ids)


def only(request, fault, times=10**9):
    """A plan by which one request's prompt meets `fault` the first so many times."""
    wanted = ids(request)
    return lambda seen, n: fault if seen == wanted and n < times else None


def assert_each_once(outcomes, asked):
    assert Counter(o.key for o in outcomes) == Counter(r.key for r in asked)


# What is asked, and what comes out


def test_an_outcome_holds_what_the_server_answered_to_this_prompt():
    asked = requests(3)
    with FaultyEndpoint() as endpoint:
        outcomes = {o.key: o for o in ask(server(endpoint), asked)}
    for request in asked:
        outcome = outcomes[request.key]
        assert outcome.output == text_for(ids(request))
        assert (outcome.finish_reason, outcome.output_tokens) == ("stop", 2)
        assert outcome.prompt_tokens == len(ids(request))
        assert outcome.mean_logprob == pytest.approx(-0.75)
        assert outcome.rejected_because is None


def test_the_prompt_goes_out_as_token_ids_with_its_sampling_and_seed():
    request = Request("a", "One. </s> Two.", Sampling(0.7, 0.9, 33), seed=12)
    with FaultyEndpoint() as endpoint:
        ask(server(endpoint), [request])
        body = endpoint.bodies[-1]
    end_mark = 1
    assert end_mark not in body["prompt"]
    assert body["model"] == "bonito"
    sent = {name: body[name] for name in ("temperature", "top_p", "max_tokens", "seed")}
    assert sent == {"temperature": 0.7, "top_p": 0.9, "max_tokens": 33, "seed": 12}
    # Else vLLM takes these from the model's generation_config.json.
    assert (body["top_k"], body["min_p"], body["repetition_penalty"]) == (-1, 0.0, 1.0)


def test_without_a_seed_none_is_sent():
    with FaultyEndpoint() as endpoint:
        ask(server(endpoint), requests(1))
        assert "seed" not in endpoint.bodies[-1]


@pytest.mark.parametrize("number", [1, 31, 32, 33, 64])
def test_any_number_of_requests_gives_as_many_outcomes(number):
    with FaultyEndpoint() as endpoint:
        assert_each_once(ask(server(endpoint), requests(number)), requests(number))


def test_keys_may_repeat():
    asked = [Request("same", f"prompt {i}", SAMPLING) for i in range(5)]
    with FaultyEndpoint() as endpoint:
        assert_each_once(ask(server(endpoint), asked), asked)


def test_a_refused_prompt_comes_out_with_its_verdict_and_never_reaches_the_server():
    asked = [Request("long", "word " * 9000, SAMPLING), Request("none", "", SAMPLING), *requests(2)]
    with FaultyEndpoint() as endpoint:
        outcomes = {o.key: o for o in ask(server(endpoint), asked)}
        assert sum(endpoint.seen.values()) == 1 + 2  # the first contact, and the good ones
    assert outcomes["long"].rejected_because == "too_long"
    assert outcomes["none"].rejected_because == "empty"
    assert outcomes["key 0"].output


def test_the_servers_window_decides_where_it_is_the_smaller_one():
    asked = [Request("a", "word " * 100, SAMPLING)]
    with FaultyEndpoint(window=64) as endpoint:
        assert [o.rejected_because for o in ask(server(endpoint), asked)] == ["too_long"]


def test_nothing_is_sent_when_nothing_is_asked():
    assert ask(server(f"http://127.0.0.1:{unused_port()}"), []) == []


def test_a_session_may_be_asked_again():
    with FaultyEndpoint() as endpoint, server(endpoint).open(lambda line: None) as session:
        assert len(list(session.generate(requests(3)))) == 3
        assert len(list(session.generate(requests(4)))) == 4
        assert session.requests_sent == 1 + 7


# Load


def test_as_many_requests_are_in_flight_as_allowed_and_no_more():
    with FaultyEndpoint(delay=0.02) as endpoint:
        ask(server(endpoint, concurrency=6), requests(150))
        assert endpoint.most_at_once == 6


def test_two_urls_share_the_requests_and_the_bound():
    with FaultyEndpoint(delay=0.02) as one, FaultyEndpoint(delay=0.02) as two:
        ask(server(one, two, concurrency=6), requests(150))
        assert max(one.most_at_once, two.most_at_once) <= 4
        assert min(one.seen.total(), two.seen.total()) > 50


def test_requests_are_taken_from_the_caller_only_as_they_are_needed():
    taken = count()
    latest = 0

    def endless():
        nonlocal latest
        while True:
            latest = next(taken)
            yield Request(str(latest), f"prompt {latest}", SAMPLING)

    with FaultyEndpoint() as endpoint, server(endpoint, concurrency=8).open(print) as session:
        outcomes = session.generate(endless())
        for done in range(1, 301):
            next(outcomes)
            assert latest < done + 8 + 64
        outcomes.close()


def test_when_the_caller_stops_nothing_stays_behind():
    threads = threading.active_count()
    with FaultyEndpoint(delay=0.5) as endpoint, server(endpoint).open(print) as session:
        outcomes = session.generate(requests(200))
        next(outcomes)
        started = time.monotonic()
        outcomes.close()
        assert time.monotonic() - started < 2
        assert threading.active_count() == threads + 1  # the endpoint's own
        wait_until(lambda: endpoint.connections == 0)


def test_an_error_in_the_callers_requests_passes_and_nothing_stays_behind():
    def broken():
        yield from requests(40)
        raise RuntimeError("no more passages")

    threads = threading.active_count()
    with FaultyEndpoint() as endpoint:
        with pytest.raises(RuntimeError, match="no more passages"):
            ask(server(endpoint), broken())
        assert threading.active_count() == threads + 1


def wait_until(condition, seconds=5):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


# Faults that pass


def test_a_storm_of_faults_loses_nothing_doubles_nothing_and_costs_little():
    asked = requests(5000)
    with FaultyEndpoint(storm(seed=1, first_only=True)) as endpoint:
        generator = server(endpoint, concurrency=128, timeout_seconds=1.0)
        with generator.open(print) as session:
            outcomes = list(session.generate(asked))
        assert_each_once(outcomes, asked)
        assert all(o.output for o in outcomes)
        assert session.requests_sent <= 1.6 * len(asked)
        assert endpoint.seen.total() <= session.requests_sent


def test_a_storm_that_hits_repetitions_as_well_loses_nothing_and_doubles_nothing(monkeypatch):
    # Any client sends 1.85 requests per prompt here, some of them seven and more.
    monkeypatch.setattr("resources.vllm_server._LONGEST_PAUSE_SECONDS", 1.0)
    asked = requests(1000)
    with FaultyEndpoint(storm(seed=1, first_only=False)) as endpoint:
        generator = server(endpoint, concurrency=128, timeout_seconds=1.0, give_up_seconds=60)
        outcomes = ask(generator, asked)
    assert_each_once(outcomes, asked)
    assert all(o.output for o in outcomes)


@pytest.mark.parametrize("behaviour", ["cut", "unfinished", "reset"])
def test_an_answer_that_is_not_whole_is_asked_for_again(behaviour):
    asked = requests(3)
    with FaultyEndpoint(only(asked[1], Fault(behaviour=behaviour), times=2)) as endpoint:
        outcomes = ask(server(endpoint), asked)
        assert endpoint.seen[ids(asked[1])] == 3
    assert_each_once(outcomes, asked)
    assert all(o.output for o in outcomes)


@pytest.mark.parametrize(
    "stated", [lambda: "1", lambda: format_datetime(datetime.now(UTC) + timedelta(seconds=2))]
)
def test_retry_after_is_honoured_in_seconds_and_as_a_date(stated):
    asked = requests(1)

    def plan(seen, n):
        return Fault(429, {"Retry-After": stated()}) if seen == ids(asked[0]) and n == 0 else None

    with FaultyEndpoint(plan) as endpoint:
        ask(server(endpoint), asked)
        first, second = endpoint.times[ids(asked[0])]
        assert second - first >= 1


def test_a_dead_url_costs_no_rows():
    asked = requests(200)
    with FaultyEndpoint() as endpoint:
        dead = f"http://127.0.0.1:{unused_port()}"
        outcomes = ask(server(dead, endpoint), asked)
    assert_each_once(outcomes, asked)
    assert all(o.output for o in outcomes)


def test_a_url_that_dies_in_the_middle_hands_its_requests_to_the_other():
    asked = requests(300)
    outcomes = []
    with (
        FaultyEndpoint(delay=0.01) as one,
        FaultyEndpoint(delay=0.01) as two,
        server(one, two).open(print) as session,
    ):
        for outcome in session.generate(asked):
            outcomes.append(outcome)
            if len(outcomes) == 50:
                one.die()
    assert_each_once(outcomes, asked)
    assert all(o.output for o in outcomes)


@pytest.mark.parametrize("failures", [8, 9, 20])
def test_an_outage_of_everything_speaks_against_no_request(monkeypatch, failures):
    monkeypatch.setattr("resources.vllm_server._LONGEST_PAUSE_SECONDS", 0.01)
    monkeypatch.setattr("resources.vllm_server._POLL_SECONDS", 0.01)
    calls = count()

    def all_but_the_first_contact(seen, n):
        return Fault(503) if 1 <= next(calls) <= failures else None

    with FaultyEndpoint(all_but_the_first_contact) as endpoint:
        outcomes = ask(server(endpoint), requests(1))
    assert [o.rejected_because for o in outcomes] == [None]


# Faults that do not pass


def test_a_request_that_the_server_refuses_is_set_aside_and_not_sent_again():
    asked = requests(20)
    lines = []
    with FaultyEndpoint(only(asked[7], Fault(400, message="no such thing " * 100))) as endpoint:
        with server(endpoint).open(lines.append) as session:
            outcomes = {o.key: o for o in session.generate(asked)}
        assert endpoint.seen[ids(asked[7])] == 1
    assert outcomes["key 7"].rejected_because == "engine_error"
    assert outcomes["key 7"].output is None
    assert sum(o.output is not None for o in outcomes.values()) == 19
    said = next(line for line in lines if "key 7" in line)
    assert "HTTP 400 no such thing" in said
    assert len(said) < 400


def test_a_request_that_the_server_fails_at_again_and_again_is_set_aside(monkeypatch):
    monkeypatch.setattr("resources.vllm_server._LONGEST_PAUSE_SECONDS", 0.05)
    asked = requests(5)
    with FaultyEndpoint(only(asked[2], Fault(500))) as endpoint:
        outcomes = {o.key: o for o in ask(server(endpoint), asked)}
        assert endpoint.seen[ids(asked[2])] == 8
    assert outcomes["key 2"].rejected_because == "engine_error"
    assert sum(o.output is not None for o in outcomes.values()) == 4


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key_stops_at_once_and_names_the_variable_but_not_the_key(monkeypatch, status):
    monkeypatch.setenv(KEY_VARIABLE, "sesame-7")
    asked = requests(1)
    plan = only(asked[0], Fault(status, message="the key sesame-7 is wrong"))
    with FaultyEndpoint(plan) as endpoint:
        message = failure(server(endpoint), asked)
        assert endpoint.seen[ids(asked[0])] == 1
    assert KEY_VARIABLE in message
    assert str(status) in message
    assert "sesame-7" not in message


def test_the_key_comes_from_the_environment_and_is_no_field(monkeypatch):
    with FaultyEndpoint(key="sesame-7") as endpoint:
        assert KEY_VARIABLE in failure(server(endpoint))
        monkeypatch.setenv(KEY_VARIABLE, "sesame-7")
        generator = server(endpoint)
        assert len(ask(generator, requests(3))) == 3
    assert "sesame-7" not in repr(generator)


def test_a_key_that_also_stands_in_an_output_leaves_it_as_it_is(monkeypatch):
    monkeypatch.setenv(KEY_VARIABLE, "a")
    asked = requests(3)
    with FaultyEndpoint(key="a") as endpoint:
        outcomes = ask(server(endpoint), asked)
    assert {o.output for o in outcomes} == {text_for(ids(r)) for r in asked}


def test_an_endpoint_that_dies_for_good_ends_the_session_with_the_cause():
    with (
        FaultyEndpoint(delay=0.01) as endpoint,
        server(endpoint, give_up_seconds=3).open(print) as session,
    ):
        outcomes = session.generate(requests(500))
        for _ in range(20):
            next(outcomes)
        endpoint.die()
        started = time.monotonic()
        with pytest.raises(GeneratorError) as caught:
            list(outcomes)
        assert time.monotonic() - started < 3 + 3
    assert endpoint.url in str(caught.value)
    assert "Connect" in str(caught.value)


def test_a_server_that_hangs_on_everything_ends_the_session():
    calls = count()

    def hang_after_the_first(seen, n):
        return Fault(behaviour="hang") if next(calls) else None

    with FaultyEndpoint(hang_after_the_first) as endpoint:
        message = failure(server(endpoint, timeout_seconds=0.3, give_up_seconds=2))
    assert "timeout_seconds" in message
    assert "Timeout" in message


def test_no_server_at_all_names_the_setting_and_how_to_start_one():
    url = f"http://user:secret@127.0.0.1:{unused_port()}"
    message = failure(server(url, give_up_seconds=1))
    assert "BONITO_SERVER_URL" in message
    assert "vllm.entrypoints.openai.api_server" in message
    assert "secret" not in message


def test_a_path_that_is_no_endpoint_stops_at_once():
    with FaultyEndpoint() as endpoint:
        message = failure(server(f"{endpoint.url}/elsewhere"))
    assert "404" in message
    assert "BONITO_SERVER_URL" in message


@pytest.mark.parametrize(
    "urls", [[], ["127.0.0.1:8000"], ["ftp://host/v1"], ["http://u:secret@host:99999"]]
)
def test_what_is_no_url_is_refused_without_repeating_it(urls):
    with (
        pytest.raises(GeneratorError, match="BONITO_SERVER_URL") as caught,
        VllmServer(model=MODEL, urls=urls).open(print),
    ):
        pass
    assert "secret" not in str(caught.value)


def test_a_url_may_end_in_v1_or_not_and_counts_once():
    with FaultyEndpoint() as endpoint:
        generator = server(endpoint.url, f"{endpoint.url}/", f"{endpoint.url}/v1")
        with generator.open(print) as session:
            assert len(list(session.generate(requests(2)))) == 2
            assert session.cards == 1


# Which model


def test_several_served_models_are_named_and_one_can_be_chosen():
    with FaultyEndpoint(models=("bonito", "mistral")) as endpoint:
        message = failure(server(endpoint))
        assert "bonito" in message
        assert "mistral" in message
        assert "served_model" in message
        ask(server(endpoint, served_model="mistral"), requests(1))
        assert endpoint.bodies[-1]["model"] == "mistral"


def test_urls_that_serve_different_models_are_refused():
    with FaultyEndpoint(models=("one",)) as one, FaultyEndpoint(models=("two",)) as two:
        message = failure(server(one, two))
    assert "one, two" in message


def test_a_server_that_cannot_know_the_models_tokens_is_refused_before_the_first_row():
    last = (resolve(MODEL, "BONITO_MODEL").vocabulary - 1,)

    def plan(seen, n):
        return Fault(400, message="token id is out of vocabulary") if seen == last else None

    with FaultyEndpoint(plan) as endpoint:
        message = failure(server(endpoint), requests(10))
        assert endpoint.seen.total() == 1
    assert "out of vocabulary" in message
    assert "BONITO_MODEL" in message


# The real one


@pytest.mark.slow
def test_what_the_real_server_refuses_costs_one_row(vllm_url):
    asked = requests(4)
    bad = Request("bad", asked[0].prompt, Sampling(-1.0, 0.95, 16))
    outcomes = {o.key: o for o in ask(server(vllm_url, timeout_seconds=120), [*asked, bad])}
    assert outcomes["bad"].rejected_because == "engine_error"
    assert sum(o.output is not None for o in outcomes.values()) == 4
