"""One search with NAO (arXiv:1808.07233) or SemiNAS (arXiv:2002.10389) on a benchmark.

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
from launch import algorithms, single
from launch import flags as launch_flags


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit code."""
    return launch_flags.run_main("nao", __doc__, define, run, argv)


def define(values: flags.FlagValues) -> None:
    """Defines the flags."""
    single.define(values, has_schedules=True)
    presets = ", ".join(nao_jax.PRESETS)
    flags.DEFINE_string("preset", "nao", f"settings to start from: {presets}", flag_values=values)
    launch_flags.define(values, nao_jax.Config())


def run(values: flags.FlagValues) -> None:
    """Runs or resumes a search and prints the result."""
    configs.one_of("preset", values.preset, nao_jax.PRESETS)
    single.search(values, algorithms.get(values.preset), command="nao", space="nao_small")


if __name__ == "__main__":
    sys.exit(main())
