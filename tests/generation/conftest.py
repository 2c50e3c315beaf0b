"""A generator that answers from a rule, and counts what it is asked."""

from contextlib import contextmanager
from pathlib import Path

import pytest

from resources.generator import Outcome
from resources.model import Model


class RuleGenerator:
    """Answers every prompt with its own length; refuses prompts that hold 'refuse'."""

    def __init__(self):
        self.asked = []
        self.dies_after = None

    def resolve(self):
        return Model("rule", Path("rule"), "f" * 64)

    @contextmanager
    def open(self):
        yield self

    def generate(self, requests, sampling):
        # Results come back in another order than that of the requests, as from a real engine.
        for request in reversed(list(requests)):
            if self.dies_after is not None and len(self.asked) >= self.dies_after:
                raise RuntimeError("the engine died")
            if "refuse" in request.prompt:
                yield Outcome(request.key, rejected_because="too_long")
                continue
            self.asked.append(request.key)
            text = f"{{{{context}}}} Q?\n<|pipe|>\n{len(request.prompt)}"
            yield Outcome(request.key, text, "stop", 10, 5, -0.5)


@pytest.fixture
def generator():
    return RuleGenerator()
