"""Trains one architecture: a published one by its name, or a genotype in a JSON file.

python -m launch.train
python -m launch.train --genotype=naonet_v2 --dataset=cifar10.npz --preset=naonet_v2_36 --workdir=runs/naonet_v2
python -m launch.train --workdir=runs/naonet_v2 --evaluate --checkpoint=best --export=naonet_v2.safetensors
python -m launch.train --genotype=runs/search --pick='params<=1e6'

Started again on its workdir, training resumes bit-exactly. Defaults of the settings are those of --preset; the help
shows those of --preset=digits.

Recurrent cells (--genotype=nao_ptb) are trained by launch.train_language, whose --help lists its flags.
"""

import os
import sys
from collections.abc import Sequence
from typing import Any

from absl import flags

from common import config as configs
from common.datasets import streams
from common.evaluators import problem
from common.genotypes import published
from common.report import console
from common.runs import picking, training
from common.training import presets, sharding
from launch import commands, train_language

_NETWORK = {
    "num_cells": (flags.DEFINE_integer, "cells of the network, the two reductions included"),
    "width": (flags.DEFINE_integer, "channels of the first cell"),
    "drop_path_keep": (flags.DEFINE_float, "probability to keep a branch at the end of training; 1: no drop path"),
    "dropout_keep": (flags.DEFINE_float, "probability to keep a feature before the classifier"),
    "auxiliary": (flags.DEFINE_bool, "whether there is an auxiliary head"),
    "dtype": (flags.DEFINE_string, "type of activations: float32 or bfloat16"),
    "remat": (flags.DEFINE_bool, "whether to recompute activations in the backward pass, which saves memory"),
}


_DECODING = {  # flag -> field of `streams.Config`, help
    "decoding_threads": ("num_threads", "threads that decode streamed images"),
    "decoding_processes": (
        "num_processes",
        "processes that decode streamed images, each with --decoding_threads; 0: only this one",
    ),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit code."""
    if train_language.is_asked_for(sys.argv[1:] if argv is None else argv):
        return train_language.main(argv)
    return commands.run_main("train", __doc__, define, run, argv)


def define(values: flags.FlagValues) -> None:
    """Defines the flags."""

    def define(name, default, text, of=flags.DEFINE_string):
        of(name, default, text, flag_values=values)

    define("genotype", "lanet", "a published architecture (launch.genotype lists them) or a JSON file")
    text = "limits, such as params<=1e6: the fittest within them on the front of the search in the folder --genotype"
    flags.DEFINE_list("pick", [], text, flag_values=values)
    define("dataset", "digits", f"images: {problem.IMAGES}")
    define("data_dir", os.environ.get("NAS_DATA_DIR"), "folder of the datasets; default: $NAS_DATA_DIR")
    define("preset", "digits", f"settings to start from: {', '.join(presets.PRESETS)}")
    define("stream", None, f"stream images during training, preprocessed as in: {', '.join(streams.PRESETS)}")
    text = "side of streamed images, in pixels; 0: that of the genotype, if it has one, else as in --stream"
    define("image_size", 0, text, flags.DEFINE_integer)
    for name, (_, text) in _DECODING.items():
        define(name, None, f"{text}; by default as in --stream", flags.DEFINE_integer)
    define("workdir", None, "folder of the run, to start or to resume; by default a fresh one under runs/")
    define("evaluate", False, "evaluate a checkpoint of --workdir without training", flags.DEFINE_bool)
    define("coordinator", None, "several hosts: address:port of process 0")
    define("num_processes", None, "several hosts: number of processes; default: from the cluster", flags.DEFINE_integer)
    define("process_id", None, "several hosts: number of this process, from 0", flags.DEFINE_integer)
    commands.define_cache(values)
    commands.define(values, training.Options())
    define_network(values)
    commands.define(values, presets.PRESETS["digits"].training)
    commands.define(values, presets.PRESETS["digits"].augmentation)


def define_network(values: flags.FlagValues) -> None:
    """Defines the flags of networks that are trained on images."""
    for name, (define, text) in _NETWORK.items():
        define(name, None, f"{text}; by default as in --preset", flag_values=values)


def network_of(values: flags.FlagValues) -> dict[str, Any]:
    """Returns the settings of the network that were given on the command line."""
    return {name: values[name].value for name in _NETWORK if values[name].value is not None}


def run(values: flags.FlagValues) -> None:
    """Trains, or evaluates a checkpoint."""
    configs.one_of("preset", values.preset, presets.PRESETS)
    options = commands.read(values, training.Options())
    sharding.connect(values.coordinator, num_processes=values.num_processes, process_id=values.process_id)
    if commands.given(values, ["checkpoint"]) and not (values.evaluate or options.export):
        raise ValueError("--checkpoint has no effect without --evaluate or --export; give one of them, or leave it out")
    if values.evaluate:
        if not values.workdir:
            raise ValueError("--evaluate needs --workdir, the folder of a training run")
        _print_scores(training.evaluate(values.workdir, options, data_dir=values.data_dir), options)
        return
    if os.path.isdir(values.genotype) and values.genotype not in published.PUBLISHED and not values.pick:
        advice = "give a file in it, such as best.json, or --pick='params<=1e6' to pick from the front of a search"
        raise ValueError(f"--genotype={values.genotype} is a folder; {advice}")
    genotype = str(picking.pick(values.genotype, values.pick)) if values.pick else values.genotype
    places = {"folder": values.workdir, "data_dir": values.data_dir, "stream": _stream(values, genotype)}
    settings = genotype, preset(values), values.dataset, options
    result = training.train(*settings, **places, flags=values.flag_values_dict())
    if "seconds" in result:  # of several processes one prints
        _print_result(result, options)


def preset(values: flags.FlagValues) -> presets.Preset:
    """Returns the settings of network, training and augmentation.

    Raises:
      ValueError: a setting is invalid, or not one of the preset's networks.
    """
    found, network = presets.PRESETS[values.preset], network_of(values)
    others = [name for name in network if not hasattr(found.network, name)]
    text = f"--{', --'.join(others)} is not a setting of the networks of --preset={values.preset}; leave it out"
    _, *parts = configs.gathered(
        lambda: configs.require((not others, text)),
        lambda: configs.replace(found.network, network) if network and not others else found.network,
        lambda: commands.read(values, found.training),
        lambda: commands.read(values, found.augmentation),
    )
    return presets.Preset(*parts)


def _stream(values, genotype):
    if not values.stream:
        if others := commands.given(values, ["image_size", *_DECODING]):
            raise ValueError(f"--{', --'.join(others)} needs --stream; choose one of {', '.join(streams.PRESETS)}")
        return None
    configs.one_of("stream", values.stream, streams.PRESETS)
    found = streams.PRESETS[values.stream]
    size = values.image_size or getattr(published.get(genotype), "resolution", None)
    given = {field: values[name].value for name, (field, _) in _DECODING.items() if values[name].value is not None}
    if size:
        given |= {"image_size": size, "resized": round(size * found.resized / found.image_size)}
    return configs.replace(found, given)


def _print_scores(scored, options):
    rows = [
        (part, f"{100 * score['top1']:.2f} %", f"{100 * score['top5']:.2f} %", f"{score['loss']:.4f}")
        for part, score in scored.scores.items()
    ]
    _print_exported(options)
    header = ("images", "top-1", "top-5", "loss")
    console.show(f"{options.checkpoint} checkpoint, step {scored.step}", header, rows)


def _print_result(result, options):
    last, best, watched = result["latest"], result["best"], result["protocol"]
    rows = {
        "test top-1": f"{100 * last['test']['top1']:.2f} %",
        "test top-5": f"{100 * last['test']['top5']:.2f} %",
        f"best on {watched}": f"{100 * best[watched]['top1']:.2f} % at step {best['step']}",
        "parameters": f"{result['parameters']:,}",
        "multiply-adds": f"{result['multiply_adds']:,} per image",
        "seconds": f"{result['seconds']:.1f}, compilation included",
        "images per second": f"{result['images_per_second']:,.0f}",
    }
    if "validation" in last:
        rows["test top-1 of the best"] = f"{100 * best['test']['top1']:.2f} %"
    _print_exported(options)
    console.show_facts(f"{result['genotype']} on {result['dataset']}", rows)
    print(f"workdir: {result['workdir']}", flush=True)


def _print_exported(options):
    if options.export:
        print(f"exported: {options.export}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
