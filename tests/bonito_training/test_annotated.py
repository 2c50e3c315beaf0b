"""Rows of annotated data sets as pairs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bonito_assets.bonito_training import annotated as forms
from bonito_assets.bonito_training.annotated import FORMS, MOST_CHARS, Annotated
from bonito_assets.bonito_training.data_set import Counts, DataSet
from bonito_assets.bonito_training.pairs import Pair
from bonito_assets.bonito_training.templates import parsed
from bonito_assets.catalogue import TASK_TYPES
from bonito_assets.generation.prompts import prompt
from bonito_assets.tables import CONTEXT_SLOT

_TEXT = "The mill on the Arl grinds rye. It was built in 1802 and stands still in winter."
# One good row of each form.
_ROWS = {
    "squad": {"context": _TEXT, "question": "When was the mill built?", "answers": ["1802"]},
    "multiple_choice": {
        "context": _TEXT,
        "question": "What does it grind?",
        "choices": ["oats", "rye", "stone"],
        "answer": 1,
    },
    "boolq": {"context": _TEXT, "question": "does the mill grind rye", "label": True},
    "nli": {"premise": _TEXT, "hypothesis": "The mill is old.", "label": 0},
    "entailment": {"premise": _TEXT, "hypothesis": "The mill is old.", "label": "entailment"},
    "paraphrase": {"sentence1": "It grinds rye.", "sentence2": "Rye is ground.", "label": 1},
    "sentiment": {"text": "I loved this mill.", "label": "pos"},
    "topic": {"text": _TEXT, "label": 1},
    "summary": {"document": _TEXT, "summary": "A rye mill of 1802."},
    "completion": {"context": "The mill", "endings": ["grinds", "flies"], "label": "0"},
    "word_sense": {
        "sentence1": "The mill grinds.",
        "sentence2": "He runs a paper mill.",
        "word": "mill",
        "label": 0,
    },
    "coreference": {
        "text": _TEXT,
        "span1_text": "The mill",
        "span2_text": "It",
        "label": True,
    },
}


def _of(folder: Path, form: str, rows: list[dict], **settings) -> Annotated:
    path = folder / "rows.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    if form == "topic":
        settings.setdefault("labels", ("farming", "buildings"))
    return Annotated(DataSet(str(path)), form, "cc0-1.0", **settings)


def _made(annotated: Annotated, seed: int = 0) -> tuple[list[Pair], Counts]:
    counts = Counts()
    return list(forms.pairs(annotated, counts, seed)), counts


def _left_out(folder: Path, form: str, **changed) -> str:
    made, counts = _made(_of(folder, form, [_ROWS[form] | changed]))
    assert made == []
    (reason,) = counts.left_out
    return reason


def test_the_forms_together_serve_all_sixteen_task_types() -> None:
    served = {wording.task_type for form in FORMS.values() for wording in form.wordings}
    assert served == set(TASK_TYPES)


def test_every_wording_has_a_name_of_its_own() -> None:
    names = [wording.name for form in FORMS.values() for wording in form.wordings]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("form", FORMS)
def test_every_wording_of_a_form_gives_a_pair_that_keeps_bonitos_format(
    tmp_path: Path, form: str
) -> None:
    made, counts = _made(_of(tmp_path, form, [_ROWS[form]] * 200))
    assert counts.pairs == counts.rows == len(made) == 200
    label = _ROWS[form].get("label")
    wanted = {w.name for w in FORMS[form].wordings if w.only_label is None or w.only_label == label}
    assert {pair.template for pair in made} == wanted
    for pair in made:
        instruction, answer = parsed(pair.completion)
        assert (instruction + answer).count(CONTEXT_SLOT) == 1
        assert (answer == CONTEXT_SLOT) == (pair.task_type == "text_gen")
        assert pair.prompt == prompt(pair.context, pair.task_type)
        assert "{" not in (instruction + answer).replace(CONTEXT_SLOT, "")
        assert pair.source.endswith("rows.jsonl/train")
        assert pair.license == "cc0-1.0"


@pytest.mark.parametrize("form", ["boolq", "nli", "entailment", "paraphrase", "sentiment", "topic"])
def test_the_answer_of_a_labelled_task_is_one_of_the_words_that_its_instruction_names(
    tmp_path: Path, form: str
) -> None:
    for pair in _made(_of(tmp_path, form, [_ROWS[form]] * 50))[0]:
        if pair.task_type != "paraphrase":
            instruction, answer = parsed(pair.completion)
            assert answer.lower() in instruction.lower()


@pytest.mark.parametrize(
    ("form", "label", "words"),
    [
        ("boolq", True, {"Yes", "True"}),
        ("boolq", 0, {"No", "False"}),
        ("boolq", "yes", {"Yes", "True"}),
        ("nli", 1, {"Maybe", "Inconclusive", "Sometimes", "Possible"}),
        ("nli", "Contradiction", {"No", "False", "Incorrect", "Never", "Impossible"}),
        ("nli", "SUPPORTS", {"Yes", "True", "Correct", "Always", "Guaranteed"}),
        ("entailment", 1, {"No", "False"}),
        ("entailment", "not_entailment", {"No", "False"}),
        ("sentiment", 0, {"Negative", "No", "bad", "unhappy"}),
        ("topic", "buildings", {"buildings"}),
    ],
)
def test_a_label_is_understood_as_a_number_a_truth_value_or_a_name(
    tmp_path: Path, form: str, label: object, words: set[str]
) -> None:
    made, _ = _made(_of(tmp_path, form, [_ROWS[form] | {"label": label}] * 60))
    assert {parsed(pair.completion)[1] for pair in made} == words


def test_numbers_count_in_the_names_that_are_given(tmp_path: Path) -> None:
    names = ("contradiction", "entailment", "neutral")
    made, _ = _made(_of(tmp_path, "nli", [_ROWS["nli"]] * 40, labels=names))
    answers = {parsed(pair.completion)[1] for pair in made}
    assert answers <= {"No", "False", "Incorrect", "Never", "Impossible"}


@pytest.mark.parametrize("label", [-1, 7, "perhaps", None])
def test_a_row_without_a_known_label_is_left_out(tmp_path: Path, label: object) -> None:
    assert _left_out(tmp_path, "nli", label=label) == "label_unknown"


def test_a_long_passage_is_cut_at_a_sentence_where_the_answer_stays(tmp_path: Path) -> None:
    row = _ROWS["squad"] | {"context": _TEXT + " More of the same." * 200}
    (pair,), _ = _made(_of(tmp_path, "squad", [row]))
    assert len(pair.context) <= MOST_CHARS
    assert pair.context.endswith("More of the same.")
    assert row["context"].startswith(pair.context)


def test_a_row_whose_answer_would_be_cut_off_is_left_out(tmp_path: Path) -> None:
    late = "More of the same. " * 200 + _TEXT
    assert _left_out(tmp_path, "squad", context=late) == "answer_not_in_passage"


@pytest.mark.parametrize("form", ["boolq", "nli", "summary", "multiple_choice"])
def test_a_long_passage_is_left_out_where_any_part_may_bear_the_label(
    tmp_path: Path, form: str
) -> None:
    field = FORMS[form].columns[0]
    assert _left_out(tmp_path, form, **{field: "Long. " * 400}) == "too_long"


@given(st.text(min_size=MOST_CHARS + 1, max_size=MOST_CHARS + 200))
def test_what_is_cut_is_a_start_of_the_text_within_the_limit(text: str) -> None:
    cut = forms._cut(text)
    assert len(cut) <= MOST_CHARS
    assert text.startswith(cut)


@pytest.mark.parametrize(
    ("form", "changed", "reason"),
    [
        ("squad", {"question": " "}, "empty"),
        ("squad", {"answers": []}, "no_answer"),
        ("squad", {"question": "What is <|pipe|>?"}, "format_marker"),
        ("squad", {"context": _TEXT + " {{context}}"}, "format_marker"),
        ("summary", {"summary": "x" * (MOST_CHARS + 1)}, "too_long"),
        ("multiple_choice", {"choices": ["rye"]}, "no_choices"),
        ("multiple_choice", {"choices": ["rye", "rye"]}, "choice_twice"),
        ("multiple_choice", {"answer": "Z"}, "label_unknown"),
        ("paraphrase", {"sentence2": "It grinds rye."}, "same_twice"),
    ],
)
def test_a_row_that_makes_no_sound_task_is_left_out_with_a_reason(
    tmp_path: Path, form: str, changed: dict, reason: str
) -> None:
    assert _left_out(tmp_path, form, **changed) == reason


@pytest.mark.parametrize("answer", [1, "1", "B", "rye"])
def test_the_right_choice_is_understood_as_number_letter_or_text(
    tmp_path: Path, answer: object
) -> None:
    row = _ROWS["multiple_choice"] | {"answer": answer}
    made, _ = _made(_of(tmp_path, "multiple_choice", [row] * 30))
    assert {parsed(pair.completion)[1] for pair in made} == {"B", "rye"}


@pytest.mark.parametrize(
    "answers", [["1802"], {"text": ["1802"], "answer_start": [49]}, [{"text": "1802"}], "1802"]
)
def test_answers_are_read_in_all_shapes_that_squad_comes_in(
    tmp_path: Path, answers: object
) -> None:
    made, _ = _made(_of(tmp_path, "squad", [_ROWS["squad"] | {"answers": answers}]))
    assert len(made) == 1


def test_nested_and_renamed_columns_are_found(tmp_path: Path) -> None:
    row = {"inner": {"body": _TEXT}, "q": "does it grind", "label": 1}
    columns = {"context": "inner.body", "question": "q"}
    (pair,), _ = _made(_of(tmp_path, "boolq", [row], columns=columns))
    assert pair.context == _TEXT


def test_of_many_rows_so_many_are_drawn_by_chance_and_again_by_the_same_seed(
    tmp_path: Path,
) -> None:
    rows = [_ROWS["boolq"] | {"question": f"is it number {n}"} for n in range(300)]
    some = _of(tmp_path, "boolq", rows, limit=40)
    first, counts = _made(some)
    assert (len(first), counts.rows) == (40, 300)
    assert first == _made(some)[0]
    assert first != _made(some, seed=1)[0]


@pytest.mark.parametrize(
    ("form", "settings", "message"),
    [
        ("squat", {}, r"no form 'squat'; choose one of: squad, "),
        ("boolq", {"columns": {"query": "q"}}, r"has no field 'query'; its fields are context"),
        ("nli", {}, r"no column 'premise'; it has context, question, label\. Say where"),
        ("topic", {"labels": (), "columns": {"text": "context"}}, r"give them as `labels`"),
    ],
)
def test_a_wrong_description_is_named_with_the_remedy(
    tmp_path: Path, form: str, settings: dict, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        _made(_of(tmp_path, form, [_ROWS["boolq"]], **settings))
