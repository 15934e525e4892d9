"""The program around the course: prepare, train, write, evaluate, measure."""

import os

# How long a thread spins before it sleeps while it waits for the others. Never sleeping is many
# times slower when something else wants the core; sleeping at once halves the speed of small steps
# when nothing does. The OpenMP runtime reads this when torch is first imported.
os.environ.setdefault("GOMP_SPINCOUNT", "5000")

__version__ = "0.1.0"
