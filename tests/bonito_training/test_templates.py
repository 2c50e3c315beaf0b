"""What every programmatic pair keeps."""

from __future__ import annotations

import random

import pytest

from bonito_assets.bonito_training import answers, grammar, templates
from bonito_assets.bonito_training.templates import Passage
from bonito_assets.catalogue import TASK_TYPES
from bonito_assets.tables import CONTEXT_SLOT, PIPE

_PLAIN = (
    "The grey heron lives near Brenford and eats fish. It stands in shallow water for two hours. "
    "The young birds leave the nest after eight weeks."
)


def _made(task_type: str, count: int = 60) -> list[tuple[Passage, str, str]]:
    rng = random.Random(7)
    found = []
    while len(found) < count:
        invented = grammar.invent(rng)
        passage = Passage.of(invented.text, invented.topic)
        if made := templates.make(task_type, passage, rng):
            found.append((passage, *made))
    return found


def test_there_is_a_maker_for_each_of_bonitos_sixteen_task_types() -> None:
    assert len(TASK_TYPES) == 16
    assert set(templates.MAKERS) == set(TASK_TYPES) == set(templates.SHARES)


@pytest.mark.parametrize("task_type", TASK_TYPES)
def test_a_completion_parses_into_the_instruction_and_answer_it_was_made_of(task_type: str) -> None:
    for _, instruction, answer in _made(task_type):
        assert templates.parsed(templates.completion(instruction, answer)) == (instruction, answer)
        assert PIPE not in instruction + answer


@pytest.mark.parametrize("task_type", TASK_TYPES)
def test_the_passage_is_named_once_and_by_its_placeholder_only(task_type: str) -> None:
    for passage, instruction, answer in _made(task_type):
        place, other = (answer, instruction) if task_type == "text_gen" else (instruction, answer)
        assert (place.count(CONTEXT_SLOT), other.count(CONTEXT_SLOT)) == (1, 0)
        assert passage.text not in instruction


@pytest.mark.parametrize("task_type", TASK_TYPES)
def test_an_answer_passes_its_types_check_and_is_not_found_wrong(task_type: str) -> None:
    verdicts = [
        answers.judged(task_type, templates.completion(instruction, answer), passage.text)
        for passage, instruction, answer in _made(task_type)
    ]
    assert all(v.parses and v.passes for v in verdicts)
    assert sum(v.right is False for v in verdicts) <= 3  # one word may stand twice in a passage


@pytest.mark.parametrize("task_type", ["ynqa", "nli", "te", "paraphrase_id"])
def test_no_label_is_rare(task_type: str) -> None:
    given = [answer for _, _, answer in _made(task_type, 300)]
    positive = sum(answer in ("Yes", "True", "Correct", "Always") for answer in given)
    assert 0.25 < positive / len(given) < 0.65


@pytest.mark.parametrize("task_type", ["exqa", "mcqa", "qg", "sent_comp", "qa"])
def test_the_answer_does_not_leak_into_a_question_that_asks_for_it(task_type: str) -> None:
    for _, instruction, answer in _made(task_type):
        if "\n- " not in instruction and "\nA: " not in instruction and len(answer.split()) > 2:
            asked = instruction if task_type != "qg" else ""
            assert answer not in asked


def test_the_same_seed_makes_the_same_pair_and_another_seed_another() -> None:
    passage = Passage.of(_PLAIN)

    def drawn(seed: int) -> list[templates.Made]:
        rng = random.Random(seed)
        return [templates.make(kind, passage, rng) for kind in TASK_TYPES for _ in range(5)]

    assert drawn(1) == drawn(1)
    assert drawn(1) != drawn(2)


def test_a_title_is_not_asked_about() -> None:
    passage = Passage.of("# The grey heron\n\n" + _PLAIN)
    assert passage.sentences[0].startswith("The grey heron lives")


def test_a_passage_without_clear_key_words_has_no_topic() -> None:
    assert templates.topic_of("The weather was fine.") is None
    assert templates.topic_of("The nurse gave the patient a tablet.") == "health"
