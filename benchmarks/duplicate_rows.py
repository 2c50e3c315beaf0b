"""Which rows are told to be duplicates, on planted rows, beside MinHash over the joined row.

The planted rows are those of the tests. They come in two worlds without a word, an instruction or a
question in common: whatever is set by rows is set by those of `TUNING` alone.
"""

from __future__ import annotations

import argparse
import re
import statistics
import time
from collections import Counter
from collections.abc import Callable, Sequence
from importlib.util import find_spec

import numpy as np
import pyarrow as pa

from bonito_assets.curation.duplicates import similarity
from bonito_assets.curation.duplicates.rows import (
    BANDS,
    Passages,
    Rows,
    families,
    passage_features,
    row_features,
)
from bonito_assets.curation.duplicates.signatures import signatures
from bonito_assets.curation.instruction import masked, templates
from tests.curation.duplicates.planted import (
    CASES,
    REPORTING,
    THRESHOLD,
    TUNING,
    Pair,
    Row,
    planted,
)

# As datatrove and its ports come: 14 bands of 8 rows.
_BANDS, _ROWS_PER_BAND = 14, 8

# Tells for each pair of neighbouring rows whether they are of one family.
Arm = Callable[[Sequence[Row]], np.ndarray]


def apart(rows: Sequence[Row]) -> np.ndarray:
    """Gives what the project finds: passage and task are compared apart."""
    texts = sorted({row.passage for row in rows})
    place = {passage: number for number, passage in enumerate(texts)}
    held = pa.array(texts)
    of_rows = row_features(*_columns(rows))
    of_passages = passage_features(held)
    found = families(
        Rows(
            of_rows["instruction_key"].to_numpy(),
            of_rows["task_key"].to_numpy(),
            of_rows["holds_passage"].to_numpy(zero_copy_only=False),
            np.ones(len(rows), bool),
            np.array([place[row.passage] for row in rows]),
        ),
        Passages(
            of_passages["passage_key"].to_numpy(),
            of_passages["bands"].flatten().to_numpy().reshape(-1, BANDS),
            np.arange(len(texts)),
            lambda numbers: held.take(pa.array(numbers)),
        ),
        THRESHOLD,
        "corpus",
    )
    return _paired(found.exact) | _paired(found.near)


def joined_and_verified(rows: Sequence[Row]) -> np.ndarray:
    """Gives what the same engine finds in instruction and answer as one text, verified."""
    texts = pa.array([f"{row.input}\n{row.output}" for row in rows])
    return _paired(
        similarity.families(
            signatures(texts), lambda numbers: texts.take(pa.array(numbers)), THRESHOLD
        )
    )


def joined_in_one_bucket(rows: Sequence[Row]) -> np.ndarray:
    """Gives what datasketch finds in instruction and answer as one text, bucket by bucket."""
    from datasketch import MinHash, MinHashLSH

    index = MinHashLSH(num_perm=_BANDS * _ROWS_PER_BAND, params=(_BANDS, _ROWS_PER_BAND))
    made = []
    for number, row in enumerate(rows):
        words = re.findall(r"\w+", f"{row.input} {row.output}".lower())
        grams = {" ".join(words[i : i + 5]).encode() for i in range(max(1, len(words) - 4))}
        signature = MinHash(num_perm=_BANDS * _ROWS_PER_BAND)
        signature.update_batch(grams)
        made.append(signature)
        index.insert(number, signature)
    return np.array([i + 1 in index.query(made[i]) for i in range(0, len(rows), 2)])


def _paired(family: np.ndarray) -> np.ndarray:
    return family[::2] == family[1::2]


def _columns(rows: Sequence[Row]) -> list[pa.Array]:
    return [
        pa.array([getattr(row, name) for row in rows]) for name in ("input", "output", "passage")
    ]


def right(pairs: Sequence[Pair], said: np.ndarray) -> dict[str, float]:
    """Gives the share of right verdicts per case."""
    counts = Counter(pair.case for pair in pairs)
    good = Counter(
        pair.case
        for pair, is_one in zip(pairs, said, strict=True)
        if is_one == (pair.case == "copied")
    )
    return {case: good[case] / counts[case] for case in CASES}


def _rate(rows: Sequence[Row], work: Callable[[list[pa.Array]], object]) -> float:
    """Gives the rows per second of CPU time: the median of five runs, after one to warm up."""
    columns = _columns(rows)
    seconds = []
    for _ in range(6):
        start = time.process_time()
        work(columns)
        seconds.append(time.process_time() - start)
    return len(rows) / statistics.median(seconds[1:])


def measure(per_case: int = 300, seed: int = 1) -> str:
    """Gives the section of RESULTS.md."""
    arms: dict[str, Arm] = {
        "passage and task apart (the project)": apart,
        "joined row, MinHash 25 × 5, verified": joined_and_verified,
    }
    left_out = []
    if find_spec("datasketch"):
        arms["joined row, datasketch 14 × 8, bucket = duplicate"] = joined_in_one_bucket
    else:
        left_out.append("datasketch is not installed, so its arm is left out.")
    worlds = {"tuning": TUNING, "reporting": REPORTING}
    lines = [
        "## Duplicate rows",
        "",
        f"`python -m benchmarks duplicate_rows`: {per_case} planted pairs of rows of each case, in "
        "each of two worlds that share no words, instructions or questions. Whatever is set by "
        "rows is set by *tuning* alone; *reporting* is the result. Shares of right verdicts; "
        f"the Jaccard threshold is {THRESHOLD} on word 5-grams.",
        *left_out,
        "",
        "| world | compared | two questions, one passage: two rows "
        "| one question, near-copies: one row | stock question, two passages: two rows |",
        "| --- | --- | ---: | ---: | ---: |",
    ]
    for name, world in worlds.items():
        pairs = planted(world, per_case, seed)
        rows = [row for pair in pairs for row in (pair.one, pair.other)]
        for title, arm in arms.items():
            shares = right(pairs, arm(rows))
            cells = " | ".join(f"{shares[case]:.3f}" for case in CASES)
            lines.append(f"| {name} | {title} | {cells} |")
    chars = statistics.mean(len(row.input) for row in rows)
    both = _rate(rows, lambda columns: templates(masked(*columns).input))
    features = _rate(rows, lambda columns: row_features(*columns))
    lines += [
        "",
        f"Rows per CPU second, instructions of {chars:,.0f} characters with their passages: "
        f"passage taken out and template {both:,.0f}; all features of a row {features:,.0f}.",
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--per-case", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    print(measure(options.per_case, options.seed))


if __name__ == "__main__":
    main()
