"""Turns a published benchmark file into a table file, which opens at once.

  python -m launch.build_table --benchmark=nasbench201 --source=NATS-tss-v1_0-3ffb9-simple --output=nasbench201.table
  python -m launch.build_table --benchmark=digits_convnet --output=digits_convnet.table
  python -m launch.build_table --source=mine.csv --output=mine.table

The first reads a file or folder as published; put the result into the folder that you give other commands as
--data_dir. The second trains every network of the benchmark, for about ten minutes on two cores; started again, it
resumes. The third reads a benchmark of your own, a CSV or npz file with named columns (docs/data.md).
"""

import pathlib
import shutil
import sys
import time
from collections.abc import Sequence

from absl import flags

from common import tables
from common.tables import columns, table
from launch import flags as launch_flags


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit code."""
    return launch_flags.run_main("build_table", __doc__, define, run, argv)


def define(values: flags.FlagValues) -> None:
    """Defines the flags."""
    names = ", ".join(tables.BENCHMARKS)
    flags.DEFINE_string("benchmark", None, f"one of {names}", flag_values=values)
    flags.DEFINE_string("source", None, "file or folder as published, or a CSV or npz file", flag_values=values)
    flags.DEFINE_string("space", None, "search space of a CSV or npz file; default: its columns", flag_values=values)
    flags.DEFINE_string("output", None, f"file to write, with the suffix {table.SUFFIX}", flag_values=values)


def run(values: flags.FlagValues) -> None:
    """Builds the table named by the flags and prints a summary."""
    start = time.perf_counter()
    made = build(benchmark=values.benchmark, source=values.source, output=values.output, space=values.space)
    print(describe(made))
    size = pathlib.Path(values.output).stat().st_size
    print(f"{values.output}: {size:,} bytes, built in {time.perf_counter() - start:.1f} seconds")


def build(*, benchmark: str | None, source: str | None, output: str | None, space: str | None = None) -> table.Table:
    """Reads a table, or trains it if it is the one that ships with the package, and saves it.

    Args:
      benchmark: a key of `tables.BENCHMARKS`; None for a file of the user's own.
      source: a file or folder as published, or a file of `common.tables.columns`; None for a benchmark that is trained.
      output: the file to write, with the suffix `.table`.
      space: the name of the space of a user's own file.

    Raises:
      ValueError: if an argument is missing or not allowed, or the source is damaged.
    """
    if not output or pathlib.Path(output).suffix != table.SUFFIX:
        raise ValueError(f"give --output, a file such as {benchmark or 'mine'}{table.SUFFIX}; got {output!r}")
    path = pathlib.Path(output)
    made = _read(benchmark, source, space, path)
    try:
        table.save(path, made)
    except OSError as error:
        raise ValueError(f"cannot write {path}: {error.strerror}") from error
    return made


def _read(benchmark, source, space, path):
    if not benchmark and source and source.endswith(columns.SUFFIXES):
        return columns.read(source, space)
    names = ", ".join(sorted(tables.BENCHMARKS))
    if not benchmark:
        raise ValueError(f"give --benchmark, one of {names}, or a CSV or npz file of your own as --source")
    if space:
        raise ValueError(f"leave --space={space} out: the space of {benchmark} is known")
    if benchmark not in tables.BENCHMARKS:
        raise ValueError(f"unknown benchmark {benchmark!r}; choose one of {names}")
    known = tables.BENCHMARKS[benchmark]
    if known.read is None:
        if source:
            raise ValueError(f"{benchmark} is trained, not read; leave --source={source} out")
        return _train(path)
    if not source:
        raise ValueError(f"give --source, the file or folder {' or '.join(known.sources)} from {known.origin}")
    return known.read(pathlib.Path(source))


def describe(made: table.Table) -> str:
    """Returns a text for people: the number of rows, and the best mean of each metric that can be searched."""
    lines = [f"{made.info.benchmark}: {len(made.archs):,} architectures of the space {made.info.space}"]
    for dataset, metrics in made.info.datasets.items():
        best = (
            f"best {role} {100 * table.mean(made, metrics[role]).max():.3f} %" for role in metrics if role != "cost"
        )
        lines.append(f"  {dataset}: {', '.join(best)}")
    lines.append(f"  from {made.info.source}")
    if made.info.notes:
        lines.append(f"  {made.info.notes}")
    return "\n".join(lines)


def _train(path):
    from common.runs import digits_convnet  # imports scikit-learn, which no other benchmark needs

    chunk_dir = path.with_suffix(".partial")
    made = digits_convnet.train_table(chunk_dir)
    shutil.rmtree(chunk_dir, ignore_errors=True)
    return made


if __name__ == "__main__":
    sys.exit(main())
