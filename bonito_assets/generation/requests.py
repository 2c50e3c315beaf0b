"""What is asked of the model for each passage, and how the answers become rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from bonito_assets import tables
from bonito_assets.catalogue import Corpus
from bonito_assets.generation.prompts import prompt
from bonito_assets.identity import digest
from resources.model import Model


@dataclass(frozen=True)
class Planned:
    """One output that the corpus calls for."""

    chunk_id: str
    task_type: str
    sample: int
    request_key: str
    prompt: str


def plan(chunks: pa.Table, corpus: Corpus, model: Model) -> list[Planned]:
    """Gives one entry per accepted passage, task type and sample, in that order.

    The ``request_key`` is the digest of prompt, model fingerprint, sampling parameters and sample
    number. It does not hold the passage's place, so a passage that moved costs nothing.
    """
    sampling = corpus.sampling.model_dump()
    planned = []
    for chunk in chunks.select(["chunk_id", "text", "rejected_because"]).to_pylist():
        if chunk["rejected_because"] is not None:
            continue
        for task_type in corpus.task_types:
            text = prompt(chunk["text"], task_type)
            for sample in range(corpus.samples_per_chunk):
                key = digest(text, model.fingerprint, sampling, sample)
                planned.append(Planned(chunk["chunk_id"], task_type, sample, key, text))
    return planned


def generations(
    corpus: str,
    planned: list[Planned],
    outputs: Mapping[str, Mapping[str, Any]],
    refusals: Mapping[str, str],
    model: Model,
) -> pa.Table:
    """Gives one row of `generations` per planned entry.

    `outputs` are cached rows and `refusals` verdicts, both by request key.
    Raises ``ValueError`` when an entry has neither: then a row would be lost.
    """
    rows = []
    for entry in planned:
        output = outputs.get(entry.request_key, {})
        refusal = refusals.get(entry.request_key)
        if not output and refusal is None:
            raise ValueError(
                f"request {entry.request_key} came back with neither output nor reason"
            )
        rows.append(
            {
                "corpus": corpus,
                "generation_id": digest(entry.chunk_id, entry.request_key),
                "request_key": entry.request_key,
                "chunk_id": entry.chunk_id,
                "task_type": entry.task_type,
                "sample": entry.sample,
                "output": output.get("output"),
                "finish_reason": output.get("finish_reason"),
                "prompt_tokens": output.get("prompt_tokens"),
                "output_tokens": output.get("output_tokens"),
                "mean_logprob": output.get("mean_logprob"),
                "model": model.label,
                "created_at": output.get("created_at"),
                "rejected_because": None if output else refusal,
            }
        )
    return tables.build("generations", rows)
