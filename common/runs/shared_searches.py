"""A comparison of searches on shared weights: networks that each finds, trained from scratch, and random ones.

1. Shared weights train on a space of cells.                                                          supernet/
2. Each algorithm searches the space on them.                                                         nao/ lanas/
3. The best few of each search train from scratch; the one with the best validation accuracy is what the algorithm
   found. One of as many random architectures is chosen likewise, without shared weights: the baseline.
4. The chosen architectures and other random ones train from scratch again, with other initial parameters, and are
   tested. The chosen ones train several times, as the result of one training is random.               trained.json
5. The table of the results.                                                                result.json, summary.md
"""

import dataclasses
import itertools
import pathlib
from collections.abc import Callable, Mapping
from typing import Annotated, Any

import jax
import numpy as np

from common import compilation, metrics, types
from common import config as configs
from common.records import json_files, run_dir
from common.report import image_table
from common.runs import search as searches
from common.runs import shared_weights, supernet_search, training_queue
from common.supernets import stand_alone, training

COMMAND = "search_images"  # in files: what the command was called that ran this
TRAINED, SUMMARY = "trained.json", "summary.md"
RANDOM, CHOSEN = image_table.RANDOM, image_table.CHOSEN


@configs.dataclass
class Settings:
    """Stand-alone trainings of architectures that searches found."""

    num_best: Annotated[
        int,
        "architectures of each search, and random ones, of which one is chosen by training from scratch",
        configs.Range(at_least=1),
    ] = 12
    num_random: Annotated[
        int, "random architectures to train from scratch once, for comparison", configs.Range(at_least=1)
    ] = 20
    num_trainings: Annotated[
        int, "trainings of each chosen architecture on which it is tested", configs.Range(at_least=1)
    ] = 4
    num_threads: Annotated[
        int | None,
        "stand-alone trainings at a time; None: one per processor core, one on accelerators",
        configs.Range(at_least=1),
    ] = None


@compilation.in_32_bits
def run(
    weights: shared_weights.Settings,
    options: searches.Options,
    settings: Settings,
    searchers: Mapping[str, Callable[[types.SearchSpace], types.Searcher]],
    *,
    num_epochs: int,
    flags: Mapping[str, Any] | None = None,
    on_search: Callable[[str, Mapping[str, Any]], None] = lambda name, result: None,
) -> tuple[dict[str, Any], pathlib.Path]:
    """Runs all stages, or resumes them, writes the files of the run, and returns (result.json, the folder).

    Args:
      weights: of the shared weights; `space` is given unless trained weights are.
      settings: of the stand-alone trainings.
      searchers: name -> (space -> search algorithm).
      num_epochs: passes over the training images of a stand-alone training.
      flags: all settings by flag name, for config.json.
      on_search: called with the name of an algorithm and the content of its result.json.

    Raises:
      ValueError: the settings do not fit together, or the folder belongs to another run.
    """
    shared = shared_weights.prepared(weights, seed=options.seed)
    space = shared_weights.searched_space(weights, shared.run)
    if options.export and len(searchers) > 1:
        raise ValueError("export is one file for several searches; leave --export out, each has its history.npz")
    for name, searcher in searchers.items():
        folder = options.workdir and pathlib.Path(options.workdir) / name
        searches.check(options, searcher(space), space, folder=folder)
    alone = stand_alone.evaluator(shared.run.about, num_epochs=num_epochs, data_dir=weights.data_dir)
    folder = supernet_search.create_folder(options.workdir, COMMAND, weights)
    _check_kept(folder, settings, options, searchers)
    num_threads = settings.num_threads or training_queue.default_num_threads()
    key = jax.random.key(options.seed)
    beside, others = (
        np.asarray(space.sample(jax.random.fold_in(key, number), num))
        for number, num in ((1, settings.num_random), (2, settings.num_best))
    )
    with training_queue.opened(folder / TRAINED, alone, seed=options.seed, num_threads=num_threads) as trainings:
        # No search decides on these: they train while shared weights train and are searched.
        trainings.start(itertools.chain(_tests(beside, 1), _choices(others)))
        print("1. shared weights", flush=True)
        shared = shared_weights.trained(shared, folder)
        evaluator = shared_weights.evaluator(weights, shared, space)
        candidates = {}
        for name, searcher in searchers.items():
            print(f"2. search by {name}", flush=True)
            result, archs, fitness = _search(
                evaluator, searcher, options, name, folder, about=shared.run.about, flags=flags
            )
            on_search(name, result)
            archs, fitness = archs[: settings.num_best], fitness[: settings.num_best]
            trainings.start(_choices(archs))
            candidates[name] = _rows(name, archs, fitness)
        candidates[CHOSEN] = _rows(CHOSEN, others, evaluator.evaluate(key, others).fitness)
        print("3. training from scratch", flush=True)
        candidates = {name: _validated(trainings, name, rows) for name, rows in candidates.items()}
        beside = _rows(RANDOM, beside, evaluator.evaluate(key, beside).fitness)
        chosen = [_best(rows) for rows in candidates.values()]
        networks = _tested(trainings, chosen, beside, settings.num_trainings)
    about = {"num_best": settings.num_best, "budget": options.budget, "seed": options.seed}
    result = _result(shared.run, networks, candidates, **about)
    run_dir.write_json(folder / run_dir.RESULT, result)
    run_dir.write_text(folder / SUMMARY, image_table.markdown(result))
    return result, folder


def _check_kept(folder, settings, options, searchers):
    """Raises a `ValueError` if the folder is of another command, or has results of more trainings than asked for."""
    before = json_files.read(folder / run_dir.RESULT)
    is_other = (folder / run_dir.CONFIG).exists()  # only the folders of the searches in it have one
    if before is None and not is_other:
        return
    if is_other or "choice" not in before:
        raise ValueError(f"{folder} is the folder of another command; choose another --workdir")
    shape = {"choice": [{"found_by": str}], "networks": [{"found_by": str, "test": list}]}
    json_files.check(folder / run_dir.RESULT, before, {**shape, "budget": int, "num_best": int, "seed": int})
    if before["seed"] != options.seed:
        raise ValueError(
            f"{folder}: seed was {before['seed']} and is now {options.seed}; restore it, or choose another --workdir"
        )
    names = {row["found_by"] for row in before["choice"]} - {CHOSEN}
    if missing := sorted(names - set(searchers)):
        raise ValueError(f"{folder} has results of {', '.join(missing)} too; name them in --algorithms to resume it")
    nums = {True: [0], False: [0]}  # tests of random architectures, and of those that were chosen
    for row in before["networks"]:
        nums[row["found_by"] == RANDOM].append(len(row["test"]))
    had = {"budget": before["budget"], "num_best": before["num_best"]}
    had |= {"num_random": len(nums[True]) - 1, "num_trainings": max(nums[False], default=0)}
    now = {**dataclasses.asdict(settings), "budget": options.budget}
    if fewer := [f"{name} was {num} and is now {now[name]}" for name, num in had.items() if now[name] < num]:
        raise ValueError(
            f"{folder} has more results: {'; '.join(fewer)}; resume it with numbers at least as large, or choose "
            "another --workdir"
        )


def _search(evaluator, searcher, options, name, folder, *, about, flags):
    """Returns (the content of result.json, int32[R, L] evaluated architectures, best first, float32[R])."""
    (folder / name).mkdir(parents=True, exist_ok=True)
    result = searches.run(
        evaluator,
        searcher(evaluator.space),
        options,
        command=COMMAND,
        algorithm=name,
        config={"shared_weights": dict(about)},
        folder=folder / name,
        flags=flags,
    )
    return result, *searches.ranked(folder / name)


def _result(made: training.Run, networks, candidates, *, num_best, budget, seed):
    """Returns the content of result.json."""
    score = np.array([one["shared_weights"] for one in networks])
    test = np.array([np.mean(one["test"]) for one in networks])
    return {
        "space": made.space.name,
        "dataset": made.about["dataset"],
        "seed": seed,
        "num_images": made.about["num_images"],
        "budget": budget,
        "num_best": num_best,
        "kendall_tau": float(metrics.kendall_tau(score, np.nan_to_num(test), where=np.isfinite(test))),
        "networks": networks,
        "choice": list(itertools.chain.from_iterable(candidates.values())),
    }


def _rows(name, archs, fitness):
    """Returns the entries of int32[B, L] in result.json."""
    rows = zip(archs.tolist(), fitness.tolist(), strict=True)
    return [{"found_by": name, "arch": arch, "shared_weights": score} for arch, score in rows]


def _choices(archs):
    """Returns the trainings by which one of int32[B, L] is chosen."""
    return [training_queue.Training(tuple(map(int, arch)), 0, "validation") for arch in archs]


def _tests(archs, num):
    """Returns the trainings on which each of int32[B, L] is tested, with initial parameters that chose none of them."""
    numbers = range(1, num + 1)
    return [training_queue.Training(tuple(map(int, arch)), number, "test") for arch in archs for number in numbers]


def _validated(trainings, name, rows):
    """Returns the entries with their accuracy on images held out."""
    each = _choices([row["arch"] for row in rows])
    whose = "random architectures to choose among" if name == CHOSEN else f"the best of {name}"
    found = trainings.results(each, title=f"{whose}, trained from scratch")
    return [row | {"validation": found[one].fitness} for row, one in zip(rows, each, strict=True)]


def _best(rows):
    """Returns the entry with the best accuracy on images held out."""
    best = max(rows, key=lambda row: np.nan_to_num(row["validation"], nan=-1.0))
    return {name: value for name, value in best.items() if name != "validation"}


def _tested(trainings, chosen, beside, num_trainings):
    """Returns the entries of the chosen architectures and of random ones with their test accuracies."""
    nums = [num_trainings] * len(chosen) + [1] * len(beside)
    networks = [*chosen, *beside]
    each = [_tests([one["arch"]], num) for one, num in zip(networks, nums, strict=True)]
    found = trainings.results(itertools.chain.from_iterable(each), title="chosen and random architectures, tested")
    return [one | {"test": [found[test].fitness for test in own]} for one, own in zip(networks, each, strict=True)]
