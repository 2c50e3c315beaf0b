"""What curation remembers of rows and passages, brought up to date step by step.

What a row's own text says (scores, keys, overlaps with test sets) is worked out once per row, and
which rows are duplicates once per set of rows. Rows stream; arrays of some bytes per row are held.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from bonito_assets import tables
from bonito_assets.catalogue import Corpus
from bonito_assets.curation import instruction
from bonito_assets.curation import passages as passage_store
from bonito_assets.curation.contamination import TestSets
from bonito_assets.curation.duplicates import rows as duplicate_rows
from bonito_assets.curation.passages import OnDisk, Passages, StaleTable
from bonito_assets.curation.remembered import Log, Remembered, collected, sound_stamp
from bonito_assets.identity import digest
from resources.store import Store

FEATURES = "curation_features"
PASSAGES = "curation_passages"
OVERLAPS = "curation_overlaps"
FAMILIES = "curation_families"
# Counts up when a score or an overlap of the same row comes out otherwise than before.
_RULES = 1
# Rows worked on at once: a call costs as much as a hundred of them, and this many hold 30 MB.
_ROWS = 8192
_TEXT_COLUMNS = ("generation_id", "chunk_id", "input", "output", "label")
_MASKED = pa.schema([(name, pa.string()) for name in ("input", "output", "label")])


class SideTables(ExitStack):
    """The side tables of a corpus; each is brought up to date when it is asked for.

    ``worked_out`` counts, by table, the rows that were not remembered. Files that the work needs on
    disk are gone at the end of the block.
    """

    def __init__(self, store: Store, corpus: Corpus, log: Log) -> None:
        super().__init__()
        self._store = store
        self._name = corpus.name
        self._log = log
        self._rules = corpus.curation
        self.sets = TestSets.read(corpus)
        self.worked_out: dict[str, int] = {}

    @cached_property
    def _passages(self) -> Passages:
        folder = self.enter_context(tempfile.TemporaryDirectory(prefix="bonito-curation-"))
        chunks = self._store.batches("chunks", self._name, passage_store.COLUMNS)
        return Passages(chunks, Path(folder))

    @cached_property
    def _inputs(self) -> str:
        return digest(*(self._digest(table) for table in ("tasks", "chunks")))

    def _digest(self, table: str) -> str | None:
        """Gives the digest of a table, None without one; raises ``StaleTable`` for an old one."""
        found = self._store.stamps(table, self._name).get("digest")
        if found is None and self._store.exists(table, self._name):
            raise StaleTable(
                f"corpus '{self._name}': the table {table} was written by an earlier version; "
                f"materialize the asset '{table}' first"
            )
        return found

    def features(self) -> None:
        """Brings scores and keys of the rows up to date."""
        rules = digest(FEATURES, _RULES, duplicate_rows.VERSION)
        self._renew(FEATURES, tables.CURATION_FEATURES, rules, self._features_of)

    def overlaps(self) -> None:
        """Brings up to date what the rows share with test sets."""
        rules = digest(OVERLAPS, _RULES, self.sets.digest)
        self._renew(OVERLAPS, tables.CURATION_OVERLAPS, rules, self.overlaps_of)

    def _last(
        self, table: str, schema: pa.Schema, rules: str, inputs: str
    ) -> tuple[Remembered | None, str]:
        """Gives what is remembered in a side table, and what the new one is made from.

        None is for a table that is up to date. What was made by other rules is not remembered.
        """
        known = sound_stamp(self._store, table, self._name, schema, self._log)
        if known == rules + inputs:
            return None, known
        of_these_rules = known.startswith(rules)
        last = self._store.read(table, self._name) if of_these_rules else None
        return Remembered(last), rules + inputs

    def _features_of(self, batch: pa.RecordBatch) -> dict[str, pa.Array]:
        from bonito_assets.curation.scores import scores

        passages = self._passages.of(batch["chunk_id"])
        found = scores(batch["input"], batch["output"], batch["label"], passages)
        row = duplicate_rows.row_features(batch["input"], batch["output"], passages)
        return {**found._asdict(), **{name: row[name] for name in row.schema.names}}

    def overlaps_of(self, batch: pa.RecordBatch) -> dict[str, pa.Array]:
        """Gives what rows with these passages, instructions and answers share with test sets."""
        passages = self._passages.of(batch["chunk_id"])
        return self.sets.overlaps(
            pa.RecordBatch.from_arrays(
                [batch["input"], batch["output"], passages], ["input", "output", "passage"]
            )
        )._asdict()

    def _renew(
        self,
        table: str,
        schema: pa.Schema,
        rules: str,
        work: Callable[[pa.RecordBatch], dict[str, pa.Array]],
    ) -> None:
        """Writes a side table of the rows of `tasks` anew, working out only what is not known."""
        last, made_from = self._last(table, schema, rules, self._inputs)
        if last is None:
            return
        from bonito_assets.curation.keys import keys

        def batches() -> Iterator[pa.RecordBatch]:
            for batch in self.tasks(_TEXT_COLUMNS):
                # The id stands for the passage and for what was asked of it.
                own = keys(*(batch[name] for name in ("generation_id", "input", "output", "label")))

                def worked(
                    rows: np.ndarray, batch: pa.RecordBatch = batch, own: np.ndarray = own
                ) -> pa.RecordBatch:
                    new = work(batch.take(pa.array(rows)))
                    return self._side(schema, own[rows], new)

                yield last.batch(own, worked)

        self._store.write_batches(table, self._name, schema, batches(), made_from=made_from)
        self.worked_out[table] = last.worked_out
        self._log(f"{table}: {last.worked_out:,} rows worked out")

    def _side(
        self, schema: pa.Schema, own: np.ndarray, columns: dict[str, pa.Array]
    ) -> pa.RecordBatch:
        columns = {"corpus": pa.repeat(self._name, len(own)), "row_key": pa.array(own), **columns}
        return pa.RecordBatch.from_arrays([columns[name] for name in schema.names], schema=schema)

    def passages(self) -> None:
        """Brings the signatures of the passages up to date."""
        rules = digest(PASSAGES, _RULES, duplicate_rows.VERSION)
        schema = tables.CURATION_PASSAGES
        last, made_from = self._last(PASSAGES, schema, rules, digest(self._digest("chunks")))
        if last is None:
            return
        from bonito_assets.curation.keys import keys

        def batches() -> Iterator[pa.RecordBatch]:
            for batch in collected(self._store.batches("chunks", self._name, ["text"]), _ROWS):
                own = keys(batch["text"])

                def worked(
                    rows: np.ndarray, texts: pa.Array = batch["text"], own: np.ndarray = own
                ) -> pa.RecordBatch:
                    new = duplicate_rows.passage_features(texts.take(pa.array(rows)))
                    return self._side(
                        schema, own[rows], {name: new[name] for name in new.schema.names}
                    )

                yield last.batch(own, worked)

        self._store.write_batches(PASSAGES, self._name, schema, batches(), made_from=made_from)
        self.worked_out[PASSAGES] = last.worked_out
        self._log(f"{PASSAGES}: {last.worked_out:,} passages worked out")

    def families(self) -> None:
        """Brings up to date which rows are duplicates of each other."""
        made_from = digest(
            FAMILIES,
            _RULES,
            duplicate_rows.VERSION,
            self._inputs,
            self._rules.duplicates,
            self._rules.near_duplicates,
            self._rules.semantic_duplicates and self._rules.semantic_duplicates.model_dump(),
        )
        schema = tables.CURATION_FAMILIES
        if sound_stamp(self._store, FAMILIES, self._name, schema, self._log) == made_from:
            return
        self.passages()
        rows = self._rows()
        known = self._store.read(PASSAGES, self._name, ["passage_key", "bands"])
        passages = duplicate_rows.Passages(
            passage_key=known["passage_key"].to_numpy(),
            bands=_bands(known["bands"].combine_chunks()),
            document=self._passages.documents,
            texts=self._passages.texts,
        )
        found = duplicate_rows.families(
            rows, passages, self._rules.near_duplicates, self._rules.duplicates
        )
        semantic = self._semantic(rows, passages)
        columns = {"exact": found.exact, "near": found.near, "semantic": semantic}

        def batches() -> Iterator[pa.RecordBatch]:
            for start in range(0, len(semantic), _ROWS):
                some = [values[start : start + _ROWS] for values in columns.values()]
                name = pa.repeat(self._name, len(some[0]))
                yield pa.RecordBatch.from_arrays([name, *map(pa.array, some)], schema=schema)

        self._store.write_batches(FAMILIES, self._name, schema, batches(), made_from=made_from)
        self.worked_out[FAMILIES] = len(semantic)

    def _semantic(self, rows: duplicate_rows.Rows, passages: duplicate_rows.Passages) -> np.ndarray:
        """Gives the families of rows that say the same; every row its own where nobody asks."""
        wanted = self._rules.semantic_duplicates
        if wanted is None:
            return np.arange(len(rows.passage))
        from bonito_assets.curation import semantic

        types = np.concatenate([np.empty(0, np.int64), *self._task_types()])
        kin = duplicate_rows.kindred(passages, self._rules.near_duplicates, self._rules.duplicates)
        folder = self.enter_context(tempfile.TemporaryDirectory(prefix="bonito-curation-"))
        texts = OnDisk(self._masked(), _MASKED, Path(folder) / "rows.arrow")

        def asked(numbers: np.ndarray) -> semantic.Asked:
            return semantic.Asked(*(column.to_pylist() for column in texts.take(numbers)))

        self._log(f"semantic duplicates are looked for with {wanted.model}")
        return semantic.families(
            duplicate_rows.groups(rows, types, kin),
            asked,
            semantic.embedder(wanted.model, wanted.library),
            wanted.threshold,
        )

    def _task_types(self) -> Iterator[np.ndarray]:
        """Gives the number of each row's task type."""
        numbers: dict[str, int] = {}
        for batch in self.tasks(["task_type"]):
            types = batch["task_type"].dictionary_encode()
            own = [numbers.setdefault(t, len(numbers)) for t in types.dictionary.to_pylist()]
            yield np.array(own, np.int64)[types.indices.to_numpy()]

    def _masked(self) -> Iterator[pa.RecordBatch]:
        """Gives instruction and answer with the passage taken out, and the label."""
        for batch in self.tasks(["chunk_id", "input", "output", "label"]):
            passages = self._passages.of(batch["chunk_id"])
            own = instruction.masked(batch["input"], batch["output"], passages)
            yield pa.RecordBatch.from_arrays(
                [own.input, own.output, batch["label"]], schema=_MASKED
            )

    def tasks(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Gives the rows of `tasks` in batches of a size that suits array work."""
        return collected(self._store.batches("tasks", self._name, columns), _ROWS)

    def _rows(self) -> duplicate_rows.Rows:
        features = self._store.read(
            FEATURES, self._name, ["instruction_key", "task_key", "holds_passage"]
        )
        eligible, numbers = [np.empty(0, bool)], [np.empty(0, np.int64)]
        for batch in self.tasks(["chunk_id", "rejected_because"]):
            eligible.append(batch["rejected_because"].is_null().to_numpy(zero_copy_only=False))
            numbers.append(self._passages.numbers(batch["chunk_id"]))
        has_keys = features["task_key"].is_valid().to_numpy()
        return duplicate_rows.Rows(
            instruction_key=pc.fill_null(features["instruction_key"], 0).to_numpy(),
            task_key=pc.fill_null(features["task_key"], 0).to_numpy(),
            holds_passage=features["holds_passage"].to_numpy(),
            eligible=np.concatenate(eligible) & has_keys,
            passage=np.concatenate(numbers),
        )

    def column(self, table: str, name: str, kind: type = np.float64) -> np.ndarray:
        """Gives a column of numbers as an array, NaN for null."""
        values = self._store.read(table, self._name, [name])[name]
        return values.to_numpy().astype(kind, copy=False)


def _bands(bands: pa.FixedSizeListArray) -> np.ndarray:
    return bands.flatten().to_numpy().reshape(-1, bands.type.list_size)
