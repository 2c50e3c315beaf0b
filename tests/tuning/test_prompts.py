from hypothesis import given, settings
from hypothesis import strategies as st

from bonito_assets.tuning.prompts import PROMPT, fit

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
