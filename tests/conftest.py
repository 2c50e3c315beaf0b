"""Settings that every test shares."""

import os

# Two threads that wait for each other stall on a busy machine; the models here need one.
os.environ.setdefault("OMP_NUM_THREADS", "1")
