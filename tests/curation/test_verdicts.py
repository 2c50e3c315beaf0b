"""The verdicts of curation: the first reason stands, the best rows stay, and shares are kept."""

import itertools

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from bonito_assets.catalogue import Curation
from bonito_assets.curation.verdicts import ACCEPTED, REASONS, Facts, judge, places

NLI = [("nli", "entailment"), ("nli", "neutral"), ("nli", "contradiction")]
NAN = float("nan")


def facts(rows, kinds=(("exqa", None),), **changes):
    """Gives rows of one kind that nothing is known against, with what is changed."""
    given = {
        "refused": np.zeros(rows, bool),
        "kind": np.zeros(rows, np.int32),
        "kinds": list(kinds),
        "mean_logprob": np.full(rows, NAN),
    }
    return Facts(**{**given, **changes})


def reasons(known, **rules):
    found = judge(known, Curation(**rules))
    return [None if code == ACCEPTED else REASONS[code] for code in found.reason]


def test_the_first_reason_that_applies_stands():
    alike = np.zeros(8, np.int64)
    known = facts(
        8,
        refused=np.arange(8) < 1,
        contaminated=np.arange(8) < 2,
        scores={"repetition": np.array([0.9] * 3 + [0.0] * 5),
                "round_trip": np.array([0.0] * 4 + [1.0] * 4)},
        families={"exact_duplicate": np.array([0, 0, 0, 0, 4, 4, 6, 7]),
                  "near_duplicate": np.array([0, 0, 0, 0, 4, 4, 4, 7])},
        groups={"document": alike},
    )  # fmt: skip
    assert reasons(
        known,
        thresholds={"repetition": {"max": 0.5}},
        round_trip={"min_agreement": 0.5},
        max_per_document=1,
    ) == [
        "refused", "contaminated", "low_quality", "not_confirmed", None, "exact_duplicate",
        "near_duplicate", "over_represented",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("threshold", "passing"),
    [
        ({"min": 0.3}, [0.3, 0.5, 0.7, NAN]),
        ({"max": 0.5}, [0.1, 0.3, 0.5, NAN]),
        ({"min": 0.3, "max": 0.5}, [0.3, 0.5, NAN]),
    ],
    ids=["least", "greatest", "both"],
)
def test_a_threshold_includes_its_own_value_and_lets_rows_without_the_score_pass(
    threshold, passing
):
    values = np.array([0.1, 0.3, 0.5, 0.7, NAN])
    found = reasons(
        facts(5, scores={"lexical_overlap": values}), thresholds={"lexical_overlap": threshold}
    )
    kept = values[[reason is None for reason in found]]
    np.testing.assert_array_equal(kept, passing)


def test_the_probability_of_an_output_is_a_score_like_the_others():
    known = facts(3, mean_logprob=np.array([-0.1, -2.0, NAN]))
    assert reasons(known, thresholds={"mean_logprob": {"min": -1}}) == [None, "low_quality", None]


def test_of_a_family_the_surest_row_is_kept_and_named_by_the_others():
    known = facts(
        4,
        mean_logprob=np.array([-2.0, NAN, -1.0, -1.0]),
        families={"exact_duplicate": np.zeros(4, np.int64)},
    )
    found = judge(known, Curation())
    assert found.duplicate_of.tolist() == [2, 2, -1, 2]


def test_a_refused_row_is_no_reason_to_refuse_another():
    known = facts(
        3,
        refused=np.array([True, False, False]),
        mean_logprob=np.array([-0.1, -1.0, -2.0]),
        families={"near_duplicate": np.zeros(3, np.int64)},
    )
    assert reasons(known) == ["refused", None, "near_duplicate"]


def test_a_duplicate_of_a_duplicate_names_the_row_that_is_kept():
    known = facts(
        3,
        mean_logprob=np.array([-3.0, -2.0, -1.0]),
        families={"exact_duplicate": np.array([0, 0, 2]), "near_duplicate": np.zeros(3, np.int64)},
    )
    found = judge(known, Curation())
    assert [REASONS[code] for code in found.reason[:2]] == ["exact_duplicate", "near_duplicate"]
    assert found.duplicate_of.tolist() == [2, 2, -1]


@pytest.mark.parametrize("name", ["passage", "document", "template"])
def test_a_cap_keeps_the_best_rows_of_each_group_and_leaves_rows_of_none_alone(name):
    known = facts(
        6,
        mean_logprob=np.array([-3.0, -1.0, -2.0, -9.0, -9.0, -9.0]),
        groups={name: np.array([7, 7, 7, 8, -1, -1])},
    )
    cap = {f"max_per_{name}": 1}
    assert reasons(known, **cap) == [
        "over_represented", None, "over_represented", None, None, None,
    ]  # fmt: skip


def test_a_share_is_one_of_the_rows_that_remain():
    # 6 entailment, 3 neutral, 1 contradiction: at a half each, 4 and 3 and 1 remain of 8.
    known = facts(10, NLI, kind=np.array([0] * 6 + [1] * 3 + [2]))
    found = reasons(known, max_share_per_label=0.5)
    assert found == [None] * 4 + ["over_represented"] * 2 + [None] * 4


def test_of_a_label_with_too_many_rows_the_best_remain():
    known = facts(4, NLI, kind=np.array([0, 0, 0, 1]), mean_logprob=np.array([-3, -1, -2, -9.0]))
    found = reasons(known, max_share_per_label=0.5)
    assert found == ["over_represented", None, "over_represented", None]


def test_a_share_that_cannot_be_is_an_equal_one_and_a_person_is_told():
    known = facts(7, NLI, kind=np.array([0, 0, 0, 1, 1, 2, 2]))
    found = judge(known, Curation(max_share_per_label=0.2))
    kept = known.kind[found.reason == ACCEPTED]
    assert np.bincount(kept).tolist() == [2, 2, 2]
    assert found.warnings == [
        "nli: 3 labels cannot have at most 20% each; equal shares are the least there is"
    ]


def test_a_share_of_a_third_is_written_with_as_many_digits_as_one_likes():
    known = facts(6, NLI, kind=np.array([0, 0, 1, 1, 2, 2]))
    assert reasons(known, max_share_per_label=0.34) == [None] * 6
    assert reasons(known, max_share_per_label=0.33) == [None] * 6


KINDS = [
    ("nli", "yes"), ("nli", "no"), ("nli", "maybe"), ("ynqa", "yes"), ("ynqa", None),
    ("exqa", None),
]  # fmt: skip


def is_allowed(counts, kinds, per_label, per_type):
    """Tells whether so many rows of each kind keep to the shares."""
    types = {}
    for (name, _), n in zip(kinds, counts, strict=True):
        types[name] = types.get(name, 0) + n
    total = sum(counts)
    return all(
        label is None or n <= per_label[name] * types[name] + 1e-9
        for (name, label), n in zip(kinds, counts, strict=True)
    ) and all(n <= per_type * total + 1e-9 for n in types.values())


@settings(max_examples=50)
@given(
    counts=st.lists(st.integers(0, 3), min_size=6, max_size=6),
    per_label=st.sampled_from([0.34, 0.4, 0.5, 0.6, 0.75, 1.0]),
    per_type=st.sampled_from([0.34, 0.4, 0.5, 0.7, 1.0]),
    random=st.randoms(),
)
def test_shares_leave_as_many_rows_as_any_choice_could(counts, per_label, per_type, random):
    kind = [number for number, n in enumerate(counts) for _ in range(n)]
    random.shuffle(kind)
    known = facts(len(kind), KINDS, kind=np.array(kind, np.int32))
    found = judge(known, Curation(max_share_per_label=per_label, max_share_per_task_type=per_type))
    kept = np.bincount(known.kind[found.reason == ACCEPTED], minlength=6).tolist()
    present = {}
    for (name, label), n in zip(KINDS, counts, strict=True):
        if n:
            present.setdefault(name, []).append(label)
    # Rows without a label count as rows of their task type, and make any share possible.
    least = {
        name: per_label if None in labels else max(per_label, 1 / len(labels))
        for name, labels in present.items()
    }
    limits = {name: least.get(name, 1) for name, _ in KINDS}
    type_limit = max(per_type, 1 / max(1, len(present)))
    assert is_allowed(kept, KINDS, limits, type_limit)
    choices = itertools.product(*(range(n + 1) for n in counts))
    best = max(sum(c) for c in choices if is_allowed(c, KINDS, limits, type_limit))
    assert sum(kept) == best


@given(st.lists(st.integers(0, 3)))
def test_places_count_each_group_from_nought_in_the_order_given(groups):
    seen = dict.fromkeys(groups, 0)
    expected = []
    for group in groups:
        expected.append(seen[group])
        seen[group] += 1
    assert places(np.array(groups, np.int64)).tolist() == expected


ROWS = st.lists(
    st.tuples(
        st.booleans(),
        st.integers(0, 3),
        st.integers(0, 3),
        st.sampled_from([NAN, -1.0, -2.0]),
    ),
    max_size=20,
)


@given(ROWS)
def test_every_family_keeps_one_row_and_its_duplicates_name_a_row_that_is_kept(rows):
    refused, one, other, logprob = (np.array(c) for c in zip(*rows, strict=True)) if rows else (
        np.zeros(0, bool), np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0)
    )  # fmt: skip
    named = [np.array([f.tolist().index(v) for v in f], np.int64) for f in (one, other)]
    known = facts(
        len(rows),
        refused=refused,
        mean_logprob=logprob,
        families=dict(zip(("exact_duplicate", "near_duplicate"), named, strict=True)),
    )
    found = judge(known, Curation())
    accepted = found.reason == ACCEPTED
    for family in named:
        left = family[accepted]
        assert len(set(left.tolist())) == len(left)
    copies = found.duplicate_of >= 0
    assert accepted[found.duplicate_of[copies]].all()
    assert (copies == (~accepted & ~refused)).all()
    if (~refused).any():
        assert accepted.any()
