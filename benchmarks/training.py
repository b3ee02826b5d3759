"""Images per second of a child network, compared with the same network in plain PyTorch.

A training step is forward, backward, clipping and SGD; "forward" is evaluation with running statistics. Images are
random and on the device, without augmentation. The reference (`benchmarks.training_torch`, channels last, not
compiled) has the same weights in a test. On a GPU both compute in bfloat16, PyTorch with torch.autocast.

    python -m benchmarks.training --network=naonet_a_36 --batch_size=128
    python -m benchmarks.training --network=lanet_36 --batch_size=96
    python -m benchmarks.training --network=naonet_a_36 --num_cells=5 --width=8 --batch_size=32 --repeats=3
"""

import dataclasses
import os
import time
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
import torch
from absl import app, flags
from torch import nn
from torch.nn import functional

from benchmarks import child_step, training_torch
from common.networks import child, counting

PROGRESS = 0.5
AUXILIARY_WEIGHT, CLIP_NORM = 0.4, 5.0
_CLOCKS = {"wall": time.perf_counter, "processor": time.process_time}
_WIDTHS = (10, 22, 22, 8, 11, 18)


def _define_flags():
    flags.DEFINE_enum("network", "naonet_a_36", list(child_step.NETWORKS), "which network")
    flags.DEFINE_integer("num_cells", None, "cells in all; by default as published", lower_bound=3)
    flags.DEFINE_integer("width", None, "channels of the first cell; by default as published", lower_bound=1)
    flags.DEFINE_integer("batch_size", 128, "images a step", lower_bound=1)
    flags.DEFINE_integer("repeats", 10, "repetitions of each side, in turns", lower_bound=1)
    flags.DEFINE_integer("num_threads", os.cpu_count(), "threads of the reference on CPU", lower_bound=1)
    flags.DEFINE_enum("clock", "wall", list(_CLOCKS), "'processor' sums over threads, and suits a busy machine")


def main(argv: Sequence[str]) -> None:
    """Measures both sides alternately and prints a table."""
    del argv
    args = flags.FLAGS
    torch.set_num_threads(args.num_threads)
    genotype, config = child_step.network(args.network, num_cells=args.num_cells, width=args.width)
    on_gpu = jax.default_backend() == "gpu"
    config = dataclasses.replace(config, dtype="bfloat16" if on_gpu else "float32")
    num_params, _ = counting.num_params(child.Network(genotype, config), (child_step.SIZE, child_step.SIZE, 3))
    print(
        f"{args.network}: {config.num_cells} cells, width {config.width}, {num_params:,} parameters, batch "
        f"{args.batch_size}, {config.dtype}; {jax.devices()[0].device_kind}, {os.cpu_count()} CPUs, load "
        f"{os.getloadavg()[0]:.1f}; jax {jax.__version__}, torch {torch.__version__}"
    )
    print(f"images a second of {args.clock} time, median of {args.repeats} (best)")
    _print_row(("what", "ours", "reference", "ratio", "compile s", "peak MiB (ref.)"))
    ours = child_step.our_side(genotype, config, batch_size=args.batch_size)
    reference = reference_side(genotype, config, batch_size=args.batch_size)
    for name in ("forward", "training"):
        times = _measure(ours.run[name], reference.run[name], args.repeats, _CLOCKS[args.clock])
        rates = args.batch_size / times
        _print_row(
            (
                name,
                *(f"{np.median(rate):,.1f} ({rate.max():,.1f})" for rate in rates),
                f"{np.median(rates[0]) / np.median(rates[1]):.2f}",
                f"{ours.compile_seconds[name]:.1f}",
                f"{_mebibytes(ours.peak_bytes[name]())} ({_mebibytes(reference.peak_bytes[name]())})",
            )
        )
    print(f"load {os.getloadavg()[0]:.1f}")


def reference_side(
    genotype: Any, config: child.Config, *, batch_size: int, is_compiled: bool = False
) -> child_step.Side:
    """Returns the reference, on request compiled by `torch.compile`."""
    device = torch.device("cuda" if torch.cuda.is_available() and jax.default_backend() == "gpu" else "cpu")
    dtype = torch.bfloat16 if device.type == "cuda" else None
    made = training_torch.Network(genotype, config).to(device, memory_format=torch.channels_last)
    made = torch.compile(made) if is_compiled else made
    optimizer = torch.optim.SGD(made.parameters(), lr=0.025, momentum=0.9, weight_decay=3e-4)
    images, labels = child_step.batch(batch_size)
    pixels = (torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255 - 0.5) / 0.25
    pixels = pixels.to(device).contiguous(memory_format=torch.channels_last)
    labels = torch.from_numpy(labels).long().to(device)

    def synchronize():
        if device.type == "cuda":
            torch.cuda.synchronize()

    def forward():
        made.eval()
        with torch.no_grad(), torch.autocast(device.type, dtype, enabled=dtype is not None):
            made(pixels)
        synchronize()

    def train():
        made.train()
        torch_step(made, optimizer, pixels, labels, progress=PROGRESS, dtype=dtype)
        synchronize()

    def peak():
        return torch.cuda.max_memory_allocated() if device.type == "cuda" else None

    return child_step.Side({"forward": forward, "training": train}, {}, {"forward": peak, "training": peak})


def torch_step(
    made: nn.Module,
    optimizer: torch.optim.Optimizer,
    images: torch.Tensor,
    labels: torch.Tensor,
    *,
    progress: float,
    dtype: torch.dtype | None = None,
    given: tuple = (),
    set_to_none: bool = True,
) -> None:
    """Runs one training step of the reference.

    Args:
      made: the network.
      optimizer: of its parameters.
      images: float[B, C, H, W].
      labels: int64[B].
      progress: the fraction of training done.
      dtype: of autocast, or None.
      given: further inputs of the network.
      set_to_none: whether unused parameters have no gradient, so that the optimizer skips them, or a zero one.
    """
    with torch.autocast(images.device.type, dtype, enabled=dtype is not None):
        logits, auxiliary = made(images, progress, *given)
    loss = functional.cross_entropy(logits.float(), labels)
    if auxiliary is not None:
        loss = loss + AUXILIARY_WEIGHT * functional.cross_entropy(auxiliary.float(), labels)
    optimizer.zero_grad(set_to_none=set_to_none)
    loss.backward()
    nn.utils.clip_grad_norm_(made.parameters(), CLIP_NORM)
    optimizer.step()


def _measure(ours, reference, repeats, clock):
    """Returns float[2, repeats], seconds of both, run alternately after warm-up."""

    def seconds(run):
        start = clock()
        run()
        return clock() - start

    ours(), reference()
    return np.array([[seconds(ours), seconds(reference)] for _ in range(repeats)]).T


def _mebibytes(count):
    return "-" if count is None else f"{count / 2**20:,.0f}"


def _print_row(cells):
    print("".join(str(cell).rjust(width) for cell, width in zip(cells, _WIDTHS, strict=True)), flush=True)


if __name__ == "__main__":
    _define_flags()
    app.run(main)
