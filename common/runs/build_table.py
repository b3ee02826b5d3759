"""Builds a table file from a published or a user's own benchmark file, or by training."""

import contextlib
import pathlib

from common import config as configs
from common import tables
from common.runs import digits_convnet
from common.tables import column_files, columns, table


def build(*, benchmark: str | None, source: str | None, output: str | None, space: str | None = None) -> table.Table:
    """Reads a table, or trains the one that ships with the package, and saves it.

    Args:
      benchmark: a key of `tables.BENCHMARKS`; None for a user's own file.
      source: a file or folder as published, or a file of `common.tables.columns`; None to train.
      output: the file to write, with the suffix `.table`.
      space: the name of the space of a user's own file.

    Raises:
      ValueError: if an argument is missing or not allowed, or the source is damaged.
    """
    if not output or pathlib.Path(output).suffix != table.SUFFIX:
        raise ValueError(f"give --output, a file such as {benchmark or 'mine'}{table.SUFFIX}; got {output!r}")
    path = pathlib.Path(output)
    partial = path.with_suffix(".partial")
    made = _read(benchmark, source, space, partial)
    try:
        table.save(path, made)
    except OSError as error:
        raise ValueError(f"cannot write {path}: {error.strerror}") from error
    if not source:  # trained: its partial results are of no more use, other files are not ours
        for chunk in partial.glob(digits_convnet.CHUNKS):
            chunk.unlink()
        with contextlib.suppress(OSError):
            partial.rmdir()
    return made


def _read(benchmark, source, space, partial):
    if not benchmark and source and source.endswith(column_files.SUFFIXES):
        return columns.read(source, space)
    names = ", ".join(sorted(tables.BENCHMARKS))
    if not benchmark:
        raise ValueError(f"give --benchmark, one of {names}, or a CSV or npz file of your own as --source")
    if space:
        raise ValueError(f"leave --space={space} out: the space of {benchmark} is known")
    configs.one_of("benchmark", benchmark, sorted(tables.BENCHMARKS))
    known = tables.BENCHMARKS[benchmark]
    if known.read:
        if not source:
            raise ValueError(f"give --source, the file or folder {' or '.join(known.sources)} from {known.origin}")
        return known.read(pathlib.Path(source))
    if source:
        raise ValueError(f"{benchmark} is trained, not read; leave --source={source} out")
    return digits_convnet.train_table(partial)
