"""Networks for small images, from shared weights to a table: searched by several algorithms, and trained alone.

python -m launch.search_images
python -m launch.search_images --space=nao_small --budget=300 --seed=1
python -m launch.search_images --algorithms=lanas,regularized_evolution --supernet_num_images=500

1. Shared weights are trained on a space of cells.     supernet/
2. Each algorithm searches it on them.                 nao/ lanas/
3. The best --num_best of each are trained alone, from fresh weights, and the one that is right on most of the images
   held out is what the algorithm found.               trained.json
4. What was found, and random architectures, are trained alone from other first weights and judged on the test images,
   all in the same way, by the program that trained the shared weights, so that nothing is compiled for each. What was
   found is trained --num_trainings times, as one training is a matter of luck; of the many random ones each once.
5. One table says what came out.                       summary.md, report.html

Networks are trained alone for --proxy_num_epochs passes, few by default. Started again on its workdir, it goes on where
it was.
"""

import dataclasses
import itertools
import sys
from collections.abc import Sequence

import jax
import numpy as np
import rich.console
import rich.table
from absl import flags

from common import metrics, run_dir
from common.evaluators import supernet as scores
from common.evaluators import supernet_alone, training_config
from common.training import supernet
from launch import algorithms, proxy, report, shared_weights, single, trained_alone
from launch import flags as launch_flags

SPACE = "lanas_oneshot"
DATASET = "cluttered_digits"  # on plain digits architectures hardly differ
BUDGET, NUM_BEST, NUM_RANDOM, NUM_TRAININGS = 100, 10, 20, 4
SHARED_EPOCHS, NUM_EPOCHS = 80, 6  # of shared weights, and of networks alone
TRAINED, SUMMARY = "trained.json", "summary.md"
_RANDOM = "random architectures"


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
        ("num_best", NUM_BEST, "architectures of each algorithm of which the best trained alone is found"),
        ("num_random", NUM_RANDOM, "random architectures that are trained alone, once, beside what was found"),
        ("num_trainings", NUM_TRAININGS, "trainings on which what was found is judged, from other first weights each"),
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
    print("1. shared weights", flush=True)
    trained = shared_weights.trained(values, made, folder)
    weights, params = supernet.load(trained, values.data_dir)
    evaluator = scores.of(weights, params, shared_weights.score_config(values))
    found = {}
    for name in values.algorithms:
        print(f"2. search by {name}", flush=True)
        found[name] = _search(values, name, evaluator, weights, folder / name)
    print("3. training alone", flush=True)
    result = _result(values, weights, found, _Alone(values, weights, folder), evaluator)
    run_dir.write_json(folder / run_dir.RESULT, result)
    run_dir.write_text(folder / SUMMARY, _markdown(result))
    _print(result)
    report.main([f"--workdir={folder}", "--norefit"])
    print(f"summary: {folder / SUMMARY}", flush=True)


def _check(values):
    """Refuses what makes no sense."""
    shared_weights.is_asked_for(values)
    shared_weights.check(values)
    if values.rerank:
        raise ValueError("--rerank is not of this command, which trains --num_best of each search; leave it out")
    for name in values.algorithms:
        launch_flags.one_of("algorithms", name, algorithms.ALGORITHMS)
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


def _search(values, name, evaluator, weights, folder):
    """Returns (int32[num_best, L], float32[num_best] on shared weights) of a search."""
    folder.mkdir(parents=True, exist_ok=True)
    single.search_with(
        values,
        evaluator,
        command="search_images",
        algorithm=name,
        config=Settings(dict(weights.about)),
        make_searcher=algorithms.of_large_space(name),
        folder=folder,
    )
    history, _ = run_dir.read_history(folder / run_dir.HISTORY)
    archs, fitness = shared_weights.ranked(history)
    return archs[: values.num_best], fitness[: values.num_best]


class _Alone:
    """Trains architectures alone."""

    def __init__(self, values, weights, folder):
        self._evaluator = supernet_alone.evaluator(
            dict(weights.about), num_epochs=values.proxy_num_epochs, data_dir=values.data_dir
        )
        self._path, self._seed = folder / TRAINED, values.seed
        self._num_threads = values.num_threads or trained_alone.default_num_threads()

    def __call__(self, trainings, title):
        """Returns training -> accuracy, NaN where it failed."""
        trainings = list(dict.fromkeys(trainings))
        settings = {"seed": self._seed, "title": title, "num_threads": self._num_threads}
        return trained_alone.run(self._path, self._evaluator, trainings, **settings)


def _result(values, weights, found, train, evaluator):
    """Trains, and returns what result.json says."""
    choice, networks = [], []
    for name, (archs, fitness) in found.items():
        trainings = [trained_alone.Training(tuple(arch), 0, "validation") for arch in archs.tolist()]
        accuracies = train(trainings, f"the best of {name}, trained alone")
        validation = [accuracies[training] for training in trainings]
        best = int(np.argmax(np.nan_to_num(validation, nan=-1.0)))
        rows = zip(archs.tolist(), fitness.tolist(), validation, strict=True)
        choice += [
            {"found_by": name, "arch": arch, "shared_weights": score, "validation": accuracy}
            for arch, score, accuracy in rows
        ]
        networks.append({"found_by": name, "arch": archs[best].tolist(), "shared_weights": float(fitness[best])})
    drawn = np.asarray(weights.space.sample(jax.random.fold_in(jax.random.key(values.seed), 1), values.num_random))
    scores_of_drawn = evaluator.evaluate(jax.random.key(values.seed), drawn).fitness
    for arch, score in zip(drawn.tolist(), scores_of_drawn.tolist(), strict=True):
        networks.append({"found_by": _RANDOM, "arch": arch, "shared_weights": score})
    # Other first weights than those by which one of the best was chosen, whose luck is part of the choice.
    trainings = [
        [trained_alone.Training(tuple(one["arch"]), number, "test") for number in range(1, own + 1)]
        for one, own in zip(networks, [values.num_trainings] * len(found) + [1] * len(drawn), strict=True)
    ]
    accuracies = train(itertools.chain.from_iterable(trainings), "what was found, and random ones, trained alone")
    for one, own in zip(networks, trainings, strict=True):
        one["test"] = [accuracies[training] for training in own]
    score = np.array([one["shared_weights"] for one in networks])
    test = np.array([np.mean(one["test"]) for one in networks])
    return {
        "space": weights.space.name,
        "dataset": weights.about["dataset"],
        "seed": values.seed,
        "num_images": weights.about["num_images"],
        "budget": values.budget,
        "kendall_tau": float(metrics.kendall_tau(score, np.nan_to_num(test), where=np.isfinite(test))),
        "networks": networks,
        "choice": choice,
    }


def _table(result):
    """Returns the rows of the table, as text."""
    rows = []
    for name in dict.fromkeys(row["found_by"] for row in result["networks"]):
        own = [row for row in result["networks"] if row["found_by"] == name]
        # A mean is over networks, or over the trainings of the one there is.
        tests = np.array([np.mean(row["test"]) for row in own] if len(own) > 1 else own[0]["test"])
        shared = np.array([row["shared_weights"] for row in own])
        spread = f" ± {100 * tests.std(ddof=1) / len(tests) ** 0.5:.2f}" if len(tests) > 1 else ""
        spread += f" (from {100 * tests.min():.2f} to {100 * tests.max():.2f})" if len(own) > 1 else ""
        rows.append((name, str(len(own)), f"{100 * shared.mean():.2f} %", f"{100 * tests.mean():.2f} %{spread}"))
    return ("found by", "networks", "validation on shared weights", "test, trained alone"), rows


def _print(result):
    names, rows = _table(result)
    table = rich.table.Table(title=_title(result))
    for name in names:
        table.add_column(name)
    for row in rows:
        table.add_row(*row)
    rich.console.Console().print(table)
    print(f"rank correlation of both (Kendall's tau): {_tau(result)}", flush=True)


def _markdown(result):
    names, rows = _table(result)
    lines = [f"# {_title(result)}", ""]
    lines += [f"Seed {result['seed']}; {result['budget']} architectures measured on shared weights by each search.", ""]
    lines += ["| " + " | ".join(row) + " |" for row in (names, ("---",) * len(names), *rows)]
    lines += ["", f"Kendall's tau between both columns, over all networks: {_tau(result)}.", ""]
    return "\n".join(lines)


def _title(result):
    return f"{result['space']} on {result['num_images'] or 'all'} images of {result['dataset']}"


def _tau(result):
    """Kendall's tau as text; there is none where all networks are equal in one of the columns."""
    return f"{result['kendall_tau']:.2f}" if np.isfinite(result["kendall_tau"]) else "not defined"


if __name__ == "__main__":
    sys.exit(main())
