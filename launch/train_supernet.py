"""Trains shared weights: one network that holds every architecture of a space; each step trains one of them.

python -m launch.train_supernet
python -m launch.train_supernet --space=lanas_oneshot --sampling=fair --workdir=runs/shared
python -m launch.lanas --evaluator=supernet --supernet=runs/shared
python -m launch.train_supernet --space=lanas_oneshot --dataset=cifar10 --data_dir=data --preset=lanas_oneshot
python -m launch.train_supernet --published=ofa_mbv3_d234_e346_k357_w1.0 --dataset=imagenet_validation.npz

Started again on its workdir, training resumes bit-exactly. Defaults of the settings are those of --preset; the help
shows those of --preset=digits.
"""

import os
import sys
from collections.abc import Sequence

from absl import flags

from common import config as configs
from common.datasets import images
from common.evaluators import problem
from common.networks import mobile_published
from common.report import console
from common.runs import shared_weights
from common.supernets import config, presets, training
from launch import commands, train


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit code."""
    return commands.run_main("train_supernet", __doc__, define, run, argv)


def define(values: flags.FlagValues) -> None:
    """Defines the flags."""

    def define(name, default, text, of=flags.DEFINE_string):
        of(name, default, text, flag_values=values)

    define("space", "nao_small", f"search space: {', '.join(presets.NETWORKS)}")
    define("dataset", "digits", f"images: {problem.IMAGES}")
    define("data_dir", os.environ.get("NAS_DATA_DIR"), "folder of the datasets; by default $NAS_DATA_DIR")
    define("preset", "digits", f"settings to start from: {', '.join(presets.PRESETS)}")
    define("seed", 0, "seed of all random numbers", flags.DEFINE_integer)
    define("held_out", None, "training images to score on; by default a third, at most 5,000", flags.DEFINE_integer)
    define("num_images", None, "maximum number of training images; by default all others", flags.DEFINE_integer)
    define("workdir", None, "folder of the run, to start or to resume; by default a fresh one under runs/")
    define("published", None, "file of Once-for-all's weights of MobileNetV3, which are used without training")
    commands.define_cache(values)
    train.define_network(values)
    commands.define(values, config.Pace())
    for settings in presets.PRESETS["digits"][1:]:
        commands.define(values, settings)


def run(values: flags.FlagValues) -> None:
    """Trains, and prints the result."""
    configs.one_of("preset", values.preset, presets.PRESETS)
    configs.one_of("space", values.space, presets.NETWORKS)
    if not 0 <= values.seed <= configs.MAX_SEED:
        raise ValueError(f"--seed must be from 0 to {configs.MAX_SEED}; got {values.seed}")
    if values.published and (others := [*commands.given(values, ["space"]), *train.network_of(values)]):
        raise ValueError(f"--published has a network of its own; leave --{', --'.join(others)} out")
    pace = commands.read(values, config.Pace())
    dataset = images.load(values.dataset, values.data_dir)
    images.report(dataset)
    num_classes = dataset.num_classes
    space = "ofa_mobile" if values.published else values.space
    preset = presets.get(values.preset, space, **{"num_classes": num_classes, **train.network_of(values)})
    preset = presets.Preset(preset.network, *(commands.read(values, settings) for settings in preset[1:]))
    params = None
    if values.published:
        network, variables = mobile_published.read(values.published, num_classes=num_classes)
        preset, params = preset._replace(network=network), variables["params"]
    about = training.describe(
        space, values.dataset, preset, held_out=values.held_out, num_images=values.num_images, seed=values.seed
    )
    result, folder = shared_weights.train(
        about, values.workdir, data_dir=values.data_dir, pace=pace, flags=values.flag_values_dict(), params=params
    )
    _print_result(result)
    print(f"workdir: {folder}", flush=True)


def _print_result(result):
    rows = {
        f"{part}, of {result['architectures_scored']} random architectures": (
            f"{100 * result[part]['mean']:.2f} % on average, {100 * result[part]['best']:.2f} % at best"
        )
        for part in ("validation", "test")
    }
    rows["parameters"] = f"{result['parameters']:,}"
    rows["seconds"] = f"{result['seconds']:.1f}, compiling included"
    rows["training images per second"] = f"{result['images_per_second']:,.0f}"
    rows["architectures scored per second"] = f"{result['architectures_per_second']:,.1f}"
    console.show_facts(f"shared weights of {result['space']} on {result['dataset']}", rows)


if __name__ == "__main__":
    sys.exit(main())
