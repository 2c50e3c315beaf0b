"""Books count what passes: rows, verdicts, doubled ids, a few accepted rows."""

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from bonito_assets.books import Books
from bonito_assets.checks import books_balance

VERDICTS = st.sampled_from([None, "empty", "too_long"])


def table(rows):
    ids = pa.array([f"{number:032x}"[::-1] for number, _ in rows], pa.string())
    verdicts = pa.array([verdict for _, verdict in rows], pa.string())
    return pa.table({"id": ids, "rejected_because": verdicts})


@given(st.lists(st.tuples(st.integers(0, 30), VERDICTS), max_size=60), st.integers(1, 20))
def test_books_agree_with_counting(rows, size):
    data = table(rows)
    books = Books(data.schema, "id")
    passed = list(books.passing(data.to_batches(max_chunksize=size)))
    assert sum(batch.num_rows for batch in passed) == len(rows) == books.rows
    assert books.accepted == sum(verdict is None for _, verdict in rows)
    assert sum(books.verdicts.values()) == len(rows)
    assert books.doubled == len(rows) - len({number for number, _ in rows})
    accepted = [pair for pair in rows if pair[1] is None]
    assert books.sample["id"].to_pylist() == table(accepted[:5])["id"].to_pylist()


def test_a_lost_or_doubled_row_fails_the_check():
    good = Books.of(table([(1, None), (2, "empty")]), "id")
    assert books_balance(2, good).passed
    assert not books_balance(3, good).passed
    doubled = books_balance(2, Books.of(table([(1, None), (1, "empty")]), "id"))
    assert not doubled.passed
    assert "1 ids stand twice" in doubled.description
