"""Where a row comes from, and what came of a document: one question over all tables and releases.

Backward: a published row, its verdicts, the generation with its prompt, the passage, the document.
Forward: from a document or a passage to its rows, the releases and the tuned models that saw it.
Terminal, JSON and the Dagster job show the same `Trace`.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import islice
from typing import Any

from bonito_assets import tables
from bonito_assets.catalogue import TASK_TYPES
from bonito_assets.generation.prompts import prompt
from bonito_assets.generation.requests import request_key, seed_of
from bonito_assets.lineage.lookup import RowFile, table_file, table_files
from bonito_assets.lineage.trace_forward import Release, models, release_files, releases
from resources.generation_cache import GenerationCache
from resources.store import Store

# Shown of a document on either side of the passage, in code points.
CONTEXT_CHARS = 200
# Enough of an id to be the only one that begins so: among a million ids two share their first 8
# digits with a chance of 0.02 % for a given one (10^6 / 16^8).
_LEAST_DIGITS = 8
_DIGITS = 32
# Of what came of a document, enough for a screen.
MOST_LISTED = 20
# Corpora that a message names.
_NAMED = 10
_ID = re.compile(f"[0-9a-f]{{{_LEAST_DIGITS},{_DIGITS}}}")

DOCUMENT, PASSAGE, ROW, REQUEST = "document", "passage", "row", "request"
# Where ids stand, by what they are the ids of; the commonest question first.
_IDS = (
    (ROW, "generations", "generation_id"),
    (PASSAGE, "chunks", "chunk_id"),
    (DOCUMENT, "documents", "doc_id"),
    (REQUEST, "generations", "request_key"),
    (REQUEST, "round_trips", "request_key"),
    (ROW, "curated_tasks", "generation_id"),
)
COLUMNS = {ROW: "generation_id", PASSAGE: "chunk_id", DOCUMENT: "doc_id", REQUEST: "request_key"}

_DOCUMENT_COLUMNS = (
    "doc_id", "uri", "title", "media_type", "license", "n_chars", "content_sha256", "error",
    "warning", "rejected_because",
)  # fmt: skip
_PASSAGE_COLUMNS = (
    "chunk_id", "doc_id", "uri", "position", "start_char", "end_char", "heading_path", "units",
    "n_tokens", "text", "rejected_because",
)  # fmt: skip
_GENERATION_COLUMNS = (
    "generation_id", "request_key", "chunk_id", "task_type", "sample", "output", "finish_reason",
    "prompt_tokens", "output_tokens", "mean_logprob", "model", "model_fingerprint", "sampling",
    "task_name", "run_id", "created_at", "rejected_because",
)  # fmt: skip
_PLACE_COLUMNS = ("chunk_id", "position", "start_char", "end_char", "rejected_because")
_ROUND_TRIP_COLUMNS = ("answer", "agreement")
_LISTED = ("generation_id", "chunk_id", "task_type", "input", "output", "label", "rejected_because")


class TraceError(ValueError):
    """There is no such id, or more than one; the message says what was searched."""


@dataclass(frozen=True)
class Listed:
    """What came of a document, passage or request: how many, by verdict, and the first of them."""

    total: int
    verdicts: dict[str, int]
    shown: list[dict[str, Any]]


@dataclass(frozen=True)
class Trace:
    """One id and all that is known of it; what does not apply or is not there is None.

    ``kind`` is ``document``, ``passage``, ``row`` (a generation, published or not) or ``request``.
    ``verdicts`` has an entry per stage. ``passages`` and ``rows`` are what was made of it,
    ``gone`` the rows that only releases still hold, ``notes`` sentences on what is not known.
    """

    id: str
    kind: str
    corpus: str | None
    row: dict[str, Any] | None = None
    verdicts: list[dict[str, Any]] = field(default_factory=list)
    generation: dict[str, Any] | None = None
    passage: dict[str, Any] | None = None
    document: dict[str, Any] | None = None
    passages: Listed | None = None
    rows: Listed | None = None
    gone: Listed | None = None
    releases: list[dict[str, Any]] = field(default_factory=list)
    models: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """Gives the trace as one JSON object."""
        return asdict(self)


@dataclass(frozen=True)
class _Found:
    """What an id turned out to be, and in which corpus; None for an output of the cache alone."""

    id: str
    kind: str
    corpus: str | None


def trace(store: Store, asked: str, most: int | None = MOST_LISTED) -> Trace:
    """Gives what is known of the id `asked`, whole or its first 8 digits or more.

    Of what came of it at most `most` entries are listed, None = all. Raises ``TraceError`` for an
    id that is not there and for a beginning that more than one id has.
    """
    found = find(store, asked)
    if found.corpus is None:
        return _cached(store, found)
    if found.kind == ROW:
        return _Tables(store, found.corpus).row(found)
    if found.kind == REQUEST:
        return _Tables(store, found.corpus).request(found, most)
    return _Tables(store, found.corpus).made_of(found, most)


def find(store: Store, asked: str) -> _Found:
    """Gives the one id that `asked` means; raises ``TraceError`` as ``trace`` does."""
    digits = asked.strip().lower()
    if not _ID.fullmatch(digits):
        raise TraceError(
            f"'{asked}' is no id: give the {_DIGITS} hexadecimal digits of a generation_id, "
            f"chunk_id, doc_id or request_key, or the first {_LEAST_DIGITS} of them at least"
        )
    is_whole = len(digits) == _DIGITS
    found: dict[str, _Found] = {}
    for kind, file, column in _places(store):
        if is_whole:
            if file.holds(column, digits):
                return _Found(digits, kind, file.corpus)
        else:
            for one in sorted(file.beginning_with(column, digits)):
                found.setdefault(one, _Found(one, kind, file.corpus))
        if len(found) > 1:
            ids = " and ".join(f"{one.id} ({one.kind})" for one in found.values())
            raise TraceError(f"more than one id begins with '{digits}': {ids}; give more digits")
    if found:
        return next(iter(found.values()))
    if is_whole and GenerationCache(store).find([[digits]]).present[0]:
        return _Found(digits, REQUEST, None)
    corpora = sorted({file.corpus for file in table_files(store, "documents")})
    names = ", ".join(corpora[:_NAMED]) + (", …" if len(corpora) > _NAMED else "")
    raise TraceError(
        f"no id {'is' if is_whole else 'begins with'} '{digits}': documents, passages, generations "
        f"and requests of {len(corpora):,} corpora ({names or 'none has been refreshed yet'}) and "
        f"their releases{' and the cache of outputs' if is_whole else ''} were searched in "
        f"{store.root}"
    )


def _places(store: Store) -> Iterable[tuple[str, RowFile, str]]:
    """Gives each file and column in which an id may stand, the tables before the releases."""
    for kind, table, column in _IDS:
        for file in table_files(store, table):
            yield kind, file, column
    for file in release_files(store):
        for kind in (ROW, PASSAGE, DOCUMENT):
            yield kind, file, COLUMNS[kind]


class _Tables:
    """The tables of one corpus, each of which may be missing."""

    def __init__(self, store: Store, corpus: str) -> None:
        self._store, self._corpus = store, corpus
        names = (*tables.SCHEMAS, "round_trips")
        self._files = {name: table_file(store, name, corpus) for name in names}
        self._notes: list[str] = []

    def row(self, found: _Found) -> Trace:
        """Gives a generation and what it was made from, with the releases that hold it."""
        held = releases(self._store, self._corpus, "generation_id", found.id)
        generation, near = self._one("generations", "generation_id", found.id, _GENERATION_COLUMNS)
        task, _ = self._one("tasks", "generation_id", found.id, tables.TASKS.names, near)
        columns = tables.CURATED_TASKS.names
        curated, _ = self._one("curated_tasks", "generation_id", found.id, columns, near)
        other, _ = self._one("round_trips", "generation_id", found.id, _ROUND_TRIP_COLUMNS, near)
        published = held[0].rows(1)[0] if held else None
        row = curated or task
        if row is None and published is not None:
            row = published
        self._note_what_is_gone(generation, held)
        known = generation or row or {}
        passage, document = self._source(known.get("chunk_id"), known.get("doc_id"), near)
        shown = None if generation is None else self._generation(generation, passage)
        if row is not None:
            row = {**row, "round_trip_answer": (other or {}).get("answer")}
            del row["rejected_because"]
        stages = {"documents": document, "chunks": passage, "generations": generation,
                  "tasks": task, "curated_tasks": curated}  # fmt: skip
        return Trace(
            found.id,
            ROW,
            self._corpus,
            row=row,
            verdicts=_verdicts(stages),
            generation=shown,
            passage=passage,
            document=document,
            releases=[release.as_json() for release in held],
            models=models(self._store, self._corpus, held, passage is not None, found.id),
            notes=self._notes,
        )

    def request(self, found: _Found, most: int | None) -> Trace:
        """Gives the first row that a request was made for, and the list of all of them."""
        for name in ("generations", "round_trips"):
            file = self._files[name]
            places = file.places("request_key", [found.id]) if file else []
            if places:
                ids = [row["generation_id"] for row in file.rows(places, ("generation_id",))]
                first = self.row(_Found(ids[0], ROW, self._corpus))
                if name == "round_trips":
                    first.notes.append("the request put the question of this row to another model")
                rows, _ = self._rows("generation_id", ids, most)
                return replace(first, id=found.id, kind=REQUEST, rows=rows)
        raise TraceError(f"request {found.id} was taken out of the tables a moment ago; ask again")

    def made_of(self, found: _Found, most: int | None) -> Trace:
        """Gives a document or passage, and all that came of it."""
        column = COLUMNS[found.kind]
        held = releases(self._store, self._corpus, column, found.id)
        passage, passages = None, None
        if found.kind == PASSAGE:
            passage, document = self._source(found.id, None, 0.5)
            chunk_ids = [found.id]
        else:
            document = self._document(found.id, 0.5)
            file = self._files["chunks"]
            places = file.places("doc_id", [found.id]) if file else []
            known = file.rows(places, _PLACE_COLUMNS) if file else []
            passages, chunk_ids = _listed(known, most), [row["chunk_id"] for row in known]
        is_read = passage is not None or bool(passages and passages.verdicts.get("accepted"))
        if self._files["curated_tasks"] or self._files["tasks"]:
            rows, ids = self._rows(column, [found.id], most)
        else:  # a generation names its passage alone
            rows, ids = self._rows("chunk_id", chunk_ids, most)
        return Trace(
            found.id,
            found.kind,
            self._corpus,
            verdicts=_verdicts({"documents": document, "chunks": passage}),
            passage=passage,
            document=document,
            passages=passages,
            rows=rows,
            gone=self._gone(held, ids, most),
            releases=[release.as_json() for release in held],
            models=models(
                self._store,
                self._corpus,
                held,
                is_read,
                doc_id=found.id if found.kind == DOCUMENT else None,
            ),
            notes=self._notes,
        )

    def _one(
        self, table: str, column: str, value: str | None, columns: Sequence[str], near: float = 0.5
    ) -> tuple[dict[str, Any] | None, float]:
        """Gives the row of `table` with `value` in `column`, and how far into it that stands."""
        file = self._files[table]
        place = file.place(column, value, near) if file is not None and value else None
        if file is None or place is None:
            return None, near
        return file.row(place, columns), file.share(place)

    def _source(
        self, chunk_id: str | None, doc_id: str | None, near: float
    ) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
        """Gives the passage in its context, and its document."""
        passage, near = self._one("chunks", "chunk_id", chunk_id, _PASSAGE_COLUMNS, near)
        doc_id = passage["doc_id"] if passage else doc_id
        document = self._document(doc_id, near, with_text=passage is not None)
        if passage is None:
            if chunk_id:
                self._notes.append(f"passage {chunk_id} is no longer in the table chunks")
            return None, document
        text = (document or {}).pop("text", None) or ""
        start, end = passage["start_char"], passage["end_char"]
        if text[start:end] == passage["text"]:
            passage["before"] = text[max(0, start - CONTEXT_CHARS) : start]
            passage["after"] = text[end : end + CONTEXT_CHARS]
        else:
            passage["before"] = passage["after"] = None
            if document is not None:
                self._notes.append("the document has changed since this passage was cut from it")
        return passage, document

    def _document(
        self, doc_id: str | None, near: float, with_text: bool = False
    ) -> dict[str, Any] | None:
        columns = (*_DOCUMENT_COLUMNS, "text") if with_text else _DOCUMENT_COLUMNS
        document, _ = self._one("documents", "doc_id", doc_id, columns, near)
        if document is None and doc_id:
            self._notes.append(f"document {doc_id} is no longer in the table documents")
        return document

    def _generation(self, row: dict[str, Any], passage: dict[str, Any] | None) -> dict[str, Any]:
        """Gives a row of `generations` with its prompt, put together again and verified."""
        row = dict(row)
        task_name = row.pop("task_name") or TASK_TYPES.get(row["task_type"])
        sampling = row["sampling"]
        row["sampling"] = None if sampling is None else json.loads(sampling)
        is_seeded = (row["sampling"] or {}).get("reproducible", False)
        row["seed"] = seed_of(row["request_key"]) if is_seeded else None
        row["prompt"], row["prompt_is_verified"] = None, False
        if passage is not None and task_name is not None:
            row["prompt"] = prompt(passage["text"], task_name)
            if sampling is not None:
                key = request_key(row["prompt"], row["model_fingerprint"], sampling, row["sample"])
                row["prompt_is_verified"] = key == row["request_key"]
        if not row["prompt_is_verified"]:
            self._notes.append(
                "the prompt could not be checked against its request_key"
                + (": refresh generations, which costs nothing, and ask again"
                   if sampling is None else "")
            )  # fmt: skip
        if row["run_id"] is None and row["output"] is not None:
            self._notes.append("the run that paid for the output was not written down at its time")
        row["run_path"] = None if row["run_id"] is None else run_path(row["run_id"])
        row["created_at"] = row["created_at"] and row["created_at"].isoformat()
        return row

    def _rows(
        self, column: str, values: Sequence[str], most: int | None
    ) -> tuple[Listed, set[str]]:
        """Gives the rows with one of `values`, by the last stage that has them, and their ids.

        Their texts are read for those that are listed alone.
        """
        for name in ("curated_tasks", "tasks", "generations"):
            if (file := self._files[name]) is not None:
                places = file.places(column, values)
                known = file.rows(places, ("generation_id", "rejected_because"))
                listed = Listed(len(known), _counted(known), file.rows(places[:most], _LISTED))
                return listed, {row["generation_id"] for row in known}
        return Listed(0, {}, []), set()

    def _gone(self, held: Sequence[Release], ids: set[str], most: int | None) -> Listed | None:
        """Gives the rows of releases that the tables no longer hold."""
        gone: dict[str, dict[str, Any]] = {}
        for release in held:
            for row in release.rows(None, ("generation_id", "chunk_id", "task_type")):
                if row["generation_id"] not in ids:
                    entry = gone.setdefault(row["generation_id"], {**row, "versions": []})
                    entry["versions"].append(release.version)
        return Listed(len(gone), {}, list(islice(gone.values(), most))) if gone else None

    def _note_what_is_gone(
        self, generation: dict[str, Any] | None, held: Sequence[Release]
    ) -> None:
        if generation is None:
            text = "the tables no longer hold this row: the corpus has been refreshed since"
            if held:
                text += "; instruction and answer are those of the release, its prompt is not known"
            self._notes.append(text)


def run_path(run_id: str) -> str:
    """Gives the path of a run in the Dagster UI."""
    return f"/runs/{run_id}"


def _verdicts(stages: dict[str, dict[str, Any] | None]) -> list[dict[str, Any]]:
    return [
        {
            "stage": stage,
            "rejected_because": (code := row["rejected_because"]),
            "meaning": None if code is None else tables.REJECTIONS.get(code),
        }
        for stage, row in stages.items()
        if row is not None
    ]


def _listed(rows: Sequence[dict[str, Any]], most: int | None) -> Listed:
    return Listed(len(rows), _counted(rows), list(rows[:most]))


def _counted(rows: Sequence[dict[str, Any]]) -> dict[str, int]:
    return dict(Counter(row["rejected_because"] or "accepted" for row in rows).most_common())


def _cached(store: Store, found: _Found) -> Trace:
    """Gives an output that only the cache still holds."""
    [row] = GenerationCache(store).find([[found.id]]).rows(0, 1).to_pylist()
    sampling, run_id = row.pop("sampling"), row["run_id"]
    generation = {
        "request_key": row.pop("key"),
        "model_fingerprint": row.pop("model"),
        **row,
        "sampling": None if sampling is None else json.loads(sampling),
        "run_path": None if run_id is None else run_path(run_id),
        "created_at": row["created_at"].isoformat(),
    }
    note = "no table holds a row of this request: its output stands in the cache alone"
    return Trace(found.id, REQUEST, None, generation=generation, notes=[note])
