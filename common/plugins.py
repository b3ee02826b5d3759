"""Objects of other packages, named on a command line as package.module:name.

Only what a command line names is imported: never call this with a text from a file of a run.
"""

import importlib
import inspect
from typing import Any, TypeVar

from common import spelling

T = TypeVar("T")


def is_path(name: str) -> bool:
    """Returns whether a name has the form package.module:name."""
    return ":" in name


def load(path: str) -> Any:
    """Returns the object called `path`.

    Raises:
      ValueError: there is no such module or name, or the module cannot be imported.
    """
    module, _, name = path.partition(":")
    if not all(part.isidentifier() for part in (*module.split("."), name)):
        raise ValueError(f"{path!r} must have the form package.module:name")
    try:
        imported = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name and f"{module}.".startswith(f"{error.name}."):
            advice = "run the command from its folder, or install it"
            if module.endswith(".py"):
                advice = f"leave .py out, and {advice}"
            raise ValueError(f"no module {error.name!r} for {path}; {advice}") from error
        raise ValueError(f"{module} cannot be imported: {error}") from error
    except Exception as error:
        raise ValueError(f"{module} cannot be imported: {type(error).__name__}: {error}") from error
    if not hasattr(imported, name):
        public = [each for each in vars(imported) if not each.startswith("_")]
        advice = spelling.hint(name, public) or f"it has {', '.join(public)}"
        raise ValueError(f"module {module} has no {name!r}; {advice}")
    return getattr(imported, name)


def made(path: str, kind: type[T], *args: Any, advice: str = "") -> T:
    """Returns the `kind` called `path`: the object itself, or what the function of that name returns for `args`.

    Args:
      advice: for the message if it does not take these arguments.

    Raises:
      ValueError: as `load`; or it is neither, or does not take these arguments.
    """
    found = load(path)
    if isinstance(found, kind):
        return found
    if not callable(found):
        raise ValueError(
            f"{path} must be of the type {kind.__name__} or a function that returns one; got {type(found).__name__}"
        )
    try:
        inspect.signature(found).bind(*args)
    except TypeError as error:
        given = ", ".join(type(arg).__name__ for arg in args) or "no arguments"
        raise ValueError(f"{path} must be callable with {given}: {error}{advice}") from error
    result = found(*args)
    if not isinstance(result, kind):
        raise ValueError(f"{path} must return the type {kind.__name__}; it returned {type(result).__name__}")
    return result
