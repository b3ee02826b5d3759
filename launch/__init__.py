"""Command-line programs. Only they read flags."""

import importlib.machinery
import importlib.util
import pathlib
import sys

_ROOT = pathlib.Path(__file__).resolve().parents[1]
_PACKAGES = ("common", "lanas_jax", "nao_jax")


def _check_imports():
    """Raises an `ImportError` of one line if files of the user hide packages, or JAX cannot be imported."""
    advice = "rename it, start in another folder, or use the installed commands nas-lanas, nas-train, ..."
    for name in _PACKAGES:
        found = importlib.util.find_spec(name)
        origin = found and (found.origin or next(iter(found.submodule_search_locations or ()), None))
        if origin is None or not pathlib.Path(origin).resolve().is_relative_to(_ROOT / name):
            raise ImportError(f"{origin or 'nothing'} is imported instead of {_ROOT / name}; {advice}")
    try:
        import jax  # noqa: F401
    except Exception as error:
        if hiding := _hiding(pathlib.Path(sys.path[0] or ".").resolve()):
            raise ImportError(f"{hiding} is imported instead of a module that JAX needs; {advice}") from error
        raise ImportError(f"JAX cannot be imported: {' '.join(str(error).split())}") from error


def _hiding(folder):
    """Returns a file in a folder of the user that hides a module of Python or of an installed package, or None."""
    if folder == _ROOT or "site-packages" in folder.parts:
        return None
    for path in sorted(path for path in folder.glob("*") if path.suffix == ".py" or (path / "__init__.py").exists()):
        elsewhere = importlib.machinery.PathFinder.find_spec(path.stem, sys.path[1:])
        if path.stem in sys.stdlib_module_names or elsewhere:
            return path
    return None


try:
    _check_imports()
except ImportError as error:
    if sys.argv[0] != "-m":  # imported by a program
        raise
    sys.exit(f"error: {error}")
