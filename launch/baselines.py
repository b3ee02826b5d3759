"""One search with a baseline (random search, evolution, Bayesian optimization, ...) on a benchmark.

python -m launch.baselines --algorithm=regularized_evolution
python -m launch.baselines --algorithm=local_search --benchmark=nasbench201 --data_dir=data --budget=300
"""

import sys
from collections.abc import Sequence

from absl import flags

from common import baselines, plugins
from common import config as configs
from launch import algorithms, commands, single


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit code."""
    return commands.run_main("baselines", __doc__, define, run, argv)


def define(values: flags.FlagValues) -> None:
    """Defines the flags."""
    single.define(values)
    text = f"{', '.join(baselines.ALGORITHMS)}, or package.module:name of a function (space) -> Searcher"
    flags.DEFINE_string("algorithm", "random", text, flag_values=values)
    for name, algorithm in baselines.ALGORITHMS.items():
        commands.define(values, algorithm.config, note=name)


def run(values: flags.FlagValues) -> None:
    """Runs or resumes a search and prints the result."""
    if not plugins.is_path(values.algorithm):
        configs.one_of("algorithm", values.algorithm, baselines.ALGORITHMS)
    algorithm = algorithms.get(values.algorithm)
    _check_settings(values, algorithm)
    single.search(values, algorithm, command="baselines", space="lanas_oneshot")


def _check_settings(values, algorithm):
    """Raises a `ValueError` for a given flag that is a setting of other algorithms only."""
    own = set() if algorithm.config is None else set(configs.flat_names(algorithm.config))
    every = {name for each in baselines.ALGORITHMS.values() for name in configs.flat_names(each.config)}
    if others := commands.given(values, sorted(every - own)):
        known = ", ".join(sorted(own)) or "none"
        raise ValueError(f"--{', --'.join(others)} is not a setting of {algorithm.name}; its settings: {known}")


if __name__ == "__main__":
    sys.exit(main())
