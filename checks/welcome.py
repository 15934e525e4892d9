"""The check of chapter 00."""

from nanopoet.checker.trial import Trial, check


@check("welcome.first_line", reference=lambda: "床前明月光")
def first_line(t: Trial) -> None:
    t.same(why="the first line of 静夜思 is 床前明月光, five characters without the comma")
