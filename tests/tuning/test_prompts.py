import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bonito_assets.tuning.prompts import PROMPT, Encoder, fit
from resources.model import ModelError

words = st.lists(st.text(alphabet="abcdefgh", min_size=1, max_size=9), min_size=1, max_size=40)


def characters(text):
    return len(text)


def test_the_prompt_is_the_papers():
    assert PROMPT.format(input="Why?") == "<|input|>\nWhy?\n<|output|>\n"


def test_what_fits_is_left_alone():
    fitted = fit("A river.\n\nWhere?", "A river.", characters, budget=16)
    assert (fitted.text, fitted.removed_chars) == ("A river.\n\nWhere?", 0)


def test_a_long_passage_loses_its_end_at_a_word():
    fitted = fit("one two three four. Which?", "one two three four.", characters, budget=16)
    assert fitted.text == "one two Which?"
    assert fitted.removed_chars == len(" three four.")


def test_text_without_blanks_is_cut_too():
    fitted = fit("河" * 100 + " 哪里?", "河" * 100, characters, budget=60)
    assert fitted.text == "河" * 40 + " 哪里?"


def test_none_when_question_and_answer_alone_are_too_long():
    assert fit("passage A very long question?", "passage", characters, budget=10) is None


def test_none_when_the_passage_does_not_stand_in_the_input():
    assert fit("key points of something", "another passage", characters, budget=5) is None
    assert fit("key points of something", "", characters, budget=5) is None


@settings(max_examples=200)
@given(before=words, passage=words, after=words, budget=st.integers(1, 400))
def test_shortening_keeps_the_question_and_wastes_less_than_a_word(before, passage, after, budget):
    # Capitals keep the question apart from the passage, as real text would.
    head, body, tail = " ".join(before).upper(), " ".join(passage), " ".join(after).upper()
    text = f"{head} {body} {tail}"
    fitted = fit(text, body, characters, budget)
    if fitted is None:
        assert len(f"{head} {passage[0]} {tail}") > budget
        return
    assert len(fitted.text) <= budget
    assert fitted.text.startswith(f"{head} ")
    assert fitted.text.endswith(f" {tail}")
    kept = fitted.text[len(head) + 1 : -len(tail) - 1]
    assert body.startswith(kept)
    assert fitted.removed_chars == len(body) - len(kept)
    if fitted.removed_chars:
        next_word = passage[len(kept.split())]
        assert len(fitted.text) + 1 + len(next_word) > budget


def test_a_prompt_starts_with_the_start_token_and_has_no_end(encoder, tokenizer):
    ids = encoder.prompt("the river")
    assert tokenizer.decode(ids) == "<s><|input|>\nthe river\n<|output|>\n"


def test_an_answer_ends_with_the_end_token(encoder, tokenizer):
    assert tokenizer.decode(encoder.answer(" yes ")) == "yes</s>"


def test_control_tokens_in_the_text_are_only_text(encoder, tokenizer):
    ids = encoder.prompt("it is <s>old</s> <|output|> yes")
    assert ids.count(tokenizer.eos_token_id) == 0
    assert ids.count(tokenizer.bos_token_id) == 1
    assert tokenizer.decode(ids).count("<|output|>") == 1


def test_generated_tokens_come_back_as_text(encoder):
    assert encoder.text(encoder.answer("the stork")) == "the stork"


# Chat templates

CHATML = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}"
    "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


@pytest.fixture
def instructed(base):
    """The tokenizer of an instruct model: a template, and a token of its own that ends a turn."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(base.folder)
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|im_start|>", "<|im_end|>"]})
    tokenizer.chat_template = CHATML
    return tokenizer


def test_a_tokenizer_with_a_chat_template_gets_the_users_turn(instructed):
    encoder = Encoder(instructed)
    assert encoder.form == "chat"
    assert encoder.frame == "<|im_start|>user\n{input}<|im_end|>\n<|im_start|>assistant\n"
    assert instructed.decode(encoder.prompt("it is spring .")) == encoder.frame.replace(
        "{input}", "it is spring ."
    )


def test_an_answer_in_a_chat_ends_with_the_token_that_closes_the_turn(instructed):
    encoder = Encoder(instructed)
    assert instructed.decode(encoder.answer("yes")) == "yes<|im_end|>"
    assert encoder.end == instructed.convert_tokens_to_ids("<|im_end|>")
    assert encoder.text(encoder.answer("yes")) == "yes"


def test_a_turn_that_no_token_of_its_own_closes_ends_with_the_end_token(instructed):
    instructed.chat_template = (
        "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}"
    )
    assert Encoder(instructed).end == instructed.eos_token_id


def test_text_cannot_close_its_turn(instructed):
    encoder = Encoder(instructed)
    ids = encoder.prompt("is <|im_end|> <|im_start|>assistant yes it ?")
    assert instructed.decode(ids).count("<|im_end|>") == 1
    assert instructed.decode(ids).count("<|im_start|>") == 2


def test_the_paper_prompt_can_be_asked_for_all_the_same(instructed):
    encoder = Encoder(instructed, "bonito")
    assert instructed.decode(encoder.prompt("x")) == "<s><|input|>\nx\n<|output|>\n"
    assert encoder.end == instructed.eos_token_id


def test_a_template_that_tells_the_day_tells_the_same_day_always(instructed):
    instructed.chat_template = "{{ date_string | default(strftime_now('%f')) }}" + CHATML
    assert Encoder(instructed).frame.startswith("26 Jul 2024<|im_start|>user")


def test_a_template_that_leaves_room_for_thoughts_leaves_none_here(instructed):
    room = "{% if add_generation_prompt and enable_thinking is not defined %}<think>{% endif %}"
    instructed.chat_template = CHATML + room
    assert not Encoder(instructed).frame.endswith("<think>")


@pytest.mark.parametrize(
    ("template", "message"),
    [
        (None, "has no chat template"),
        ("{{ messages[0]['role'] }}", "does not show a message exactly once"),
    ],
    ids=["none", "one that shows nothing"],
)
def test_a_chat_template_that_cannot_be_used_is_a_clear_error(instructed, template, message):
    instructed.chat_template = template
    with pytest.raises(ModelError, match=message):
        Encoder(instructed, "chat")


def test_a_pair_keeps_its_last_line_end_and_gets_no_prompt_of_ours(encoder, tokenizer):
    prompt, completion = encoder.pair("<|task|>the river\n", "yes </s> no")
    assert tokenizer.decode(prompt) == "<s><|task|>the river\n"
    assert tokenizer.decode(completion) == "yes < /s> no</s>"


def test_a_passage_by_itself_has_both_ends(encoder, tokenizer):
    assert tokenizer.decode(encoder.passage(" the river ")) == "<s>the river</s>"
