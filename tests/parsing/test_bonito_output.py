"""Outputs are split by the upstream rule, and each one that is not kept gets its reason."""

import contextlib
import random
import signal
from collections import Counter
from functools import partial

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from bonito_assets import tables
from bonito_assets.parsing.bonito_output import upstream
from bonito_assets.parsing.judge import CHECKS, strict
from bonito_assets.parsing.words import Passage
from tests.parsing.well_formed import KEPT, PASSAGES

PIECES = [
    "<|pipe|>", "{{context}}", " ", "\n", "a", "é", "<|", "pipe|>", "{{", "}}", "context", "|",
    "<|pipe|><|pipe|>", "{{{{context}}}}", "{{ context }}", "\u200b", "\u00a0", "\x1c", "\u2028",
    "\\1", "{0}", "%s",
]  # fmt: skip
TEXTS = st.one_of(st.lists(st.sampled_from(PIECES), max_size=12).map("".join), st.text(max_size=60))


def of_upstream(output, passage):
    """What the upstream package at git HEAD makes of one prediction: a pair, or nothing."""
    if len(output.split("<|pipe|>")) != 2:
        return None
    left, right = output.split("<|pipe|>")
    fill = passage.strip()
    return (
        left.strip().replace("{{context}}", fill),
        right.strip().replace("{{context}}", fill),
    )


def kept(task):
    return None if task.rejected_because else (task.input, task.output)


@given(TEXTS, TEXTS)
def test_in_upstream_mode_the_kept_pairs_are_those_of_the_upstream_rule(output, passage):
    assert kept(upstream(output, passage)) == of_upstream(output, passage)


def differences(count, seed):
    rng = random.Random(seed)

    def text(longest):
        if rng.random() < 0.2:
            points = (rng.randrange(0x110000) for _ in range(rng.randrange(longest)))
            return "".join(map(chr, points))
        return "".join(rng.choice(PIECES) for _ in range(rng.randrange(longest)))

    for _ in range(count):
        output, passage = text(14), text(6)
        if kept(upstream(output, passage)) != of_upstream(output, passage):
            yield output, passage


def test_upstream_mode_equals_upstream_on_5000_adversarial_strings():
    assert list(differences(5_000, seed=1)) == []


@pytest.mark.slow
def test_upstream_mode_equals_upstream_on_100000_adversarial_strings():
    assert list(differences(100_000, seed=2)) == []


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ("{{context}} Why?\n<|pipe|>\nBecause.", ("P Why?", "Because.", None)),
        ("Write it.\n<|pipe|>\n{{context}}", ("Write it.", "P", None)),
        ("{{context}}{{context}}<|pipe|>x", ("PP", "x", None)),
        ("no marker at all", (None, None, "no_pipe")),
        ("", (None, None, "no_pipe")),
        ("a<|pipe|>b<|pipe|>c", (None, None, "two_pipes")),
        ("a <|pipe|>", ("a", "", None)),
    ],
)
def test_golden_outputs_of_the_upstream_rule(output, expected):
    task = upstream(output, " P\n")
    assert (task.input, task.output, task.rejected_because) == expected


def test_a_slot_inside_the_passage_is_text_and_is_not_filled_again():
    assert upstream("{{context}}<|pipe|>x", "see {{context}}").input == "see {{context}}"


def judged(output, finish_reason="stop", passage="The river is wide.", task_type="ynqa"):
    return strict(CHECKS, task_type, output, finish_reason, Passage(passage))


@pytest.mark.parametrize(
    ("output", "finish_reason", "verdict"),
    [
        ("{{context}}\nIs it wide? Yes or No?\n<|pipe|>\nYes", "stop", None),
        ("{{context}}\nIs it wide? Yes or No?\n<|pipe|>\nYes", "length", "truncated"),
        ("{{context}}\nIs it wide? Yes or", "length", "truncated"),
        ("{{context}}\nIs it wide? Yes or No?\n<|pipe|>\nYes", None, "truncated"),
        ("{{context}}\nIs it wide? Yes or No?", "stop", "no_pipe"),
        ("{{context}} a? <|pipe|> Yes <|pipe|> No", "stop", "two_pipes"),
        ("<|pipe|>Yes", "stop", "empty_output"),
        ("{{context}} Is it wide? <|pipe|> \n", "stop", "empty_output"),
        ("{{ context }} Is it wide? <|pipe|>Yes", "stop", "template_residue"),
        ("{{context}} Is it wide? <|task|><|pipe|>Yes", "stop", "template_residue"),
        ("{{context}} Is it wide? <|pipe|>Yes }}", "stop", "template_residue"),
        ("{{{{context}}}} Is it wide? <|pipe|>Yes", "stop", "template_residue"),
        ("{{{context}}} Is it wide? <|pipe|>Yes", "stop", "template_residue"),
        ("{{context}}<|pipe|>Yes", "stop", "question_missing"),
        ("Is it wide? <|pipe|>Yes", "stop", "placeholder_missing"),
        ("{{context}} {{context}} Is it wide? <|pipe|>Yes", "stop", "placeholder_doubled"),
        ("{{context}} Is it wide? <|pipe|>Yes {{context}}", "stop", "placeholder_misplaced"),
        ("the river is WIDE. Is it wide? <|pipe|>Yes", "stop", "passage_copied"),
    ],
)
def test_the_first_reason_against_an_output_stands(output, finish_reason, verdict):
    assert judged(output, finish_reason).rejected_because == verdict


def test_a_passage_that_is_written_out_is_found_also_beside_its_slot():
    passage = " ".join(f"Sentence {number} tells of another thing." for number in range(12))
    copied = "{{context}}\n" + passage[40:] + "\nIs it so? Yes or No?\n<|pipe|>\nYes"
    quoted = "{{context}}\n" + passage[40:90] + "\nIs it so? Yes or No?\n<|pipe|>\nYes"
    assert judged(copied, passage=passage).rejected_because == "passage_copied"
    assert judged(quoted, passage=passage).rejected_because is None


def test_a_refused_row_shows_what_was_refused():
    task = judged("{{context}} Is it wide? Yes or No?<|pipe|>Perhaps")
    assert task == (
        "The river is wide. Is it wide? Yes or No?",
        "Perhaps",
        None,
        "label_unknown",
    )


@pytest.mark.parametrize("piece", [", ", " ", "star ", "- ", "A. ", '"', "...", "Yes, ", "1."])
@pytest.mark.parametrize("task_type", CHECKS)
def test_a_mark_that_comes_a_thousand_times_is_no_trap(task_type, piece):
    for output in ("{{context}} %s?<|pipe|>Yes", "{{context}} Is it?<|pipe|>%s"):
        task = judged(output % (piece * 1000), task_type=task_type)
        assert task.rejected_because in {None, *tables.REJECTIONS}


MIXED = [
    " ", "\n", "\t", "\n ", ":", "?", "...", "…", ",", ";", ".", '"', "“", "”", "'", "(", "- ",
    "• ", "A. ", "(B) ", "1) ", "Question:", "\nOptions:\n", "\nAnswer:", "answer", "Yes", " or ",
    "no/", "star", "rate", "1", "7.", "1-", "word", "refer to", "not a", "if", "French", "river",
    "x",
]  # fmt: skip


def mixtures(task_type):
    """Gives pairs of instruction and answer: a few pieces, in any order, often many of one."""
    rng = random.Random(task_type)
    for length in (1_000, 3_000, 5_000) * 30:
        # Runs of blanks are what most rules can read in more than one way.
        pieces = [*rng.sample(MIXED, rng.randrange(5)), rng.choice((" ", "\n", "\n ", ": "))]
        text = rng.choice(("", "Go on ... :", 'Is it "x", ', "Answer:", "Question: a\nOptions:\n"))
        while len(text) < length:
            text += rng.choice(pieces) * rng.choice((1, 1, 1, 30, 1_000))
        yield from ((text[:length], "Yes"), (f"Is it so?{text[:length]}x", "Question:" + text))


@contextlib.contextmanager
def at_most(seconds):
    """Lets the processor work for so long and no longer; other programs' time does not count."""

    def stop(*_):
        raise AssertionError(f"not done in {seconds} seconds")

    before = signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


@pytest.mark.parametrize("task_type", CHECKS)
def test_no_mixture_of_marks_takes_longer_than_its_length_explains(task_type):
    passage = Passage("The river is wide. It is deep, and 7 boats of the French are on it.")
    # 180 pairs take a tenth of this; a rule that goes back over its steps takes hours for one.
    with at_most(seconds=5):
        for instruction, answer in mixtures(task_type):
            # Also without the general checks, which refuse most of them at once.
            verdict, _ = CHECKS[task_type](instruction, answer, passage)
            assert verdict in {None, *tables.REJECTIONS}
            output = f"{{{{context}}}} {instruction}<|pipe|>{answer}"
            task = strict(CHECKS, task_type, output, "stop", passage)
            assert task.rejected_because in {None, *tables.REJECTIONS}


@given(TEXTS, TEXTS, st.sampled_from([*CHECKS, "of_its_own"]))
def test_every_output_has_either_both_sides_or_a_published_reason(output, passage, task_type):
    task = partial(strict, CHECKS)(task_type, output, "stop", Passage(passage))
    if task.rejected_because is None:
        assert None not in (task.input, task.output)
    else:
        assert task.rejected_because in tables.REJECTIONS


BLANKS = st.text(" \n\t", max_size=3)


@given(st.sampled_from(KEPT), st.lists(BLANKS, min_size=6, max_size=6))
def test_blanks_around_an_output_and_its_passage_change_nothing(example, blanks):
    a, b, c, d, e, f = blanks
    output = f"{a}{example.instruction}{b}<|pipe|>{c}{example.answer}{d}"
    passage = f"{e}{example.passage}{f}"
    task = strict(CHECKS, example.task_type, output, "stop", Passage(passage))
    assert (task.rejected_because, task.label) == (None, example.label)
    assert (task.input, task.output) == of_upstream(output, passage)


def test_what_the_strict_mode_keeps_is_what_upstream_makes_of_it():
    kept_rows = Counter()

    @settings(max_examples=300)
    @given(
        st.sampled_from(KEPT),
        st.sampled_from([str, str.lower, str.upper, str.title]),
        st.sampled_from(["", " {{context}}", " <|pipe|>", "\n\\1 {0} %s", *PASSAGES.values()]),
        st.booleans(),
    )
    def examine(example, cased, added, in_front):
        passage = added + example.passage if in_front else example.passage + added
        # The slot keeps its case, as a model that changed it would have made no slot.
        answer = example.answer if "{{" in example.answer else cased(example.answer)
        output = f"{example.instruction}\n<|pipe|>\n{answer}"
        task = strict(CHECKS, example.task_type, output, "stop", Passage(passage))
        if task.rejected_because is None:
            kept_rows[example.task_type] += 1
            assert (task.input, task.output) == of_upstream(output, passage)

    examine()
    assert kept_rows.total() > 100
