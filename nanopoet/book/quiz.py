"""The quiz at the end of each chapter: kept as data, set into the notebooks.

chapters/quiz.toml holds a list of questions for each chapter. A question has one right answer by
its very form; what is wrong with each other option is said beside it.
"""

import hashlib
import tomllib
from dataclasses import dataclass
from pathlib import Path

from nanopoet.paths import CHAPTERS

FILE = CHAPTERS / "quiz.toml"


@dataclass(frozen=True)
class Option:
    """A wrong answer, and what is wrong with it."""

    option: str
    why: str


@dataclass(frozen=True)
class Question:
    """One question: the right answer, why it is right, and the wrong ones."""

    question: str
    right: str
    why: str
    wrong: tuple[Option, ...]

    @classmethod
    def from_dict(cls, table: dict) -> "Question":
        wrong = tuple(Option(**option) for option in table["wrong"])
        return cls(**{**table, "wrong": wrong})

    def options(self) -> list[Option]:
        """All answers, in an order that gives nothing away and never changes."""
        every = (Option(self.right, self.why), *self.wrong)
        return sorted(every, key=lambda o: hashlib.sha256(o.option.encode()).digest())


def load_quiz(path: Path = FILE) -> dict[str, list[Question]]:
    """The questions of each chapter, by its name."""
    if not path.is_file():
        return {}
    tables = tomllib.loads(path.read_text(encoding="utf-8"))
    return {name: [Question.from_dict(q) for q in found] for name, found in tables.items()}


def quiz_markdown(questions: list[Question]) -> str:
    """The quiz as a cell: questions with lettered options, answers folded away below each."""
    parts = ["## Quiz"]
    for number, question in enumerate(questions, start=1):
        lettered = list(zip("ABCDEF", question.options(), strict=False))
        parts.append(f"**{number}. {question.question}**")
        parts.append("\n".join(f"- **{letter}** {found.option}" for letter, found in lettered))
        answers = []
        for letter, found in lettered:
            verdict = "Right" if found.option == question.right else "No"
            answers.append(f"- **{letter}** {verdict}. {found.why}")
        parts.append("<details><summary>Answers</summary>\n\n" + "\n".join(answers))
        parts.append("</details>")
    return "\n\n".join(parts)
