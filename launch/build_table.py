"""Converts a published benchmark file, or one of your own, to a table file, which loads fast.

  python -m launch.build_table --benchmark=nasbench201 --source=NATS-tss-v1_0-3ffb9-simple --output=nasbench201.table
  python -m launch.build_table --benchmark=digits_convnet --output=digits_convnet.table
  python -m launch.build_table --source=mine.csv --output=mine.table

The first reads a file or folder as published; put the result into the --data_dir of other commands. The second trains
every network of the benchmark, for about ten minutes on two cores; started again, it resumes. The third reads a
benchmark of your own, a CSV or npz file with named columns (docs/data.md).
"""

import pathlib
import sys
import time
from collections.abc import Sequence

from absl import flags

from common import tables
from common.runs import build_table
from common.tables import table
from launch import commands


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit code."""
    return commands.run_main("build_table", __doc__, define, run, argv)


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
    replaced = ", replaces the file there was" if values.output and pathlib.Path(values.output).exists() else ""
    made = build_table.build(benchmark=values.benchmark, source=values.source, output=values.output, space=values.space)
    print(_describe(made))
    size = pathlib.Path(values.output).stat().st_size
    print(f"{values.output}: {size:,} bytes, built in {time.perf_counter() - start:.1f} seconds{replaced}")


def _describe(made: table.Table) -> str:
    """Returns the number of rows, and the best mean of each metric that can be searched."""
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


if __name__ == "__main__":
    sys.exit(main())
