"""Chapter 00 · your answers. Check them: nanopoet check welcome."""


def first_line() -> str:
    """The first line of the poem that every child in China knows by heart.

    床前明月光 chuáng qián míng yuè guāng, "before the bed, bright moonlight" (Li Bai, 静夜思).
    This task passes as it is. Change a character, check again, and see what a check says.

    >>> len(first_line())
    5
    """
    return "床前明月光"
