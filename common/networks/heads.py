"""Stems and classifier heads."""

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp

from common.networks import layers, styles

AUXILIARY_WINDOW = 5
AUXILIARY_FEATURES = (128, 768)


class CifarStem(nn.Module):
    """A 3x3 convolution and a norm, without ReLU; its output is both states."""

    features: int
    style: styles.Style

    @nn.compact
    def __call__(self, images: chex.Array, train: bool) -> tuple[chex.Array, chex.Array]:
        """Returns states 0 and 1 of the first cell."""
        state = layers.Convolution(self.features, (3, 3), self.style, name="convolution")(images)
        state = layers.Norm(self.style, name="norm")(state, train)
        return state, state


class ImagenetStem(nn.Module):
    """Three 3x3 convolutions of stride 2; state 0 is the output of the second, state 1 that of the third."""

    features: int
    style: styles.Style

    @nn.compact
    def __call__(self, images: chex.Array, train: bool) -> tuple[chex.Array, chex.Array]:
        """Returns states 0 and 1 of the first cell, a quarter and an eighth of the images' height and width."""
        states = [images]
        for at, features in enumerate((self.features // 2, self.features, self.features)):
            state = states[-1] if at == 0 else jax.nn.relu(states[-1])
            convolution = layers.Convolution(features, (3, 3), self.style, strides=(2, 2), name=f"convolution_{at}")
            states.append(layers.Norm(self.style, name=f"norm_{at}")(convolution(state), train))
        return states[2], states[3]


STEMS = {"cifar": CifarStem, "imagenet": ImagenetStem}


class Auxiliary(nn.Module):
    """Auxiliary classifier on an inner cell, used in training only.

    ReLU, average pool of 5x5, 1x1 convolution to 128, norm, ReLU, 2x2 convolution to 768, norm, ReLU, linear.
    """

    num_classes: int  # K
    style: styles.Style
    stride: int = 3  # of the pool, 3 for CIFAR and 2 for ImageNet
    is_padded: bool = False  # whether the 2x2 convolution is padded (NAO-WS in TensorFlow); its outputs are averaged
    has_bias: bool = True  # whether the linear layer has a bias

    @nn.compact
    def __call__(self, images: chex.Array, train: bool) -> chex.Array:
        """Returns float32[B, num_classes].

        Raises:
          ValueError: fewer than 2x2 windows fit the images.
        """
        if min(images.shape[1:3]) < AUXILIARY_WINDOW + (0 if self.is_padded else self.stride):
            raise ValueError(
                f"the auxiliary head needs images of at least {AUXILIARY_WINDOW + self.stride} pixels where it "
                f"branches off; got {images.shape[1]}x{images.shape[2]}; give larger images, or a network "
                "without it (auxiliary=False)"
            )
        state = layers.average_pool(jax.nn.relu(images), AUXILIARY_WINDOW, self.stride, [(0, 0), (0, 0)])
        for at, (features, side) in enumerate(zip(AUXILIARY_FEATURES, (1, 2))):
            convolution = layers.Convolution(
                features, (side, side), self.style, is_padded=self.is_padded, name=f"convolution_{at}"
            )
            state = jax.nn.relu(layers.Norm(self.style, name=f"norm_{at}")(convolution(state), train))
        means = jnp.mean(state.astype(jnp.float32), axis=(1, 2))
        return layers.Linear(self.num_classes, self.style, has_bias=self.has_bias, name="linear")(means)


class Classifier(nn.Module):
    """Global average pool, dropout, linear."""

    num_classes: int  # K
    style: styles.Style
    has_relu: bool = False  # whether a ReLU precedes the pool
    has_bias: bool = True  # whether the linear layer has a bias
    dropout_keep: float = 1.0  # the probability to keep a feature, in (0, 1]

    @nn.compact
    def __call__(self, images: chex.Array, train: bool) -> chex.Array:
        """Returns float32[B, num_classes]."""
        images = jax.nn.relu(images) if self.has_relu else images
        features = jnp.mean(images.astype(jnp.float32), axis=(1, 2))
        features = nn.Dropout(1 - self.dropout_keep, deterministic=not train, name="dropout")(features)
        return layers.Linear(self.num_classes, self.style, has_bias=self.has_bias, name="linear")(features)
