"""Turns rows of `generations` into rows of `tasks`, one for one."""

from __future__ import annotations

import pyarrow as pa

from bonito_assets import tables
from bonito_assets.parsing.bonito_output import Parsed, parse


def tasks(generations: pa.Table, chunks: pa.Table) -> pa.Table:
    """Gives one row of `tasks` per generation, in the same order.

    A verdict that a generation already has is handed on; raises ``KeyError`` for a generation
    whose passage is not in `chunks`.
    """
    passages = {
        row["chunk_id"]: row for row in chunks.select(["chunk_id", "doc_id", "text"]).to_pylist()
    }
    rows = []
    for generation in generations.to_pylist():
        passage = passages[generation["chunk_id"]]
        parsed = (
            parse(generation["output"], passage["text"])
            if generation["rejected_because"] is None
            else Parsed(None, None, generation["rejected_because"])
        )
        rows.append(
            {
                "corpus": generation["corpus"],
                "generation_id": generation["generation_id"],
                "chunk_id": generation["chunk_id"],
                "doc_id": passage["doc_id"],
                "task_type": generation["task_type"],
                **parsed._asdict(),
            }
        )
    return tables.build("tasks", rows)
