"""NAS-Bench-Macro: 6,561 networks of 8 layers on CIFAR-10, three runs of each (arXiv:2103.11922).

The benchmark publishes test accuracies only, so its table has no validation metric and can be searched
with the test protocol alone. Metrics: `test`, `million_parameters`, `million_flops`.
"""

import json
import pathlib

import numpy as np

from common.spaces import nasbench_macro as space
from common.tables import table

_ORIGIN = "X. Su et al., github.com/xiusu/NAS-Bench-Macro"
_NOTES = "The benchmark publishes no validation accuracy."


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
        metrics = {
            "test": np.array([entry["test_acc"] for entry in entries.values()], np.float64) / 100,
            "million_parameters": np.array([entry["params"] for entry in entries.values()], np.float64) / 1e6,
            "million_flops": np.array([entry["flops"] for entry in entries.values()], np.float64) / 1e6,
        }
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError) as error:
        raise ValueError(f"{path} is not nas-bench-macro_cifar10.json as published: {error!r}") from error
    info = table.Info(
        benchmark="nasbench_macro",
        space="nasbench_macro",
        datasets={"cifar10": {"test": "test"}},
        source=table.describe_source(path, _ORIGIN),
        licence="Apache-2.0",
        notes=_NOTES,
    )
    return table.from_rows(info, archs, metrics)
