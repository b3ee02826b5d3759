"""Executors by name. A new one is one file and one line in `EXECUTORS`.

`EXECUTORS[name](evaluator, config)` is a context manager that yields a `types.Executor` and stops its workers at exit.
"""

import contextlib
from collections.abc import Callable

from common import types
from common.executors import config as config_lib
from common.executors import inline, process, ray

EXECUTORS: dict[
    str, Callable[[types.Evaluator, config_lib.Config], contextlib.AbstractContextManager[types.Executor]]
] = {
    "inline": inline.executor,
    "process": process.executor,
    "ray": ray.executor,
}
