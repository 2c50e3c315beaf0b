"""The verdicts on generated tasks."""

from __future__ import annotations

import pytest

from bonito_assets.bonito_training.answers import judged

_PASSAGE = "The heron is a patient hunter. It eats two fish every day in Brenford."


@pytest.mark.parametrize(
    ("task_type", "output", "verdict"),
    [
        ("exqa", "{{context}}\n\nQuestion: Who or what is a patient hunter?\n<|pipe|>\nThe heron",
         (True, True, True)),
        ("exqa", "{{context}}\n\nQuestion: Who or what is a patient hunter?\n<|pipe|>\nBrenford",
         (True, True, False)),
        ("exqa", "{{context}}\n\nQuestion: Who or what is a patient hunter?\n<|pipe|>\nThe owl",
         (True, False, False)),
        ("exqa", "Question: Who or what is a patient hunter?\n<|pipe|>\nThe heron",
         (True, False, None)),
        ("exqa", "{{context}}\n\nIt eats how many fish every day in Brenford?\n<|pipe|>\ntwo",
         (True, True, True)),
        ("exqa", "{{context}} What?\nThe heron", (False, False, None)),
        ("exqa", "{{context}} What?\n<|pipe|>\n", (False, False, None)),
        ("ynqa", "{{context}}\n\nAnswer Yes or No: Is the heron a patient hunter?\n<|pipe|>\nYes",
         (True, True, True)),
        ("ynqa", '{{context}}\n\nTrue or False: "It eats six fish every day"\n<|pipe|>\nTrue',
         (True, True, False)),
        ("ynqa", "{{context}}\n\nIs it so? Yes or No?\n<|pipe|>\nMaybe", (True, False, False)),
        ("nli", '{{context}}\n\nDoes it follow that "The heron is a patient hunter"? Yes, No or '
                "Maybe?\n<|pipe|>\nYes", (True, True, True)),
        ("nli", '{{context}}\n\nDoes it follow that "The heron is a rash hunter"? True, False or '
                "Inconclusive?\n<|pipe|>\nMaybe", (True, False, False)),
        ("nli", '{{context}}\n\nDoes it follow that "The newspaper wrote about the heron last week"'
                "? Yes, No or Maybe?\n<|pipe|>\nMaybe", (True, True, True)),
        ("mcqa", "{{context}}\n\nQuestion: Who or what is a patient hunter?\nA: The owl\n"
                 "B: The heron\nAnswer with the letter.\n<|pipe|>\nB", (True, True, True)),
        ("mcqa", "{{context}}\n\nQuestion: Who or what is a patient hunter?\n- The heron\n"
                 "- The heron\n<|pipe|>\nThe heron", (True, False, False)),
        ("mcqa", "{{context}}\n\nWhich of these is mentioned in the passage?\n- Hale\n- Brenford\n"
                 "<|pipe|>\nBrenford", (True, True, True)),
        ("text_gen", "Write a text:\n- The heron is\n<|pipe|>\n{{context}}", (True, True, True)),
        ("topic_class", "{{context}}\n\nTopic: food, law or sport?\n<|pipe|>\nnature",
         (True, False, None)),
    ],
)  # fmt: skip
def test_a_task_is_judged_by_the_passage(
    task_type: str, output: str, verdict: tuple[bool, bool, bool | None]
) -> None:
    found = judged(task_type, output, _PASSAGE)
    assert (found.parses, found.passes, found.right) == verdict
