"""The code blocks of a page of documentation, in the order in which a reader meets them."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

_FENCE = re.compile(r"^```(?P<info>[^\n`]*)\n(?P<text>.*?)^```$", re.S | re.M)
# The first line of a block that stands for a file: a comment with nothing but its path.
_FILE = re.compile(r"# (?P<path>[\w./-]+\.(?:ya?ml|env|toml|txt|md))(?:\s.*)?\Z")
_ENDS_OF_COMMAND = set("|&;<>()")
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=")


@dataclass(frozen=True)
class Block:
    """One fenced block: its language, the words behind it (``needs-gpu``), text and first line."""

    language: str
    words: frozenset[str]
    text: str
    line: int

    @property
    def path(self) -> str | None:
        """Gives the file that the block is the content of, or None for any other block."""
        found = _FILE.match(self.text.split("\n", 1)[0])
        return found["path"] if found and self.language in ("yaml", "toml", "dotenv") else None

    @property
    def lines(self) -> list[str]:
        """Gives the commands of a shell block, without comments.

        A continued line and a quotation over several lines are one command.
        """
        found: list[str] = []
        held = ""
        for line in self.text.replace("\\\n", " ").split("\n"):
            held += line
            try:
                words = shlex.split(held, comments=True)
            except ValueError:  # a quotation is still open
                held += "\n"
                continue
            if words:
                found.append(held.strip())
            held = ""
        return found


def blocks(page: Path) -> list[Block]:
    """Gives the fenced blocks of `page`."""
    text = page.read_text(encoding="utf-8")
    found = []
    for match in _FENCE.finditer(text):
        language, *words = match["info"].split() or [""]
        line = text.count("\n", 0, match.start()) + 1
        found.append(Block(language, frozenset(words), match["text"], line))
    return found


def calls(line: str, program: str) -> list[list[str]]:
    """Gives the arguments of each call of `program` (by name or by path) in a line of shell."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    found: list[list[str]] = []
    arguments: list[str] | None = None  # of the command that the words belong to
    for word in lexer:
        if set(word) <= _ENDS_OF_COMMAND:
            arguments = None
        elif arguments is not None:
            arguments.append(word)
        elif not _ASSIGNMENT.match(word):
            arguments = []
            if Path(word).name == program:
                found.append(arguments)
    return found


def settings_in(text: str) -> set[str]:
    """Gives the names of this project's settings that a text mentions."""
    return set(re.findall(r"\bBONITO_[A-Z_]+\b", text))
