"""Evaluators of recurrent cells: on shared weights, without training (NAO-WS), and by training each from scratch (NAO).

When training from scratch the cell is data, so one program trains all architectures. The fitness is that of the best
validation loss over all epochs, as in the released programs.
"""

import functools
import math
import os
import pathlib
import time
from collections.abc import Callable, Mapping
from typing import Any, Literal

import chex
import jax
import jax.numpy as jnp
import numpy as np

from common import compilation, spaces, types
from common import config as configs
from common.datasets import text
from common.executors import measuring
from common.language import config as language_config
from common.language import recurrent, segments, training
from common.language import step as steps
from common.spaces import nao_rnn

SCORES = {
    "all": "the whole validation text",
    "piece": "one segment of it, of bptt words, at a random position",
    "piece_released": "one segment from its first 1 / bptt, as the released program samples it by mistake",
}
Score = Literal[tuple(SCORES)]


def supernet_learner(
    corpus: text.Corpus, config: language_config.Config, pool: np.ndarray | None = None
) -> training.Learner:
    """Returns the learner of shared weights, which samples another architecture at every step.

    Args:
      corpus: training corpus.
      pool: int32[P, 22] to sample from uniformly; by default the whole space.
    """
    partial = jax.tree_util.Partial
    sample_arch = partial(_from_space) if pool is None else partial(_from_pool, jnp.asarray(pool))
    sizes = {"vocabulary_size": len(corpus.vocabulary), "width": config.width}
    network = recurrent.supernet(**sizes, dropout=config.dropout, dtype=config.dtype)
    return training.Learner(network, config, sample_arch)


@compilation.in_32_bits
def on_shared_weights(
    corpus: text.Corpus, learner: training.Learner, params: Any, *, score: str = "all"
) -> types.Evaluator:
    """Returns the evaluator on shared weights. Test fitness is that of the whole test text, on shared weights too.

    Args:
      corpus: its validation text is evaluated.
      learner: of `supernet_learner`.
      score: the part of the validation text that is evaluated, one of `SCORES`.

    Raises:
      ValueError: `score` is unknown, or the validation text is too short for a segment.
    """
    configs.one_of("score", score, SCORES)
    config = learner.config
    valid = segments.prepare(corpus.valid, config.valid_batch_size, config.chunks)
    test = segments.prepare(corpus.test, config.test_batch_size, config.chunks)
    size = config.chunks.bptt
    num_starts = valid.num_rows - size
    if score == "piece_released":
        num_starts = min(num_starts, valid.num_rows // size)
    if score != "all" and num_starts < 1:
        raise ValueError(
            f"the validation text has {valid.num_rows} rows, too few for a segment of {size}; lower valid_batch_size"
        )

    @compilation.in_32_bits
    def measure(data, is_segment, key, archs):
        losses = []
        for arch in np.asarray(archs, np.int32):
            if is_segment:
                start = jax.random.randint(jax.random.fold_in(key, len(losses)), (), 0, num_starts)
                losses.append(float(_segment_loss(learner.network, params, data.tokens, start, arch, size=size)))
            else:
                losses.append(training.evaluate(learner, params, data, arch=arch))
        return _evaluation(losses, len(corpus.vocabulary))

    return _evaluator(
        f"recurrent_supernet/{corpus.name}",
        functools.partial(measure, valid, score != "all"),
        functools.partial(measure, test, False),
        costs(len(corpus.vocabulary), config.width),
    )


@compilation.in_32_bits
def from_scratch(
    corpus: str,
    *,
    data_dir: str | os.PathLike | None = None,
    vocabulary: str = "all",
    config: language_config.Config | Mapping[str, Any] | None = None,
) -> types.Evaluator:
    """Returns the evaluator that trains each architecture. For the test fitness it trains again.

    Args:
      corpus: see `text.load`.
      config: training settings of each architecture, as a dataclass or as JSON.

    Raises:
      ValueError: the corpus cannot be loaded, or a text is too short for the batch size.
    """
    config = language_config.Config() if config is None else config
    if isinstance(config, Mapping):
        config = configs.from_json(language_config.Config, config)
    loaded = text.load(corpus, data_dir, vocabulary=vocabulary)
    data = segments.prepare(loaded.train, config.batch_size, config.chunks)
    valid = segments.prepare(loaded.valid, config.valid_batch_size, config.chunks)
    test = segments.prepare(loaded.test, config.test_batch_size, config.chunks)
    size = len(loaded.vocabulary)
    network = recurrent.LanguageModel(size, config.width, recurrent.AnyCell(config.width), config.dropout, config.dtype)

    def train(key, arch, is_tested):
        """Returns (the best validation loss, or the test loss at that epoch; why it is NaN)."""
        learner = training.Learner(network, config, training.one_arch(arch))
        keys, best, loss = training.keys(key), math.inf, math.nan
        try:
            for state, epoch in training.train(learner, training.create(learner, keys), keys, data, valid):
                if epoch.valid_loss < best:
                    best = loss = epoch.valid_loss
                    if is_tested:
                        loss = training.evaluate(learner, training.evaluated(state), test, arch=arch)
        except (training.DivergedError, MemoryError, jax.errors.JaxRuntimeError) as error:
            if isinstance(error, jax.errors.JaxRuntimeError) and "RESOURCE_EXHAUSTED" not in str(error):
                raise
            return math.nan, measuring.reason_of(error)
        return loss, "" if math.isfinite(loss) else f"diverged: its loss is {loss}"

    @compilation.in_32_bits
    def measure(is_tested, key, archs):
        start = time.perf_counter()
        keys = jax.random.split(key, len(archs))
        results = [train(key, np.asarray(arch, np.int32), is_tested) for key, arch in zip(keys, archs, strict=True)]
        losses, reasons = zip(*results, strict=True)
        return _evaluation(losses, size, (time.perf_counter() - start) / len(losses), reasons)

    settings = {
        "corpus": corpus,
        "data_dir": None if data_dir is None else str(pathlib.Path(data_dir).absolute()),
        "vocabulary": vocabulary,
        "config": configs.to_json(config),
    }
    evaluator = _evaluator(
        f"recurrent_training/{corpus}",
        functools.partial(measure, False),
        functools.partial(measure, True),
        costs(size, config.width),
    )
    return evaluator._replace(recipe=types.Recipe(f"{__name__}.from_scratch", settings), data=loaded.checksum)


def costs(vocabulary_size: int, width: int) -> dict[str, Callable[[chex.Array], chex.Array]]:
    """Returns "params" and "macs" (multiply-adds for one word) of stand-alone language models, equal for all rows.

    Args:
      vocabulary_size: V, words.
      width: H, units of the embedding and the cell.
    """
    macs = vocabulary_size * width + 2 * width**2 * (nao_rnn.NUM_NODES + 2)  # the first state has two matrices
    values = {"params": macs + vocabulary_size, "macs": macs}
    return {name: functools.partial(_constant, value) for name, value in values.items()}


def _constant(value, archs):
    return np.full(len(archs), value) if isinstance(archs, np.ndarray) else jnp.full(len(archs), value, jnp.float32)


def _evaluator(name, evaluate, test, known_costs):
    return types.Evaluator(
        name=name,
        space=spaces.get("nao_rnn"),
        protocol="validation",
        evaluate=evaluate,
        test=test,
        costs=known_costs,
    )


def _evaluation(losses, vocabulary_size, cost=0.0, reasons=()):
    """Returns the evaluation of losses in nats per word; `ok` is False for those that are not finite."""
    fitness = np.array([text.fitness(loss, vocabulary_size) for loss in losses], np.float32)
    ok = np.isfinite(fitness)
    cost = np.full(len(losses), cost, np.float32)
    return types.Evaluation(fitness=np.where(ok, fitness, 0.0), cost=cost, ok=ok, reasons=reasons)


@functools.partial(jax.jit, static_argnames=("network", "size"))
def _segment_loss(network, params, tokens, start, arch, *, size):
    """Returns the mean cross-entropy of one segment, from a zero hidden state."""
    words = jax.lax.dynamic_slice_in_dim(tokens, start, size + 1)
    hidden = jnp.zeros((tokens.shape[1], network.width))
    reading = network.apply({"params": params}, words[:-1], hidden, arch=arch)
    return jnp.mean(steps.score(reading, words[1:], hidden, jnp.int32(size))[0])


def _from_space(key):
    return spaces.get("nao_rnn").sample(key, 1)[0]


def _from_pool(pool, key):
    return pool[jax.random.randint(key, (), 0, pool.shape[0])]
