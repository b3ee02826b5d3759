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
import sys
from collections.abc import Sequence

from absl import flags

from common import config as configs
from common import exit_codes
from common.report import console
from common.runs import reproduce, reproduce_headlines
from launch import commands


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    if words and not words[0].startswith("-"):
        words[0] = f"--name={words[0]}"
    code = commands.run_main("reproduce", __doc__, define, run, words)
    return exit_codes.ended(code) if argv is None else code


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
    rows = reproduce.rows(headline)
    header = ("stage", "operations", "steps", "hours, 1 H200", "8 H200", "memory GiB", "disk GiB")
    print(f"{values.name}: {headline.title}; published: {headline.published}", flush=True)
    console.show("plan", header, [(name, *costs) for name, _, *costs in rows])
    for name, line, *_ in rows:
        print(f"{name}: python -m {line}", flush=True)
    if headline.missing:
        print(f"missing: {headline.missing}", flush=True)
    folder = reproduce.run(
        values.name, options, lambda module, words: importlib.import_module(f"launch.{module}").main(words)
    )
    print(f"{'dry run' if options.dry_run else 'stages'} of {values.name} finished: {folder}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
