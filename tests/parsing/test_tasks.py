"""Rows of `generations` become rows of `tasks`, one for one, in batches, in any order."""

import hypothesis.strategies as st
import pyarrow as pa
import pytest
from hypothesis import given

from bonito_assets import tables
from bonito_assets.catalogue import Corpus
from bonito_assets.parsing.judge import judge_of
from bonito_assets.parsing.tasks import CHUNK_COLUMNS, GENERATION_COLUMNS, Passages, read, tasks

GOOD = "{{context}}\nIs it wide? Yes or No?\n<|pipe|>\nYes"
STRICT = judge_of(Corpus(name="c", folder="/", source={"files": "x"}, task_types=["ynqa"]))


def chunks(count):
    return tables.build("chunks", [
        {"corpus": "c", "chunk_id": f"k{i}", "doc_id": f"d{i}", "position": 0, "start_char": 0,
         "end_char": 1, "text": f"River {i} is wide.", "n_tokens": 1, "units": ["paragraph"]}
        for i in range(count)
    ])  # fmt: skip


def generations(rows):
    """Gives generations of (passage number, output, finish reason, verdict)."""
    return tables.build("generations", [
        {"corpus": "c", "generation_id": f"g{i}", "request_key": "r", "chunk_id": f"k{chunk}",
         "task_type": "ynqa", "sample": 0, "output": output, "finish_reason": finish,
         "rejected_because": verdict}
        for i, (chunk, output, finish, verdict) in enumerate(rows)
    ])  # fmt: skip


ROWS = st.lists(
    st.tuples(
        st.integers(0, 6),
        st.sampled_from([GOOD, "nothing", "", "a<|pipe|>b", "<|pipe|><|pipe|>"]),
        st.sampled_from(["stop", "length", None]),
        st.just(None),
    )
    | st.tuples(
        st.integers(0, 6), st.none(), st.none(), st.sampled_from(["too_long", "over_budget"])
    ),
    max_size=30,
)


@given(ROWS)
def test_there_is_one_row_per_generation_with_one_reason_or_none(rows):
    made = generations(rows)
    table = tasks(made, chunks(7), STRICT)
    assert table["generation_id"].to_pylist() == made["generation_id"].to_pylist()
    assert table["doc_id"].to_pylist() == [f"d{chunk}" for chunk, *_ in rows]
    assert sum(tables.verdicts(table).values()) == len(rows)
    for row, (chunk, output, finish, verdict) in zip(table.to_pylist(), rows, strict=True):
        if verdict is not None:
            assert row["rejected_because"] == verdict
        elif output == GOOD and finish == "stop":
            assert row["rejected_because"] is None
            assert row["input"] == f"River {chunk} is wide.\nIs it wide? Yes or No?"
        else:
            assert row["rejected_because"] is not None


@given(ROWS, st.integers(1, 4), st.integers(1, 9))
def test_the_rows_are_the_same_however_the_tables_are_cut(rows, chunk_rows, made_rows):
    made, passages = generations(rows), chunks(7).select(list(CHUNK_COLUMNS))
    found = Passages(lambda: passages.to_batches(chunk_rows))
    batches = list(read(made.select(list(GENERATION_COLUMNS)).to_batches(made_rows), found, STRICT))
    assert pa.Table.from_batches(batches, tables.TASKS).equals(tasks(made, chunks(7), STRICT))


def test_passages_in_order_are_held_two_stretches_at_a_time():
    opened = []

    def batches():
        opened.append(1)
        return iter(chunks(9).select(list(CHUNK_COLUMNS)).to_batches(2))

    found = Passages(batches)
    assert [found.find(f"k{i}")[0] for i in (0, 0, 3, 2, 5, 8)] == [
        "d0",
        "d0",
        "d3",
        "d2",
        "d5",
        "d8",
    ]
    assert len(opened) == 1
    assert found.find("k0")[0] == "d0"
    assert len(opened) == 2


def test_a_generation_without_its_passage_is_an_error():
    with pytest.raises(KeyError, match="k9"):
        tasks(generations([(9, GOOD, "stop", None)]), chunks(2), STRICT)


def test_the_upstream_mode_keeps_cut_and_empty_rows_as_upstream_does():
    corpus = Corpus(
        name="c", folder="/", source={"files": "x"}, task_types=["ynqa"],
        parsing={"mode": "upstream"},
    )  # fmt: skip
    rows = [(0, "a<|pipe|>", "length", None), (0, "a", "stop", None)]
    table = tasks(generations(rows), chunks(1), judge_of(corpus))
    assert table["rejected_because"].to_pylist() == [None, "no_pipe"]
    assert table["output"].to_pylist() == ["", None]
