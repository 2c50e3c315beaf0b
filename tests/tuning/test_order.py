from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from bonito_assets.tuning.order import order

lengths = st.lists(st.integers(1, 500), min_size=1, max_size=300)


def steps(places, size):
    return [places[at : at + size] for at in range(0, len(places), size)]


@given(lengths, st.integers(1, 900), st.integers(1, 16), st.integers(0, 5))
def test_a_row_comes_again_only_when_all_others_have_come_as_often(lengths, wanted, step, seed):
    places = order(lengths, wanted, step, seed)
    assert len(places) == wanted
    times = Counter(places)
    least, most = divmod(wanted, len(lengths))
    assert {times[row] for row in range(len(lengths))} <= {least, least + (most > 0)}


@given(lengths, st.integers(1, 16))
def test_a_row_of_the_greatest_length_comes_first_unless_only_the_last_step_has_it(lengths, step):
    first = steps(order(lengths, len(lengths), step, 0), step)
    longest = max(lengths)
    holding = [n for n, rows in enumerate(first) if longest in [lengths[row] for row in rows]]
    assert holding[0] == 0 or holding == [len(first) - 1]


def test_rows_of_one_step_are_of_like_length():
    lengths = [(n * 7919) % 1000 for n in range(4000)]

    def padding(places):
        return sum(
            max(lengths[row] for row in rows) * len(rows) - sum(lengths[row] for row in rows)
            for rows in steps(places, 16)
        )

    assert padding(order(lengths, 4000, 16, 0)) < padding(range(4000)) / 20


def test_the_seed_settles_the_order():
    lengths = [n % 50 for n in range(500)]
    assert order(lengths, 500, 16, 1) == order(lengths, 500, 16, 1)
    assert order(lengths, 500, 16, 1) != order(lengths, 500, 16, 2)


def test_steps_of_short_and_of_long_rows_alternate_by_chance():
    lengths = list(range(800))
    means = [sum(rows) / len(rows) for rows in steps(order(lengths, 800, 16, 0), 16)]
    assert means != sorted(means)
    assert means != sorted(means, reverse=True)
