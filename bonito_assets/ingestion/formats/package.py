"""Office files and books are ZIP archives of XML: opened with care, and read part by part."""

from __future__ import annotations

import io
import posixpath
import zipfile
import zlib
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from bonito_assets.ingestion.formats.extracted import Refused

# A whole book with its pictures is below a tenth of this.
_MOST_BYTES = 512 * 2**20
# DEFLATE reaches 1,032 for a file of zeros; office XML of a megabyte and more has 10 to 40.
_HIGHEST_RATIO = 200
_RATIO_FROM = 2**20
_OLE = bytes.fromhex("d0cf11e0a1b11ae1")
_DAMAGED = "is damaged and cannot be opened; it may not have been copied completely"


class Archive:
    """A ZIP archive whose members may be read: none of them swells beyond measure."""

    def __init__(self, content: bytes) -> None:
        """Raises ``Refused`` for what is no archive, is encrypted or would swell."""
        try:
            self._zip = zipfile.ZipFile(io.BytesIO(content))
            members = self._zip.infolist()
        except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError, EOFError) as error:
            raise Refused("unreadable", _DAMAGED) from error
        if any(member.flag_bits & 1 for member in members):
            raise Refused("encrypted", "is encrypted; save a copy without password")
        # zipfile reads no more of a member than its entry says, so that these numbers hold.
        if sum(member.file_size for member in members) > _MOST_BYTES:
            raise Refused("unsafe_archive", "would swell to more than 512 MB when unpacked")
        for member in members:
            ratio = member.file_size / max(1, member.compress_size)
            if member.file_size > _RATIO_FROM and ratio > _HIGHEST_RATIO:
                raise Refused("unsafe_archive", f"would swell {ratio:,.0f} times when unpacked")
        self.names = {member.filename for member in members}

    def read(self, name: str) -> bytes | None:
        """Gives the bytes of a member, or None where there is none of that name."""
        if name not in self.names:
            return None
        try:
            return self._zip.read(name)
        except (
            zipfile.BadZipFile,
            zlib.error,
            NotImplementedError,
            EOFError,
            OSError,
            ValueError,
            RuntimeError,
        ) as error:
            raise Refused("unreadable", _DAMAGED) from error

    def tree(self, name: str) -> Any:
        """Gives the root element of an XML member, or None where there is none of that name."""
        content = self.read(name)
        return None if content is None else parse_xml(content)

    def links(self, part: str) -> dict[str, Link]:
        """Gives the relationships of `part` by their ids (ECMA-376 part 2, 9.3)."""
        folder, name = posixpath.split(part)
        root = self.tree(posixpath.join(folder, "_rels", f"{name}.rels"))
        links = {}
        for element in root if root is not None else ():
            if element.get("TargetMode") == "External":
                continue
            target = unquote(element.get("Target", ""))
            path = posixpath.normpath(posixpath.join("/", folder, target)).lstrip("/")
            # The last word of the type is the same in the strict and the transitional variant.
            links[element.get("Id", "")] = Link(element.get("Type", "").rpartition("/")[2], path)
        return links

    def linked(self, part: str, kind: str) -> str | None:
        """Gives the path of the first part of that `kind` which `part` refers to, or None."""
        return next((link.path for link in self.links(part).values() if link.kind == kind), None)


@dataclass(frozen=True)
class Link:
    """A relationship: what the other part is, and its path in the archive."""

    kind: str
    path: str


def open_office(content: bytes, names: tuple[str, str]) -> Archive:
    """Gives the archive of an office file; `names` are what it is called and its suffix.

    Raises ``Refused`` for what is none, such as the older binary format or an encrypted file, both
    of which are OLE containers ([MS-OFFCRYPTO] 2.3.4.1 names the stream of the latter).
    """
    if content.startswith(_OLE):
        if "EncryptedPackage".encode("utf-16-le") in content:
            raise Refused("encrypted", "is encrypted; save a copy without password")
        raise Refused("unsupported_format", f"is an old {names[0]} file; save it as .{names[1]}")
    return Archive(content)


def parse_xml(content: bytes) -> Any:
    """Gives the root element; names in it are what the file says, with namespaces.

    Raises ``Refused`` for what is not well-formed. No entity is expanded and nothing is fetched.
    """
    from lxml import etree

    parser = etree.XMLParser(
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
    )
    try:
        root = etree.fromstring(content, parser)
    # LookupError: an encoding that does not exist; ValueError: names that are none.
    except (etree.XMLSyntaxError, ValueError, LookupError) as error:
        raise Refused("unreadable", _DAMAGED) from error
    etree.strip_elements(root, etree.Entity, with_tail=False)
    return root


def local(element: Any) -> str:
    """Gives the name of an element without its namespace."""
    return element.tag.rpartition("}")[2]


def attribute(element: Any, name: str) -> str | None:
    """Gives the attribute of that local name, in whatever namespace, or None."""
    if element is None:
        return None
    if (value := element.get(name)) is not None:
        return value
    return next((v for k, v in element.items() if k.rpartition("}")[2] == name), None)


def child(element: Any, *path: str) -> Any:
    """Gives the element that one reaches by the local names of `path`, or None."""
    for name in path:
        if element is None:
            return None
        element = next((found for found in element if local(found) == name), None)
    return element


def properties(archive: Archive) -> dict[str, str]:
    """Gives the core properties that are set, such as ``title`` and ``rights``."""
    path = archive.linked("", "core-properties")
    root = archive.tree(path) if path else None
    if root is None:
        return {}
    said = {local(element): " ".join((element.text or "").split()) for element in root}
    return {name: text for name, text in said.items() if text}
