"""The gate on the data, with a scorer that likes answers whose words stand in the prompt."""

import itertools
import random

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bonito_assets import tables
from bonito_assets.catalogue import Corpus, CustomTaskType, Source
from bonito_assets.evaluation.answers_fit import (
    BLOCK,
    MOST_ROWS,
    TOLERATED,
    Compared,
    Row,
    blocks,
    compare,
    open_types,
    report,
    sample,
    stretch,
    verdict,
    won,
)
from resources.store import Store

TEXT = st.text("abc ", min_size=1, max_size=8)


class Words:
    """An encoder whose tokens are words; its scorer likes words that the prompt holds.

    In a `guessing` share of the rows it says anything.
    """

    end = 0

    def __init__(self, guessing=0.0):
        self._guessing = guessing
        self._random = random.Random(7)

    def fit(self, text, passage, answer_tokens, budget):
        from bonito_assets.tuning.prompts import fit

        return fit(text, passage, lambda t: len(t.split()) + answer_tokens, budget)

    def prompt(self, text):
        return text.split()

    def answer(self, text):
        return text.split()

    def log_likelihoods(self, prompts, answers, advance):
        scores = []
        for prompt, row in zip(prompts, answers, strict=True):
            known = set(prompt)
            guesses = self._random.random() < self._guessing
            scores.append(
                [
                    self._random.gauss(0, 1)
                    if guesses
                    else sum(-1.0 if word in known else -3.0 for word in answer)
                    for answer in row
                ]
            )
            advance(1)
        return scores


def rows(count, kind="exqa", seed=0):
    """Questions about passages of invented words, answered by two words of the own passage."""
    words = random.Random(seed)
    made = []
    for number in range(count):
        passage = [f"w{words.randrange(4000)}" for _ in range(30)]
        place = words.randrange(29)
        answer = " ".join(passage[place : place + 2])
        text = " ".join(passage)
        made.append(Row(f"{kind}{seed}-{number}", kind, f"{text} which ?", answer, text))
    return made


def shuffled(given, share, seed):
    """The rows with so many of their answers exchanged among each other."""
    chance = random.Random(seed)
    places = chance.sample(range(len(given)), int(share * len(given)))
    answers = [given[place].output for place in places]
    made = list(given)
    for place, answer in zip(places, answers[1:] + answers[:1], strict=True):
        row = given[place]
        made[place] = Row(row.generation_id, row.task_type, row.input, answer, row.passage)
    return made


def judged(given, words=None):
    words = words or Words()
    return report(compare(given, words, words, 200, lambda line: None))


# The comparison


def test_an_answer_that_belongs_beats_every_stranger():
    scores = np.full((BLOCK, BLOCK), -9.0) + 4 * np.eye(BLOCK)
    assert won(scores) == BLOCK * (BLOCK - 1)
    assert won(scores - 8 * np.eye(BLOCK)) == 0


@given(st.integers(0, 10**6))
def test_answers_that_are_likely_everywhere_and_inputs_that_make_all_likely_change_nothing(seed):
    random = np.random.default_rng(seed)
    scores = random.integers(-20, 0, (BLOCK, BLOCK)).astype(float)
    likely = random.integers(-50, 50, BLOCK).astype(float)
    assert won(scores) == won(scores + likely) == won(scores + likely[:, None])


def test_answers_that_belong_nowhere_win_half():
    random = np.random.default_rng(0)
    wins = [won(random.normal(size=(BLOCK, BLOCK))) for _ in range(2000)]
    assert np.mean(wins) / (BLOCK * (BLOCK - 1)) == pytest.approx(0.5, abs=0.01)


def test_a_draw_is_half_a_win():
    assert won(np.zeros((BLOCK, BLOCK))) == BLOCK * (BLOCK - 1) / 2


# The blocks


@given(st.lists(st.tuples(st.sampled_from("xy"), TEXT, TEXT), max_size=40))
def test_a_block_has_one_task_type_and_no_passage_or_answer_twice(drawn):
    given_rows = [
        Row(str(number), kind, "?", answer, passage)
        for number, (kind, answer, passage) in enumerate(drawn)
    ]
    made = blocks(given_rows)
    for block in made:
        assert len(block) == BLOCK
        assert len({row.task_type for row in block}) == 1
        assert len({row.passage for row in block}) == BLOCK
        assert len({row.output.strip().lower() for row in block}) == BLOCK
    ids = [row.generation_id for block in made for row in block]
    assert len(ids) == len(set(ids))


def test_every_row_finds_company_among_rows_that_all_differ():
    assert sum(len(block) for block in blocks(rows(40))) == 40


@given(st.text("ab c", max_size=60), st.integers(1, 8), st.integers(0, 12))
def test_a_stretch_stands_in_its_passage_and_is_as_long_as_the_answer(passage, length, usual):
    row = Row("g", "exqa", "?", "word " * length, " ".join(passage.split()))
    found = stretch(row, usual)
    words = len(row.passage.split())
    assert found in row.passage
    assert len(found.split()) == min(max(length, usual), max(1, words // 2), words)
    assert found == stretch(row, usual)


# The verdict


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("guessing", [0.0, 0.2])
def test_a_clean_release_passes_and_one_with_three_tenths_shuffled_is_refused(seed, guessing):
    clean = rows(200, "exqa", seed) + rows(100, "qa", seed)
    found = judged(clean, Words(guessing))
    assert verdict(found)[0]
    assert abs(found["share"]) < TOLERATED
    found = judged(shuffled(clean, 0.3, seed), Words(guessing))
    passed, sentence = verdict(found)
    assert not passed
    assert found["share"] == pytest.approx(0.3, abs=0.1)
    assert "no better than a stranger's" in sentence


def test_more_rows_show_smaller_shares():
    few, many = judged(rows(60)), judged(rows(300))
    assert TOLERATED <= many["detectable"] <= few["detectable"]


def test_task_types_are_told_apart():
    found = judged(rows(100, "exqa") + shuffled(rows(100, "qa"), 1.0, 3))
    own = {kind: part["own"] for kind, part in found["per_task_type"].items()}
    assert own["exqa"] > 0.9
    assert own["qa"] < 0.6


def test_a_model_that_only_guesses_refuses_nothing_and_says_so():
    passed, sentence = verdict(judged(shuffled(rows(200), 0.3, 0), Words(guessing=1.0)))
    assert passed
    assert "cannot be told: the base model" in sentence


@pytest.mark.parametrize("count", [0, 3, 36])
def test_too_few_rows_refuse_nothing_and_say_so(count):
    passed, sentence = verdict(judged(shuffled(rows(count), 1.0, 0)))
    assert passed
    assert f"only {count // BLOCK * BLOCK} rows can be compared" in sentence


def test_the_verdict_goes_by_the_whole_interval():
    def of(own):
        parts = [Compared(own + chance, 12, 12) for chance in itertools.repeat(0, 40)]
        return verdict(report({"exqa": parts}))[0]

    assert of(12)
    assert of(11.5)
    assert not of(11)


def test_rows_too_long_for_the_budget_lose_the_end_of_their_passage_or_are_left_out():
    long = [
        Row(row.generation_id, row.task_type, f"{row.passage} {'which ' * 300}", "w1", row.passage)
        for row in rows(8)
    ]
    found = compare([*rows(40), *long], Words(), Words(), 200, lambda line: None)
    assert len(found["exqa"]) == 10
    assert len(compare(rows(40), Words(), Words(), 40, lambda line: None)["exqa"]) == 10


# The sample


def corpus(**more):
    return Corpus(
        name="meadows", folder="/", source=Source(files="x"), task_types=["exqa", "nli"], **more
    )


def test_answers_of_labels_are_not_looked_at():
    own = {
        "risk": CustomTaskType(instruction="risk class", labels=["low", "high"]),
        "parties": CustomTaskType(instruction="names of parties", answer="span"),
        "pick": CustomTaskType(instruction="pick an option", answer="choice"),
    }
    asked = Corpus(
        name="c",
        folder="/",
        source=Source(files="x"),
        custom_task_types=own,
        task_types=["exqa", "nli", "ynqa", "summarization", "risk", "parties", "pick"],
    )
    assert open_types(asked) == ["exqa", "summarization", "parties"]


def test_the_sample_is_drawn_by_id_from_both_splits_with_the_passages(tmp_path):
    store = Store(root=str(tmp_path))
    count = MOST_ROWS + 80
    chunks = [
        {
            "corpus": "meadows",
            "chunk_id": f"c{n}",
            "doc_id": "d",
            "position": n,
            "start_char": 0,
            "end_char": 9,
            "text": f"passage {n}",
            "units": ["paragraph"],
        }
        for n in range(count)
    ]
    store.write("chunks", "meadows", tables.build("chunks", chunks))
    release = [
        {
            "generation_id": f"g{n}",
            "task_type": "nli" if n < 40 else "exqa",
            "input": f"input {n}",
            "output": f"output {n}",
            "chunk_id": f"c{n}",
        }
        for n in range(count)
    ]

    def write(name, order):
        folder = tmp_path / name
        folder.mkdir()
        pq.write_table(pa.Table.from_pylist(order[:50]), folder / "validation.parquet")
        pq.write_table(pa.Table.from_pylist(order[50:]), folder / "train.parquet")
        return sample(store, corpus(), str(folder / "*.parquet"))

    drawn = write("one", release)
    assert len(drawn) == MOST_ROWS
    assert {row.task_type for row in drawn} == {"exqa"}
    assert all(row.passage == f"passage {row.generation_id[1:]}" for row in drawn)
    # Whatever the order of the files: a release that gains rows keeps most of its sample.
    assert write("two", release[::-1]) == drawn
