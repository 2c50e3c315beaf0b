"""Families of rows: equal ones, and those that ask the same of near-copies of a passage.

Passage and task are compared apart, because they differ in what a small change means. Two passages
of which one word in a hundred differs are one for the purpose of training. Two questions of which
one word in forty differs are as a rule two questions: "Who is the tenant?", "Who is the landlord?".
So passages are compared by the Jaccard similarity of their word n-grams, and tasks by a canonical
form (see `canonical`) in which every word, number and sign counts, also where a long stock
instruction stands around the one word that differs. Being a form and no measure, it has no
threshold to drift over and joins no chains.

A row that does not hold its passage is compared as it stands: for the model that is tuned there is
no passage.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from itertools import chain
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from bonito_assets.curation.duplicates import similarity
from bonito_assets.curation.duplicates.candidates import PAIRS_AT_ONCE
from bonito_assets.curation.duplicates.canonical import canonical
from bonito_assets.curation.duplicates.signatures import BANDS, signatures
from bonito_assets.curation.instruction import masked, templates

# To be raised when any key or template comes out otherwise than before, so that what was kept of
# them is made anew.
VERSION = "1"

ROW_FEATURES = pa.schema(
    [
        pa.field("instruction_key", pa.uint64()),
        pa.field("task_key", pa.uint64()),
        pa.field("holds_passage", pa.bool_()),
        pa.field("template", pa.string()),
    ]
)
PASSAGE_FEATURES = pa.schema(
    [pa.field("passage_key", pa.uint64()), pa.field("bands", pa.list_(pa.uint64(), BANDS))]
)

# A passage's texts by its number, as the engine asks for them.
Texts = Callable[[np.ndarray], pa.Array]


class Rows(NamedTuple):
    """The features of the rows of `tasks`, in their order, as arrays of 26 bytes a row in all.

    ``passage`` is the number of the passage in `chunks`. A row that is not ``eligible``, as one
    that the parser refused, is a family by itself.
    """

    instruction_key: np.ndarray
    task_key: np.ndarray
    holds_passage: np.ndarray
    eligible: np.ndarray
    passage: np.ndarray


class Passages(NamedTuple):
    """The features of the rows of `chunks`, in their order.

    ``bands`` may be mapped from a file. ``document`` is any number that the passages of a document
    have in common. ``texts`` gives the passages of the numbers that it is given.
    """

    passage_key: np.ndarray
    bands: np.ndarray
    document: np.ndarray
    texts: Texts


class Families(NamedTuple):
    """For each row the number of the first row of its family: among equal rows, and near ones."""

    exact: np.ndarray
    near: np.ndarray


def row_features(inputs: pa.Array, outputs: pa.Array, passages: pa.Array) -> pa.RecordBatch:
    """Gives a row of `ROW_FEATURES` for each row, from its own text and its passage alone.

    ``instruction_key`` is of instruction and answer without the passage, case and blanks aside;
    ``task_key`` is of their canonical forms. Both are null, as ``template`` is, where instruction
    or answer is.
    """
    own = masked(inputs, outputs, passages)
    pairs = list(zip(own.input.to_pylist(), own.output.to_pylist(), strict=True))
    # Answers and stock instructions come again and again, and each is read once.
    forms = {side: canonical(side) for side in {*chain(*pairs)} - {None}}
    columns = [
        _keys([None if i is None else f"{_folded(i)}\x1f{_folded(o)}" for i, o in pairs]),
        _keys([None if i is None else f"{forms[i]}\x1f{forms[o]}" for i, o in pairs]),
        own.holds_passage,
        templates(own.input),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=ROW_FEATURES)


def passage_features(texts: pa.Array) -> pa.RecordBatch:
    """Gives a row of `PASSAGE_FEATURES` for each passage, from its text alone."""
    bands = pa.FixedSizeListArray.from_arrays(pa.array(signatures(texts).reshape(-1)), BANDS)
    keys = _keys([None if text is None else _folded(text) for text in texts.to_pylist()])
    return pa.RecordBatch.from_arrays([keys, bands], schema=PASSAGE_FEATURES)


def _folded(text: str) -> str:
    """Gives `text` in lower case, with single blanks."""
    return " ".join(text.lower().split())


def _keys(texts: list[str | None]) -> pa.Array:
    """Gives 64 bits of each text's BLAKE2b digest; two of ten million agree by chance once in 4e5.

    The chance is n² / 2⁶⁵ for n texts.
    """
    return pa.array(
        [
            None
            if text is None
            else int.from_bytes(
                hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(),
                "little",
            )
            for text in texts
        ],
        pa.uint64(),
    )


def families(rows: Rows, passages: Passages, near_threshold: float | None, scope: str) -> Families:
    """Gives the families of all rows, compared within `scope`: ``corpus``, ``document``, ``off``.

    Rows are equal when instruction, answer and passage are, case and blanks aside. They are near
    ones when their tasks have one canonical form, and their passages a Jaccard similarity of word
    n-grams of at least `near_threshold`, each row's to that of the first row of its family; None
    is none. So no chain of passages, each a little different from the last, joins strangers.

    What the families are depends on the texts of the eligible rows and on their order, not on any
    verdict.
    """
    alone = np.arange(len(rows.task_key), dtype=np.int64)
    if scope == "off":
        return Families(alone, alone)
    place = passages.document[rows.passage] if scope == "document" else None
    own = np.where(rows.holds_passage, passages.passage_key[rows.passage], np.uint64(0))
    exact = _grouped(_mixed(rows.instruction_key, own, place), rows.eligible)
    if near_threshold is None:
        return Families(exact, alone)
    asked = _grouped(_mixed(rows.task_key, rows.holds_passage, place), rows.eligible)
    return Families(exact, _near(asked, rows, passages, near_threshold, scope))


def kindred(passages: Passages, near_threshold: float | None, scope: str) -> np.ndarray:
    """Gives for each passage the number of the first one of its family of near-copies.

    Each is compared with the first of its family, as in `families`; with None for the threshold
    they are of one text, case and blanks aside.
    """
    places = np.arange(len(passages.passage_key), dtype=np.int64)
    if scope == "off":
        return places
    document = passages.document if scope == "document" else None
    first = _firsts(_mixed(passages.passage_key, document))
    if near_threshold is None:
        return first
    members, inverse = np.unique(first, return_inverse=True)
    kin = _kin(members, passages, near_threshold, scope)[members]
    return _led(members, kin, places, passages, near_threshold)[inverse]


def groups(rows: Rows, task_type: np.ndarray, kin: np.ndarray) -> np.ndarray:
    """Gives for each row the first row of its `task_type`, a number, and its passage's family.

    `kin` is what `kindred` gives. A row that is not eligible has -1: it is compared with none.
    """
    first = _grouped(_mixed(task_type, kin[rows.passage]), rows.eligible)
    return np.where(rows.eligible, first, -1)


def _mixed(*keys: np.ndarray | None) -> np.ndarray:
    """Gives one 64-bit key per row for its keys, mixed as SplitMix64 does (Steele 2014)."""
    mixed = None
    for key in keys:
        if key is None:
            continue
        mixed = key.astype(np.uint64) if mixed is None else mixed ^ key.astype(np.uint64)
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        mixed ^= mixed >> np.uint64(31)
    return mixed


def _grouped(keys: np.ndarray, eligible: np.ndarray) -> np.ndarray:
    """Gives for each row the number of the first eligible row of its key; its own, if it is not."""
    first = np.arange(len(keys), dtype=np.int64)
    numbers = np.flatnonzero(eligible)
    order = numbers[np.argsort(keys[numbers], kind="stable")]
    begins = _begins(keys[order])
    first[order] = order[begins][np.cumsum(begins) - 1]
    return first


def _begins(ordered: np.ndarray) -> np.ndarray:
    """Gives where each run of equal values begins."""
    begins = np.ones(len(ordered), bool)
    begins[1:] = ordered[1:] != ordered[:-1]
    return begins


# Rows of one task on passages that resemble each other only in chains: after so many families of
# them the rest are families by themselves. Each costs a comparison with all rows that are left.
_MOST_FAMILIES = 64


def _near(
    asked: np.ndarray, rows: Rows, passages: Passages, threshold: float, scope: str
) -> np.ndarray:
    """Gives the families of near rows, where `asked` gives those of rows with one task."""
    # Only a passage that shares a task with another one is worth comparing.
    sizes = np.bincount(asked, minlength=len(asked))
    family = np.where(rows.holds_passage, np.arange(len(asked)), asked)
    shared = np.flatnonzero(rows.holds_passage & rows.eligible & (sizes[asked] > 1))
    if not len(shared):
        return family
    kin = _kin(np.unique(rows.passage[shared]), passages, threshold, scope)
    # Rows of one task and of one text are one member; its first row stands for it.
    group = _mixed(asked[shared], kin[rows.passage[shared]])
    member = shared[_firsts(_mixed(group, passages.passage_key[rows.passage[shared]]))]
    members, inverse = np.unique(member, return_inverse=True)
    group = group[np.searchsorted(shared, members)]
    leader = _led(members, group, rows.passage, passages, threshold)
    family[shared] = leader[inverse]
    return family


def _firsts(keys: np.ndarray) -> np.ndarray:
    """Gives for each place the first place of the same key."""
    return _grouped(keys, np.ones(len(keys), bool))


def _kin(numbers: np.ndarray, passages: Passages, threshold: float, scope: str) -> np.ndarray:
    """Gives for the passages of these numbers the component of near-copies that each is in.

    The array is as long as `chunks`; the passages that were not asked for are each their own.
    """
    kin = np.arange(len(passages.passage_key), dtype=np.int64)
    kin[numbers] = numbers[
        similarity.families(
            passages.bands[numbers],
            lambda places: passages.texts(numbers[places]),
            threshold,
            salt=passages.document[numbers].astype(np.uint64) if scope == "document" else None,
            keys=passages.passage_key[numbers],
        )
    ]
    return kin


def _led(
    members: np.ndarray,
    group: np.ndarray,
    passage: np.ndarray,
    passages: Passages,
    threshold: float,
) -> np.ndarray:
    """Gives for each member the first member of its family.

    The first of a group leads a family of those whose passages are near-copies of its own, the
    first of what is left leads another one, and so on, in all groups at once.
    """
    leader = members.copy()
    left = np.argsort(group, kind="stable")
    for _ in range(_MOST_FAMILIES):
        begins = _begins(group[left])
        first, other = left[begins][np.cumsum(begins) - 1][~begins], left[~begins]
        if not len(other):
            break
        joins = alike(passage[members[first]], passage[members[other]], passages.texts, threshold)
        leader[other[joins]] = members[first[joins]]
        left = other[~joins]
    return leader


def alike(one: np.ndarray, other: np.ndarray, texts: Texts, threshold: float) -> np.ndarray:
    """Gives for each pair of passages, by number, whether they are near-copies of each other.

    A pair that stands more than once, as of a passage of many tasks, is compared once.
    """
    # No corpus has so many passages that two of their numbers would not fit into 64 bits.
    pairs, inverse = np.unique(one << np.int64(32) | other, return_inverse=True)
    left, right = pairs >> np.int64(32), pairs & np.int64(0xFFFFFFFF)
    near = [
        similarity.verified(
            left[i : i + PAIRS_AT_ONCE], right[i : i + PAIRS_AT_ONCE], texts, threshold
        )
        for i in range(0, len(pairs), PAIRS_AT_ONCE)
    ]
    return np.concatenate([np.empty(0, bool), *near])[inverse]
