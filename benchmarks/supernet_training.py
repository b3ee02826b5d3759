"""Training steps on shared weights, and scoring, compared with plain PyTorch that runs only the sampled operations.

A training step is forward, backward, clipping, and SGD with momentum and L2 over all parameters, without augmentation.
Scoring is the accuracy of each architecture on one batch. The reference (`benchmarks.supernet_torch`) starts from the
same weights and uses the same architectures and images. Its optimizer updates all parameters, as ours does. "lazy" is
PyTorch's default of not updating what an architecture does not use, which is a different algorithm: momentum and L2
penalty of a weight are suspended until it is used again.

    python -m benchmarks.supernet_training
    OMP_NUM_THREADS=1 taskset -c 0 python -m benchmarks.supernet_training --clock=processor --num_threads=1 \
        --preset=lanas_oneshot --num_cells=3 --width=8 --batch_size=16
"""

import os
import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from absl import app, flags

try:
    import torch
except ModuleNotFoundError as error:
    raise ModuleNotFoundError("this compares with PyTorch: install the extra [bench], or torch>=2.5") from error

from benchmarks import supernet as shared
from benchmarks import supernet_torch, training
from common import spaces
from common.networks import supernet
from common.training import state as states

_CLOCKS = {"wall": time.perf_counter, "processor": time.process_time}
_SIDES = ("ours", "reference", "lazy")


def _define_flags():
    flags.DEFINE_enum("preset", "nao_v2", list(supernet_torch.SPACES), "settings of the network, and so the space")
    flags.DEFINE_integer("num_cells", None, "cells in all; by default as in the preset", lower_bound=3)
    # oneDNN's gradient of strided 1x1 kernels on fewer channels, channels last, is wrong (oneDNN #6035).
    flags.DEFINE_integer("width", None, "channels of the first cell, 8 or more; likewise", lower_bound=8)
    flags.DEFINE_integer("image_size", 32, "pixels", lower_bound=4)
    flags.DEFINE_integer("batch_size", 64, "images a step", lower_bound=2)
    flags.DEFINE_integer("num_archs", 5, "random architectures", lower_bound=1)
    flags.DEFINE_integer("seed", 0, "of the architectures")
    flags.DEFINE_integer("repeats", 3, "steps of each side and architecture, in turns, after one", lower_bound=1)
    flags.DEFINE_integer("num_threads", len(os.sched_getaffinity(0)), "threads of the reference", lower_bound=1)
    flags.DEFINE_bool("channels_last", True, "how the reference lays its images out")
    flags.DEFINE_enum("clock", "wall", list(_CLOCKS), "'processor' sums over threads, and suits a busy machine")


def main(argv: Sequence[str]) -> None:
    """Measures all sides alternately and prints the results."""
    del argv
    args = flags.FLAGS
    torch.set_num_threads(args.num_threads)
    clock, space = _CLOCKS[args.clock], supernet_torch.SPACES[args.preset]
    config = shared.network_config(args.preset, num_cells=args.num_cells, width=args.width)
    archs = np.asarray(spaces.get(space).sample(jax.random.key(args.seed), args.num_archs), np.int32)
    images, labels = shared.batch(args.batch_size, (args.image_size, args.image_size, 3))
    network = supernet.Network(space, config)
    params, train, seconds = our_training(network, images, labels, archs[0])
    num_params = sum(leaf.size for leaf in jax.tree.leaves(params))
    print(
        f"{space}: {config.num_cells} cells, width {config.width}, {num_params:,} shared parameters, batch "
        f"{args.batch_size}, images {images.shape[1:]}; {jax.devices()[0].device_kind}, load {os.getloadavg()[0]:.1f}\n"
        f"jax {jax.__version__} on {len(os.sched_getaffinity(0))} cores, torch {torch.__version__} with "
        f"{args.num_threads} threads, {'channels last' if args.channels_last else 'channels first'}; seconds of "
        f"{args.clock} time, medians of {args.repeats}"
    )
    layout = torch.channels_last if args.channels_last else torch.contiguous_format
    _score(network, params, images, labels, archs, layout=layout, repeats=args.repeats, clock=clock)
    print(f"training step: ours compiled in {seconds:.1f} s", flush=True)
    lazy = (False, True)
    sides = [train, *(reference_training(network, params, images, labels, layout=layout, is_lazy=is_) for is_ in lazy)]
    times = np.array([_step(at, sides, arch, args.repeats, clock) for at, arch in enumerate(archs)]).T
    for name, reference in zip(_SIDES[1:], times[1:]):
        ratios = reference / times[0]
        print(
            f"training step beside {name}: ratio of throughput {np.sum(reference) / np.sum(times[0]):.2f} "
            f"({ratios.min():.2f} to {ratios.max():.2f}); ours {times[0].mean():.3f} s, {name} {reference.mean():.3f} s"
        )
    print(f"load {os.getloadavg()[0]:.1f}")


def our_training(network: supernet.Network, images: np.ndarray, labels: np.ndarray, arch: np.ndarray) -> tuple:
    """Returns (initial parameters, arch -> the parameters after one more step, seconds of compiling it)."""
    steps = shared.make_steps(network, len(images), arch, augment="none")
    keys = states.keys(jax.random.key(0))
    state = steps.init(keys.init, images.shape[1:])
    params = jax.tree.map(jnp.copy, state.params)
    images, labels = map(jax.device_put, (images, labels))
    seconds, program = shared.compiled(steps.train, keys.step, state, images, labels, arch)

    def train(arch):
        nonlocal state
        state, _ = jax.block_until_ready(program(keys.step, state, images, labels, arch))
        return state.params

    return params, train, seconds


def reference_training(
    network: supernet.Network,
    params: Any,
    images: np.ndarray,
    labels: np.ndarray,
    *,
    layout: torch.memory_format,
    is_lazy: bool,
) -> Callable[[np.ndarray], supernet_torch.Network]:
    """Returns arch -> the reference after one more step, starting from our weights; see above for `is_lazy`."""
    made = _reference(network, params, layout)
    optimizer = torch.optim.SGD(made.parameters(), lr=0.025, momentum=0.9, weight_decay=3e-4)
    pixels = _pixels((images / 255 - shared.MEAN) / shared.STD, layout)
    targets = torch.from_numpy(labels).long()
    for parameter in made.parameters():
        parameter.grad = torch.zeros_like(parameter)

    def train(arch):
        given = (supernet_torch.branches(network.space, arch),)
        progress = training.PROGRESS
        training.torch_step(made, optimizer, pixels, targets, progress=progress, given=given, set_to_none=is_lazy)
        return made

    return train


def our_scoring(network: supernet.Network, params: Any, images: np.ndarray, labels: np.ndarray, archs: np.ndarray):
    """Returns () -> float[N], accuracies of the architectures, and the seconds of compiling it."""
    arguments = jax.device_put((params, archs, images, labels))
    start = time.perf_counter()
    program = jax.jit(shared.scorer(network)).lower(*arguments).compile()
    return lambda: np.asarray(program(*arguments)), time.perf_counter() - start


def reference_scoring(
    network: supernet.Network,
    params: Any,
    images: np.ndarray,
    labels: np.ndarray,
    archs: np.ndarray,
    *,
    layout: torch.memory_format,
) -> Callable[[], np.ndarray]:
    """Returns () -> float[N], accuracies of the architectures in the reference with our weights."""
    made = _reference(network, params, layout).eval()
    pixels, targets = _pixels(images / 255, layout), torch.from_numpy(labels)

    @torch.no_grad()
    def score():
        found = [made(pixels, 0.0, supernet_torch.branches(network.space, arch))[0].argmax(1) for arch in archs]
        return np.array([float((best == targets).float().mean()) for best in found])

    return score


def _reference(network, params, layout):
    made = supernet_torch.Network(network.space, network.config)
    supernet_torch.copy(made, params)
    return made.to(memory_format=layout)


def _pixels(images, layout):
    return torch.from_numpy(images.astype(np.float32)).permute(0, 3, 1, 2).contiguous(memory_format=layout)


def _score(network, params, images, labels, archs, *, layout, repeats, clock):
    """Prints the number of architectures scored per second."""
    ours, seconds = our_scoring(network, params, images, labels, archs)
    reference = reference_scoring(network, params, images, labels, archs, layout=layout)
    difference = np.max(np.abs(ours() - reference()))
    rates = [len(archs) / np.median(side) for side in _in_turns((ours, reference), repeats, clock)]
    print(
        f"scoring: ratio of throughput {rates[0] / rates[1]:.2f}; ours {rates[0]:.2f} architectures a second, "
        f"reference {rates[1]:.2f} (ours compiled in {seconds:.1f} s; accuracies differ by at most {difference:.3f})",
        flush=True,
    )


def _step(at, sides, arch, repeats, clock):
    """Returns the seconds of a step of each side, and prints them."""
    runs = [lambda side=side: side(arch) for side in sides]
    for run in runs:
        run()
    found = np.median(_in_turns(runs, repeats, clock), axis=1)
    texts = [f"{name} {seconds:.3f} s" for name, seconds in zip(_SIDES, found)]
    print(f"{at:3d}  " + "  ".join(texts) + f"  ratio {found[1] / found[0]:.2f}", flush=True)
    return found


def _in_turns(runs, repeats, clock):
    """Returns float[runs, repeats], seconds of each, run alternately."""

    def seconds(run):
        start = clock()
        run()
        return clock() - start

    return np.array([[seconds(run) for run in runs] for _ in range(repeats)]).T


if __name__ == "__main__":
    _define_flags()
    app.run(main)
