"""`nanopoet dev`: every command explains itself, and fails in one line."""

import pytest

from nanopoet import dev

COMMANDS = [
    *("stubs", "notebooks", "glossary", "features", "datacard", "mutate", "experiment"),
    "modifications",
    "budget",
    "processes",
    "verse",
]


def test_there_is_one_door_for_all():
    assert [known.callback.__name__ for known in dev.app.registered_commands] == COMMANDS


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_has_examples(nanopoet, name):
    done = nanopoet("dev", name, "--help")
    assert done.code == 0
    assert f"nanopoet dev {name}" in done.out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["notebooks", "99_none.ipynb"], "no such notebook: 99_none.ipynb"),
        (["mutate", "nosuch"], "there is no task 'nosuch'"),
        (["experiment", "nosuch"], "no preset 'nosuch'"),
        (["datacard", "--raw", "."], "no up-to-date corpus"),
    ],
)
def test_what_is_not_there_is_named(nanopoet, arguments, said):
    assert said in nanopoet("dev", *arguments).error
