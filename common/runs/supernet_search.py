"""Searches on shared weights, which are trained first, or on a pool that the search renews (NAO-WS).

In the folder of a run: supernet/ (the training of the weights), best.json (the genotype found, for launch.train
--genotype=...), finalists.json (the best few, trained for a short time), and the files of a search.
"""

import dataclasses
import functools
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from common import compilation, types
from common import config as configs
from common import objectives as objectives_lib
from common.evaluators import training as training_evaluator
from common.evaluators import training_problem
from common.genotypes import conversion, json_text
from common.records import run_dir
from common.runs import finalists, fronts, halving, population, shared_weights, weight_sharing
from common.runs import search as searches
from common.supernets import config as supernet_config
from common.supernets import scoring, training_folder
from common.training import latency

MakeSearcher = Callable[..., types.Searcher]


class Found(NamedTuple):
    """Result of a search.

    Attributes:
      result: the content of result.json.
      folder: of the run.
      finalists: the best few, if they were trained.
      best: file of the genotype found; None if nothing could be evaluated.
    """

    result: dict[str, Any]
    folder: pathlib.Path
    finalists: list[finalists.Finalist]
    best: pathlib.Path | None


@compilation.in_32_bits
def search(
    settings: shared_weights.Settings,
    options: searches.Options,
    searcher: MakeSearcher,
    *,
    command: str,
    algorithm: str,
    config: Any,
    refine: Callable[[types.Evaluator, shared_weights.TrainRegion, pathlib.Path], types.Evaluator] | None = None,
    objectives: Sequence[str] = ("fitness",),
    flags: Mapping[str, Any] | None = None,
) -> Found:
    """Searches on shared weights, and trains the best few for a short time.

    Args:
      settings: of the shared weights.
      searcher: (space, objectives=`objectives.Objectives`) -> the search algorithm.
      command: name of the command, for config.json.
      algorithm: name of the algorithm, in the journal's header as is `config`.
      config: settings of the algorithm, a dataclass.
      refine: (evaluator on the shared weights, trainer of a region's weights, folder) -> the evaluator to search on,
        such as `lanas_jax.few_shot.evaluator`; None: that on the shared weights.
      objectives: such as ("fitness", "-params"); of several, those trained at the end are spread along the front.
      flags: all settings by flag name, for config.json.

    Raises:
      ValueError: the settings do not fit together, or the folder belongs to another search.
    """
    if refine is not None and options.executor != "inline":
        raise ValueError("weights of regions are in this process; use executor inline (--executor=inline)")
    if refine is not None and settings.measured:
        raise ValueError("searches on weights of regions measure no latency; leave it out of limits and objectives")
    stops = _stops(settings, objectives)
    weights = shared_weights.prepared(settings, seed=options.seed)
    scored = weights.run.template().params if weights.params is None else weights.params
    shared_weights.evaluator(settings, weights._replace(params=scored), weights.run.space)  # raises before any training
    sampling = weights.run.draws.sampling
    if refine is not None and sampling in supernet_config.WHOLE_SPACE:
        text = f"weights of regions are trained on pools, which sampling {sampling!r} does not allow"
        raise ValueError(f"{text}; train shared weights with another, such as uniform")
    space = shared_weights.searched_space(settings, weights.run)
    measured = latency.NAMES if settings.measured else ()
    chosen = objectives_lib.among(objectives, weights.run.costs, measured)
    tried = searches.warmed_up(searcher(space, objectives=chosen), space, weights.run.costs, options)
    searches.check(options, tried, space, folder=options.workdir)
    folder = _folder(settings, options, algorithm)
    own = None if settings.weights else folder / shared_weights.SUPERNET
    searches.check_folder(folder, command, weights=own)  # before anything is trained
    weights = shared_weights.trained(weights, folder)
    evaluator = shared_weights.evaluator(settings, weights, space)
    if refine is not None:
        evaluator = refine(evaluator, shared_weights.region_trainer(settings, weights, folder), folder)
    about = dict(weights.run.about)
    result = searches.run(
        evaluator,
        searcher(evaluator.space, objectives=chosen),
        options,
        command=command,
        algorithm=algorithm,
        config={"searcher": dataclasses.asdict(config), "shared_weights": about},
        folder=folder,
        flags=flags,
    )
    best = fronts.ranked(folder, settings.rerank) if len(chosen) > 1 else searches.ranked(folder)
    return _finish(settings, about, folder, result, *best, stops=stops, seed=options.seed)


@compilation.in_32_bits
def search_pool(
    settings: shared_weights.Settings,
    options: searches.Options,
    schedule: weight_sharing.Schedule,
    searcher: MakeSearcher,
    *,
    schedule_name: str,
    command: str,
    algorithm: str,
    config: Any,
    flags: Mapping[str, Any] | None = None,
) -> Found:
    """Searches while the shared weights train on a pool that is renewed, and trains the best few for a short time.

    Args and errors are those of `search`, with these differences:
      settings: name no trained weights.
      options: only `seed` and `workdir` are used.
      schedule: of the pool.
      searcher: see `population.renewing`.
      schedule_name: for result.json.
    """
    if settings.weights:
        raise ValueError(f"a search on a renewed pool trains its own weights; leave out those in {settings.weights}")
    stops = _stops(settings)
    run = shared_weights.prepared(settings, seed=options.seed, schedule=schedule).run
    evaluator = functools.partial(scoring.of, run, config=settings.scoring, protocol=settings.protocol)
    evaluator(run.template().params)  # raises before anything is made if nothing can be scored so
    made, about, length = searcher(run.space), dict(run.about), run.num_steps // schedule.num_blocks
    folder = _folder(settings, options, algorithm)
    population.check_folder(folder, command)
    record = {"algorithm": algorithm, "config": dataclasses.asdict(config), "schedule": dataclasses.asdict(schedule)}
    record |= {"shared_weights": about, "score": dataclasses.asdict(settings.scoring), "protocol": settings.protocol}
    record = {"command": command, "flags": dict(flags or configs.to_json(options)), **record}
    with training_folder.opened(run, folder / shared_weights.SUPERNET) as opened:
        result, found = population.run(
            run.space,
            made,
            lambda key, state, archs, block: opened.train(run.draw(archs), (block + 1) * length),
            lambda state: evaluator(state.params),
            opened.state,
            schedule,
            folder,
            record,
            seed=options.seed,
            name=schedule_name,
        )
    return _finish(settings, about, folder, result, found.archs, found.scores, stops=stops, seed=options.seed)


def _stops(settings, objectives=("fitness",)):
    """Returns the epochs after which the finalists are compared, see `finalists.rerank`; None: all."""
    if settings.rerank_halving is None:
        return (None,)
    chosen = settings.finalists
    configs.require(
        (chosen.fitness_epoch != "best", "rerank_halving compares last epochs; leave out fitness_epoch of finalists"),
        (chosen.program != "shared", "rerank_halving trains a program for each; leave out program of finalists"),
        (len(objectives) == 1, "rerank_halving keeps the most accurate, not a front; leave it or objectives out"),
    )
    num_epochs = training_problem.num_epochs(chosen)
    stops = halving.stops(settings.rerank, num_epochs=num_epochs, factor=settings.rerank_halving)
    return *stops[:-1], None


def _finish(settings, about, folder, result, archs, fitness, *, stops, seed):
    """Trains the best few of int32[R, L], best first, and writes the best of them as a genotype."""
    if not len(archs):
        return Found(result, folder, [], None)
    best, trained = archs[0], []
    if settings.rerank:
        changes = dataclasses.asdict(settings.finalists)
        for name in ("held_out", "num_images"):  # else images that chose them would train them
            changes[name] = about[name] if changes[name] is None else changes[name]
        evaluator = training_evaluator.evaluator(
            about["space"], dataset=about["dataset"], data_dir=settings.data_dir, **changes
        )
        archs, fitness = archs[: settings.rerank], fitness[: settings.rerank]
        found = finalists.rerank(
            evaluator, archs, fitness, folder, seed=seed, stops=stops, factor=settings.rerank_halving
        )
        best = finalists.best(found)
        trained = [one._replace(description=evaluator.space.describe(np.array(one.arch, np.int32))) for one in found]
    path = folder / run_dir.BEST
    run_dir.write_text(path, json_text.to_text(conversion.from_arch(about["space"], best)))
    return Found(result, folder, trained, path)


def _folder(settings, options, algorithm):
    """Returns the folder of a search."""
    folder = create_folder(options.workdir, algorithm, settings)
    if not settings.rerank and (num := finalists.num_trained(folder)):
        raise ValueError(
            f"{folder} has {num} finalists that were trained; resume it with --rerank={num}, or choose another "
            "--workdir"
        )
    return folder


def create_folder(workdir: str | None, name: str, settings: shared_weights.Settings) -> pathlib.Path:
    """Returns the folder of a run on shared weights, see `run_dir.create`."""
    dataset = pathlib.Path(settings.dataset or shared_weights.DATASET).stem
    return run_dir.create(workdir, command=name, benchmark=dataset)
