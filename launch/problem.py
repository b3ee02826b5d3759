"""What is searched: the benchmark named on the command line, as an evaluator."""

from absl import flags

from common import tables, types
from common.evaluators import tabular


def evaluator(values: flags.FlagValues) -> types.Evaluator:
    """Returns the evaluator that the common flags name.

    Raises:
      ValueError: one of them is unknown, the file is missing or damaged, or it holds only a part of its
        space, which cannot be searched.
    """
    dataset = values.dataset or tables.get(values.benchmark).dataset
    table = tables.load_benchmark(values.benchmark, values.data_dir)
    made = tabular.evaluator(table, dataset=dataset, protocol=values.protocol)
    if made.num_archs < made.space.size:
        raise ValueError(
            f"{values.benchmark} holds {made.num_archs} of the {made.space.size} architectures of {made.space.name}; "
            "a search would propose others: choose a benchmark that holds all of its space"
        )
    return made
