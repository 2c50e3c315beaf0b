"""Takes the rows of forgotten documents out of the tables of a corpus and out of the cache."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from itertools import chain

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from bonito_assets import tables
from bonito_assets.curation.keys import keys
from bonito_assets.ingestion.documents import FILES
from bonito_assets.lineage.forget.subject import chunks_of, corpora
from bonito_assets.lineage.tombstones import VERDICT, Tombstones
from resources.generation_cache import GenerationCache
from resources.store import Digest, Store, Written

_SCHEMAS = {**tables.SCHEMAS, "round_trips": tables.ROUND_TRIPS}
_Keep = Callable[[pa.RecordBatch], pa.Array]


def cut(store: Store, corpus: str, forgotten: Tombstones) -> dict[str, int]:
    """Takes what was forgotten out of the tables; gives the rows that each has lost.

    Each table is replaced in one step, those first that are found by the ones after them, so that
    one who is killed can begin again. `curated_tasks` is left to curation. In `documents` the rows
    stay, with nothing but their verdict.
    """
    chunks = chunks_of(store, corpus, pa.array(sorted(forgotten.doc_ids), pa.string()))
    of_documents = _not_of(forgotten.doc_ids)

    def of_chunks(batch: pa.RecordBatch) -> pa.Array:
        return pc.invert(pc.is_in(batch["chunk_id"], value_set=chunks))

    lost = {}
    lost["round_trips"] = _cut_round_trips(store, corpus, of_chunks, of_documents)
    lost["generations"] = _cut(store, "generations", corpus, of_chunks)
    lost["tasks"] = _cut(store, "tasks", corpus, of_documents)
    lost["chunks"] = _cut(store, "chunks", corpus, of_documents)
    lost["documents"] = _empty_documents(store, corpus, forgotten)
    return lost


def curated_rows(store: Store, corpus: str, doc_ids: Collection[str]) -> int:
    """Gives the rows of `curated_tasks` about the documents."""
    keep = _not_of(doc_ids)
    pairs = _kept(store, "curated_tasks", corpus, keep)
    return sum(batch.num_rows - kept.num_rows for batch, kept in pairs)


def cut_curated(store: Store, corpus: str, doc_ids: Collection[str]) -> None:
    """Takes rows of documents out of `curated_tasks`, the verdicts of the others as they are."""
    _cut(store, "curated_tasks", corpus, _not_of(doc_ids))


def _not_of(doc_ids: Collection[str]) -> _Keep:
    ids = pa.array(sorted(doc_ids), pa.string())
    return lambda batch: pc.invert(pc.is_in(batch["doc_id"], value_set=ids))


def _cut(store: Store, table: str, corpus: str, keep: _Keep, made_from: str | None = None) -> int:
    """Writes a table without some of its rows; gives how many. Without any it is not touched."""
    lost = sum(batch.num_rows - kept.num_rows for batch, kept in _kept(store, table, corpus, keep))
    if lost:
        batches = (kept for _, kept in _kept(store, table, corpus, keep))
        _write(store, table, corpus, batches, made_from)
    return lost


def _write(
    store: Store,
    table: str,
    corpus: str,
    batches: Iterator[pa.RecordBatch],
    made_from: str | None = None,
) -> Written:
    """Writes what is left of a table in the form in which a refresh would write it."""
    first = next(batches)
    # Parquet gives list columns types of other names; columns that came later it may not hold.
    schema = pa.schema([field for field in _SCHEMAS[table] if field.name in first.schema.names])
    whole = (
        pa.RecordBatch.from_arrays(batch.select(schema.names).columns, schema=schema)
        for batch in chain([first], batches)
    )
    return store.write_batches(table, corpus, schema, whole, made_from=made_from)


def _kept(
    store: Store, table: str, corpus: str, keep: _Keep
) -> Iterator[tuple[pa.RecordBatch, pa.RecordBatch]]:
    if store.exists(table, corpus):
        for batch in store.batches(table, corpus):
            yield batch, batch.filter(keep(batch))


def _cut_round_trips(store: Store, corpus: str, keep: _Keep, keep_tasks: _Keep) -> int:
    """Cuts `round_trips`, which names the `tasks` that it belongs to before those are cut."""
    made_from = store.stamps("round_trips", corpus).get("made_from")
    if made_from is not None and made_from == store.stamps("tasks", corpus).get("digest"):
        digest = None
        for batch, kept in _kept(store, "tasks", corpus, keep_tasks):
            digest = digest or Digest(batch.schema)  # `tasks` has no list columns
            digest.add(kept)
        made_from = digest.hexdigest() if digest else made_from
    return _cut(store, "round_trips", corpus, keep, made_from)


def _empty_documents(store: Store, corpus: str, forgotten: Tombstones) -> int:
    """Leaves of forgotten documents the row that a refresh would write, and the ledger in force."""
    if not store.exists("documents", corpus):
        return 0
    before = store.stamps("documents", corpus).get("digest")
    lost = sum(
        _forgotten_rows(new) - _forgotten_rows(old)
        for old, new in _emptied(store, corpus, forgotten)
    )
    if not lost:
        return 0
    # Another ledger counts for nothing, and every file would be read again.
    in_force = before is not None and store.stamps(FILES, corpus).get("made_from") == before
    batches = (new for _, new in _emptied(store, corpus, forgotten))
    written = _write(store, "documents", corpus, batches)
    if in_force:
        ledger = store.read(FILES, corpus)
        store.write_batches(
            FILES, corpus, tables.SOURCE_FILES, ledger.to_batches(), made_from=written.digest
        )
    return lost


def _forgotten_rows(batch: pa.RecordBatch) -> int:
    # Of what could not be read too: it has no text, but perhaps a title.
    return batch["rejected_because"].to_pylist().count(VERDICT)


def _emptied(
    store: Store, corpus: str, forgotten: Tombstones
) -> Iterator[tuple[pa.RecordBatch, pa.RecordBatch]]:
    for batch in store.batches("documents", corpus):
        yield batch, forgotten.applied(batch)


# The cache


def keys_of_their_own(store: Store, corpus: str, doc_ids: Collection[str]) -> set[str]:
    """Gives the cache addresses that only rows of the documents call for, in any corpus."""
    chunks = chunks_of(store, corpus, pa.array(sorted(doc_ids), pa.string()))
    found: set[str] = set()
    claimed: set[str] = set()
    for name, batch in _calls(store):
        own = pc.is_in(batch["chunk_id"], value_set=chunks)
        if name != corpus:
            own = pa.array([False] * batch.num_rows)
        found.update(batch["request_key"].filter(own).to_pylist())
        claimed.update(batch["request_key"].filter(pc.invert(own)).to_pylist())
    return found - claimed - {None}


def unclaimed_keys_about(store: Store, is_about: Callable[[str], bool]) -> set[str]:
    """Gives the cache addresses that no table calls for and whose outputs are about a document.

    They were drawn by an earlier model, with other settings, or about an earlier text.
    """
    called = [keys(batch["request_key"].drop_null()) for _, batch in _calls(store)]
    claimed = np.unique(np.concatenate([np.empty(0, np.uint64), *called]))

    def chosen(rows: pa.Table) -> list[str]:
        rows = rows.filter(pa.array(~np.isin(keys(rows["key"]), claimed)))
        pairs = zip(rows["key"].to_pylist(), rows["output"].to_pylist(), strict=True)
        return [key for key, output in pairs if output is not None and is_about(output)]

    return GenerationCache(store).keys_of(["key", "output"], chosen)


def _calls(store: Store) -> Iterator[tuple[str, pa.RecordBatch]]:
    """Gives passage and cache address of all rows that call for an output, with their corpus."""
    for name in corpora(store):
        for table in ("generations", "round_trips"):
            if store.exists(table, name):
                for batch in store.batches(table, name, ["chunk_id", "request_key"]):
                    yield name, batch
