"""Finds the files that a corpus names, on this machine or in any store that fsspec reaches.

Only a source that does not exist at all (no such path, nothing in it) is an error, since an empty
answer would look like "all deleted".
"""

from __future__ import annotations

import contextlib
import glob
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import fsspec
from fsspec.asyn import AsyncFileSystem
from fsspec.implementations.local import LocalFileSystem
from fsspec.utils import glob_translate

from bonito_assets.catalogue import Corpus
from resources.secrets import SecretMissing, expand, fold, scrub

# What a catalogue may name beside local paths. No plain http (nobody vouches for what comes), and
# no chains such as zip::https://, which would get round the limits on archives.
SCHEMES = ("abfs", "abfss", "adl", "az", "file", "gcs", "gs", "hf", "https", "memory", "s3", "s3a")


class SourceError(ValueError):
    """A source is not there or has nothing in it; the message names the catalogue key."""


@dataclass(frozen=True)
class SourceFile:
    """One file: its uri as it stands in `documents`, and where its bytes are.

    ``token`` is what an object store says of the content (an ETag): equal tokens, equal bytes.
    ``root`` is the real folder that a local file must lie in, ``refusal`` why it is not read.
    """

    uri: str
    path: str
    filesystem: fsspec.AbstractFileSystem
    size: int | None = None
    token: str | None = None
    root: str | None = None
    refusal: str | None = None


@dataclass
class Listing:
    """The files of a source, sorted by uri, each once, and how many hidden ones were passed by."""

    files: list[SourceFile] = field(default_factory=list)
    hidden: int = 0


def find_files(corpus: Corpus) -> Listing:
    """Gives the files that the corpus's patterns name.

    Hidden files are left out and counted. A relative pattern gives uris relative to the
    catalogue's folder, so that a moved project keeps its document ids. Raises ``SourceError`` for a
    pattern that names nothing, for a folder that cannot be listed and for a URL of a kind that is
    not allowed.
    """
    found: dict[str, SourceFile] = {}
    hidden = 0
    for pattern in corpus.source.patterns:
        files: list[SourceFile] = []
        for file in _matches(corpus, pattern):
            if file is None:
                hidden += 1
            else:
                files.append(file)
        if not files:
            raise SourceError(
                f"corpus '{corpus.name}': source.files: '{corpus.path(pattern)}' "
                f"{_absence(corpus.path(pattern))}; point source.files in "
                f"{corpus.folder / (corpus.name + '.yaml')} at a file, a folder or a glob"
            )
        found.update((file.uri, file) for file in files)
    return Listing(_with_uris_as_text(found), hidden)


def _with_uris_as_text(found: dict[str, SourceFile]) -> list[SourceFile]:
    """Gives the files of `found` by uri; a uri that is taken already gets "~2" at its end.

    A name on disk need not be valid UTF-8, and what its odd bytes are written as may be the name
    of another file. That one keeps its uri: a backslash sorts before what stands for odd bytes.
    """
    files: dict[str, SourceFile] = {}
    for name in sorted(found):
        text = uri = os.fsencode(name).decode("utf-8", "backslashreplace")
        number = 1
        while uri in files:
            number += 1
            uri = f"{text}~{number}"
        files[uri] = replace(found[name], uri=uri)
    return [files[uri] for uri in sorted(files)]


def _absence(location: str) -> str:
    if "://" not in location and Path(location).is_dir():
        return "is a folder without files"
    return "matches no file" if glob.has_magic(location) else "does not exist"


def _matches(corpus: Corpus, pattern: str) -> Iterator[SourceFile | None]:
    """Gives the files that one pattern names, and None for each hidden one."""
    scheme = pattern.partition("://")[0] if "://" in pattern else ""
    if "::" in pattern or (scheme and scheme not in SCHEMES):
        raise SourceError(
            f"corpus '{corpus.name}': source.files: '{pattern}' is of a kind that is not read; "
            f"use a local path or one of {', '.join(f'{name}://' for name in SCHEMES)}"
        )
    location = corpus.path(pattern)
    try:
        filesystem, path = fsspec.core.url_to_fs(expand(location))
    except SecretMissing as error:
        raise SourceError(f"corpus '{corpus.name}': source.files: {error}") from error
    if isinstance(filesystem, LocalFileSystem):
        relative = not scheme and not Path(pattern).is_absolute()
        yield from _local(filesystem, path, corpus.folder if relative else None)
    else:
        for file in _remote(corpus, filesystem, path):
            yield file and replace(file, uri=fold(file.uri, location))


def _local(
    filesystem: LocalFileSystem, path: str, relative_to: Path | None
) -> Iterator[SourceFile | None]:

    def uri_of(entry: str) -> str:
        return Path(os.path.relpath(entry, relative_to)).as_posix() if relative_to else entry

    if os.path.exists(path) and not os.path.isdir(path):  # noqa: PTH110, PTH112
        # Whoever names one file means it, even where it is a link.
        real = os.path.realpath(path)
        yield SourceFile(uri_of(path), real, filesystem, _size(real), root=os.path.dirname(real))  # noqa: PTH120
        return
    fixed, wanted, depth = path, None, None
    passed: list[re.Pattern[str]] = []
    if not os.path.isdir(path):  # noqa: PTH112
        fixed = _fixed_part(path)
        wanted, passed, depth = _compiled(path), _folders(path, fixed), _depth(path, fixed)
    if not os.path.isdir(fixed or "/"):  # noqa: PTH112
        return
    fixed = fixed.rstrip("/")
    root = os.path.realpath(fixed or "/")
    for entry, is_link in _walk(fixed, depth):
        if wanted is not None and not wanted.fullmatch(entry):
            # A link to a folder hides what the pattern would have found behind it.
            through = is_link and any(folder.fullmatch(entry) for folder in passed)
            if not (through and os.path.isdir(entry)):  # noqa: PTH112
                continue
        if any(part.startswith(".") for part in entry.removeprefix(fixed).split("/")):
            yield None
            continue
        refusal = None
        if is_link and os.path.isdir(entry):  # noqa: PTH112
            if _is_within(os.path.realpath(entry), root):
                continue  # its files are found where they really are
            refusal = "is a link to a folder outside the source, which is not followed"
        elif is_link and not _is_within(os.path.realpath(entry), root):
            refusal = "is a link that leaves the source; name what it points to in source.files"
        size = None if refusal else _size(entry)
        yield SourceFile(uri_of(entry), entry, filesystem, size, root=root, refusal=refusal)


def _size(path: str) -> int | None:
    with contextlib.suppress(OSError):
        return os.stat(path).st_size  # noqa: PTH116 - names need not be valid UTF-8
    return None


def _walk(folder: str, depth: int | None) -> Iterator[tuple[str, bool]]:
    """Gives every file below `folder`, and every link to a folder, which is not followed.

    It goes `depth` folders deep, without recursion: trees can be deeper than Python's stack.
    """
    waiting = [(folder, 0)]
    while waiting:
        place, level = waiting.pop()
        try:
            entries = list(os.scandir(place or "/"))
        except OSError as error:
            raise SourceError(f"source.files: folder {place} cannot be listed: {error}") from error
        for entry in entries:
            path = f"{place}/{entry.name}"
            if not entry.is_dir(follow_symlinks=False):
                yield path, entry.is_symlink()
            elif depth is None or level < depth:
                waiting.append((path, level + 1))


def _is_within(path: str, root: str) -> bool:
    return path == root or path.startswith(root.rstrip("/") + "/")


def _remote(
    corpus: Corpus, filesystem: fsspec.AbstractFileSystem, path: str
) -> Iterator[SourceFile | None]:
    filesystem.invalidate_cache()
    try:
        fixed, found = _listed(filesystem, path)
    except SourceError:
        raise
    except FileNotFoundError:
        return
    except Exception as error:  # the client of a store may raise anything
        raise SourceError(
            f"corpus '{corpus.name}': source.files: '{scrub(filesystem.unstrip_protocol(path))}' "
            f"cannot be listed: {type(error).__name__}: {scrub(str(error))}"
        ) from error
    for entry, known in found.items():
        if any(part.startswith(".") for part in entry.removeprefix(fixed).split("/")):
            yield None
            continue
        yield SourceFile(
            filesystem.unstrip_protocol(entry), entry, filesystem, known.get("size"), _token(known)
        )


def _listed(
    filesystem: fsspec.AbstractFileSystem, path: str
) -> tuple[str, dict[str, dict[str, Any]]]:
    """Gives the folder that was listed and, by name, what the store says of each file.

    Raises whatever the client raises for a folder that it may not list: an answer without that
    folder would look like "all deleted".
    """
    fixed, wanted, depth = path, None, None
    if glob.has_magic(path) and not filesystem.exists(path):
        fixed = _fixed_part(path)
        wanted, depth = _compiled(path), _depth(path, fixed)
    if depth is None and _lists_at_once(filesystem):
        found = filesystem.find(fixed, detail=True)
    else:
        found = dict(_walk_store(filesystem, fixed, depth))
        if not found and wanted is None and filesystem.isfile(path):
            found = {path: filesystem.info(path)}
    return fixed, {
        name: known
        for name, known in found.items()
        if known.get("type") != "directory" and (wanted is None or wanted.fullmatch(name))
    }


def _lists_at_once(filesystem: fsspec.AbstractFileSystem) -> bool:
    """Tells whether a store has a listing of all depths of its own, as object stores do.

    The one that the others inherit passes over folders that it may not list.
    """
    kind = type(filesystem)
    find = getattr(kind, "_find", kind.find)
    return find not in (fsspec.AbstractFileSystem.find, AsyncFileSystem._find)


def _walk_store(
    filesystem: fsspec.AbstractFileSystem, folder: str, depth: int | None
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Gives every file below `folder`, `depth` folders deep.

    fsspec's own walk tells of errors in the first folder only.
    """
    waiting = [(folder, 0)]
    while waiting:
        place, level = waiting.pop()
        try:
            entries = filesystem.ls(place, detail=True)
        except FileNotFoundError:
            continue  # a store has no empty folders
        for known in entries:
            name = known["name"]
            if known["type"] != "directory":
                yield name, known
            # Only downwards: a web page may link to anything.
            elif name.rstrip("/").startswith(f"{place.rstrip('/')}/") and level != depth:
                waiting.append((name, level + 1))


def _fixed_part(path: str) -> str:
    magic = re.search(r"[*?\[]", path)
    return (path[: magic.start()] if magic else path).rpartition("/")[0]


def _compiled(path: str) -> re.Pattern[str]:
    """Gives what a name must match; raises ``SourceError`` for '**' beside other characters."""
    try:
        return re.compile(glob_translate(path))
    except ValueError as error:
        raise SourceError(f"source.files: '{path}': {error}") from error


def _folders(path: str, fixed: str) -> list[re.Pattern[str]]:
    """Gives what the folders match that the glob `path` goes through below `fixed`."""
    parts = path.split("/")
    return [_compiled("/".join(parts[:end])) for end in range(fixed.count("/") + 2, len(parts))]


def _depth(path: str, fixed: str) -> int | None:
    """Gives how many folders deep the glob `path` looks below `fixed`, None for all of them."""
    return None if "**" in path else path.removeprefix(fixed).strip("/").count("/")


def _token(known: dict[str, Any]) -> str | None:
    """Gives what the store itself says of a file's content; sizes and dates prove nothing."""
    for name in ("ETag", "etag", "md5Hash", "content_md5", "sha256", "blob_id"):
        if known.get(name):
            return f"{name}:{known[name]}"
    return None
