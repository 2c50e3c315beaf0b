"""From a finished plan to the rows of `generations`."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

import pyarrow as pa

from bonito_assets import tables
from bonito_assets.generation.generate import Generated
from bonito_assets.identity import digest
from resources.store import BATCH_ROWS

_FROM_CACHE = (
    "output",
    "finish_reason",
    "prompt_tokens",
    "output_tokens",
    "mean_logprob",
    "run_id",
    "created_at",
)


def generations(generated: Generated) -> Iterator[pa.RecordBatch]:
    """Gives one row of `generations` per entry of the plan, in batches of 2,048 rows.

    Raises ``ValueError`` when an entry has neither output nor reason: then a row would be lost.
    """
    plan, found = generated.plan, generated.found
    entries = iter(plan)
    start = 0
    while block := list(islice(entries, BATCH_ROWS)):
        stop = start + len(block)
        cached, keys = found.rows(start, stop), found.keys(start, stop)
        start = stop
        verdicts = [
            _verdict(generated, key, has_output, cached_verdict)
            for key, has_output, cached_verdict in zip(
                keys,
                cached["output"].is_valid().to_pylist(),
                cached["rejected_because"].to_pylist(),
                strict=True,
            )
        ]
        columns = {
            "corpus": [plan.corpus.name] * len(block),
            "generation_id": [
                digest(entry.chunk_id, key) for entry, key in zip(block, keys, strict=True)
            ],
            "request_key": keys,
            "chunk_id": [entry.chunk_id for entry in block],
            "task_type": [entry.task_type for entry in block],
            "sample": [entry.sample for entry in block],
            **{name: cached[name] for name in _FROM_CACHE},
            "model": [plan.model.label] * len(block),
            "model_fingerprint": [plan.model.fingerprint] * len(block),
            "sampling": [plan.sampling[entry.task_type] for entry in block],
            "task_name": [plan.corpus.full_name(entry.task_type) for entry in block],
            "rejected_because": pa.array(verdicts, pa.string()),
        }
        checked = tables.check("generations", pa.table(columns))
        yield from checked.combine_chunks().to_batches()


def _verdict(
    generated: Generated, key: str, has_output: bool, cached_verdict: str | None
) -> str | None:
    if has_output:
        return None
    verdict = cached_verdict or generated.refusals.get(key)
    if verdict is None and generated.stopped_by is not None:
        return "over_budget"
    if verdict is None:
        raise ValueError(f"request {key} came back with neither output nor reason")
    return verdict
