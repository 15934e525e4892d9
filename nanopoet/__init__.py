"""The program one runs: its rooms, and what stands between them.

poet       corpus, presets, runs: train, write, evaluate
checker    check, hint, progress, reset, grade: each answer in a process of its own
book       chapters run again, the glossary, the data card, the pages
bench      speed beside the baseline's, and the runs behind the chapters' tables
mine       the one place where poet meets checker: train with a learner's own code
cli dev    the two doors, a learner's and a maintainer's; commands holds what both have in common
doctor     what is there, what is missing, how to mend it
paths files errors backup    shared by all; they know no room

Which may import which is in tests/test_imports.py.
"""

import os

# How long a thread spins before it sleeps while it waits for the others. Never sleeping is many
# times slower when something else wants the core; sleeping at once halves the speed of small steps
# when nothing does. The OpenMP runtime reads this when torch is first imported.
os.environ.setdefault("GOMP_SPINCOUNT", "5000")

__version__ = "0.1.0"
