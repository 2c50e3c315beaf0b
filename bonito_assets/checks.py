"""Asset checks per corpus, what each result looks like, and the checks that every table shares.

A check that stops the run asks whether the data can be trusted: columns, books, nothing leaked. A
check that warns asks whether it is worth having. Every sentence says what was found, and where
something is wrong, what to do.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg
import pyarrow as pa
import pyarrow.parquet as pq

from bonito_assets import tables
from bonito_assets.books import Books
from bonito_assets.catalogue import corpora
from bonito_assets.metadata import capped, plain
from resources.store import Store

BOOKS_BALANCE = "books_balance"
SCHEMA = "schema_holds"
_ASKS_SCHEMA = "The written file has exactly the columns and types that its table promises."

# What a page of checks shows of each, and how many failing rows show the kind of fault.
_SENTENCE_CHARS = 1_000
_SHOWN_IDS = 5


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


def judged(
    check_name: str,
    passed: bool,
    sentence: str,
    numbers: Mapping[str, Any],
    warns: bool = False,
    failing_ids: Sequence[str] = (),
) -> dg.AssetCheckResult:
    """Gives the result of a check: a sentence of at most 1,000 characters, and its numbers.

    `numbers` have the same names at every refresh, so that Dagster draws them over time; of
    `failing_ids` the first five are shown. A check that `warns` stops nothing.
    """
    shown = dict(numbers)
    if failing_ids:
        shown["failing ids"] = ", ".join(failing_ids[:_SHOWN_IDS])
    return dg.AssetCheckResult(
        check_name=check_name,
        passed=passed,
        severity=dg.AssetCheckSeverity.WARN if warns else dg.AssetCheckSeverity.ERROR,
        description=plain(sentence)[:_SENTENCE_CHARS],
        metadata=capped(shown),
    )


# Books


def books_balance_spec(asset: str, upstream: str) -> dg.AssetCheckSpec:
    """Gives the specification of the check that no row was lost or doubled on the way."""
    return corpus_check(
        BOOKS_BALANCE, asset, f"Every row of {upstream} is here once, accepted or with a reason."
    )


def books_balance(expected: int, books: Books) -> dg.AssetCheckResult:
    """Judges that a table has `expected` rows with distinct ids, each with one published verdict.

    The books counted the rows as they were written, `expected` is counted where they came from.
    """
    problems = []
    if books.rows != expected:
        problems.append(f"{expected:,} rows were due and {books.rows:,} are here")
    if books.doubled:
        problems.append(f"{books.doubled:,} ids stand twice")
    unknown = sorted(set(books.verdicts) - {"accepted"} - set(tables.REJECTIONS))
    if unknown:
        problems.append(f"verdicts outside the published list: {', '.join(unknown)}")
    rejected = books.rows - books.accepted
    sentence = (
        f"{books.rows:,} rows: {books.accepted:,} accepted, {rejected:,} rejected with a reason"
    )
    if problems:
        sentence = f"{'; '.join(problems)}: materialize this asset again, and report it if it stays"
    numbers = {
        "rows due": expected,
        "rows examined": books.rows,
        "rows accepted": books.accepted,
        "rows doubled": books.doubled,
    }
    return judged(BOOKS_BALANCE, not problems, sentence, numbers)


# Columns


def schema_spec(asset: str) -> dg.AssetCheckSpec:
    """Gives the specification of the check on a table's columns and types."""
    return corpus_check(SCHEMA, asset, _ASKS_SCHEMA)


def schema_holds(store: Store, table: str, corpus: str, schema: pa.Schema) -> dg.AssetCheckResult:
    """Judges by its footer that `table` of `corpus`, as it lies there, has the columns of `schema`.

    No rows are read: Parquet cannot hold a null in a column that allows none. Raises
    ``FileNotFoundError`` when there is no such file.
    """
    with store.filesystem.open(store.table_path(table, corpus), "rb") as file:
        return schema_result([pq.read_schema(file)], schema)


def schema_result(found: Sequence[pa.Schema], promised: pa.Schema) -> dg.AssetCheckResult:
    """Judges that each schema `found` is the one that was `promised`."""
    problems = list(dict.fromkeys(p for one in found for p in schema_problems(one, promised)))
    sentence = f"{len(promised)} columns, all as promised"
    if problems:
        sentence = f"{'; '.join(problems)}: materialize this asset again with this version"
    numbers = {"columns examined": len(promised), "columns failed": len(problems)}
    return judged(SCHEMA, not problems, sentence, numbers)


def schema_problems(found: pa.Schema, promised: pa.Schema) -> list[str]:
    """Gives where a table's columns are not those that were promised, a sentence for each."""
    problems = [f"column {name} is missing" for name in promised.names if name not in found.names]
    problems += [f"column {name} is new" for name in found.names if name not in promised.names]
    for field in promised:
        if field.name not in found.names:
            continue
        here = found.field(field.name)
        if here.type != field.type:
            problems.append(f"column {field.name} is {here.type} and should be {field.type}")
        elif here.nullable and not field.nullable:
            problems.append(f"column {field.name} may hold nulls and should not")
    return problems
