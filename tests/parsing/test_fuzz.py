"""No output makes the parser or a check fail, and what is kept holds no marker.

Half of them are pieces put together, half are good ones that something happened to.
``BONITO_FUZZ_MINUTES`` sets how long the slow run goes on; the fast one takes 3,000 outputs.
"""

import itertools
import os
import random
import time
from collections import Counter
from functools import partial

import pytest

from bonito_assets import tables
from bonito_assets.catalogue import TASK_TYPES
from bonito_assets.parsing.judge import CHECKS, strict
from bonito_assets.parsing.words import Passage
from tests.parsing.well_formed import KEPT

SLOT, PIPE = tables.CONTEXT_SLOT, tables.PIPE
PIECES = [
    SLOT, PIPE, "{{ context }}", "{{", "}}", "{% if %}", "|||", "<|", "|>", "<|context|>",
    "<|task|>", "<|tasktype|>", "| join(", "truncate(2048)", "@highlight", "@placeholder", "##",
    "\n", "\n- ", "\nA. ", "\nB) ", "(c)", "\nEnding 1: ", "Options:", "Question:", "Answer:",
    '"', "“", "”", "'", "?", "？", ".", ",", ":", "...", " or ", "/", " ", "\t", "\0", "\u200b",
    "\u2028", "\ufeff", "\ud800", "İ", "ß", "ﬁ", "ａ", "²", "é", "e\u0301", "桥", "ภา", "👩‍👩‍👧",
    "1,000", "3.5", "12",
    "Yes", "No", "Maybe", "True", "false", "Neither", "always", "equivalent", "not equivalent",
    "positive", "They didn't like it", "5 stars", "word", "mean", "refer to", "it", "She", "the",
    "river", "Harbour", "movie plot", "app with package", "review", "dialogue", "summary",
]  # fmt: skip
CHECKED = partial(strict, CHECKS)


def piece(rng):
    drawn = rng.random()
    if drawn < 0.002:
        return rng.choice(PIECES) * 300
    if drawn < 0.9:
        return rng.choice(PIECES)
    return "".join(chr(rng.choice((rng.randrange(0x250), rng.randrange(0x110000)))) for _ in "abc")


def text(rng, longest):
    return rng.choice(("", " ")).join(piece(rng) for _ in range(rng.randrange(longest)))


def output(rng):
    """Gives an output that comes near to being one: a slot and a pipe are likely."""
    if rng.random() < 0.2:
        return text(rng, 30)
    sides = [text(rng, 12), text(rng, 6)]
    slot_here = rng.randrange(2) if rng.random() < 0.3 else 0
    sides[slot_here] = f"{SLOT}\n{sides[slot_here]}" if rng.random() < 0.9 else sides[slot_here]
    return PIPE.join(sides)


def changed(rng, written):
    """Gives `written` with one change: a piece put in, a stretch cut or doubled, another case."""
    start = rng.randrange(len(written) + 1)
    end = min(len(written), start + rng.randrange(1, 20))
    middle = written[start:end]
    made = rng.choice((rng.choice(PIECES), rng.choice(PIECES) + middle, "", 2 * middle,
                       middle.swapcase(), middle.replace(" ", "\n"), " " + middle))  # fmt: skip
    return written[:start] + made + written[end:]


def damaged(rng):
    """Gives a good example's type, output and passage, with up to three changes in the output."""
    good = rng.choice(KEPT)
    written = f"{good.instruction}\n{PIPE}\n{good.answer}"
    for _ in range(rng.randrange(4)):
        written = changed(rng, written)
    passage = good.passage if rng.random() < 0.8 else changed(rng, good.passage)
    return good.task_type, written, passage


def example(seed):
    """Gives a task type, an output, a finish reason and a passage; the same for the same seed."""
    rng = random.Random(seed)
    if rng.random() < 0.5:
        task_type, written, passage = damaged(rng)
        return task_type, written, "stop", Passage(passage)
    passage = rng.choice((text(rng, 60), "", "The river is wide. It is deep.", "桥长503米。"))
    finish = rng.choice(("stop", "stop", "stop", "length", None))
    return rng.choice((*TASK_TYPES, "of_its_own")), output(rng), finish, Passage(passage)


def examine(seed):
    """Judges the example of `seed`; gives its task type if it was kept."""
    task_type, written, finish, passage = example(seed)
    task = CHECKED(task_type, written, finish, passage)
    if task.rejected_because is not None:
        assert task.rejected_because in tables.REJECTIONS
        assert task.label is None
        return None
    assert finish == "stop"
    instruction, answer = written.split(PIPE)
    # The passage is text, whatever it holds; marks of the model's own making are what must go.
    own = (instruction + "\n" + answer).replace(SLOT, "", 1)
    assert not any(mark in own for mark in ("<|", "|>", "{{", "}}", "|||", "@highlight"))
    assert (SLOT in answer) == (task_type == "text_gen")
    assert task.input.strip()
    assert task.output.strip() or task_type == "text_gen"
    return task_type


def test_no_output_is_too_strange_to_be_judged():
    kept = Counter(map(examine, range(3_000)))
    # A run in which one type is always refused would say nothing of what that type keeps.
    assert min(kept[task_type] for task_type in TASK_TYPES) >= 10


@pytest.mark.slow
def test_no_output_is_too_strange_in_a_long_run():
    minutes = float(os.environ.get("BONITO_FUZZ_MINUTES", "10"))
    start, kept, seeds = time.monotonic(), Counter(), itertools.count(1_000_000)
    while time.monotonic() < start + 60 * minutes:
        kept.update(map(examine, itertools.islice(seeds, 1000)))
    assert kept.keys() >= TASK_TYPES.keys()
