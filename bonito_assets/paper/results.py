"""What has been measured, one file per corpus: a job that was stopped goes on from there."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from fsspec.core import url_to_fs

from bonito_assets.catalogue import Corpus
from bonito_assets.evaluation.report import HEADLINE
from resources.secrets import expand
from resources.store import Store

FOLDER = "paper"


@dataclass(frozen=True)
class Result:
    """Scores of one corpus by arm, 0 to 1, and what they were measured with.

    ``gain`` is [low, high], the 95% interval of tuned - base. ``refused`` is the sentence of the
    check that refused the release, empty without one. ``made_from`` is the digest of catalogue
    file, test set and models: a result made from the same stands.
    """

    corpus: str
    metric: str
    questions: int
    arms: dict[str, float]
    gain: tuple[float, float]
    model: str
    base_model: str
    rows: int
    refused: str
    made_from: str


def made_from(corpus: Corpus, fingerprints: Sequence[str]) -> str:
    """Gives the digest of catalogue file, test set and the `fingerprints` of the models."""
    sha = hashlib.sha256("\0".join(fingerprints).encode())
    file = corpus.folder / f"{corpus.name}.yaml"
    for place in (str(file), corpus.path(corpus.evaluation.test)):
        filesystem, path = url_to_fs(expand(place))
        sha.update(filesystem.cat_file(path))
    return sha.hexdigest()


def measured(report: dict[str, Any], model: str, made_from: str, refused: str = "") -> Result:
    """Gives the result that an evaluation report holds; raises ``ValueError`` without scores."""
    if not report["arms"]:
        raise ValueError(f"corpus '{report['corpus']}': {report['reason']}")
    name = HEADLINE[report["metric"]]
    low, high = report["differences"]["tuned - base"]["ci95"]
    return Result(
        report["corpus"],
        report["metric"],
        report["n"],
        {arm: scores[name] for arm, scores in report["arms"].items()},
        (low, high),
        model,
        report["base_model"]["name"],
        report["tuned_on"]["rows"],
        refused,
        made_from,
    )


def save(store: Store, result: Result) -> None:
    """Puts a result where ``saved`` finds it."""
    with store.new_file(FOLDER, f"{result.corpus}.json") as file:
        file.write((json.dumps(asdict(result), indent=1) + "\n").encode())


def saved(store: Store, corpus: str) -> Result | None:
    """Gives the saved result of `corpus`, None when there is none."""
    filesystem, path = url_to_fs(store.uri(FOLDER, f"{corpus}.json"))
    if not filesystem.exists(path):
        return None
    found = json.loads(filesystem.cat_file(path))
    return Result(**{**found, "gain": tuple(found["gain"])})
