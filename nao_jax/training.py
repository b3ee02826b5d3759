"""Joint training of encoder, predictor and decoder (NAO, section 3.2; SemiNAS, section 3).

A fit is one loop over minibatches of a masked data set: first the rows of the history, of which some are
labelled, then unmeasured architectures. The latter train encoder and decoder by reconstruction, and the
predictor too if they carry its own predictions as labels (SemiNAS).
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
    """Training examples: N rows of a history, then U unlabelled architectures."""

    tokens: chex.Array  # int32[N + U, T]
    features: chex.Array  # float32[N + U, F]
    targets: chex.Array  # float32[N + U]
    weights: chex.Array  # float32[N + U], of the squared error; rows of weight 0 are only reconstructed


class Sizes(NamedTuple):
    """Composition of an epoch."""

    capacity: int  # N
    num_history: chex.Array  # int32[], rows of the history, n <= N
    num_copies: chex.Array  # int32[], copies of each of them
    num_others: chex.Array  # int32[], unlabelled rows, once each; 0 to U

    @property
    def total(self) -> chex.Array:
        """Examples of an epoch."""
        return self.num_history * self.num_copies + self.num_others


def optimizer(config: configs.Config) -> optax.GradientTransformation:
    """Returns Adam with clipping by global norm and weight decay at `config.decay`."""
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
    """Returns the maximum number of examples of an epoch."""
    if config.num_copies:
        return config.num_copies * capacity + num_others
    return capacity + 2 * num_others


def sizes(capacity: int, num_history: chex.Array, num_others: int, config: configs.Config) -> Sizes:
    """Returns the composition of an epoch; with `num_copies` 0 the history is about half of it."""
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
    loss_weights: str | None = None,
    dtype: str | None = None,
) -> chex.Array:
    """Returns float32[], the joint loss of a minibatch, as in the released code.

    mse_weight * (mean squared error of the labelled rows) + (1 - mse_weight) * (mean cross-entropy of tokens).
    Inputs and targets of the decoder are the same sequence.

    Args:
      key: a key for dropout.
      batch: B rows.
      is_in: bool[B], False for padding.
      mse_weight: lambda of the paper, in [0, 1].
      loss_weights: see `nao_jax.config.Config`.
      dtype: type of activations of encoder and decoder; None: that of the parameters.
    """
    _, prediction, logits = model.apply(
        params if dtype is None else _computed_in(dtype, params),
        batch.tokens,
        models.shift_right(batch.tokens),
        features=batch.features,
        is_training=True,
        rngs={"dropout": key},
    )
    weights = jnp.where(is_in, batch.weights, 0.0)
    if loss_weights == "softmax":
        weights *= jax.nn.softmax(jnp.where(weights > 0, batch.targets, -jnp.inf), where=weights > 0)
    errors = jnp.where(weights > 0, prediction - batch.targets, 0.0)  # unknown targets may be NaN
    squared = jnp.sum(weights * errors**2) / jnp.maximum(jnp.sum(weights), jnp.finfo(jnp.float32).tiny)
    logits = logits.astype(jnp.float32)
    entropy = optax.softmax_cross_entropy_with_integer_labels(logits, batch.tokens).mean(axis=1)
    entropy = jnp.sum(entropy * is_in) / jnp.maximum(jnp.sum(is_in), 1.0)
    return mse_weight * squared + (1.0 - mse_weight) * entropy


def _computed_in(dtype, params):
    """Returns the parameters, those of matrix products of encoder and decoder in another type.

    Embeddings are not: the gradients of all occurrences of a token are added up in their type.
    """

    def cast(path, leaf):
        return leaf if {"embeddings", "predictor"} & {part.key for part in path} else leaf.astype(dtype)

    return jax.tree_util.tree_map_with_path(cast, params)


def num_minibatches(length: int, total: chex.Array, config: configs.Config) -> chex.Array:
    """Returns int32[], the minibatches of a fit of `length` epochs or minibatches (`config.fit_unit`)."""
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
    """Takes `num_steps` optimizer steps on minibatches of shuffled epochs; returns (params, opt_state).

    Args:
      opt_state: state of `optimizer(config)`.
      key: a key for order, dropout and augmentation.
      examples: N + U rows; unused ones may hold anything.
      size: composition of an epoch.
      num_steps: int32[], optimizer steps.
    """
    order_key, step_key, expand_key = jax.random.split(key, 3)
    capacity = max_examples(size.capacity, examples.tokens.shape[0] - size.capacity, config)
    per_epoch, update = _per_epoch(size.total, config), optimizer(config).update

    def step(index, carry):
        params, opt_state, order = carry
        # A loop of at most one iteration, because `cond` under `vmap` runs both branches. It counts: the compiler would
        # move a sort that does not change out of the loop.
        is_due = index % per_epoch == 0
        _, order = jax.lax.while_loop(
            lambda carry: is_due & (carry[0] == index),
            lambda carry: (carry[0] + 1, _shuffle(jax.random.fold_in(order_key, carry[0]), size.total, capacity)),
            (index, order),
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
            params,
            model,
            dropout_key,
            batch.replace(tokens=tokens),
            is_in,
            mse_weight=config.mse_weight,
            loss_weights=config.loss_weights,
            dtype=config.controller_dtype,
        )
        updates, opt_state = update(gradient, opt_state, params)
        return optax.apply_updates(params, updates), opt_state, order

    order = jnp.zeros((capacity,), jnp.int32)
    params, opt_state, _ = jax.lax.fori_loop(0, num_steps, step, (params, opt_state, order))
    return params, opt_state


def _per_epoch(total, config):
    return jnp.maximum(-(-total // config.batch_size), 1)


def _shuffle(key, total, capacity):
    """Returns int32[capacity], a random order of 0 to `total` - 1, then the other positions."""
    scores = jnp.where(jnp.arange(capacity) < total, jax.random.uniform(key, (capacity,)), jnp.inf)
    return jnp.argsort(scores).astype(jnp.int32)
