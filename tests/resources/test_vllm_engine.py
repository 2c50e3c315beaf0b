"""Prompts are checked one by one before the engine sees them. (The engine itself runs for real in
the end-to-end test.)"""

import pytest

from bonito_assets import settings
from bonito_assets.generation.prompts import prompt
from resources.generator import Request, Sampling
from resources.model import resolve
from resources.vllm_engine import VllmEngine, VllmSession

SAMPLING = Sampling(temperature=0.5, top_p=0.95, max_tokens=16)


@pytest.fixture(scope="module")
def session():
    name = str(settings.DEMO_MODEL)
    return VllmSession(resolve(name, "BONITO_MODEL"), VllmEngine(model=name))


def test_the_end_mark_in_a_passage_is_text(session):
    ids = session.token_ids(prompt("One. </s> Two. <s> Three.", "nli"))
    assert ids[0] == session.tokenizer.bos_token_id
    assert session.tokenizer.eos_token_id not in ids
    assert session.tokenizer.bos_token_id not in ids[1:]


def test_the_prompt_comes_back_from_its_tokens(session):
    text = prompt("Grüße, 文件 and 😀: 42 <b>\n\tx", "exqa")
    assert session.tokenizer.decode(session.token_ids(text)[1:]) == text


def test_a_prompt_that_leaves_no_room_for_the_answer_is_refused(session):
    ids = [5] * (session.window - SAMPLING.max_tokens)
    assert session.refusal(ids, SAMPLING) is None
    assert session.refusal([*ids, 5], SAMPLING) == "too_long"


def test_refused_prompts_come_out_without_starting_the_engine(session):
    long = prompt("word " * 20_000, "nli")
    outcomes = list(session.generate([Request("a", long), Request("b", long)], SAMPLING))
    assert [(o.key, o.rejected_because, o.output) for o in outcomes] == [
        ("a", "too_long", None),
        ("b", "too_long", None),
    ]
    assert not session.started
