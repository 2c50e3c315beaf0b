"""What a PDF file says of itself: its title and license."""

from __future__ import annotations

import re
import zlib
from xml.etree import ElementTree

_FILE_NAME = re.compile(r"\.\w{2,5}$|^\S*_\S*$|^microsoft word - |^untitled|^\(", re.IGNORECASE)
# Metadata is some kilobytes; more is a bomb.
_MOST_METADATA = 1_000_000
_STREAM = re.compile(rb"<<[^<>]*/Type\s*/Metadata\b[^<>]*>>\s*stream\r?\n")
_PACKET = re.compile(rb"<rdf:RDF\b.*</rdf:RDF>", re.DOTALL)
_RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
_TITLE = "{http://purl.org/dc/elements/1.1/}title"
# In this order: a name or an address says more than a line about rights.
_LICENSES = (
    "{http://creativecommons.org/ns#}license",
    "{http://web.resource.org/cc/}license",
    "{http://ns.adobe.com/xap/1.0/rights/}WebStatement",
    "{http://purl.org/dc/elements/1.1/}rights",
)
# Only the packet of the document says which PDF version or program made it; pictures have others.
_OF_THE_DOCUMENT = b"http://ns.adobe.com/pdf/1.3/"


def sensible(title: str | None) -> str | None:
    """Gives a title from metadata, or None for one that a program put there."""
    title = " ".join((title or "").split())
    n_letters = sum(char.isalpha() for char in title)
    return title if n_letters >= 2 and not _FILE_NAME.search(title) else None


def from_xmp(content: bytes) -> tuple[str | None, str | None]:
    """Gives title and license as far as the XMP packet of the document states them.

    PDFium does not hand the packet out, so its stream is looked for in the bytes of the file
    (ISO 32000-1, 14.3.2): plain, as the standard advises, or deflated. In an encrypted file it is
    not found.
    """
    packets: list[bytes] = []
    for match in _STREAM.finditer(content):
        data = content[match.end() : match.end() + _MOST_METADATA]
        if b"/FlateDecode" in match[0]:
            try:
                data = zlib.decompressobj().decompress(data, _MOST_METADATA)
            except zlib.error:
                continue
        packet = _PACKET.search(data.partition(b"endstream")[0])
        # A document type could define entities that grow without measure.
        if packet and b"<!" not in packet[0].replace(b"<!--", b""):
            packets.append(packet[0])
    own = [packet for packet in packets if _OF_THE_DOCUMENT in packet]
    # The last is that of the latest edit.
    chosen = own[-1] if own else packets[0] if len(packets) == 1 else b""
    try:
        root = ElementTree.fromstring(chosen)
    except (ElementTree.ParseError, ValueError, LookupError):
        return None, None
    licenses = (_property(root, name) for name in _LICENSES)
    return _property(root, _TITLE), next(filter(None, licenses), None)


def _property(root: ElementTree.Element, name: str) -> str | None:
    """Gives an XMP property: an attribute, an rdf:resource, text, or the first of alternatives."""
    for element in root.iter():
        value = element.get(name)
        if value is None and element.tag == name:
            value = element.get(_RDF + "resource") or " ".join(element.itertext())
            items = [item.text for item in element.iter(_RDF + "li") if item.text]
            value = items[0] if items else value
        if value and value.strip():
            return " ".join(value.split())
    return None
