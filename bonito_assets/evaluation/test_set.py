"""The labelled test set of a corpus, read strictly: a wrong row is an error, never skipped."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq

from bonito_assets.catalogue import Evaluation
from resources.secrets import expand

CHOICE = "choice_f1"


class TestSetError(ValueError):
    """The test set cannot be read: the message names file, row, key and remedy."""

    __test__ = False  # pytest would take the class for a collection of tests


@dataclass(frozen=True)
class Question:
    """One row of a test set. `label` is one of `choices`; both are empty for metric ``squad``."""

    id: str
    context: str
    question: str
    answers: tuple[str, ...] = ()
    label: str = ""
    choices: tuple[str, ...] = ()


@dataclass(frozen=True)
class TestSet:
    """The questions that are scored, where they were read, and the digest of that file."""

    __test__ = False

    questions: list[Question]
    path: str
    sha256: str


def read_test_set(path: str, evaluation: Evaluation) -> TestSet:
    """Reads JSONL or Parquet (``.gz`` too) from a local path or fsspec URL.

    Raises ``TestSetError`` for a file that is not there and for the first wrong row.
    """
    try:
        with fsspec.open(expand(path), "rb") as file:
            raw = file.read()
    except (OSError, ImportError, ValueError) as error:
        raise TestSetError(
            f"{path}: cannot be read ({error}); correct evaluation.test in the catalogue file"
        ) from error
    questions: list[Question] = []
    seen: dict[str, int] = {}
    for number, row in rows(path, raw):
        question = _question(f"{path}: row {number}", row, evaluation.metric)
        if question.id in seen:
            raise TestSetError(
                f"{path}: row {number}: key 'id': '{question.id}' stands in row "
                f"{seen[question.id]} too; give every question an id of its own"
            )
        seen[question.id] = number
        questions.append(question)
        if evaluation.limit and len(questions) == evaluation.limit:
            break
    if not questions:
        raise TestSetError(f"{path}: holds no rows; add questions or remove 'evaluation'")
    return TestSet(questions, path, hashlib.sha256(raw).hexdigest())


def rows(path: str, raw: bytes) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Gives the rows with their numbers from 1; of JSONL these are the line numbers."""
    name = path
    if name.endswith(".gz"):
        name = name.removesuffix(".gz")
        try:
            raw = gzip.decompress(raw)
        except (OSError, EOFError, zlib.error) as error:
            raise TestSetError(f"{path}: is no whole gzip file ({error}); write it anew") from error
    if name.endswith(".parquet"):
        try:
            rows = pq.read_table(io.BytesIO(raw)).to_pylist()
        except (pa.ArrowException, OSError) as error:
            raise TestSetError(f"{path}: is no Parquet file ({error}); write it anew") from error
        yield from enumerate(rows, start=1)
    elif name.endswith(".jsonl"):
        yield from _json_lines(path, raw)
    else:
        raise TestSetError(
            f"{path}: is neither .jsonl nor .parquet (nor one of them with .gz); convert it"
        )


def _json_lines(path: str, raw: bytes) -> Iterator[tuple[int, Mapping[str, Any]]]:
    for number, line in enumerate(raw.split(b"\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line.decode("utf-8-sig"))
        except (ValueError, RecursionError) as error:  # JSON, UTF-8, and lists in lists in lists
            raise TestSetError(
                f"{path}: row {number}: is no JSON in UTF-8 ({error}); write one object per line"
            ) from error
        if not isinstance(row, dict):
            raise TestSetError(f"{path}: row {number}: is no JSON object; write one per line")
        yield number, row


def _question(where: str, row: Mapping[str, Any], metric: str) -> Question:
    common = {
        "id": str(row["id"]) if isinstance(row.get("id"), int) else _text(where, row, "id"),
        "context": _text(where, row, "context", may_be_empty=True),
        "question": _text(where, row, "question"),
    }
    if metric != CHOICE:
        return Question(**common, answers=_texts(where, row, "answers", at_least=1))
    label = _text(where, row, "label")
    choices = _texts(where, row, "choices", at_least=2)
    if len(set(choices)) < len(choices):
        raise TestSetError(f"{where}: key 'choices': an entry stands twice; list each label once")
    if label not in choices:
        raise TestSetError(
            f"{where}: key 'label': '{label}' is not one of the choices {', '.join(choices)}; "
            "add it to 'choices' or correct the label"
        )
    return Question(**common, label=label, choices=choices)


def _text(where: str, row: Mapping[str, Any], key: str, may_be_empty: bool = False) -> str:
    value = row.get(key)
    if isinstance(value, str) and (may_be_empty or value.strip()):
        return value.strip()
    raise TestSetError(f"{where}: key '{key}': {_found(row, key)}; it must be text{_hint(key)}")


def _texts(where: str, row: Mapping[str, Any], key: str, at_least: int) -> tuple[str, ...]:
    value = row.get(key)
    if (
        isinstance(value, list)
        and len(value) >= at_least
        and all(isinstance(entry, str) and entry.strip() for entry in value)
    ):
        return tuple(entry.strip() for entry in value)
    raise TestSetError(
        f"{where}: key '{key}': {_found(row, key)}; it must be a list of at least {at_least} "
        f"texts{_hint(key)}"
    )


def _found(row: Mapping[str, Any], key: str) -> str:
    return f"is {json.dumps(row[key], default=str)[:80]}" if key in row else "is missing"


def _hint(key: str) -> str:
    if key in ("label", "choices"):
        return ", or set evaluation.metric to squad for questions with free answers"
    if key == "answers":
        return ", or set evaluation.metric to choice_f1 for questions with choices"
    return ""
