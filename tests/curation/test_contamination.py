"""What a row shares with a test set is found however it is set, and chance is left alone."""

import gzip
import json
from random import Random

import hypothesis.strategies as st
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings

from bonito_assets.catalogue import Corpus
from bonito_assets.curation.contamination import TestSets
from bonito_assets.curation.contamination.index import ENOUGH, RUN
from bonito_assets.curation.contamination.reading import Item, Source
from bonito_assets.evaluation.test_set import TestSetError

SYLLABLES = ["ba", "co", "di", "fu", "gel", "hir", "jo", "kan", "lum", "mer", "nos", "pit"]


def prose(seed, words):
    """Gives sentences of invented words; two seeds share no run of words worth the name."""
    random = Random(f"prose {seed}")
    made = ["".join(random.choices(SYLLABLES, k=random.randint(2, 4))) for _ in range(words)]
    for place in range(0, words, 9):
        made[place] = made[place].capitalize()
        made[place - 1] += "."
    return " ".join(made)


LONG = "Which of the two harbours, Orvane or Pell, " + "did the northern fleet leave in the spring?"
SHORT = "Why did the Orvane fleet leave?"
STOCK = "What is the name of the company?"
CONTEXT = prose("context", 120)
ELSEWHERE = prose("elsewhere", 120)


def sets(*items, own=True):
    return TestSets([Source("test.jsonl", own, list(items), "0")])


def item(question="", context="", answers=(), choices=(), id="q1"):
    return Item(id, question, context, tuple(answers), tuple(choices))


def overlaps(some, *rows):
    """Gives (contaminated_by, transductive) of each row of (instruction, answer, passage)."""
    columns = zip(*rows, strict=True)
    batch = pa.record_batch(
        [pa.array(column, pa.string()) for column in columns], ["input", "output", "passage"]
    )
    found = some.overlaps(batch)
    assert found.contaminated_by.type == pa.string()
    assert found.transductive.type == pa.bool_()
    return list(zip(*(column.to_pylist() for column in found), strict=True))


def contaminated(some, question="Tell me more.", answer="Never mind.", passage=ELSEWHERE):
    [(by, _)] = overlaps(some, (f"{passage}\n\n{question}", answer, passage))
    return by is not None


def transductive(some, passage):
    [(_, found)] = overlaps(some, ("Tell me more.", "Never mind.", passage))
    return found


def in_lines(text):
    words = text.split()
    return "\n".join(" ".join(words[start : start + 8]) for start in range(0, len(words), 8))


DISGUISES = {
    "as it is": lambda text: text,
    "in capitals": str.upper,
    "with other punctuation": lambda text: f"“{text.replace(' ', ' – ').replace('.', ' ...')}”",
    "in lines of eight words": in_lines,
    "in full-width letters": lambda text: text.translate({i: i + 0xFEE0 for i in range(33, 127)}),
    "in ten times as much filler": lambda text: " ".join(
        [prose("before", 5 * len(text.split())), text, prose("after", 5 * len(text.split()))]
    ),
}
disguised = pytest.mark.parametrize("disguise", DISGUISES.values(), ids=DISGUISES.keys())


@disguised
@pytest.mark.parametrize("part", ["question", "answer", "passage"])
@pytest.mark.parametrize("question", [LONG, SHORT], ids=["long", "short"])
def test_a_question_is_found_in_every_part_of_a_row(question, part, disguise):
    some = sets(item(question, CONTEXT))
    assert contaminated(some, **{part: disguise(question)})
    assert not contaminated(some, **{part: disguise(prose("other", 14))})


def test_part_of_a_long_question_is_enough():
    some = sets(item(LONG))
    assert contaminated(some, " ".join(LONG.split()[-RUN:]))
    assert not contaminated(some, " ".join(LONG.split()[1 - RUN :]))


def test_a_question_in_words_that_all_questions_have_is_chance():
    assert not contaminated(sets(item(STOCK, CONTEXT)), STOCK)


@pytest.mark.parametrize("row", [
    {"question": STOCK, "answer": "Orvane Shipping."},
    {"passage": f"{ELSEWHERE} {STOCK} Orvane Shipping"},
    {"passage": f"{ELSEWHERE} Q: {STOCK}\nA: Orvane Shipping"},
    {"answer": f"{STOCK} Answer: ORVANE SHIPPING"},
])  # fmt: skip
def test_with_its_answer_it_is_none(row):
    some = sets(item(STOCK, CONTEXT, ["Pell & Sons", "Orvane Shipping"]))
    assert contaminated(some, **row)
    assert not contaminated(sets(item(STOCK, CONTEXT, ["Pell & Sons"])), **row)


def test_a_word_that_is_said_again_makes_no_question_rarer():
    question = "Is Orvane, the Orvane of the Orvane?"
    assert not contaminated(sets(item(question, CONTEXT, ["Orvane"])), question, "Orvane")


def test_an_answer_alone_or_one_that_all_questions_have_says_nothing():
    assert not contaminated(sets(item(STOCK, CONTEXT, ["Orvane"])), answer="Orvane")
    assert not contaminated(sets(item("Was it so?", CONTEXT, ["yes"])), "Was it so?", "Yes")


def test_a_short_question_is_known_by_its_choices():
    choices = ["a grey heron in the reeds", "the miller's daughter", "two oxen"]
    some = sets(item("Which is it?", CONTEXT, ["two oxen"], choices))
    assert contaminated(some, "Which is it? " + "; ".join(choices))
    lettered = "\n".join(
        f"({letter}) {choice}" for letter, choice in zip("ABC", choices, strict=True)
    )
    assert contaminated(some, f"Which is it?\n{lettered}")
    assert not contaminated(some, "Which is it? a grey heron, or a white one?")


def test_a_question_that_is_asked_of_many_contexts_counts_on_those_only():
    items = [item(LONG, prose(n, 60), id=f"q{n}") for n in range(11)]
    some = sets(*items)
    assert not contaminated(some, LONG)
    rows = [(f"{i.context} {LONG}", "Yes.", i.context) for i in items]
    assert overlaps(some, *rows) == [(f"test.jsonl: {i.id}", True) for i in items]
    assert contaminated(sets(*items[:10]), LONG)


@disguised
def test_a_context_of_the_own_test_set_is_told_and_no_reason(disguise):
    some = sets(item(SHORT, CONTEXT))
    assert overlaps(some, ("Tell me more.", "No.", disguise(CONTEXT))) == [(None, True)]
    assert not transductive(some, disguise(ELSEWHERE))


@disguised
def test_a_context_of_another_set_is_a_reason(disguise):
    some = sets(item(SHORT, CONTEXT), own=False)
    assert overlaps(some, ("Tell me more.", "No.", disguise(CONTEXT))) == [
        ("test.jsonl: q1", False)
    ]
    assert not contaminated(some, passage=disguise(ELSEWHERE))


@pytest.mark.parametrize("question", [LONG, SHORT, STOCK], ids=["long", "short", "stock"])
def test_a_test_question_on_its_context_is_a_reason_and_another_question_is_none(question):
    some = sets(item(question, CONTEXT))
    assert contaminated(some, f"Answer this: {question}", passage=CONTEXT)
    assert contaminated(some, "Ask something.", answer=question, passage=CONTEXT)
    assert not contaminated(some, "How is the harbour lit at night?", passage=CONTEXT)


def test_a_context_is_found_by_the_half_of_it_or_fifty_words():
    some = sets(item(SHORT, CONTEXT), item(SHORT, prose("brief", 40), id="q2"))
    words, brief = CONTEXT.split(), prose("brief", 40).split()
    around = prose("around", 200)
    assert transductive(some, " ".join(words[:50]) + " " + around)
    assert not transductive(some, " ".join(words[:49]) + " " + around)
    assert transductive(some, around + " " + " ".join(brief[:26]))
    assert not transductive(some, around + " " + " ".join(brief[:25]))


def test_a_passage_that_was_cut_out_of_a_context_is_found():
    some = sets(item(SHORT, CONTEXT))
    assert transductive(some, " ".join(CONTEXT.split()[60:80]))


def test_short_contexts_are_found_inside_from_eight_rare_words_and_else_as_a_whole():
    eight, seven = prose("eight", 8), prose("seven", 7)
    dull = "It is what it is, and so it was and will be."
    some = sets(*(item(SHORT, text, id=text) for text in (eight, seven, dull)))
    assert [transductive(some, text) for text in (eight, seven, dull)] == [True] * 3
    assert [transductive(some, f"{ELSEWHERE} {text}") for text in (eight, seven, dull)] == [
        True,
        False,
        False,
    ]


def test_a_stretch_of_more_than_ten_contexts_is_boilerplate():
    header = prose("licence", 60)
    contexts = [f"{header} {prose(n, 70)}" for n in range(11)]
    some = sets(*(item(SHORT, text, id=text[-9:]) for text in contexts))
    assert not transductive(some, f"{header} {ELSEWHERE}")
    assert all(transductive(some, text) for text in contexts)


def test_a_claim_that_was_copied_from_its_context_is_no_reason_against_those_who_quote_it():
    claim = " ".join(CONTEXT.split()[20:40])
    some = sets(item(claim, CONTEXT))
    quoted = f"Is this so: {claim}"
    assert not contaminated(some, "Sum it up.", answer=claim, passage=CONTEXT)
    assert not contaminated(some, passage=f"{ELSEWHERE} {claim}")
    assert contaminated(some, quoted)
    assert not contaminated(some, quoted, passage=CONTEXT)


@pytest.mark.parametrize(
    ("question", "other"),
    [
        ("为什么奥尔万的船队在春天离开了北方的港口", "为什么奥尔万的船队在秋天没有到达南方的城市"),
        ("لماذا غادر أسطول أورفان الميناء الشمالي", "أين يقع الميناء الشمالي"),
    ],
    ids=["Chinese", "Arabic"],
)
def test_questions_in_other_scripts_are_found(question, other):
    assert contaminated(sets(item(question)), f"{question}？")
    assert not contaminated(sets(item(question)), other)


def test_rows_without_text_share_nothing():
    some = sets(item(SHORT, CONTEXT))
    assert overlaps(some, (None, None, None), ("", "", "")) == [(None, False)] * 2
    assert len(some.overlaps(pa.RecordBatch.from_pylist([], COLUMNS)).transductive) == 0


COLUMNS = pa.schema([(name, pa.string()) for name in ("input", "output", "passage")])
TEXTS = st.sampled_from(
    [LONG, SHORT, STOCK, CONTEXT, ELSEWHERE, "Orvane", None, f"{CONTEXT} {STOCK}", prose(1, 20)]
)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(TEXTS, TEXTS, TEXTS), min_size=1, max_size=12), st.integers(1, 5))
def test_what_stands_beside_a_row_plays_no_part(rows, size):
    some = sets(
        item(LONG, CONTEXT, id="a"),
        item(STOCK, CONTEXT, ["Orvane"], id="b"),
        item(SHORT, prose(1, 20), id="c"),
    )
    whole = overlaps(some, *rows)
    apart = [
        found
        for start in range(0, len(rows), size)
        for found in overlaps(some, *rows[start : start + size])
    ]
    assert whole == apart
    assert overlaps(some, *rows[::-1]) == whole[::-1]


WORDS = st.lists(st.sampled_from("abc"), max_size=60).map(tuple)


def runs(words):
    return {words[start : start + RUN] for start in range(len(words) - RUN + 1)}


def told_apart(number, words):
    """Gives `words` as text; those of different numbers have no word in common."""
    return " ".join(f"{word}{word}{number}" for word in words)


@settings(max_examples=100, deadline=None)
@given(WORDS, WORDS)
def test_a_long_question_is_found_where_a_run_of_it_stands(question, text):
    some = sets(item(told_apart(1, question), "x"))
    if len(question) >= RUN:
        shared = runs(question) & runs(text)
        assert contaminated(some, told_apart(1, text)) == bool(shared)


@settings(max_examples=100, deadline=None)
@given(WORDS, WORDS, WORDS)
def test_a_context_is_found_where_enough_of_its_runs_stand(before, context, text):
    text = before + context + text if len(text) % 2 else before + text
    if len(context) >= RUN and len(text) >= RUN:
        shared = len(runs(context) & runs(text))
        held = min(len(runs(context)), len(text) - RUN + 1)
        is_found = 2 * shared >= held or shared >= ENOUGH
        some = sets(item("Why?", told_apart(1, context)))
        assert transductive(some, told_apart(1, text)) == is_found


def corpus(folder, own=None, against=()):
    return Corpus(
        name="c",
        folder=folder,
        source={"files": "*.txt"},
        task_types=["nli"],
        evaluation={"test": own} if own else None,
        curation={"decontaminate_against": list(against)},
    )


def written(path, *rows):
    path.parent.mkdir(exist_ok=True)
    data = "".join(json.dumps(row) + "\n" for row in rows).encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)


def test_a_corpus_without_sets_has_nothing_to_compare(tmp_path):
    some = TestSets.read(corpus(tmp_path))
    assert not some
    assert some.names == ()
    assert overlaps(some, (LONG, SHORT, CONTEXT)) == [(None, False)]
    assert some.summary([]) == []


def test_sets_are_read_in_every_form_that_a_test_set_has(tmp_path):
    written(tmp_path / "own.jsonl", {"id": 7, "context": CONTEXT, "question": SHORT, "label": "no"})
    written(tmp_path / "a.jsonl.gz", {"text": prose("text", 50)})
    hub = {"id": "x", "question": STOCK, "answers": {"text": ["Orvane Shipping"]}}
    pq.write_table(pa.Table.from_pylist([hub]), tmp_path / "b.parquet")
    some = TestSets.read(corpus(tmp_path, "own.jsonl", ["a.jsonl.gz", "b.parquet"]))
    assert some.names == ("own.jsonl", "a.jsonl.gz", "b.parquet")
    rows = [
        (SHORT, "yes", CONTEXT),
        ("Tell me.", "no", prose("text", 50)),
        (STOCK, "Orvane Shipping", ELSEWHERE),
    ]
    assert overlaps(some, *rows) == [
        ("own.jsonl: 7", True),
        ("a.jsonl.gz: 1", False),
        ("b.parquet: x", False),
    ]


def test_sets_of_one_file_name_are_told_apart_by_their_folders(tmp_path):
    for name in ("one", "two"):
        written(tmp_path / name / "test.jsonl", {"question": LONG})
    some = TestSets.read(corpus(tmp_path, "one/test.jsonl", ["two/test.jsonl"]))
    assert some.names == ("one/test.jsonl", "two/test.jsonl")


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({"id": "q"}, "row 2: has neither 'question' nor 'context' nor 'text'"),
        ({"question": " ", "context": None}, "row 2: has neither"),
        ({"question": ["Why?"]}, "row 2: key 'question': it must be text"),
        ({"question": "Why?", "answers": [1]}, "row 2: key 'answers': it must be text or a list"),
        ({"question": "Why \ud83d?"}, r"row 2: holds half of a character \(\\ud83d\)"),
        ({"question": "Why?", "answers": ["so\udc00"]}, "row 2: holds half of a character"),
    ],
)
def test_a_row_with_nothing_to_compare_is_named(tmp_path, row, says):
    written(tmp_path / "a.jsonl", {"question": LONG}, row)
    with pytest.raises(TestSetError, match=f"a.jsonl: {says}"):
        TestSets.read(corpus(tmp_path, against=["a.jsonl"]))


@pytest.mark.parametrize(
    ("where", "key"),
    [({"own": "gone.jsonl"}, "evaluation.test"),
     ({"against": ["gone.jsonl"]}, "curation.decontaminate_against")],
)  # fmt: skip
def test_a_set_that_is_not_there_is_named_with_its_key(tmp_path, where, key):
    with pytest.raises(TestSetError, match=rf"gone.jsonl: cannot be read .*; correct {key}"):
        TestSets.read(corpus(tmp_path, **where))


def test_the_digest_follows_the_content_and_part_of_a_set(tmp_path):
    def read(**where):
        return TestSets.read(corpus(tmp_path, **where)).digest

    written(tmp_path / "a.jsonl", {"question": LONG})
    own, against = read(own="a.jsonl"), read(against=["a.jsonl"])
    assert read(own="a.jsonl") == own
    written(tmp_path / "a.jsonl", {"question": SHORT})
    assert len({own, against, read(own="a.jsonl"), read()}) == 4


def test_the_summary_counts_questions_rows_and_passages_of_each_set():
    some = TestSets(
        [
            Source("own", True, [item(LONG, CONTEXT, id="a"), item(SHORT, CONTEXT, id="b")], "0"),
            Source("other", False, [item("", prose("other", 60), id="c")], "0"),
        ]
    )
    rows = [
        ("k1", LONG, CONTEXT),
        ("k1", LONG, CONTEXT),
        ("k1", "Tell me.", CONTEXT),
        ("k2", "Tell me.", prose("other", 60)),
        ("k3", "Tell me.", ELSEWHERE),
        ("k4", "Tell me.", CONTEXT.upper()),
    ]
    found = overlaps(some, *((question, "No.", passage) for _, question, passage in rows))
    batch = pa.record_batch(
        [[key for key, *_ in rows], *map(list, zip(*found, strict=True))],
        ["chunk_id", "contaminated_by", "transductive"],
    )
    expected = [
        {"set": "own", "role": "own", "questions": 2, "contexts": 1, "questions_found": 1,
         "rows": 2, "transductive_passages": 2},
        {"set": "other", "role": "against", "questions": 1, "contexts": 1, "questions_found": 1,
         "rows": 1, "transductive_passages": 0},
    ]  # fmt: skip
    assert some.summary([batch]) == expected
    assert some.summary([batch.slice(0, 2), batch.slice(2)]) == expected
