"""What the asset `generations` tells a person of rows that still wait for an output."""

import dagster as dg
import pyarrow as pa
import pytest

from bonito_assets.books import Books
from bonito_assets.generation.assets import _all_answered


def books(*verdicts):
    ids = [f"{number:032x}" for number in range(len(verdicts))]
    columns = {"id": ids, "rejected_because": pa.array(verdicts, pa.string())}
    return Books.of(pa.table(columns), "id")


@pytest.mark.parametrize(
    ("verdict", "remedy"), [("engine_error", "retry_engine_errors"), ("over_budget", "budget")]
)
def test_a_row_that_may_yet_get_an_output_is_a_warning_with_the_remedy(verdict, remedy):
    check = _all_answered(books(None, verdict, verdict))
    assert not check.passed
    assert check.severity is dg.AssetCheckSeverity.WARN
    assert f"2 rows are {verdict}" in check.description
    assert remedy in check.description
    assert check.metadata["rows failed"].value == 2


def test_a_prompt_that_cannot_be_asked_at_all_waits_for_nothing():
    assert _all_answered(books(None, "too_long", "invalid_text")).passed
