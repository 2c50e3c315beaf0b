"""What is asked of the model for each passage."""

from __future__ import annotations

import hashlib
import json
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

CHUNK_COLUMNS = ("chunk_id", "text", "n_tokens", "units", "rejected_because")
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
    A task type is asked of the passages of its unit only. ``amounts`` are the outputs per task
    type. Where they are no multiple of the passages, those first in rank get one more;
    ``ranks[unit]`` holds the rank of each accepted passage, -1 where it is not of that unit. They
    follow the passages' texts and not their places, so that the choice is spread over the corpus
    and an edit elsewhere leaves it as it is.
    """

    chunks: Callable[[], Iterable[pa.RecordBatch]]
    corpus: Corpus
    model: Model
    ranks: Mapping[str, np.ndarray]
    amounts: Mapping[str, int]

    def __len__(self) -> int:
        return sum(self.amounts.values())

    def __iter__(self) -> Iterator[Planned]:
        shares = [
            (t, self.ranks[self.corpus.unit_of(t)], *divmod(amount, max(1, self.passages(t))))
            for t, amount in self.amounts.items()
        ]
        for number, (chunk_id, text, n_tokens, _) in enumerate(accepted(self.chunks())):
            for task_type, ranks, whole_rounds, extra in shares:
                rank = ranks[number]
                for sample in range(0 if rank < 0 else whole_rounds + (rank < extra)):
                    yield Planned(chunk_id, text, n_tokens, task_type, sample)

    def passages(self, task_type: str) -> int:
        """Gives the number of passages that `task_type` is asked of."""
        return int((self.ranks[self.corpus.unit_of(task_type)] >= 0).sum())

    def key_batches(self) -> Iterator[list[str]]:
        """Gives the keys of all entries, a thousand at a time."""
        entries = iter(self)
        while some := list(islice(entries, _KEYS_AT_ONCE)):
            yield [self.key(entry) for entry in some]

    def key(self, entry: Planned) -> str:
        """Gives the digest of prompt, model, sampling parameters and sample number of `entry`.

        It does not hold the passage's place, so a passage that moved costs nothing.
        """
        return _key(self._prompt(entry), self._drawn[entry.task_type], entry.sample)

    def request(self, entry: Planned, key: str) -> Request:
        """Gives what a backend is asked for `entry`, whose key is `key`."""
        seed = seed_of(key) if self.corpus.reproducible else None
        return Request(key, self._prompt(entry), self._sampling[entry.task_type], seed)

    def _prompt(self, entry: Planned) -> str:
        return prompt(entry.passage, self.corpus.full_name(entry.task_type))

    @cached_property
    def _sampling(self) -> dict[str, Sampling]:
        return {t: self.corpus.sampling.of(t) for t in self.corpus.task_types}

    @cached_property
    def sampling(self) -> dict[str, str]:
        """Gives the parameters of sampling per task type, as they stand in tables: as JSON."""
        # A seeded output is another one than that drawn freely; without seeds nothing is added.
        # The seed itself comes from the key, so that the text is the same for all rows.
        seeded = {"reproducible": True} if self.corpus.reproducible else {}
        return {
            task_type: json.dumps(
                {**asdict(sampling), **seeded}, sort_keys=True, separators=(",", ":")
            )
            for task_type, sampling in self._sampling.items()
        }

    @cached_property
    def _drawn(self) -> dict[str, str]:
        return {
            task_type: _drawn_with(self.model.fingerprint, sampling)
            for task_type, sampling in self.sampling.items()
        }

    def widened(self, amounts: Mapping[str, int]) -> Plan:
        """Gives the plan with other amounts; what both ask for has the same keys."""
        return replace(self, amounts=amounts)


def request_key(prompt_sent: str, fingerprint: str, sampling: str, sample: int) -> str:
    """Gives the key of an output out of what a row of `generations` and its passage say.

    By it is seen whether a prompt that was put together again is the one that was sent.
    """
    return _key(prompt_sent, _drawn_with(fingerprint, sampling), sample)


def seed_of(key: str) -> int:
    """Gives the seed of the request `key` of a corpus that is ``reproducible``."""
    return int(key[:8], 16)


def _key(prompt_sent: str, drawn: str, sample: int) -> str:
    return digest(hashlib.sha256(prompt_sent.encode("utf-8")).hexdigest(), drawn, sample)


def _drawn_with(fingerprint: str, sampling: str) -> str:
    return digest(fingerprint, json.loads(sampling))


def plan(chunks: Callable[[], Iterable[pa.RecordBatch]], corpus: Corpus, model: Model) -> Plan:
    """Gives the plan of `corpus` over the accepted passages of `chunks`.

    A corpus that asks for rows to be kept, and not for samples, begins with as many outputs.
    """
    order = []
    members: dict[str, list[bool]] = {corpus.unit_of(t): [] for t in corpus.task_types}
    for _, text, _, units in accepted(chunks()):
        order.append(int(digest(text)[:15], 16))
        for unit, is_member in members.items():
            is_member.append(unit in units)
    ranks = {unit: _ranks(np.array(order, np.int64), members[unit]) for unit in members}
    made = Plan(chunks, corpus, model, ranks, {})
    amounts = {}
    for task_type in corpus.task_types:
        passages = made.passages(task_type)
        if corpus.accepted_per_task_type is None:
            amounts[task_type] = passages * corpus.samples_per_chunk
        else:
            ceiling = passages * corpus.max_samples_per_chunk
            amounts[task_type] = min(corpus.accepted_per_task_type, ceiling)
    return made.widened(amounts)


def _ranks(order: np.ndarray, is_member: list[bool]) -> np.ndarray:
    ranks = np.full(len(order), -1, np.int64)
    members = np.flatnonzero(is_member)
    ranks[members[np.argsort(order[members], kind="stable")]] = np.arange(len(members))
    return ranks


def accepted(chunks: Iterable[pa.RecordBatch]) -> Iterator[tuple[str, str, int, list[str]]]:
    """Gives id, text, tokens and units of the accepted passages."""
    for batch in chunks:
        columns = (batch[name].to_pylist() for name in CHUNK_COLUMNS)
        for chunk_id, text, n_tokens, units, rejected_because in zip(*columns, strict=True):
            if rejected_because is None:
                yield chunk_id, text, n_tokens, units
