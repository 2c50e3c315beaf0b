"""Takes documents out of releases that were published: a release without them takes its place.

Rows are left out, so the version, which is the digest of the rows, is another one. Its card is
written anew, in short, and its review page goes: which documents their samples came from was not
written down. The new release loads and passes its checksums as any other, and says how many rows
were taken from it.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import yaml
from fsspec.core import url_to_fs

from bonito_assets.publishing.books import BOOKS, PUBLISHED
from bonito_assets.publishing.card import LIMITS, LOADING, code, columns, header
from bonito_assets.publishing.croissant import CROISSANT, croissant
from bonito_assets.publishing.mixture import MIXTURE
from bonito_assets.publishing.publish import DATASET, write_json
from bonito_assets.publishing.release import (
    FORGOTTEN,
    RELEASE,
    RELEASES,
    Rows,
    data_files,
    history,
    link,
    record,
    write_rows,
)
from resources.checksums import write_sums
from resources.store import Store

# A release that says this shows no rows in card or page, so a second time nothing has to go.
_WITHOUT_SAMPLES = "without_samples"
_BATCH_ROWS = 8192


@dataclass(frozen=True)
class Cut:
    """One release that had something to lose: its old version, its new one and the rows it lost.

    ``new`` is None where no row was left, so that there is no such release any longer.
    """

    old: str
    new: str | None
    rows: int


def places(store: Store, corpus: str) -> list[tuple[str, ...]]:
    """Gives the published datasets that rows of `corpus` may stand in."""
    return [p for p in ((DATASET, corpus), (MIXTURE,)) if store.is_published(*p)]


def releases_of(dataset: Path) -> list[Path]:
    """Gives the folders of all releases of a published dataset, oldest first."""
    return [dataset / RELEASES / entry["version"] for entry in history(dataset)]


def release_batches(
    store: Store, corpus: str, names: list[str]
) -> Iterator[tuple[Path, pa.RecordBatch]]:
    """Gives columns of every release that rows of `corpus` may stand in, each with its folder."""
    for place in places(store, corpus):
        for release in releases_of(store.folder(*place)):
            for path in data_files(release).values():
                with pq.ParquetFile(path) as file:
                    for batch in file.iter_batches(_BATCH_ROWS, columns=names):
                        yield release, batch


def holding(store: Store, corpus: str, doc_ids: Collection[str]) -> dict[str, dict[str, int]]:
    """Gives the rows about the documents, by published dataset and version."""
    ids = pa.array(sorted(doc_ids), pa.string())
    found: dict[str, dict[str, int]] = {}
    for release, batch in release_batches(store, corpus, ["doc_id"]):
        if rows := pc.sum(pc.is_in(batch["doc_id"], value_set=ids)).as_py():
            name = release.parents[1].name
            versions = found.setdefault(name, {})
            versions[release.name] = versions.get(release.name, 0) + rows
    return found


def cut(store: Store, place: Sequence[str], doc_ids: Collection[str]) -> list[Cut]:
    """Takes the documents out of every release of a published dataset; gives what was changed.

    All of them are replaced in one step. Where no release has a row left, the dataset goes.
    """
    dataset = store.folder(*place)
    ids = pa.array(sorted(doc_ids), pa.string())
    whole = len(place) > 1  # of a corpus's own releases the samples may be of any document
    if not any(_has_to_change(release, ids, whole) for release in releases_of(dataset)):
        return []
    current = record(dataset)["version"]
    done: list[Cut] = []
    versions: dict[str, str | None] = {}
    with store.new_folder(*place) as folder:
        for release in releases_of(dataset):
            made, rows = _without(release, ids, folder / RELEASES, versions, whole)
            versions[release.name] = made
            if rows or made != release.name:
                done.append(Cut(release.name, made, rows))
        last = versions[current] or next((v for v in reversed(versions.values()) if v), None)
        if last is not None:
            _open_at_top(folder, last)
    if last is None:
        store.filesystem.rm(url_to_fs(store.uri(*place))[1], recursive=True)
    return done


def _has_to_change(release: Path, ids: pa.Array, whole: bool) -> bool:
    """Tells whether a release holds rows of the documents, or samples that may be of them."""
    if whole and not record(release).get(FORGOTTEN, {}).get(_WITHOUT_SAMPLES):
        return True
    return any(
        pc.any(pc.is_in(pq.read_table(path, columns=["doc_id"])["doc_id"], value_set=ids)).as_py()
        for path in data_files(release).values()
    )


def _without(
    release: Path, ids: pa.Array, into: Path, versions: Mapping[str, str | None], whole: bool
) -> tuple[str | None, int]:
    """Puts a release without the documents under its version `into`; gives that and the rows lost.

    `versions` are the new versions of the releases before it.
    """
    old = record(release)
    folder = into / f".{release.name}"
    folder.mkdir(parents=True)
    rows = write_rows(folder, _rows(release, ids))
    lost = sum(old["splits"].values()) - rows.total
    if not rows.total or (into / rows.version).exists():
        # Nothing is left, or just what an earlier release holds.
        shutil.rmtree(folder)
        return (rows.version if rows.total else None), lost
    if not lost and (not whole or old.get(FORGOTTEN, {}).get(_WITHOUT_SAMPLES)):
        shutil.rmtree(folder)
        shutil.copytree(release, into / release.name, copy_function=link)
        return release.name, 0
    before = old.get(FORGOTTEN, {"rows": 0, "was": []})
    new = {
        **old,
        "version": rows.version,
        "follows": versions.get(old["follows"], old["follows"]) if old.get("follows") else None,
        "splits": rows.splits,
        FORGOTTEN: {
            "rows": before["rows"] + lost,
            "was": [*before["was"], *([release.name] if release.name != rows.version else [])],
            _WITHOUT_SAMPLES: True,
        },
    }
    _write_papers(release, folder, new, rows)
    folder.rename(into / rows.version)
    return rows.version, lost


def _rows(release: Path, ids: pa.Array) -> Iterator[tuple[pa.RecordBatch, pa.Array]]:
    for split, path in data_files(release).items():
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            for batch in file.iter_batches(_BATCH_ROWS):
                kept = batch.filter(pc.invert(pc.is_in(batch["doc_id"], value_set=ids)))
                yield kept, pa.repeat(pa.scalar(split == "validation"), kept.num_rows)


def _write_papers(release: Path, folder: Path, new: Mapping[str, Any], rows: Rows) -> None:
    """Writes record, books, manifest, card and checksums of a release that lost rows."""
    write_json(folder / RELEASE, new)
    if (release / BOOKS).exists():
        books = json.loads((release / BOOKS).read_text(encoding="utf-8"))
        books[PUBLISHED] = {**books.get(PUBLISHED, {}), "rows": rows.total, "splits": rows.splits}
        write_json(folder / BOOKS, books)
    manifest: dict[str, Any] = {}
    if (release / CROISSANT).exists():
        manifest = json.loads((release / CROISSANT).read_text(encoding="utf-8"))
    name, license_ = new["name"], manifest.get("license")
    description = manifest.get("description", "")
    write_json(folder / CROISSANT, croissant(folder, name, description, license_, dict(new)))
    text = _card(name, description, license_, _languages(release), new, rows, _task_types(folder))
    (folder / "README.md").write_text(text, encoding="utf-8")
    write_sums(folder)


def _card(
    name: str,
    description: str,
    license_: str | None,
    languages: list[str],
    new: Mapping[str, Any],
    rows: Rows,
    task_types: list[str],
) -> str:
    lost = new[FORGOTTEN]["rows"]
    sections = {"How to load it": LOADING, "Columns": columns(), "Limits and risks": LIMITS}
    return "\n\n".join(
        [
            header(name, rows, task_types, license_, languages),
            f"# {name}",
            description or "No description was given.",
            f"Release {code(rows.version)}, {rows.total:,} rows. {lost:,} rows that it once had "
            "came from documents that somebody asked to forget, and were taken out. With them went "
            "the samples and the review page, which may have shown some of their text. The counts "
            "of `books.json` are those of the day on which it was published.",
            *(f"## {title}\n\n{text}" for title, text in sections.items()),
            "",
        ]
    )


def _languages(release: Path) -> list[str]:
    """Gives the languages that the card of a release names."""
    card = release / "README.md"
    text = card.read_text(encoding="utf-8") if card.exists() else ""
    block = yaml.safe_load(text.split("---\n")[1]) if text.startswith("---\n") else {}
    return list(block.get("language", []))


def _task_types(folder: Path) -> list[str]:
    found: set[str] = set()
    for path in data_files(folder).values():
        found.update(pq.read_table(path, columns=["task_type"])["task_type"].unique().to_pylist())
    return sorted(found)


def _open_at_top(folder: Path, version: str) -> None:
    """Makes a release the one that opens at the dataset's own place."""
    for path in sorted((folder / RELEASES / version).iterdir()):
        if path.is_dir():
            shutil.copytree(path, folder / path.name, copy_function=link)
        else:
            link(str(path), str(folder / path.name))
