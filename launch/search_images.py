"""A network for your own images, in given minutes, within limits.

python -m launch.search_images --dataset=mine.npz --minutes=15
python -m launch.search_images --dataset=photos --minutes=30 --limit='macs<=5e6' --workdir=runs/photos

Candidates that --algorithm proposes train for a few epochs; the best third continues for three times as many, and the
best third of those again. The best one trains from scratch, beside a plain network and a ResNet. The command prints its
plan first and a table at the end, and writes best.json (a genotype for launch.train), model.safetensors,
model.stablehlo (a program that needs only JAX) and report.html, a page that can be opened while the search runs.
Started again on its workdir, it resumes. launch.prepare_data makes a dataset of photos of any sizes. See
docs/own_images.md.
"""

import os
import sys
from collections.abc import Sequence

from absl import flags

from common import baselines
from common.evaluators import problem
from common.report import console
from launch import algorithms, commands


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit code."""
    return commands.run_main("search_images", __doc__, define, run, argv)


def define(values: flags.FlagValues) -> None:
    """Defines the flags."""

    def define(name, default, text, of=flags.DEFINE_string):
        of(name, default, text, flag_values=values)

    define("dataset", "cluttered_digits", f"images: {problem.IMAGES}")
    define("data_dir", os.environ.get("NAS_DATA_DIR"), "folder of the datasets; by default $NAS_DATA_DIR")
    define("minutes", 15.0, "for everything, compiling included", flags.DEFINE_float)
    define("limit", [], "on costs of the network, such as macs<=5e6; several by commas", flags.DEFINE_list)
    text = f"proposes the candidates: lanas, nao, {', '.join(baselines.ALGORITHMS)}, several in turn (lanas+nao), "
    define("algorithm", "lanas", text + "another of launch.study, or package.module:name")
    define("known_networks", True, "whether the first candidates are known networks", flags.DEFINE_boolean)
    define("seed", 0, "seed of all random numbers", flags.DEFINE_integer)
    define("workdir", None, "folder of the run, to start or to resume; by default a fresh one under runs/")
    commands.define_cache(values)


def run(values: flags.FlagValues) -> None:
    """Runs the search and prints the result."""
    from common.runs import image_result, own_images  # flax, which takes a second to import

    result = own_images.search_images(
        values.dataset,
        minutes=values.minutes,
        limit=values.limit,
        workdir=values.workdir,
        algorithm=algorithms.get(values.algorithm),
        known_networks=values.known_networks,
        seed=values.seed,
        data_dir=values.data_dir,
    )
    console.show(image_result.title(result), *image_result.table(result))
    data_dir = values.data_dir if commands.given(values, ["data_dir"]) else None  # else of the environment
    print(image_result.next_steps(result, data_dir), flush=True)


if __name__ == "__main__":
    sys.exit(main())
