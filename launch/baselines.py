"""One search with a baseline (random search, regularised evolution, local search) on a benchmark.

python -m launch.baselines --algorithm=regularized_evolution
python -m launch.baselines --algorithm=local_search --benchmark=nasbench201 --data_dir=data --budget=300
"""

import dataclasses
import functools
import sys
from collections.abc import Sequence

from absl import flags

from common import baselines
from launch import flags as launch_flags
from launch import proxy, shared_weights, single


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit code."""
    return launch_flags.run_main("baselines", __doc__, define, run, argv)


def define(values: flags.FlagValues) -> None:
    """Defines the flags."""
    single.define(values)
    shared_weights.define(values)
    proxy.define(values)
    names = ", ".join(baselines.BASELINES)
    flags.DEFINE_string("algorithm", "random", f"one of {names}", flag_values=values)
    for name, config in baselines.CONFIGS.items():
        launch_flags.define_config(values, config(), only_if=name)


def run(values: flags.FlagValues) -> None:
    """Searches."""
    name = values.algorithm
    launch_flags.one_of("algorithm", name, baselines.BASELINES)
    config = launch_flags.config_of(values, baselines.CONFIGS[name]())
    _refuse_others(values, config)
    settings = dataclasses.asdict(config)
    is_shared = shared_weights.is_asked_for(values)
    search = functools.partial(shared_weights.run, space="lanas_oneshot") if is_shared else single.run
    search(
        values,
        command="baselines",
        algorithm=name,
        config=config,
        make_searcher=lambda space: baselines.BASELINES[name](space, **settings),
    )


def _refuse_others(values, config):
    """Raises a `ValueError` for a given flag that is a setting of another algorithm only."""
    own = {field.name for field in dataclasses.fields(config)}
    others = {field.name for other in baselines.CONFIGS.values() for field in dataclasses.fields(other)} - own
    for flag in sorted(others):
        if not values[flag].using_default_value:
            raise ValueError(f"--{flag} is no setting of {values.algorithm}; its settings are {', '.join(sorted(own))}")


if __name__ == "__main__":
    sys.exit(main())
