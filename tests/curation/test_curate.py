"""Curation judges rows as a set and keeps every one of them."""

import duckdb
import hypothesis.strategies as st
import pytest
from hypothesis import given

from bonito_assets import tables
from bonito_assets.curation.curate import curate


def run(rows):
    """Curates rows of (input, output, verdict, finish reason, mean log-probability)."""
    made, generations = [], []
    for i, (question, answer, verdict, finish, logprob) in enumerate(rows):
        made.append(
            {"corpus": "c", "generation_id": f"g{i}", "chunk_id": "k", "doc_id": "d",
             "task_type": "nli", "input": question, "output": answer, "rejected_because": verdict}
        )  # fmt: skip
        generations.append(
            {"corpus": "c", "generation_id": f"g{i}", "request_key": "r", "chunk_id": "k",
             "task_type": "nli", "sample": 0, "finish_reason": finish, "mean_logprob": logprob}
        )  # fmt: skip
    with duckdb.connect() as connection:
        return curate(
            connection, tables.build("tasks", made), tables.build("generations", generations)
        ).to_pylist()


def verdicts(rows):
    return [row["rejected_because"] for row in run(rows)]


@pytest.mark.parametrize(
    ("row", "verdict"),
    [
        (("Q", "A", None, "stop", -1.0), None),
        (("Q", "A", "truncated", "length", -1.0), "truncated"),
        (("Q", "A", "label_unknown", "stop", -1.0), "label_unknown"),
        ((None, None, "no_pipe", "stop", -1.0), "no_pipe"),
        ((None, None, "too_long", None, None), "too_long"),
    ],
)
def test_a_verdict_of_an_earlier_stage_stands(row, verdict):
    assert verdicts([row]) == [verdict]


def test_of_equal_rows_the_surest_is_kept_and_named_by_the_others():
    rows = [
        ("Q x", "A", None, "stop", -2.0),
        ("q\n x", "a", None, "stop", -1.0),
        ("Q x", "A", None, "stop", -3.0),
    ]
    found = run(rows)
    assert [r["rejected_because"] for r in found] == ["exact_duplicate", None, "exact_duplicate"]
    assert [r["duplicate_of"] for r in found] == ["g1", None, "g1"]


def test_among_equally_sure_rows_the_first_is_kept():
    assert verdicts([("Q", "A", None, "stop", None)] * 3) == [None] + ["exact_duplicate"] * 2


def test_one_question_with_two_answers_is_two_rows():
    assert verdicts([("Q", "A", None, "stop", -1.0), ("Q", "B", None, "stop", -1.0)]) == [
        None,
        None,
    ]


def test_a_refused_row_is_no_reason_to_refuse_another():
    rows = [("Q", "A", "truncated", "length", -0.1), ("Q", "A", None, "stop", -1.0)]
    assert verdicts(rows) == ["truncated", None]


ROWS = st.lists(
    st.tuples(
        st.sampled_from(["Q", "q", "R ", ""]),
        st.sampled_from(["A", "b", ""]),
        st.sampled_from([None, None, "no_pipe"]),
        st.sampled_from(["stop", "stop", "length", None]),
        st.one_of(st.none(), st.sampled_from([-1.0, -2.0])),
    ).map(lambda row: (None, None, *row[2:]) if row[2] else row),
    min_size=1,
    max_size=20,
)


@given(ROWS)
def test_no_row_is_lost_or_doubled_and_no_two_accepted_rows_are_equal(rows):
    found = run(rows)
    assert [r["generation_id"] for r in found] == [f"g{i}" for i in range(len(rows))]
    accepted = [
        (r["input"].lower().split(), r["output"].lower().split())
        for r in found
        if r["rejected_because"] is None
    ]
    assert len(accepted) == len({str(pair) for pair in accepted})
    kept = {r["generation_id"] for r in found if r["rejected_because"] is None}
    assert {r["duplicate_of"] for r in found if r["duplicate_of"]} <= kept
