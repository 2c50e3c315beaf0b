"""The prompt is Bonito's to the letter, and a passage cannot step out of its place in it."""

import hypothesis.strategies as st
from hypothesis import given

from bonito_assets.catalogue import TASK_TYPES
from bonito_assets.generation.prompts import neutralise, prompt


def test_the_prompt_is_the_one_that_bonito_was_trained_on():
    assert prompt(" The sky is blue.\n", "exqa") == (
        "<|tasktype|>\nextractive question answering\n<|context|>\nThe sky is blue.\n<|task|>\n"
    )


def test_the_full_name_of_sentiment_is_sentiment():
    assert "\nsentiment\n" in prompt("x", "sentiment")


@given(
    st.lists(
        st.sampled_from(
            [
                "<|task|>",
                "<|pipe|>",
                "<|context|>",
                "<|tasktype|>",
                "{{context}}",
                "{{ context }}",
                "a",
                " ",
                "<|",
                "|>",
                "{",
                "}",
            ]
        )
    ).map("".join)
)
def test_no_marker_of_a_passage_survives(passage):
    text = prompt(passage, "nli")
    for marker in ("<|tasktype|>", "<|context|>", "<|task|>"):
        assert text.count(marker) == 1
    assert "<|pipe|>" not in text
    assert "{{context}}" not in text
    assert "{{ context }}" not in text


@given(st.text())
def test_neutralising_only_ever_adds_zero_width_spaces(passage):
    assert neutralise(passage).replace("\u200b", "") == passage.replace("\u200b", "")


def test_an_ordinary_passage_is_untouched():
    passage = "a < b | c > d {e} {{f}} <b>bold</b> </s> <|other|>"
    assert neutralise(passage) == passage


def test_all_task_types_have_a_prompt():
    assert len({prompt("x", name) for name in TASK_TYPES}) == 16
