"""Rules of imports: packages, floors of `common`, modules reserved to a package."""

import ast
import pathlib
import re

from absl.testing import parameterized

ROOT = pathlib.Path(__file__).resolve().parents[1]
PACKAGES = ("common", "nao_jax", "lanas_jax", "launch")

# package: the other packages of the project it may import
ALLOWED = {
    "common": (),
    "nao_jax": ("common",),
    "lanas_jax": ("common",),
    "launch": ("common", "nao_jax", "lanas_jax"),
}

# module, with all below it: files and folders that may import it
RESERVED = {
    "absl.app": ("launch/",),
    "absl.flags": ("launch/",),
    "flax.linen": (
        *("common/networks/", "common/language/", "nao_jax/encoder.py", "nao_jax/decoder.py", "nao_jax/model.py"),
    ),
    "matplotlib": ("common/drawing/charts.py", "common/report/"),
    "ray": ("common/executors/ray.py",),
    "tensorflow_datasets": ("common/datasets/",),
}
OUTSIDE = ("tests", "benchmarks")  # they import anything and nothing imports them

# Modules and folders of common, low to high. Nothing imports upward; on one floor anything goes.
FLOORS = (
    (
        *("config", "compilation", "exit_codes", "plugins", "paths", "types", "history", "unseen", "rows"),
        *("objectives", "fronts", "front_improvement", "spelling"),
        *("regression_targets", "metrics"),
        "explanations",
    ),
    ("file_formats", "records", "flag_files"),
    ("executors", "warm_up", "in_turn"),
    ("one_round", "compiled_search", "host_history", "ask_tell", "search"),  # of anything that can be evaluated
    ("spaces",),
    ("genotypes",),
    ("drawing",),
    ("tables", "datasets"),
    ("networks",),
    ("training",),
    ("supernets", "language"),
    ("evaluators",),
    ("baselines", "statistics"),
    ("report",),
    ("runs",),
)
FLOOR = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
# Modules of launch that are no commands.
NO_COMMANDS = ("__init__", "algorithms", "commands", "single")


def imported(source: str, path: str) -> list[str]:
    """Returns the dotted names that a file imports, at its head or inside functions; `from a import b` is a.b."""
    names = []
    for node in ast.walk(ast.parse(source, path)):
        if isinstance(node, ast.Import):
            names.extend(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            package = pathlib.PurePosixPath(path).parts[:-1]
            above = package[: len(package) - node.level + 1] if node.level else ()
            module = (*above, *([node.module] if node.module else []))
            names.extend(".".join((*module, alias.name)) for alias in node.names)
    return names


def violations(source: str, path: str) -> list[str]:
    """Returns what a file of the project, at `path` from its root, imports against the rules."""
    own = path.split("/")[0]
    found = []
    for name in imported(source, path):
        first = name.split(".")[0]
        if first in OUTSIDE or (first in PACKAGES and first != own and first not in ALLOWED[own]):
            found.append(f"{path} imports {name}")
        if own == first == "common" and _floor(name.split(".")) > _floor(path.removesuffix(".py").split("/")):
            found.append(f"{path} imports {name}, of a higher floor")
        for module, places in RESERVED.items():
            if f"{name}.".startswith(f"{module}.") and not path.startswith(places):
                found.append(f"{path} imports {name}, which is for {', '.join(places)}")
    return found


def _floor(parts):
    """Returns the floor of a module of common, given as ["common", room, ...]; the package itself is below all."""
    return FLOOR.get(parts[1], -1) if len(parts) > 1 else -1


class LayeringTest(parameterized.TestCase):
    def test_every_room_has_a_floor(self):
        rooms = {
            path.stem for path in (ROOT / "common").iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()
        }
        assert rooms - {"__init__"} == FLOOR.keys()

    def test_launch_holds_commands(self):
        files = {file.stem: file.read_text() for file in (ROOT / "launch").glob("*.py")}
        commands = {name for name, text in files.items() if 'if __name__ == "__main__":' in text}
        assert files.keys() - commands == set(NO_COMMANDS)

    @parameterized.parameters(*PACKAGES)
    def test_files_keep_to_the_arrows(self, package):
        files = sorted((ROOT / package).rglob("*.py"))
        assert files, f"no package {package} in {ROOT}"
        found = []
        for file in files:
            found += violations(file.read_text(), file.relative_to(ROOT).as_posix())
        assert not found, "\n".join(found)

    def test_marks_stand_below_parameters(self):
        """Above them, on what makes the tests, they have no effect."""
        pattern = re.compile(r"@pytest\.mark\.[^\n]*\n +@parameterized")
        assert [file.name for file in (ROOT / "tests").rglob("*_test.py") if pattern.search(file.read_text())] == []


class CheckerTest(parameterized.TestCase):
    """The checker itself, on made-up files."""

    @parameterized.parameters(
        ("import nao_jax", "common/search.py"),
        ("import launch.commands as commands", "common/search.py"),
        ("from nao_jax import decoder", "lanas_jax/search.py"),
        ("from tests import conftest", "launch/nao.py"),
        ("import flax.linen as nn", "common/training/step.py"),
        ("from flax.linen import Dense", "lanas_jax/tree.py"),
        ("import matplotlib.pyplot as plt", "common/search.py"),
        ("from common import runs", "common/search.py"),
        ("import common.report.page", "common/records/journal.py"),
        ("def run():\n    from common.evaluators import training", "common/training/loop.py"),
        ("from absl.flags import FLAGS", "nao_jax/search.py"),
        ("try:\n    import matplotlib\nexcept ImportError:\n    pass", "common/metrics.py"),
        ("from ... import launch", "nao_jax/deeper/search.py"),
    )
    def test_forbidden(self, source, path):
        assert [text.split(" imports ")[0] for text in violations(source, path)] == [path]

    @parameterized.parameters(
        ("import jax\nfrom common import types", "common/search.py"),
        ("from nao_jax import search\nfrom lanas_jax import search as other", "launch/study.py"),
        ("from absl import flags", "launch/commands.py"),
        ("from common import spaces\nfrom common.records import journal", "common/runs/search.py"),
        ("import common", "common/types.py"),
        ("import flax.linen as nn", "nao_jax/encoder.py"),
        ("from flax import struct\nimport rayon_like\nimport matplotlib_inline", "common/training/state.py"),
        ("from common.executors import ray", "launch/search.py"),
        ("# import launch\ntext = 'import launch'", "common/search.py"),
    )
    def test_allowed(self, source, path):
        assert violations(source, path) == []

    def test_relative_imports_are_read_from_their_package(self):
        assert imported("from . import tree", "lanas_jax/search.py") == ["lanas_jax.tree"]
        assert imported("from ..tables import table", "common/evaluators/tabular.py") == ["common.tables.table"]
        assert imported("import a, b.c as d\nfrom e.f import g, h", "x.py") == ["a", "b.c", "e.f.g", "e.f.h"]
