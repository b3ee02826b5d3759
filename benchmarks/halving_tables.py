"""Cost until the best network of NAS-Bench-201 is trained in full, by searches on trainings of 12 epochs.

An algorithm proposes networks and learns from their published results after 12 epochs; the best of them continue to
200 epochs by asynchronous successive halving (`common.runs.halving.in_order`). The unit of the cost is a training of
200 epochs; one of 12 costs 12 / 200. Its learning rate falls to zero within the 12, so that a network that continues is
trained anew. Searches that never propose the best network count as if all proposals were trained in full.

With --num_full all searches cost the same: as many trainings of 12 epochs as the budget, those that scores cost
included, and --num_full of 200 epochs, of the best. What counts is the test accuracy of the one returned, the best by
the protocol. --ranked adds searches that propose the networks with the best mean rank of scores in files .npz, as
`supernet_ranking --costs` and `nasbench201_costs` write them: NAME=COST=SCORES=FILES, the cost in trainings of 12
epochs, and a file for each search.

    python -m benchmarks.halving_tables --data_dir=FOLDER
    python -m benchmarks.halving_tables --data_dir=FOLDER --warm_up=synflow,zen
    python -m benchmarks.halving_tables --data_dir=FOLDER --protocol=validation --first_seed=1000 --num_seeds=20 \
      --budgets=20,40,60 --factors=3,10,30
    python -m benchmarks.halving_tables --data_dir=FOLDER --protocol=validation --datasets=cifar10 --num_full=3 \
      --ranked=shared+nwot=2=shared_weights,nwot=seed_0.npz,seed_1.npz --algorithms=lanas,random
"""

import os
import pathlib
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from absl import app, flags

from benchmarks import nasbench201_costs, ranking_truth
from common import config as configs
from common import rows, search, tables, warm_up
from common.evaluators import tabular
from common.runs import halving
from common.statistics import comparison
from common.tables import nasbench201
from common.tables import table as table_lib
from launch import algorithms

SHORT = 12 / 200  # cost of a training of 12 epochs


def _define_flags():
    flags.DEFINE_list("datasets", ["cifar10", "cifar100", "imagenet16"], "of NAS-Bench-201")
    flags.DEFINE_list("algorithms", ["lanas", "nao", "random"], "see launch.study --algorithms")
    flags.DEFINE_enum("protocol", "test", tabular.PROTOCOLS, "accuracy after 12 and 200 epochs that counts")
    flags.DEFINE_list("budgets", ["60"], "numbers of trainings of 12 epochs, of which the best continue")
    flags.DEFINE_list("factors", ["3"], "of how many results one continues while the search goes on")
    flags.DEFINE_string("warm_up", None, "zero-cost scores by which the first proposals are chosen, see launch.study")
    flags.DEFINE_integer("num_warm_up", 5, "with --warm_up: these proposals", lower_bound=1)
    flags.DEFINE_integer("num_full", None, "trainings of 200 epochs; the others end after 12", lower_bound=1)
    flags.DEFINE_multi_string("ranked", [], "with --num_full: NAME=COST=SCORES=FILES, see above; may be repeated")
    flags.DEFINE_integer("first_seed", 0, "of the searches", lower_bound=0)
    flags.DEFINE_integer("num_seeds", 100, "searches of each algorithm", lower_bound=1)
    flags.DEFINE_string("data_dir", os.environ.get("NAS_DATA_DIR"), "folder of the data files; else $NAS_DATA_DIR")


def main(argv: Sequence[str]) -> None:
    """Prints the mean cost of each algorithm, and comparisons of all pairs."""
    del argv
    args = flags.FLAGS
    budgets, factors = _numbers("budgets", args.budgets, int), _numbers("factors", args.factors, float)
    if min(budgets) < (least := args.num_full or 1):
        raise ValueError(f"--budgets must be at least {least}, or too few trainings continue; got {min(budgets)}")
    for name in args.datasets:
        configs.one_of("dataset of NAS-Bench-201", name, nasbench201.DATASETS)
    ranked = [one.split("=") for one in args.ranked]
    for one in ranked:
        if len(one) != 4 or not args.num_full:
            raise ValueError(f"--ranked must be NAME=COST=SCORES=FILES, with --num_full; got {'='.join(one)!r}")
        if missing := [file for file in one[3].split(",") if not pathlib.Path(file).is_file()]:
            raise ValueError(f'--ranked: there is no file {missing[0]}; give files .npz with "arch" and scores')
        if (least := _numbers("ranked", [one[1]], float)[0] + 1) > min(budgets):
            raise ValueError(f"--budgets must be at least {least:g} with the scores of {one[0]}; got {min(budgets)}")
    settings = [(budget, factor) for budget in budgets for factor in factors]
    for budget, factor in () if args.num_full else settings:
        cost(np.zeros(budget), np.zeros(budget, bool), budget, factor)  # raises where none would continue
    table = tables.load_benchmark("nasbench201", args.data_dir)
    space, searchers = table_lib.space_of(table), {}
    for name in args.algorithms:
        algorithm = algorithms.get(name)
        config = algorithm.for_space(space, algorithm.config)
        searchers[name] = algorithm.searcher(space, config, name=name)
    for dataset in args.datasets:
        short, full = (table_lib.mean(table, f"{dataset}/{args.protocol}{end}") for end in ("_12_epochs", ""))
        costs = {} if args.warm_up is None else _scores(args.data_dir, dataset)
        evaluator = tabular.from_arrays(f"{dataset}/12_epochs", space, table.archs, short)
        proposals = {name: _proposals(searcher, evaluator, costs, args) for name, searcher in searchers.items()}
        paid = dict.fromkeys(proposals, 0.0)
        for name, spent, scores, files in ranked:
            paid[name] = float(spent)
            ends = [_ranked(table.archs, file, scores.split(","), max(budgets)) for file in files.split(",")]
            proposals[name] = np.stack(ends)
        if args.num_full:
            test = table_lib.mean(table, f"{dataset}/test")
            for budget in budgets:
                found = {
                    name: [returned(short, full, one[: int(budget - paid[name])], args.num_full) for one in rows_of]
                    for name, rows_of in proposals.items()
                }
                title = f"{dataset}, {budget} trainings of 12 epochs and {args.num_full} of 200, test accuracy (%)"
                _print_returned(title, {name: 100 * test[np.array(at)] for name, at in found.items()})
            continue
        for budget, factor in settings:
            title = f"{dataset}, {budget} trainings of 12 epochs, one of {factor:g} continues"
            _print(title, {name: _costs(short, full, rows_of, budget, factor) for name, rows_of in proposals.items()})


def _numbers(name, texts, kind):
    try:
        return list(map(kind, texts))
    except ValueError as error:
        raise ValueError(f"--{name}: {error}; give {'whole ' * (kind is int)}numbers") from error


def _scores(data_dir, dataset):
    """Returns the published zero-cost scores as functions of the row."""
    source = np.load(pathlib.Path(data_dir, "nasbench201_costs", "nasbench201_costs.npz"), allow_pickle=False)
    columns = nasbench201_costs.columns(source, dataset)
    order = rows.lexicographic_order(archs := columns.pop("arch"))
    archs = archs[order]
    return {name: lambda some, of=of[order]: of[np.asarray(rows.find(archs, some))] for name, of in columns.items()}


def _proposals(searcher, evaluator, costs, args):
    """Returns int[S, N], the rows of the table that the searches propose."""
    searcher = warm_up.searcher(searcher, evaluator.space, costs, args.warm_up, num=args.num_warm_up)
    keys = jnp.stack([jax.random.key(args.first_seed + at) for at in range(args.num_seeds)])
    budget = max(map(int, args.budgets))
    histories, _ = search.search_seeds(keys, searcher, evaluator, budget=budget, seeds_at_once=25)
    archs = evaluator.space.enumerate()
    return np.asarray(rows.find(archs, histories.archs.reshape(-1, archs.shape[1]))).reshape(args.num_seeds, budget)


def _ranked(archs, file, names, num):
    """Returns int[num], the rows of the table with the best mean rank of the scores in a file."""
    source = np.load(file, allow_pickle=False)
    for name in names:
        configs.one_of(f"score of {file}", name, sorted(set(source) - {"arch"}))
    ranks = ranking_truth.average_rank([source[name] for name in names])
    best = source["arch"][np.argsort(-ranks, kind="stable")[:num]]
    return np.asarray(rows.find(archs, best))


def returned(short: np.ndarray, full: np.ndarray, proposals: np.ndarray, num_full: int) -> int:
    """Returns the row whose fitness after 200 epochs is best among the `num_full` best proposals after 12.

    Args:
      short: float[R], accuracies after 12 epochs.
      full: float[R], after 200 epochs.
      proposals: int[N], rows that are trained for 12 epochs.
      num_full: of these are trained for 200.
    """
    continued = proposals[np.argsort(-short[proposals], kind="stable")[:num_full]]
    return int(continued[np.argmax(full[continued])])


def _costs(short, full, proposals, budget, factor):
    """Returns (float[S] costs, the share of the searches that proposed one of the best)."""
    is_best = full[proposals] == full.max()
    each = [cost(short[at], best, budget, factor) for at, best in zip(proposals, is_best)]
    return np.array(each), np.mean(np.any(is_best[:, :budget], axis=1))


def cost(short: np.ndarray, is_best: np.ndarray, budget: int, factor: float) -> float:
    """Returns the cost until one of the best is trained in full, in trainings of 200 epochs.

    Args:
      short: float[N], accuracies after 12 epochs in the order of the proposals.
      is_best: bool[N], whether each is one of the best after 200 epochs.
      budget: trainings of 12 epochs, at most N.
      factor: one of so many continues while the search goes on.
    """
    continued = halving.in_order(short[:budget], count=5, factor=factor)
    hits = [known * SHORT + place for place, (known, at) in enumerate(continued, start=1) if is_best[at]]
    return hits[0] if hits else budget * (SHORT + 1)


def _print(title, found):
    print(f"{title}\n{'':<40}{'mean':>7}{'se':>6}{'median':>8}{'found':>7}")
    for name, (values, share) in found.items():
        print(f"  {name:<38}{values.mean():>7.1f}{_error(values):>6.1f}{np.median(values):>8.1f}{100 * share:>6.0f}%")
    for one in comparison.compare({name: values for name, (values, _) in found.items()}, is_larger_better=False):
        share = 100 * one.improvement.center
        print(f"  {one.first} costs less than {one.second} in {share:.0f} % of pairs, p {one.adjusted:.2g}", flush=True)


def _print_returned(title, found):
    print(f"{title}\n{'':<40}{'mean':>7}{'se':>6}{'worst':>7}{'searches':>9}")
    for name, values in found.items():
        print(f"  {name:<38}{values.mean():>7.2f}{_error(values):>6.2f}{values.min():>7.2f}{len(values):>9}")
    for one in comparison.compare(found):
        share = 100 * one.improvement.center
        print(f"  {one.first} is better than {one.second} in {share:.0f} % of pairs, p {one.adjusted:.2g}", flush=True)


def _error(values):
    return values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else np.nan


if __name__ == "__main__":
    _define_flags()
    app.run(main)
