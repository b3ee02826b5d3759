"""Trains one architecture: a published one by its name, or a genotype in a JSON file.

python -m launch.train
python -m launch.train --genotype=naonet_v2 --dataset=cifar10.npz --preset=naonet_v2_36 --workdir=runs/naonet_v2
python -m launch.train --workdir=runs/naonet_v2 --evaluate --checkpoint=best --export=naonet_v2.safetensors

Started again on its workdir, training goes on where it was, to the bit. Defaults of the settings are those of
--preset, and the help shows those of --preset=digits.

A recurrent cell (--genotype=nao_ptb) is trained by launch.train_language, which has flags of its own.
"""

import os
import sys
from collections.abc import Sequence

from absl import flags

from common.datasets import streams
from common.training import presets
from launch import flags as launch_flags
from launch import train_language, training


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit code."""
    argv = sys.argv[1:] if argv is None else argv
    if train_language.is_asked_for(argv):
        return train_language.main(argv)
    return launch_flags.run_main("train", __doc__, define, run, argv)


def define(values: flags.FlagValues) -> None:
    """Defines the flags."""

    def define(name, default, text, of=flags.DEFINE_string):
        of(name, default, text, flag_values=values)

    define("genotype", "lanet", "a published architecture (launch.genotype lists them) or a JSON file")
    define("dataset", "digits", "digits, cluttered_digits, mnist, or an npz file of images and labels")
    define("data_dir", os.environ.get("NAS_DATA_DIR"), "folder of the datasets; else $NAS_DATA_DIR")
    define("preset", "digits", f"settings to start from: {', '.join(presets.PRESETS)}")
    define("stream", None, f"read the images while training goes on, changed as for: {', '.join(streams.PRESETS)}")
    define("image_size", 0, "side of the images of a stream; 0: as in --stream", flags.DEFINE_integer)
    define("seed", 0, "decides everything random", flags.DEFINE_integer)
    define("held_out", 0, "training images to hold out; the best checkpoint is the best on them", flags.DEFINE_integer)
    define("workdir", None, "folder of the run, to start or to go on with; by default a fresh one under runs/")
    define("evaluate", False, "evaluate a checkpoint of --workdir, and train nothing", flags.DEFINE_bool)
    define("checkpoint", "latest", "which checkpoint is evaluated or exported: latest or best")
    define("export", None, "file to write the trained network to, such as model.safetensors")
    define("evaluate_every", 5, "epochs from one evaluation to the next", flags.DEFINE_integer)
    define("evaluation_batch_size", 256, "images evaluated at a time", flags.DEFINE_integer)
    define("steps_per_chunk", 0, "most steps between two looks at the metrics; 0: an epoch", flags.DEFINE_integer)
    define("checkpoint_seconds", 300.0, "least seconds between checkpoints within an epoch", flags.DEFINE_float)
    define("num_devices", 0, "devices to split batches over; 0: all", flags.DEFINE_integer)
    define("coordinator", None, "with several hosts: address:port of process 0")
    define(
        "num_processes", None, "with several hosts: how many; by default what the cluster says", flags.DEFINE_integer
    )
    define("process_id", None, "with several hosts: which of them this is", flags.DEFINE_integer)
    define("compilation_cache_dir", None, "where compiled programs are kept; empty: nowhere")
    launch_flags.define_network(values)
    launch_flags.define_config(values, presets.PRESETS["digits"].training)
    launch_flags.define_config(values, presets.PRESETS["digits"].augmentation)


def run(values: flags.FlagValues) -> None:
    """Trains, or evaluates what was trained."""
    launch_flags.one_of("preset", values.preset, presets.PRESETS)
    launch_flags.one_of("checkpoint", values.checkpoint, training.CHECKPOINTS)
    if not 0 <= values.seed <= launch_flags.MAX_SEED:
        raise ValueError(f"--seed must be from 0 to {launch_flags.MAX_SEED}; got {values.seed}")
    for name, least in (("evaluate_every", 1), ("evaluation_batch_size", 1), ("steps_per_chunk", 0), ("held_out", 0)):
        if values[name].value < least:
            raise ValueError(f"--{name} must be at least {least}; got {values[name].value}")
    if values.evaluate:
        training.evaluate(values)
        return
    preset = presets.PRESETS[values.preset]
    training.train(
        values,
        network=preset.network,
        given=launch_flags.network_of(values),
        config=launch_flags.config_of(values, preset.training),
        augmentation=launch_flags.config_of(values, preset.augmentation),
    )


if __name__ == "__main__":
    sys.exit(main())
