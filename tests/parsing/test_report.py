"""The verdict report counts every output that was read, by task type and reason."""

import io

import pyarrow as pa
from PIL import Image

from bonito_assets import tables
from bonito_assets.catalogue import TASK_TYPES
from bonito_assets.parsing.report import Verdicts


def entered(*batches):
    """Gives the report on batches of (task type, output, verdict, label)."""
    verdicts = Verdicts()
    for rows in batches:
        made = tables.build("generations", [
            {"corpus": "c", "generation_id": "g", "request_key": "r", "chunk_id": "k",
             "task_type": kind, "sample": 0, "output": output,
             "rejected_because": None if output else verdict}
            for kind, output, verdict, _ in rows
        ])  # fmt: skip
        read = tables.build("tasks", [
            {"corpus": "c", "generation_id": "g", "chunk_id": "k", "doc_id": "d",
             "task_type": kind, "rejected_because": verdict, "label": label}
            for kind, _, verdict, label in rows
        ])  # fmt: skip
        verdicts.enter(batch(made), batch(read))
    return verdicts


def batch(table):
    return table.combine_chunks().to_batches()[0]


TWO = (
    [("nli", "a", None, "neutral"), ("nli", "b", "no_pipe", None), ("te", None, "too_long", None)],
    [("nli", "c", "no_pipe", None), ("te", "d", None, "entailment"), ("nli", "e", None, "neutral")],
)


def test_batches_add_up_and_the_first_example_stays():
    report = entered(*TWO)
    assert report.counts == {("nli", None): 2, ("nli", "no_pipe"): 2, ("te", None): 1}
    assert report.examples["nli", "no_pipe"] == "b"
    assert report.kept_rate("nli") == 0.5
    assert report.under_half() == {}
    assert entered(*TWO, [("nli", "f", "two_pipes", None)]).under_half() == {"nli": 0.4}


def test_the_table_has_a_line_per_task_type_and_verdict_with_the_kept_rows_first():
    lines = entered(*TWO).markdown().splitlines()[2:]
    assert [line.split(" | ")[:4] for line in lines] == [
        ["| nli", "accepted", "2", "50.0%"],
        ["| nli", "no\\_pipe", "2", "50.0%"],
        ["| te", "accepted", "1", "100.0%"],
    ]


def test_labels_are_counted_over_kept_rows():
    report = entered(*TWO)
    assert report.labels == {("nli", "neutral"): 2, ("te", "entailment"): 1}


def test_the_plot_is_a_small_picture_however_many_reasons_there_are():
    codes = [None, *tables.REJECTIONS]
    rows = [
        (kind, "x", codes[(3 * i + j) % len(codes)], None)
        for i, kind in enumerate(TASK_TYPES)
        for j in range(5)
    ]
    png = entered(rows).plot()
    assert Image.open(io.BytesIO(png)).format == "PNG"
    assert len(png) < 30_000


def test_nothing_read_is_an_empty_report():
    empty = Verdicts()
    empty.enter(
        *(pa.RecordBatch.from_pylist([], schema=s) for s in (tables.GENERATIONS, tables.TASKS))
    )
    assert empty.task_types == []
    assert empty.markdown() == ""
