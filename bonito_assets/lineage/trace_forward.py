"""The releases that hold a row, passage or document, and the tuned models that saw it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from bonito_assets.lineage.lookup import RowFile, published_files, read_json
from bonito_assets.publishing.mixture import MIXTURE
from bonito_assets.publishing.publish import DATASET
from bonito_assets.publishing.release import FORGOTTEN, RELEASE, RELEASES
from bonito_assets.publishing.rows import SCHEMA
from bonito_assets.tuning.record import RECORD
from bonito_assets.tuning.unchanged import STALE
from resources.store import Store

_OF_CORPUS, _OF_MIXTURE = f"{DATASET}/{{}}/{RELEASES}/*", f"{MIXTURE}/{RELEASES}/*"
_MODEL, _MIXTURE_MODEL = "tuned_model", "mixture_model"
_ROW_COLUMNS = tuple(name for name in SCHEMA.names if name != "messages")


@dataclass(frozen=True)
class Release:
    """A release and where the rows in question stand in it: file and numbers, by split.

    ``was`` are the versions that it had before documents were forgotten.
    """

    dataset: str
    version: str
    created_at: str | None
    is_newest: bool
    places: dict[str, tuple[RowFile, list[int]]]
    was: tuple[str, ...]

    @property
    def splits(self) -> dict[str, int]:
        """Gives the number of rows in question by split."""
        return {split: len(places) for split, (_, places) in self.places.items()}

    def rows(self, most: int | None, columns: Sequence[str] = _ROW_COLUMNS) -> list[dict[str, Any]]:
        """Gives the first `most` of them as they were published."""
        found = []
        for file, places in self.places.values():
            found += [
                {**row, "rejected_because": None} for row in file.rows(places[:most], columns)
            ]
        return found[:most]

    def as_json(self) -> dict[str, Any]:
        """Gives what a person is told of it."""
        return {
            "dataset": self.dataset,
            "version": self.version,
            "created_at": self.created_at,
            "is_newest": self.is_newest,
            "rows": self.splits,
        }


def release_files(store: Store) -> Iterator[RowFile]:
    """Gives the files of all releases, each by the name of its corpus where it is of one."""
    for path in published_files(store, _OF_CORPUS.format("*") + "/data/*.parquet"):
        yield RowFile(store, path, path.split("/")[-5])


def releases(store: Store, corpus: str, column: str, value: str) -> list[Release]:
    """Gives the releases of `corpus` and of the mixture that hold `value` in `column`.

    The corpus's own come first, the newest before the earlier ones.
    """
    found: list[Release] = []
    for dataset, pattern, current in (
        (f"{DATASET}/{corpus}", _OF_CORPUS.format(corpus), f"{DATASET}/{corpus}/{RELEASE}"),
        (MIXTURE, _OF_MIXTURE, f"{MIXTURE}/{RELEASE}"),
    ):
        newest = [read_json(store, p)["version"] for p in published_files(store, current)]
        of_it = []
        for path in published_files(store, f"{pattern}/{RELEASE}"):
            record = read_json(store, path)
            if corpus in record.get("corpora", {corpus: None}):
                places = _places(store, path.rpartition("/")[0], column, value)
                if places:
                    version, created_at = record["version"], record.get("created_at")
                    is_newest = version in newest
                    was = tuple(record.get(FORGOTTEN, {}).get("was", ()))
                    of_it.append(Release(dataset, version, created_at, is_newest, places, was))
        found += sorted(of_it, key=lambda r: (r.is_newest, r.created_at or ""), reverse=True)
    return found


def _places(
    store: Store, folder: str, column: str, value: str
) -> dict[str, tuple[RowFile, list[int]]]:
    found = {}
    for path in sorted(store.filesystem.glob(f"{folder}/data/*.parquet")):
        file = RowFile(store, path, "")
        if column == "generation_id":  # which stands in a release once
            place = file.place(column, value)
            if place is not None:
                return {_split(path): (file, [place])}
        elif places := file.places(column, [value]):
            found[_split(path)] = (file, places)
    return found


def _split(path: str) -> str:
    return path.rpartition("/")[2].removesuffix(".parquet")


def models(
    store: Store,
    corpus: str,
    held: Sequence[Release],
    is_passage: bool,
    generation_id: str | None = None,
    doc_id: str | None = None,
) -> list[dict[str, Any]]:
    """Gives the tuned models that saw what the releases `held` hold, and how.

    `is_passage` tells whether it is, or has, a passage in the tables: that is what arms on raw text
    learn. ``saw`` is ``learned``, ``perhaps learned`` where rows were drawn by chance, ``learned
    its passages``, or ``measured on`` for the validation split, which is never learned. Of the
    document `doc_id`, which may be in no release any longer, models say that it was forgotten.
    """
    by_release = {
        (release.dataset, version): release.splits
        for release in held
        for version in (*release.was, release.version)
    }
    found = []
    for pattern, dataset in (
        (f"{_MODEL}/{corpus}/{RECORD}", f"{DATASET}/{corpus}"),
        (f"{_MODEL}/{corpus}/arms/*/{RECORD}", f"{DATASET}/{corpus}"),
        (f"{_MIXTURE_MODEL}/{RECORD}", MIXTURE),
    ):
        for path in published_files(store, pattern):
            record = read_json(store, path)
            splits = by_release.get((dataset, record["dataset_version"]), {})
            saw = _saw(record, splits, is_passage, generation_id)
            top = _MIXTURE_MODEL if dataset == MIXTURE else f"{_MODEL}/{corpus}"
            if doc_id is not None and record["arm"] in _marked(store, top, doc_id):
                saw = "perhaps learned, before it was forgotten"
            if saw is not None:
                found.append(
                    {
                        "model": top,
                        "arm": record["arm"],
                        "base_model": record["base_model"]["name"],
                        "dataset_version": record["dataset_version"],
                        "adapter_sha256": record["adapter_sha256"],
                        "saw": saw,
                    }
                )
    return found


def _marked(store: Store, model: str, doc_id: str) -> list[str]:
    """Gives the arms of a model that are marked as stale because a document was forgotten."""
    marks = [read_json(store, path) for path in published_files(store, f"{model}/{STALE}")]
    return [arm for mark in marks if doc_id in mark["documents"] for arm in mark["arms"]]


def _saw(
    record: dict[str, Any], splits: dict[str, int], is_passage: bool, generation_id: str | None
) -> str | None:
    if record["arm"] != "bonito":
        if "validation" in splits:
            return "measured on"
        return "learned its passages" if is_passage or "train" in splits else None
    if "train" in splits:
        if generation_id in record["rows_left_out"]:
            return None
        of = record.get("rows_in_split")
        return "perhaps learned" if of and record["rows"] < of else "learned"
    return "measured on" if "validation" in splits else None
