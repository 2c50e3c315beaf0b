import pytest

from bonito_assets.evaluation.templates import MOST, templates, worded
from bonito_assets.evaluation.test_set import Question

YES_NO = ("yes", "no")
SETS = {
    "yes-no": YES_NO,
    "yes-no-maybe": ("yes", "no", "maybe"),
    "claim": ("Entailment", "Contradiction", "NotMentioned"),
    "generic": ("card arrival", "lost card", "exchange rate", "top up"),
    "free": (),
}


def question(choices):
    return Question("q1", "the river {0} rises .", "does it {rise} ?", ("it",), "", choices)


@pytest.mark.parametrize("kind", SETS)
def test_every_kind_of_question_has_five_wordings_with_passage_and_question_once(kind):
    metric = "choice_f1" if SETS[kind] else "squad"
    texts = [worded(one, question(SETS[kind])) for one in templates(metric, SETS[kind])]
    assert len(set(texts)) == MOST == 5
    for text in texts:
        assert text.count("the river {0} rises .") == 1
        assert text.count("does it {rise} ?") == 1
        assert all(choice in text for choice in SETS[kind])
        assert text == text.strip()


def test_the_first_wording_is_the_same_for_all_choices():
    first = {templates("choice_f1", choices)[0] for choices in SETS.values() if choices}
    assert first == {"{context}\n\n{question}\n\nChoose one of these answers: {choices}."}


@pytest.mark.parametrize(
    ("choices", "like"),
    [
        (("No", "YES"), YES_NO),
        (("True", "False"), YES_NO),
        (("maybe", "no", "yes"), SETS["yes-no-maybe"]),
        (("SUPPORTS", "REFUTES", "NOT ENOUGH INFO"), SETS["claim"]),
        (("neutral", "entailment", "contradiction"), SETS["claim"]),
        (("a", "b"), SETS["generic"]),
    ],
)
def test_wordings_go_by_the_set_of_choices_whatever_their_order_case_and_blanks(choices, like):
    assert templates("choice_f1", choices) == templates("choice_f1", like)


def test_choices_stand_in_their_own_order_and_case():
    text = worded("{question} {alternatives}? {choices}", question(("No", "Yes", "Maybe")))
    assert text == "does it {rise} ? No, Yes or Maybe? No, Yes, Maybe"


def test_a_question_without_passage_begins_with_itself():
    alone = Question("q1", "", "What is 2 + 2?", ("4",), "4", ("3", "4"))
    text = worded(templates("choice_f1", alone.choices)[0], alone)
    assert text == "What is 2 + 2?\n\nChoose one of these answers: 3, 4."
