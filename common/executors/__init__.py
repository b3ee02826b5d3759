"""Where measurements run. An executor is a context manager that gives a function `measure`.

`measure(evaluator, keys, archs)` takes key[B] and int32[B, L] and yields (int[b] rows, `types.Evaluation`
of these rows) as measurements finish, in any order, until each of the B rows was yielded once.
"""

from collections.abc import Callable, Iterator

import chex
import numpy as np

from common import types
from common.executors import inline

Measure = Callable[[types.Evaluator, chex.Array, np.ndarray], Iterator[tuple[np.ndarray, types.Evaluation]]]

EXECUTORS = {"inline": inline.executor}
