"""Whether a release's answers belong to their inputs, judged by the base model without any labels.

For each row of a sample, the base model says how likely its answer is after its own input, and how
likely answers of other rows of the task type are. An answer that belongs there beats strangers
there; one that does not, because rows were mixed up or the generator wrote at random, beats half of
them. How well the base model can tell at all is measured beside it: it is asked the same of a
stretch of words from the row's own passage, which belongs there for certain. The share of answers
that fit no better than a stranger's follows from both:

    own  = (1 - share) * known + share / 2      share = (known - own) / (known - 1/2)

with `own` and `known` the shares of comparisons that are won. Answers of a few labels ("yes",
"neutral") are left out: they say too little about the passage for a base model that has not
learned the task.
"""

from __future__ import annotations

import hashlib
import random
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bonito_assets.catalogue import Corpus
from bonito_assets.evaluation.metrics import interval
from bonito_assets.evaluation.scorers import Scorer
from bonito_assets.progress import Progress
from bonito_assets.tuning.prompts import Encoder
from resources.store import Store

# Seven strangers per row cost twice as much as three, and by arithmetic narrow the interval of a
# share of 0.3 by a twentieth of its width.
BLOCK = 4
# Rows looked at. At a share of 0.3 the interval was 0.09 to each side with 288 rows and a model
# that knows own words from strangers' in nine of ten cases.
MOST_ROWS = 320
# A release is refused when the whole interval of the share lies above this. An answer need not be
# as likely as its own passage's words, so a share of a few hundredths is no fault.
TOLERATED = 0.1
# Below this the model is too near to guessing (0.5) for the share to mean anything.
LEAST_KNOWN = 0.6
# Fewer blocks than this have no interval worth the name.
_LEAST_BLOCKS = 10
# A long answer has given itself away by then: summaries of the demo won all comparisons.
_ANSWER_TOKENS = 16

_LABEL_TYPES = frozenset(
    {"ynqa", "coref", "paraphrase_id", "sentiment", "topic_class", "wsd", "te", "nli"}
)


@dataclass(frozen=True)
class Row:
    """A row of the release, and the passage that it was made from."""

    generation_id: str
    task_type: str
    input: str
    output: str
    passage: str


@dataclass(frozen=True)
class Compared:
    """Comparisons won in one block: by own answers, by stretches of own passages, of how many."""

    own: float
    known: float
    comparisons: int


def open_types(corpus: Corpus) -> list[str]:
    """Gives the task types of `corpus` whose answers are words of their own and not labels."""
    labels = _LABEL_TYPES | {
        name
        for name, custom in corpus.custom_task_types.items()
        if custom.answer in ("labels", "choice")
    }
    return [name for name in corpus.task_types if name not in labels]


def sample(store: Store, corpus: Corpus, release: str) -> list[Row]:
    """Gives at most 320 rows of the published dataset, drawn by their ids from both splits.

    Only of the types of ``open_types``. `release` is the pattern of the release's Parquet files.
    Nothing but the rows that are drawn is held in memory.
    """
    with store.connect() as connection:
        drawn = connection.execute(
            "select generation_id, task_type, input, output, chunk_id from read_parquet(?) "
            "where list_contains(?, task_type) order by md5('fit ' || generation_id) limit ?",
            [release, open_types(corpus), MOST_ROWS],
        ).fetchall()
    with store.reader() as connection:
        passages = dict(
            connection.execute(
                "select chunk_id, text from chunks "
                "where corpus = ? and chunk_id in (select unnest(?))",
                [corpus.name, [row[-1] for row in drawn]],
            ).fetchall()
        )
    return [Row(*row, passages[chunk_id]) for *row, chunk_id in drawn if chunk_id in passages]


def blocks(rows: Sequence[Row]) -> list[list[Row]]:
    """Gives `rows` in fours of one task type, each four with passages and answers all different.

    Rows that find no such company are left out: there is nothing that they could be exchanged for.
    """
    by_type: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        by_type[row.task_type].append(row)
    return [block for waiting in by_type.values() for block in _blocks_of_type(waiting)]


def _blocks_of_type(waiting: list[Row]) -> list[list[Row]]:
    made = []
    while True:
        block: list[Row] = []
        others: list[Row] = []
        taken: set[str] = set()
        for row in waiting:
            marks = {f"p {row.passage}", f"a {row.output.strip().lower()}"}
            if len(block) < BLOCK and not marks & taken:
                block.append(row)
                taken |= marks
            else:
                others.append(row)
        if len(block) < BLOCK:
            return made
        made.append(block)
        waiting = others


def stretch(row: Row, usual_words: int) -> str:
    """Gives words that stand together in the row's passage, as many as its answer has.

    At least `usual_words` of them, else a label among long answers would be held against a single
    word; at most half the passage. Where they begin is drawn by the row's id.
    """
    words = row.passage.split()
    length = min(max(len(row.output.split()), usual_words), max(1, len(words) // 2))
    seed = int.from_bytes(hashlib.sha256(row.generation_id.encode()).digest()[:8], "big")
    start = random.Random(seed).randrange(max(1, len(words) - length + 1))
    return " ".join(words[start : start + length])


def won(scores: np.ndarray) -> float:
    """Gives how many comparisons own answers win; ``scores[i, j]`` is answer j after input i.

    Every row's answer is held against each of the others after that row's input. From both goes
    what the answer gets after the inputs that neither belongs to, as short and common answers are
    likely everywhere. A draw is half a win. Exchanging the two answers exchanges winner and loser,
    so answers that belong nowhere win half.
    """
    count, wins = len(scores), 0.0
    for row in range(count):
        for stranger in range(count):
            if stranger == row:
                continue
            elsewhere = [other for other in range(count) if other not in (row, stranger)]
            usual = scores[elsewhere].mean(axis=0)
            gain = (scores[row, row] - usual[row]) - (scores[row, stranger] - usual[stranger])
            wins += 1.0 if gain > 0 else 0.5 if gain == 0 else 0.0
    return wins


def compare(
    rows: Sequence[Row],
    scorer: Scorer,
    encoder: Encoder,
    budget: int,
    log: Callable[[str], None],
) -> dict[str, list[Compared]]:
    """Gives what own answers and known ones win, per block and by task type.

    Prompt and answer take at most `budget` tokens; where that takes shortening, the passage loses
    its end, and a row that does not fit even so is left out.
    """
    fitting = [row for row in rows if _prompt(row, encoder, budget) is not None]
    made = blocks(fitting)
    progress = Progress("whether answers fit", len(made) * BLOCK, log)
    found = {}
    # Type by type: answers of one batch are padded to the longest of them.
    for kind in sorted({block[0].task_type for block in made}):
        lengths = [len(row.output.split()) for row in fitting if row.task_type == kind]
        usual = int(np.quantile(lengths, 0.25))
        of_kind = [block for block in made if block[0].task_type == kind]
        prompts = [_prompt(row, encoder, budget) for block in of_kind for row in block]
        answers = [_answers(block, usual, encoder) for block in of_kind for _ in block]
        scores = np.array(scorer.log_likelihoods(prompts, answers, progress.advance))
        found[kind] = [
            Compared(won(square[:, :BLOCK]), won(square[:, BLOCK:]), BLOCK * (BLOCK - 1))
            for square in np.split(scores, len(of_kind))
        ]
    return found


def _answers(block: Sequence[Row], usual_words: int, encoder: Encoder) -> list[list[int]]:
    """Gives the tokens of the rows' own answers, and then of the stretches that belong there."""
    texts = [*(row.output for row in block), *(stretch(row, usual_words) for row in block)]
    return [encoder.answer(text)[:_ANSWER_TOKENS] for text in texts]


def _prompt(row: Row, encoder: Encoder, budget: int) -> list[int] | None:
    fitted = encoder.fit(row.input, row.passage, _ANSWER_TOKENS, budget)
    return None if fitted is None else encoder.prompt(fitted.text)


def report(compared: dict[str, list[Compared]]) -> dict[str, Any]:
    """Gives the share of answers that fit no better than a stranger's, with its 95% interval.

    ``share`` is None, with a ``reason``, where it cannot be told. ``detectable`` is the share that
    a release of this size would be refused for in 39 of 40 cases.
    """
    parts = [part for found in compared.values() for part in found]
    told: dict[str, Any] = {
        "rows": len(parts) * BLOCK,
        "tolerated": TOLERATED,
        "own": _rate(parts, "own"),
        "known": _rate(parts, "known"),
        "per_task_type": {
            kind: {
                "rows": len(found) * BLOCK,
                "own": _rate(found, "own"),
                "known": _rate(found, "known"),
            }
            for kind, found in sorted(compared.items())
        },
    }
    if len(parts) < _LEAST_BLOCKS:
        return {
            **told,
            "share": None,
            "reason": f"only {len(parts) * BLOCK} rows can be compared, of task types whose "
            f"answers are no labels; it takes {_LEAST_BLOCKS * BLOCK}",
        }
    if told["known"] < LEAST_KNOWN:
        return {
            **told,
            "share": None,
            "reason": "the base model prefers words of the own passage in only "
            f"{told['known']:.0%} of the comparisons, which is too near to guessing",
        }
    own = np.array([part.own for part in parts])
    known = np.array([part.known for part in parts])
    comparisons = np.array([part.comparisons for part in parts])

    def share(drawn: np.ndarray) -> float:
        room = known[drawn].sum() - comparisons[drawn].sum() / 2
        # A resample in which the model only guesses says nothing, which is no reason to refuse.
        return float((known[drawn].sum() - own[drawn].sum()) / room) if room > 0 else 0.0

    low, high = interval(share, len(parts))
    return {
        **told,
        "share": share(np.arange(len(parts))),
        "ci95": [low, high],
        "detectable": TOLERATED + (high - low),
    }


def _rate(parts: Sequence[Compared], name: str) -> float | None:
    total = sum(part.comparisons for part in parts)
    return sum(getattr(part, name) for part in parts) / total if total else None


def verdict(found: dict[str, Any]) -> tuple[bool, str]:
    """Tells whether the answers fit their inputs, and says so in a sentence.

    They do not when the whole 95% interval of the share lies above the tolerated one.
    """
    if found["share"] is None:
        return True, f"Whether the answers fit their inputs cannot be told: {found['reason']}."
    low, high = found["ci95"]
    fit = low <= found["tolerated"]
    return fit, (
        f"An estimated {max(0.0, found['share']):.0%} of the answers fit their input no better "
        f"than a stranger's answer does (95% interval {max(0.0, low):.0%} to {max(0.0, high):.0%}, "
        f"by {found['rows']:,} rows): "
        + (
            f"within the {found['tolerated']:.0%} that is tolerated; {found['detectable']:.0%} "
            "would have been noticed."
            if fit
            else "look at samples of instruction_dataset, and tune on nothing of it until the "
            "cause is found."
        )
    )
