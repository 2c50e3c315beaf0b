"""What came, went and changed between two releases of a dataset, row by row, and why."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import duckdb
import pyarrow.dataset as pads

from bonito_assets.publishing.release import RELEASES, SPLITS, data_files, history
from bonito_assets.publishing.rows import SCHEMA
from resources.store import Store

# Of an instruction the last ones, since its passage mostly stands before its question.
_SHOWN_CHARS = 200

# The tables hold the corpus as it is now, so they can say why a row is gone; of what they were at
# the old release there is only what it published, and the time at which each output was written.
_CHANGES = """
    create temp table changes as
    with old as (
        select *, 'train' as split from old_train union all by name
        select *, 'validation' as split from old_validation
    ),
    new as (
        select *, 'train' as split from new_train union all by name
        select *, 'validation' as split from new_validation
    ),
    asked as (from generations where corpus = $corpus),
    pairs as (
        select
            coalesce(n.generation_id, o.generation_id) as generation_id,
            coalesce(n.doc_id, o.doc_id) as doc_id,
            coalesce(n.chunk_id, o.chunk_id) as chunk_id,
            coalesce(n.task_type, o.task_type) as task_type,
            case
                when o.generation_id is null then 'added'
                when n.generation_id is null then 'removed'
                when o.text <> n.text then 'changed'
                when o.split <> n.split then 'moved'
            end as change
        from (select *, hash(input, output) as text from old) o
        full join (select *, hash(input, output) as text from new) n using (generation_id)
    )
    select p.generation_id, p.task_type,
        if(change = 'moved', 'changed', change) as change,
        case
            when change = 'moved' then 'moved_to_other_split'
            when change = 'changed' then 'read_anew'
            when change = 'added' then case
                when p.doc_id not in (select doc_id from old) then 'document_new'
                when p.chunk_id not in (select chunk_id from old) then 'passage_new'
                when p.task_type not in (select task_type from old) then 'task_type_new'
                when g.created_at <= $published_at::timestamptz then 'accepted_now'
                else 'generated_since'
            end
            when j.generation_id is not null
                then coalesce(j.rejected_because, 'accepted_again_since')
            when d.doc_id is null then 'document_gone'
            when d.rejected_because is not null then 'document: ' || d.rejected_because
            when k.chunk_id is null then 'passage_changed'
            when k.rejected_because is not null then 'passage: ' || k.rejected_because
            when exists (
                from asked a where a.chunk_id = p.chunk_id and a.task_type = p.task_type
            ) then 'generated_anew'
            else 'no_longer_asked_for'
        end as reason
    from pairs p
    left join asked g using (generation_id)
    left join curated_tasks j on j.corpus = $corpus and j.generation_id = p.generation_id
    left join documents d on d.corpus = $corpus and d.doc_id = p.doc_id
    left join chunks k on k.corpus = $corpus and k.chunk_id = p.chunk_id
    where change is not null
"""
_COUNTS = """
    select change, reason, task_type, count(*) as rows from changes
    group by all order by change, rows desc, reason, task_type
"""
_ROWS = """
    with shown as (
        from changes qualify row_number() over (partition by change order by generation_id) <= $most
    ),
    published as (
        from new_train union all from new_validation
        union all (from old_train where generation_id in (select generation_id from shown
            where change = 'removed'))
        union all (from old_validation where generation_id in (select generation_id from shown
            where change = 'removed'))
    )
    select s.change, s.reason, s.task_type, s.generation_id,
        right(p.input, $chars) as input, left(p.output, $chars) as output
    from shown s join published p using (generation_id)
    order by s.change, s.reason, s.generation_id
"""
# What each reason means, for people; a verdict's own sentence stands in `tables.REJECTIONS`.
REASONS = {
    "document_new": "the old release has no row of this document",
    "passage_new": "the old release has no row of this passage",
    "task_type_new": "the old release has no row of this task type",
    "accepted_now": "its output is older than the old release, which did not have it",
    "generated_since": "the model wrote it after the old release",
    "document_gone": "the document is no longer in the source",
    "passage_changed": "the document's text was edited or cut otherwise",
    "generated_anew": "the same is asked of the passage with another model or other sampling",
    "no_longer_asked_for": "the corpus no longer asks for this task type or sample",
    "accepted_again_since": "a later release has it again",
    "moved_to_other_split": "the same row in the other split",
    "read_anew": "the same output, read or assembled otherwise",
}


class DiffError(ValueError):
    """The two releases cannot be told apart or found; the message says which there are."""


@dataclass(frozen=True)
class Difference:
    """Two releases side by side; ``counts`` per change, reason and task type, ``rows`` capped.

    ``old`` and ``new`` have version, publication time and rows.
    """

    old: dict[str, Any]
    new: dict[str, Any]
    counts: list[dict[str, Any]]
    rows: list[dict[str, Any]]

    def total(self, change: str) -> int:
        """Gives the rows that were ``added``, ``removed`` or ``changed``."""
        return sum(entry["rows"] for entry in self.counts if entry["change"] == change)

    def as_json(self) -> dict[str, Any]:
        """Gives the difference as one JSON object, with the totals."""
        totals = {change: self.total(change) for change in ("added", "removed", "changed")}
        return {**asdict(self), "totals": totals}


def difference(
    store: Store, dataset: str, corpus: str, old: str | None, new: str | None, most_rows: int
) -> Difference:
    """Gives what changed from release `old` to `new`; without names, between the last two.

    Versions may be abbreviated. With one name, that release is compared with the newest. Reasons
    are those of the tables as they are now. At most `most_rows` rows of each change are shown.
    Raises ``DiffError`` for a version that is not there.
    """
    folder = store.published(dataset, corpus)
    if folder is None:
        raise DiffError(f"corpus '{corpus}' has no release yet: bonito run {corpus}")
    before, after = _chosen(history(folder), old, new)
    with store.reader() as connection:
        for side, entry in (("old", before), ("new", after)):
            files = data_files(folder / RELEASES / entry["version"])
            for split in SPLITS:
                # As Arrow datasets, since the connection is closed to files but the tables'.
                rows = pads.dataset(files[split]) if split in files else SCHEMA.empty_table()
                connection.register(f"{side}_{split}", rows)
        # A release that tells no time is older than any output.
        published_at = before.get("created_at", "0001-01-01T00:00:00+00:00")
        connection.execute(_CHANGES, {"corpus": corpus, "published_at": published_at})
        counts = _rows(connection.execute(_COUNTS))
        shown = connection.execute(_ROWS, {"most": most_rows, "chars": _SHOWN_CHARS})
        return Difference(_summary(before), _summary(after), counts, _rows(shown))


def _chosen(
    releases: list[dict[str, Any]], old: str | None, new: str | None
) -> tuple[dict[str, Any], dict[str, Any]]:
    if new is not None:
        return _named(releases, old), _named(releases, new)
    if old is not None:
        return _named(releases, old), releases[-1]
    if len(releases) < 2:
        raise DiffError(f"there is only one release yet: {releases[0]['version']}")
    # The one before is the one that the newest followed, which may lie further back by now.
    follows = releases[-1].get("follows") or releases[-2]["version"]
    return _named(releases, follows), releases[-1]


def _named(releases: list[dict[str, Any]], name: str | None) -> dict[str, Any]:
    found = [release for release in releases if release["version"].startswith(name or "")]
    if len(found) != 1:
        what = "no release begins with" if not found else "more than one release begins with"
        versions = ", ".join(release["version"] for release in releases)
        raise DiffError(f"{what} '{name}'; releases, oldest first: {versions}")
    return found[0]


def _summary(release: dict[str, Any]) -> dict[str, Any]:
    return {
        "version": release["version"],
        "created_at": release.get("created_at"),
        "rows": sum(release["splits"].values()),
    }


def _rows(asked: duckdb.DuckDBPyConnection) -> list[dict[str, Any]]:
    names = [column[0] for column in asked.description]
    return [dict(zip(names, row, strict=True)) for row in asked.fetchall()]
