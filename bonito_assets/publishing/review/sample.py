"""Which rows of a release a person is shown, and all there is to know of each of them.

The tables are read by DuckDB; only the chosen rows ever become Python objects.
"""

from __future__ import annotations

import hashlib
import itertools
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import duckdb

from bonito_assets.publishing.review.markup import embedded

# Enough to tell 90% good rows from 97%: the 95% interval of 60 kept rows is 8 points to a side.
ROWS_PER_TASK_TYPE = 100
_KEPT_SHARE = 0.6
# Rows that no model wrote anything for: one of them shows all there is to see.
_NEVER_WRITTEN = frozenset({"invalid_text", "too_long", "engine_error", "over_budget"})
# What is shown of the document on either side of a passage, in characters.
_CONTEXT_CHARS = 200
# The rest of a word at a cut; in a script without spaces there is none to be found.
_CUT_WORD = re.compile(r"\S{0,30}(?=\s)")
# No text is longer than this on the page; passages are 2,000 characters at most by default.
_MOST_CHARS = 8000
# A passage of a word or two stands in an instruction by chance.
_SHORTEST_FILLING = 20
SCORES = (
    "mean_logprob", "input_chars", "output_chars", "passage_chars", "lexical_overlap",
    "extractive_coverage", "extractive_density", "repetition", "round_trip",
)  # fmt: skip

# MD5 because it is the same in every version of DuckDB, which its `hash` is not.
_STRATA = """
    select task_type, rejected_because, count(*),
        arg_min(generation_id, md5($version || generation_id), $most)
    from curated_tasks where corpus = $corpus group by all
"""
_ROWS = """
    select generation_id, chunk_id, task_type, input, output, label, template, transductive,
        contaminated_by, duplicate_of, rejected_because,
        mean_logprob, input_chars, output_chars, passage_chars, lexical_overlap,
        extractive_coverage, extractive_density, repetition, round_trip
    from curated_tasks
    where corpus = $corpus and generation_id in (select unnest($ids))
"""
_OUTPUTS = """
    select generation_id, output, sample, finish_reason, output_tokens from generations
    where corpus = $corpus and generation_id in (select unnest($ids))
"""
# Strings are counted from 1 in SQL, offsets from 0.
_PASSAGES = """
    select c.chunk_id, c.doc_id, c.text, c.start_char, c.end_char, c.heading_path, d.title,
        coalesce(d.uri, c.uri) as uri,
        substring(d.text, greatest(c.start_char - $context, 0) + 1,
            least(c.start_char, $context)) as before,
        substring(d.text, c.end_char + 1, $context) as after
    from chunks c left join documents d on d.corpus = $corpus and d.doc_id = c.doc_id
    where c.corpus = $corpus and c.chunk_id in (select unnest($ids))
"""


def places(counts: Mapping[str | None, int], most: int) -> list[str | None]:
    """Gives the verdicts of the rows to show, `most` at most, the most telling place first.

    Three of five places are for kept rows (verdict None), the others for rejected ones; what one
    side cannot fill, the other does. The rejected places are dealt out by the method of
    Huntington and Hill over the square roots of the counts: each verdict has a place before any
    has two, and a common one has more than a rare one. Any beginning of the list is such a sample.
    """
    left = {v: min(n, 1) if v in _NEVER_WRITTEN else n for v, n in counts.items() if n > 0}
    given: dict[str | None, int] = dict.fromkeys(left, 0)
    chosen: list[str | None] = []
    while len(chosen) < most:
        open_ = [v for v in left if given[v] < left[v]]
        rejected = [v for v in open_ if v is not None]
        kept_is_due = given.get(None, 0) < _KEPT_SHARE * (len(chosen) + 1)
        if None in open_ and (kept_is_due or not rejected):
            verdict = None
        elif rejected:
            verdict = min(rejected, key=lambda v: (-_claim(counts[v], given[v]), v))
        else:
            break
        given[verdict] += 1
        chosen.append(verdict)
    return chosen


def _claim(count: int, given: int) -> float:
    """Gives how much a verdict with `given` places deserves another."""
    return math.sqrt(count / (given * (given + 1))) if given else math.inf


class Sample:
    """The rows of one corpus that are shown, drawn by the release `version` and nothing else.

    With ``context`` false the text around passages stays out.
    """

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        corpus: str,
        version: str,
        context: bool = True,
        most: int = ROWS_PER_TASK_TYPE,
    ) -> None:
        self._connection = connection
        self._corpus = corpus
        self._version = version
        self._context = _CONTEXT_CHARS if context else 0
        self.counts: dict[str, dict[str | None, int]] = {}
        drawn: dict[str, dict[str | None, list[str]]] = {}
        asked = {"corpus": corpus, "version": version, "most": most}
        for task_type, verdict, n, ids in connection.execute(_STRATA, asked).fetchall():
            self.counts.setdefault(task_type, {})[verdict] = n
            drawn.setdefault(task_type, {})[verdict] = ids
        self._order = {
            task_type: _ids(places(self.counts[task_type], most), drawn[task_type])
            for task_type in sorted(self.counts)
        }

    def rows(self, most_bytes: int) -> tuple[list[dict[str, Any]], dict[str, dict[str, Any]]]:
        """Gives the rows, and by chunk_id their passages, of `most_bytes` of text together.

        Where there is more, the task types give way evenly, the least telling rows first. Rows
        stand by task type and in it by chance, so that their order tells nothing of the verdict. A
        duplicate has the row that was kept in its place under ``kept``.
        """
        rows, passages = self._look_up()
        held: list[dict[str, Any]] = []
        used: dict[str, dict[str, Any]] = {}
        room = most_bytes
        in_turn = itertools.zip_longest(*self._order.values())
        for row in (rows[i] for rank in in_turn for i in rank if i is not None):
            entry = _entry(row, passages)
            together = [row, row["kept"]] if "kept" in row else [row]
            if "kept" in row:
                entry["kept"] = _entry(row["kept"], passages)
            new = {
                chunk_id: _passage(passages[chunk_id])
                for chunk_id in (of["chunk_id"] for of in together)
                if chunk_id in passages and chunk_id not in used
            }
            room -= _size(entry) + sum(map(_size, new.values()))
            if room < 0:
                break
            held.append(entry)
            used |= new
        return self._arranged(held), used

    def _look_up(self) -> tuple[dict[str, dict[str, Any]], dict[str, dict[str, Any]]]:
        """Gives the chosen rows by generation_id and the passages by chunk_id, as tables hold them.

        What the model wrote for a row stands under ``generation``, the row that was kept in its
        place under ``kept``.
        """
        ids = [i for order in self._order.values() for i in order]
        rows = {row["generation_id"]: row for row in self._fetch(_ROWS, ids)}
        for generation in self._fetch(_OUTPUTS, ids):
            rows[generation["generation_id"]]["generation"] = generation
        duplicates = [row for row in rows.values() if row["duplicate_of"]]
        ids = [row["duplicate_of"] for row in duplicates]
        kept = {row["generation_id"]: row for row in self._fetch(_ROWS, ids)}
        for row in duplicates:
            if row["duplicate_of"] in kept:
                row["kept"] = kept[row["duplicate_of"]]
        ids = [row["chunk_id"] for row in (*rows.values(), *kept.values())]
        found = self._fetch(_PASSAGES, ids, context=self._context)
        return rows, {passage["chunk_id"]: passage for passage in found}

    def _arranged(self, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        def by_chance(row: dict[str, Any]) -> tuple[str, str]:
            drawn = f"order:{self._version}{row['id']}".encode()
            return row["task_type"], hashlib.sha256(drawn).hexdigest()

        return sorted(rows, key=by_chance)

    def _fetch(self, query: str, ids: Iterable[str], **more: Any) -> list[dict[str, Any]]:
        asked = {"corpus": self._corpus, "ids": sorted(set(ids)), **more}
        return self._connection.sql(query, params=asked).to_arrow_table().to_pylist()


def _ids(verdicts: Sequence[str | None], drawn: Mapping[str | None, list[str]]) -> list[str]:
    queues = {verdict: iter(ids) for verdict, ids in drawn.items()}
    return [next(queues[verdict]) for verdict in verdicts]


def _entry(row: Mapping[str, Any], passages: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Gives what the page shows of a row; its passage is taken out of the texts (`pieces`)."""
    passage = passages.get(row["chunk_id"])
    text = passage["text"] if passage else ""
    entry: dict[str, Any] = {
        "id": row["generation_id"],
        "chunk_id": row["chunk_id"],
        "task_type": row["task_type"],
        "verdict": row["rejected_because"],
        "label": row["label"],
        "instruction": pieces(row["input"], text),
        "answer": pieces(row["output"], text),
        "scores": {
            name: round(row[name], 3)
            for name in SCORES
            if row[name] is not None and math.isfinite(row[name])
        },
    }
    for name in ("template", "transductive", "contaminated_by", "duplicate_of"):
        if row[name]:
            entry[name] = row[name]
    if row["label"] is None and row["output"]:
        found = stretch(row["output"], text[:_MOST_CHARS])
        if found is not None:
            # Browsers count in units of UTF-16, in which a rare letter or a picture is two.
            entry["found"] = [_utf16(text[:place]) for place in found]
    generation = row.get("generation")
    if generation is not None:
        entry["sample"] = generation["sample"]
        entry["output_tokens"] = generation["output_tokens"]
        if row["input"] is None and generation["output"] is not None:
            entry["written"] = _cut(generation["output"])
            entry["finish_reason"] = generation["finish_reason"]
    return entry


def pieces(text: str | None, passage: str) -> list[str] | None:
    """Gives `text` in the pieces that stand around `passage`; one piece where that is not in it."""
    if text is None:
        return None
    filling = passage.strip()
    apart = len(filling) >= _SHORTEST_FILLING and filling in text
    return [_cut(piece) for piece in (text.split(filling) if apart else [text])]


def stretch(answer: str, passage: str) -> tuple[int, int] | None:
    """Gives where `answer` stands in `passage` as whole words, case and white space aside."""
    said = answer.strip(" \t\r\n.").split()
    if not said or passage.strip() == answer.strip():
        return None
    words = r"\s+".join(map(re.escape, said))
    found = re.search(rf"(?<!\w){words}(?!\w)", passage, flags=re.IGNORECASE)
    return found.span() if found else None


def before_passage(text: str) -> str:
    """Gives what stands before a passage from the first whole word on, where it was cut."""
    if len(text) < _CONTEXT_CHARS:
        return text
    rest = text[match.end() :] if (match := _CUT_WORD.match(text)) else text
    return f"… {rest.lstrip()}"


def after_passage(text: str) -> str:
    """Gives what stands after a passage up to the last whole word, where it was cut."""
    return before_passage(text[::-1])[::-1]


def _passage(found: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "doc_id": found["doc_id"],
        "title": found["title"] or "",
        "uri": found["uri"] or "",
        "headings": found["heading_path"] or [],
        "start": found["start_char"],
        "end": found["end_char"],
        "before": before_passage(found["before"] or ""),
        "text": _cut(found["text"]),
        "after": after_passage(found["after"] or ""),
    }


def _cut(text: str) -> str:
    if len(text) <= _MOST_CHARS:
        return text
    return f"{text[:_MOST_CHARS]} [… {len(text) - _MOST_CHARS:,} more characters]"


def _utf16(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2


def _size(entry: Mapping[str, Any]) -> int:
    return len(embedded(entry).encode("utf-8"))
