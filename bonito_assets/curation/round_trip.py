"""Asks another model what a row asks, for a row that nobody else can answer teaches guessing.

The instruction goes out in the prompt of tuned models, drawn greedily, through whichever backend
writes the generations, and into the same cache. Only task types with one right answer are asked:
of two good summaries, or of two questions about a passage, neither is wrong.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa

from bonito_assets import tables
from bonito_assets.catalogue import Corpus
from bonito_assets.curation.remembered import collected
from bonito_assets.evaluation.metrics import squad_scores
from bonito_assets.generation import bill as bills
from bonito_assets.generation.bill import Bill
from bonito_assets.identity import digest
from bonito_assets.parsing.words import bare
from bonito_assets.progress import Progress
from bonito_assets.tuning.prompts import PROMPT
from resources import model_checks
from resources.generation_cache import Found, GenerationCache
from resources.generator import Generator, GeneratorError, Log, Request, Sampling
from resources.model import Model
from resources.store import Store, Written

TABLE = "round_trips"
# Counts up when the same answer counts otherwise than before.
_RULES = 1
ANSWERABLE = frozenset(
    "exqa mcqa qa ynqa coref paraphrase_id sent_comp sentiment topic_class wsd te nli".split()
)
# Rows whose answers agree are short; a model that goes on for longer does not.
_SAMPLING = Sampling(temperature=0.0, top_p=1.0, max_tokens=64)
_DRAWN = json.dumps(asdict(_SAMPLING), sort_keys=True, separators=(",", ":"))
_MARKS = re.compile("|".join(map(re.escape, re.findall(r"<\|\w+\|>", PROMPT))))
_COLUMNS = (
    "generation_id", "chunk_id", "task_type", "input", "output", "label", "rejected_because"
)  # fmt: skip
_ROWS = 2048


@dataclass(frozen=True)
class Refreshed:
    """The table that was written, and what became of the rows: asked, answered, agreed.

    ``bill`` is None where no model was needed.
    """

    written: Written
    asked: int = 0
    answered: int = 0
    mean_agreement: float | None = None
    bill: Bill | None = None
    stopped_by: str | None = None
    forgotten: int = 0


def agreement(said: str, answer: str, label: str | None) -> float:
    """Gives how far what a model `said` agrees with the `answer` of a row, 0 to 1.

    Only its first line counts: small models go on with a question of their own. A free answer is
    compared by the F1 of its words (SQuAD v1.1, Rajpurkar et al. 2016), one that stands for a label
    must be the same.
    """
    first = first_line(said)
    if label is not None:
        return float(bare(first) == bare(answer))
    return squad_scores(first, [answer])[0]


def first_line(said: str) -> str:
    """Gives the first line of an answer, without the blanks around it."""
    return said.strip().partition("\n")[0].strip()


def prompt(instruction: str) -> str:
    """Gives the prompt of an instruction; marks of the prompt in it are broken by a blank."""
    text = _MARKS.sub(lambda m: f"{m[0][0]} {m[0][1:]}", instruction.strip())
    return PROMPT.format(input=text)


def refresh(
    store: Store, corpus: Corpus, generator: Generator, default: str, run_id: str, log: Log
) -> Refreshed:
    """Asks what is not known yet and writes `round_trips`; the table is empty for other corpora.

    `default` is the model that is asked where the corpus names none. The budget of the corpus holds
    here too. Raises ``TableMissing`` without tasks, ``ModelError`` for a model that is not there or
    not sane, and ``GeneratorError`` for a backend that is beyond help.
    """
    if corpus.curation.round_trip is None:
        written = store.write_batches(TABLE, corpus.name, tables.ROUND_TRIPS, [])
        return Refreshed(written)
    generator = with_model(generator, corpus.curation.round_trip.model or default)
    asking = Asking(store, corpus, generator.resolve())
    cache = GenerationCache(store, log)
    found = cache.find(asking.key_batches())
    bill = Bill(corpus.budget, generator.price_per_gpu_hour)
    missing = int(found.missing.sum())
    log(f"{len(found.present):,} rows to be answered, {missing:,} of them not in the cache")
    if missing:
        _ask(asking, found, generator, cache, bill, run_id, log)
        found = found.again()
        bills.write_down(store, corpus.name, run_id, asking.model, bill)
    gone = set(asking.keys_of_vanished_passages())
    agreed: list[np.ndarray] = [np.empty(0)]

    def batches() -> Iterator[pa.RecordBatch]:
        for batch in asking.answered(found):
            agreed.append(batch["agreement"].drop_null().to_numpy())
            # A passage that was only moved or renamed is asked about in the same words.
            gone.difference_update(batch["request_key"].to_pylist() if gone else ())
            yield batch

    written = store.write_batches(
        TABLE,
        corpus.name,
        tables.ROUND_TRIPS,
        batches(),
        made_from=store.stamps("tasks", corpus.name)["digest"],
    )
    values = np.concatenate(agreed)
    return Refreshed(
        written,
        len(found.present),
        len(values),
        float(values.mean()) if len(values) else None,
        bill if missing else None,
        bill.cap_reached() if missing else None,
        cache.forget(sorted(gone)),
    )


def with_model(generator: Generator, name: str) -> Generator:
    """Gives the same backend over another model, without what belongs to the first one alone."""
    values = generator.model_dump()
    own = {"adapter": None, "quantization": None, "served_model": None}
    return type(generator)(
        **{**values, **{key: own[key] for key in own if key in values}, "model": name}
    )


class Asking:
    """The rows of `tasks` and what is asked of each, in their order and never held."""

    def __init__(self, store: Store, corpus: Corpus, model: Model) -> None:
        self._store = store
        self._corpus = corpus
        self.model = model
        free = {n for n, t in corpus.custom_task_types.items() if t.answer == "free"}
        self._types = ANSWERABLE | (set(corpus.custom_task_types) - free)

    @cached_property
    def _drawn(self) -> str:
        return digest(self.model.fingerprint, asdict(_SAMPLING))

    def _batches(self) -> Iterator[tuple[pa.RecordBatch, list[str | None]]]:
        """Gives the rows with the prompt of each that is asked."""
        rows = self._store.batches("tasks", self._corpus.name, _COLUMNS)
        for batch in collected(rows, _ROWS):
            yield (
                batch,
                [
                    prompt(text) if verdict is None and task_type in self._types else None
                    for text, task_type, verdict in zip(
                        *(batch[n].to_pylist() for n in ("input", "task_type", "rejected_because")),
                        strict=True,
                    )
                ],
            )

    def _key(self, text: str) -> str:
        return digest(hashlib.sha256(text.encode("utf-8")).hexdigest(), self._drawn, 0)

    def key_batches(self) -> Iterator[list[str]]:
        """Gives the cache addresses of all that is asked."""
        for _, prompts in self._batches():
            yield [self._key(text) for text in prompts if text is not None]

    def requests(self, missing: np.ndarray) -> Iterator[Request]:
        """Gives what is `missing` of all that is asked."""
        is_missing = iter(missing.tolist())
        for _, prompts in self._batches():
            for text in prompts:
                if text is not None and next(is_missing):
                    yield Request(self._key(text), text, _SAMPLING)

    def answered(self, found: Found) -> Iterator[pa.RecordBatch]:
        """Gives the rows of `round_trips`."""
        start = 0
        for batch, prompts in self._batches():
            stop = start + sum(text is not None for text in prompts)
            said = iter(found.rows(start, stop)["output"].to_pylist())
            keys = iter(found.keys(start, stop))
            start = stop
            outputs = [None if text is None else next(said) for text in prompts]
            columns = {
                "corpus": pa.repeat(self._corpus.name, batch.num_rows),
                "generation_id": batch["generation_id"],
                "chunk_id": batch["chunk_id"],
                "request_key": [None if text is None else next(keys) for text in prompts],
                "answer": [None if output is None else first_line(output) for output in outputs],
                "agreement": [
                    None if output is None else agreement(output, answer, label)
                    for output, answer, label in zip(
                        outputs, batch["output"].to_pylist(), batch["label"].to_pylist(),
                        strict=True,
                    )
                ],
            }  # fmt: skip
            yield from pa.table(columns, schema=tables.ROUND_TRIPS).to_batches()

    def keys_of_vanished_passages(self) -> Sequence[str]:
        """Gives the cache addresses of the last refresh about passages that are there no longer."""
        name = self._corpus.name
        if not self._store.exists(TABLE, name):
            return []
        with self._store.connect() as connection:
            for table, columns in ((TABLE, ["chunk_id", "request_key"]), ("chunks", ["chunk_id"])):
                connection.register(table, self._store.read(table, name, columns))
            found = connection.execute(
                f"from {TABLE} r anti join chunks using (chunk_id) select distinct request_key "
                "where request_key is not null"
            ).fetchall()
        return [key for (key,) in found]


def _ask(
    asking: Asking,
    found: Found,
    generator: Generator,
    cache: GenerationCache,
    bill: Bill,
    run_id: str,
    log: Log,
) -> None:
    """Puts what the model answers into the cache; what it must not see stays unanswered."""
    for warning in model_checks.check(asking.model, log):
        log(f"warning: {warning}")
    under_way: set[str] = set()

    def requests() -> Iterator[Request]:
        for request in asking.requests(found.missing):
            if bill.cap_reached() is not None:
                return
            under_way.add(request.key)
            yield request

    progress = Progress("answered", int(found.missing.sum()), log)
    with (
        generator.open(log) as session,
        bill.running(session),
        cache.writer(run_id) as writer,
        closing(session.generate(requests())) as outcomes,
    ):
        for outcome in outcomes:
            under_way.remove(outcome.key)
            if outcome.output is not None:
                bill.add(outcome, kept=False)
            if outcome.output is not None or outcome.rejected_because == "engine_error":
                writer.add(
                    outcome,
                    model=asking.model.fingerprint,
                    task_type=TABLE,
                    sampling=_DRAWN,
                )
            progress.advance()
    if under_way:
        raise GeneratorError(f"the backend gave no answer to {len(under_way):,} requests")
