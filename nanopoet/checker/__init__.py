"""The checker: tasks, checks of answers in a process of their own, misconceptions, reports."""
