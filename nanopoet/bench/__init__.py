"""The bench: speed beside the textbook's, and the runs that stand behind the chapters' tables."""
