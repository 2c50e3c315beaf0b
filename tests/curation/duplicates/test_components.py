"""Rows hang together when pairs lead from one to the other."""

import hypothesis.strategies as st
import numpy as np
from hypothesis import given

from bonito_assets.curation.duplicates.components import Components

ROWS = 12
PAIRS = st.lists(st.tuples(st.integers(0, ROWS - 1), st.integers(0, ROWS - 1)), max_size=15)


def reached(row, pairs):
    found = {row}
    for _ in range(ROWS):
        found |= {b for pair in pairs for a, b in (pair, pair[::-1]) if a in found}
    return found


@given(PAIRS, st.integers(0, 15))
def test_a_component_is_named_by_its_smallest_row_whatever_the_order_of_pairs(pairs, cut):
    components = Components(ROWS)
    for part in (pairs[cut:], pairs[:cut]):
        columns = np.array(part, np.int64).reshape(-1, 2)
        components.join(columns[:, 0], columns[:, 1])
    expected = [min(reached(row, pairs)) for row in range(ROWS)]
    assert components.labels().tolist() == expected
    assert components.of(np.array([3, 0, 3])).tolist() == [expected[3], expected[0], expected[3]]


def test_no_rows_have_no_components():
    assert Components(0).labels().tolist() == []
