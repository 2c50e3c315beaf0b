"""A passage is counted as the prompt shows it, so a budget that it keeps is kept by the prompt."""

from pathlib import Path

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from bonito_assets.catalogue import TASK_TYPES
from bonito_assets.chunking.passages import passages
from bonito_assets.chunking.tokens import passage_counter, token_budget, token_counter
from bonito_assets.generation.prompts import prompt
from resources.admission import Admission
from resources.generator import Request, Sampling
from resources.model import resolve

DEMO = Path(__file__).parents[2] / "models" / "bonito-demo"
PIECES = [
    "word ",
    "Heron",
    "<|pipe|>",
    "{{context}}",
    "</s>",
    "<s>",
    ". ",
    "\n\n",
    "e\u0301",
    "漢",
    "😀",
]
TEXTS = st.lists(
    st.one_of(st.sampled_from(PIECES), st.text(st.characters(codec="utf-8"), max_size=8)),
    max_size=40,
).map("".join)


@given(TEXTS.filter(str.strip))
def test_a_prompt_has_the_tokens_of_its_frame_and_those_counted_for_its_passage(count_tokens, text):
    counted = passage_counter(count_tokens)([text])[0]
    for task_type in TASK_TYPES:
        whole, frame = count_tokens([prompt(text, task_type), prompt("", task_type)])
        assert whole == frame + counted


@given(TEXTS)
def test_marks_of_the_tokenizer_in_a_text_count_as_text(count_tokens, text):
    apart, marked = count_tokens([text + "x", text + "x</s>"])
    assert marked > apart + 1


def test_counts_come_in_the_order_of_the_texts_however_many_there_are(count_tokens):
    texts = ["a" * 300_000, "b", "", "c d", "e" * 900_000, "f"] * 3
    assert count_tokens(texts) == [count_tokens([text])[0] for text in texts]


@pytest.fixture(scope="module")
def demo():
    return resolve(str(DEMO), "BONITO_MODEL")


@pytest.fixture(scope="module")
def admission(demo):
    return Admission(demo, window=120)


@settings(max_examples=25)
@given(text=TEXTS.map(lambda text: text * 5))
def test_no_prompt_of_a_passage_within_the_budget_is_refused_as_too_long(demo, admission, text):
    count_tokens = token_counter(demo)
    sampling = Sampling(temperature=0.5, top_p=0.95, max_tokens=64)
    for task_type in ("coref", "sentiment"):
        frame = count_tokens([prompt("", task_type)])[0] + 1  # BOS
        budget = token_budget(admission.window, frame, sampling.max_tokens)
        found = passages(text, 2000, (), budget, passage_counter(count_tokens))
        asked = [
            Request(str(start), prompt(text[start:end], task_type), sampling, None)
            for start, end in found
        ]
        assert "too_long" not in [verdict.rejected_because for verdict in admission.judge(asked)]


def test_a_budget_is_what_prompt_and_answer_leave_of_the_window():
    assert token_budget(window=4096, frame_tokens=20, answer_tokens=256) == 3820


def test_a_window_that_leaves_nothing_is_refused_with_the_remedy():
    with pytest.raises(ValueError, match=r"sampling\.max_tokens"):
        token_budget(window=256, frame_tokens=20, answer_tokens=256)
