"""Ranking quality of shared weights: Kendall's tau of their scores with accuracies of stand-alone training.

With --truth the accuracies are published ones, and nothing is trained from scratch: of all different networks, or of a
sample, see `ranking_truth`. Beside the shared weights it judges parameters, multiply-adds, zero-cost scores, and the
average ranks of --partners. --supernet names trained weights; --shared_epochs=0 trains none; --known has zero-cost
scores, such as those of --costs of an earlier run or of `nasbench201_costs`.

Random architectures are scored on shared weights, on held-out images, and each is trained from scratch. The latter
needs no compilation: a stand-alone network is the shared network whose steps always sample the same architecture, see
`supernet.extract`. Its accuracy is that on the test images, the mean of `--num_trainings`. For comparison: tau of the
number of parameters, and of two trainings of the same architectures with each other, an upper bound for any score.
Confidence intervals are of 95 %, by bootstrap over architectures.

    python -m benchmarks.supernet_ranking
    python -m benchmarks.supernet_ranking --space=nao_small --shared_epochs=400
    python -m benchmarks.supernet_ranking --truth=nasbench_macro --dataset=cifar10 --preset=lanas_oneshot
    python -m benchmarks.supernet_ranking --truth=nasbench201 --shared_epochs=0 --zero_cost=synflow,nwot --num_archs=100
"""

import collections
import itertools
import json
import os
import time
from collections.abc import Sequence
from concurrent import futures
from typing import Any

import jax
import numpy as np
from absl import app, flags

from benchmarks import ranking_truth
from common import compilation
from common import config as configs
from common.datasets import images
from common.evaluators import zero_cost, zero_cost_config
from common.networks import costs
from common.networks import supernet as networks
from common.runs import training_queue
from common.statistics import intervals
from common.supernets import config as supernet_config
from common.supernets import presets as supernet_presets
from common.supernets import sampling as supernet_draws
from common.supernets import scoring as scores
from common.supernets import training as supernet
from common.training import loop
from common.training import state as states

_MOST_SCORED = 2000  # images; the standard error of an accuracy is then 1 point


def _define_flags():
    flags.DEFINE_enum("space", "lanas_oneshot", list(networks.SPACES), "the space")
    flags.DEFINE_string("dataset", "cluttered_digits", "see common.datasets.images.load")
    flags.DEFINE_enum("preset", "cluttered_digits", list(supernet_presets.PRESETS), "settings to start from")
    flags.DEFINE_string("data_dir", os.environ.get("NAS_DATA_DIR"), "likewise")
    flags.DEFINE_integer("num_images", None, "training images; by default all that are not held out")
    flags.DEFINE_integer("num_cells", None, "cells in all; by default 3, with --truth as published", lower_bound=3)
    flags.DEFINE_integer("width", None, "channels of the first cell; by default 8, with --truth as published")
    flags.DEFINE_integer("shared_epochs", 80, "of shared weights", lower_bound=0)
    flags.DEFINE_integer("alone_epochs", 6, "of each training from scratch", lower_bound=1)
    flags.DEFINE_integer("batch_size", 16, "images a step", lower_bound=2)
    samplings = ["uniform", "fair", "growing"]
    flags.DEFINE_enum("sampling", None, samplings, "which architecture a step takes; by default as in the preset")
    flags.DEFINE_enum("statistics", "batch", list(supernet_config.STATISTICS), "of norms, when scoring")
    flags.DEFINE_float("learning_rate", None, "peak of shared weights; by default as in the preset")
    flags.DEFINE_integer("num_archs", None, "architectures; by default 60, with --truth all", lower_bound=10)
    flags.DEFINE_integer("num_scored", None, "with --truth: images to score on shared weights; 2,000 by default")
    flags.DEFINE_enum("truth", None, ranking_truth.TRUTHS, "benchmark with the accuracies of all networks of its space")
    flags.DEFINE_string("supernet", None, "with --truth: folder of launch.train_supernet, instead of a training here")
    flags.DEFINE_list("zero_cost", [], f"with --truth: zero-cost scores, of {', '.join(zero_cost_config.SCORES)}")
    flags.DEFINE_string("known", None, "with --truth: file .npz with zero-cost scores that need not be computed")
    flags.DEFINE_multi_string("partners", [], "with --truth: scores whose ranks are averaged; may be repeated")
    flags.DEFINE_integer(
        "num_trainings", 1, "trainings from scratch per architecture; two or more estimate their noise", lower_bound=1
    )
    flags.DEFINE_integer("seed", 0, "decides everything random")
    flags.DEFINE_string("output", None, "file for the numbers, as JSON")
    flags.DEFINE_string("costs", None, "with --truth: file .npz for the scores, as searches take it with --costs")


def main(argv: Sequence[str]) -> None:
    """Trains, scores and prints the results."""
    del argv
    args = flags.FLAGS
    compilation.enable_cache(None)
    if args.truth:
        return judge(args)
    dataset = images.load(args.dataset, args.data_dir)
    start = time.process_time()
    shared = make_run(args, dataset, args.shared_epochs)
    first = jax.jit(lambda key: shared.steps.init(key, shared.images.shape))
    state = train(shared, first, shared.keys, shared.draw())
    params = states.averaged(state)["params"]
    seconds = time.process_time() - start
    num_archs = args.num_archs or 60
    archs = np.asarray(shared.space.sample(jax.random.key(1000 + args.seed), num_archs), np.int32)
    config = supernet_config.Scoring(method="all", statistics=args.statistics)
    evaluation = scores.of(shared, params, config).evaluate(jax.random.key(0), archs)
    print(
        f"{args.space} on {args.dataset}: {shared.num_steps} steps on shared weights in {seconds:.0f} s of processor "
        f"time, load {os.getloadavg()[0]:.1f}; scores {described(evaluation.fitness)}",
        flush=True,
    )
    single = make_run(args, dataset, args.alone_epochs)
    accuracies = np.empty((num_archs, args.num_trainings))
    start = time.process_time()

    def measure(at, number):
        keys = states.keys(jax.random.fold_in(jax.random.key(2000 + number), at))
        alone = train(single, first, keys, supernet_draws.from_pool(archs[at][None]))
        found = scores.of(single, states.averaged(alone)["params"], config).test(jax.random.key(0), archs[at][None])
        accuracies[at, number] = found.fitness[0]

    first_pair, *pairs = np.ndindex(accuracies.shape)
    measure(*first_pair)  # separately, because it compiles the program that the others run
    with futures.ThreadPoolExecutor(training_queue.default_num_threads()) as pool:
        for done, _ in enumerate(pool.map(measure, *zip(*pairs)), start=2):
            if done % (10 * args.num_trainings) == 0:
                seconds = time.process_time() - start
                print(f"{done} trainings alone in {seconds:.0f} s of processor time", flush=True)
    mean, sizes = accuracies.mean(axis=1), shared.num_params(archs)
    print(f"stand-alone accuracy: {described(mean)}")
    print(f"tau of scores on shared weights: {interval(evaluation.fitness, mean)}")
    print(f"tau of the number of parameters: {interval(sizes, mean)}")
    if args.num_trainings > 1:
        print(f"tau of two trainings alone: {interval(accuracies[:, 0], accuracies[:, 1])}")
    if args.output:
        record = {"scores": evaluation.fitness.tolist(), "alone": accuracies.tolist(), "num_params": sizes.tolist()}
        with open(args.output, "w") as file:
            json.dump(record, file)


def judge(args: flags.FlagValues) -> None:
    """Judges shared weights, costs and zero-cost scores by published accuracies; prints and writes the results."""
    archs, accuracies = ranking_truth.networks(args.truth, args.data_dir, args.num_archs, args.seed)
    known = ranking_truth.known(args.known, archs) if args.known else {}
    for name in args.zero_cost:
        configs.one_of("zero-cost score", name, [*zero_cost_config.SCORES, *known])
    partners = [names.split(",") for names in args.partners]
    shared = ["shared_weights"] if args.supernet or args.shared_epochs else []
    for name in itertools.chain.from_iterable(partners):
        configs.one_of("partner", name, (*shared, *costs.NAMES, *args.zero_cost))
    start, found = time.process_time(), {}
    if args.supernet:
        run, params = supernet.load(args.supernet, args.data_dir)
        configs.one_of(f"space of the shared weights for --truth={args.truth}", run.space.name, [args.truth])
    elif args.shared_epochs:
        run = make_run(args, images.load(args.dataset, args.data_dir), args.shared_epochs)
        first = jax.jit(lambda key: run.steps.init(key, run.images.shape))
        params = states.averaged(train(run, first, run.keys, run.draw()))["params"]
    record = {"truth": args.truth, "networks": len(archs), "seed": args.seed, "flags": args.flag_values_dict()}
    if shared:
        record["training_seconds"] = time.process_time() - start
        num_scored = args.num_scored or min(_MOST_SCORED, len(run.parts["validation"].labels))
        config = supernet_config.Scoring(statistics=args.statistics, num_images=num_scored)
        evaluation = scores.of(run, params, config).evaluate(jax.random.key(0), archs)
        found["shared_weights"] = np.where(evaluation.ok, evaluation.fitness, np.nan)
        record["about"] = dict(run.about)
    found |= ranking_truth.costs_of(args.truth, archs)
    found |= {name: known[name] for name in args.zero_cost if name in known}
    if missing := [name for name in args.zero_cost if name not in known]:
        config = zero_cost_config.Config(num_cells=args.num_cells, width=args.width, init_seed=args.seed)
        _, score = zero_cost.scorer(args.truth, config, dataset=args.dataset, data_dir=args.data_dir)
        found |= {name: score(name, archs) for name in missing}
    found |= {" + ".join(names): ranking_truth.average_rank([found[name] for name in names]) for names in partners}
    record["processor_seconds"] = time.process_time() - start
    record["scores"] = ranking_truth.judge(found, accuracies)
    print(f"{args.truth}: {len(archs):,} networks, {record['processor_seconds']:.0f} s of processor time")
    print("\n".join(ranking_truth.lines(record["scores"])))
    if args.costs:
        np.savez(args.costs, arch=archs, **{name: one for name, one in found.items() if name.isidentifier()})
    if args.output:
        values = {name: np.where(np.isfinite(one), one, None).tolist() for name, one in found.items()}
        record |= {"archs": archs.tolist(), "accuracies": accuracies.tolist(), "values": values}
        with open(args.output, "w") as file:
            json.dump(record, file)


def make_run(args: flags.FlagValues, dataset: images.Dataset, num_epochs: int) -> supernet.Run:
    """Returns a training run of `num_epochs` epochs with the other settings of the preset."""
    changes = supernet_config.Training(
        preset=args.preset,
        num_epochs=num_epochs,
        num_cells=args.num_cells or (None if args.truth else 3),
        width=args.width or (None if args.truth else 8),
        batch_size=args.batch_size,
        learning_rate=args.learning_rate,
        sampling=args.sampling,
    )
    space = args.truth or args.space
    preset = supernet_presets.adapted(changes, space, num_classes=dataset.num_classes)
    about = supernet.describe(space, args.dataset, preset, num_images=args.num_images, seed=args.seed)
    return supernet.build(about, args.data_dir)


def train(run: supernet.Run, first: Any, keys: states.Keys, draw: jax.tree_util.Partial) -> states.State:
    """Returns the final state of a training from the initial parameters `first(key)`."""
    state = first(keys.init)
    chunks = loop.train(run.steps, state, keys, run.data("train"), run.config, draw=draw)
    return collections.deque(chunks, maxlen=1)[0][0]


def described(values: np.ndarray) -> str:
    """Returns mean, standard deviation and range as text, in percent."""
    values = 100 * np.asarray(values)
    return f"{values.mean():.1f} % (sd {values.std(ddof=1):.1f}, from {values.min():.1f} to {values.max():.1f})"


def interval(first: np.ndarray, second: np.ndarray) -> str:
    """Returns Kendall's tau-b of two arrays, with its confidence interval, as text."""
    found = intervals.kendall_tau(first, second)
    return f"{found.center:.3f} (95 %: {found.low:.3f} to {found.high:.3f})"


if __name__ == "__main__":
    _define_flags()
    app.run(main)
