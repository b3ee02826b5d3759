"""Trains shared weights: one network that holds every architecture of a space, of which each step trains one.

python -m launch.train_supernet
python -m launch.train_supernet --space=lanas_oneshot --sampling=fair --workdir=runs/shared
python -m launch.lanas --evaluator=supernet --supernet=runs/shared
python -m launch.train_supernet --space=lanas_oneshot --dataset=cifar10 --data_dir=data --preset=lanas_oneshot

Started again on its workdir, training goes on where it was, to the bit. Defaults of the settings are those of
--preset, and the help shows those of --preset=digits.
"""

import os
import sys
from collections.abc import Sequence

import jax
import rich.console
import rich.table
import rich.text
from absl import flags

from common.datasets import images
from common.records import run_dir
from common.supernets import presets as supernet_presets
from common.supernets import scoring as scores
from common.supernets import training as supernet
from launch import compilation, supernet_run
from launch import flags as launch_flags

_NUM_SCORED = 16  # random architectures whose accuracies tell how the weights are
_PRESETS = supernet_presets.PRESETS


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit code."""
    return launch_flags.run_main("train_supernet", __doc__, define, run, argv)


def define(values: flags.FlagValues) -> None:
    """Defines the flags."""

    def define(name, default, text, of=flags.DEFINE_string):
        of(name, default, text, flag_values=values)

    define("space", "nao_small", f"the space: {', '.join(supernet_presets.NETWORKS)}")
    define("dataset", "digits", "digits, cluttered_digits, mnist, cifar10, or an npz file of images and labels")
    define("data_dir", os.environ.get("NAS_DATA_DIR"), "folder of the datasets; else $NAS_DATA_DIR")
    define("preset", "digits", f"settings to start from: {', '.join(_PRESETS)}")
    define("seed", 0, "decides everything random", flags.DEFINE_integer)
    define("held_out", None, "training images to score on; by default a third, at most 5,000", flags.DEFINE_integer)
    define("num_images", None, "images to train on at most; by default all others", flags.DEFINE_integer)
    define("workdir", None, "folder of the run, to start or to go on with; by default a fresh one under runs/")
    define("evaluate_every", 0, "epochs between two looks at a few architectures; 0: a tenth", flags.DEFINE_integer)
    define("steps_per_chunk", 0, "most steps between two looks at the metrics; 0: an epoch", flags.DEFINE_integer)
    define("checkpoint_seconds", 60.0, "least seconds between checkpoints", flags.DEFINE_float)
    define("compilation_cache_dir", None, "where compiled programs are kept; empty: nowhere")
    launch_flags.define_network(values)
    launch_flags.define(values, _PRESETS["digits"].training)
    launch_flags.define(values, _PRESETS["digits"].augmentation)
    launch_flags.define(values, _PRESETS["digits"].draws)


def run(values: flags.FlagValues) -> None:
    """Trains, and writes the files of the run."""
    launch_flags.one_of("preset", values.preset, _PRESETS)
    launch_flags.one_of("space", values.space, supernet_presets.NETWORKS)
    if not 0 <= values.seed <= launch_flags.MAX_SEED:
        raise ValueError(f"--seed must be from 0 to {launch_flags.MAX_SEED}; got {values.seed}")
    for name, least in (("evaluate_every", 0), ("steps_per_chunk", 0)):
        if values[name].value < least:
            raise ValueError(f"--{name} must be at least {least}; got {values[name].value}")
    compilation.enable_cache(values.compilation_cache_dir)
    dataset = images.load(values.dataset, values.data_dir)
    preset = supernet_run.settings(values.space, values.preset, dataset, **launch_flags.network_of(values))
    about = supernet.describe(
        values.space,
        values.dataset,
        network=preset.network,
        training=launch_flags.read(values, preset.training),
        augmentation=launch_flags.read(values, preset.augmentation),
        draws=launch_flags.read(values, preset.draws),
        held_out=values.held_out,
        num_images=values.num_images,
        seed=values.seed,
    )
    made = supernet.build(about, values.data_dir)
    draw = made.draw()
    folder = run_dir.create(values.workdir, command="train_supernet", benchmark=made.space.name)
    print(f"workdir: {folder}", flush=True)
    pace = supernet_run.Pace(values.evaluate_every, values.steps_per_chunk, values.checkpoint_seconds)
    with supernet_run.Training(made, folder, pace) as training:
        config = {"command": "train_supernet", "flags": values.flag_values_dict(), **about, **run_dir.environment()}
        run_dir.write_json(folder / run_dir.CONFIG, config)
        state = training.train(draw, made.num_steps)
        result = _result(made, state, seconds=training.seconds, rate=training.images_per_second)
    run_dir.write_json(folder / run_dir.RESULT, result)
    _print_result(result)
    print(f"workdir: {folder}", flush=True)


def _result(made, state, *, seconds, rate):
    """Returns what result.json says."""
    archs = made.space.sample(jax.random.key(1), _NUM_SCORED)
    evaluator = scores.of(made, state.params)
    parts = {
        part: measure(jax.random.key(0), archs)
        for part, measure in (("validation", evaluator.evaluate), ("test", evaluator.test))
    }
    again = evaluator.evaluate(jax.random.key(0), archs)  # compiled by now
    return {
        "space": made.space.name,
        "dataset": made.about["dataset"],
        "seed": made.about["seed"],
        "steps": made.num_steps,
        "epochs": made.config.num_epochs,
        "parameters": sum(leaf.size for leaf in jax.tree.leaves(state.params)),
        "architectures_scored": _NUM_SCORED,
        **{
            part: {"mean": float(found.fitness.mean()), "best": float(found.fitness.max()), "ok": int(found.ok.sum())}
            for part, found in parts.items()
        },
        "seconds": round(seconds, 3),
        "images_per_second": rate,
        "architectures_per_second": round(1 / float(again.cost[0]), 1),
    }


def _print_result(result):
    table = rich.table.Table(title=f"shared weights of {result['space']} on {result['dataset']}", show_header=False)
    rows = {
        part: f"{100 * result[part]['mean']:.2f} % on average, {100 * result[part]['best']:.2f} % at best"
        for part in ("validation", "test")
    }
    rows = {f"{part}, of {_NUM_SCORED} random architectures": text for part, text in rows.items()}
    rows["parameters"] = f"{result['parameters']:,}"
    rows["seconds"] = f"{result['seconds']:.1f}, compiling included"
    rows["images a second, in training"] = f"{result['images_per_second']:,.0f}"
    rows["architectures scored a second"] = f"{result['architectures_per_second']:,.1f}"
    for name, text in rows.items():
        table.add_row(name, rich.text.Text(text))
    rich.console.Console().print(table)


if __name__ == "__main__":
    sys.exit(main())
