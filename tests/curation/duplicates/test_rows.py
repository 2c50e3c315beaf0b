"""Rows are of one family when they ask the same of one passage or of near-copies of it."""

import hypothesis.strategies as st
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings

from bonito_assets.curation.duplicates import rows as module
from bonito_assets.curation.duplicates.canonical import canonical
from bonito_assets.curation.duplicates.rows import (
    PASSAGE_FEATURES,
    ROW_FEATURES,
    Families,
    Passages,
    Rows,
    families,
    groups,
    kindred,
    passage_features,
    row_features,
)
from bonito_assets.curation.instruction import masked
from tests.curation.duplicates.planted import CASES, REPORTING, TUNING, jaccard, planted


def passages_of(texts, documents=None):
    """Gives the passages as arrays; each is a document of its own where none is named."""
    features = passage_features(pa.array(texts, pa.string()))
    assert features.schema == PASSAGE_FEATURES
    return Passages(
        features["passage_key"].to_numpy(),
        features["bands"].flatten().to_numpy().reshape(len(texts), -1),
        np.array(range(len(texts)) if documents is None else documents, np.int64),
        lambda numbers: pa.array([texts[number] for number in numbers], pa.string()),
    )


def rows_of(tasks, texts):
    """Gives rows of (instruction, answer, number of the passage), ``{c}`` in them filled in."""
    inputs, outputs = (
        pa.array(
            [t[side] and t[side].replace("{c}", texts[t[2]].strip()) for t in tasks], pa.string()
        )
        for side in (0, 1)
    )
    features = row_features(inputs, outputs, pa.array([texts[t[2]] for t in tasks], pa.string()))
    assert features.schema == ROW_FEATURES
    return Rows(
        features["instruction_key"].fill_null(0).to_numpy(),
        features["task_key"].fill_null(0).to_numpy(),
        features["holds_passage"].to_numpy(zero_copy_only=False),
        features["task_key"].is_valid().to_numpy(zero_copy_only=False),
        np.array([t[2] for t in tasks], np.int64),
    )


def found(tasks, texts, threshold=0.8, scope="corpus", documents=None):
    result = families(rows_of(tasks, texts), passages_of(texts, documents), threshold, scope)
    return Families(result.exact.tolist(), result.near.tolist())


def text(*numbers, words=60):
    """Gives a passage of so many words of its own, but with other ones at the places named."""
    return " ".join(f"other{i}" if i in numbers else f"word{i}" for i in range(words))


# Of 56 word 5-grams a changed word in the middle changes five: J = 51/61 = 0.84.
SAME, COPY, STRANGER = text(), text(30), " ".join(f"else{i}" for i in range(60))
ASKED = "{c}\n\nQuestion: Who is the tenant?"


def test_equal_rows_are_one_family_under_the_first_of_them():
    tasks = [("{c} other", "Ann", 0), (ASKED, "Ann", 0), (ASKED.lower(), "ANN", 1)]
    assert found(tasks, [SAME, SAME.upper()]).exact == [0, 1, 1]


def test_two_questions_on_one_passage_are_two():
    other = ASKED.replace("tenant", "landlord")
    assert found([(ASKED, "Ann", 0), (other, "Ann", 0)], [SAME]) == ([0, 1], [0, 1])


def test_two_answers_to_one_question_are_two():
    assert found([(ASKED, "Yes", 0), (ASKED, "No", 0)], [SAME]) == ([0, 1], [0, 1])


def test_one_question_on_near_copies_is_near_and_not_equal():
    assert found([(ASKED, "Ann", 0), (ASKED, "Ann", 1)], [SAME, COPY]) == ([0, 1], [0, 0])


def test_one_question_on_two_passages_is_two():
    assert found([(ASKED, "Ann", 0), (ASKED, "Ann", 1)], [SAME, STRANGER]) == ([0, 1], [0, 1])


def test_a_question_spelled_otherwise_is_near():
    tasks = [(ASKED, "Ann", 0), (ASKED.replace("?", " ?!"), "Ann.", 0)]
    assert found(tasks, [SAME]) == ([0, 1], [0, 0])


def test_one_word_counts_in_a_frame_of_forty():
    frame = "Please keep in mind all of this and only this " * 4 + "{c} Is there a {} in it?"
    tasks = [(frame.replace("{}", word), "Yes", 0) for word in ("tenant", "landlord")]
    assert found(tasks, [SAME]).near == [0, 1]


def test_rows_that_give_back_their_passage_are_near_on_near_copies():
    tasks = [("Write about words.", "{c}", 0), ("Write about words.", "{c}", 1)]
    assert found(tasks, [SAME, COPY]).near == [0, 0]


def test_rows_that_do_not_hold_their_passage_are_compared_as_they_stand():
    tasks = [("Who was Ann?", "A tenant", 0), ("who was Ann?", "a tenant", 1),
             ("Who was Ann", "A tenant", 0)]  # fmt: skip
    assert found(tasks, [SAME, STRANGER]) == ([0, 0, 2], [0, 0, 0])


def test_a_row_that_holds_its_passage_is_none_that_does_not():
    tasks = [("{c}", "Ann", 0), ("{{context}}", "Ann", 0)]
    assert found(tasks, [SAME]) == ([0, 1], [0, 1])


def test_a_refused_row_is_in_no_family():
    tasks = [(None, None, 0), (ASKED, "Ann", 0), (None, None, 0)]
    assert found(tasks, [SAME]) == ([0, 1, 2], [0, 1, 2])


def test_a_chain_of_near_copies_joins_no_strangers():
    chain = [text(), text(30), text(30, 45)]
    assert jaccard(chain[0], chain[1]) > 0.8 < jaccard(chain[1], chain[2])
    assert jaccard(chain[0], chain[2]) < 0.8
    assert found([(ASKED, "Ann", i) for i in range(3)], chain).near == [0, 0, 2]


def test_a_stranger_first_does_not_keep_near_copies_apart():
    chain = [text(), text(30, 45), text(30), text(30, 45)]
    assert found([(ASKED, "Ann", i) for i in range(4)], chain).near == [0, 1, 0, 1]


LEFT = [text(), text(30), text(30, 45), text(30, 45, 46)]


def test_what_the_first_family_leaves_makes_families_too():
    assert found([(ASKED, "Ann", i) for i in range(4)], LEFT).near == [0, 0, 2, 2]


def test_after_the_most_families_of_one_task_each_row_is_by_itself(monkeypatch):
    monkeypatch.setattr(module, "_MOST_FAMILIES", 1)
    assert found([(ASKED, "Ann", i) for i in range(4)], LEFT).near == [0, 0, 2, 3]


def test_near_copies_are_found_that_share_no_task_with_a_third_passage_between_them():
    texts = [text(), text(30, words=80), text(30)]
    tasks = [(ASKED, "Ann", 0), ("{c} Yes?", "No", 1), (ASKED, "Ann", 2)]
    assert found(tasks, texts).near == [0, 1, 0]


@pytest.mark.parametrize(
    ("scope", "exact", "near"),
    [
        ("corpus", [0, 1, 0, 0], [0, 0, 0, 0]),
        ("document", [0, 1, 2, 0], [0, 0, 2, 0]),
        ("off", [0, 1, 2, 3], [0, 1, 2, 3]),
    ],
)
def test_the_scope_is_the_corpus_or_the_document_or_nothing(scope, exact, near):
    texts = [SAME, COPY, SAME, SAME]
    tasks = [(ASKED, "Ann", i) for i in range(4)]
    assert found(tasks, texts, scope=scope, documents=[7, 7, 8, 7]) == (exact, near)


def test_without_a_threshold_there_are_no_near_rows():
    tasks = [(ASKED, "Ann", 0), (ASKED, "Ann", 0), (ASKED, "Ann", 1)]
    assert found(tasks, [SAME, COPY], threshold=None) == ([0, 0, 2], [0, 1, 2])


def test_the_threshold_is_that_of_the_corpus():
    tasks = [(ASKED, "Ann", 0), (ASKED, "Ann", 1)]
    assert found(tasks, [SAME, COPY], threshold=0.9).near == [0, 1]


def test_no_rows_have_no_families():
    assert found([], [SAME]) == ([], [])


@pytest.mark.parametrize("passage", ["", "?!", "One", "谁是房客。"])
def test_passages_of_few_words_or_none_are_compared_as_well(passage):
    tasks = [(f"{{c}} {ASKED}", "Ann", 0), (f"{{c}} {ASKED}", "Ann", 1)]
    assert found(tasks, [passage, passage]).exact == [0, 0]


def test_passages_are_kindred_by_their_likeness_to_the_first():
    texts = [text(), STRANGER, text(30), text(30, 45), SAME.upper()]
    assert kindred(passages_of(texts), 0.8, "corpus").tolist() == [0, 1, 0, 3, 0]
    assert kindred(passages_of(texts), None, "corpus").tolist() == [0, 1, 2, 3, 0]
    assert kindred(passages_of(texts), 0.8, "off").tolist() == [0, 1, 2, 3, 4]
    assert kindred(passages_of(texts), 0.8, "document").tolist() == [0, 1, 2, 3, 4]


def test_a_group_is_of_one_task_type_and_kindred_passages():
    texts = [SAME, STRANGER, COPY]
    tasks = [
        (ASKED, "Ann", 0),
        (ASKED, "Bob", 2),
        (ASKED, "C", 2),
        (None, None, 0),
        (ASKED, "D", 1),
    ]
    kin = kindred(passages_of(texts), 0.8, "corpus")
    made = groups(rows_of(tasks, texts), np.array([1, 1, 2, 1, 1]), kin)
    assert made.tolist() == [0, 0, 2, -1, 4]


POOL = [SAME, COPY, text(30, 45), text(10), STRANGER, SAME.title(), text(words=70), "Short.", ""]
TASKS = st.tuples(
    st.sampled_from([ASKED, ASKED.lower(), "{c} Who is it", "Who?", None]),
    st.sampled_from(["Ann", "ann.", "Bob"]),
    st.integers(0, len(POOL) - 1),
).map(lambda task: (None, None, task[2]) if task[0] is None else task)


def by_hand(tasks, texts, threshold, scope, documents):
    """Gives the near families as their definition says, row by row."""
    led = []
    family = []
    for i, (asked, answer, passage) in enumerate(tasks):
        family.append(i)
        if asked is None:
            continue
        sides = [side.replace("{c}", texts[passage].strip()) for side in (asked, answer)]
        own = masked(*(pa.array([s]) for s in (*sides, texts[passage])))
        task = (*(canonical(column[0].as_py()) for column in own[:2]), own.holds_passage[0].as_py())
        if scope == "document":
            task = (*task, documents[passage])
        for leader, led_task, led_passage in led:
            one, other = texts[led_passage], texts[passage]
            same = " ".join(one.lower().split()) == " ".join(other.lower().split())
            alike = same or jaccard(one, other) >= threshold
            if led_task == task and (alike or not own.holds_passage[0].as_py()):
                family[i] = leader
                break
        else:
            led.append((i, task, passage))
    return family


@settings(max_examples=60)
@given(st.lists(TASKS, max_size=25), st.sampled_from([0.7, 0.8, 1.0]), st.booleans())
def test_families_are_those_that_the_definition_gives(tasks, threshold, whole):
    scope = "corpus" if whole else "document"
    documents = [i % 2 for i in range(len(POOL))]
    assert found(tasks, POOL, threshold, scope, documents).near == by_hand(
        tasks, POOL, threshold, scope, documents
    )


@pytest.mark.parametrize("world", [TUNING, REPORTING], ids=["tuning", "reporting"])
def test_the_three_cases_come_out_right(world):
    pairs = planted(world, 300, seed=6)
    made = [row for pair in pairs for row in (pair.one, pair.other)]
    texts = sorted({row.passage for row in made})
    number = {passage: i for i, passage in enumerate(texts)}
    rows = rows_of([(row.input, row.output, number[row.passage]) for row in made], texts)
    result = families(rows, passages_of(texts), 0.8, "corpus")
    one, other = slice(0, None, 2), slice(1, None, 2)
    joined = (result.exact[one] == result.exact[other]) | (result.near[one] == result.near[other])
    for case in CASES:
        verdicts = [
            bool(is_one) for pair, is_one in zip(pairs, joined, strict=True) if pair.case == case
        ]
        right = verdicts.count(case == "copied")
        assert right / len(verdicts) >= 0.99, case
