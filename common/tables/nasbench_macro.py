"""NAS-Bench-Macro: 6,561 networks of 8 layers on CIFAR-10, three runs of each (arXiv:2103.11922).

The benchmark publishes test accuracies only, so its table has no validation metric and can be searched
with the test protocol alone. Metrics: `test`, `million_parameters`, `million_flops`.
"""

import json
import pathlib

import numpy as np

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
    try:
        entries = json.loads(path.read_bytes())
        archs = np.array([space.from_key(key) for key in entries])
        fields = (("test", "test_acc", 100), ("million_parameters", "params", 1e6), ("million_flops", "flops", 1e6))
        metrics = {
            name: np.array([entry[field] for entry in entries.values()], np.float64) / unit
            for name, field, unit in fields
        }
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError) as error:
        raise ValueError(f"{path} is not nas-bench-macro_cifar10.json as published: {error!r}") from error
    origin, notes = "X. Su et al., github.com/xiusu/NAS-Bench-Macro", "The benchmark publishes no validation accuracy."
    datasets = {"cifar10": {"test": "test"}}
    return table.published(
        "nasbench_macro", path, archs, metrics, datasets, space=space.space(), origin=origin, notes=notes
    )
