"""Networks found by several algorithms for the same images in the same minutes: test accuracies.

Every search is a process of `launch.search_images` that is bound to its share of the processor cores; the programs that
JAX compiles are kept for all. One search of each algorithm that does not count runs first, so that no search that
counts compiles what others find compiled. Finished folders are skipped and unfinished ones resumed. The first
candidates are known networks, except where an algorithm searches alone.

    python -m benchmarks.own_images --workdir=build/own_images
    python -m benchmarks.own_images --dataset=mine.npz --minutes=15 --num_seeds=5 --num_parallel=1 --workdir=build/mine

Printed are means and standard errors over seeds; the gain over --against is paired by seed, with the p-value of the
two-sided t-test. With several algorithms that learn, the last row is the mean of their gains in each seed.
"""

import functools
import json
import math
import os
import pathlib
import queue
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent import futures

import numpy as np
from absl import app, flags
from scipy import stats

LEARNED = "lanas", "nao"
ALONE = "_alone"  # ends the name of a search without known networks
_WARM_UP, _RESULT, _LOG = "warm_up", "result.json", "log.txt"


def _define_flags():
    names = ["random", *LEARNED, "regularized_evolution"]
    flags.DEFINE_list("algorithms", names, "see launch.search_images --algorithm")
    flags.DEFINE_list("alone", ["random"], "algorithms that also search without the known networks")
    flags.DEFINE_string("against", "random", "with what the others are compared, such as random_alone")
    flags.DEFINE_integer("num_seeds", 5, "searches of each, seeds 0, 1, ...", lower_bound=1)
    flags.DEFINE_string("dataset", "cluttered_digits", "see launch.search_images")
    flags.DEFINE_string("data_dir", None, "likewise")
    flags.DEFINE_float("minutes", 3.0, "of a search", lower_bound=0)
    flags.DEFINE_integer("num_parallel", 2, "searches at a time", lower_bound=1)
    flags.DEFINE_string("workdir", None, "folder of all searches, to start or to resume", required=True)


def main(argv: Sequence[str]) -> None:
    """Runs the searches and prints the table."""
    del argv
    args, folder = flags.FLAGS, pathlib.Path(flags.FLAGS.workdir)
    cores = sorted(os.sched_getaffinity(0))
    if args.num_parallel > len(cores):
        raise app.UsageError(f"--num_parallel={args.num_parallel} is more than the {len(cores)} processor cores")
    free: queue.Queue[set[int]] = queue.Queue()
    for at in range(args.num_parallel):
        free.put(set(cores[at :: args.num_parallel]))
    names = [*args.algorithms, *(name + ALONE for name in args.alone)]
    if args.against not in names:
        raise app.UsageError(f"--against={args.against} is none of the searches: {', '.join(names)}")
    runs = [(name, f"{name}_{seed}", seed) for seed in range(args.num_seeds) for name in names]
    warm_up = [(name, f"{_WARM_UP}_{name}", args.num_seeds) for name in args.algorithms]

    def search(run):
        name, folder_name, seed = run
        if (folder / folder_name / _RESULT).exists():
            return
        (folder / folder_name).mkdir(parents=True, exist_ok=True)
        settings = {"algorithm": name.removesuffix(ALONE), "known_networks": not name.endswith(ALONE), "seed": seed}
        settings |= {"workdir": folder / folder_name, "minutes": args.minutes}
        settings |= {"dataset": args.dataset} | ({"data_dir": args.data_dir} if args.data_dir else {})
        command = [
            sys.executable,
            "-m",
            "launch.search_images",
            *(f"--{key}={value}" for key, value in settings.items()),
        ]
        mine, start = free.get(), time.monotonic()
        with open(folder / folder_name / _LOG, "a") as log:
            bound = functools.partial(os.sched_setaffinity, 0, mine)
            code = subprocess.run(command, stdout=log, stderr=subprocess.STDOUT, preexec_fn=bound).returncode
        free.put(mine)
        minutes = (time.monotonic() - start) / 60
        text = f"exit code {code}, see {folder / folder_name / _LOG}" if code else "done"
        print(f"{folder_name}: {text} after {minutes:.1f} min on cores {sorted(mine)}", flush=True)

    for part in (warm_up, runs):
        with futures.ThreadPoolExecutor(args.num_parallel) as pool:
            list(pool.map(search, part))
    results = {name: [_read(folder / f"{name}_{seed}") for seed in range(args.num_seeds)] for name in names}
    print("\n".join(lines(results, args.against)), flush=True)


def _read(folder):
    path = folder / _RESULT
    return json.loads(path.read_text()) if path.exists() else None


def lines(results: Mapping[str, Sequence[Mapping | None]], against: str = "random") -> list[str]:
    """Returns the lines of the table of {algorithm: result.json of each seed, None where there is none}."""
    best = {name: np.array([_test(one and one["best"]) for one in each]) for name, each in results.items()}
    gains = {name: values - best[against] for name, values in best.items() if against in best and name != against}
    if all(name in gains for name in LEARNED):
        gains[" and ".join(LEARNED)] = np.mean([gains[name] for name in LEARNED], axis=0)
    rows = [f"{'network':24} {'seeds':>5} {'test accuracy, %':>18} {f'gain over {against}, points':>32} {'p':>7}"]
    for name in {**best, **gains}:
        values = best.get(name, np.full(1, np.nan))
        rows.append(f"{name:24} {_num(values, gains.get(name)):5} {_described(values):>18} {_gain(gains.get(name))}")
    others: dict[str, list[float]] = {}
    for one in (one for each in results.values() for one in each if one):
        for network in one["baselines"]:
            others.setdefault(network["name"], []).append(network["test"])
    rows += [f"{name:24} {len(values):5} {_described(np.array(values)):>18}" for name, values in others.items()]
    for name, each in results.items():
        minutes = [one["seconds"] / 60 for one in each if one]
        if minutes:
            queries = np.mean([one["queries"] for one in each if one])
            rows.append(f"{name}: {queries:.1f} candidates, {min(minutes):.2f} to {max(minutes):.2f} minutes")
    return rows


def _test(network):
    return network["test"] if network else math.nan


def _num(values, gains):
    return int(np.sum(np.isfinite(values if np.any(np.isfinite(values)) or gains is None else gains)))


def _described(values):
    """Returns mean and standard error in percent as text."""
    values = 100 * values[np.isfinite(values)]
    if not len(values):
        return ""
    error = f" +- {values.std(ddof=1) / math.sqrt(len(values)):.2f}" if len(values) > 1 else ""
    return f"{values.mean():.2f}{error}"


def _gain(gains):
    """Returns mean, standard error and p-value of paired differences as text."""
    if gains is None or np.sum(np.isfinite(gains)) < 2:
        return ""
    gains = gains[np.isfinite(gains)]
    return f"{_described(gains):>32} {stats.ttest_1samp(gains, 0.0).pvalue:7.4f}"


if __name__ == "__main__":
    _define_flags()
    app.run(main)
