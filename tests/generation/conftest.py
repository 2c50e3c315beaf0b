"""A generator that answers from a rule, and counts what it is asked."""

from contextlib import contextmanager

import pytest

from bonito_assets import settings
from resources.generator import GeneratorError, Outcome
from resources.model import resolve


class RuleGenerator:
    """Answers every prompt with its own length; refuses prompts that hold 'refuse'."""

    price_per_gpu_hour = 0.0
    cards = 1

    def __init__(self):
        self.asked = []
        self.seeds = []
        self.dies_after = None
        self.window = 8

    def resolve(self):
        return resolve(str(settings.DEMO_MODEL), "BONITO_MODEL")

    @contextmanager
    def open(self, log):
        yield self

    def generate(self, requests):
        # Some are in flight at once, and come back in another order, as from a real engine.
        in_flight = []
        for request in requests:
            in_flight.append(request)
            if len(in_flight) == self.window:
                yield from (self._answer(r) for r in reversed(in_flight))
                in_flight = []
        yield from (self._answer(r) for r in reversed(in_flight))

    def _answer(self, request):
        if self.dies_after is not None and len(self.asked) >= self.dies_after:
            raise GeneratorError("the engine died")
        if "refuse" in request.prompt:
            return Outcome(request.key, rejected_because="too_long")
        if "poison" in request.prompt:
            return Outcome(request.key, rejected_because="engine_error")
        if not request.key.startswith("canary"):
            self.asked.append(request.key)
            self.seeds.append(request.seed)
        text = f"{{{{context}}}} Q?\n<|pipe|>\n{len(request.prompt)} {request.key}"
        return Outcome(request.key, text, "stop", 10, 5, -0.5)


@pytest.fixture
def generator():
    return RuleGenerator()
