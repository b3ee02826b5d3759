"""Latents, predictions and ascents of a search, from networks refitted to its history for reports."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np

from common import explanations as records
from common import history as histories
from common import types, unseen
from nao_jax import ascent, candidates, learning
from nao_jax import config as configs

_LEARNED = 0.8  # fraction of the history to fit; the rest shows the accuracy of predictions
_NUM_CLIMBS, _MAX_STEPS = 5, 8
_LEAST = 5  # measured architectures


def explain(
    space: types.SearchSpace, config: configs.Config, history: histories.History, *, seed: int = 0
) -> records.LatentMap | None:
    """Returns a two-dimensional map of the latents of a search, with predictions and ascents from the best.

    The networks are fitted once, for `fit_first`, to the first four fifths of the history, unlike those of the search
    itself, which are fitted again in each round.

    Args:
      history: of the search, in the order proposed.
      seed: of the initial parameters and the order of examples.

    Returns:
      A `records.LatentMap` of the first network, with mean predictions of all; None if too little is measured.

    Raises:
      ValueError: the settings do not suit the space.
    """
    setting = learning.setting(space, config)
    is_measured = np.asarray(history.status) == types.MEASURED
    num_learned = int(_LEARNED * len(is_measured))
    if np.sum(is_measured[:num_learned]) < _LEAST:
        return None
    where = np.flatnonzero(is_measured)
    archs = jnp.asarray(np.asarray(history.archs)[where], jnp.int32)
    pool = unseen.pool_of(space)
    fit = jax.jit(functools.partial(_fit, setting))
    networks = fit(jax.random.key(seed), pool, _first_rows(history, num_learned))
    fitness = np.asarray(history.fitness, np.float64)[where]
    best = np.argsort(-np.where(where < num_learned, fitness, -np.inf), kind="stable")[:_NUM_CLIMBS]
    show = jax.jit(functools.partial(_show, setting))
    latents, predicted, paths, decoded, is_valid, decoded_latents = jax.device_get(show(networks, archs, archs[best]))
    plane, explained = _principal(latents.reshape(len(where), -1))
    placed = np.where(is_valid[..., None], plane(decoded_latents.reshape(*is_valid.shape, -1)), np.nan)
    known = {tuple(arch): value for arch, value in zip(np.asarray(archs).tolist(), fitness.tolist())}
    return records.LatentMap(
        points=plane(latents.reshape(len(where), -1)),
        fitness=fitness,
        is_learned=where < num_learned,
        predicted=predicted,
        explained=explained,
        paths=plane(paths.reshape(*paths.shape[:2], -1)),
        decoded=placed,
        texts=[
            [_text(space, arch, known, step * config.step_size) for step, arch in enumerate(row, start=1)]
            for row in decoded
        ],
    )


def _first_rows(history, size):
    """Returns the history at a size of `size` rows, with the same capacity."""
    is_row = np.arange(len(history.status)) < size
    return histories.History(
        archs=jnp.asarray(np.where(is_row[:, None], history.archs, -1), jnp.int32),
        fitness=jnp.asarray(np.where(is_row, history.fitness, np.nan), jnp.float32),
        cost=jnp.asarray(np.where(is_row, history.cost, 0), jnp.float32),
        status=jnp.asarray(np.where(is_row, history.status, types.EMPTY), jnp.int32),
        size=jnp.int32(size),
        others=jnp.asarray(np.where(is_row[:, None], history.others, np.nan), jnp.float32),
    )


def _fit(setting, key, pool, history):
    first_key, others_key, learn_key = jax.random.split(key, 3)
    others = learning.unlabelled(setting, others_key, pool, history)
    networks = learning.first(setting, pool, first_key)
    return learning.learn(setting, networks, learn_key, history, others, is_first=jnp.bool_(True))


def _show(setting, networks, archs, starts):
    """Returns (latents, predictions, paths, architectures decoded on them, their validity, their latents)."""
    config = dataclasses.replace(setting.config, num_steps=min(setting.config.num_steps, _MAX_STEPS), beam_width=1)
    space = setting.space
    params = jax.tree.map(lambda leaf: leaf[0], networks.params)
    latents = learning.encode(setting, networks, archs)[0]
    from_ = learning.encode(setting, networks, starts)[0]

    def predict(latent):
        return setting.model.apply(params, latent[None], method="predict")[0]

    def move(latent):
        def one(step_size):
            return ascent.step(predict, latent, step_size, is_unit=config.has_unit_gradient)

        return jax.vmap(one)(config.step_size * jnp.arange(1.0, config.num_steps + 1.0))

    paths = jnp.concatenate([from_[:, None], jax.vmap(move)(from_)], axis=1)
    tokens = ascent.climb(setting.model, params, from_, jnp.asarray(space.legal_tokens), config=config)
    tokens = tokens[:, :, 0].swapaxes(0, 1)  # [B, K, T]
    decoded = space.from_tokens(tokens.reshape(-1, tokens.shape[-1]))
    is_valid = space.is_valid(decoded)
    decoded = space.canonicalize(jnp.where(is_valid[:, None], decoded, starts[:1]))
    decoded_latents = learning.encode(setting, networks, decoded)[0]
    shape = tokens.shape[:2]
    predicted = candidates.mean_prediction(setting, networks, archs)
    return (
        latents,
        predicted,
        paths,
        decoded.reshape(*shape, -1),
        is_valid.reshape(shape),
        decoded_latents.reshape(*shape, *latents.shape[1:]),
    )


def _principal(latents):
    """Returns (the projection of float[..., D] latents to two components, their fractions of the variance)."""
    mean = latents.mean(axis=0)
    _, scale, directions = np.linalg.svd(latents - mean, full_matrices=False)
    signs = np.sign(directions[:2, np.argmax(np.abs(directions[:2]), axis=1)].diagonal())
    directions = directions[:2] * np.where(signs == 0, 1, signs)[:, None]
    return lambda points: (points - mean) @ directions.T, scale[:2] ** 2 / max(float(np.sum(scale**2)), 1e-30)


def _text(space, arch, known, step_size):
    row = tuple(arch.tolist())
    said = f"measured {100 * known[row]:.2f} %" if row in known else "not measured"
    return f"step {step_size:g}: {space.describe(arch)}, {said}"
