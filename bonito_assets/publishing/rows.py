"""The rows of the published dataset, batch after batch, in the order of `curated_tasks`."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from resources.store import Store

_MESSAGE = pa.struct([("role", pa.string()), ("content", pa.string())])
SCHEMA = pa.schema(
    [
        ("input", pa.string()),
        ("output", pa.string()),
        ("task_type", pa.string()),
        ("messages", pa.list_(_MESSAGE)),
        ("corpus", pa.string()),
        ("doc_id", pa.string()),
        ("chunk_id", pa.string()),
        ("generation_id", pa.string()),
        ("start_char", pa.int64()),
        ("end_char", pa.int64()),
    ]
)
MEANINGS = {
    "input": "the instruction with its passage",
    "output": "the answer",
    "task_type": "short name of the task type",
    "messages": "instruction and answer as a chat",
    "corpus": "the corpus that the row comes from",
    "doc_id": "the document",
    "chunk_id": "the passage",
    "generation_id": "the output of the model that the row was read from",
    "start_char": "offset of the passage's first code point in its document",
    "end_char": "offset after the passage's last code point in its document",
}
# Each row joined to its passage by number, because a join alone keeps no order.
_OFFSETS = """
    select k.start_char, k.end_char
    from accepted a join chunks k using (chunk_id)
    where k.corpus = $corpus
    order by a.number
"""
_TASK_COLUMNS = ["input", "output", "task_type", "corpus", "doc_id", "chunk_id", "generation_id"]


def published(store: Store, corpus: str) -> Iterator[pa.RecordBatch]:
    """Gives the accepted rows of `curated_tasks` in the form in which they are published.

    Of the whole table only ids and offsets are held, in DuckDB and within its memory limit.
    Raises ``ValueError`` for a row whose passage is not in `chunks`.
    """
    with store.reader() as connection:
        passages = pa.Table.from_batches(
            accepted(store, corpus, ["chunk_id"]), pa.schema([SCHEMA.field("chunk_id")])
        )
        numbers = pa.array(np.arange(passages.num_rows))
        connection.register("accepted", passages.append_column("number", numbers))
        offsets = connection.execute(_OFFSETS, {"corpus": corpus}).fetchnumpy()
    if len(offsets["start_char"]) != passages.num_rows:
        raise ValueError(
            f"corpus '{corpus}': rows of curated_tasks name passages that are not in chunks; "
            "materialize 'chunks' and what comes after it again"
        )
    done = 0
    for batch in accepted(store, corpus, _TASK_COLUMNS):
        here = slice(done, done + batch.num_rows)
        done += batch.num_rows
        yield with_messages(batch, offsets["start_char"][here], offsets["end_char"][here])


def with_messages(batch: pa.RecordBatch, start: np.ndarray, end: np.ndarray) -> pa.RecordBatch:
    """Gives rows of tasks with their chat form and the offsets of their passage."""
    columns = {name: batch[name] for name in _TASK_COLUMNS}
    columns["messages"] = _messages(batch["input"], batch["output"])
    columns["start_char"], columns["end_char"] = pa.array(start), pa.array(end)
    return pa.RecordBatch.from_arrays([columns[name] for name in SCHEMA.names], schema=SCHEMA)


def _messages(inputs: pa.Array, outputs: pa.Array) -> pa.Array:
    """Gives per row what the user says and what the assistant answers."""
    rows = len(inputs)
    order = np.arange(2 * rows).reshape(2, rows).T.ravel()
    content = pa.concat_arrays([inputs, outputs]).take(pa.array(order))
    role = pa.array(["user", "assistant"]).take(pa.array(np.tile([0, 1], rows)))
    said = pa.StructArray.from_arrays([role, content], fields=list(_MESSAGE))
    return pa.ListArray.from_arrays(pa.array(np.arange(rows + 1, dtype=np.int32) * 2), said)


def accepted(store: Store, corpus: str, columns: list[str]) -> Iterator[pa.RecordBatch]:
    """Gives some columns of the accepted rows of `curated_tasks`, in their order."""
    schema = pa.schema([SCHEMA.field(name) for name in columns])
    for batch in store.batches("curated_tasks", corpus, [*columns, "rejected_because"]):
        kept = batch.filter(pc.is_null(batch["rejected_because"]))
        yield pa.RecordBatch.from_arrays([kept[name] for name in columns], schema=schema)
