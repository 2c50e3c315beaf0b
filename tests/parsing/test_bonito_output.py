"""Outputs are read by the upstream rule, and each one that is not gets its reason."""

import hypothesis.strategies as st
import pytest
from hypothesis import given

from bonito_assets import tables
from bonito_assets.parsing.bonito_output import parse
from bonito_assets.parsing.tasks import tasks

PIECES = st.lists(
    st.sampled_from(
        ["<|pipe|>", "{{context}}", " ", "\n", "a", "é", "<|", "pipe|>", "{{", "\u200b"]
    ),
    max_size=12,
).map("".join)


def upstream(output, passage):
    """What the upstream package at git HEAD makes of one prediction: a pair, or nothing."""
    if len(output.split("<|pipe|>")) != 2:
        return None
    left, right = output.split("<|pipe|>")
    fill = passage.strip()
    return (
        left.strip().replace("{{context}}", fill),
        right.strip().replace("{{context}}", fill),
    )


@given(PIECES, PIECES)
def test_the_accepted_pairs_are_exactly_those_of_the_upstream_rule(output, passage):
    parsed = parse(output, passage)
    expected = upstream(output, passage)
    assert (None if parsed.rejected_because else (parsed.input, parsed.output)) == expected


@given(PIECES, PIECES)
def test_every_output_has_either_a_pair_or_a_published_reason(output, passage):
    parsed = parse(output, passage)
    if parsed.rejected_because is None:
        assert parsed.input is not None
        assert parsed.output is not None
    else:
        assert parsed.rejected_because in tables.REJECTIONS


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
def test_golden_outputs(output, expected):
    assert tuple(parse(output, " P\n")) == expected


def test_a_slot_inside_the_passage_is_text_and_is_not_filled_again():
    assert parse("{{context}}<|pipe|>x", "see {{context}}").input == "see {{context}}"


def test_tasks_has_one_row_per_generation_and_hands_verdicts_on():
    chunks = tables.build("chunks", [
        {"corpus": "c", "chunk_id": "k", "doc_id": "d", "position": 0, "start_char": 0,
         "end_char": 1, "text": "P", "n_tokens": 1}
    ])  # fmt: skip
    made = tables.build("generations", [
        {"corpus": "c", "generation_id": f"g{i}", "request_key": "r", "chunk_id": "k",
         "task_type": "nli", "sample": 0, "output": output, "rejected_because": verdict}
        for i, (output, verdict) in enumerate(
            [("a<|pipe|>b", None), ("a", None), (None, "too_long")]
        )
    ])  # fmt: skip
    table = tasks(made, chunks)
    assert table["rejected_because"].to_pylist() == [None, "no_pipe", "too_long"]
    assert table["generation_id"].to_pylist() == ["g0", "g1", "g2"]
    assert table["doc_id"].to_pylist() == ["d", "d", "d"]
