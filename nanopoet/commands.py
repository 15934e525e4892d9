"""What all commands have in common: examples in the help, errors as one line, a quiet end."""

import functools
import os
from collections.abc import Callable
from typing import Any

import typer

from nanopoet.errors import TRACEBACK, in_one_line
from nanopoet.files import printable
from nanopoet.paths import announce_other_clone, clone


def commands_of(app: typer.Typer, in_clone: bool = False) -> Callable[..., Callable]:
    """A decorator that makes a function a command of `app`.

    It takes the examples at the end of its help. Errors are one line and exit code 1. `announced`:
    whether the command says which clone it acts on, if that is not plain. `in_clone`: whether they
    work in a clone only, and say so elsewhere.
    """

    def command(examples: str, announced: bool = True) -> Callable:
        def register(function: Callable) -> Callable:
            @functools.wraps(function)
            def guarded(*args: Any, **kwargs: Any) -> None:
                if announced:
                    announce_other_clone()
                try:
                    if in_clone:
                        clone()
                    function(*args, **kwargs)
                # Whoever read our output has seen enough: typer ends quietly. Its Exit, too, is a
                # RuntimeError.
                except (BrokenPipeError, typer.Exit):
                    raise
                except (ValueError, OSError, RuntimeError, MemoryError) as error:
                    if os.environ.get(TRACEBACK):
                        raise
                    typer.secho(f"error: {printable(in_one_line(error))}", fg="red", err=True)
                    raise typer.Exit(1) from error
                except KeyboardInterrupt:
                    typer.secho("interrupted", fg="red", err=True)
                    raise typer.Exit(130) from None

            lines = "\n\n".join(f"  {line}" for line in examples.strip().splitlines())
            return app.command(epilog=f"Examples:\n\n{lines}")(guarded)

        return register

    return command
