"""A small classifier, its preprocessing and its images, for tests of training."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from common.networks import logits
from common.training import loop
from common.training import step as step_lib


class Small(nn.Module):
    """A convolution, batch normalization, dropout, and an auxiliary head; `progress` scales the dropout."""

    dropout: float = 0.25

    @nn.compact
    def __call__(self, images, *, train, progress=0.0):
        maps = nn.Conv(4, (3, 3), use_bias=False)(images)
        maps = nn.relu(nn.BatchNorm(use_running_average=not train, momentum=0.9)(maps))
        pooled = maps.mean(axis=(1, 2))
        auxiliary = nn.Dense(3, name="auxiliary")(pooled) if train else None
        if train and self.dropout:
            keep = 1.0 - self.dropout * progress
            mask = jax.random.bernoulli(self.make_rng("drop_path"), keep, pooled.shape)
            pooled = jnp.where(mask, pooled / keep, 0.0)
            pooled = nn.Dropout(0.1, deterministic=False)(pooled)
        return logits.Logits(main=nn.Dense(3)(pooled), auxiliary=auxiliary)


def augment(key, images):
    """Shifts each image by up to one pixel."""
    shifts = jax.random.randint(key, (images.shape[0],), -1, 2)
    return jax.vmap(lambda image, shift: jnp.roll(image, shift, axis=0))(normalize(images), shifts)


def normalize(images):
    return images / jnp.float32(255.0) - 0.5


INPUTS = step_lib.Inputs(augment=augment, normalize=normalize)
PLAIN = step_lib.Inputs(augment=lambda key, images: normalize(images), normalize=normalize)
SHAPE = (6, 6, 1)


def make_data(num=22):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, num).astype(np.int32)
    images = rng.integers(0, 100, (num, *SHAPE)).astype(np.uint8) + (labels * 60).astype(np.uint8)[:, None, None, None]
    return loop.Data(images=jnp.asarray(images), labels=jnp.asarray(labels))
