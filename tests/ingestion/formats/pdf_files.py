"""Small PDF files for tests: text at places, strokes and pictures, in fonts of five kinds.

Helvetica, its bold form and Courier need no font file. The fourth font has a glyph per character of
its text, 500/1000 em wide, and a map back to Unicode; the fifth is the same without that map.
"""

import hashlib
import re
import zlib
from collections.abc import Sequence

PLAIN, BOLD, MONO, MAPPED, UNMAPPED = "F1", "F2", "F3", "F4", "F5"
PICTURE = "q 100 0 0 100 200 400 cm /Im Do Q\n"
_PAD = bytes.fromhex("28BF4E5E4E758A4164004E56FFFA01082E2E00B6D0683E802F0CA9FE6453697A")


def line(x, y, text, size=10, font=PLAIN, matrix=None):
    """Gives the drawing of one line of text whose baseline starts at `x`, `y` from the bottom."""
    if font in (MAPPED, UNMAPPED):
        shown = f"<{''.join(f'{ord(char):04X}' for char in text)}>"
    else:
        escaped = text.replace("\\", r"\\").replace("(", r"\(").replace(")", r"\)")
        shown = f"({escaped})"
    place = f"{matrix or '1 0 0 1'} {x} {y} Tm"
    return f"BT /{font} {size} Tf {place} {shown} Tj ET\n"


def lines(x, y, texts, size=10, font=PLAIN, pitch=12):
    """Gives the drawing of lines below one another."""
    return "".join(
        line(x, y - pitch * number, text, size, font) for number, text in enumerate(texts)
    )


def stroke(x0, y0, x1, y1):
    """Gives the drawing of a straight rule."""
    return f"{x0} {y0} m {x1} {y1} l S\n"


def pdf(
    *pages: str,
    title: str | None = None,
    xmp: str | None = None,
    compressed_xmp: bool = False,
    maps: dict[str, str] | None = None,
    page: str = "",
    user_password: str | None = None,
    owner_password: str | None = None,
) -> bytes:
    """Gives a PDF file of `pages`, each a drawing of the functions above.

    `maps` overrides what a glyph of the mapped font stands for, `page` adds to each page's entry.
    """
    glyphs = "".join(re.findall("<([0-9A-F]+)> Tj", "".join(pages)))
    shown = {glyphs[i : i + 4] for i in range(0, len(glyphs), 4)}
    means = {f"{ord(glyph):04X}": text for glyph, text in (maps or {}).items()}
    pairs = [f"<{code}> <{_hex(means.get(code, chr(int(code, 16))))}>" for code in sorted(shown)]
    to_unicode = "".join(
        f"{len(part)} beginbfchar\n{chr(10).join(part)}\nendbfchar\n"
        for part in (pairs[i : i + 100] for i in range(0, len(pairs), 100))
    )
    objects: list[tuple[str, bytes | None]] = [
        ("<</Type/Catalog/Pages 2 0 R" + ("/Metadata 12 0 R" if xmp else "") + ">>", None),
        (f"<</Type/Pages/Count {len(pages)}/Kids[{_kids(len(pages))}]>>", None),
        *(
            (f"<</Type/Font/Subtype/Type1/BaseFont/{name}/Encoding/WinAnsiEncoding>>", None)
            for name in ("Helvetica", "Helvetica-Bold", "Courier")
        ),
        ("<</Type/Font/Subtype/Type0/BaseFont/Own/Encoding/Identity-H"
         "/DescendantFonts[8 0 R]/ToUnicode 9 0 R>>", None),
        ("<</Type/Font/Subtype/Type0/BaseFont/Own/Encoding/Identity-H"
         "/DescendantFonts[8 0 R]>>", None),
        ("<</Type/Font/Subtype/CIDFontType2/BaseFont/Own/DW 500/CIDSystemInfo"
         "<</Registry(Adobe)/Ordering(Identity)/Supplement 0>>/FontDescriptor 10 0 R>>", None),
        ("<<", _cmap(to_unicode)),
        ("<</Type/FontDescriptor/FontName/Own/Flags 4/FontBBox[0 -200 500 800]/Ascent 800"
         "/Descent -200/CapHeight 700/ItalicAngle 0/StemV 80>>", None),
        ("<</Type/XObject/Subtype/Image/Width 1/Height 1/ColorSpace/DeviceGray"
         "/BitsPerComponent 8", b"\x80"),
        ("<</Type/Metadata/Subtype/XML" + "/Filter/FlateDecode" * compressed_xmp,
         zlib.compress((xmp or "").encode()) if compressed_xmp else (xmp or "").encode()),
        (f"<</Title {_text(title)}>>", None),
    ]  # fmt: skip
    fonts = "".join(f"/F{i} {i + 2} 0 R" for i in range(1, 6))
    for number, drawing in enumerate(pages):
        objects.append(
            (f"<</Type/Page/Parent 2 0 R/MediaBox[0 0 600 800]{page}/Contents {15 + 2 * number} 0 R"
             f"/Resources<</Font<<{fonts}>>/XObject<</Im 11 0 R>>>>>>", None)
        )  # fmt: skip
        objects.append(("<<", drawing.encode("cp1252")))
    encrypted = user_password is not None or owner_password is not None
    key, entry = _encryption(user_password or "", owner_password or "") if encrypted else (b"", "")
    file = b"%PDF-1.4\n"
    places = []
    for number, (head, stream) in enumerate(objects, 1):
        places.append(len(file))
        if stream is not None:
            if encrypted:
                salted = key + number.to_bytes(3, "little") + b"\0\0"
                stream = _rc4(hashlib.md5(salted).digest()[:10], stream)
            body = f"{head}/Length {len(stream)}>>\nstream\n".encode() + stream + b"\nendstream"
        else:
            body = head.encode("latin-1")
        file += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = "".join(f"{place:010} 00000 n \n" for place in places)
    info = "/Info 13 0 R" if title is not None and not encrypted else ""
    trailer = f"<</Size {len(objects) + 1}/Root 1 0 R{info}{entry}>>"
    return file + (
        f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n{table}trailer\n{trailer}\n"
        f"startxref\n{len(file)}\n%%EOF\n"
    ).encode("latin-1")


def _kids(count: int) -> str:
    return " ".join(f"{14 + 2 * number} 0 R" for number in range(count))


def _hex(text: str) -> str:
    return text.encode("utf-16-be").hex().upper()


def _text(text: str | None) -> str:
    return f"<FEFF{_hex(text or '')}>"


def _cmap(pairs: str) -> bytes:
    return (
        "/CIDInit/ProcSet findresource begin 12 dict begin begincmap\n"
        "1 begincodespacerange\n<0000> <FFFF>\nendcodespacerange\n"
        f"{pairs}endcmap end end"
    ).encode()


def _encryption(user: str, owner: str) -> tuple[bytes, str]:
    """Gives key and trailer entry of the 40-bit standard handler (ISO 32000-1, 7.6.3)."""
    padded = (user.encode() + _PAD)[:32]
    owner_key = hashlib.md5(((owner or user).encode() + _PAD)[:32]).digest()[:5]
    o = _rc4(owner_key, padded)
    permissions = (-4).to_bytes(4, "little", signed=True)
    key = hashlib.md5(padded + o + permissions + bytes(16)).digest()[:5]
    u = _rc4(key, _PAD)
    identity = "00" * 16
    return key, (
        f"/Encrypt<</Filter/Standard/V 1/R 2/P -4/O<{o.hex()}>/U<{u.hex()}>>>"
        f"/ID[<{identity}><{identity}>]"
    )


def _rc4(key: bytes, data: Sequence[int]) -> bytes:
    state = list(range(256))
    j = 0
    for i in range(256):
        j = (j + state[i] + key[i % len(key)]) % 256
        state[i], state[j] = state[j], state[i]
    i = j = 0
    out = bytearray()
    for byte in data:
        i = (i + 1) % 256
        j = (j + state[i]) % 256
        state[i], state[j] = state[j], state[i]
        out.append(byte ^ state[(state[i] + state[j]) % 256])
    return bytes(out)
