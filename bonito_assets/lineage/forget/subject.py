"""What is to be forgotten: the documents that ids name, with their copies, and what they say."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain

import pyarrow as pa
import pyarrow.compute as pc

from bonito_assets.lineage.forget.fingerprints import Fingerprints
from bonito_assets.lineage.forget.releases import release_batches
from bonito_assets.lineage.forget.values import text_bytes
from bonito_assets.lineage.tombstones import Tombstone, Tombstones
from resources.store import Store

_DOCUMENT_COLUMNS = ["doc_id", "n_chars", "text_digest", "content_sha256"]
_NO_BYTES = hashlib.sha256(b"").hexdigest()
# Shorter words are hardly anybody's own.
_WORD = re.compile(r"\w{4,}")
# A fingerprint is of 32 characters, so that at least eight of them are of the word between.
_BESIDE = 24


class ForgetError(ValueError):
    """Something cannot be forgotten as it was asked for; the message says why and what to do."""


@dataclass(frozen=True)
class Subject:
    """The documents that a person named, in full, and the exact copies of them in the corpus."""

    named: tuple[str, ...]
    copies: tuple[str, ...]
    stones: tuple[Tombstone, ...]

    @property
    def doc_ids(self) -> set[str]:
        """Gives the ids of all of them."""
        return {*self.named, *self.copies}


def subject(
    store: Store, corpus: str, ids: Sequence[str], reason: str = "", run_id: str = ""
) -> Subject:
    """Gives the documents of `corpus` that `ids` or beginnings of ids name, with their tombstones.

    A document that the source no longer has is known by the releases that it stands in. Raises
    ``ForgetError`` for an id that names none, or more than one.
    """
    known = _documents(store, corpus)
    forgotten = Tombstones.read(store, corpus)
    named = _resolved(store, corpus, ids, {*known["doc_id"], *forgotten.doc_ids})
    rows = dict(
        zip(
            known["doc_id"],
            zip(*(known[n] for n in _DOCUMENT_COLUMNS[1:]), strict=True),
            strict=True,
        )
    )
    contents = {d for doc_id in named for d in _digests(*rows.get(doc_id, (None, None, None))) if d}
    copies = [
        doc_id
        for doc_id, row in rows.items()
        if doc_id not in named and contents.intersection(_digests(*row))
    ]
    now = datetime.now(UTC).isoformat(timespec="seconds")
    stones = tuple(
        Tombstone(doc_id, *_digests(*rows.get(doc_id, (None, None, None))), now, reason, run_id)
        for doc_id in (*named, *copies)
    )
    return Subject(tuple(named), tuple(copies), stones)


def _documents(store: Store, corpus: str) -> dict[str, list[object]]:
    if not store.exists("documents", corpus):
        return {name: [] for name in _DOCUMENT_COLUMNS}
    return store.read("documents", corpus, _DOCUMENT_COLUMNS).to_pydict()


def _digests(
    n_chars: int | None, text_digest: str | None, content_sha256: str | None
) -> tuple[str | None, str | None]:
    """Gives by what a copy of a document is known: not by being empty, which many are."""
    is_empty = n_chars == 0 or content_sha256 == _NO_BYTES
    return (None, None) if is_empty else (text_digest, content_sha256)


def _resolved(store: Store, corpus: str, ids: Sequence[str], known: Collection[str]) -> list[str]:
    found: list[str] = []
    released: set[str] | None = None
    for given in ids:
        candidates = [given] if given in known else [d for d in known if d.startswith(given)]
        if not candidates:
            if released is None:
                batches = (b for _, b in release_batches(store, corpus, ["doc_id"]))
                released = {d for batch in batches for d in batch["doc_id"].unique().to_pylist()}
            candidates = [d for d in released if d.startswith(given)]
        if not given or not candidates:
            raise ForgetError(
                f"corpus '{corpus}' has no document '{given}'; nothing was forgotten. The ids are "
                "in table documents: bonito sql 'from documents select corpus, doc_id, uri'"
            )
        if len(candidates) > 1:
            raise ForgetError(
                f"'{given}' is the beginning of {len(candidates):,} ids of corpus '{corpus}'; "
                "nothing was forgotten. Give more of it"
            )
        found += [c for c in candidates if c not in found]
    return found


def said_by(
    store: Store, corpus: str, doc_ids: Collection[str], known: Fingerprints
) -> tuple[Fingerprints, set[str]]:
    """Gives the fingerprints of what only the documents say, and the words that only they have.

    Fingerprints are of their texts, and of what models wrote about them around such words: the rest
    of an output is how the model words a task. Those `known` of an earlier time are added. Left out
    is what is said elsewhere too: what two documents share is not forgotten with one of them. Nor
    is what a uri says, as where a file is called after its first line: uris stay.
    """
    ids = pa.array(sorted(doc_ids), pa.string())
    own = [
        text
        for batch in _texts(store, corpus, ids, theirs=True)
        for column in batch.columns
        for text in column.to_pylist()
        if text
    ]
    words = {word for text in own for word in _WORD.findall(text.casefold())}

    def others() -> Iterator[bytes]:
        for name in sorted({corpus, *corpora(store)}):
            for batch in _texts(store, name, ids, theirs=False):
                for column in batch.columns:
                    yield from text_bytes(column)

    for content in others() if words else ():
        words.difference_update(_WORD.findall(content.decode("utf-8", "replace").casefold()))
    texts = [
        text
        for batch in _rows(store, "documents", corpus, ["doc_id", "text"], ids, theirs=True)
        for text in batch["text"].to_pylist()
        if text
    ]
    found = Fingerprints.of([*texts, *_around(own, words)]) | known
    return found.without(chain(others(), _uris(store))), words


def _uris(store: Store) -> Iterator[bytes]:
    for name in corpora(store):
        for batch in store.batches("documents", name, ["uri"]):
            yield "\n".join(batch["uri"].to_pylist()).encode()


def _around(texts: Sequence[str], words: Collection[str]) -> Iterator[str]:
    """Gives the stretches of `texts` of which every fingerprint holds a part of one of `words`."""
    for text in texts:
        for match in _WORD.finditer(text):
            if match[0].casefold() in words:
                yield text[max(0, match.start() - _BESIDE) : match.end() + _BESIDE]


def says_one_of(text: str, words: Collection[str]) -> bool:
    """Tells whether one of the `words`, in lower case, stands in `text`."""
    return any(word in words for word in _WORD.findall(text.casefold()))


def corpora(store: Store) -> list[str]:
    """Gives the corpora that have documents."""
    if "documents" not in store.tables():
        return []
    with store.reader() as connection:
        found = connection.execute("select distinct corpus from documents order by 1").fetchall()
    return [name for (name,) in found]


def _texts(store: Store, corpus: str, ids: pa.Array, theirs: bool) -> Iterator[pa.RecordBatch]:
    """Gives all that is said in tables and releases by the documents `ids`, or by all others."""
    yield from _rows(store, "documents", corpus, ["doc_id", "text"], ids, theirs, ["text"])
    chunks = chunks_of(store, corpus, ids)
    for table, column in (("generations", "output"), ("round_trips", "answer")):
        columns = ["chunk_id", column]
        yield from _rows(store, table, corpus, columns, chunks, theirs, [column])
    columns = ["doc_id", "input", "output"]
    yield from _rows(store, "tasks", corpus, columns, ids, theirs, columns[1:])
    for _, batch in release_batches(store, corpus, columns):
        yield _chosen(batch, ids, theirs, columns[1:])


def chunks_of(store: Store, corpus: str, doc_ids: pa.Array) -> pa.Array:
    """Gives the ids of the passages of documents.

    Those too that `tasks` still names: where a refresh ended after `chunks`, `generations` has rows
    about an earlier text.
    """
    columns = ["doc_id", "chunk_id"]
    pieces = [
        batch["chunk_id"]
        for table in ("chunks", "tasks")
        for batch in _rows(store, table, corpus, columns, doc_ids, theirs=True)
    ]
    return pa.concat_arrays([pa.array([], pa.string()), *pieces]).unique()


def _rows(
    store: Store,
    table: str,
    corpus: str,
    columns: list[str],
    ids: pa.Array,
    theirs: bool,
    shown: list[str] | None = None,
) -> Iterator[pa.RecordBatch]:
    """Gives the rows of a table whose first column is among `ids`, or those whose is not."""
    if store.exists(table, corpus):
        for batch in store.batches(table, corpus, columns):
            yield _chosen(batch, ids, theirs, shown or columns)


def _chosen(
    batch: pa.RecordBatch, ids: pa.Array, theirs: bool, shown: Sequence[str]
) -> pa.RecordBatch:
    mask = pc.is_in(batch.column(0), value_set=ids)
    select: Callable[[pa.Array], pa.Array] = (lambda m: m) if theirs else pc.invert
    return batch.filter(select(mask)).select(list(shown))
