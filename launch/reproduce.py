"""Reproduces a headline result of the papers: its stages are commands of this project, from data to the number.

python -m launch.reproduce
python -m launch.reproduce nao_cifar10 --dry_run
python -m launch.reproduce nao_cifar10 --stages=train --data_dir=data
python -m launch.reproduce lanas_cifar10 --dry_run --full_size

Without a name it lists all headlines. A dry run checks data and free disk, prints the plan, and takes two steps of each
stage on synthetic data, with small networks unless --full_size is given. Started again on its workdir, a run resumes.
docs/reproduce.md says what differs from the papers.
"""

import importlib
import os
import shlex
import sys
from collections.abc import Sequence

from absl import flags

from common import config as configs
from common import paths
from common.report import console
from common.runs import reproduce, reproduce_data, reproduce_headlines
from common.training import memory
from launch import commands


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    if words and not words[0].startswith("-"):
        words[0] = f"--name={words[0]}"
    return commands.run_main("reproduce", __doc__, define, run, words)


def define(values: flags.FlagValues) -> None:
    """Defines the flags."""
    flags.DEFINE_string("name", None, "the headline; may be written without the flag, first", flag_values=values)
    commands.define(values, reproduce.Options(data_dir=os.environ.get("NAS_DATA_DIR")))


def run(values: flags.FlagValues) -> None:
    """Checks, prints the plan and runs the stages."""
    if values.name is None:
        if given := commands.given(values, configs.flat_names(reproduce.Options())):
            for name, one in reproduce_headlines.HEADLINES.items():
                print(f"{name}: {one.title}", flush=True)
            raise flags.Error(f"--{given[0]} needs one of these names: python -m launch.reproduce NAME --{given[0]}")
        rows = [(name, one.title, one.published) for name, one in reproduce_headlines.HEADLINES.items()]
        return console.show("headlines", ("name", "search", "published"), rows)
    options = commands.read(values, reproduce.Options(data_dir=values.data_dir))
    headline = reproduce.get(values.name, options.stages)
    folder = paths.path(options.workdir or f"runs/{values.name}{'-dry' if options.dry_run else ''}").absolute()
    rows = reproduce.rows(headline)
    header = ("stage", "operations", "steps", "hours, 1 H200", "8 H200", "memory GiB", "disk GiB")
    print(f"{values.name}: {headline.title}; published: {headline.published}", flush=True)
    console.show("plan", header, [(name, *costs) for name, _, *costs in rows])
    for name, line, *_ in rows:
        print(f"{name}: python -m {line}", flush=True)
    if headline.missing:
        print(f"missing: {headline.missing}", flush=True)
    reproduce.check_disk(headline.stages, folder)
    _check_data(headline, options)
    if not options.dry_run or options.full_size:
        reproduce.check_memory(headline.stages, memory.available())
    data_dir = options.data_dir
    if options.dry_run and not options.full_size:  # compiling small programs takes longer than running them
        os.environ.setdefault(
            "XLA_FLAGS", "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
        )
    for stage in headline.stages:
        if reproduce.is_finished(stage, folder / stage.name):
            print(f"stage {stage.name}: finished before", flush=True)
            continue
        if options.dry_run and headline.data:
            data_dir = folder / f"data_{stage.name}"
            size = 224 if options.full_size and headline.data == "imagenet" else 32
            num_images = reproduce.num_images(stage, options)
            reproduce_data.make(headline.data, data_dir, num_images=num_images, image_size=size)
        module, *words = reproduce.arguments(stage, options, folder, data_dir)
        print(f"stage {stage.name}: python -m launch.{module} {shlex.join(words)}", flush=True)
        if code := importlib.import_module(f"launch.{module}").main(words):
            raise ValueError(f"stage {stage.name} of {values.name} ended with exit code {code}, see above")
    print(f"{'dry run' if options.dry_run else 'stages'} of {values.name} finished: {folder}", flush=True)


def _check_data(headline, options):
    """Raises a `ValueError` if data is missing; a dry run only reports it."""
    try:
        reproduce.check_data(headline.data, options.data_dir)
    except ValueError as error:
        if not options.dry_run:
            raise
        print(f"data missing: {error}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
