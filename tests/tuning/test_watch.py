import pytest
from hypothesis import given
from hypothesis import strategies as st

values = st.lists(st.floats(0.01, 20, allow_nan=False), min_size=1, max_size=200)


@pytest.fixture(scope="module")
def curve():
    from bonito_assets.tuning.watch import curve

    return curve


def test_a_falling_loss_is_a_falling_line(curve):
    assert curve([8, 7, 6, 5, 4, 3, 2, 1]) == "█▇▆▅▄▃▂▁"


def test_a_loss_that_stays_is_a_flat_line(curve):
    assert curve([2.0, 2.0, 2.0]) == "▁▁▁"


@given(values=values)
def test_a_curve_has_at_most_24_bars_and_shows_its_ends_of_the_scale(curve, values):
    line = curve(values)
    assert len(line) == min(len(values), 24)
    assert "▁" in line
    assert "█" in line or len(set(line)) == 1
