"""Paths as users write them: with the home folder as ~ and environment variables as $NAME."""

import os
import pathlib


def expand(text: str) -> str:
    """Returns a path with a leading ~, ~user or $NAME replaced, which the shell leaves alone after `--flag=`.

    Raises:
      ValueError: there is no such user, home folder or variable, or the path holds a zero byte.
    """
    if "\0" in text:
        raise ValueError("a path cannot hold a zero byte")
    if not text.startswith(("~", "$")):
        return text
    found = os.path.expandvars(os.path.expanduser(text))
    if found.startswith(("~", "$")):
        begin = text.partition("/")[0]
        unknown = "environment variable" if begin.startswith("$") else "home folder"
        raise ValueError(f"{text}: {begin} names no {unknown}; write the whole path, or ./{text} for a name like this")
    return found


def path(value: str | os.PathLike) -> pathlib.Path:
    """Returns the path that a user gave, expanded."""
    return pathlib.Path(expand(os.fspath(value)))
