"""Reads web pages: what the author wrote, without the menus around it.

What is boilerplate is decided by the page's own signs only: tags and roles that say so, names of
classes, blocks that are nothing but links. Nothing is decided by what the words look like, and no
paragraph is taken apart, so that a text which is kept is kept whole. The extractors that we
compared score paragraphs one by one; on manual pages they lost headings, notes, and once the half
of a sentence.
"""

from __future__ import annotations

import codecs
import html
import re
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from bonito_assets.ingestion.formats.extracted import Extracted, Refused
from bonito_assets.ingestion.formats.text import decode, decode_as
from bonito_assets.ingestion.formats.writer import Writer, numeral

# Encodings

_DECLARED = re.compile(
    rb"<\?xml[^>]{1,200}?encoding\s*=\s*[\"']([\w.:-]+)|<meta[^>]{1,400}?charset\s*=\s*[\"']?\s*([\w.:-]+)",
    re.IGNORECASE,
)
# A declaration stands within the first 1,024 bytes (HTML standard, 13.2.3.2); some pages put a long
# comment before it.
_DECLARED_WITHIN = 4_096
# Browsers read these names as the larger encoding on the right (Encoding standard, 4.2).
_LARGER = {
    "iso8859-1": "cp1252",
    "ascii": "cp1252",
    "iso8859-9": "cp1254",
    "iso8859-11": "cp874",
    "tis-620": "cp874",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "euc_kr": "cp949",
    "shift_jis": "cp932",
    "big5": "big5hkscs",
}
# Python knows text encodings that a page must not choose, such as ones that are slow on purpose.
_OF_THE_WEB = re.compile(r"cp\d|iso8859|koi8|mac|gb|big5|euc|shift|tis|ascii")


def decode_page(content: bytes) -> tuple[str, str | None]:
    """Gives the text of a page's source, and a warning or None.

    A byte order mark rules, then UTF-8 where the bytes are valid, then what the page declares,
    then what the bytes speak for. Raises ``Refused`` for what is no text.
    """
    codec = _declared(content[:_DECLARED_WITHIN])
    marked = content.startswith((codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    if codec and not marked and not _is_utf8(content):
        text, warning = decode_as(content, codec)
        # A page may declare what it is not; a declaration that holds fails at next to no byte.
        if text.count("\ufffd") <= 0.001 * len(text):
            return text.replace("\0", ""), warning
    return decode(content)


def _is_utf8(content: bytes) -> bool:
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return True


def _declared(head: bytes) -> str | None:
    match = _DECLARED.search(head)
    if match is None:
        return None
    try:
        name = codecs.lookup((match.group(1) or match.group(2)).decode("ascii", "replace")).name
    except LookupError:
        return None
    name = _LARGER.get(name, name)
    return name if _OF_THE_WEB.match(name) else None


# Trees

_ENTITY = re.compile(r"&(?!(?:amp|lt|gt|quot|apos);)([A-Za-z][A-Za-z0-9]{1,31});")
_XML_PROLOG = re.compile(r"\s*<\?xml[^>]*\?>")
_TOO_DEEP = "is nested too deeply; no more than 2,048 tags may lie within each other"


def parse_page(text: str) -> Any:
    """Gives the root element of a page, tags without namespaces; None for a page without any.

    Well-formed XHTML is read as XML, since an empty ``<title/>`` swallows the rest of the page
    for an HTML parser. Raises ``Refused`` for a page that is nested too deeply.
    """
    from lxml import etree

    prolog = _XML_PROLOG.match(text)
    if prolog or "http://www.w3.org/1999/xhtml" in text[:2048]:
        try:
            return _parse_xhtml(text[prolog.end() :] if prolog else text)
        except etree.XMLSyntaxError:
            pass  # most of what calls itself XHTML is not well-formed
    # Beyond 256 levels the parser stops without this option, as unclosed tags soon make them. An
    # HTML parser expands no entities, so nothing else can swell.
    parser = etree.HTMLParser(
        encoding="utf-8", remove_comments=True, remove_pis=True, no_network=True, huge_tree=True
    )
    try:
        root = etree.fromstring(text.encode(), parser)
    except etree.XMLSyntaxError:
        return None
    if any(entry.type_name == "ERR_RESOURCE_LIMIT" for entry in parser.error_log):
        raise Refused("unreadable", _TOO_DEEP)
    return root


def _parse_xhtml(text: str) -> Any:
    from lxml import etree

    # Names of characters are declared in a DTD, which is never loaded.
    named = _ENTITY.sub(lambda match: html.unescape(match.group()), text)
    parser = etree.XMLParser(
        encoding="utf-8",
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
    )
    root = etree.fromstring(named.encode(), parser)
    etree.strip_elements(root, etree.Entity, with_tail=False)
    for element in root.iter(etree.Element):
        element.tag = element.tag.rpartition("}")[2].lower()
    return root


# What is left out

_HEADINGS = ("h1", "h2", "h3", "h4", "h5", "h6")
# Never seen by a reader, or not text. rt and rp hold the pronunciation beside a character.
_INVISIBLE = frozenset(
    "head script style noscript template iframe object embed applet svg canvas audio video map "
    "button select input textarea datalist dialog rt rp annotation annotation-xml".split()
)
_HIDDEN_STYLE = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.IGNORECASE)
_HIDDEN_CLASS = frozenset("sr-only visually-hidden visuallyhidden screen-reader-text".split())
# Links that are a sign: back to the text from a footnote, or to the heading they stand in.
_SIGNS = frozenset("↩ ↩︎ ¶ § # ⇧ ↑ ^".split())
_AROUND = frozenset("nav header footer aside".split())
_ROLES = frozenset(
    "navigation banner contentinfo search complementary menu menubar toolbar dialog alert "
    "doc-toc doc-pagelist".split()
)
# Names by which authors call what stands around their text, as whole words of class or id.
_NAMES = re.compile(
    r"(?:^|\s)(?:(?:site|page|global|main|top|bottom|sub|primary|secondary|nav)[-_]?)?"
    r"(?:nav(?:bar|igation)?s?|menus?|bread-?crumbs?|side-?bars?|foot(?:er)?|masthead|"
    r"tool-?bar|top-?bar|pagination|pager|toc|table-of-contents|related(?:-?\w+)?|share|sharing|"
    r"social(?:-?\w+)?|cookies?(?:-?\w+)?|consent(?:-?\w+)?|gdpr(?:-?\w+)?|adverts?|"
    r"advertisements?|ads|banner-ad|promo|newsletter(?:-?\w+)?|subscribe|skip(?:-?\w+)?|"
    r"comments?(?:-list|-area|-form|_thread)?|popup|modal|permalink|headerlink|anchor-?link|"
    r"edit-?section|linenos?|lang(?:uage)?-?(?:switcher|selector|menu|links)|lang)"
    r"(?:[-_]?(?:bar|list|links?|menu|wrapper|container|box|section|content|area))?(?=\s|$)"
    r"|(?:^|\s)(?:site|page|global)[-_]?header(?=\s|$)",
    re.IGNORECASE,
)
# A block so named that holds more of the page than this is no ornament, whatever its name.
_MOST_AROUND = 0.4
# A block whose text lies in links to this share is a menu. Prose with many references has a half.
_LINKS = 0.8
# Blocks that can be a menu; in a cell or an item of a list that goes on, links are content.
_MENUS = frozenset("ul ol dl menu div section table center p form".split())
# Between the links of a line of links.
_SEPARATORS = re.compile(r"[\s|·•>»›→/\\\[\]()—–-]+")
# The words that introduce a line of links, such as "In other languages:", in characters.
_LONGEST_LABEL = 30
# Below so many characters a page without its links is no text; then the links are the text.
_LEAST_TEXT = 50
# The one part of a page that is marked as its text must hold so much of it.
_LEAST_MAIN = 0.3


def read(content: bytes) -> Extracted:
    """Gives the main text of a web page with its headings, title and licence.

    Raises ``Refused`` for what is no text, shows none, or is nested too deeply.
    """
    source, warning = decode_page(content)
    root = parse_page(source)
    if root is None:
        raise Refused("empty", "holds no text")
    invisible = invisible_parts(root)
    main, around, menus = _page_parts(root, invisible)
    for part, skip in (
        (main, invisible | around | menus),
        (main, invisible | around),
        (root, invisible | {element for element in around if element.tag in _AROUND}),
    ):
        writer = Writer()
        render(part, writer, skip)
        if writer.length >= _LEAST_TEXT:
            break
    return writer.extracted(_title(root, main, skip), _license(root), warning)


def invisible_parts(root: Any) -> set[Any]:
    """Gives the elements under `root` that a browser would not show as text."""
    return {
        element
        for element in root.iter()
        if element.tag in _INVISIBLE
        or "hidden" in element.attrib
        or _HIDDEN_STYLE.search(element.get("style", ""))
        or not _HIDDEN_CLASS.isdisjoint(element.get("class", "").split())
        or (element.tag == "a" and "".join(element.itertext()).strip() in _SIGNS)
    }


@dataclass
class _Size:
    """Characters of an element that are no spaces, those of them in links, and its links."""

    text: int = 0
    linked: int = 0
    links: int = 0


def _page_parts(root: Any, invisible: set[Any]) -> tuple[Any, set[Any], set[Any]]:
    """Gives the element with the text, what stands around it, and what is nothing but links."""
    sizes = _sizes(root, invisible)
    main = _main(root, sizes)
    total = max(1, sizes[main].text)
    around: set[Any] = set()
    menus: set[Any] = set()
    covered: set[Any] = set()
    for element in main.iter():
        if element is main or element in invisible:
            continue
        if element.getparent() in covered:
            covered.add(element)
        elif _stands_around(element, sizes[element].text / total) or _is_link_line(
            element, sizes[element]
        ):
            around.add(element)
            covered.add(element)
        elif _is_menu(element, sizes[element]):
            menus.add(element)
            covered.add(element)
    menus |= {
        element
        for element in main.iter(*_HEADINGS[1:])
        if element not in covered and _is_left_alone(element, invisible | around | menus)
    }
    return main, around, menus


def _sizes(root: Any, invisible: set[Any]) -> dict[Any, _Size]:
    sizes: dict[Any, _Size] = {}
    # Backwards, the children of an element come before it, and no recursion can be too deep.
    for element in reversed(list(root.iter())):
        size = sizes[element] = _Size()
        if element in invisible:
            continue
        size.text = _visible(element.text)
        for child in element:
            size.text += sizes[child].text + _visible(child.tail)
            size.linked += sizes[child].linked
            size.links += sizes[child].links
        if element.tag == "a" and element.get("href") is not None:
            size.linked, size.links = size.text, 1
    return sizes


def _visible(text: str | None) -> int:
    return len("".join(text.split())) if text else 0


def _main(root: Any, sizes: dict[Any, _Size]) -> Any:
    for path in (".//main | .//*[@role='main']", ".//article"):
        found = root.xpath(path)
        if len(found) == 1 and sizes[found[0]].text >= _LEAST_MAIN * sizes[root].text:
            return found[0]
    return root


def _stands_around(element: Any, share: float) -> bool:
    if element.tag in ("pre", "code", "body", "html", *_HEADINGS):
        return False
    holds_main = next(element.iter("h1", "main", "article"), None) is not None
    if element.tag in ("nav", "footer", "aside"):
        return not holds_main or element.tag == "nav"
    if holds_main or share > _MOST_AROUND:
        return False
    names = element.get("class", "")
    # The id of an anchor or of a chapter is made of its heading: "Navigation" can be a subject.
    if element.tag in (*_MENUS, "header") and next(element.iter(*_HEADINGS), None) is None:
        names += f" {element.get('id', '')}"
    return (
        element.tag == "header"
        or not _ROLES.isdisjoint(element.get("role", "").split())
        or _NAMES.search(names) is not None
    )


def _is_menu(element: Any, size: _Size) -> bool:
    """Tells whether `element` is a block of which next to nothing is outside a link."""
    if element.tag not in _MENUS or not size.links or size.linked < _LINKS * size.text:
        return False
    if next(element.iter("pre", *_HEADINGS), None) is not None:
        return False
    # A paragraph of one link can be part of the text, as can a longer reference.
    return size.links > 1 or (element.tag != "p" and size.text < _LONGEST_LABEL)


def _is_link_line(element: Any, size: _Size) -> bool:
    """Tells whether `element` is a line such as "Home > News" or "In other languages: de | fr"."""
    label = size.text - size.linked
    if element.tag not in _MENUS or size.links < 2 or label > _LONGEST_LABEL + 2 * size.links:
        return False
    if next(element.iter("li", "tr", "br", "pre", *_HEADINGS), None) is not None:
        return False
    between = "".join(_unlinked(element)).strip()
    words = _SEPARATORS.sub("", between)
    if words:
        return words.endswith(":") and len(words) <= _LONGEST_LABEL
    return bool(between)


def _unlinked(element: Any) -> list[str]:
    texts = element.xpath(".//text()[not(ancestor::a[@href])]")
    return [str(text) for text in texts]


def _is_left_alone(heading: Any, skip: set[Any]) -> bool:
    """Tells whether all that stood under `heading` beside it is left out."""
    found = False
    previous = heading
    for element in heading.itersiblings():
        if _visible(previous.tail):
            return False
        if element.tag in _HEADINGS:
            break
        if element not in skip:
            return False
        found, previous = True, element
    return found and not _visible(previous.tail)


def _title(root: Any, main: Any, skip: set[Any]) -> str | None:
    for heading in main.iter("h1"):
        if heading not in skip and (words := " ".join("".join(heading.itertext()).split())):
            return words
    for path in (".//meta[@property='og:title']/@content", ".//head/title/text()"):
        for found in root.xpath(path):
            if words := " ".join(found.split()):
                return words
    return None


_RIGHTS = frozenset("dc.rights dcterms.rights dcterms.license dc.rights.license".split())


def _license(root: Any) -> str | None:
    for element in root.iter("link", "a", "meta"):
        if "license" in element.get("rel", "").lower().split():
            said = element.get("href", "")
        elif element.get("name", "").lower() in _RIGHTS:
            said = element.get("content", "")
        else:
            continue
        if said.strip():
            return said.strip()
    return None


# Text

_BLOCKS = frozenset(
    "address article aside blockquote body caption center dd details dialog dir div dl dt fieldset "
    "figcaption figure footer form header hgroup hr html legend li main menu nav ol optgroup "
    "option p section summary table tbody td tfoot th thead tr ul".split()
)
_LISTS = frozenset("ul ol menu dir dl".split())
_PREFORMATTED = frozenset("pre listing xmp plaintext".split())
_SPACES = re.compile("[ \t\n\r\f\u00a0]+")
# Characters that are seen by no one: soft hyphen, word joiner, byte order mark.
_UNSEEN = re.compile("[\u00ad\u2060\ufeff]")
# Stands for <br> until the spaces around it are known; XML and HTML sources hold none.
_BREAK = "\v"
_PARAGRAPH_BREAK = re.compile(f"(?: ?{_BREAK} ?){{2,}}")
_RAISED = str.maketrans("0123456789+-n()", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿ⁽⁾")
_LOWERED = str.maketrans("0123456789+-()", "₀₁₂₃₄₅₆₇₈₉₊₋₍₎")
# Largest span that a cell may have (HTML standard, 4.9.11).
_LARGEST_SPAN = 1_000
# Cells of tables that carry data are short. One longer than this, in characters, holds the page.
_LONGEST_CELL = 1_000


def render(root: Any, writer: Writer, skip: Collection[Any] = frozenset()) -> None:
    """Adds the text of the tree `root` to `writer`, without the elements in `skip`."""
    from lxml import etree

    page = _Rendering(writer)
    walk = etree.iterwalk(root, events=("start", "end"))
    for event, element in walk:
        skipped = element in skip
        if event == "start":
            if skipped:
                walk.skip_subtree()
                continue
            page.start(element)
            page.text(element.text)
        else:
            if not skipped:
                page.end(element)
            if element is not root:
                page.text(element.tail)
    page.flush()


@dataclass
class _List:
    kind: str
    next: int = 1
    step: int = 1


@dataclass
class _Table:
    """A table of data while it is read; ``taken`` counts the rows that spanning cells go on for."""

    element: Any
    row: list[tuple[str, int, int]] = field(default_factory=list)
    cell: list[str] | None = None
    taken: dict[int, int] = field(default_factory=dict)


class _Rendering:
    """Turns a walk over a tree into blocks: inline text gathers until a block begins or ends."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._inline: list[str] = []
        self._lists: list[_List] = []
        self._marker = ""
        self._level: int | None = None
        self._preformatted = 0
        self._table: _Table | None = None
        # Whether the next block goes on the next line: an item after an item, a row after a row.
        self._joins = False
        self._scripts: list[int] = []

    def text(self, text: str | None) -> None:
        if text:
            text = _UNSEEN.sub("", text).replace(_BREAK, " ")
            self._inline.append(text if self._preformatted else _SPACES.sub(" ", text))

    def start(self, element: Any) -> None:
        tag = element.tag
        if tag in _HEADINGS:
            self.flush()
            self._level = int(tag[1])
        elif tag in _PREFORMATTED:
            self.flush()
            self._preformatted += 1
        elif tag == "br":
            self._inline.append("\n" if self._preformatted else _BREAK)
        elif tag == "q":
            self._inline.append("“")
        elif tag in ("sup", "sub"):
            self._scripts.append(len(self._inline))
        elif _is_note_mark(element):
            self._inline.append("[")
        elif tag in _BLOCKS:
            self.flush()
            self._start_block(element, tag)

    def _start_block(self, element: Any, tag: str) -> None:
        if tag in _LISTS:
            if not self._lists:
                self._joins = False
            self._lists.append(_List(*_numbering(element)) if tag == "ol" else _List(tag))
        elif tag == "li":
            self._marker = self._next_marker(element)
        elif tag == "dt":
            self._joins = len(self._lists) > 1
        elif tag == "dd":
            self._joins = True
        elif tag == "table" and self._table is None and _holds_data(element):
            self._table = _Table(element)
            self._joins = bool(self._lists)
        elif self._table is not None:
            if tag in ("td", "th"):
                self._table.cell = []
        elif not self._lists:
            self._joins = False

    def _next_marker(self, element: Any) -> str:
        current = self._lists[-1] if self._lists else _List("ul")
        if current.kind in _LISTS:
            return "- "
        number = _integer(element.get("value"), current.next)
        current.next = number + current.step
        kinds = {"a": "letter", "A": "letter", "i": "roman", "I": "roman"}
        written = numeral(number, kinds.get(current.kind, "decimal"))
        return f"{written.upper() if current.kind in 'AI' else written}. "

    def end(self, element: Any) -> None:
        tag = element.tag
        if tag in _HEADINGS:
            self.flush()
            self._level = None
        elif tag in _PREFORMATTED:
            self.flush()
            self._preformatted -= 1
        elif tag == "q":
            self._inline.append("”")
        elif tag in ("sup", "sub"):
            self._end_script(self._scripts.pop(), _RAISED if tag == "sup" else _LOWERED)
        elif _is_note_mark(element):
            self._inline.append("]")
        elif tag in _BLOCKS:
            self.flush()
            self._end_block(element, tag)

    def _end_block(self, element: Any, tag: str) -> None:
        if tag in _LISTS:
            if self._lists:
                self._lists.pop()
            self._joins = bool(self._lists)
        elif tag == "li":
            self._marker = ""
        elif self._table is not None:
            if tag in ("td", "th") and self._table.cell is not None:
                spans = [_span(element.get(name)) for name in ("colspan", "rowspan")]
                self._table.row.append((" ".join(self._table.cell), spans[0], spans[1]))
                self._table.cell = None
            elif tag == "tr":
                self._end_row(self._table)
            elif element is self._table.element:
                self._end_row(self._table)
                self._table = None
                self._joins = bool(self._lists)

    def _end_row(self, table: _Table) -> None:
        """Writes a row; a cell that spans rows shows in the first and leaves the others blank."""
        cells: list[str] = []
        column = 0
        waiting = table.row[::-1]
        table.row = []
        taken: dict[int, int] = {}
        while waiting or any(place >= column for place in table.taken):
            if rows := table.taken.pop(column, 0):
                cells.append("")
                if rows > 1:
                    taken[column] = rows - 1
                column += 1
            elif waiting:
                text, columns, rows = waiting.pop()
                cells.append(text)
                if rows > 1:
                    taken[column] = rows - 1
                column += columns
            else:
                column = min(place for place in table.taken if place >= column)
        table.taken = taken
        self._joins |= self._writer.add_row(cells, self._joins)

    def _end_script(self, start: int, signs: dict[int, int]) -> None:
        """Raises or lowers digits, since 10² is not 102; other text has no such signs."""
        text = "".join(self._inline[start:])
        if text.strip() and all(ord(char) in signs for char in text.strip()):
            self._inline[start:] = [text.translate(signs)]

    def flush(self) -> None:
        text = "".join(self._inline)
        self._inline.clear()
        # A script that a block interrupts raises nothing.
        self._scripts = [0] * len(self._scripts)
        if self._preformatted:
            lines = [line.rstrip() for line in text.expandtabs(4).splitlines()]
            blocks = ["\n".join(lines).strip("\n")]
        else:
            tidy = _SPACES.sub(" ", text)
            blocks = [
                "\n".join(line.strip() for line in block.split(_BREAK)).strip()
                for block in _PARAGRAPH_BREAK.split(tidy)
            ]
        for block in blocks:
            if block.strip():
                self._put(block)

    def _put(self, block: str) -> None:
        if self._table is not None and self._table.cell is not None:
            self._table.cell.append(" ".join(block.split()))
        elif self._level is not None:
            self._writer.add(" ".join(block.split()), self._level)
            self._joins = False
        else:
            self._writer.add(self._marker + block, joined=self._joins)
            self._joins = bool(self._lists)
        self._marker = ""


def _is_note_mark(element: Any) -> bool:
    """Tells whether `element` is the mark of a footnote, which must not run into its word."""
    if element.tag != "a":
        return False
    kinds = (element.get("{http://www.idpf.org/2007/ops}type", ""), element.get("role", ""))
    return "noteref" in kinds[0].split() or "doc-noteref" in kinds[1].split()


def _numbering(element: Any) -> tuple[str, int, int]:
    step = -1 if "reversed" in element.attrib else 1
    last = sum(child.tag == "li" for child in element) if step < 0 else 1
    return element.get("type", "1") or "1", _integer(element.get("start"), last), step


def _integer(written: str | None, otherwise: int) -> int:
    match = re.fullmatch(r"\s*(-?\d{1,9})\s*", written or "")
    return int(match.group(1)) if match else otherwise


def _span(written: str | None) -> int:
    return min(max(_integer(written, 1), 1), _LARGEST_SPAN)


def _holds_data(table: Any) -> bool:
    """Tells whether `table` has rows of cells; else it only places blocks on the page."""
    blocks = table.iterdescendants("table", "pre", *_HEADINGS)
    if next(blocks, None) is not None:
        return False
    widest = 0
    for row in table.iterdescendants("tr"):
        cells = [cell for cell in row if cell.tag in ("td", "th")]
        widest = max(widest, len(cells))
        if any(_visible("".join(cell.itertext())) > _LONGEST_CELL for cell in cells):
            return False
    return widest > 1
