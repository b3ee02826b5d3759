"""What is searched: the benchmark named on the command line, or networks that are trained, as an evaluator."""

from absl import flags

from common import types
from common.evaluators import benchmark
from launch import proxy


def evaluator(values: flags.FlagValues) -> types.Evaluator:
    """Returns the evaluator that the common flags name.

    Raises:
      ValueError: one of them is unknown, the file is missing or damaged, or it holds only a part of its
        space, which cannot be searched.
    """
    if proxy.is_asked_for(values):
        return proxy.evaluator(values)
    return benchmark.evaluator(
        values.benchmark, dataset=values.dataset, protocol=values.protocol, data_dir=values.data_dir
    )
