"""Asset checks per corpus, and the rule that every check of the books applies."""

from __future__ import annotations

import warnings

import dagster as dg

from bonito_assets.books import Books
from bonito_assets.catalogue import corpora

BOOKS_BALANCE = "books_balance"


def corpus_check(
    name: str, asset: str, description: str, blocking: bool = True
) -> dg.AssetCheckSpec:
    """Gives a check that is judged for each corpus by itself; a blocking one stops the run.

    Without ``partitions_def`` one good corpus would open the gate for a bad one. Dagster 1.13
    marks that parameter as a preview; it is pinned exactly, so the notice is silenced here only.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", category=dg.PreviewWarning)
        return dg.AssetCheckSpec(
            name=name,
            asset=asset,
            description=description,
            blocking=blocking,
            partitions_def=corpora,
        )


def books_balance_spec(asset: str, upstream: str) -> dg.AssetCheckSpec:
    """Gives the specification of the check that no row was lost or doubled on the way."""
    return corpus_check(
        BOOKS_BALANCE, asset, f"Every row of {upstream} is here once, accepted or with a reason."
    )


def books_balance(expected: int, books: Books) -> dg.AssetCheckResult:
    """Judges that a table has `expected` rows with distinct ids, each with one verdict."""
    problems = []
    if books.rows != expected:
        problems.append(f"{expected:,} rows were due and {books.rows:,} are here")
    if books.doubled:
        problems.append(f"{books.doubled:,} ids stand twice")
    rejected = books.rows - books.accepted
    sentence = (
        f"{books.rows:,} rows: {books.accepted:,} accepted, {rejected:,} rejected with a reason"
    )
    return dg.AssetCheckResult(
        passed=not problems,
        check_name=BOOKS_BALANCE,
        description="; ".join(problems) or sentence,
        metadata={"rows due": expected, "rows here": books.rows, "accepted": books.accepted},
    )
