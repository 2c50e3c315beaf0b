"""Takes an instruction apart: the passage in it, the wording around its subject, the subject.

What a row asks and the passage that it asks it of are compared apart from each other, and the same
question may be put in a hundred wordings. So the passage is taken out first, and then the wording
is told from the subject by rules: a cap on wordings needs no training set of them.
"""

from __future__ import annotations

import hashlib
import re
from typing import NamedTuple

import pyarrow as pa

from bonito_assets.parsing.words import FUNCTION_WORDS
from bonito_assets.tables import CONTEXT_SLOT


class Masked(NamedTuple):
    """Rows without their passages, as arrays of one length."""

    input: pa.Array
    output: pa.Array
    holds_passage: pa.Array


def masked(inputs: pa.Array, outputs: pa.Array, passages: pa.Array) -> Masked:
    """Gives each row's instruction and answer with ``{{context}}`` where its passage stands.

    That is what the model wrote before the parser put the stripped passage in. A row that does not
    hold its passage to the letter is left as it is, and ``holds_passage`` is false. A row without
    an instruction or without an answer is null in both.
    """
    found = [
        (None, None, False)
        if instruction is None or answer is None
        else _masked(instruction, answer, (passage or "").strip())
        for instruction, answer, passage in zip(
            inputs.to_pylist(), outputs.to_pylist(), passages.to_pylist(), strict=True
        )
    ]
    columns = list(zip(*found, strict=True)) or [(), (), ()]
    types = (pa.string(), pa.string(), pa.bool_())
    return Masked(*(pa.array(column, kind) for column, kind in zip(columns, types, strict=True)))


def _masked(instruction: str, answer: str, passage: str) -> tuple[str, str, bool]:
    # The model has one slot, and which of several places was the slot nobody can tell any more:
    # all are masked, so that the row of a near-copy is masked alike.
    if not passage or (passage not in instruction and passage not in answer):
        return instruction, answer, False
    return (
        instruction.replace(passage, CONTEXT_SLOT),
        answer.replace(passage, CONTEXT_SLOT),
        True,
    )


# Words in which instructions speak of the passage, of the task and of the form of the answer, and
# passages seldom of what they are about.
FRAME_WORDS = frozenset(
    "passage passages text texts paragraph paragraphs article document context excerpt dialogue "
    "conversation review sentence sentences statement statements phrase word words title headline "
    "question questions answer answers answering option options choice choices choose pick select "
    "following above below given based according read write generate create compose complete "
    "completes continue ending endings extract copy describe explain summary summarize summarise "
    "shorten points paraphrase reword rewords rephrase rewrite premise hypothesis claim conclude "
    "infer imply implies follow follows entail entails support supports supported justified say "
    "says said mention mentions mentioned mean means meaning definition similar topic category "
    "categories label labels sentiment opinion rating pronoun refer refers suppose assume letter "
    "instruction task".split()
)
# Words that answers are given in. Two of them in a row are a list of labels.
_LABELS = frozenset(
    "yes no maybe true false neither inconclusive always sometimes never correct incorrect right "
    "wrong guaranteed possible impossible positive negative neutral good bad satisfied "
    "dissatisfied increase decrease flattering unflattering equivalent relevant irrelevant".split()
)
_JOINING = frozenset(("or", "and", "not"))
_PLAIN_QUOTES = str.maketrans({**dict.fromkeys("“”„‟«»″", '"'), **dict.fromkeys("‘’‚‛", "'")})
# Pieces that are no words, by their first letter, and what stands in the wording for a longer one.
_MARKS = {"{": "{}", '"': '"', "'": '"', "\n": "-", **dict.fromkeys(".?!:", "")}
# What an instruction is read in: words with what is inside of them (isn't, -3.5%), marks that end a
# sentence or a title, lines of a list (of options or of points), ends of lines, something quoted,
# and the passage.
_PIECE = re.compile(
    r"\w+(?:['’.,]\w+)*%?|[.?!:]"
    r"|\n[ \t]*(?:[-*•–]|\(?[A-Ha-h\d][.:)])[ \t]*(?=[^\s{])[^\n]*|\n"
    r"|\"[^\"\n]+\"|(?<!\w)'[^'\n]+'(?!\w)|-\d+(?:[.,]\d+)*%?"
    r"|\{\{context\}\}"
)


def templates(masked_inputs: pa.Array) -> pa.Array:
    """Gives, for each masked instruction, the digest of how it is worded around its subject.

    The digest is of a skeleton (see `skeleton`), 16 hexadecimal digits, null for null. Instructions
    that differ in what they ask about share it; two wordings may share one too, where they use the
    same words of `FRAME_WORDS` in one order.
    """
    texts = masked_inputs.to_pylist()
    # Stock instructions come again and again, and each is read once.
    digests = {text: _digest(skeleton(text)) for text in set(texts) - {None}}
    return pa.array([digests.get(text) for text in texts], pa.string())


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode("utf-8"), digest_size=8).hexdigest()


def skeleton(masked_input: str) -> str:
    """Gives the wording of a masked instruction without its subject.

    In their order: ``{}`` for the passage, ``"`` for something quoted, ``-`` for the lines of a
    list, ``=`` for a list of labels, the words of `FRAME_WORDS`, and of a question its first two
    words, the second only if it is a function word. After a title (``Question:``) the rest of the
    line is subject, whatever it says.
    """
    return " ".join(_parts(masked_input)[0])


def subject(masked_input: str) -> str:
    """Gives what a masked instruction is about: its questions and quotations, titled and listed.

    Where it has none of them, it gives the whole instruction without the passage.
    """
    found = " ".join(_parts(masked_input)[1])
    return found or " ".join(masked_input.replace(CONTEXT_SLOT, " ").split())


def _parts(masked_input: str) -> tuple[list[str], list[str]]:
    """Gives the pieces of the wording and those of the subject."""
    text = masked_input if masked_input.isascii() else masked_input.translate(_PLAIN_QUOTES)
    wording: list[str] = []
    about: list[str] = []
    said: list[str] = []  # the words of the sentence under way
    begun = 0  # pieces of wording when it began
    titled = listing = False
    last = ""
    # A line break in front lets the first line be one of a list, one behind ends the last.
    for piece in _PIECE.findall(f"\n{text}\n"):
        mark = _MARKS.get(piece[0])
        if mark is None:
            said.append(piece)
            last = piece.lower()
            if last in _LABELS:
                if listing and wording[-1:] != ["="]:
                    wording.append("=")
                listing = True
                continue
            if listing and last not in _JOINING:
                listing = False
            if last in FRAME_WORDS and not titled:
                wording.append(last)
            continue
        if piece == ":":
            if last in FRAME_WORDS:
                if titled:
                    wording.append(last)
                    said.pop()
                    about += said
                wording.append(":")
                said, begun, titled = [], len(wording), True
        elif len(piece) > 1:
            if mark != "-" or wording[-1:] != ["-"]:
                wording.append(mark)
            if mark != "{}":
                about.append(piece.strip())
        elif piece == "\n" or not titled:
            if piece == "?" and said:
                wording[begun:begun] = _opening(said)
            if piece == "?" or titled:
                about += said
            said, begun, titled, listing = [], len(wording), False, False
        last = ""
    return wording, about


def _opening(words: list[str]) -> list[str]:
    """Gives the words by which a question is told from others: what is, how many, did the."""
    first, second = words[0].lower(), words[1].lower() if len(words) > 1 else ""
    if first in _LABELS or first in FRAME_WORDS:
        return []
    return [first, second] if second in FUNCTION_WORDS else [first]
