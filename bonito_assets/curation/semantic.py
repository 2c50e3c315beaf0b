"""Rows that ask the same in other words, of one passage or of near-copies of it, by embeddings.

Only such rows are compared: a stock question on another passage is another row, however alike the
two sound. Subject and answer are embedded apart from each other, and the subject without the
wording around it, so that neither a long frame nor a long answer drowns a difference. And since
embeddings hardly see numbers and negations, rows that differ in these, or in their label, are two.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from bonito_assets.curation.duplicates.canonical import canonical
from bonito_assets.curation.instruction import subject

# Gives one vector of length 1 per text.
Embed = Callable[[Sequence[str]], np.ndarray]

# Rows whose texts and vectors are held at once: 16 MB of vectors of 512 numbers. Rows that are to
# be compared with each other are held together, however many there are.
_ROWS_AT_ONCE = 4096
_NEGATIONS = frozenset("not no never none nobody nothing neither nor without cannot".split())
# The product of a vector of length 1 with itself falls short of 1 by a rounding error.
_ROUNDING = 1e-5


class MissingLibraryError(ImportError):
    """The library that a corpus names for its embeddings is not installed."""


class MissingModelError(ValueError):
    """The model that a corpus names for its embeddings cannot be loaded."""


class Asked(NamedTuple):
    """What some rows ask and answer: `instruction.Masked` as lists, and the label."""

    input: Sequence[str]
    output: Sequence[str]
    label: Sequence[str | None]


def embedder(model: str, library: str) -> Embed:
    """Gives the way in which `library` embeds texts with `model`, a folder or a hub id.

    `library` is ``sentence-transformers`` or ``model2vec``. Vectors have length 1, or 0 for a text
    of which the model knows no word, so that their products are cosines. Raises
    `MissingLibraryError` where the library is not installed and `MissingModelError` where it cannot
    load the model, each with the remedy.
    """
    try:
        encode = _encoder(model, library)
    except (OSError, ValueError) as error:
        raise MissingModelError(
            f"semantic_duplicates: {library} cannot load the model '{model}' ({error}); correct "
            "curation.semantic_duplicates.model in the catalogue file"
        ) from error

    def embed(texts: Sequence[str]) -> np.ndarray:
        vectors = np.asarray(encode(list(texts)), np.float32)
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        return vectors / np.where(lengths > 0, lengths, 1)

    return embed


def _encoder(model: str, library: str) -> Callable[[list[str]], np.ndarray]:
    try:
        if library == "model2vec":
            from model2vec import StaticModel as Loaded
        else:
            from sentence_transformers import SentenceTransformer as Loaded
    except ModuleNotFoundError as error:
        raise MissingLibraryError(
            f"semantic_duplicates needs {library}, which is not installed: install the project "
            "with its extra 'semantic', or take semantic_duplicates out of the catalogue file"
        ) from error
    if library == "model2vec":
        return Loaded.from_pretrained(model).encode
    return Loaded(model, trust_remote_code=False).encode


def families(
    group: np.ndarray, asked: Callable[[np.ndarray], Asked], embed: Embed, threshold: float
) -> np.ndarray:
    """Gives for each row the number of the first row of its family.

    Rows are compared where they have one number in `group`: that of a task type and of a family of
    near-copies of a passage (see `rows.groups`); one below 0 is compared with none. `asked` gives
    what rows ask, by their numbers. A row joins the first family whose first row has the same
    label, numbers and negations, and is so near that the cosine of the subjects and that of the
    answers are both at least `threshold`.
    """
    family = np.arange(len(group), dtype=np.int64)
    for parts in _held(group):
        rows = np.concatenate(parts)
        some = asked(rows)
        about, answers = embed([subject(text) for text in some.input]), embed(some.output)
        marks = _marks(some)
        start = 0
        for part in parts:
            own = slice(start, start + len(part))
            family[part] = part[_leaders(about[own], answers[own], marks[own], threshold)]
            start = own.stop
    return family


def _held(group: np.ndarray) -> Iterator[list[np.ndarray]]:
    """Gives the rows of each group that has several, so many groups at a time."""
    members = np.flatnonzero(group >= 0)
    members = members[np.argsort(group[members], kind="stable")]
    ends = np.flatnonzero(np.diff(group[members], append=-1)) + 1
    starts = np.append(0, ends[:-1])
    several = np.flatnonzero(ends - starts > 1)
    held: list[np.ndarray] = []
    size = 0
    for place in several:
        rows = members[starts[place] : ends[place]]
        held.append(rows)
        size += len(rows)
        if size >= _ROWS_AT_ONCE:
            yield held
            held, size = [], 0
    if held:
        yield held


def _marks(asked: Asked) -> np.ndarray:
    """Gives a number per row, equal where label, numbers and negations are."""
    seen: dict[tuple, int] = {}
    found = []
    for question, answer, label in zip(*asked, strict=True):
        sides = [canonical(side) for side in (subject(question), answer)]
        said = [
            sorted(w for w in side.split() if w in _NEGATIONS or any(map(str.isdigit, w)))
            for side in sides
        ]
        found.append(seen.setdefault((label, repr(said)), len(seen)))
    return np.array(found, np.int64)


def _leaders(
    about: np.ndarray, answers: np.ndarray, marks: np.ndarray, threshold: float
) -> np.ndarray:
    """Gives for each row of a group the place of the first row of its family."""
    leader = np.arange(len(marks))
    left = leader.copy()
    while len(left) > 1:
        first, rest = left[0], left[1:]
        rest_alike = rest[marks[rest] == marks[first]]
        cosines = np.minimum(about[rest_alike] @ about[first], answers[rest_alike] @ answers[first])
        joining = rest_alike[cosines >= threshold - _ROUNDING]
        leader[joining] = first
        left = np.setdiff1d(rest, joining, assume_unique=True)
    return leader
