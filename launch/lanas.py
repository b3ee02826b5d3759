"""One search with LaNAS (arXiv:1906.06832) on a benchmark.

python -m launch.lanas
python -m launch.lanas --evaluator=training --space=lanas_cell --budget=6 --height=2 --num_initial=4
python -m launch.lanas --evaluator=supernet --space=lanas_oneshot --budget=300 --rerank=3
python -m launch.lanas --benchmark=nasbench201 --data_dir=data --budget=300 --preset=lanas_paper
"""

import functools
import sys
from collections.abc import Sequence

from absl import flags

import lanas_jax
from common import config as configs
from common import spaces
from launch import algorithms, few_shot_config, proxy, shared_weights, single
from launch import flags as launch_flags


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit code."""
    return launch_flags.run_main("lanas", __doc__, define, run, argv)


def define(values: flags.FlagValues) -> None:
    """Defines the flags."""
    single.define(values)
    shared_weights.define(values)
    launch_flags.define_config(values, few_shot_config.Config())
    proxy.define(values)
    presets = ", ".join(lanas_jax.PRESETS)
    flags.DEFINE_string("preset", "lanas", f"settings to start from: {presets}", flag_values=values)
    launch_flags.define(values, lanas_jax.Config())


def run(values: flags.FlagValues) -> None:
    """Runs or resumes a search and prints the result."""
    configs.one_of("preset", values.preset, lanas_jax.PRESETS)
    algorithm = algorithms.get(values.preset)
    few_shot = launch_flags.config_of(values, few_shot_config.Config())
    if not shared_weights.is_asked_for(values):
        single.run(values, algorithm, command="lanas")
        return
    space = "lanas_oneshot"
    config = single.settings(values, algorithm, spaces.get(values.space or space))
    shared_weights.run(
        values,
        space=space,
        command="lanas",
        algorithm=algorithm.name,
        config=config,
        make_searcher=functools.partial(algorithm.searcher, config=config, name=algorithm.name),
        refine=_refine(few_shot, config),
    )


def _refine(settings, config):
    """Returns how shared weights become those of regions of the tree, or None where they do not."""
    if not settings.few_shot_epochs:
        return None
    from launch import few_shot  # flax, which takes a second to import

    return lambda values, *shared: few_shot.evaluator(values, settings, config, *shared)


if __name__ == "__main__":
    sys.exit(main())
