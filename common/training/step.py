"""Training and evaluation step of any network that maps images to logits.

A network is a Linen module (or anything with its `init` and `apply`) with the signature

  images float32[B, H, W, C], train=bool, progress=float32[] in [0, 1]  ->  Logits

with the collections "params" and "batch_stats" and, in training, the random streams "dropout" and "drop_path".
`progress` is the fraction of training done, for the drop-path ramp. Networks with shared weights
(`common.networks.supernet`, `common.networks.elastic`) take `arch` int32[L] too; a training step can take several,
see `sandwich`.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
import optax

from common.networks.kernels import compile_options
from common.training import config as configs
from common.training import losses, optimizers, sandwich, schedules
from common.training import state as states

TOP = 5
Distillation = Callable[[chex.Array, chex.Array], chex.Array]  # (logits, targets float32[B, K]) -> float32[]


class Inputs(NamedTuple):
    """Preprocessing of images of bytes."""

    augment: Callable[..., chex.Array]  # (key, uint8[B, H, W, C]) -> float32[B, H, W, C], for training
    normalize: Callable[[chex.Array], chex.Array]  # uint8[B, H, W, C] -> float32[B, H, W, C], for evaluation
    mix: Callable[..., tuple[chex.Array, chex.Array]] | None = None  # (key, images, float32[B, K]) -> those, mixed


@chex.dataclass(frozen=True)
class Metrics:
    """Metrics of a training step."""

    loss: chex.Array  # float32[], with the L2 penalty if it is part of the loss
    top1: chex.Array  # float32[], accuracy on the (augmented) images
    top5: chex.Array  # float32[], top-5 accuracy
    grad_norm: chex.Array  # float32[], global norm of the gradient before clipping
    learning_rate: chex.Array  # float32[]


@chex.dataclass(frozen=True)
class Counts:
    """Sums over evaluated images."""

    loss: chex.Array  # float32[], sum of cross-entropies
    top1: chex.Array  # int32[], correct predictions
    top5: chex.Array  # int32[], images whose class is among the five with the largest scores
    num: chex.Array  # int32[], number of images


class Steps(NamedTuple):
    """Training and evaluation of a network as pure functions.

    init      (key, image_shape (H, W, C)) -> State
    train     (key, state, images uint8[B, H, W, C], labels int32[B], arch=None, teacher=None) -> (State, Metrics);
              random numbers follow from the key and `state.step`; of several architectures int32[M, L], metrics are
              the first's; `teacher` is a `losses.Teacher`, which sees the same (augmented, mixed) images
    evaluate  (variables, images, labels, mask bool[B], arch=None) -> Counts over the images in the mask
    """

    init: Callable[[chex.PRNGKey, tuple[int, ...]], states.State]
    train: Callable[..., tuple[states.State, Metrics]]
    evaluate: Callable[..., Counts]


def steps(
    network: Any,
    config: configs.Config,
    inputs: Inputs,
    *,
    num_classes: int,
    num_images: int,
    arch: chex.Array | None = None,
    distillation: Distillation | None = None,
) -> Steps:
    """Returns the training and evaluation steps of a network.

    Args:
      network: see the module docstring.
      num_classes: K.
      num_images: size of the training set, for the length of an epoch.
      arch: int32[L], any architecture, for a network that takes one; initial parameters do not depend on it.
      distillation: loss of architectures of a step that learn from the first one; None: as from labels.

    Raises:
      ValueError: there are fewer images than a batch.
    """
    length = configs.steps_per_epoch(config, num_images)
    schedule = config.optimizer.schedule
    learning_rate = schedules.learning_rate(schedule, num_epochs=config.num_epochs, steps_per_epoch=length)
    progress = schedules.progress(config, steps_per_epoch=length)

    def optimizer(params, batch_stats):
        is_decayed = losses.is_decayed(params, batch_stats, config.optimizer)
        return optimizers.make(config.optimizer, learning_rate, is_decayed), is_decayed

    def init(key, image_shape):
        variables = init_variables(network, key, image_shape, arch)
        update, _ = optimizer(variables["params"], variables.get("batch_stats", {}))
        return states.create(variables, update, has_average=config.average_decay > 0.0)

    def train(key, state, images, labels, arch=None, teacher=None):
        augment_key, mix_key, dropout_key, drop_path_key = jax.random.split(jax.random.fold_in(key, state.step), 4)
        images = inputs.augment(augment_key, images)
        targets = jax.nn.one_hot(labels, num_classes)
        if inputs.mix is not None:
            images, targets = inputs.mix(mix_key, images, targets)
        update, is_decayed = optimizer(state.params, state.batch_stats)
        taught = None if teacher is None else teacher.logits(images)  # outside of the loss: without a gradient

        def loss(params, arch, targets, is_predicted=None):
            logits, changed = network.apply(
                {"params": params, "batch_stats": state.batch_stats},
                images,
                train=True,
                progress=progress(state.step),
                mutable=["batch_stats"],
                rngs={"dropout": dropout_key, "drop_path": drop_path_key},
                **_given(arch),
            )
            value = losses.classification(logits, targets, config.loss, teacher=teacher, taught=taught)
            if distillation is not None and is_predicted is not None:
                value = jnp.where(is_predicted, distillation(logits.main, targets), value)
            value += losses.penalty(params, is_decayed, config.optimizer)
            return value, (logits.main, changed.get("batch_stats", {}))

        differentiate = jax.value_and_grad(loss, has_aux=True)
        if arch is not None and arch.ndim == 2:
            differentiate = functools.partial(sandwich.value_and_grad, loss)
        (value, (logits, batch_stats)), gradient = differentiate(state.params, arch, targets)
        change, opt_state = update.update(gradient, state.opt_state, state.params)
        params = optax.apply_updates(state.params, change)
        new = {"params": params, "batch_stats": batch_stats}
        top1, top5 = is_right(logits, labels)
        metrics = Metrics(
            loss=value,
            top1=jnp.mean(top1, dtype=jnp.float32),
            top5=jnp.mean(top5, dtype=jnp.float32),
            grad_norm=optax.tree.norm(gradient),
            learning_rate=learning_rate(state.step),
        )
        average = states.update_average(state.average, new, config.average_decay)
        return states.State(step=state.step + 1, **new, opt_state=opt_state, average=average), metrics

    def evaluate(variables, images, labels, mask, arch=None):
        logits = network.apply(variables, inputs.normalize(images), train=False, **_given(arch)).main
        top1, top5 = is_right(logits, labels)
        loss = optax.softmax_cross_entropy(logits, jax.nn.one_hot(labels, num_classes))
        return Counts(
            loss=jnp.sum(jnp.where(mask, loss, 0.0)),
            top1=jnp.sum(top1 & mask, dtype=jnp.int32),
            top5=jnp.sum(top5 & mask, dtype=jnp.int32),
            num=jnp.sum(mask, dtype=jnp.int32),
        )

    return Steps(init=init, train=train, evaluate=evaluate)


def init_variables(
    network: Any, key: chex.PRNGKey, image_shape: tuple[int, ...], arch: chex.Array | None = None
) -> Any:
    """Returns the initial parameters and statistics of a network, auxiliary head included.

    Args:
      network: Flax module that takes images.
      image_shape: (H, W, C).
      arch: int32[L], any architecture, for networks that take one.
    """

    def rngs(key):
        return dict(zip(("params", "dropout", "drop_path"), jax.random.split(key, 3), strict=True))

    def init(key):
        return network.init(rngs(key), jnp.zeros((2, *image_shape)), **settings)

    # In training mode: otherwise there would be no auxiliary head.
    settings = {"train": True, "progress": jnp.float32(0.0), **_given(arch)}
    if isinstance(key, jax.core.Tracer):  # compiler options are for whole programs
        return init(key)
    is_remat = getattr(getattr(network, "config", None), "remat", False)
    if arch is None and hasattr(network, "lazy_init") and not is_remat:  # runs the initializers and compiles no more
        return network.lazy_init(rngs(key), jax.ShapeDtypeStruct((2, *image_shape), jnp.float32), **settings)
    return jax.jit(init, compiler_options=compile_options.quick("once"))(key)


def is_right(logits: chex.Array, labels: chex.Array) -> tuple[chex.Array, chex.Array]:
    """Returns two bool[B]: whether the label int32[B] has the largest score, and one of the five largest."""
    _, best = jax.lax.top_k(logits, min(TOP, logits.shape[-1]))
    found = best == labels[:, None]
    return found[:, 0], jnp.any(found, axis=-1)


def _given(arch):
    return {} if arch is None else {"arch": arch}
