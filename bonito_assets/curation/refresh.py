"""One refresh of `curated_tasks`: what is known of the rows, the verdicts on them, the table.

What is known comes from side tables that remember it. The verdicts are a matter of arrays, so that
a change of a threshold or a cap costs only them and the writing. Rows stream.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from bonito_assets import tables
from bonito_assets.books import Books
from bonito_assets.catalogue import Corpus
from bonito_assets.curation.facts import gather
from bonito_assets.curation.remembered import Along
from bonito_assets.curation.side_tables import FEATURES, OVERLAPS, Log, SideTables
from bonito_assets.curation.verdicts import ACCEPTED, REASONS, Facts, Verdicts, judge
from resources.store import Store, Written

TABLE = "curated_tasks"
# One accepted row of so many is compared with the test sets once more, after all is written.
_RECHECKED = 512
_QUARTERS = (0, 0.25, 0.5, 0.75, 1)


@dataclass
class Report:
    """What a refresh found, for the metadata and the checks of the asset.

    ``before`` and ``after`` count rows per task type and label, without and with the caps.
    ``quantiles`` are those of the accepted rows: least, quarters, greatest. ``overlapping`` are
    accepted rows that were found to overlap with a test set after all.
    """

    worked_out: dict[str, int] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    before: Counter[tuple[str, str | None]] = field(default_factory=Counter)
    after: Counter[tuple[str, str | None]] = field(default_factory=Counter)
    quantiles: dict[str, list[float]] = field(default_factory=dict)
    contamination: list[dict[str, object]] = field(default_factory=list)
    overlapping: int = 0
    rechecked: int = 0


@dataclass(frozen=True)
class Refreshed:
    """The table that was written, its books, and what was found."""

    written: Written
    books: Books
    report: Report


def refresh(store: Store, corpus: Corpus, log: Log) -> Refreshed:
    """Judges the rows of `tasks` beside each other and writes `curated_tasks`.

    Raises ``TableMissing`` without tasks, ``StaleTable`` where the tables are of different
    refreshes, and ``TestSetError`` for a test set that cannot be read.
    """
    with SideTables(store, corpus, log) as side:
        facts = gather(store, corpus, side)
        found = judge(facts, corpus.curation)
        accepted = found.reason == ACCEPTED
        capped = found.reason == REASONS.index("over_represented")
        report = Report(
            side.worked_out,
            found.warnings,
            before=_counted(facts, accepted | capped),
            after=_counted(facts, accepted),
            quantiles=_quantiles(facts, accepted, side),
        )
        books = Books(tables.CURATED_TASKS, "generation_id")
        probe = _Probe()
        batches = probe.passing(books.passing(_curated(store, corpus.name, side, facts, found)))
        written = store.write_batches(TABLE, corpus.name, tables.CURATED_TASKS, batches)
        if side.sets:
            columns = ["chunk_id", "contaminated_by", "transductive", "rejected_because"]
            report.contamination = side.sets.summary(store.batches(TABLE, corpus.name, columns))
            report.rechecked = sum(rows.num_rows for rows in probe.rows)
            marked = store.batches(TABLE, corpus.name, columns)
            report.overlapping = _overlapping(marked) + _overlapping(probe.compared(side))
        return Refreshed(written, books, report)


def kept(corpus: Corpus, tasks: pa.Table, generations: pa.Table, chunks: pa.Table) -> Counter[str]:
    """Gives the rows per task type that a refresh would accept of `tasks`, all of it in memory.

    Another model is not asked: of rows that wait for its answer all are taken to be confirmed.
    """
    rules = corpus.curation
    thresholds = {name: t for name, t in rules.thresholds.items() if name != "round_trip"}
    rules = rules.model_copy(update={"round_trip": None, "thresholds": thresholds})
    corpus = corpus.model_copy(update={"curation": rules})
    with tempfile.TemporaryDirectory(prefix="bonito-curation-") as folder:
        store = Store(root=folder)
        for table, data in (("tasks", tasks), ("generations", generations), ("chunks", chunks)):
            store.write(table, corpus.name, data)
        with SideTables(store, corpus, lambda line: None) as side:
            facts = gather(store, corpus, side)
    counts: Counter[str] = Counter()
    for (task_type, _), n in _counted(facts, judge(facts, rules).reason == ACCEPTED).items():
        counts[task_type] += n
    return counts


def _counted(facts: Facts, mask: np.ndarray) -> Counter[tuple[str, str | None]]:
    counts = np.bincount(facts.kind[mask], minlength=len(facts.kinds))
    return Counter({kind: int(n) for kind, n in zip(facts.kinds, counts, strict=True) if n})


def _quantiles(facts: Facts, accepted: np.ndarray, side: SideTables) -> dict[str, list[float]]:
    of_rows = {**facts.scores, "mean_logprob": facts.mean_logprob}
    found = {}
    for name in tables.SCORES:
        if name in of_rows:
            values = of_rows[name]
        elif name in tables.TEXT_SCORES:
            values = side.column(FEATURES, name)
        else:
            continue
        values = values[accepted]
        values = values[~np.isnan(values)]
        if len(values):
            found[name] = np.quantile(values, _QUARTERS).tolist()
    return found


# The table


def _curated(
    store: Store, name: str, side: SideTables, facts: Facts, found: Verdicts
) -> Iterator[pa.RecordBatch]:
    """Gives the rows of `curated_tasks`, in the order of `tasks`."""
    features = Along(store.batches(FEATURES, name, [*tables.TEXT_SCORES, "template"]))
    overlaps = None
    if side.sets:
        overlaps = Along(store.batches(OVERLAPS, name, ["contaminated_by", "transductive"]))
    id_of = _ids(store, name, found.duplicate_of)
    codes = pa.array([None, *REASONS[1:]], pa.string())
    start = 0
    for batch in side.tasks(tables.TASKS.names):
        rows = slice(start, start + batch.num_rows)
        start = rows.stop
        # What the parser refused keeps its own verdict; no verdict is -1, which stands for none.
        verdict = codes.take(pa.array(np.maximum(found.reason[rows], 0)))
        columns = {column: batch[column] for column in tables.TASKS.names}
        columns |= {
            "mean_logprob": _nulls_for_nan(facts.mean_logprob, rows),
            **_columns(features.take(batch.num_rows)),
            "round_trip": _nulls_for_nan(facts.scores.get("round_trip"), rows),
            "transductive": pa.nulls(batch.num_rows, pa.bool_()),
            "contaminated_by": pa.nulls(batch.num_rows, pa.string()),
            **(_columns(overlaps.take(batch.num_rows)) if overlaps else {}),
            "duplicate_of": id_of(found.duplicate_of[rows]),
            "rejected_because": pc.coalesce(batch["rejected_because"], verdict),
        }
        yield from tables.check(TABLE, pa.table(columns)).combine_chunks().to_batches()


def _nulls_for_nan(values: np.ndarray | None, rows: slice) -> pa.Array:
    if values is None:
        return pa.nulls(rows.stop - rows.start, pa.float64())
    return pa.array(values[rows], from_pandas=True)


def _columns(batch: pa.RecordBatch | None) -> dict[str, pa.Array]:
    assert batch is not None, "side tables have as many rows as tasks"
    return dict(zip(batch.schema.names, batch.columns, strict=True))


def _ids(store: Store, name: str, wanted: np.ndarray) -> Callable[[np.ndarray], pa.Array]:
    """Gives the function from row numbers, all of them among the `wanted`, to generation_ids.

    -1 gives null. Only the ids that are wanted are held.
    """
    numbers = np.unique(wanted[wanted >= 0])
    pieces, start = [pa.array([], pa.string())], 0
    if len(numbers):
        for batch in store.batches("tasks", name, ["generation_id"]):
            first, last = np.searchsorted(numbers, [start, start + batch.num_rows])
            pieces.append(batch["generation_id"].take(pa.array(numbers[first:last] - start)))
            start += batch.num_rows
    ids = pa.concat_arrays(pieces)

    def id_of(rows: np.ndarray) -> pa.Array:
        return ids.take(pa.array(np.searchsorted(numbers, rows), mask=rows < 0))

    return id_of


class _Probe:
    """Accepted rows, one of 512, picked as they pass by to be looked at once more."""

    def __init__(self) -> None:
        self.rows: list[pa.RecordBatch] = []

    def passing(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Hands `batches` on."""
        for batch in batches:
            accepted = np.flatnonzero(
                batch["rejected_because"].is_null().to_numpy(zero_copy_only=False)
            )
            rows = batch.select(["chunk_id", "input", "output", "rejected_because"])
            self.rows.append(rows.take(pa.array(accepted[::_RECHECKED])))
            yield batch

    def compared(self, side: SideTables) -> Iterator[pa.RecordBatch]:
        """Gives the rows with what they share with the test sets, found anew."""
        for rows in self.rows:
            yield rows.append_column("contaminated_by", side.overlaps_of(rows)["contaminated_by"])


def _overlapping(rows: Iterator[pa.RecordBatch]) -> int:
    """Gives the accepted ones of `rows` that overlap with a test set."""
    found = 0
    for batch in rows:
        accepted = batch.filter(batch["rejected_because"].is_null())
        found += accepted.num_rows - accepted["contaminated_by"].null_count
    return found
