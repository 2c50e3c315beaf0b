"""Reads electronic books (EPUB 2 and 3): the chapters in the order in which one reads them.

https://www.w3.org/TR/epub-33/ says what is where. A page of a book has no menus, so that its
pages are rendered whole, other than those of the web.
"""

from __future__ import annotations

import posixpath
from typing import Any
from urllib.parse import unquote

from bonito_assets.ingestion.formats.extracted import Extracted, Refused
from bonito_assets.ingestion.formats.html import (
    decode_page,
    invisible_parts,
    parse_page,
    render,
)
from bonito_assets.ingestion.formats.package import Archive, attribute, child, local
from bonito_assets.ingestion.formats.writer import Writer

_CONTAINER = "META-INF/container.xml"
_ENCRYPTION = "META-INF/encryption.xml"
_PAGES = ("application/xhtml+xml", "text/html", "application/x-dtbook+xml")
# Fonts are scrambled by these so that they cannot be lifted out; the text is open.
_SCRAMBLED_FONTS = ("http://www.idpf.org/2008/embedding", "http://ns.adobe.com/pdf/enc#RC")
# What EPUB 2 calls the pages that only list other pages.
_LISTS_OF_PAGES = ("toc", "cover")


def read(content: bytes) -> Extracted:
    """Gives the text of a book, chapter after chapter, with its headings, title and rights.

    Table of contents and cover are left out. Raises ``Refused`` for a book that cannot be read,
    is protected or has no text.
    """
    archive = Archive(content)
    path = _package_path(archive)
    package = archive.tree(path)
    if package is None:
        raise Refused("unreadable", "is no EPUB inside, whatever its name says")
    pages = _pages(package, posixpath.dirname(path))
    protected = _protected(archive)
    if protected & set(pages):
        raise Refused("encrypted", "is protected against copying; only its shop's reader opens it")
    writer = Writer()
    missing = 0
    for page in pages:
        source = archive.read(page)
        if source is None:
            missing += 1
            continue
        root = parse_page(decode_page(source)[0])
        if root is not None:
            render(root, writer, invisible_parts(root))
    said = {
        local(element): " ".join("".join(element.itertext()).split())
        for element in reversed(child(package, "metadata") if _has_metadata(package) else ())
    }
    return writer.extracted(
        said.get("title"),
        said.get("rights"),
        f"lacks {missing} of its pages" if missing else None,
    )


def _has_metadata(package: Any) -> bool:
    return child(package, "metadata") is not None


def _package_path(archive: Archive) -> str:
    container = archive.tree(_CONTAINER)
    path = attribute(child(container, "rootfiles", "rootfile"), "full-path")
    if path is None:
        raise Refused("unreadable", "is no EPUB inside, whatever its name says")
    return unquote(path) if path not in archive.names else path


def _pages(package: Any, folder: str) -> list[str]:
    """Gives the paths of the pages in the order of the spine, without lists of other pages."""

    def path(reference: str | None) -> str:
        return posixpath.normpath(posixpath.join(folder, unquote(reference or "").split("#")[0]))

    guide = child(package, "guide")
    left_out = {
        path(attribute(entry, "href"))
        for entry in (guide if guide is not None else ())
        if attribute(entry, "type") in _LISTS_OF_PAGES
    }
    manifest = child(package, "manifest")
    items = {
        attribute(item, "id"): path(attribute(item, "href"))
        for item in (manifest if manifest is not None else ())
        if attribute(item, "media-type") in _PAGES
        and "nav" not in (attribute(item, "properties") or "").split()
    }
    spine = child(package, "spine")
    found = [items.get(attribute(entry, "idref")) for entry in (spine if spine is not None else ())]
    pages = dict.fromkeys(page for page in found if page is not None)
    # A book of one page may call it its cover, too.
    return [page for page in pages if page not in left_out] or list(pages)


def _protected(archive: Archive) -> set[str]:
    """Gives the paths of the parts that are encrypted, other than scrambled fonts."""
    root = archive.tree(_ENCRYPTION)
    paths = set()
    for entry in root if root is not None else ():
        method = attribute(child(entry, "EncryptionMethod"), "Algorithm")
        reference = child(entry, "CipherData", "CipherReference")
        if method not in _SCRAMBLED_FONTS and reference is not None:
            paths.add(posixpath.normpath(unquote(attribute(reference, "URI") or "")))
    return paths
