"""One search with LaNAS (arXiv:1906.06832) on a benchmark.

python -m launch.lanas
python -m launch.lanas --evaluator=training --space=lanas_cell --budget=6 --height=2 --num_initial=4
python -m launch.lanas --evaluator=supernet --space=lanas_oneshot --budget=300 --rerank=3
python -m launch.lanas --benchmark=nasbench201 --data_dir=data --budget=300 --preset=lanas_paper
"""

import dataclasses
import functools
import sys
from collections.abc import Sequence

from absl import flags

import lanas_jax.config
import lanas_jax.search
from launch import few_shot_config, proxy, shared_weights, single
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
    presets = ", ".join(lanas_jax.config.PRESETS)
    flags.DEFINE_string("preset", "lanas", f"settings to start from: {presets}", flag_values=values)
    launch_flags.define_config(values, lanas_jax.config.Config())


def run(values: flags.FlagValues) -> None:
    """Searches."""
    launch_flags.one_of("preset", values.preset, lanas_jax.config.PRESETS)
    config = launch_flags.config_of(values, lanas_jax.config.PRESETS[values.preset])
    is_shared = shared_weights.is_asked_for(values)
    if (is_shared or proxy.is_asked_for(values)) and values["sampler"].using_default_value:
        config = dataclasses.replace(config, sampler="walk")  # spaces of networks are too large to be listed
    lanas_jax.config.validate(config)
    make_searcher = functools.partial(lanas_jax.search.searcher, config=config, name=values.preset)
    few_shot = launch_flags.config_of(values, few_shot_config.Config())
    search = single.run
    if is_shared:
        search = functools.partial(shared_weights.run, space="lanas_oneshot", refine=_refine(few_shot, config))
    search(values, command="lanas", algorithm=values.preset, config=config, make_searcher=make_searcher)


def _refine(settings, config):
    """Returns how shared weights become those of regions of the tree, or None where they do not."""
    if not settings.few_shot_epochs:
        return None
    from launch import few_shot  # flax, which takes a second to import

    return lambda values, *shared: few_shot.evaluator(values, settings, config, *shared)


if __name__ == "__main__":
    sys.exit(main())
