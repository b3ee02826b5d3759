"""One search with NAO (arXiv:1808.07233) or SemiNAS (arXiv:2002.10389), on a benchmark or with trained networks.

python -m launch.nao
python -m launch.nao --benchmark=nasbench201 --data_dir=data --budget=300 --preset=seminas
python -m launch.nao --evaluator=supernet --rerank=3
python -m launch.nao --evaluator=supernet --schedule=nao_ws --num_initial=100 --num_new=40 --num_random=10
"""

import sys
from collections.abc import Sequence

from absl import flags

import nao_jax
from common import config as configs
from common.runs import population
from launch import algorithms, commands, single


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit code."""
    return commands.run_main("nao", __doc__, define, run, argv)


def define(values: flags.FlagValues) -> None:
    """Defines the flags."""
    single.define(values)
    text = (
        f"train on a pool that the search renews: {', '.join(population.SCHEDULES)}; --num_initial, --num_new and "
        "--num_random are those of the pool too (evaluator supernet)"
    )
    flags.DEFINE_string("schedule", None, text, flag_values=values)
    text = "with --schedule: blocks of training (evaluator supernet)"
    flags.DEFINE_integer("num_blocks", None, text, flag_values=values)
    spaces = {name: f" (for {space})" for name, space in nao_jax.SPACES.items()}
    presets = ", ".join(name + spaces.get(name, "") for name in nao_jax.PRESETS)
    text = (
        f"settings to start from: {presets}; one for a space takes --evaluator=training and that space, unless "
        "--benchmark, --space or --evaluator is given"
    )
    flags.DEFINE_string("preset", "nao", text, flag_values=values)
    commands.define(values, nao_jax.Config())


def run(values: flags.FlagValues) -> None:
    """Runs or resumes a search and prints the result."""
    configs.one_of("preset", values.preset, nao_jax.PRESETS)
    space = take_space(values)
    single.search(values, algorithms.get(values.preset), command="nao", space=space)


def take_space(values: flags.FlagValues) -> str:
    """Returns the default of --space with --evaluator=supernet: the space of the preset, which may set flags too.

    Raises:
      ValueError: the space is not searched by this command.
    """
    space = nao_jax.SPACES.get(values.preset, "nao_small")
    given = commands.given(values, ("benchmark", "space", "evaluator"))
    if values.preset not in nao_jax.SPACES or "space" in given or "benchmark" in given:
        return space
    if space == "nao_rnn":
        raise ValueError(
            f"preset {values.preset} is for recurrent cells, searched by launch.search_recurrent "
            f"--algorithm={values.preset}; for other cells give --benchmark, or --space and --evaluator"
        )
    if not given:
        values.evaluator = "training"
    if values.evaluator == "training":
        values.space = space
    return space


if __name__ == "__main__":
    sys.exit(main())
