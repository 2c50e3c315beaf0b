"""In which order rows are learned: shuffled, with rows of like length in one step.

The order of a whole run is settled before it begins, so that one that was killed goes on with the
very rows it would have seen.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

# So many steps' worth of shuffled rows are sorted together: padding costs little, and which rows
# meet in a step is still chance.
_STEPS_SORTED = 50


def order(lengths: Sequence[int], wanted: int, step: int, seed: int) -> list[int]:
    """Gives the numbers of `wanted` rows, `step` of them per optimizer step; rows come again.

    A row comes again only when all others have come as often. The longest row is in the first
    step: a machine that is too small fails at once and not at the end.
    """
    rng = np.random.default_rng(seed)
    rounds = -(-wanted // len(lengths))
    stream = np.concatenate([rng.permutation(len(lengths)) for _ in range(rounds)])[:wanted]
    size = np.asarray(lengths)
    steps: list[np.ndarray] = []
    for start in range(0, wanted, _STEPS_SORTED * step):
        rows = stream[start : start + _STEPS_SORTED * step]
        rows = rows[np.argsort(-size[rows], kind="stable")]
        cut = [rows[at : at + step] for at in range(0, len(rows), step)]
        # The step that is not full can only be the very last one.
        rest = [cut.pop()] if len(cut[-1]) < step else []
        steps += [cut[number] for number in rng.permutation(len(cut))] + rest
    longest = max(range(len(steps)), key=lambda number: size[steps[number]].max())
    if len(steps[longest]) == step:
        steps.insert(0, steps.pop(longest))
    return np.concatenate(steps).tolist()
