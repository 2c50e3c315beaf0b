"""What a card tells of a corpus: counts, lengths and samples, out of its tables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from resources.store import Store

_KEPT_SHOWN = 2  # rows per task type
_REJECTED_SHOWN = 1  # rows per verdict

_COUNTS = """
    select task_type, rejected_because, label, coalesce(transductive, false) as transductive,
        split_part(contaminated_by, ': ', 1) as contaminated_by, count(*) as rows
    from curated_tasks where corpus = $corpus group by all order by all
"""
_LENGTHS = """
    select task_type, quantile_cont(input_chars, [0.05, 0.5, 0.95]) as input,
        quantile_cont(output_chars, [0.05, 0.5, 0.95]) as output
    from curated_tasks where corpus = $corpus and rejected_because is null
    group by task_type order by task_type
"""
# The smallest of ids that are digests are a fair sample, and the same one the next time.
_KEPT = """
    with chosen as (
        select unnest(min(generation_id, $shown)) as generation_id from curated_tasks
        where corpus = $corpus and rejected_because is null group by task_type
    )
    select task_type, label, input, output
    from curated_tasks semi join chosen using (generation_id)
    where corpus = $corpus order by task_type, generation_id
"""
_REJECTED = """
    with chosen as (
        select unnest(min(generation_id, $shown)) as generation_id from curated_tasks
        where corpus = $corpus and rejected_because is not null group by rejected_because
    )
    select c.rejected_because, c.task_type, g.output
    from curated_tasks c
    semi join chosen using (generation_id)
    join generations g on g.corpus = $corpus and g.generation_id = c.generation_id
    where c.corpus = $corpus order by c.rejected_because, c.generation_id
"""
_MODELS = """
    select model, count(*) as rows from generations
    where corpus = $corpus and model is not null group by model order by rows desc, model
"""
_LICENSES = """
    select license, count(*) as rows from documents
    where corpus = $corpus and license is not null group by license order by rows desc, license
"""
_MEDIA_TYPES = """
    select coalesce(media_type, 'not stated') as media_type, count(*) as rows from documents
    where corpus = $corpus group by all order by rows desc, media_type
"""


@dataclass(frozen=True)
class Facts:
    """What is known of the rows of a corpus before they are published.

    ``counts`` has an entry per task type, verdict, label, transductive and contaminating test set,
    with its number of rows; ``lengths`` the quantiles 5%, 50% and 95% in code points per task
    type; ``kept`` and ``rejected`` are rows to show.
    """

    counts: list[dict[str, Any]]
    lengths: list[dict[str, Any]]
    kept: list[dict[str, Any]]
    rejected: list[dict[str, Any]]
    models: dict[str, int]
    licenses: dict[str, int]
    media_types: dict[str, int]

    def by(self, *columns: str, **values: Any) -> dict[Any, int]:
        """Gives the rows per value of `columns` among those that have `values`, most first."""
        found: dict[Any, int] = {}
        for entry in self.counts:
            if all(entry[name] == value for name, value in values.items()):
                key = tuple(entry[name] for name in columns)
                key = key[0] if len(columns) == 1 else key
                found[key] = found.get(key, 0) + entry["rows"]
        return dict(sorted(found.items(), key=lambda item: (-item[1], str(item[0]))))


def facts(store: Store, corpus: str) -> Facts:
    """Gives the facts of `corpus` from its tables."""
    with store.reader() as connection:

        def ask(query: str, **values: Any) -> list[dict[str, Any]]:
            asked = connection.execute(query, {"corpus": corpus, **values})
            names = [column[0] for column in asked.description]
            return [dict(zip(names, row, strict=True)) for row in asked.fetchall()]

        def count(query: str) -> dict[str, int]:
            return dict(tuple(row.values()) for row in ask(query))

        return Facts(
            counts=ask(_COUNTS),
            lengths=ask(_LENGTHS),
            kept=ask(_KEPT, shown=_KEPT_SHOWN),
            rejected=ask(_REJECTED, shown=_REJECTED_SHOWN),
            models=count(_MODELS),
            licenses=count(_LICENSES),
            media_types=count(_MEDIA_TYPES),
        )
