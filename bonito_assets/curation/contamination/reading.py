"""The rows of a set that a corpus is compared with; it may lack all that scoring would need."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import fsspec

from bonito_assets.catalogue import Corpus
from bonito_assets.evaluation.test_set import TestSetError, rows
from resources.secrets import expand


@dataclass(frozen=True)
class Item:
    """One row of a set. Any part but the id may be empty; question and context never both."""

    id: str
    question: str = ""
    context: str = ""
    answers: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Source:
    """One set: its name, whether it is the corpus's own test set, its rows, its file's digest."""

    name: str
    own: bool
    items: list[Item]
    sha256: str


def read_sources(corpus: Corpus) -> list[Source]:
    """Gives the sets of `corpus`, its own test set first.

    A set is called by the name of its file, with as much of the path before it as tells it from
    the others. Raises ``TestSetError`` for a file that is not there and for the first wrong row.
    """
    named = [(corpus.evaluation.test, "evaluation.test")] if corpus.evaluation else []
    against = corpus.curation.decontaminate_against
    named += [(location, "curation.decontaminate_against") for location in against]
    named = [(corpus.path(location), key) for location, key in named]
    names = _names([path for path, _ in named])
    return [_source(names[path], path, key) for path, key in named]


def _names(paths: list[str]) -> dict[str, str]:
    """Gives each path's shortest end that no other path has."""
    names = {}
    for path in paths:
        parts = path.split("/")
        others = [other.split("/") for other in paths if other != path]
        size = 1
        while size < len(parts) and any(other[-size:] == parts[-size:] for other in others):
            size += 1
        names[path] = "/".join(parts[-size:])
    return names


def _source(name: str, path: str, key: str) -> Source:
    try:
        with fsspec.open(expand(path), "rb") as file:
            raw = file.read()
    except (OSError, ImportError, ValueError) as error:
        raise TestSetError(
            f"{path}: cannot be read ({error}); correct {key} in the catalogue file"
        ) from error
    items = [_item(f"{path}: row {number}", number, row) for number, row in rows(path, raw)]
    if not items:
        raise TestSetError(f"{path}: holds no rows; correct {key} in the catalogue file")
    return Source(name, key == "evaluation.test", items, hashlib.sha256(raw).hexdigest())


def _item(where: str, number: int, row: Mapping[str, Any]) -> Item:
    question = _text(where, row, "question")
    context = _text(where, row, "context") or _text(where, row, "text")
    if not (question or context):
        raise TestSetError(
            f"{where}: has neither 'question' nor 'context' nor 'text'; without one of them there "
            "is nothing to compare"
        )
    answers = (*_texts(where, row, "answers"), *_texts(where, row, "label"))
    id_ = str(number if row.get("id") is None else row["id"])
    choices = tuple(_texts(where, row, "choices"))
    try:
        # JSON can name half of a character, which is none and which no table can hold.
        "".join((id_, question, context, *answers, *choices)).encode("utf-8")
    except UnicodeEncodeError as error:
        half = f"\\u{ord(error.object[error.start]):04x}"
        raise TestSetError(
            f"{where}: holds half of a character ({half}); write the row anew from its source"
        ) from error
    return Item(id_, question, context, tuple(dict.fromkeys(answers)), choices)


def _text(where: str, row: Mapping[str, Any], key: str) -> str:
    value = row.get(key)
    if value is None or isinstance(value, str):
        return (value or "").strip()
    raise TestSetError(f"{where}: key '{key}': it must be text")


def _texts(where: str, row: Mapping[str, Any], key: str) -> Iterator[str]:
    """Gives the texts under `key`: one, a list of them, or such a list under ``text``."""
    value = row.get(key)
    if isinstance(value, Mapping):  # as SQuAD and ARC have them on the hub
        value = value.get("text")
    if value is None or isinstance(value, int):  # a number of a label says nothing by itself
        return
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise TestSetError(f"{where}: key '{key}': it must be text or a list of texts")
    yield from (text.strip() for text in texts if text.strip())
