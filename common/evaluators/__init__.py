"""Sources of fitness by name. A new one is one file and one line in `EVALUATORS`."""

from collections.abc import Callable

from common import types
from common.evaluators import benchmark, synthetic, tabular

EVALUATORS: dict[str, Callable[..., types.Evaluator]] = {
    "benchmark": benchmark.evaluator,
    "synthetic": synthetic.evaluator,
    "tabular": tabular.evaluator,
}
