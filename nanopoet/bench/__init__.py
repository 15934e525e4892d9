"""The bench: speed beside the baseline's, and the runs that stand behind the chapters' tables."""
