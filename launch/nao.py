"""One search with NAO (arXiv:1808.07233) or SemiNAS (arXiv:2002.10389) on a benchmark.

python -m launch.nao
python -m launch.nao --benchmark=nasbench201 --data_dir=data --budget=300 --preset=seminas
"""

import functools
import sys
from collections.abc import Sequence

from absl import flags

import nao_jax.presets
import nao_jax.search
from launch import flags as launch_flags
from launch import proxy, single


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit code."""
    return launch_flags.run_main("nao", __doc__, define, run, argv)


def define(values: flags.FlagValues) -> None:
    """Defines the flags."""
    single.define(values)
    proxy.define(values)
    presets = ", ".join(nao_jax.presets.PRESETS)
    flags.DEFINE_string("preset", "nao", f"settings to start from: {presets}", flag_values=values)
    launch_flags.define_config(values, nao_jax.presets.Config())


def run(values: flags.FlagValues) -> None:
    """Searches."""
    launch_flags.one_of("preset", values.preset, nao_jax.presets.PRESETS)
    config = launch_flags.config_of(values, nao_jax.presets.PRESETS[values.preset])
    nao_jax.presets.validate(config)
    make_searcher = functools.partial(nao_jax.search.searcher, config=config, name=values.preset)
    single.run(values, command="nao", algorithm=values.preset, config=config, make_searcher=make_searcher)


if __name__ == "__main__":
    sys.exit(main())
