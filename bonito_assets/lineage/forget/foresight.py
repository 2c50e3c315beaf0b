"""What will go when documents are forgotten, for a person who has to decide."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from bonito_assets.lineage.forget import models, releases
from bonito_assets.lineage.forget.cut import keys_of_their_own
from bonito_assets.lineage.forget.subject import Subject, chunks_of, subject
from resources.store import Store

# How the rows of each table name what they are about.
_TABLES = {
    "documents": "doc_id",
    "chunks": "doc_id",
    "generations": "chunk_id",
    "tasks": "doc_id",
    "round_trips": "chunk_id",
    "curated_tasks": "doc_id",
}


@dataclass(frozen=True)
class Foreseen:
    """Rows by table, outputs in the cache, rows of releases, and arms of models that saw them."""

    corpus: str
    subject: Subject
    uris: list[str]
    rows: dict[str, int]
    cached_outputs: int
    releases: dict[str, dict[str, int]]
    models: dict[tuple[str, ...], list[str]]

    def counts(self) -> dict[str, Any]:
        """Gives it for the record."""
        return {
            "doc_ids": list(self.subject.named),
            "copies": list(self.subject.copies),
            "rows": self.rows,
            "cached_outputs": self.cached_outputs,
            "releases": self.releases,
            "models": {"/".join(place): arms for place, arms in self.models.items()},
        }

    def lines(self) -> list[str]:
        """Gives it for a terminal."""
        copies = len(self.subject.copies)
        what = f"{len(self.subject.named):,} documents of corpus '{self.corpus}'"
        if copies:
            what += f" and {copies:,} exact copies"
        found = [f"{what}: {', '.join(self.uris[:5])}{' ...' if len(self.uris) > 5 else ''}"]
        rows = ", ".join(f"{table} {n:,}" for table, n in self.rows.items() if n)
        found.append(f"Rows that go: {rows or 'none'}; cached outputs {self.cached_outputs:,}")
        for name, versions in self.releases.items():
            shown = ", ".join(f"{version} loses {n:,} rows" for version, n in versions.items())
            found.append(f"Releases of {name}: {shown}; each gets another version")
        for place, arms in self.models.items():
            found.append(
                f"{'/'.join(place)} ({', '.join(arms)}) may have learned from them and will be "
                "marked as stale: what it learned cannot be cut out, so tune it again"
            )
        found.append(
            "Out of reach are what was pushed to a hub, exports, backups and the source itself"
        )
        return found


def foresee(store: Store, corpus: str, ids: Sequence[str]) -> Foreseen:
    """Gives what will go with the documents that `ids` name; nothing is changed.

    Raises ``ForgetError`` as forgetting does.
    """
    found = subject(store, corpus, ids)
    doc_ids = pa.array(sorted(found.doc_ids), pa.string())
    about = {"doc_id": doc_ids, "chunk_id": chunks_of(store, corpus, doc_ids)}
    rows = {
        table: sum(
            pc.sum(pc.is_in(batch[column], value_set=about[column])).as_py() or 0
            for batch in store.batches(table, corpus, [column])
        )
        for table, column in _TABLES.items()
        if store.exists(table, corpus)
    }
    return Foreseen(
        corpus,
        found,
        _uris(store, corpus, doc_ids),
        rows,
        len(keys_of_their_own(store, corpus, found.doc_ids)),
        releases.holding(store, corpus, found.doc_ids),
        models.that_saw(store, corpus, found.doc_ids),
    )


def _uris(store: Store, corpus: str, doc_ids: pa.Array) -> list[str]:
    if not store.exists("documents", corpus):
        return doc_ids.to_pylist()
    table = store.read("documents", corpus, ["doc_id", "uri"])
    found = table.filter(pc.is_in(table["doc_id"], value_set=doc_ids))["uri"].to_pylist()
    return found or doc_ids.to_pylist()
