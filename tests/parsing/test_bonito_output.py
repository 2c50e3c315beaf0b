"""Outputs are split by the upstream rule, and each one that is not kept gets its reason."""

import random
from functools import partial

import hypothesis.strategies as st
import pytest
from hypothesis import given

from bonito_assets import tables
from bonito_assets.parsing.bonito_output import upstream
from bonito_assets.parsing.judge import CHECKS, strict
from bonito_assets.parsing.words import Passage

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


@given(TEXTS, TEXTS, st.sampled_from([*CHECKS, "of_its_own"]))
def test_every_output_has_either_both_sides_or_a_published_reason(output, passage, task_type):
    task = partial(strict, CHECKS)(task_type, output, "stop", Passage(passage))
    if task.rejected_because is None:
        assert None not in (task.input, task.output)
    else:
        assert task.rejected_because in tables.REJECTIONS


@given(TEXTS, TEXTS, st.sampled_from([*CHECKS]))
def test_what_the_strict_mode_keeps_is_what_upstream_makes_of_it(output, passage, task_type):
    task = strict(CHECKS, task_type, output, "stop", Passage(passage))
    if task.rejected_because is None:
        assert (task.input, task.output) == of_upstream(output, passage)
