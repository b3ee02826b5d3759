"""Fitness of recurrent cells on shared weights: a look at the validation text, without training (NAO-WS)."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from common import spaces, types
from common.datasets import text
from common.language import config as configs
from common.language import perplexity
from common.language import step as language_step
from common.language import supernet as recurrent_supernet
from common.language import training as language

SCORES = {
    "all": "the whole validation text",
    "piece": "one piece of it, of bptt words, from anywhere",
    "piece_released": "one piece from its first 1 / bptt, as the released program draws it by mistake",
}


def learner(corpus: text.Corpus, config: configs.Config, pool: np.ndarray | None = None) -> language.Learner:
    """Returns the shared weights as a learner that takes another architecture at every step.

    Args:
      corpus: what is learnt.
      config: how.
      pool: int32[P, 22] to draw from, all alike; by default all of the space.
    """
    draw = jax.tree_util.Partial(_from_space) if pool is None else jax.tree_util.Partial(_from_pool, jnp.asarray(pool))
    network = recurrent_supernet.supernet(
        vocabulary_size=len(corpus.vocabulary), width=config.width, dropout=config.dropout
    )
    return language.Learner(network, config, draw)


def evaluator(corpus: text.Corpus, trained: language.Learner, params: Any, *, score: str = "all") -> types.Evaluator:
    """Returns the evaluator. Its test fitness is that of all of the test text, on shared weights too.

    Args:
      corpus: whose validation text is looked at.
      trained: of `learner`.
      params: its trained parameters.
      score: what is looked at, one of `SCORES`.

    Raises:
      ValueError: `score` is unknown, or the validation text is too short for a piece.
    """
    if score not in SCORES:
        raise ValueError(f"unknown score {score!r}; choose one of {', '.join(SCORES)}")
    config = trained.config
    valid = language.prepare(corpus.valid, config.valid_batch_size, config)
    test = language.prepare(corpus.test, config.test_batch_size, config)
    size = config.chunks.bptt
    num_starts = valid.num_rows - size
    if score == "piece_released":
        num_starts = min(num_starts, valid.num_rows // size)
    if score != "all" and num_starts < 1:
        raise ValueError(
            f"the validation text has {valid.num_rows} rows, too few for a piece of {size}; lower valid_batch_size"
        )

    def measure(data, is_piece, key, archs):
        losses = []
        for arch in np.asarray(archs, np.int32):
            if is_piece:
                start = jax.random.randint(jax.random.fold_in(key, len(losses)), (), 0, num_starts)
                losses.append(float(_piece_loss(trained.network, params, data.tokens, start, arch, size=size)))
            else:
                losses.append(language.evaluate(trained, params, data, arch=arch))
        return evaluation(losses, len(corpus.vocabulary))

    return types.Evaluator(
        name=f"recurrent_supernet/{corpus.name}",
        space=spaces.get("nao_rnn"),
        protocol="validation",
        evaluate=functools.partial(measure, valid, score != "all"),
        test=functools.partial(measure, test, False),
        optimum=None,
        num_archs=None,
        is_traceable=False,
    )


def evaluation(
    losses: list[float], vocabulary_size: int, cost: float = 0.0, reasons: tuple[str, ...] = ()
) -> types.Evaluation:
    """Returns losses in nats a word as an evaluation; of those that are no number `ok` is False."""
    fitness = np.array([perplexity.fitness(loss, vocabulary_size) for loss in losses], np.float32)
    ok = np.isfinite(fitness)
    cost = np.full(len(losses), cost, np.float32)
    return types.Evaluation(fitness=np.where(ok, fitness, 0.0), cost=cost, ok=ok, reasons=reasons)


@functools.partial(jax.jit, static_argnames=("network", "size"))
def _piece_loss(network, params, tokens, start, arch, *, size):
    """The mean cross-entropy of one piece, from an empty state."""
    words = jax.lax.dynamic_slice_in_dim(tokens, start, size + 1)
    hidden = jnp.zeros((tokens.shape[1], network.width))
    reading = network.apply({"params": params}, words[:-1], hidden, arch=arch)
    return jnp.mean(language_step.score(reading, words[1:], hidden, jnp.int32(size))[0])


def _from_space(key):
    return spaces.get("nao_rnn").sample(key, 1)[0]


def _from_pool(pool, key):
    return pool[jax.random.randint(key, (), 0, pool.shape[0])]
