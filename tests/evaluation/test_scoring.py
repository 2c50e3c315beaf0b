import pytest

from bonito_assets.evaluation import scoring
from bonito_assets.evaluation.scoring import ScoringError, greedy_answers, log_likelihoods

TEXTS = [
    "the river",
    "the river rises in spring and floods meadows in spring",
    "who",
    "what is it ? a stork or a heron",
    "gravel",
]
CHOICES = [["yes", "no"], ["Entailment", "Contradiction", "NotMentioned"], ["a stork", "it"]]


def slow_log_likelihood(model, prompt, answer):
    """One forward pass over prompt and answer, without padding and without a cache."""
    import torch

    with torch.no_grad():
        logits = model(torch.tensor([prompt + answer])).logits[0].double()
    steps = logits.log_softmax(-1)[len(prompt) - 1 : -1]
    return sum(float(step[token]) for step, token in zip(steps, answer, strict=True))


@pytest.fixture
def asked(encoder):
    prompts = [encoder.prompt(text) for text in TEXTS]
    answers = [
        [encoder.answer(choice) for choice in CHOICES[number % len(CHOICES)]]
        for number in range(len(TEXTS))
    ]
    return prompts, answers


@pytest.mark.parametrize("tokens_at_once", [1, 120, 10_000])
def test_scores_equal_those_of_one_pass_per_row_and_choice(
    model, asked, tokens_at_once, monkeypatch
):
    monkeypatch.setattr(scoring, "_TOKENS_AT_ONCE", tokens_at_once)
    prompts, answers = asked
    expected = [
        [slow_log_likelihood(model, prompt, answer) for answer in row]
        for prompt, row in zip(prompts, answers, strict=True)
    ]
    scores = log_likelihoods(model, prompts, answers)
    assert [pytest.approx(row, abs=1e-4) for row in expected] == scores


@pytest.mark.parametrize("tokens_at_once", [500, 10_000])
def test_questions_about_one_passage_score_as_if_each_were_alone(
    model, encoder, tokens_at_once, monkeypatch
):
    monkeypatch.setattr(scoring, "_TOKENS_AT_ONCE", tokens_at_once)
    passage = "the river rises in spring and floods meadows " * 6
    texts = [f"{passage} {question}" for question in (*TEXTS, "who", "is it a heron ?")]
    prompts = [encoder.prompt(text) for text in [*texts, "who", "it"]]
    answers = [[encoder.answer("yes"), encoder.answer("a stork")]] * len(prompts)
    expected = [
        [slow_log_likelihood(model, prompt, answer) for answer in row]
        for prompt, row in zip(prompts, answers, strict=True)
    ]
    # Otherwise this would be the test above.
    assert scoring._common_start(prompts[: len(texts)]) >= 64
    scores = log_likelihoods(model, prompts, answers)
    assert [pytest.approx(row, abs=1e-4) for row in expected] == scores


def test_the_same_question_asked_many_times_scores_the_same(model, encoder):
    prompt = encoder.prompt("the river rises in spring and floods meadows " * 6)
    scores = log_likelihoods(model, [prompt] * 5, [[encoder.answer("yes")]] * 5)
    assert scores == [pytest.approx(scores[0])] * 5


def test_the_end_token_counts(model, encoder):
    prompt = encoder.prompt("who")
    with_end, without = encoder.answer("no"), encoder.answer("no")[:-1]
    [[long, short]] = log_likelihoods(model, [prompt], [[with_end, without]])
    assert long < short


def test_an_adapter_changes_the_scores_and_merging_it_does_not(model, adapter, asked, base):
    from peft import PeftModel

    from bonito_assets.tuning.base_model import load

    prompts, answers = asked
    tuned = PeftModel.from_pretrained(load(base)[0], adapter).eval()
    plain, after = (log_likelihoods(arm, prompts, answers) for arm in (model, tuned))
    assert abs(plain[0][0] - after[0][0]) > 0.5
    merged = log_likelihoods(tuned.merge_and_unload(), prompts, answers)
    assert [pytest.approx(row, abs=1e-3) for row in after] == merged


def test_progress_counts_every_prompt(model, asked):
    done = []
    log_likelihoods(model, *asked, done.append)
    assert sum(done) == len(TEXTS)


def test_scores_that_are_not_numbers_are_an_error(asked, base):
    import torch

    from bonito_assets.tuning.base_model import load

    broken, _ = load(base)
    with torch.no_grad():
        broken.lm_head.weight.fill_(float("nan"))
    with pytest.raises(ScoringError, match="not numbers"):
        log_likelihoods(broken, *asked)


@pytest.mark.parametrize("tokens_at_once", [1, 10_000])
def test_greedy_answers_equal_those_of_one_pass_per_token(
    model, encoder, tokens_at_once, monkeypatch
):
    import torch

    monkeypatch.setattr(scoring, "_TOKENS_AT_ONCE", tokens_at_once)
    prompts = [encoder.prompt(text) for text in TEXTS]
    expected = []
    for prompt in prompts:
        ids = list(prompt)
        while len(ids) < len(prompt) + 8 and (ids[-1] != encoder.end or len(ids) == len(prompt)):
            with torch.no_grad():
                ids.append(int(model(torch.tensor([ids])).logits[0, -1].argmax()))
        answer = ids[len(prompt) :]
        expected.append(answer[:-1] if answer[-1] == encoder.end else answer)
    assert greedy_answers(model, prompts, encoder.end, 8) == expected


def test_a_greedy_answer_stops_at_the_end_token(adapter, encoder, base):
    from peft import PeftModel

    from bonito_assets.tuning.base_model import load

    tuned = PeftModel.from_pretrained(load(base)[0], adapter).eval()
    [answer] = greedy_answers(tuned, [encoder.prompt("the river 3")], encoder.end, 8)
    assert encoder.text(answer) == "yes"
