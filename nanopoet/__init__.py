"""The program around the course: prepare, train, write, evaluate, measure."""

import os

# Threads that spin while they wait are many times slower when something else wants the core. The
# OpenMP runtime reads this when torch is first imported.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

__version__ = "0.1.0"
