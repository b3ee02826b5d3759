"""Time of NAO's controller: an epoch of its training, and a step of gradient ascent with decoding.

Networks and settings are those of NAO on NAS-Bench-101 in SemiNAS's experiments; the architectures are synthetic. The
reference is plain PyTorch: `torch.nn.LSTM`, the same losses, dropout, clipping, Adam and weight decay. A test copies
parameters and compares outputs. Both sides alternate. Several seeds are one program that runs them sequentially on each
CPU core, as `launch.study --seeds_at_once=CORES` does; times are per seed.

    python -m benchmarks.nao_controller
"""

import dataclasses
import functools
import os
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from absl import app, flags

from nao_jax import ascent, presets, training
from nao_jax import config as configs
from nao_jax import model as models

try:
    import torch

    from benchmarks import nao_torch
except ModuleNotFoundError:  # our side can be measured without
    torch = nao_torch = None

CONFIG = dataclasses.replace(presets.PRESETS["nao_nasbench101"], num_steps=1)
NUM_TOKENS, VOCABULARY_SIZE = 27, 7
CLOCKS = {"wall": time.perf_counter, "processor": time.process_time}
_OP_POSITIONS = (1, 4, 8, 13, 19, 26)
_HEADINGS = ("what", "seeds", "ours ms (best)", "reference ms (best)", "ours / reference", "compile s")
_WIDTHS = (8, 7, 20, 22, 18, 11)


class Problem(NamedTuple):
    """Architectures and prediction targets.

    Attributes:
      tokens: int32[N, T].
      targets: float32[N].
    """

    tokens: np.ndarray
    targets: np.ndarray


class Times(NamedTuple):
    """Seconds of each repetition of both sides, and of compiling our program."""

    ours: np.ndarray
    reference: np.ndarray
    compile_seconds: float


def _define_flags():
    flags.DEFINE_multi_integer("num_seeds", [1, 8, 32], "seeds trained at once; repeat for several", lower_bound=1)
    flags.DEFINE_integer("num_archs", 1100, "architectures of an epoch", lower_bound=1)
    flags.DEFINE_integer("batch_size", 100, "architectures of a minibatch, and of an ascent step", lower_bound=1)
    flags.DEFINE_integer("repeats", 15, "repetitions of each side, in turns", lower_bound=1)
    flags.DEFINE_integer(
        "num_threads", os.cpu_count(), "of the reference, and cores that our seeds share", lower_bound=1
    )
    flags.DEFINE_enum("clock", "wall", list(CLOCKS), "'processor' sums over threads, and suits a busy machine")


def main(argv: Sequence[str]) -> None:
    """Runs the cases that the flags name and prints a table."""
    del argv
    args = flags.FLAGS
    if torch is None:
        raise ModuleNotFoundError("this compares with PyTorch: install the extra [bench], or torch>=2.5")
    torch.set_num_threads(args.num_threads)
    jax.config.update("jax_num_cpu_devices", args.num_threads)
    print(
        f"{os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}; jax {jax.__version__}, {jax.default_backend()}; ",
        end="",
    )
    print(f"torch {torch.__version__}, {args.num_threads} threads")
    print(f"{args.clock} time, milliseconds a seed, median of {args.repeats} (best)")
    _print_row(_HEADINGS)
    problem = make_problem(args.num_archs, seed=0)
    for num_seeds in args.num_seeds:
        for name, run in (("epoch", measure_epoch), ("ascent", measure_ascent)):
            times = run(
                problem, num_seeds=num_seeds, batch_size=args.batch_size, repeats=args.repeats, clock=CLOCKS[args.clock]
            )
            _print_row(_cells(name, num_seeds, times))
    print(f"load {os.getloadavg()[0]:.1f}")


def make_problem(num_archs: int, *, seed: int) -> Problem:
    """Returns `num_archs` random legal token sequences, with standard normal targets."""
    rng = np.random.default_rng(seed)
    tokens = rng.integers(1, 3, size=(num_archs, NUM_TOKENS))
    tokens[:, _OP_POSITIONS] = rng.integers(3, 7, size=(num_archs, len(_OP_POSITIONS)))
    return Problem(tokens=tokens.astype(np.int32), targets=rng.normal(size=num_archs).astype(np.float32))


def legal_tokens() -> np.ndarray:
    """Returns bool[T, V, V]: edges are 1 or 2, operations 3 to 6, regardless of the previous token."""
    legal = np.zeros((NUM_TOKENS, VOCABULARY_SIZE, VOCABULARY_SIZE), bool)
    legal[:, :, 1:3] = True
    legal[_OP_POSITIONS, :, :] = np.arange(VOCABULARY_SIZE) >= 3
    return legal


def measure_epoch(
    problem: Problem, *, num_seeds: int, batch_size: int, repeats: int, clock: Callable[[], float] = time.perf_counter
) -> Times:
    """Times one pass over all architectures in shuffled minibatches."""
    config = dataclasses.replace(CONFIG, batch_size=batch_size)
    model, params, keys = make_model(), *first(num_seeds)
    state = jax.vmap(training.optimizer(config).init)(params)
    data = examples(problem)
    epoch = side_by_side(functools.partial(train_epoch, model, config=config), num_seeds, num_shared=1)
    compiled, compile_seconds = _compile(epoch, params, state, keys, data)
    reference = nao_torch.Model(CONFIG.model, VOCABULARY_SIZE)
    optimizer = torch.optim.Adam(reference.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)
    tokens, targets = torch.from_numpy(problem.tokens).long(), torch.from_numpy(problem.targets)
    return _measure(
        lambda: jax.block_until_ready(compiled(params, state, keys, data)),
        lambda: nao_torch.train_epoch(reference, optimizer, tokens, targets, config),
        num_seeds=num_seeds,
        repeats=repeats,
        clock=clock,
        compile_seconds=compile_seconds,
    )


def measure_ascent(
    problem: Problem, *, num_seeds: int, batch_size: int, repeats: int, clock: Callable[[], float] = time.perf_counter
) -> Times:
    """Times one step of gradient ascent of a batch of architectures, from encoding to decoding."""
    model, params, _ = make_model(), *first(num_seeds)
    tokens, legal = problem.tokens[:batch_size], legal_tokens()
    climb = side_by_side(functools.partial(encode_and_climb, model), num_seeds, num_shared=2)
    compiled, compile_seconds = _compile(climb, params, tokens, legal)
    reference = nao_torch.Model(CONFIG.model, VOCABULARY_SIZE).eval()
    torch_tokens, torch_legal = torch.from_numpy(tokens).long(), torch.from_numpy(legal)
    return _measure(
        lambda: jax.block_until_ready(compiled(params, tokens, legal)),
        lambda: nao_torch.encode_and_climb(reference, torch_tokens, torch_legal, step_size=CONFIG.step_size),
        num_seeds=num_seeds,
        repeats=repeats,
        clock=clock,
        compile_seconds=compile_seconds,
    )


def side_by_side(function: Callable, num_seeds: int, *, num_shared: int) -> Callable:
    """Returns `function` over several seeds, distributed over a number of devices that divides theirs.

    Its last `num_shared` arguments are common to all seeds, the others have a leading axis of seeds.
    """
    devices = jax.local_devices()
    while num_seeds % len(devices):
        devices.pop()
    mesh = jax.make_mesh((len(devices),), ("seeds",), (jax.sharding.AxisType.Auto,), devices=devices)
    by_seed, whole = jax.sharding.PartitionSpec("seeds"), jax.sharding.PartitionSpec()

    def part(*args):
        own, shared = args[: len(args) - num_shared], args[len(args) - num_shared :]
        return jax.lax.map(lambda own: function(*own, *shared), own)

    def run(*args):
        specs = (by_seed,) * (len(args) - num_shared) + (whole,) * num_shared
        return jax.shard_map(part, mesh=mesh, in_specs=specs, out_specs=by_seed, check_vma=False)(*args)

    return run


def make_model() -> models.Model:
    """Returns the networks of SemiNAS on NAS-Bench-101."""
    return models.Model(CONFIG.model, NUM_TOKENS, VOCABULARY_SIZE)


def first(num_seeds: int):
    """Returns (initial parameters, keys), each with a leading axis of `num_seeds`."""
    blank = jnp.zeros((1, NUM_TOKENS), jnp.int32)
    keys = jax.random.split(jax.random.key(0), (2, num_seeds))
    return jax.vmap(lambda key: make_model().init(key, blank, blank))(keys[0]), keys[1]


def examples(problem: Problem) -> training.Examples:
    """Returns the problem as training examples, all labelled."""
    count = len(problem.targets)
    return training.Examples(
        tokens=jnp.asarray(problem.tokens),
        features=jnp.zeros((count, 0)),
        targets=jnp.asarray(problem.targets),
        weights=jnp.ones((count,)),
    )


def train_epoch(model: models.Model, params, state, key: jax.Array, data: training.Examples, *, config: configs.Config):
    """Returns (parameters, optimizer state) after one epoch."""
    count = data.targets.shape[0]
    size = training.sizes(count, jnp.int32(count), 0, config)
    num_steps = training.num_minibatches(1, size.total, config)
    return training.fit(model, params, state, key, data, size, (), num_steps=num_steps, config=config)


def encode_and_climb(model: models.Model, params, tokens: jax.Array, legal: jax.Array) -> jax.Array:
    """Returns int32[B, T], the architectures decoded after one step of gradient ascent."""
    latent = model.apply(params, tokens, method="encode")
    return ascent.climb(model, params, latent, legal, config=CONFIG)[0, :, 0]


def _compile(function, *args):
    start = time.perf_counter()
    compiled = jax.jit(function).lower(*args).compile()
    return compiled, time.perf_counter() - start


def _measure(ours, reference, *, num_seeds, repeats, clock, compile_seconds):
    """Runs both once to warm up, then alternately."""

    def seconds(run):
        start = clock()
        run()
        return clock() - start

    ours(), reference()
    times = np.array([[seconds(ours) / num_seeds, seconds(reference)] for _ in range(repeats)])
    return Times(ours=times[:, 0], reference=times[:, 1], compile_seconds=compile_seconds)


def _print_row(cells):
    """Prints one line of the table immediately, so that an interrupted run shows its results."""
    print("".join(str(cell).rjust(width) for cell, width in zip(cells, _WIDTHS, strict=True)), flush=True)


def _cells(name, num_seeds, times):
    """One row of the table; the ratio is of the medians."""

    def milliseconds(seconds):
        return f"{1e3 * np.median(seconds):,.1f} ({1e3 * np.min(seconds):,.1f})"

    return (
        name,
        num_seeds,
        milliseconds(times.ours),
        milliseconds(times.reference),
        f"{np.median(times.ours) / np.median(times.reference):.2f}",
        f"{times.compile_seconds:.1f}",
    )


if __name__ == "__main__":
    _define_flags()
    app.run(main)
