"""A step that generates for ever; a test kills it. Arguments: model, engine loop, settings."""

import itertools
import json
import signal
import sys

from resources.generator import Request, Sampling
from resources.model import resolve
from resources.vllm_engine import VllmEngine, VllmSession

# As from a shell, whatever the test runner's libraries made of its signals, which are inherited.
signal.signal(signal.SIGTERM, signal.SIG_DFL)
signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})

folder, loop, values = sys.argv[1:4]
settings = VllmEngine(model=folder, **json.loads(values))
session = VllmSession(resolve(folder, "BONITO_MODEL"), settings, lambda line: None, loop)
sampling = Sampling(temperature=0.5, top_p=0.95, max_tokens=16)
for outcome in session.generate(Request("k", "text", sampling) for _ in itertools.count()):
    sys.stdout.write(f"{outcome.output!r}\n")
    sys.stdout.flush()
