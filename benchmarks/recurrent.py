"""Words per second in training a recurrent language model: NAO's cell, and a step of the shared weights.

A step is forward, backward, clipping and SGD on one text segment. The reference is plain PyTorch, one node after the
other; for the shared weights, it uses the blocks of one architecture, as the released program does. A test copies
parameters and compares losses and gradients. Both sides alternate.

    python -m benchmarks.recurrent
    python -m benchmarks.recurrent --width=850 --vocabulary_size=10000 --batch_size=64 --repeats=3
    python -m benchmarks.recurrent --what=supernet --width=300 --batch_size=256 --repeats=3
"""

import dataclasses
import functools
import os
import time
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
import torch
from absl import app, flags

from benchmarks import recurrent_torch
from common.genotypes import conversion, published
from common.language import config as configs
from common.language import recurrent
from common.language import step as language_step

WHATS = ("cell", "supernet")
CLOCKS = {"wall": time.perf_counter, "processor": time.process_time}


def _define_flags():
    flags.DEFINE_multi_enum("what", list(WHATS), WHATS, "network to train; repeat for several")
    flags.DEFINE_integer("width", 200, "size of embeddings and states", lower_bound=1)
    flags.DEFINE_integer("vocabulary_size", 2000, "words in the vocabulary", lower_bound=2)
    flags.DEFINE_integer("batch_size", 64, "sequences per batch", lower_bound=1)
    flags.DEFINE_integer("bptt", 35, "words per segment", lower_bound=1)
    flags.DEFINE_integer("repeats", 5, "repetitions of each side", lower_bound=1)
    flags.DEFINE_integer("num_threads", os.cpu_count(), "threads of the reference", lower_bound=1)
    flags.DEFINE_enum("clock", "wall", list(CLOCKS), "'processor' is CPU time of all threads, for a busy machine")


def main(argv: Sequence[str]) -> None:
    """Runs the cases that the flags name and prints a table."""
    del argv
    args = flags.FLAGS
    torch.set_num_threads(args.num_threads)
    print(
        f"{os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}; jax {jax.__version__}, {jax.default_backend()}; ",
        end="",
    )
    print(f"torch {torch.__version__}, {args.num_threads} threads; {args.clock} time")
    config = make_config(args.width, args.batch_size, args.bptt)
    print("     what  ours words/s (best)  reference words/s (best)  ours / reference  compile s")
    for what in args.what:
        ours, reference, compile_seconds = measure(
            what, config, args.vocabulary_size, repeats=args.repeats, clock=CLOCKS[args.clock]
        )
        words = args.batch_size * args.bptt
        cells = [f"{words / np.median(times):,.0f} ({words / np.min(times):,.0f})" for times in (ours, reference)]
        ratio = np.median(reference) / np.median(ours)
        print(f"{what:>9} {cells[0]:>20} {cells[1]:>25} {ratio:17.2f} {compile_seconds:10.1f}", flush=True)
    print(f"load {os.getloadavg()[0]:.1f}")


def make_config(width: int, batch_size: int, bptt: int) -> configs.Config:
    """Returns NAO's settings on Penn Treebank, with segments of one length."""
    chunks = configs.Chunks(bptt=bptt, bptt_min=min(5, bptt), bptt_max=max(55, bptt), short_share=0, bptt_deviation=0)
    return dataclasses.replace(configs.Config(), width=width, batch_size=batch_size, chunks=chunks)


def make_network(what: str, config: configs.Config, vocabulary_size: int):
    """Returns (network, its architecture as data, or None)."""
    sizes = {"vocabulary_size": vocabulary_size, "width": config.width, "dropout": config.dropout}
    genotype = published.get("nao_ptb")
    if what == "cell":
        return recurrent.language_model(genotype, **sizes), None
    return recurrent.supernet(**sizes), jnp.asarray(conversion.to_arch(genotype, "nao_rnn"))


def measure(
    what: str, config: configs.Config, vocabulary_size: int, *, repeats: int, clock: Callable[[], float]
) -> tuple[np.ndarray, np.ndarray, float]:
    """Returns (seconds of our steps, of the reference's, of compiling our step)."""
    network, arch = make_network(what, config, vocabulary_size)
    length = config.chunks.bptt
    words = np.random.default_rng(0).integers(0, vocabulary_size, (length + 1, config.batch_size)).astype(np.int32)
    state = language_step.create(jax.random.key(0), network, config, arch=arch)
    start = clock()
    step = jax.jit(functools.partial(language_step.train, network, config.optimizer, bptt=length), donate_argnums=1)
    compiled = step.lower(jax.random.key(1), state, words, jnp.int32(length), arch).compile()
    compile_seconds = clock() - start
    reference = recurrent_torch.Model(what, config, vocabulary_size)
    hidden = torch.zeros(config.batch_size, config.width)
    optimizer = torch.optim.SGD(
        reference.parameters(), lr=config.optimizer.learning_rate, weight_decay=config.optimizer.weight_decay
    )
    torch_words = torch.from_numpy(words).long()
    ours, others = [], []
    for at in range(repeats + 1):
        key = jax.random.key(at)
        start = clock()
        state = jax.block_until_ready(compiled(key, state, words, jnp.int32(length), arch))
        middle = clock()
        recurrent_torch.train_step(reference, optimizer, torch_words, hidden, config)
        if at:  # the first one is warm-up
            ours.append(middle - start)
            others.append(clock() - middle)
    return np.array(ours), np.array(others), compile_seconds


if __name__ == "__main__":
    _define_flags()
    app.run(main)
