"""Outputs in the cache about passages that no document holds any longer."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator

import pyarrow as pa

from resources.generation_cache import GenerationCache
from resources.store import Store

# Passages of the last refresh whose text no longer stands in their document. Those of a file that
# could not be read this time may be there again the next, so they are none.
_GONE = """
    create temp table gone as
        select c.chunk_id, c.text
        from chunks c left join documents d using (corpus, doc_id)
        where c.corpus = $corpus
            and c.uri is not null
            and (d.text is null or not contains(d.text, c.text))
            and not exists (
                from documents r
                where r.corpus = $corpus and r.text is null
                    and r.rejected_because is distinct from 'forgotten' and (
                    c.uri = r.uri
                    or starts_with(c.uri, r.uri || '#')
                    or starts_with(c.uri, r.uri || '!/')
                )
            )
"""
# Outputs about these, unless another row calls for them: equal passages share one.
_ORPHANED = """
    with rows as (
        select g.request_key, gone.text
        from generations g
        left join gone on g.corpus = $corpus and gone.chunk_id = g.chunk_id
    )
    select request_key, sha256(any_value(text))
    from rows group by request_key having bool_and(text is not null)
"""


class Orphans:
    """Outputs in the cache about passages that no document holds any longer.

    They are found by the passages of the last refresh, so this is to be made before `chunks` is
    written anew. A passage that comes again, in a file that was renamed for instance, keeps them.
    """

    def __init__(self, store: Store, corpus: str) -> None:
        self._store = store
        self._keys: dict[str, list[str]] = {}
        self.forgotten = 0
        if all(store.exists(table, corpus) for table in ("documents", "chunks", "generations")):
            with store.reader() as connection:
                columns = {row[0] for row in connection.execute("describe chunks").fetchall()}
                if "uri" not in columns:
                    return  # of a version that did not say where a passage was read
                connection.execute(_GONE, {"corpus": corpus})
                gone = connection.execute("select count(*) from gone").fetchone()[0]
                # Mostly nothing is gone, and then nothing else is looked at.
                found = connection.execute(_ORPHANED, {"corpus": corpus}).fetchall() if gone else []
            for key, text in found:
                self._keys.setdefault(text, []).append(key)

    def forgetting(self, chunks: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Hands on the new `chunks`; at their end deletes the outputs of passages not among them.

        Whoever writes the batches publishes after that, so a step that is killed in between finds
        the same orphans again.
        """
        for batch in chunks:
            if self._keys:
                for text in batch["text"].to_pylist():
                    self._keys.pop(hashlib.sha256(text.encode("utf-8")).hexdigest(), None)
            yield batch
        keys = [key for keys in self._keys.values() for key in keys]
        self.forgotten = GenerationCache(self._store).forget(keys)
