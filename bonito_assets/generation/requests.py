"""What is asked of the model for each passage."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from itertools import islice
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from bonito_assets.catalogue import Corpus
from bonito_assets.generation.prompts import prompt
from bonito_assets.identity import digest
from resources.generator import Request, Sampling
from resources.model import Model

CHUNK_COLUMNS = ("chunk_id", "text", "n_tokens", "rejected_because")
_KEYS_AT_ONCE = 1024


class Planned(NamedTuple):
    """One output that the corpus calls for."""

    chunk_id: str
    passage: str
    passage_tokens: int
    task_type: str
    sample: int


@dataclass(frozen=True)
class Plan:
    """Every output that a corpus calls for, in the order of its passages, task types and samples.

    It is gone through more than once and never held: ``chunks`` reads the table anew, in batches.
    ``amounts`` are the outputs per task type. Where they are no multiple of the passages, those
    first in ``ranks`` get one more; the ranks follow the passages' texts and not their places, so
    that the choice is spread over the corpus and an edit elsewhere leaves it as it is.
    """

    chunks: Callable[[], Iterable[pa.RecordBatch]]
    corpus: Corpus
    model: Model
    ranks: np.ndarray
    amounts: Mapping[str, int]

    def __len__(self) -> int:
        return sum(self.amounts.values())

    def __iter__(self) -> Iterator[Planned]:
        passages = zip(accepted(self.chunks()), self.ranks, strict=True)
        shares = {t: divmod(amount, len(self.ranks)) for t, amount in self.amounts.items()}
        for (chunk_id, text, n_tokens), rank in passages:
            for task_type, (whole_rounds, extra) in shares.items():
                for sample in range(whole_rounds + (rank < extra)):
                    yield Planned(chunk_id, text, n_tokens, task_type, sample)

    def key_batches(self) -> Iterator[list[str]]:
        """Gives the keys of all entries, a thousand at a time."""
        entries = iter(self)
        while some := list(islice(entries, _KEYS_AT_ONCE)):
            yield [self.key(entry) for entry in some]

    def key(self, entry: Planned) -> str:
        """Gives the digest of prompt, model, sampling parameters and sample number of `entry`.

        It does not hold the passage's place, so a passage that moved costs nothing.
        """
        asked = hashlib.sha256(prompt(entry.passage, entry.task_type).encode("utf-8")).hexdigest()
        return digest(asked, self._drawn[entry.task_type], entry.sample)

    def request(self, entry: Planned, key: str) -> Request:
        """Gives what a backend is asked for `entry`, whose key is `key`."""
        seed = int(key[:8], 16) if self.corpus.reproducible else None
        asked = prompt(entry.passage, entry.task_type)
        return Request(key, asked, self._sampling[entry.task_type], seed)

    @cached_property
    def _sampling(self) -> dict[str, Sampling]:
        return {t: self.corpus.sampling.of(t) for t in self.corpus.task_types}

    @cached_property
    def _drawn(self) -> dict[str, str]:
        """Gives the digest of model and sampling parameters, per task type."""
        # A seeded output is another one than that drawn freely; without seeds nothing is added.
        seeded = {"reproducible": True} if self.corpus.reproducible else {}
        return {
            task_type: digest(self.model.fingerprint, {**asdict(sampling), **seeded})
            for task_type, sampling in self._sampling.items()
        }

    def widened(self, amounts: Mapping[str, int]) -> Plan:
        """Gives the plan with other amounts; what both ask for has the same keys."""
        return replace(self, amounts=amounts)


def plan(chunks: Callable[[], Iterable[pa.RecordBatch]], corpus: Corpus, model: Model) -> Plan:
    """Gives the plan of `corpus` over the accepted passages of `chunks`.

    A corpus that asks for rows to be kept, and not for samples, begins with as many outputs.
    """
    order = np.array([int(digest(text)[:15], 16) for _, text, _ in accepted(chunks())], np.int64)
    ranks = np.empty(len(order), np.int64)
    ranks[np.argsort(order, kind="stable")] = np.arange(len(order))
    if corpus.accepted_per_task_type is None:
        amount = len(ranks) * corpus.samples_per_chunk
    else:
        amount = min(corpus.accepted_per_task_type, len(ranks) * corpus.max_samples_per_chunk)
    return Plan(chunks, corpus, model, ranks, dict.fromkeys(corpus.task_types, amount))


def accepted(chunks: Iterable[pa.RecordBatch]) -> Iterator[tuple[str, str, int]]:
    """Gives id, text and tokens of the accepted passages."""
    for batch in chunks:
        columns = (batch[name].to_pylist() for name in CHUNK_COLUMNS)
        for chunk_id, text, n_tokens, rejected_because in zip(*columns, strict=True):
            if rejected_because is None:
                yield chunk_id, text, n_tokens
