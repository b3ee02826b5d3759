"""Members of elastic weights: their front, gaps to training from scratch, searches under a limit, and time of a step.

    python -m launch.train_supernet --space=ofa_mobile --preset=ofa_mobile_cifar --dataset=my.npz --workdir=runs/mobile
    python -m benchmarks.elastic_members --supernet=runs/mobile --output=members.jsonl
    python -m benchmarks.elastic_members --supernet=runs/mobile --output=members.jsonl --stages=searches --num_seeds=5

Stages, each of which appends its records to --output and leaves out those that are there:

* front: a search of NSGA-II for fitness and multiply-adds; test accuracies of points of its front, and of the smallest
  and the largest network, with the member's own statistics of norms, and with those of the largest (not recalibrated);
* alone: the points of the front nearest to --points million multiply-adds, trained from scratch for as many steps;
* searches: searches under --limit, with the test accuracy of the best of each;
* step: processor seconds of a step of four architectures, and of the four networks alone, at their own resolutions.
"""

import collections
import functools
import json
import os
import pathlib
import time
from collections.abc import Iterator, Sequence
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
from absl import app, flags

from common import compilation, fronts, in_turn, search, types
from common import config as config_lib
from common import objectives as objectives_lib
from common.networks import elastic, mobile_elastic
from common.runs import shared_weights
from common.supernets import config as configs
from common.supernets import sampling, scoring, training
from common.training import loop
from common.training import state as states
from common.training import step as step_lib
from launch import algorithms

_STAGES = ("front", "alone", "searches", "step")
_OBJECTIVES = ("fitness", "-macs")
_BATCH = 500  # images, for test accuracies
_LARGEST = "largest"


def _define_flags():
    flags.DEFINE_string("supernet", None, "folder of launch.train_supernet", required=True)
    flags.DEFINE_string("output", None, "file of records, a JSON object a line", required=True)
    flags.DEFINE_string("data_dir", os.environ.get("NAS_DATA_DIR"), "see common.datasets.images.load")
    flags.DEFINE_list("stages", list(_STAGES[:3]), f"some of {', '.join(_STAGES)}; alone needs the front")
    flags.DEFINE_integer("num_scored", 500, "held-out images to score on", lower_bound=1)
    flags.DEFINE_integer("num_calibration", 2, "batches of 250 images for the statistics of norms", lower_bound=1)
    flags.DEFINE_integer("front_budget", 200, "networks that the search of the front scores", lower_bound=20)
    flags.DEFINE_integer("front_points", 8, "points of the front to test", lower_bound=1)
    flags.DEFINE_list("points", ["1.2", "2.5", "5"], "million multiply-adds of the members to train from scratch")
    flags.DEFINE_list("limit", ["macs<=3e6"], "of the searches")
    flags.DEFINE_list("algorithms", ["lanas", "nao", "nsga2", "random"], "as launch.study takes them")
    flags.DEFINE_integer("budget", 60, "networks that each of these searches scores", lower_bound=1)
    flags.DEFINE_integer("num_seeds", 5, "searches of each algorithm", lower_bound=1)


def main(argv: Sequence[str]) -> None:
    """Runs the stages."""
    del argv
    args = flags.FLAGS
    for stage in args.stages:
        config_lib.one_of("stage", stage, _STAGES)
    compilation.enable_cache(None)
    scored = configs.Scoring(
        num_images=args.num_scored, batch_size=250, statistics="recalibrated", num_calibration=args.num_calibration
    )
    settings = shared_weights.Settings(
        weights=args.supernet, data_dir=args.data_dir, scoring=scored, limit=tuple(args.limit)
    )
    weights = shared_weights.prepared(settings, seed=0)
    records = Records(pathlib.Path(args.output))
    for stage in args.stages:
        {"front": front, "alone": alone, "searches": searches, "step": step}[stage](args, settings, weights, records)


class Records:
    """The records of a file: a stage, a name within it, and values."""

    def __init__(self, path: pathlib.Path):
        self._path = path
        lines = path.read_text().splitlines() if path.exists() else []
        self.found = {(one["stage"], one["name"]): one for one in map(json.loads, lines)}

    def add(self, stage: str, name: str, **values: Any) -> None:
        """Appends a record, and prints it but for the architecture."""
        record = self.found[stage, name] = {"stage": stage, "name": name, **values}
        with open(self._path, "a") as file:
            print(json.dumps(record), file=file)
        print({key: value for key, value in record.items() if key != "arch"}, flush=True)

    def of(self, stage: str) -> Iterator[dict[str, Any]]:
        """Yields the records of a stage."""
        return (one for (at, _), one in self.found.items() if at == stage)


def front(args: flags.FlagValues, settings: shared_weights.Settings, weights: Any, records: Records) -> None:
    """Searches for the front and tests points of it."""
    run, params = weights.run, weights.params
    if ("front", _LARGEST) in records.found:  # the last one
        return
    evaluator = scoring.of(run, params, settings.scoring)
    history = _searched(_searcher("nsga2", evaluator), evaluator, args.front_budget, seed=1000)
    values = np.asarray(objectives_lib.values(history))
    rows = np.flatnonzero(fronts.non_dominated(values))
    points = history.archs[rows[fronts.spread(values[rows], args.front_points)]]
    largest, smallest = np.asarray(elastic.FAMILIES[run.space.name].extremes(history.archs[:2]))
    statistics = _statistics(run, params, largest, settings)
    each = [(str(number), arch) for number, arch in enumerate(points[np.argsort(run.costs["macs"](points))])]
    for name, arch in (("smallest", smallest), *each, (_LARGEST, largest)):
        tested = _tested(run, params, arch, settings)
        score = float(evaluator.evaluate(jax.random.key(0), arch[None]).fitness[0])
        before = _accuracy(run, params, statistics, arch)
        described = run.space.describe(arch)
        values = {"described": described, "validation": score, **tested, "before": before}
        records.add("front", name, arch=arch.tolist(), **values)


def alone(args: flags.FlagValues, settings: shared_weights.Settings, weights: Any, records: Records) -> None:
    """Trains members from scratch, for as many steps as the shared weights."""
    run, points = weights.run, list(records.of("front"))
    for wanted in map(float, args.points):
        point = min(points, key=lambda one: abs(one["macs"] - 1e6 * wanted))
        if ("alone", point["name"]) in records.found:
            continue
        arch, start = np.array(point["arch"], np.int32), time.process_time()
        chunks = loop.train(
            run.steps,
            run.init(),
            run.keys,
            run.data("train"),
            run.config,
            most=125,
            draw=sampling.from_pool(arch[None]),
        )
        state = collections.deque(chunks, maxlen=1)[0][0]
        tested = _tested(run, states.averaged(state)["params"], arch, settings)
        seconds = time.process_time() - start
        records.add("alone", point["name"], arch=point["arch"], **tested, steps=run.num_steps, seconds=seconds)


def searches(args: flags.FlagValues, settings: shared_weights.Settings, weights: Any, records: Records) -> None:
    """Searches the networks within the limit, with each algorithm and seed."""
    evaluator = shared_weights.evaluator(settings, weights, shared_weights.searched_space(settings, weights.run))
    searchers = {name: _searcher(name, evaluator) for name in args.algorithms}  # each compiles once
    for seed in range(args.num_seeds):
        for name in args.algorithms:
            if ("searches", f"{name}/{seed}") in records.found:
                continue
            start = time.process_time()
            history = _searched(searchers[name], evaluator, args.budget, seed=seed)
            fitness = np.where(history.status == types.MEASURED, history.fitness, -np.inf)
            arch = np.asarray(history.archs[np.argmax(fitness)])
            records.add(
                "searches",
                f"{name}/{seed}",
                arch=arch.tolist(),
                validation=float(fitness.max()),
                mean=float(fitness[np.isfinite(fitness)].mean()),
                **_tested(weights.run, weights.params, arch, settings),
                seconds=time.process_time() - start,
            )


def _searcher(name: str, evaluator: types.Evaluator) -> types.Searcher:
    """Returns a search algorithm; NSGA-II for fitness and multiply-adds, others for fitness."""
    chosen = {"objectives": objectives_lib.among(_OBJECTIVES, evaluator.costs, ())} if name == "nsga2" else {}
    return in_turn.configured(algorithms.get(name), evaluator.space, **chosen)


def _searched(searcher, evaluator, budget, *, seed):
    """Returns the history of a search, of NumPy arrays."""
    history = search.run_search(jax.random.key(seed), searcher, evaluator, budget=budget)
    return jax.tree.map(np.asarray, history)


def _tested(run: training.Run, params: Any, arch: np.ndarray, settings: shared_weights.Settings) -> dict[str, float]:
    """Returns the costs of an architecture, and its test accuracy with statistics of its own."""
    costs = {name: int(cost(arch[None])[0]) for name, cost in run.costs.items()}
    return {**costs, "test": _accuracy(run, params, _statistics(run, params, arch, settings), arch)}


def _statistics(run, params, arch, settings):
    """Returns the statistics of norms of an architecture on training images."""
    images = jnp.asarray(scoring.calibration_images(run, settings.scoring))
    return _collected(run.network, run.inputs, params, images, jnp.asarray(arch, jnp.int32))


_collected = jax.jit(scoring.collected, static_argnames=("network", "inputs"))


def _accuracy(run, params, batch_stats, arch):
    """Returns the accuracy on the test images with given statistics of norms."""
    variables, data, right = {"params": params, "batch_stats": batch_stats}, run.data("test"), 0
    num = len(data.labels)
    for first in range(0, num, _BATCH):  # the rest is a smaller batch
        batch = data.images[first : first + _BATCH], data.labels[first : first + _BATCH]
        right += int(_num_right(run.network, run.inputs, variables, jnp.asarray(arch, jnp.int32), *batch))
    return right / num


@functools.partial(jax.jit, static_argnames=("network", "inputs"))
def _num_right(network: Any, inputs: step_lib.Inputs, variables: Any, arch, images, labels) -> chex.Array:
    logits = network.apply(variables, inputs.normalize(images), arch=arch, train=False, statistics="given").main
    return jnp.sum(step_lib.is_right(logits, labels)[0])


def step(args: flags.FlagValues, settings: shared_weights.Settings, weights: Any, records: Records) -> None:
    """Measures a step of four architectures of one sample, and the steps of the four networks alone."""
    del args, settings
    if any(records.of("step")):
        return
    run = weights.run
    archs = np.asarray(run.draw()(jax.random.key(0), jnp.int32(0)))
    batch = (run.data("train").images[: run.config.batch_size], run.data("train").labels[: run.config.batch_size])
    records.add("step", "elastic", **_timed(run.steps, run.init(), run.keys.step, *batch, archs))
    for arch in archs:
        side = int(mobile_elastic.sizes(run.images.shape[0])[arch[0]])
        steps = step_lib.steps(
            run.stand_alone(arch), run.config, run.inputs, num_classes=run.num_classes, num_images=len(batch[1])
        )
        state = steps.init(run.keys.init, (side, side, run.images.shape[2]))
        timed = _timed(steps, state, run.keys.step, batch[0][:, :side, :side], batch[1])
        records.add("step", run.space.describe(arch), **timed, macs=int(run.costs["macs"](arch[None])[0]))


def _timed(steps, state, key, *batch):
    """Returns processor seconds of compiling a step, and the median of those of seven steps."""
    start = time.process_time()
    program = jax.jit(steps.train).lower(key, state, *batch).compile()
    compiled, seconds = time.process_time() - start, []
    for _ in range(8):
        start = time.process_time()
        jax.block_until_ready(program(key, state, *batch))
        seconds.append(time.process_time() - start)
    return {"compile_seconds": compiled, "seconds": float(np.median(seconds[1:]))}


if __name__ == "__main__":
    _define_flags()
    app.run(main)
