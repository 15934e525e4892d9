"""Wrong answers to the task of chapter 00."""

from nanopoet.checker.trial import misconception


@misconception(
    "welcome.first_line",
    "the comma is part of the line",
    "You return six characters. The comma ends the line; it does not belong to it here.",
)
def with_comma():
    return "床前明月光，"


@misconception(
    "welcome.first_line",
    "the third line",
    "You return the third line, 举头望明月. The poem begins at the bed, not at the window.",
)
def third_line():
    return "举头望明月"


@misconception(
    "welcome.first_line",
    "print instead of return",
    "You print the line and return nothing. A check sees what a function returns.",
)
def prints():
    print("床前明月光")
