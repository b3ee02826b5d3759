"""The arrows between the packages, read from their imports."""

import ast
import pathlib

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
    "absl.flags": ("launch/",),
    "flax.linen": (
        "common/networks/",
        "common/language/",
        "nao_jax/encoder.py",
        "nao_jax/decoder.py",
        "nao_jax/model.py",
    ),
    "matplotlib": ("common/drawing/charts.py", "common/report/"),
    "ray": ("common/executors/ray.py",),
    "tensorflow_datasets": ("common/datasets/",),
}
OUTSIDE = ("tests", "benchmarks")  # they import anything and nothing imports them


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
        for module, places in RESERVED.items():
            if f"{name}.".startswith(f"{module}.") and not path.startswith(places):
                found.append(f"{path} imports {name}, which is for {', '.join(places)}")
    return found


class LayeringTest(parameterized.TestCase):
    @parameterized.parameters(*PACKAGES)
    def test_files_keep_to_the_arrows(self, package):
        files = sorted((ROOT / package).rglob("*.py"))
        assert files, f"no package {package} in {ROOT}"
        found = []
        for file in files:
            found += violations(file.read_text(), file.relative_to(ROOT).as_posix())
        assert not found, "\n".join(found)


class CheckerTest(parameterized.TestCase):
    """The checker itself, on made-up files."""

    @parameterized.parameters(
        ("import nao_jax", "common/search.py"),
        ("from lanas_jax import tree", "common/search.py"),
        ("import launch.flags as flags", "common/search.py"),
        ("from nao_jax import decoder", "lanas_jax/search.py"),
        ("from lanas_jax.tree import fit", "nao_jax/search.py"),
        ("from launch import study", "nao_jax/search.py"),
        ("from tests import conftest", "launch/nao.py"),
        ("import flax.linen as nn", "common/training/step.py"),
        ("from flax import linen as nn", "nao_jax/training.py"),
        ("from flax.linen import Dense", "lanas_jax/tree.py"),
        ("import tensorflow_datasets as tfds", "common/training/loop.py"),
        ("import matplotlib.pyplot as plt", "common/search.py"),
        ("from matplotlib import pyplot", "launch/report.py"),
        ("import ray", "common/executors/process.py"),
        ("from absl import flags", "common/search.py"),
        ("from absl.flags import FLAGS", "nao_jax/search.py"),
        ("def run():\n    import ray", "common/search.py"),
        ("try:\n    import matplotlib\nexcept ImportError:\n    pass", "common/metrics.py"),
        ("from ... import launch", "nao_jax/deeper/search.py"),
    )
    def test_forbidden(self, source, path):
        assert [text.split(" imports ")[0] for text in violations(source, path)] == [path]

    @parameterized.parameters(
        ("import jax\nfrom common import types", "common/search.py"),
        ("from common import history\nfrom nao_jax import decoder", "nao_jax/search.py"),
        ("from nao_jax import search\nfrom lanas_jax import search as other", "launch/study.py"),
        ("from absl import flags", "launch/flags.py"),
        ("from absl import logging", "common/search.py"),
        ("import flax.linen as nn", "common/networks/cells.py"),
        ("import flax.linen as nn", "nao_jax/encoder.py"),
        ("from flax import struct\nimport rayon_like\nimport matplotlib_inline", "common/training/state.py"),
        ("import tensorflow_datasets", "common/datasets/images.py"),
        ("import matplotlib.pyplot", "common/report/page.py"),
        ("import ray", "common/executors/ray.py"),
        ("from common.executors import ray", "launch/search.py"),
        ("# import launch\ntext = 'import launch'", "common/search.py"),
    )
    def test_allowed(self, source, path):
        assert violations(source, path) == []

    def test_relative_imports_are_read_from_their_package(self):
        assert imported("from . import tree", "lanas_jax/search.py") == ["lanas_jax.tree"]
        assert imported("from ..tables import table", "common/evaluators/tabular.py") == ["common.tables.table"]
        assert imported("import a, b.c as d\nfrom e.f import g, h", "x.py") == ["a", "b.c", "e.f.g", "e.f.h"]
