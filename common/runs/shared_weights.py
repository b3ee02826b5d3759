"""Shared weights of a run: trained ones, or trained in its folder; and weights of regions that start from them."""

import pathlib
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal, NamedTuple

import jax
import numpy as np

from common import compilation, types
from common import config as configs
from common.datasets import images
from common.evaluators import problem, training_config
from common.records import run_dir
from common.runs import weight_sharing
from common.spaces import limits
from common.supernets import config as supernet_config
from common.supernets import presets, scoring, training, training_folder
from common.training import latency as latencies
from common.training import sharding
from common.training import state as states

SUPERNET = "supernet"
DATASET = "digits"
_NUM_SCORED = 16  # random architectures whose accuracies show how good the weights are

# (region, its pool int32[P, L], a number that identifies the regions, epochs) -> the evaluator on its weights
TrainRegion = Callable[[int, np.ndarray, int, int], types.Evaluator]


@configs.dataclass
class Settings(training_config.Rerank):
    """Shared weights of a search."""

    weights: Annotated[str | None, "folder of trained shared weights; None: they are trained in the run"] = None
    space: Annotated[str | None, "search space; None: that of the weights"] = None
    dataset: Annotated[str | None, f"dataset to train on; None: {DATASET}"] = None
    data_dir: Annotated[str | None, "folder of the datasets"] = None
    protocol: Annotated[Literal[scoring.PROTOCOLS], "images that give the fitness"] = "validation"
    training: Annotated[supernet_config.Training, "training of the weights"] = supernet_config.Training()
    scoring: Annotated[supernet_config.Scoring, "scoring of architectures"] = supernet_config.Scoring()
    measured: problem.Measured = ()
    latency: Annotated[latencies.Config, "measurement of the latency of the stand-alone network"] = latencies.Config()
    limit: problem.Limit = ()
    finalists: Annotated[training_config.Config, "training of the best"] = training_config.Config()


class Weights(NamedTuple):
    """Shared weights.

    Attributes:
      run: the training.
      params: the trained parameters; None: they are still to be trained.
      folder: of the training; None likewise.
    """

    run: training.Run
    params: Any = None
    folder: pathlib.Path | None = None


def searched_space(settings: Settings, run: training.Run) -> types.SearchSpace:
    """Returns the part of the training's space within the known costs of `settings.limit`.

    Raises:
      ValueError: it is empty, or a cost is unknown.
    """
    return limits.part(run.space, _limits(settings, run)[0], run.costs)


def _limits(settings, run):
    """Returns the limits on known costs and on measured ones."""
    return limits.split(limits.parse(settings.limit), run.costs, latencies.NAMES if settings.measured else ())


def evaluator(settings: Settings, weights: Weights, space: types.SearchSpace) -> types.Evaluator:
    """Returns the evaluator of a search of `space` on trained weights."""
    made = scoring.of(
        weights.run,
        weights.params,
        settings.scoring,
        protocol=settings.protocol,
        folder=weights.folder,
        data_dir=settings.data_dir,
        latency=settings.latency if settings.measured else None,
    )
    made = problem.within(made, _limits(settings, weights.run)[1])
    return made._replace(space=space, limits=limits.texts(settings.limit))


def prepared(settings: Settings, *, seed: int, schedule: weight_sharing.Schedule | None = None) -> Weights:
    """Returns the trained weights that the settings name, or else weights that are still to be trained.

    Args:
      settings: the settings; `space` is given unless `weights` are.
      seed: determines all random numbers.
      schedule: of the pool to train on, if a search provides one.

    Raises:
      ValueError: the space has no network with shared weights, the settings do not fit together, or the weights named
        are not fully trained or belong to another space.
    """
    if settings.weights:
        run, params = training.load(settings.weights, settings.data_dir)
        if settings.space not in (None, run.space.name):
            raise ValueError(
                f"the shared weights in {settings.weights} are of {run.space.name}; got --space={settings.space}"
            )
        return Weights(run, params, pathlib.Path(settings.weights))
    dataset, changes = settings.dataset or DATASET, settings.training
    images.report(loaded := images.load(dataset, settings.data_dir))
    renewal = {}
    if schedule is not None:
        renewal = {name: getattr(schedule, name) for name in ("num_blocks", "restarts")}
        renewal["pool_size"] = schedule.num_initial
    preset = presets.adapted(changes, settings.space, num_classes=loaded.num_classes, **renewal)
    about = training.describe(
        settings.space, dataset, preset, held_out=changes.held_out, num_images=changes.num_images, seed=seed
    )
    return Weights(training.build(about, settings.data_dir))


def trained(weights: Weights, folder: pathlib.Path) -> Weights:
    """Returns the weights, trained in the folder of a run, which resumes, if they are not trained yet.

    Raises:
      ValueError: training diverged, or the folder belongs to another training.
    """
    if weights.params is not None:
        return weights
    with training_folder.opened(weights.run, folder / SUPERNET) as opened:
        state = opened.train(weights.run.draw())
    return Weights(weights.run, states.averaged(state)["params"], folder / SUPERNET)


@compilation.in_32_bits
def train(
    about: Mapping[str, Any],
    workdir: str | None = None,
    *,
    data_dir: str | None = None,
    pace: supernet_config.Pace | None = None,
    flags: Mapping[str, Any] | None = None,
    params: Any | None = None,
) -> tuple[dict[str, Any], pathlib.Path]:
    """Trains shared weights in a folder of their own, or resumes, and returns (its result.json, the folder).

    Args:
      about: the record of the training, see `training.describe`.
      workdir: the folder; None: a fresh one under runs/.
      pace: intervals of evaluations and checkpoints.
      flags: all settings by flag name, for config.json.
      params: trained parameters, which are saved without training; None: they are trained.

    Raises:
      ValueError: the settings do not fit together, the folder belongs to another training, or training diverged.
    """
    run = training.build(about, data_dir)
    draw = run.draw()
    sharding.over((pace or supernet_config.Pace()).num_devices)  # raises before anything is made
    folder = run_dir.create(workdir, command="train_supernet", benchmark=run.space.name)
    run_dir.check_command(folder, "train_supernet")
    with training_folder.opened(run, folder, pace, first=params) as opened:
        record = {"command": "train_supernet", "flags": dict(flags or {}), **about}
        run_dir.write_config(folder, record)
        state = opened.train(draw) if params is None else opened.skip()
        result = _result(run, state.params, seconds=opened.seconds, rate=opened.images_per_second)
    run_dir.write_json(folder / run_dir.RESULT, result)
    return result, folder


def region_trainer(settings: Settings, weights: Weights, folder: pathlib.Path) -> TrainRegion:
    """Returns the function that trains weights of a region, from those of the whole space, in a folder of its own."""

    def train(region, pool, regions, epochs):
        about = _about_region(weights.run, region=region, regions=regions, epochs=epochs)
        run = training.build(about, settings.data_dir)
        print(f"weights of region {region}", flush=True)
        with training_folder.opened(run, folder / f"region_{region}", first=weights.params) as opened:
            state = opened.train(run.draw(pool))
        return scoring.of(run, state.params, settings.scoring, protocol=settings.protocol)

    return train


def _about_region(run, *, region, regions, epochs):
    """Returns the record of the training of a region: that of the whole space, over a cosine of its own."""
    values = {
        "num_epochs": epochs,
        "schedule": "cosine",
        "learning_rate": 0.1 * run.config.optimizer.schedule.learning_rate,  # lower: the weights are good already
        "final_learning_rate": 0.0,
        "period_epochs": 0,
        "progress_restarts": False,
        "progress_epochs": 0,
    }
    about = dict(run.about) | {"training": configs.to_json(configs.replace(run.config, values))}
    if run.draws.sampling == "growing":  # these weights are trained already
        about["draws"] = about["draws"] | {"sampling": "uniform"}
    return about | {"region": region, "regions": regions}


def _result(run, params, *, seconds, rate):
    """Returns the content of result.json of a training of shared weights."""
    archs = run.space.sample(jax.random.key(1), _NUM_SCORED)
    evaluator = scoring.of(run, params)
    parts = {
        part: measure(jax.random.key(0), archs)
        for part, measure in (("validation", evaluator.evaluate), ("test", evaluator.test))
    }
    again = evaluator.evaluate(jax.random.key(0), archs)  # compiled by now
    return {
        "space": run.space.name,
        "dataset": run.about["dataset"],
        "seed": run.about["seed"],
        "steps": run.num_steps,
        "epochs": run.config.num_epochs,
        "parameters": sum(leaf.size for leaf in jax.tree.leaves(params)),
        "architectures_scored": _NUM_SCORED,
        **{
            part: {"mean": float(found.fitness.mean()), "best": float(found.fitness.max()), "ok": int(found.ok.sum())}
            for part, found in parts.items()
        },
        "seconds": round(seconds, 3),
        "images_per_second": rate,
        "architectures_per_second": round(1 / float(again.cost[0]), 1),
    }
