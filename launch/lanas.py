"""One search with LaNAS (arXiv:1906.06832), on a benchmark or with networks that are trained.

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
from lanas_jax import few_shot
from launch import algorithms, commands, single


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit code."""
    return commands.run_main("lanas", __doc__, define, run, argv)


def define(values: flags.FlagValues) -> None:
    """Defines the flags."""
    single.define(values)
    commands.define(values, few_shot.Config(), note="evaluator supernet")
    presets = ", ".join(lanas_jax.PRESETS)
    flags.DEFINE_string("preset", "lanas", f"settings to start from: {presets}", flag_values=values)
    commands.define(values, lanas_jax.Config())


def run(values: flags.FlagValues) -> None:
    """Runs or resumes a search and prints the result."""
    configs.one_of("preset", values.preset, lanas_jax.PRESETS)
    regions = commands.read(values, few_shot.Config())

    def refine(config):
        if not regions.few_shot_epochs:
            return None
        return functools.partial(few_shot.evaluator, settings=regions, config=config, seed=values.seed)

    single.search(values, algorithms.get(values.preset), command="lanas", space="lanas_oneshot", refine=refine)


if __name__ == "__main__":
    sys.exit(main())
