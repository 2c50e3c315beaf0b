"""The engine backend with vLLM itself and the demonstration checkpoint."""

import dataclasses
from collections import Counter

import psutil
import pytest

from bonito_assets import settings
from bonito_assets.generation.prompts import prompt
from resources.engine_loop import EngineArguments, llm_arguments
from resources.generator import GeneratorError, Request, Sampling
from resources.model import resolve
from resources.vllm_engine import VllmEngine

MODEL = str(settings.DEMO_MODEL)
SAMPLING = Sampling(temperature=0.5, top_p=0.95, max_tokens=16)
LONG = prompt("word " * 20_000, "nli")


@pytest.fixture(scope="module", autouse=True)
def _logs_go_with_the_tests(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tempfile.tempdir", str(tmp_path_factory.mktemp("logs")))
        yield


@pytest.fixture(scope="module")
def session():
    with VllmEngine(model=MODEL, max_num_seqs=8).open(lambda line: None) as session:
        yield session
    assert engines() == []


def engines():
    return [p for p in psutil.Process().children(recursive=True) if "-P" in p.cmdline()]


def requests(number, key=str):
    text = "The lighthouse keeper counted {} gulls on the wall before breakfast."
    return [
        Request(key(n), prompt(text.format(n), "exqa"), SAMPLING, seed=n) for n in range(number)
    ]


def test_refused_prompts_come_out_without_starting_the_engine(session):
    refused = [Request("a", LONG, SAMPLING), Request("b", "", SAMPLING)]
    refused.append(Request("c", "a\0b", SAMPLING))
    assert [(o.key, o.rejected_because, o.output) for o in session.generate(refused)] == [
        ("a", "too_long", None),
        ("b", "empty", None),
        ("c", "invalid_text", None),
    ]
    assert not session.started


def test_each_request_has_one_outcome_though_keys_repeat(session):
    mixed = [*requests(30, key=lambda n: f"k{n % 7}"), Request("long", LONG, SAMPLING)]
    outcomes = list(session.generate(mixed))
    assert Counter(o.key for o in outcomes) == Counter(r.key for r in mixed)
    assert [o.key for o in outcomes if o.rejected_because] == ["long"]


def test_an_outcome_tells_what_it_cost_and_how_likely_it_is(session):
    outcomes = list(session.generate(requests(8)))
    for outcome in outcomes:
        assert outcome.output
        assert outcome.finish_reason in {"stop", "length"}
        assert outcome.prompt_tokens > 10
        assert 0 < outcome.output_tokens <= SAMPLING.max_tokens
        assert -10 < outcome.mean_logprob < 0


def test_the_same_seed_gives_the_same_text_again(session):
    def texts():
        return {o.key: o.output for o in session.generate(requests(8))}

    first = texts()
    assert texts() == first
    assert len(set(first.values())) > 1


def test_no_more_is_taken_from_the_caller_than_the_engine_has_room_for(session):
    taken, most = 0, 0

    def counted():
        nonlocal taken
        for request in requests(300):
            taken += 1
            yield request

    for given, _ in enumerate(session.generate(counted())):
        most = max(most, taken - given)
    assert most <= 2 * 8 * 2 + 64  # the engine's window, what it just gave back, one list judged


def test_a_caller_may_leave_and_another_come(session):
    outcomes = session.generate(requests(100, key=lambda n: f"old{n}"))
    next(outcomes)
    outcomes.close()
    assert {o.key for o in session.generate(requests(20))} == {str(n) for n in range(20)}


def test_an_engine_killed_in_the_middle_costs_no_outcome_and_its_successor_draws_anew(session):
    def unseeded():
        asked = [dataclasses.replace(request, seed=None) for request in requests(8)]
        return {o.key: o.output for o in session.generate(asked)}

    before = unseeded()
    outcomes = []
    for outcome in session.generate(requests(60)):
        outcomes.append(outcome)
        if len(outcomes) == 20:
            engines()[0].kill()
    assert Counter(o.key for o in outcomes) == Counter(str(n) for n in range(60))
    assert not any(o.rejected_because for o in outcomes)
    assert unseeded() != before


def test_a_setting_that_vllm_refuses_is_told_with_its_cause():
    engine = VllmEngine(model=MODEL, quantization="awq")
    with engine.open(lambda line: None) as session:
        with pytest.raises(GeneratorError) as raised:
            list(session.generate(requests(1)))
        assert not session.started
    assert "Cannot find the config file for awq" in str(raised.value)
    assert "leave it unset" in str(raised.value)


def test_settings_reach_vllm_by_their_own_names(tmp_path):
    (tmp_path / "adapter_config.json").write_text('{"r": 12}')
    arguments = VllmEngine(
        model=MODEL,
        max_model_len=512,
        quantization="fp8",
        adapter=str(tmp_path),
        extra={"block_size": 32},
    ).arguments
    values = llm_arguments(resolve(MODEL, "BONITO_MODEL").folder, 256, arguments)
    assert values["model"] == MODEL
    assert values["max_model_len"] == 256
    assert (values["quantization"], values["block_size"]) == ("fp8", 32)
    assert (values["enable_lora"], values["max_lora_rank"]) == (True, 16)
    assert values["trust_remote_code"] is False
    assert "max_num_seqs" not in values


def test_what_is_set_wins_over_what_the_hardware_suggests():
    filled = EngineArguments(max_num_seqs=4).filled({"max_num_seqs": 256, "dtype": "half"})
    assert filled.set_values() == {"max_num_seqs": 4, "dtype": "half"}
