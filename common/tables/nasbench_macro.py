"""NAS-Bench-Macro: 6,561 networks of 8 layers on CIFAR-10, three runs of each (arXiv:2103.11922).

The benchmark publishes test accuracies only, so its table has no validation metric and can be searched
with the test protocol alone. Metrics: `test`, `million_parameters`, `million_flops`.
"""

import pathlib

import numpy as np

from common.file_formats import files, json_values
from common.spaces import nasbench_macro as space
from common.tables import table


def read(path: str | pathlib.Path) -> table.Table:
    """Returns the table of `nas-bench-macro_cifar10.json`.

    Raises:
      ValueError: if the file is missing, damaged or of another format.
    """
    path = pathlib.Path(path)
    if not path.is_file():
        raise ValueError(f"no NAS-Bench-Macro file at {path}")
    entries = json_values.read(path)
    if not isinstance(entries, dict):
        raise ValueError(f"{path} is not nas-bench-macro_cifar10.json as published: it holds no JSON object")
    try:
        archs = np.array([space.from_key(key) for key in entries])
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    with files.reporting(path, "is not nas-bench-macro_cifar10.json as published: a key or number is missing or wrong"):
        fields = (("test", "test_acc", 100), ("million_parameters", "params", 1e6), ("million_flops", "flops", 1e6))
        metrics = {
            name: np.array([entry[field] for entry in entries.values()], np.float64) / unit
            for name, field, unit in fields
        }
    origin, notes = "X. Su et al., github.com/xiusu/NAS-Bench-Macro", "The benchmark publishes no validation accuracy."
    datasets = {"cifar10": {"test": "test"}}
    return table.published(
        "nasbench_macro", path, archs, metrics, datasets, space=space.space(), origin=origin, notes=notes
    )
