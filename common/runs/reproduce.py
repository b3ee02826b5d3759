"""Plans, checks and runs of the headline results of the papers, see `reproduce_headlines`."""

import dataclasses
import os
import pathlib
import shlex
import shutil
from collections.abc import Callable, Sequence
from typing import Annotated

from common import config as configs
from common import exit_codes, paths, tables
from common.datasets import prepared, text
from common.genotypes import conversion, json_text
from common.records import json_files, run_dir
from common.runs import reproduce_data
from common.runs import reproduce_headlines as headlines
from common.training import memory

PEAK, UTILIZATION = 989e12, 0.4  # bfloat16 operations a second of an H200, and the share of them that is assumed
STEP_SECONDS = 0.01  # at least; a step of these networks starts some thousand kernels


@configs.dataclass
class Options:
    """Stages, folders and dry run."""

    stages: Annotated[tuple[str, ...], "stages to run, in the order of the plan; default: all"] = ()
    data_dir: Annotated[str | None, "folder of datasets, corpora and benchmarks; default: $NAS_DATA_DIR"] = None
    workdir: Annotated[str | None, "folder of the stages' runs, to start or to resume; default: runs/NAME"] = None
    dry_run: Annotated[bool, "check data and disk, and take two steps of every stage on synthetic data"] = False
    full_size: Annotated[bool, "dry run: networks and batches of full size, for a device with their memory"] = False

    def __post_init__(self):
        configs.require((self.dry_run or not self.full_size, "full_size needs dry_run; other runs are of full size"))


def get(name: str, stages: Sequence[str] = ()) -> headlines.Headline:
    """Returns a headline, restricted to some of its stages.

    Raises:
      ValueError: there is no such headline or stage.
    """
    configs.one_of("headline", name, headlines.HEADLINES)
    found = headlines.HEADLINES[name]
    for stage in stages:
        configs.one_of(f"stage of {name}", stage, [one.name for one in found.stages])
    return dataclasses.replace(found, stages=tuple(one for one in found.stages if not stages or one.name in stages))


def run(name: str, options: Options, call: Callable[[str, list[str]], int]) -> pathlib.Path:
    """Runs the stages of a headline that are not finished; returns the folder of their runs.

    Args:
      call: (module of `launch`, its flags) -> exit code.

    Raises:
      ValueError: data is missing (which a dry run only reports), disk or memory is too small, or a stage failed.
      KeyboardInterrupt: a stage was interrupted.
    """
    headline = get(name, options.stages)
    folder = paths.path(options.workdir or f"runs/{name}{'-dry' if options.dry_run else ''}").absolute()
    check_disk(headline.stages, folder)
    try:
        check_data(headline.data, options.data_dir)
    except ValueError as error:
        if not options.dry_run:
            raise
        print(f"data missing: {error}", flush=True)
    if not options.dry_run or options.full_size:
        check_memory(headline.stages, memory.available())
    data_dir = options.data_dir
    if options.dry_run and not options.full_size:  # compiling small programs takes longer than running them
        os.environ.setdefault(
            "XLA_FLAGS", "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
        )
    for stage in headline.stages:
        if is_finished(stage, folder / stage.name):
            print(f"stage {stage.name}: finished before", flush=True)
            continue
        if options.dry_run and headline.data:
            data_dir = folder / f"data_{stage.name}"
            size = 224 if options.full_size and headline.data == "imagenet" else 32
            reproduce_data.make(headline.data, data_dir, num_images=num_images(stage, options), image_size=size)
        module, *words = arguments(stage, options, folder, data_dir)
        print(f"stage {stage.name}: python -m launch.{module} {shlex.join(words)}", flush=True)
        if (code := call(module, words)) == exit_codes.INTERRUPTED:
            raise KeyboardInterrupt
        if code:
            raise ValueError(f"stage {stage.name} of {name} ended with exit code {code}, see above")
    return folder


def hours(stage: headlines.Stage, num_devices: int = 1) -> float:
    """Returns the hours that a stage takes on H200, of which each does an equal share of the operations.

    It is the larger one of the time of the operations at `UTILIZATION` and of the steps at `STEP_SECONDS`.
    """
    computing = stage.operations / (PEAK * UTILIZATION * num_devices)
    starting = stage.steps * STEP_SECONDS / (num_devices if stage.is_divisible else 1)
    return max(computing, starting) / 3600


def rows(headline: headlines.Headline) -> list[tuple[str, ...]]:
    """Returns texts for each stage: name, command, operations, steps, hours on one H200 and on eight, memory, disk."""

    def costs(stage):
        if stage.note:
            return "", "", stage.note, ""
        found = [hours(stage, num_devices) for num_devices in (1, 8)]
        return f"{stage.operations:.2g}", f"{stage.steps:,}", *(f"{value:,.{int(value < 10)}f}" for value in found)

    return [
        (stage.name, f"launch.{stage.command}", *costs(stage), f"{stage.memory:.0f}", f"{stage.disk:.0f}")
        for stage in headline.stages
    ]


def check_data(name: str, data_dir: str | os.PathLike | None) -> None:
    """Raises a `ValueError` that says how to get the data of a headline if it is not in `data_dir`."""
    if name in prepared.SOURCES:
        prepared.find(name, data_dir)
    elif name in text.FILES:
        text.load(name, data_dir)
    elif name:
        tables.find_source(name, data_dir)


def check_disk(stages: Sequence[headlines.Stage], folder: str | os.PathLike) -> None:
    """Raises a `ValueError` if the disk of a folder that may not exist yet has too little room for stages."""
    folder = paths.path(folder).absolute()
    there = next(path for path in (folder, *folder.parents) if path.exists())
    needed, free = sum(stage.disk for stage in stages), shutil.disk_usage(there).free / 2**30
    if free < needed:
        raise ValueError(
            f"{folder} needs {needed:.0f} GiB for its runs, and its disk has {free:.1f} GiB left; make room, give "
            "another --workdir, or fewer --stages"
        )


def check_memory(stages: Sequence[headlines.Stage], limit: int | None) -> None:
    """Raises a `ValueError` if a stage needs more than `limit` bytes of a device; None: unknown."""
    for stage in stages:
        if limit is not None and stage.memory * 2**30 > limit:
            raise ValueError(
                f"stage {stage.name} needs about {stage.memory:.0f} GiB of the device, which has {limit / 2**30:.0f} "
                f"GiB: run `python -m launch.{stage.command}` with --remat, --dtype=bfloat16 or a smaller batch"
            )


def num_images(stage: headlines.Stage, options: Options) -> int:
    """Returns the training images with which an epoch of a dry run of a stage has two steps."""
    held_out = headlines.HELD_OUT if stage.name in ("search", "weights") else 0
    return 2 * (stage.batch if options.full_size else headlines.SMALL_BATCH) + held_out


def is_finished(stage: headlines.Stage, folder: pathlib.Path) -> bool:
    """Returns whether the folder of a stage has its results, of a search the genotype, which comes last."""
    names = (run_dir.BEST,) if stage.name == "search" else (run_dir.RESULT, run_dir.STUDY)
    return any((folder / name).is_file() for name in names)


def arguments(stage: headlines.Stage, options: Options, folder: pathlib.Path, data_dir: str | None) -> list[str]:
    """Returns the words of a stage's command: the module of `launch`, then its flags.

    Args:
      options: whether it is a dry run, and of what size.
      folder: of all stages, which have a folder each in it.

    Raises:
      ValueError: it needs the architecture of a search that is not finished.
    """
    places = {"data_dir": data_dir, "weights": folder / "weights"}
    if "{search}" in stage.command:
        places["search"] = found(folder / "search")
    words = [word.format(**places) for word in stage.command.split()]
    if options.dry_run:
        words += stage.dry.split() + ([] if options.full_size else stage.small.split())
    if data_dir is not None:
        words.append(f"--data_dir={data_dir}")
    return [*words, f"--workdir={folder / stage.name}"]


def found(folder: pathlib.Path) -> pathlib.Path:
    """Returns the file of the genotype that the search in a folder found; writes it if the search did not.

    Raises:
      ValueError: the search is not finished.
    """
    path = folder / run_dir.BEST
    if path.is_file():
        return path
    config, result = json_files.read(folder / run_dir.CONFIG) or {}, json_files.read(folder / run_dir.RESULT) or {}
    if not result.get("best") or "space" not in config:  # searches on shared weights write it themselves, last
        raise ValueError(f"{folder} holds no finished search with an architecture; run the stage search first")
    run_dir.write_text(path, json_text.to_text(conversion.from_arch(config["space"], result["best"]["arch"])))
    return path
