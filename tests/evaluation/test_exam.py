import pytest

from bonito_assets.evaluation.exam import ask, predictions, prepare, sit
from bonito_assets.evaluation.test_set import Question

LONG = "the river rises in spring and floods meadows " * 60


def choice(number, label="no", context="the river rises ."):
    return Question(f"q{number}", context, "is it spring ?", ("no",), label, ("yes", "no"))


class Biased:
    """Says `yes` (or the first choice) everywhere, the longer the prompt the surer."""

    def log_likelihoods(self, prompts, answers, advance):
        advance(len(prompts))
        return [
            [-1.0 * number - 1 / len(prompt) for number in range(len(row))]
            for prompt, row in zip(prompts, answers, strict=True)
        ]


def test_a_question_shows_its_passage_then_the_question_then_the_choices(encoder, tokenizer):
    asked = ask(choice(1), "choice_f1", 1, encoder, 200)
    [prompt] = asked.prompts
    assert tokenizer.decode(prompt) == (
        "<s><|input|>\nthe river rises .\n\nis it spring ?\n\n"
        "Choose one of these answers: yes, no.\n<|output|>\n"
    )
    assert [tokenizer.decode(tokens) for tokens in asked.choices] == ["yes</s>", "no</s>"]


def test_only_the_passage_is_shortened_and_so_under_every_template(encoder, tokenizer):
    asked = ask(choice(1, context=LONG.strip()), "choice_f1", 5, encoder, 200)
    assert len(asked.prompts) == 5
    for prompt in asked.prompts:
        text = tokenizer.decode(prompt)
        assert len(prompt) + max(map(len, asked.choices)) <= 200
        assert "the river rises in spring" in text
        assert "is it spring ?" in text
        assert text.startswith("<s><|input|>\n")
        assert text.endswith("\n<|output|>\n")
    assert 1000 < asked.removed_chars < len(LONG)


def test_a_question_that_fits_not_under_every_template_is_asked_under_none(encoder):
    under_one = len(ask(choice(1, context="it"), "choice_f1", 1, encoder, 500).prompts[0])
    budget = under_one + 5
    assert ask(choice(1, context="it"), "choice_f1", 1, encoder, budget) is not None
    exam = prepare([choice(1, context="it")], "choice_f1", 5, encoder, budget)
    assert (exam.asked, exam.left_out) == ([], ["q1"])


def test_an_arm_is_scored_under_each_template(encoder):
    exam = prepare(
        [choice(n, "no" if n % 3 else "yes") for n in range(6)], "choice_f1", 3, encoder, 300
    )
    said = sit(exam, Biased(), encoder, "biased", lambda line: None)
    assert said.scores.hits.tolist() == [[True, False, False] * 2] * 3
    assert said.length_normalised.hits.shape == (3, 6)


def test_there_is_a_row_for_each_question_and_template_or_one_with_nulls(encoder):
    questions = [choice(0), Question("q1", "it", LONG * 2, (), "no", ("yes", "no")), choice(2)]
    exam = prepare(questions, "choice_f1", 2, encoder, 200)
    said = {"base": sit(exam, Biased(), encoder, "biased", lambda line: None)}
    rows = predictions(exam, said).to_pylist()
    assert [(row["id"], row["template"]) for row in rows] == [
        ("q0", 1), ("q0", 2), ("q1", None), ("q2", 1), ("q2", 2)
    ]  # fmt: skip
    assert rows[2]["base_prediction"] is None
    for row in rows[:2]:
        assert row["base_prediction"] == "yes"
        assert row["gold"] == ["no"]
        assert len(row["base_log_likelihoods"]) == 2
    # The two templates have prompts of two lengths, so each row holds the scores of its own.
    assert rows[0]["base_log_likelihoods"] != rows[1]["base_log_likelihoods"]


def test_what_was_cut_is_told(encoder):
    exam = prepare([choice(0), choice(1, context=LONG)], "choice_f1", 1, encoder, 200)
    assert exam.shortened == 1
    assert exam.removed_share == pytest.approx(exam.asked[1].removed_chars / (len(LONG) + 17))
