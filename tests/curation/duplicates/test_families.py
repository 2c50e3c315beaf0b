"""Families are what exact similarity of all pairs gives, at a cost that grows with the rows."""

import random
from pathlib import Path

import duckdb
import hypothesis.strategies as st
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings

from bonito_assets.curation.duplicates.candidates import PAIRS_AT_ONCE, candidates
from bonito_assets.curation.duplicates.components import Components
from bonito_assets.curation.duplicates.signatures import signatures
from bonito_assets.curation.duplicates.similarity import families, similarities, verified
from bonito_assets.curation.duplicates.streaming import streamed_families
from bonito_assets.curation.duplicates.words import text_keys, word_hashes

SQL = Path(__file__).with_name("near_duplicates.sql").read_text(encoding="utf-8")
# At this similarity the bands miss a pair in 4 billion; at 0.8 it is one in 20,000.
THRESHOLD = 0.9


def taking(texts):
    return lambda rows: texts.take(pa.array(rows))


def of(texts, threshold=THRESHOLD, **options):
    stored = pa.array(texts, pa.string())
    return families(signatures(stored), taking(stored), threshold, **options).tolist()


def by_sql(texts, threshold=THRESHOLD):
    """Gives pairs with their similarity, by the plain SQL form."""
    stored = pa.table({"row": pa.array(range(len(texts)), pa.int64()), "text": texts})
    with duckdb.connect(config={"threads": 1}) as connection:
        connection.register("texts", stored)
        return connection.execute(SQL, {"threshold": threshold}).fetchall()


def joined(pairs, rows):
    components = Components(rows)
    components.join(np.array([a for a, *_ in pairs], int), np.array([b for _, b, *_ in pairs], int))
    return components.labels().tolist()


def edited(text, rng, edits):
    words = text.split() or ["x"]
    for _ in range(edits):
        words[rng.randrange(len(words))] = rng.choice(WORDS)
    return " ".join(words)


WORDS = [f"w{number}" for number in range(60)] + ["é", "straße", "日", "Ω"]


@st.composite
def corpora(draw):
    rng = random.Random(draw(st.integers(0, 10**6)))
    texts = [""]
    for _ in range(draw(st.integers(0, 24))):
        if rng.random() < 0.4:
            texts.append(" ".join(rng.choices(WORDS, k=rng.choice([0, 1, 3, 5, 9, 40, 90]))))
        else:
            texts.append(edited(rng.choice(texts), rng, rng.choice([0, 1, 1, 2, 5])))
    return texts


@given(corpora())
@settings(max_examples=15, deadline=None)
def test_families_are_those_of_exact_similarity_of_all_pairs(texts):
    assert of(texts) == joined(by_sql(texts), len(texts))


@given(corpora())
@settings(max_examples=6, deadline=None)
def test_the_similarity_of_a_pair_is_exact(texts):
    expected = {(a, b): like for a, b, like in by_sql(texts, 0.0)}
    left, right = (np.array(side) for side in np.triu_indices(len(texts), 1))
    found = similarities(left, right, taking(pa.array(texts, pa.string())))
    pairs = zip(left.tolist(), right.tolist(), strict=True)
    assert [expected.get(pair, 0) for pair in pairs] == pytest.approx(found.tolist())


def test_what_is_similar_enough_is_verified_and_what_is_not_is_not():
    rng = random.Random(1)
    first = " ".join(str(rng.random()) for _ in range(104))
    texts = pa.array([first, edited(first, rng, 1), "other words than these"])
    rows = np.array([0, 0])
    assert verified(rows, np.array([1, 2]), taking(texts), 0.8).tolist() == [True, False]


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        ([], []),
        (["", None, "?!"], [0, 1, 2]),
        (["one", "ONE.", "two"], [0, 0, 2]),
        (["a b c"] * 5, [0] * 5),
        (["日本語の文章です", "日本語の文章です。", "別の文"], [0, 0, 2]),
    ],
    ids=["no texts", "no words", "one word", "all the same", "no blanks"],
)
def test_texts_at_the_edge(texts, expected):
    assert of(texts) == expected


def test_a_chain_is_one_family():
    """Each is like the next one; the ends are not like each other."""
    words = [f"w{number}" for number in range(300)]
    texts = []
    for number in range(8):
        words[number * 35] = f"new{number}"
        texts.append(" ".join(words))
    assert of(texts, 0.95) == [0] * 8
    ends = similarities(np.array([0]), np.array([7]), taking(pa.array(texts)))
    assert ends[0] < 0.95


def test_rows_of_different_salt_are_strangers():
    salt = np.array([1, 2, 1, 2, 3])
    assert of(["same words here"] * 5, salt=salt) == [0, 1, 0, 1, 4]
    keys = text_keys(word_hashes(pa.array(["same words here"] * 5)))
    assert of(["same words here"] * 5, salt=salt, keys=keys) == [0, 1, 0, 1, 4]


def test_rows_of_the_same_key_are_joined_unread():
    texts = pa.array(["same words here", "another text", "same words here"])

    def unread(rows):
        raise AssertionError(f"{rows} were asked for")

    keys = text_keys(word_hashes(texts))
    assert families(signatures(texts), unread, 0.8, keys=keys).tolist() == [0, 1, 0]


@given(corpora())
@settings(max_examples=6, deadline=None)
def test_keys_change_nothing_but_the_cost(texts):
    keys = text_keys(word_hashes(pa.array(texts, pa.string())))
    assert of(texts, keys=keys) == of(texts)


def framed(rows, rng):
    """Gives texts that share two thirds of their words, and pairs that were planted in them."""
    frame = " ".join(f"frame{number}" for number in range(100))
    texts, pairs = [], []
    for row in range(rows):
        if row % 20 == 19:
            source = rng.randrange(row)
            words = texts[source].split()
            words[rng.randrange(100, len(words))] = f"edit{row}"
            texts.append(" ".join(words))
            pairs.append((source, row))
        else:
            own = " ".join(str(rng.randrange(10**6)) for _ in range(30))
            texts.append(f"{frame} {own}")
    return texts, pairs


def test_in_a_bucket_of_many_strangers_the_few_that_are_alike_are_found():
    texts, pairs = framed(800, random.Random(2))
    assert of(texts, 0.85) == joined(pairs, len(texts))


def test_pairs_grow_with_the_rows_and_not_with_their_square():
    def pairs(rows):
        bands = signatures(pa.array([f"{'same ' * 50}"] * rows))
        components, count = Components(rows), 0
        for left, right in candidates(bands, components=components):
            assert len(left) <= PAIRS_AT_ONCE
            assert (left < right).all()
            components.join(left, right)
            count += len(left)
        assert not components.labels().any()
        return count

    assert [pairs(rows) for rows in (100, 1000, 20_000)] == [99, 999, 19_999]


def test_a_bucket_of_many_strangers_gives_each_a_bounded_number_of_pairs():
    texts, _ = framed(2000, random.Random(3))
    bands = signatures(pa.array(texts))
    counts = [
        sum(len(left) for left, _ in candidates(bands[:rows], components=Components(rows))) / rows
        for rows in (1000, 2000)
    ]
    # All pairs would be 500 and 1000 of each row.
    assert counts[1] < 1.5 * counts[0]


def test_only_the_rows_that_are_asked_for_are_paired():
    bands = signatures(pa.array(["same words here"] * 6))
    found = [pair for batch in candidates(bands, rows=np.array([1, 4, 5])) for pair in batch]
    assert set(np.concatenate(found).tolist()) == {1, 4, 5}


@given(corpora(), st.integers(0, 25))
@settings(max_examples=8, deadline=None)
def test_read_in_batches_from_elsewhere_the_families_are_the_same(tmp_path_factory, texts, cut):
    folder = tmp_path_factory.mktemp("streamed")
    batches = [pa.array(texts[:cut], pa.string()), pa.array(texts[cut:], pa.string())]
    found = streamed_families(lambda: iter(batches), len(texts), THRESHOLD, folder)
    assert found.tolist() == of(texts)
    assert list(folder.iterdir()) == []


def test_planted_copies_at_the_usual_threshold_are_found():
    rng = random.Random(4)
    texts = [" ".join(rng.choices(WORDS, k=100)) for _ in range(300)]
    texts += [edited(text, rng, 1 + number % 3) for number, text in enumerate(texts)]
    assert of(texts, 0.8) == joined(by_sql(texts, 0.8), len(texts))
