"""Is every file still what was published? Disks flip bits, and people edit files by mistake."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from bonito_assets.publishing import checksums
from bonito_assets.tuning.record import RECORD, adapter_digest, read_record
from resources.checksums import SUMS, compare
from resources.generation_cache import GenerationCache
from resources.store import Store

# What lies in folders: with a folder per corpus, and without.
_OF_A_CORPUS = ("instruction_dataset", "tuned_model", "evaluation")
_OF_ALL = ("instruction_mixture", "mixture_model", "ctga", "bonito_checkpoint")
_RELEASED = ("instruction_dataset", "instruction_mixture")


@dataclass(frozen=True)
class Problem:
    """A file that is not what was published, and the command that makes it again."""

    place: str
    sentence: str
    remedy: str


@dataclass
class Report:
    """What was looked at, and what was found; ``unstamped`` has no checksums to compare with."""

    files: int = 0
    bytes: int = 0
    problems: list[Problem] = field(default_factory=list)
    unstamped: list[str] = field(default_factory=list)


def verify(
    store: Store, corpora: Sequence[str] | None = None, log: Callable[[str], None] = lambda _: None
) -> Report:
    """Reads every published file of `corpora`, or without it all there are, and compares.

    Changes nothing, and may run beside refreshes. `log` gets a line for each table and folder.
    """
    report = Report()
    for table, corpus in _tables(store, corpora):
        _table(store, table, corpus, report)
        log(f"{table} of '{corpus}'")
    for parts in _folders(store, corpora):
        _folder(store, parts, report)
        log(store.uri(*parts))
    if corpora is None:
        _cache(store, report)
        log("generation cache")
    return report


# Tables


def _tables(store: Store, corpora: Sequence[str] | None) -> Iterator[tuple[str, str]]:
    for path in sorted(store.filesystem.glob(store.table_path("*", "*"))):
        table, corpus = path.split("/")[-3], path.split("/")[-2].removeprefix("corpus=")
        if corpora is None or corpus in corpora:
            yield table, corpus


def _table(store: Store, table: str, corpus: str, report: Report) -> None:
    due = None
    # A refresh may put another table in this place meanwhile: then both are looked at anew.
    while due != (due := store.checksums(table, corpus)):
        try:
            found, size = _sha256(store, store.table_path(table, corpus))
        except FileNotFoundError:  # what curation remembers is dropped where it is of no use
            return
        if found in due:
            break
    report.files += 1
    report.bytes += size
    place = store.uri(table, f"corpus={corpus}", "data.parquet")
    if found in due:
        return
    if not due:
        report.unstamped.append(place)
        if _pages_are_whole(store, table, corpus):
            return
    problem = "its content is not what was written"
    report.problems.append(Problem(place, problem, f"bonito run {corpus}"))


def _sha256(store: Store, path: str) -> tuple[str, int]:
    with store.filesystem.open(path, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return digest, file.tell()


def _pages_are_whole(store: Store, table: str, corpus: str) -> bool:
    """Tells whether a table can be read and each of its pages has the checksum that it names."""
    try:
        with store.filesystem.open(store.table_path(table, corpus), "rb") as file:
            reader = pq.ParquetFile(file, page_checksum_verification=True)
            for group in range(reader.num_row_groups):
                reader.read_row_group(group)
    except (pa.ArrowException, OSError, ValueError):
        return False
    return True


# Folders


def _folders(store: Store, corpora: Sequence[str] | None) -> Iterator[tuple[str, ...]]:
    for name in _OF_A_CORPUS:
        place = store.filesystem.glob(f"{store.table_path(name, '*').rpartition('/corpus=')[0]}/*")
        for corpus in sorted(path.rpartition("/")[2] for path in place):
            wanted = corpora is None or corpus in corpora
            if (
                wanted
                and not corpus.startswith(".")
                and store.filesystem.isdir(store.uri(name, corpus))
            ):
                yield name, corpus
    if corpora is None:
        yield from ((name,) for name in _OF_ALL if store.is_published(name))


def _folder(store: Store, parts: tuple[str, ...], report: Report) -> None:
    folder = store.folder(*parts)
    releases = sorted(folder.glob("releases/*/")) if parts[0] in _RELEASED else []
    for place in [folder, *releases]:
        shown = "/".join([store.uri(*parts), *place.relative_to(folder).parts])
        due = None
        # A refresh may put another folder in this place meanwhile, as with tables.
        while due != (due := _sums(place)):
            sentences = _problems(place, parts[0])
            if not sentences:
                break
        if not place.exists():
            continue
        if not due and parts[0] not in _RELEASED:
            report.unstamped.append(shown)
        for size in _sizes(place):
            report.files += 1
            report.bytes += size
        remedy = (
            _remedy(parts)
            if place == folder
            else (
                "copy it back from a backup, or delete it: an earlier release is only compared with"
            )
        )
        report.problems += [Problem(shown, sentence, remedy) for sentence in sentences]


def _sums(folder: Path) -> bytes:
    with contextlib.suppress(FileNotFoundError):
        return (folder / SUMS).read_bytes()
    return b""


def _sizes(folder: Path) -> Iterator[int]:
    with contextlib.suppress(FileNotFoundError):  # replaced meanwhile
        for path in folder.rglob("*"):
            if path.is_file() and path.relative_to(folder).parts[0] != "releases":
                yield path.stat().st_size


def _problems(folder: Path, name: str) -> list[str]:
    """Gives what is wrong with one folder; checksums it may lack, from before there were any."""
    if name in _RELEASED:
        return checksums.verify(folder)
    try:
        # A file that came later is a note on the model (its text was forgotten), not damage.
        return compare(folder)[0]
    except FileNotFoundError:
        if (folder / SUMS).exists():
            return ["it was replaced while it was read"]
    except (OSError, UnicodeDecodeError) as error:
        return [f"{SUMS}: cannot be read ({error})"]
    try:
        if (folder / RECORD).exists():
            due: Any = read_record(folder).get("adapter_sha256")
            if due is not None and adapter_digest(folder) != due:
                return ["its weights are not those that were published"]
    except (OSError, ValueError) as error:
        return [f"what was published is damaged ({error})"]
    return []


def _remedy(parts: tuple[str, ...]) -> str:
    name, corpus = parts[0], parts[-1]
    if name == "instruction_dataset":
        return f"bonito run {corpus} --to instruction_dataset"
    if name == "instruction_mixture":
        return "bonito mix"
    if name in ("tuned_model", "evaluation"):
        return f"materialize '{name}' of '{corpus}' in the UI with the config again: true"
    if name == "mixture_model":
        return "materialize 'mixture_model' in the UI with the config again: true"
    return f"materialize '{name}' in the UI"


# The cache


def _cache(store: Store, report: Report) -> None:
    for path, is_sound in GenerationCache(store).check():
        report.files += 1
        with contextlib.suppress(FileNotFoundError):  # merged into another meanwhile
            report.bytes += store.filesystem.size(path)
        if not is_sound:
            remedy = "the next refresh sets it aside and generates anew what it needs of it"
            report.problems.append(Problem(path, "its content is not what was written", remedy))
    folder = store.table_path("generation_cache", "*").rpartition("/corpus=")[0]
    for path in sorted(store.filesystem.glob(f"{folder}/*.damaged")):
        report.files += 1
        report.bytes += store.filesystem.size(path)
        remedy = "delete it: what was needed of it has been generated anew"
        report.problems.append(Problem(path, "it was set aside as damaged", remedy))
