"""Chapter 00 · your answers.

Check them: nanopoet check welcome. Try them: the lines after >>> are examples, which
`python -m doctest exercises/welcome.py` runs; print() shows what you want to see.
"""


def first_line() -> str:
    """The first line of the poem that every child in China knows by heart.

    床前明月光 chuáng qián míng yuè guāng, "before the bed, bright moonlight" (Li Bai, 静夜思).
    This task passes as it is. It is here to try what you will use for all others:

    1. Change a character below, save, and run `nanopoet check welcome.first_line`.
    2. Ask for a hint: `nanopoet hint welcome.first_line`. Each task has three.
    3. Put the line right, check again, and see `nanopoet progress`.
    4. Whatever has become of a task, `nanopoet reset welcome.first_line` brings its beginning back.

    >>> len(first_line())
    5
    """
    return "床前明月光"
