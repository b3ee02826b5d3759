"""Fitting encoder, predictor and decoder together to what was measured (NAO, section 3.2; SemiNAS, section 3).

One fit is one loop over minibatches of a masked data set: the first rows are the history, of which some are
labelled, the others are architectures that nobody measured. These teach encoder and decoder to write back
what they read, and the predictor too where they carry its own predictions as labels (SemiNAS).
"""

from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp
import optax

from nao_jax import augmentation as augmentations
from nao_jax import config as configs
from nao_jax import model as models


@chex.dataclass(frozen=True)
class Examples:
    """What is learned from: N rows of a history, then U unlabelled ones.

    Attributes:
      tokens: int32[N + U, T].
      features: float32[N + U, F].
      targets: float32[N + U].
      weights: float32[N + U] of the squared error; where 0 the row is only written back.
    """

    tokens: chex.Array
    features: chex.Array
    targets: chex.Array
    weights: chex.Array


class Sizes(NamedTuple):
    """How often rows come up in an epoch.

    Attributes:
      capacity: N.
      num_history: int32[], rows of the history, n <= N.
      num_copies: int32[], how often each of them comes up.
      num_others: int32[], unlabelled rows that come up, once each; 0 to U.
    """

    capacity: int
    num_history: chex.Array
    num_copies: chex.Array
    num_others: chex.Array

    @property
    def total(self) -> chex.Array:
        """Examples of an epoch."""
        return self.num_history * self.num_copies + self.num_others


def optimizer(config: configs.Config) -> optax.GradientTransformation:
    """Returns Adam with clipping by global norm, and decay where the code that is followed has it."""
    decay = optax.add_decayed_weights(config.weight_decay)
    clip = optax.clip_by_global_norm(config.clip_norm)
    adam, rate = optax.scale_by_adam(), optax.scale_by_learning_rate(config.learning_rate)
    parts = {
        "loss": (decay, clip, adam, rate),  # TensorFlow: part of the loss, so it is clipped too
        "gradient": (clip, decay, adam, rate),  # PyTorch's Adam
        "decoupled": (clip, adam, decay, rate),  # AdamW
    }
    return optax.chain(*parts[config.decay])


def max_examples(capacity: int, num_others: int, config: configs.Config) -> int:
    """Returns the most examples that an epoch can have."""
    if config.num_copies:
        return config.num_copies * capacity + num_others
    return capacity + 2 * num_others


def sizes(capacity: int, num_history: chex.Array, num_others: int, config: configs.Config) -> Sizes:
    """Returns the sizes of an epoch; with `num_copies` 0 the history makes up about half of it."""
    copies = jnp.int32(config.num_copies)
    if not config.num_copies:
        copies = jnp.maximum(-(-num_others // jnp.maximum(num_history, 1)), 1)
    return Sizes(capacity=capacity, num_history=num_history, num_copies=copies, num_others=jnp.int32(num_others))


def loss(
    params: chex.ArrayTree,
    model: models.Model,
    key: chex.PRNGKey,
    batch: Examples,
    is_in: chex.Array,
    *,
    mse_weight: float,
) -> chex.Array:
    """Returns the joint loss of a minibatch: float32[].

    mse_weight * (mean squared error of the labelled) + (1 - mse_weight) * (cross-entropy of every token), as
    the released code has it. The decoder reads the same writing that it is asked to write.

    Args:
      params: of the model.
      model: the networks.
      key: for dropout.
      batch: B rows.
      is_in: bool[B], False for rows that only fill the minibatch up.
      mse_weight: the lambda of the paper.
    """
    _, prediction, logits = model.apply(
        params,
        batch.tokens,
        models.shift_right(batch.tokens),
        features=batch.features,
        is_training=True,
        rngs={"dropout": key},
    )
    weights = jnp.where(is_in, batch.weights, 0.0)
    errors = jnp.where(weights > 0, prediction - batch.targets, 0.0)  # targets that nobody knows may be NaN
    squared = jnp.sum(weights * errors**2) / jnp.maximum(jnp.sum(weights), 1.0)
    entropy = optax.softmax_cross_entropy_with_integer_labels(logits, batch.tokens).mean(axis=1)
    entropy = jnp.sum(entropy * is_in) / jnp.maximum(jnp.sum(is_in), 1.0)
    return mse_weight * squared + (1.0 - mse_weight) * entropy


def num_minibatches(length: int, total: chex.Array, config: configs.Config) -> chex.Array:
    """Returns int32[], the minibatches of a fit of `length` epochs or minibatches, as `config.fit_unit` says."""
    if config.fit_unit == "minibatches":
        return jnp.int32(length)
    return length * _per_epoch(total, config)


def fit(
    model: models.Model,
    params: chex.ArrayTree,
    opt_state: optax.OptState,
    key: chex.PRNGKey,
    examples: Examples,
    size: Sizes,
    symmetries: tuple[chex.Array, ...],
    *,
    num_steps: chex.Array,
    config: configs.Config,
) -> tuple[chex.ArrayTree, optax.OptState]:
    """Takes `num_steps` steps of Adam, each on the next minibatch of a shuffled epoch.

    Args:
      model: the networks.
      params: where to start.
      opt_state: of `optimizer(config)`.
      key: decides the order, dropout and augmentation.
      examples: N + U rows; those that do not come up may hold anything.
      size: how often rows come up.
      symmetries: of the space, for augmentation.
      num_steps: int32[].
      config: the settings.

    Returns:
      (params, opt_state).
    """
    order_key, step_key, expand_key = jax.random.split(key, 3)
    capacity = max_examples(size.capacity, examples.tokens.shape[0] - size.capacity, config)
    per_epoch, update = _per_epoch(size.total, config), optimizer(config).update

    def step(index, carry):
        params, opt_state, order = carry
        order = jax.lax.cond(
            index % per_epoch == 0,
            lambda order: _shuffle(jax.random.fold_in(order_key, index), size.total, capacity),
            lambda order: order,
            order,
        )
        at = (index % per_epoch) * config.batch_size + jnp.arange(config.batch_size)
        is_in = at < size.total
        places = order[jnp.minimum(at, capacity - 1)]
        is_history = places < size.num_history * size.num_copies
        rows = jnp.where(
            is_history,
            places % jnp.maximum(size.num_history, 1),
            size.capacity + places - size.num_history * size.num_copies,
        )
        batch = jax.tree.map(lambda values: values[jnp.where(is_in, rows, 0)], examples)
        augment_key, dropout_key = jax.random.split(jax.random.fold_in(step_key, index))
        tokens = augmentations.augment(
            augment_key,
            expand_key,
            batch.tokens,
            places,
            is_history & (places >= size.num_history),
            symmetries,
            augmentation=config.augmentation,
        )
        gradient = jax.grad(loss)(
            params, model, dropout_key, batch.replace(tokens=tokens), is_in, mse_weight=config.mse_weight
        )
        updates, opt_state = update(gradient, opt_state, params)
        return optax.apply_updates(params, updates), opt_state, order

    order = jnp.zeros((capacity,), jnp.int32)
    params, opt_state, _ = jax.lax.fori_loop(0, num_steps, step, (params, opt_state, order))
    return params, opt_state


def _per_epoch(total, config):
    return jnp.maximum(-(-total // config.batch_size), 1)


def _shuffle(key, total, capacity):
    """A random order of 0 to `total` - 1; what comes after does not count."""
    scores = jnp.where(jnp.arange(capacity) < total, jax.random.uniform(key, (capacity,)), jnp.inf)
    return jnp.argsort(scores).astype(jnp.int32)
