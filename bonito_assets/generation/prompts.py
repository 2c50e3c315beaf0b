"""Bonito's prompt, exactly as it was trained, for a passage and a task type.

Format (BatsResearch/bonito, bonito/abstract.py)::

    <|tasktype|>\\n{full task name}\\n<|context|>\\n{passage}\\n<|task|>\\n
"""

from __future__ import annotations

import re

from bonito_assets.catalogue import TASK_TYPES

# What stands for a structural mark of the format when it occurs in a passage. The marks are plain
# sub-words to the model, so a passage that holds one could end itself and begin a task of its own.
_MARKERS = re.compile(r"<\|(?=\s*(?:tasktype|context|task|pipe)\s*\|>)|\{\{(?=\s*context\s*\}\})")
_ZERO_WIDTH_SPACE = "\u200b"


def prompt(passage: str, task_type: str) -> str:
    """Gives the prompt for `passage`, without the BOS token.

    `task_type` is the short name of one of Bonito's task types, or what stands in the place of
    its full name: ``Corpus.full_name``, which is a custom type's instruction.
    """
    return (
        f"<|tasktype|>\n{TASK_TYPES.get(task_type, task_type)}\n"
        f"<|context|>\n{neutralise(passage.strip())}\n<|task|>\n"
    )


def neutralise(passage: str) -> str:
    """Gives `passage` with every format marker broken by a zero-width space inside it.

    It reads the same to a person and is one character longer per marker; a passage without
    markers, the ordinary case, comes back unchanged.
    """
    if "<|" not in passage and "{{" not in passage:
        return passage  # as good as always, and ten times as fast as looking with the pattern
    return _MARKERS.sub(lambda m: m.group()[0] + _ZERO_WIDTH_SPACE + m.group()[1:], passage)
