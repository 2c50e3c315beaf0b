"""A corpus may define task types of its own, which are asked for and judged like all others."""

import pytest

from bonito_assets.catalogue import CatalogueError, load
from bonito_assets.generation.prompts import prompt
from bonito_assets.parsing.judge import judge_of
from bonito_assets.parsing.words import Passage

FILE = """
source: {files: x.txt}
task_types: [nli, risk_level, parties, clause_kind, summary_for_lawyers]
custom_task_types:
  risk_level: {instruction: risk classification, labels: [low, medium, high], unit: sentence}
  parties: {instruction: name the parties of the contract, answer: span}
  clause_kind: {instruction: choose the kind of clause, answer: choice}
  summary_for_lawyers: {instruction: summary for lawyers, answer: free}
"""
PASSAGE = Passage("The tenant pays Mill & Sons 850 euros a month.")


@pytest.fixture
def write(tmp_path):
    def _write(text):
        path = tmp_path / "notes.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    return _write


@pytest.fixture
def corpus(write):
    return load(write(FILE))


def test_the_instruction_stands_in_the_prompt_where_a_name_would(corpus):
    assert prompt("P", corpus.full_name("parties")) == (
        "<|tasktype|>\nname the parties of the contract\n<|context|>\nP\n<|task|>\n"
    )
    assert prompt("P", corpus.full_name("nli")) == prompt("P", "nli")


def test_a_custom_type_says_what_unit_of_text_it_is_asked_of(corpus):
    units = {name: corpus.unit_of(name) for name in ("risk_level", "parties", "nli", "te")}
    assert units == {
        "risk_level": "sentence", "parties": "paragraph", "nli": "paragraph", "te": "sentence",
    }  # fmt: skip


def test_a_custom_type_may_be_drawn_in_its_own_way(write):
    corpus = load(write(FILE + "sampling: {per_task_type: {parties: {temperature: 0}}}\n"))
    assert corpus.sampling.of("parties").temperature == 0


@pytest.mark.parametrize(
    ("task_type", "output", "expected"),
    [
        ("risk_level", "{{context}} Which risk?<|pipe|>Medium.", (None, "medium")),
        ("risk_level", "{{context}} Which risk?<|pipe|>enormous", ("label_unknown", None)),
        ("parties", "{{context}} Who is paid?<|pipe|>Mill & Sons", (None, None)),
        ("parties", "{{context}} Who is paid?<|pipe|>Hill", ("answer_not_in_passage", None)),
        ("clause_kind", "{{context}} Which?\nA. rent\nB. notice<|pipe|>A", (None, "A")),
        (
            "clause_kind",
            "{{context}} Which?\nA. rent\nB. notice<|pipe|>C",
            ("option_unknown", None),
        ),
        ("summary_for_lawyers", "{{context}} Sum up.<|pipe|>Rent is due.", (None, None)),
        ("summary_for_lawyers", "{{context}} Sum up.<|pipe|>", ("empty_output", None)),
        ("summary_for_lawyers", "Sum up.<|pipe|>Rent.", ("placeholder_missing", None)),
    ],
)
def test_its_outputs_are_judged_by_its_kind_of_answer(corpus, task_type, output, expected):
    task = judge_of(corpus)(task_type, output, "stop", PASSAGE)
    assert (task.rejected_because, task.label) == expected


@pytest.mark.parametrize(
    ("definition", "fragment"),
    [
        ("nli: {instruction: abc, answer: span}", "built-in task type"),
        ("summarization: {instruction: abc, answer: span}", "built-in task type"),
        ("Risk: {instruction: abc, answer: span}", "cannot be a name"),
        ("risk: {answer: span}", "'custom_task_types.risk.instruction' is missing"),
        ("risk: {instruction: abc}", "give 'labels'"),
        ("risk: {instruction: abc, answer: span, labels: [a, b]}", "contradict"),
        ("risk: {instruction: abc, labels: [a]}", "labels"),
        ("risk: {instruction: abc, labels: [a, A]}", "stands twice"),
        ("risk: {instruction: abc, labels: [yes, no]}", "put quotes around"),
        ("risk: {instruction: abc, labels: ['-', b]}", "nothing but punctuation"),
        ("risk: {instruction: abc, labels: [Straße, strasse]}", "stands twice"),
        ("risk: {instruction: abc, labels: ['1,000', '1000']}", "stands twice"),
        ("risk: {instruction: abc, labels: ['“high”', high]}", "stands twice"),
        ("risk: {instruction: abc, labels: ['…', b]}", "nothing but punctuation"),
        ("risk: {instruction: 'a <|pipe|> b', answer: span}", "one line without the marks"),
        ("risk: {instruction: abc, answer: span, units: sentence}", "did you mean 'unit'"),
        ("risk: {instruction: abc, answer: words}", "risk.answer"),
    ],
)
def test_a_wrong_definition_is_explained(write, definition, fragment):
    path = write(
        "source: {files: x.txt}\ntask_types: [nli]\ncustom_task_types:\n  " + definition + "\n"
    )
    with pytest.raises(CatalogueError, match=fragment):
        load(path)


@pytest.mark.parametrize(
    "labels", [["C", "C++", "C#"], ["<50", ">50", "50"], ["a+", "a"], ["no risk", "risk"]]
)
def test_labels_that_differ_in_a_sign_are_labels_of_their_own(write, labels):
    corpus = load(
        write(
            "source: {files: x.txt}\ntask_types: [kind]\ncustom_task_types:\n"
            f"  kind: {{instruction: kind of text, labels: {labels}}}\n"
        )
    )
    judge = judge_of(corpus)
    found = [
        judge("kind", f"{{{{context}}}} Which?<|pipe|>{label}.", "stop", PASSAGE).label
        for label in labels
    ]
    assert found == labels


def test_a_type_that_is_asked_for_must_be_defined(write):
    with pytest.raises(CatalogueError, match="did you mean 'risk_level'"):
        load(write(FILE.replace("[nli, risk_level,", "[nli, risk_levle,")))
