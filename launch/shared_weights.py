"""Searches on shared weights: their flags, and a search on weights that are trained first.

In the folder of the run: supernet/ (a folder as of launch.train_supernet), best.json (the genotype that was found,
for launch.train --genotype=...), finalists.json (the best few, trained for a short time), and the files of a search.
"""

import dataclasses
import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np
from absl import flags

from common import history as history_lib
from common import types
from common.records import run_dir
from common.runs import weight_sharing
from common.supernets import config as supernet_config
from launch import flags as launch_flags
from launch import proxy, single

SUPERNET = proxy.SUPERNET
DATASET = "digits"
_POOL_SIZE = 1000  # as published
_TRAIN, _SCORE = "supernet_", "score_"


@dataclasses.dataclass(frozen=True)
class Settings:
    """What a search is, for the record of the run."""

    searcher: Any
    shared_weights: dict[str, Any]


def define(values: flags.FlagValues, *, has_schedules: bool = False) -> None:
    """Defines the flags; before those of `proxy`."""

    def define(name, default, text, of=flags.DEFINE_string):
        of(name, default, text, flag_values=values)

    define(SUPERNET, None, "of evaluator supernet: workdir of launch.train_supernet; by default weights are trained")
    note = "evaluator supernet"
    launch_flags.define(values, supernet_config.Training(), prefix=_TRAIN, note=note)
    launch_flags.define(values, supernet_config.Scoring(), prefix=_SCORE, note=note)
    define(
        "rerank", 0, "of evaluator supernet: how many of the best are trained as of --proxy_...", flags.DEFINE_integer
    )
    if has_schedules:
        text = f"of evaluator supernet: train while a pool is searched, as {', '.join(weight_sharing.SCHEDULES)}"
        define("schedule", None, f"{text}; --num_initial, --num_new and --num_random count for the pool too")
        define("num_blocks", None, "of --schedule: blocks of training", flags.DEFINE_integer)


def is_asked_for(values: flags.FlagValues) -> bool:
    """Returns whether fitness is to come from shared weights.

    Raises:
      ValueError: flags are given that do not suit each other.
    """
    proxy.is_asked_for(values)
    return values.evaluator == SUPERNET


def check(values: flags.FlagValues) -> None:
    """Raises a `ValueError` for the first flag that makes no sense."""
    launch_flags.check_search(values)
    if values.rerank < 0:
        raise ValueError(f"--rerank must be at least 0; got {values.rerank}")
    if values.supernet:
        for flag in values:
            if flag.startswith(_TRAIN) and not values[flag].using_default_value:
                raise ValueError(
                    f"--{flag} is of training shared weights, and --supernet has trained ones; leave it out"
                )
    score_config(values)


def run(
    values: flags.FlagValues,
    *,
    space: str,
    command: str,
    algorithm: str,
    config: Any,
    make_searcher: Callable[[types.SearchSpace], types.Searcher],
    refine: Callable[..., types.Evaluator] | None = None,
) -> None:
    """Trains shared weights where none are given, searches on them, and trains the best few for a short time.

    Args:
      values: the flags.
      space: that is searched if --space and --supernet say nothing.
      command: the name of the command.
      algorithm: the name of the algorithm.
      config: its settings.
      make_searcher: space -> searcher.
      refine: (values, run, parameters, folder) -> the evaluator, where it is not that on the shared weights.

    Raises:
      ValueError: the flags do not suit each other, or the folder is of another search.
    """
    from common.supernets import scoring as scores  # flax, which takes a second to import
    from common.supernets import training as supernet
    from launch import finalists

    check(values)
    single.prepare(values)
    made = None if values.supernet else training_run(values, values.space or space)
    folder = workdir(values, algorithm)
    where = trained(values, made, folder)
    weights, params = supernet.load(where, values.data_dir)
    about = weights.about
    if refine is not None:
        evaluator = refine(values, weights, params, folder)
    else:
        settings = dataclasses.asdict(score_config(values))
        evaluator = scores.evaluator(where, data_dir=values.data_dir, protocol=values.protocol, **settings)
    result = single.search_with(
        values,
        evaluator,
        command=command,
        algorithm=algorithm,
        config=Settings(config, dict(about)),
        make_searcher=make_searcher,
        folder=folder,
    )
    if result["best"] is not None:
        history, _ = run_dir.read_history(folder / run_dir.HISTORY)
        archs, fitness = ranked(history)
        finalists.run(values, about, folder, evaluator.space, archs, fitness)


def trained(values: flags.FlagValues, made: Any, folder: pathlib.Path) -> pathlib.Path:
    """Returns the folder of trained shared weights: that of --supernet, or SUPERNET in `folder`, trained here.

    Args:
      values: the flags.
      made: of `training_run`; None with --supernet.
      folder: of the search.

    Raises:
      ValueError: those of --supernet are not trained to the end, or of another space.
    """
    from common.supernets import training as supernet
    from launch import supernet_run

    if made is None:
        space = supernet.load(values.supernet, values.data_dir)[0].space.name
        if values.space not in (None, space):
            raise ValueError(f"the shared weights in {values.supernet} are of {space}; got --space={values.space}")
        return pathlib.Path(values.supernet)
    draw = made.draw()
    with supernet_run.Training(made, folder / SUPERNET) as training:
        training.train(draw, made.num_steps)
    return folder / SUPERNET


def workdir(values: flags.FlagValues, algorithm: str) -> pathlib.Path:
    """Returns the folder of the run, and says it."""
    folder = run_dir.create(values.workdir, command=algorithm, benchmark=pathlib.Path(values.dataset or DATASET).stem)
    print(f"workdir: {folder}", flush=True)
    return folder


def ranked(history: history_lib.History) -> tuple[np.ndarray, np.ndarray]:
    """Returns (int32[R, L], float32[R]) of what was measured, best first; of equal ones the earlier."""
    measured = np.flatnonzero(np.asarray(history.status) == types.MEASURED)
    fitness = np.asarray(history.fitness)[measured]
    best = np.argsort(-fitness, kind="stable")
    return np.asarray(history.archs)[measured][best], fitness[best]


def score_config(values: flags.FlagValues) -> supernet_config.Scoring:
    """Returns the scoring config."""
    return launch_flags.read(values, supernet_config.Scoring(), prefix=_SCORE)


def training_run(
    values: flags.FlagValues,
    space: str,
    *,
    change: Callable[[Any], Any] = lambda training: training,
    pool_size: int | None = None,
) -> Any:
    """Returns the training of shared weights that the flags name, a `supernet.Run`.

    Args:
      values: the flags.
      space: of the architectures.
      change: of the settings of the training.
      pool_size: where a search has a pool, that of the first.
    """
    from common.datasets import images
    from common.supernets import training as supernet
    from launch import supernet_run

    settings = launch_flags.read(values, supernet_config.Training(), prefix=_TRAIN)
    given = {name: value for name, value in dataclasses.asdict(settings).items() if value is not None}
    dataset = images.load(values.dataset or DATASET, values.data_dir)
    network = {name: given[name] for name in ("num_cells", "width") if name in given}
    preset = supernet_run.settings(space, values.supernet_preset, dataset, **network)
    training, draws = preset.training, preset.draws
    training = dataclasses.replace(training, **{n: given[n] for n in ("num_epochs", "batch_size") if n in given})
    if "learning_rate" in given:
        schedule = dataclasses.replace(training.optimizer.schedule, learning_rate=given["learning_rate"])
        training = dataclasses.replace(training, optimizer=dataclasses.replace(training.optimizer, schedule=schedule))
    sampling = given.get("sampling", draws.sampling)
    if pool_size is None:
        pool_size = {"fair": 0, "num_params": draws.pool_size or _POOL_SIZE}.get(sampling, draws.pool_size)
    draws = dataclasses.replace(draws, sampling=sampling, pool_size=pool_size)
    about = supernet.describe(
        space,
        values.dataset or DATASET,
        network=preset.network,
        training=change(training),
        augmentation=preset.augmentation,
        draws=draws,
        held_out=given.get("held_out"),
        num_images=given.get("num_images"),
        seed=values.seed,
    )
    return supernet.build(about, values.data_dir)
