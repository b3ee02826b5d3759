"""Networks for small images, from shared weights to a table: searched by several algorithms, and trained alone.

python -m launch.search_images
python -m launch.search_images --space=nao_small --budget=300 --seed=1
python -m launch.search_images --algorithms=lanas,regularized_evolution --supernet_num_images=500

1. Shared weights are trained on a space of cells.     supernet/
2. Each algorithm searches it on them.                 nao/ lanas/
3. The best --num_best of each are trained alone, from fresh weights, and the one that is right on most of the images
   held out is what the algorithm found. Of as many random architectures one is chosen alike, without shared weights:
   what an algorithm is worth is what it gains over that.              trained.json
4. What was chosen, and other random architectures, are trained alone from other first weights and judged on the test
   images, all in the same way. What was chosen is trained --num_trainings times, as one training is a matter of luck;
   of the many random ones each once.
5. One table says what came out.                       summary.md, report.html

Networks are trained alone for --proxy_num_epochs passes, few by default, and by the program that trains the shared
weights, so that nothing is compiled for each; --num_threads at a time, and those that no search decides on while shared
weights are trained and searched. Started again on its workdir, it goes on where it was.
"""

import dataclasses
import itertools
import sys
from collections.abc import Sequence

import jax
import numpy as np
from absl import flags

from common import metrics
from common.evaluators import training_config
from common.records import run_dir
from common.report import image_table
from common.supernets import scoring as scores
from common.supernets import stand_alone as supernet_alone
from common.supernets import training as supernet
from launch import algorithms, image_tables, proxy, report, shared_weights, single, trained_alone
from launch import flags as launch_flags

SPACE = "lanas_oneshot"
DATASET = "cluttered_digits"  # on plain digits architectures hardly differ
BUDGET, NUM_BEST, NUM_RANDOM, NUM_TRAININGS = 100, 12, 20, 4
SHARED_EPOCHS, NUM_EPOCHS = 80, 6  # of shared weights, and of networks alone
TRAINED, SUMMARY = "trained.json", "summary.md"
RANDOM, CHOSEN = image_table.RANDOM, image_table.CHOSEN


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit code."""
    return launch_flags.run_main("search_images", __doc__, define, run, argv)


@dataclasses.dataclass(frozen=True)
class Settings:
    """What a search is, beside its algorithm, for the record of the run."""

    shared_weights: dict


def define(values: flags.FlagValues) -> None:
    """Defines the flags."""

    def define(name, default, text, of=flags.DEFINE_string):
        of(name, default, text, flag_values=values)

    launch_flags.define_common(values, budget=BUDGET)
    launch_flags.define_executor(values)
    shared_weights.define(values)
    proxy.define(values)
    flags.DEFINE_list("algorithms", ["nao", "lanas"], f"some of {', '.join(algorithms.ALGORITHMS)}", flag_values=values)
    for name, default, text in (
        (
            "num_best",
            NUM_BEST,
            "architectures of each algorithm, and random ones, of which one is chosen by training alone",
        ),
        ("num_random", NUM_RANDOM, "random architectures that are trained alone, once, beside what was chosen"),
        ("num_trainings", NUM_TRAININGS, "trainings on which what was chosen is judged, from other first weights each"),
        ("num_threads", None, "networks trained alone at a time; by default one a processor core, on accelerators one"),
    ):
        define(name, default, text, flags.DEFINE_integer)
    defaults = {
        "dataset": DATASET,
        "supernet_preset": DATASET,
        "evaluator": proxy.SUPERNET,
        "supernet_num_epochs": SHARED_EPOCHS,
        "proxy_num_epochs": NUM_EPOCHS,
    }
    for name, default in defaults.items():
        values.set_default(name, default)


def run(values: flags.FlagValues) -> None:
    """Trains shared weights, searches, trains what was found, and writes the files of the run."""
    _check(values)
    single.prepare(values)
    made = shared_weights.training_run(values, values.space or SPACE) if not values.supernet else None
    folder = shared_weights.workdir(values, "search_images")
    if made is None:
        made, _ = supernet.load(shared_weights.trained(values, None, folder), values.data_dir)
    settings = {"num_epochs": values.proxy_num_epochs, "data_dir": values.data_dir}
    alone = supernet_alone.evaluator(dict(made.about), **settings)
    num_threads = values.num_threads or trained_alone.default_num_threads()
    with trained_alone.Trainings(folder / TRAINED, alone, seed=values.seed, num_threads=num_threads) as trainings:
        result = _result(values, made, folder, trainings)
    run_dir.write_json(folder / run_dir.RESULT, result)
    run_dir.write_text(folder / SUMMARY, image_tables.markdown(result))
    image_tables.show(result)
    report.main([f"--workdir={folder}", "--norefit"])
    print(f"summary: {folder / SUMMARY}", flush=True)


def _check(values):
    """Refuses what makes no sense."""
    shared_weights.is_asked_for(values)
    shared_weights.check(values)
    if values.rerank:
        raise ValueError("--rerank is not of this command, which trains --num_best of each search; leave it out")
    for name in values.algorithms:
        algorithms.get(name)
    if len(set(values.algorithms)) < len(values.algorithms):
        raise ValueError(f"--algorithms={','.join(values.algorithms)} names one twice")
    for field in dataclasses.fields(training_config.Config):
        if field.name != "num_epochs" and not values[proxy.PREFIX + field.name].using_default_value:
            raise ValueError(
                f"--{proxy.PREFIX}{field.name} is not of this command, which trains networks alone as shared weights; "
                f"leave it out, or set --supernet_{field.name}"
            )
    for name in ("proxy_num_epochs", "num_best", "num_random", "num_trainings", "num_threads"):
        value = values[name].value
        if value is not None and value < 1:
            raise ValueError(f"--{name} must be at least 1; got {value}")


def _search(values, name, evaluator, about, folder):
    """Returns (int32[num_best, L], float32[num_best] on shared weights), the best of a search."""
    folder.mkdir(parents=True, exist_ok=True)
    single.search_with(
        values,
        evaluator,
        command="search_images",
        algorithm=name,
        config=Settings(dict(about)),
        make_searcher=algorithms.factory(algorithms.get(name)),
        folder=folder,
    )
    history, _ = run_dir.read_history(folder / run_dir.HISTORY)
    archs, fitness = shared_weights.ranked(history)
    return archs[: values.num_best], fitness[: values.num_best]


def _result(values, made, folder, trainings):
    """Does all of it, and returns what result.json says."""
    key = jax.random.key(values.seed)
    drawn, others = (
        np.asarray(made.space.sample(jax.random.fold_in(key, number), num))
        for number, num in ((1, values.num_random), (2, values.num_best))
    )
    trainings.start(itertools.chain(_tests(drawn, 1), _choices(others)))
    print("1. shared weights", flush=True)
    where = shared_weights.trained(values, None if values.supernet else made, folder)
    weights, params = supernet.load(where, values.data_dir)
    evaluator = scores.of(weights, params, shared_weights.score_config(values))
    candidates = {}
    for name in values.algorithms:
        print(f"2. search by {name}", flush=True)
        archs, fitness = _search(values, name, evaluator, weights.about, folder / name)
        trainings.start(_choices(archs))
        candidates[name] = _rows(name, archs, fitness)
    candidates[CHOSEN] = _rows(CHOSEN, others, evaluator.evaluate(key, others).fitness)
    beside = _rows(RANDOM, drawn, evaluator.evaluate(key, drawn).fitness)
    print("3. training alone", flush=True)
    candidates = {name: _validated(trainings, name, rows) for name, rows in candidates.items()}
    networks = _tested(trainings, [_best(rows) for rows in candidates.values()], beside, values.num_trainings)
    score = np.array([one["shared_weights"] for one in networks])
    test = np.array([np.mean(one["test"]) for one in networks])
    return {
        "space": weights.space.name,
        "dataset": weights.about["dataset"],
        "seed": values.seed,
        "num_images": weights.about["num_images"],
        "budget": values.budget,
        "num_best": values.num_best,
        "kendall_tau": float(metrics.kendall_tau(score, np.nan_to_num(test), where=np.isfinite(test))),
        "networks": networks,
        "choice": list(itertools.chain.from_iterable(candidates.values())),
    }


def _rows(name, archs, fitness):
    """What is told of each of int32[B, L]."""
    rows = zip(archs.tolist(), fitness.tolist(), strict=True)
    return [{"found_by": name, "arch": arch, "shared_weights": score} for arch, score in rows]


def _choices(archs):
    """The trainings by which one of int32[B, L] is chosen."""
    return [trained_alone.Training(tuple(map(int, arch)), 0, "validation") for arch in archs]


def _tests(archs, num):
    """The trainings by which each of int32[B, L] is judged: not from the first weights whose luck chose one of them."""
    numbers = range(1, num + 1)
    return [trained_alone.Training(tuple(map(int, arch)), number, "test") for arch in archs for number in numbers]


def _validated(trainings, name, rows):
    """The rows, with their accuracy on images held out."""
    each = _choices([row["arch"] for row in rows])
    whose = "random ones to choose among" if name == CHOSEN else f"the best of {name}"
    told = trainings.results(each, title=f"{whose}, trained alone")
    return [row | {"validation": told[one]} for row, one in zip(rows, each, strict=True)]


def _best(rows):
    """The row that is best on images held out."""
    best = max(rows, key=lambda row: np.nan_to_num(row["validation"], nan=-1.0))
    return {name: value for name, value in best.items() if name != "validation"}


def _tested(trainings, chosen, beside, num_trainings):
    """The rows, with accuracies on test images, of what was chosen and of what is beside it."""
    nums = [num_trainings] * len(chosen) + [1] * len(beside)
    networks = [*chosen, *beside]
    each = [_tests([one["arch"]], num) for one, num in zip(networks, nums, strict=True)]
    told = trainings.results(itertools.chain.from_iterable(each), title="what was chosen, and random ones, tested")
    return [one | {"test": [told[test] for test in own]} for one, own in zip(networks, each, strict=True)]


if __name__ == "__main__":
    sys.exit(main())
