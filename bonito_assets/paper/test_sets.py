"""The paper's test sets: fetched from the hub and put into the form that `evaluation` reads.

They are configurations of ``BatsResearch/bonito-experiment-eval``; the columns are those that the
authors' templates name. Labels are the words that Bonito's own tasks use, so that the arms are
asked in the words that they were tuned with.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from bonito_assets.bonito_training.data_set import DataSet, opened
from bonito_assets.ingestion.files import SourceError

REPOSITORY = "BatsResearch/bonito-experiment-eval"
_YES_NO_MAYBE = ["Yes", "No", "Maybe"]


class FetchError(SourceError):
    """A test set cannot be had; the message names it and the remedy."""


def fetch(corpus: str, target: Path) -> int:
    """Writes the paper's test set of `corpus` to `target` as JSONL and gives its questions.

    Raises ``FetchError`` without the hub and for rows that are not what is expected.
    """
    if corpus not in CONVERTERS:
        raise FetchError(
            f"{target} does not exist, and '{corpus}' is none of the paper's sets that could be "
            f"fetched ({', '.join(CONVERTERS)}); correct evaluation.test"
        )
    try:
        rows = opened(DataSet(REPOSITORY, corpus, "test")).rows
        converted = list(questions(corpus, rows))
    except (ValueError, KeyError, IndexError, TypeError) as error:
        cause = error.__cause__ or error  # what the hub's client said
        raise FetchError(
            f"the test set of '{corpus}' cannot be had from {REPOSITORY}: {cause}. Where the hub "
            f"can be reached `bonito paper --fetch` writes it; then copy it to {target}"
        ) from error
    target.parent.mkdir(parents=True, exist_ok=True)
    new = target.with_name(target.name + ".new")
    with new.open("w", encoding="utf-8") as file:
        for question in converted:
            file.write(json.dumps(question, ensure_ascii=False) + "\n")
        file.flush()
        os.fsync(file.fileno())
    new.replace(target)
    return len(converted)


def questions(corpus: str, rows: Iterable[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """Gives the rows of the paper's test set of `corpus` as questions of a test set of ours."""
    convert = CONVERTERS[corpus]
    for number, row in enumerate(rows):
        yield {"id": f"{corpus}-{number}", **convert(row)}


def _choice(context: str, question: str, label: str, choices: list[str]) -> dict[str, Any]:
    answer = {"label": label, "choices": choices, "answers": [label]}
    return {"context": context, "question": question, **answer}


def _pubmed_qa(row: Mapping[str, Any]) -> dict[str, Any]:
    passage = "\n\n".join(row["context"]["contexts"])
    return _choice(passage, row["question"], row["final_decision"].capitalize(), _YES_NO_MAYBE)


def _privacy_qa(row: Mapping[str, Any]) -> dict[str, Any]:
    label = {"Relevant": "Yes", "Irrelevant": "No"}[row["answer"]]
    question = f'Does this help to answer the question "{row["question"]}"?'
    return _choice(row["text"], question, label, ["Yes", "No"])


def _contract_nli(row: Mapping[str, Any]) -> dict[str, Any]:
    # The order of the authors' label words: 0 contradiction, 1 entailment, 2 not mentioned.
    label = ("No", "Yes", "Maybe")[row["label"]]
    return _choice(row["premise"], _follows(row["hypothesis"]), label, _YES_NO_MAYBE)


def _vitaminc(row: Mapping[str, Any]) -> dict[str, Any]:
    label = {"SUPPORTS": "Yes", "REFUTES": "No"}.get(row["label"], "Maybe")
    return _choice(row["evidence"], _follows(row["claim"]), label, _YES_NO_MAYBE)


def _follows(claim: str) -> str:
    return f'Does it follow that "{claim.strip()}"?'


def _squadshifts(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "context": row["context"],
        "question": row["question"],
        "answers": list(dict.fromkeys(row["answers"]["text"])),
    }


CONVERTERS: dict[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
    "pubmed_qa": _pubmed_qa,
    "privacy_qa": _privacy_qa,
    "squadshifts_nyt": _squadshifts,
    "squadshifts_amazon": _squadshifts,
    "squadshifts_reddit": _squadshifts,
    "contract_nli": _contract_nli,
    "vitaminc": _vitaminc,
}
