"""Prompts are judged one by one; what the model must not see never reaches an engine."""

import json
import shutil

import pytest

from bonito_assets import settings
from bonito_assets.generation.prompts import prompt
from resources.admission import Admission
from resources.generator import Request, Sampling
from resources.model import resolve
from resources.vllm_engine import VllmEngine, VllmSession

MODEL = str(settings.DEMO_MODEL)
SAMPLING = Sampling(temperature=0.5, top_p=0.95, max_tokens=16)


@pytest.fixture(scope="module")
def admission():
    return Admission(resolve(MODEL, "BONITO_MODEL"))


def judge(admission, *texts):
    return admission.judge([Request("key", text, SAMPLING) for text in texts])


def test_the_end_mark_in_a_passage_is_text(admission):
    [verdict] = judge(admission, prompt("One. </s> Two. <s> Three.", "nli"))
    assert verdict.rejected_because is None
    assert verdict.ids[0] == admission.tokenizer.bos_token_id
    assert admission.tokenizer.eos_token_id not in verdict.ids
    assert admission.tokenizer.bos_token_id not in verdict.ids[1:]


def test_the_prompt_comes_back_from_its_tokens(admission):
    text = prompt("Grüße, 文件 and 😀: 42 <b>\n\tx", "exqa")
    [verdict] = judge(admission, text)
    assert admission.tokenizer.decode(verdict.ids[1:]) == text


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("word " * 20_000, "too_long"),
        ("", "empty"),
        ("a\ud800b", "invalid_text"),
        ("a\0b", "invalid_text"),
    ],
)
def test_a_bad_prompt_gets_its_reason_and_leaves_its_neighbours_alone(admission, text, verdict):
    judged = judge(admission, "good", text, "also good")
    assert [j.rejected_because for j in judged] == [None, verdict, None]


def test_no_prompts_are_no_verdicts(admission):
    assert judge(admission) == []


def test_a_prompt_that_just_leaves_room_for_its_answer_is_let_through(admission):
    one = len(judge(admission, "a")[0].ids)
    [longer] = judge(admission, "a a")
    for window, verdict in ((one + 16, "too_long"), (len(longer.ids) + 16, None)):
        narrow = Admission(resolve(MODEL, "BONITO_MODEL"), window)
        assert judge(narrow, "a a")[0].rejected_because == verdict


@pytest.fixture
def larger_tokenizer(tmp_path):
    """A checkpoint whose tokenizer knows one word that the model does not."""
    folder = tmp_path / "larger"
    shutil.copytree(MODEL, folder)
    config = json.loads((folder / "config.json").read_text())
    path = folder / "tokenizer.json"
    tokenizer = json.loads(path.read_text())
    tokenizer["added_tokens"].append(
        {"id": config["vocab_size"], "content": "<|poison|>", "single_word": False,
         "lstrip": False, "rstrip": False, "normalized": False, "special": False}
    )  # fmt: skip
    path.write_text(json.dumps(tokenizer))
    return resolve(str(folder), "BONITO_MODEL")


def test_of_ten_thousand_prompts_a_hundred_poisonous_ones_cost_a_hundred_rows(larger_tokenizer):
    poison = ["word " * 5000, "", "a\ud800b", "a\0b", "say <|poison|> now"]
    texts = [poison[n // 100 % 5] if n % 100 == 50 else f"prompt number {n}" for n in range(10_000)]
    asked = [Request(str(n), text, SAMPLING) for n, text in enumerate(texts)]
    lines = []
    session = VllmSession(
        larger_tokenizer, VllmEngine(model=MODEL), lines.append,
        loop="tests.resources.fake_engine:FakeEngine",
    )  # fmt: skip
    try:
        outcomes = {outcome.key: outcome for outcome in session.generate(asked)}
    finally:
        session.close()
    assert len(outcomes) == 10_000
    refused = {key for key, outcome in outcomes.items() if outcome.output is None}
    assert refused == {str(n) for n in range(50, 10_000, 100)}
    reasons = [outcomes[str(n)].rejected_because for n in range(50, 550, 100)]
    assert reasons == ["too_long", "empty", "invalid_text", "invalid_text", "invalid_text"]
    assert sum("engine started" in line for line in lines) == 1
    assert not any("lost" in line or "restarted" in line for line in lines)
