"""Where measurements run, by name. A new executor is one file and one line in `EXECUTORS`.

`EXECUTORS[name](evaluator, config)` is a context manager that gives a `types.Executor`; its workers, if it has
any, end with it.
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
