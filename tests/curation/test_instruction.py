"""An instruction comes apart into the passage, the wording around the subject, and the subject."""

import hypothesis.strategies as st
import pyarrow as pa
import pytest
from hypothesis import given

from bonito_assets.curation.instruction import masked, skeleton, subject, templates

PASSAGE = "The ferry leaves at nine. It is blue."


def one(instruction, answer, passage):
    found = masked(pa.array([instruction]), pa.array([answer]), pa.array([passage]))
    return tuple(column[0].as_py() for column in found)


@pytest.mark.parametrize(
    ("instruction", "answer", "expected"),
    [
        (f"{PASSAGE}\n\nWhen?", "nine", ("{{context}}\n\nWhen?", "nine", True)),
        (f"Read this: {PASSAGE}", "x", ("Read this: {{context}}", "x", True)),
        ("Write about a ferry.", PASSAGE, ("Write about a ferry.", "{{context}}", True)),
        ("When does it leave?", "nine", ("When does it leave?", "nine", False)),
        (PASSAGE.upper(), "x", (PASSAGE.upper(), "x", False)),
    ],
    ids=["first", "last", "in the answer", "nowhere", "in other letters"],
)
def test_the_passage_gives_way_to_its_slot_where_it_stands_to_the_letter(
    instruction, answer, expected
):
    assert one(instruction, answer, f"  {PASSAGE}\n") == expected


@pytest.mark.parametrize("passage", ["", "  \n", None])
def test_a_row_without_a_passage_is_left_whole(passage):
    assert one("When?", "nine", passage) == ("When?", "nine", False)


@pytest.mark.parametrize(("instruction", "answer"), [(None, "a"), ("i", None), (None, None)])
def test_a_refused_row_is_null(instruction, answer):
    assert one(instruction, answer, "a passage") == (None, None, False)


def test_passages_may_be_a_dictionary_array():
    passages = pa.array([PASSAGE, PASSAGE]).dictionary_encode()
    found = masked(pa.array([PASSAGE, "x"]), pa.array(["a", "b"]), passages)
    assert found.input.to_pylist() == ["{{context}}", "x"]


def test_no_rows_are_no_rows():
    empty = pa.array([], pa.string())
    assert [len(column) for column in masked(empty, empty, empty)] == [0, 0, 0]
    assert len(templates(empty)) == 0


TEXTS = st.text(st.characters(codec="utf-8"), max_size=30)


@given(st.text("12?\n "), st.text("12?\n "), st.text("ab c\n", min_size=1).filter(str.strip))
def test_what_the_model_wrote_comes_back(before, after, passage):
    wrote = f"{before}{{{{context}}}}{after}"
    put_in = wrote.replace("{{context}}", passage.strip())
    assert one(put_in, "1", passage) == (wrote, "1", True)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("{{context}}\n\nQuestion: Who is it?", "{{context}}\n\nQuestion: How many boats sank?"),
        ("{{context}} Question: Is it so? True or False?",
         "{{context}} Question: Did Ann say no? True or False?"),
        ('{{context}}\nDoes it follow that "a b"? Yes, No or Maybe?',
         '{{context}}\nDoes it follow that "the dog barks. Twice."? Yes, No or Maybe?'),
        ("{{context}}\n\nIs “a” meant? Yes or No?", '{{context}}\n\nIs "b c" meant? Yes or No?'),
        ("Q: Which?\n- a\n- b\n\n{{context}}", "Q: Which?\n- c d\n- e f\n- g\n\n{{context}}"),
        ("{{context}}\nWhich one?\nA. red\nB. blue", "{{context}}\nWhich one?\nA. up\nB. down"),
        ("Who is the tenant?\n{{context}}", "Who is the owner of the mill?\n{{context}}"),
        ("{{context}}\nWhat does the passage say about Ann?",
         "{{context}}\nWhat does the passage say about old ships?"),
        ("Write a text with these points:\n- a\n- b", "Write a text with these points:\n- c"),
        ("Passage: {{context}}\nQuestion: Who?\nAnswer:",
         "Passage: {{context}}\nQuestion: What is a dune? \nAnswer:"),
    ],
    ids=["titled", "titled with labels", "quoted", "curly quotes", "bulleted options",
         "lettered options", "bare question", "question about a topic", "points", "titled line"],
)  # fmt: skip
def test_instructions_that_differ_in_their_subject_share_a_template(one, other):
    assert skeleton(one) == skeleton(other)


WORDINGS = [
    "{{context}}\n\nQuestion: Who is it?",
    "Question: Who is it?\n\n{{context}}",
    "{{context}}\n\nWho is it?",
    "{{context}}\n\nHow many are there?",
    "{{context}}\n\nQuestion: Who is it? True or False?",
    '{{context}}\nDoes it follow that "a"? Yes or No?',
    '{{context}}\nDoes the text support the claim "a"? Yes or No?',
    "Summarize the passage.\n\n{{context}}",
    "Paraphrase the sentence.\n\n{{context}}",
    "{{context}}\n\nQuestion: Which?\n- a\n- b",
]


def test_other_wordings_are_other_templates():
    assert len({skeleton(wording) for wording in WORDINGS}) == len(WORDINGS)


def test_a_template_is_sixteen_digits_that_stay_the_same():
    found = templates(pa.array([WORDINGS[0], None, WORDINGS[0]])).to_pylist()
    assert found == ["f64f165dbc4d47da", None, "f64f165dbc4d47da"]


@pytest.mark.parametrize(
    ("instruction", "expected"),
    [
        ("Read it with care.\n\n{{context}}\n\nQuestion: Who came?\nAnswer in a word.", "Who came"),
        ("{{context}}\n\nDo we know this? Who is Ann?", "Do we know this Who is Ann"),
        ('{{context}}\nTrue or False: "Ann is here"', '"Ann is here"'),
        ("Summarize the text.\n\n{{context}}", "Summarize the text."),
    ],
)
def test_the_subject_is_what_is_asked_quoted_titled_or_listed(instruction, expected):
    assert subject(instruction) == expected


@given(TEXTS)
def test_any_text_has_a_skeleton_and_a_subject(text):
    assert isinstance(skeleton(text), str)
    assert subject(text) or not text.strip() or "{{context}}" in text
