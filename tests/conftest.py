"""Settings that every test shares."""

import os

from hypothesis import settings

# Two threads that wait for each other stall on a busy machine; the models here need one.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A slow machine is no failure: what a property says is checked, not how fast.
settings.register_profile("project", deadline=None)
settings.load_profile("project")
