"""What comes from what: so far, taking leave of what a vanished document left behind."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator

import pyarrow as pa

from resources.generation_cache import GenerationCache
from resources.store import Store

_GONE = """
    create temp table gone as
        select doc_id from chunks where corpus = $corpus
        except select doc_id from documents where corpus = $corpus
"""
# Outputs about documents that are gone, and that no other row calls for: equal passages of two
# documents share one.
_ORPHANED = """
    with rows as (
        select
            g.request_key,
            c.text,
            c.corpus = $corpus and c.doc_id in (from gone) as is_gone
        from generations g join chunks c using (corpus, chunk_id)
    )
    select request_key, sha256(any_value(text))
    from rows group by request_key having bool_and(is_gone)
"""


class Orphans:
    """Outputs in the cache that belong to passages of documents that `documents` no longer has.

    They are found by the passages of the last refresh, so this is to be made before `chunks` is
    written anew. A passage that comes again, in a file that was renamed for instance, keeps them.
    """

    def __init__(self, store: Store, corpus: str) -> None:
        self._store = store
        self._keys: dict[str, list[str]] = {}
        self.forgotten = 0
        if all(store.exists(table, corpus) for table in ("documents", "chunks", "generations")):
            with store.reader() as connection:
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
