"""The verdicts of curation: pure rules over arrays, so that judging again costs next to nothing.

The first reason that applies stands: what the parser found, contamination, a score outside its
threshold, another model's disagreement, duplicates, and what is too much of its kind. Wherever one
row of several is kept it is the best: that of the highest mean log-probability, rows without one
last, then the first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from bonito_assets.catalogue import Curation

# In the order in which they are looked at; a verdict is a place in this list, or ACCEPTED.
REASONS = (
    "refused",  # whatever the parser said
    "contaminated",
    "low_quality",
    "not_confirmed",
    "exact_duplicate",
    "near_duplicate",
    "semantic_duplicate",
    "over_represented",
)
ACCEPTED = -1
_NUMBER = {reason: number for number, reason in enumerate(REASONS)}


@dataclass(frozen=True)
class Facts:
    """What the verdicts are made from: an array each, with one entry per row of `tasks`.

    ``kind`` numbers the pairs of task type and label, and ``kinds`` names them by number; a label
    of None stands for rows without one. ``scores`` hold NaN where a row has none. A family is
    named by a row number; ``families`` are given by the verdict on all but one of their rows.
    Of ``groups`` (passage, document, template) equal numbers mean the same one; -1 is none. Scores
    and groups that no rule asks for may be missing.
    """

    refused: np.ndarray
    kind: np.ndarray
    kinds: list[tuple[str, str | None]]
    mean_logprob: np.ndarray
    contaminated: np.ndarray | None = None
    scores: Mapping[str, np.ndarray] = field(default_factory=dict)
    families: Mapping[str, np.ndarray] = field(default_factory=dict)
    groups: Mapping[str, np.ndarray] = field(default_factory=dict)


class Verdicts(NamedTuple):
    """A verdict per row, the row kept in its place (-1 = none), and what a person must know."""

    reason: np.ndarray
    duplicate_of: np.ndarray
    warnings: list[str]


def judge(facts: Facts, rules: Curation) -> Verdicts:
    """Gives the verdict on every row under the `rules` of its corpus."""
    rows = len(facts.refused)
    reason = np.full(rows, ACCEPTED, np.int8)
    duplicate_of = np.full(rows, -1, np.int64)
    reason[facts.refused] = _NUMBER["refused"]

    def refuse(name: str, mask: np.ndarray) -> None:
        reason[(reason == ACCEPTED) & mask] = _NUMBER[name]

    if facts.contaminated is not None:
        refuse("contaminated", facts.contaminated)
    for name, threshold in rules.thresholds.items():
        # A comparison with NaN is false, so a row without the score passes.
        values = facts.mean_logprob if name == "mean_logprob" else facts.scores[name]
        if threshold.min is not None:
            refuse("low_quality", values < threshold.min)
        if threshold.max is not None:
            refuse("low_quality", values > threshold.max)
    if rules.round_trip is not None:
        refuse("not_confirmed", facts.scores["round_trip"] < rules.round_trip.min_agreement)
    best_first = np.argsort(
        -np.nan_to_num(facts.mean_logprob, nan=-np.inf, neginf=-np.inf), kind="stable"
    )
    for name, family in facts.families.items():
        kept = _kept(family, best_first[(reason == ACCEPTED)[best_first]])
        copies = (reason == ACCEPTED) & (kept[family] != np.arange(rows))
        duplicate_of[copies] = kept[family[copies]]
        reason[copies] = _NUMBER[name]
    _follow(duplicate_of)

    def left() -> np.ndarray:
        return best_first[(reason == ACCEPTED)[best_first]]

    for name, most in (
        ("passage", rules.max_per_passage),
        ("document", rules.max_per_document),
        ("template", rules.max_per_template),
    ):
        if most is not None:
            order = left()
            group = facts.groups[name][order]
            reason[order[(places(group) >= most) & (group >= 0)]] = _NUMBER["over_represented"]
    order = left()
    share = Shares(facts.kinds, rules.max_share_per_label, rules.max_share_per_task_type)
    reason[order[~share.chosen(facts.kind[order])]] = _NUMBER["over_represented"]
    return Verdicts(reason, duplicate_of, share.warnings)


def _kept(family: np.ndarray, best_first: np.ndarray) -> np.ndarray:
    """Gives the best row of each family by its number, -1 where none is left."""
    kept = np.full(len(family), -1, np.int64)
    # Of several values for one place the last one stays, which is that of the best row.
    kept[family[best_first[::-1]]] = best_first[::-1]
    return kept


def _follow(duplicate_of: np.ndarray) -> None:
    """Lets a duplicate of a duplicate name the row that is kept in the place of both."""
    copies = np.flatnonzero(duplicate_of >= 0)
    while len(copies):
        further = duplicate_of[duplicate_of[copies]]
        copies, further = copies[further >= 0], further[further >= 0]
        duplicate_of[copies] = further


def places(group: np.ndarray) -> np.ndarray:
    """Gives the place of each entry among those of its group, from 0, in the order given."""
    order = np.argsort(group, kind="stable")
    ordered = group[order]
    starts = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1]))[: len(ordered)])
    sizes = np.diff(np.append(starts, len(ordered)))
    found = np.empty(len(group), np.int64)
    found[order] = np.arange(len(ordered)) - np.repeat(starts, sizes)
    return found


class Shares:
    """The largest choice of rows in which no label and no task type has more than its share.

    A label's share is one of the rows of its task type that remain, a task type's one of all that
    remain. Rows without a label are limited by their task type only. Where there are too few labels
    for a share (two labels and a third) each gets an equal one, which is the least there is, and
    ``warnings`` says so.
    """

    def __init__(
        self,
        kinds: list[tuple[str, str | None]],
        per_label: float | None,
        per_task_type: float | None,
    ) -> None:
        self._kinds = kinds
        self._per_label = per_label
        self._per_task_type = per_task_type
        self.warnings: list[str] = []

    def chosen(self, kind: np.ndarray) -> np.ndarray:
        """Gives for each row whether it remains; rows come best first, as numbers of kinds."""
        keep = np.ones(len(kind), bool)
        if self._per_label is None and self._per_task_type is None:
            return keep
        counts = np.bincount(kind, minlength=len(self._kinds))
        types: dict[str, list[int]] = {}
        for number, (task_type, _) in enumerate(self._kinds):
            if counts[number]:
                types.setdefault(task_type, []).append(number)
        shares = {t: self._label_share(t, numbers) for t, numbers in types.items()}

        def size(task_type: str, most: int) -> int:
            """Gives the most rows of a task type, up to `most`, that can keep to its share."""
            share = shares[task_type]
            numbers = types[task_type]
            total = int(counts[numbers].sum())
            if share is None:
                return min(total, most)
            labelled = [int(counts[n]) for n in numbers if self._kinds[n][1] is not None]
            free = total - sum(labelled)
            return _largest(
                min(total, most), lambda n: free + sum(min(c, int(share * n)) for c in labelled)
            )

        sizes = {t: size(t, len(kind)) for t in types}
        if self._per_task_type is not None and types:
            share = self._possible(self._per_task_type, len(types), "task types", "all")
            # No choice can have more of one type than its share of the largest total seen so far.
            while max(sizes.values()) > (allowed := int(share * sum(sizes.values()))):
                sizes = {t: size(t, allowed) for t in types}
        place = places(kind)
        type_of = np.zeros(len(self._kinds), np.int64)
        for number, (task_type, numbers) in enumerate(types.items()):
            type_of[numbers] = number
            if shares[task_type] is not None:
                for n in numbers:
                    if self._kinds[n][1] is not None:
                        quota = int(shares[task_type] * sizes[task_type])
                        keep[(kind == n) & (place >= quota)] = False
        within = np.flatnonzero(keep)
        limit = np.array(list(sizes.values()), np.int64)
        number = type_of[kind[within]]
        keep[within[places(number) >= limit[number]]] = False
        return keep

    def _label_share(self, task_type: str, numbers: list[int]) -> Fraction | None:
        labels = [self._kinds[n][1] for n in numbers]
        if self._per_label is None or labels == [None]:
            return None
        if None in labels:
            return Fraction(str(self._per_label))
        return self._possible(self._per_label, len(labels), "labels", task_type)

    def _possible(self, share: float, among: int, what: str, where: str) -> Fraction:
        wanted = Fraction(str(share))
        if wanted * among >= 1:
            return wanted
        some = f"{among} {what} cannot have" if among > 1 else "the only one cannot have"
        self.warnings.append(
            f"{where}: {some} at most {share:.0%} each; equal shares are the least there is"
        )
        return Fraction(1, among)


def _largest(most: int, room: Callable[[int], int]) -> int:
    """Gives the largest number up to `most` that there is `room` for when it is chosen.

    ``room`` never falls as the number grows, so there is no answer beyond the room that is found.
    """
    while (possible := room(most)) < most:
        most = possible
    return most
