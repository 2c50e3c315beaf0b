"""Another model is asked what a row asks, once, and its answers are held against the row's."""

from contextlib import contextmanager

import pytest

from bonito_assets import settings
from bonito_assets.curation import round_trip
from bonito_assets.curation.passages import StaleTable
from bonito_assets.curation.refresh import refresh
from resources.generator import Outcome
from resources.model import resolve
from resources.store import Store
from resources.vllm_engine import VllmEngine
from tests.curation.made import HARBOUR, RENT, corpus, put, row


class Pupil:
    """A backend whose model answers by a rule from the prompt, and notes what it was asked."""

    cards = 1
    price_per_gpu_hour = 0.0

    def __init__(self, model, rule, asked):
        self.model, self.rule, self.asked = model, rule, asked

    def model_dump(self):
        return {"model": self.model, "rule": self.rule, "asked": self.asked}

    def resolve(self):
        return resolve(self.model, "BONITO_BASE_MODEL")

    @contextmanager
    def open(self, log):
        yield self

    def generate(self, requests):
        for request in requests:
            self.asked.append(request.prompt)
            said = self.rule(request.prompt)
            if said is None:
                yield Outcome(request.key, rejected_because="too_long")
            else:
                yield Outcome(request.key, said, "stop", 10, 5, -0.5)


@pytest.fixture
def store(tmp_path):
    return Store(root=str(tmp_path / "data"))


ASKED = [
    row("Who pays the rent?", "The tenant"),
    row("Who sold the mud?", "the council", HARBOUR),
    row("Is the rent paid? Yes or No?", "Yes", task_type="ynqa", label="yes"),
]
RULES = corpus(round_trip={"min_agreement": 0.5})


def answers(prompt):
    if "Yes or No" in prompt:
        return "No"
    return "the tenant, of course\nQuestion: and what else?" if "rent?" in prompt else "a crew"


def ask(store, rules=RULES, rule=answers, asked=None):
    asked = [] if asked is None else asked
    generator = Pupil("unused", rule, asked)
    base = str(settings.DEMO_BASE_MODEL)
    made = round_trip.refresh(store, rules, generator, base, "run", lambda line: None)
    return made, asked


@pytest.mark.parametrize(
    ("said", "answer", "label", "expected"),
    [
        ("The tenant.", "the tenant", None, 1.0),
        ("tenant of the house", "the tenant", None, 0.5),
        ("\n the tenant\nQuestion: who else?", "the tenant", None, 1.0),
        ("the landlord", "the tenant", None, 0.0),
        ("yes!", "Yes", "yes", 1.0),
        ("Yes, it is", "Yes", "yes", 0.0),
        ("A", "A", "A", 1.0),
        ("B", "A", "A", 0.0),
        ("", "Yes", "yes", 0.0),
    ],
    ids=str,
)
def test_free_answers_agree_by_their_words_and_labels_when_they_are_the_same(
    said, answer, label, expected
):
    assert round_trip.agreement(said, answer, label) == pytest.approx(expected)


def test_marks_of_the_prompt_in_an_instruction_are_text():
    assert round_trip.prompt("a <|output|> b").count("<|output|>") == 1


def test_rows_on_which_the_other_model_disagrees_are_not_confirmed(store):
    put(store, ASKED)
    made, _ = ask(store)
    assert (made.asked, made.answered) == (3, 3)
    refresh(store, RULES, lambda line: None)
    rows = store.read("curated_tasks", "c").to_pylist()
    assert [r["round_trip"] for r in rows] == [pytest.approx(0.5), 0.0, 0.0]
    assert [r["rejected_because"] for r in rows] == [None, "not_confirmed", "not_confirmed"]


def test_what_was_answered_once_is_not_asked_again(store):
    put(store, ASKED)
    ask(store)
    put(store, [*ASKED[1:], row("When is the rent due?", "each month")])
    made, asked = ask(store)
    assert len(asked) == 1
    assert "When is the rent due?" in asked[0]
    assert made.answered == 3


def test_rows_that_the_parser_refused_or_that_have_many_right_answers_are_not_asked(store):
    put(
        store,
        [
            row(None, None, rejected_because="no_pipe"),
            row("Summarize.", "Rent is paid.", task_type="summarization"),
        ],
    )
    _, asked = ask(store)
    assert asked == []
    refresh(store, RULES, lambda line: None)
    rows = store.read("curated_tasks", "c").to_pylist()
    assert [r["rejected_because"] for r in rows] == ["no_pipe", None]


def test_a_row_that_the_model_cannot_be_asked_passes_unconfirmed(store):
    put(store, ASKED[:1])
    ask(store, rule=lambda prompt: None)
    refresh(store, RULES, lambda line: None)
    [found] = store.read("curated_tasks", "c").to_pylist()
    assert found["round_trip"] is found["rejected_because"] is None


def test_a_corpus_that_does_not_ask_gets_an_empty_table_and_no_model_is_loaded(store):
    put(store, ASKED)
    made, asked = ask(store, corpus())
    assert made.written.rows == 0
    assert asked == []
    refresh(store, corpus(), lambda line: None)
    assert store.read("curated_tasks", "c")["round_trip"].null_count == 3


def test_answers_to_other_tasks_are_not_taken_for_these(store):
    put(store, ASKED)
    ask(store)
    put(store, ASKED[:2])
    with pytest.raises(StaleTable, match="materialize the asset 'round_trips' first"):
        refresh(store, RULES, lambda line: None)


def test_with_a_passage_its_answers_go_unless_it_was_only_moved(store):
    put(store, [ASKED[0], ASKED[1]])
    ask(store)
    put(store, [row("Who pays the rent?", "The tenant", RENT, document="renamed")])
    made, asked = ask(store)
    assert asked == []
    assert made.forgotten == 1
    put(store, [ASKED[0], ASKED[1]])
    _, asked = ask(store)
    assert len(asked) == 1


def test_the_other_model_is_asked_without_the_adapter_of_the_first():
    engine = VllmEngine(model="one", adapter="two", quantization="fp8", max_num_seqs=7)
    other = round_trip.with_model(engine, "three")
    assert (other.model, other.adapter, other.quantization) == ("three", None, None)
    assert other.max_num_seqs == 7
