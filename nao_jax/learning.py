"""Networks of a search: inputs, predictions and fits to a history."""

import functools
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp
import optax

from common import history as histories
from common import regression_targets as targets
from common import types
from nao_jax import config as configs
from nao_jax import model as models
from nao_jax import training

_NUM_SCALED_BY = 512  # random architectures for the standardization of features
_MIN_DEVIATION = 0.1  # bounds the scale of features that rarely vary


class Setting(NamedTuple):
    """Static part of a searcher."""

    space: types.SearchSpace
    config: configs.Config
    model: models.Model


@chex.dataclass(frozen=True)
class Networks:
    """M networks and the standardization of their inputs."""

    params: chex.ArrayTree  # each leaf with a leading axis M
    opt_state: optax.OptState  # state of the optimizer, likewise
    feature_mean: chex.Array  # float32[F], of random architectures; F = 0 if features are not read
    feature_scale: chex.Array  # float32[F], factor of centered features


def setting(space: types.SearchSpace, config: configs.Config) -> Setting:
    """Returns the static part of a search.

    Raises:
      ValueError: `tokens_per_step` does not divide the number of tokens of the space.
    """
    num_tokens, size, _ = space.legal_tokens.shape
    if num_tokens % config.model.tokens_per_step:
        raise ValueError(
            f"{space.name} has {num_tokens} tokens an architecture, which tokens_per_step, "
            f"{config.model.tokens_per_step}, does not divide; set it to 1 or another divisor"
        )
    return Setting(space=space, config=config, model=models.Model(config.model, num_tokens, size))


def sample(key: chex.PRNGKey, space: types.SearchSpace, pool: chex.Array, count: int) -> chex.Array:
    """Returns int32[count, L], random rows: uniform in the pool int32[P, L], or as the space samples if it is empty."""
    if pool.shape[0]:
        return pool[jax.random.randint(key, (count,), 0, pool.shape[0])]
    return space.sample(key, count)


def unlabelled(setting: Setting, key: chex.PRNGKey, pool: chex.Array, history: histories.History) -> chex.Array:
    """Returns int32[U, L], unlabelled architectures for a fit: random ones and mutations of the best.

    Args:
      pool: int32[P, L], the rows of a listed space.
      history: everything proposed so far, at least one row.
    """
    config, space = setting.config, setting.space
    sample_key, choose_key, mutate_key = jax.random.split(key, 3)
    others = sample(sample_key, space, pool, config.num_unlabelled - config.num_mutated)
    if not config.num_mutated:
        return others
    fitness = jnp.where(histories.is_measured(history), history.fitness, -jnp.inf)
    best, at = jax.lax.top_k(fitness, min(config.num_seeds, fitness.shape[0]))
    at = jnp.where(best > -jnp.inf, at, 0)
    parents = history.archs[at[jax.random.randint(choose_key, (config.num_mutated,), 0, at.shape[0])]]
    return jnp.concatenate([others, space.mutate(mutate_key, parents)])


def first(setting: Setting, pool: chex.Array, key: chex.PRNGKey) -> Networks:
    """Returns the initial networks, with the standardization of the space's features."""
    params_key, sample_key = jax.random.split(key)
    params = _first_params(setting, params_key)
    mean = scale = jnp.zeros((0,), jnp.float32)
    if setting.config.model.has_features:
        features = setting.space.features(sample(sample_key, setting.space, pool, _NUM_SCALED_BY))
        mean = jnp.mean(features, axis=0)
        # The sum over all features has a mean square of 4, however many there are.
        scale = 2.0 / (jnp.maximum(jnp.std(features, axis=0), _MIN_DEVIATION) * jnp.sqrt(features.shape[1]))
    opt_state = jax.vmap(training.optimizer(setting.config).init)(params)
    return Networks(params=params, opt_state=opt_state, feature_mean=mean, feature_scale=scale)


def _first_params(setting, key):
    num_features = 1
    if setting.config.model.has_features:
        num_features = jax.eval_shape(
            setting.space.features, jnp.zeros((1, len(setting.space.num_choices)), int)
        ).shape[1]
    blank = jnp.zeros((1, setting.model.num_tokens), jnp.int32)
    features = jnp.zeros((1, num_features))
    keys = jax.random.split(key, setting.config.num_members)
    return jax.vmap(lambda key: setting.model.init(key, blank, blank, features=features))(keys)


def read(setting: Setting, networks: Networks, archs: chex.Array) -> tuple[chex.Array, chex.Array]:
    """Returns (tokens int32[B, T], standardized features float32[B, F]) of valid `archs` int32[B, L]."""
    tokens = setting.space.tokens(archs)
    if not setting.config.model.has_features:
        return tokens, jnp.zeros((archs.shape[0], 0), jnp.float32)
    features = (setting.space.features(archs) - networks.feature_mean[None]) * networks.feature_scale[None]
    return tokens, features


def encode(setting: Setting, networks: Networks, archs: chex.Array) -> chex.Array:
    """Returns float32[M, B, S, H], the latents of valid `archs` int32[B, L] by each network."""
    tokens, features = read(setting, networks, archs)
    apply = functools.partial(setting.model.apply, method="encode")
    return jax.vmap(lambda params: apply(params, tokens, features=features))(networks.params)


def predict(setting: Setting, networks: Networks, archs: chex.Array) -> chex.Array:
    """Returns float32[M, B], the predictions of each network for valid `archs`, in the unit of the target."""
    apply = functools.partial(setting.model.apply, method="predict")
    return jax.vmap(apply)(networks.params, encode(setting, networks, archs))


def held_out(config: configs.Config, capacity: int) -> chex.Array:
    """Returns bool[M, N], the rows of the history whose fitness is held out from each network."""
    if not config.num_folds:
        return jnp.zeros((config.num_members, capacity), bool)
    fold = jnp.arange(capacity) % config.num_folds
    return fold[None, :] == jnp.arange(config.num_members)[:, None]


def learn(
    setting: Setting,
    networks: Networks,
    key: chex.PRNGKey,
    history: histories.History,
    others: chex.Array,
    *,
    is_first: chex.Array,
    values: chex.Array | None = None,
) -> Networks:
    """Returns the networks, fitted to the history.

    Args:
      others: int32[U, L], unlabelled architectures.
      is_first: bool[], whether this is the first fit.
      values: float32[M, N], the targets of each network, by default those of the fitness.
    """
    config, capacity = setting.config, history.status.shape[0]
    first_key, fit_key = jax.random.split(key)
    if not config.is_warm:
        networks = networks.replace(params=_first_params(setting, first_key))
    is_measured = histories.is_measured(history)
    if values is None:
        values = targets.targets(history.fitness, is_measured, target=config.target)[None]
    weights = (is_measured[None] & ~held_out(config, capacity)).astype(jnp.float32)
    # Rows without a value, such as those that left a pool, train nothing: the others come first.
    order = jnp.argsort(~is_measured)
    archs = jnp.maximum(history.archs[order], 0)
    weights, values = weights[:, order], jnp.broadcast_to(values, weights.shape)[:, order]
    num_rows = jnp.maximum(jnp.sum(is_measured), 1)
    tokens, features = read(setting, networks, jnp.concatenate([archs, others]))

    def fit_once(networks, phase, labels):
        """Fits without labels of `others` in phase 0, with the predictor's own in phase 1."""
        examples = training.Examples(
            tokens=tokens,
            features=features,
            targets=jnp.concatenate([values, labels], axis=1),
            weights=jnp.concatenate([weights, jnp.full(labels.shape, phase, jnp.float32)], axis=1),
        )
        size = training.sizes(capacity, num_rows, others.shape[0], config)
        if config.fit_synthetic and not config.reconstructs_unlabelled:
            size = size._replace(
                num_copies=jnp.where(phase == 0, 1, size.num_copies), num_others=phase * size.num_others
            )
        length = jnp.where(is_first, config.fit_first, config.fit_later)
        length = jnp.where(phase == 0, length, config.fit_synthetic)
        return _fit(setting, networks, jax.random.fold_in(fit_key, phase), examples, size, length)

    if not config.fit_synthetic:
        return fit_once(networks, 0, jnp.zeros((config.num_members, others.shape[0])))
    return jax.lax.fori_loop(
        0, 2, lambda phase, networks: fit_once(networks, phase, predict(setting, networks, others)), networks
    )


def _fit(setting, networks, key, examples, size, length):
    config = setting.config

    def one(params, opt_state, key, values, weights):
        if not config.keeps_moments:
            opt_state = training.optimizer(config).init(params)
        return training.fit(
            setting.model,
            params,
            opt_state,
            key,
            examples.replace(targets=values, weights=weights),
            size,
            setting.space.symmetries,
            num_steps=training.num_minibatches(length, size.total, config),
            config=config,
        )

    keys = jax.random.split(key, config.num_members)
    params, opt_state = jax.vmap(one)(networks.params, networks.opt_state, keys, examples.targets, examples.weights)
    return networks.replace(params=params, opt_state=opt_state)
