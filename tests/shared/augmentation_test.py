import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from absl.testing import parameterized

from common.training import augmentation, erasing

MEAN, STD = (0.49139968, 0.48215827, 0.44653124), (0.24703233, 0.24348505, 0.26158768)


def some_images(count, size=(32, 32), channels=3):
    return np.random.default_rng(0).integers(0, 256, (count, *size, channels), dtype=np.uint8)


class NormalizeTest(chex.TestCase):
    def test_a_pixel_by_hand(self):
        image = jnp.array([0, 51, 255], jnp.uint8).reshape(1, 1, 3, 1)
        found = augmentation.normalize(image, (0.5,), (0.25,))
        np.testing.assert_allclose(found.ravel(), [-2.0, -1.2, 2.0], rtol=1e-6)

    def test_images_standardised_as_in_tensorflow(self):
        images = some_images(4)
        found = augmentation.normalize(images, MEAN, STD, normalization="image")
        values = images.astype(np.float64)
        deviation = values.std(axis=(1, 2, 3), keepdims=True)
        np.testing.assert_allclose(found, (values - values.mean(axis=(1, 2, 3), keepdims=True)) / deviation, atol=1e-4)

    def test_an_image_of_almost_one_colour(self):
        images = np.full((2, 4, 4, 1), 7, np.uint8)
        images[1, 0, 0] = 8  # mean 7 + 1/16, deviation sqrt(15)/16 = 0.242 < 1/4 = 1/sqrt(16 pixels)
        found = augmentation.standardize(jnp.asarray(images))
        np.testing.assert_array_equal(found[0], 0)
        np.testing.assert_allclose(found[1, 0, 0], 15 / 16 * 4, rtol=1e-6)
        np.testing.assert_allclose(found[1, 1, 1], -1 / 16 * 4, rtol=1e-6)


class CropAndFlipTest(chex.TestCase):
    def test_the_whole_equals_numpy_with_the_same_draws(self):
        images = some_images(32)
        config = augmentation.Config()
        found = jax.jit(lambda key, images: augmentation.augment(key, images, config, MEAN, STD))(
            jax.random.key(5), images
        )
        crop_key, flip_key, _, cutout_key = jax.random.split(jax.random.key(5), 4)
        corners = np.asarray(augmentation.draw_crops(crop_key, 32, 4))
        is_flipped = np.asarray(jax.random.bernoulli(flip_key, shape=(32,)))
        boxes = np.asarray(augmentation.draw_squares(cutout_key, 32, (32, 32), config))
        assert 5 < is_flipped.sum() < 27
        for n, image in enumerate(images):
            row, column = corners[n]
            image = np.pad(image, ((4, 4), (4, 4), (0, 0)))[row : row + 32, column : column + 32]
            image = image[:, ::-1] if is_flipped[n] else image
            expected = (image / 255 - np.array(MEAN)) / np.array(STD)
            (top, bottom), (left, right) = np.clip(boxes[n], 0, 32)
            expected[top:bottom, left:right] = 0
            np.testing.assert_allclose(found[n], expected, rtol=1e-5, atol=1e-5)


class CutoutTest(parameterized.TestCase):
    @parameterized.parameters(
        # Sides by hand. TensorFlow: 16 for the corners 0..16, then 15, 14, ..., 1. PyTorch: centres 0..7 give 8..15,
        # 8..24 give 16, 25..31 give 15..9.
        ("corner", (17 * 16 + sum(range(1, 16))) / 32),
        ("centre", (sum(range(8, 16)) + 17 * 16 + sum(range(9, 16))) / 32),
    )
    def test_the_mean_area_has_its_closed_form(self, cutout, mean_side):
        config = augmentation.Config(cutout=cutout)
        # One image for every place of the square: all 32 x 32 are equally likely.
        rows, columns = np.divmod(np.arange(1024), 32)
        drawn = jnp.stack([jnp.asarray(rows), jnp.asarray(columns)], axis=1)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(jax.random, "randint", lambda *_: drawn)
            boxes = augmentation.draw_squares(jax.random.key(0), 1024, (32, 32), config)
        left = augmentation.cut_out(jnp.ones((1024, 32, 32, 1)), boxes)
        areas = np.sum(np.asarray(left) == 0, axis=(1, 2, 3))
        assert areas.mean() == mean_side**2
        assert mean_side**2 == {"corner": 150.0625, "centre": 196.0}[cutout]


class ErasingTest(parameterized.TestCase):
    def test_rectangles(self):
        """Areas and ratios within their ranges, up to the rounding of sides; places all over; half of the images."""
        draw = jax.jit(lambda key: erasing.draw_boxes(key, 4096, (40, 60), 0.5))
        boxes = np.asarray(draw(jax.random.key(0)))
        sides = boxes[..., 1] - boxes[..., 0]
        is_erased = sides[:, 0] > 0
        assert abs(is_erased.mean() - 0.5) < 0.03
        assert not np.any(boxes[~is_erased])
        height, width = sides[is_erased].T
        assert boxes.min() == 0
        assert tuple(boxes[..., 1].max(axis=0)) == (40, 60)
        area = height * width / 2400
        assert 0.015 < area.min() < 0.03
        assert 0.3 < area.max() < 0.345
        # Uniform between 0.02 and 1/3 has the mean 0.177; long rectangles of a large area do not fit.
        assert 0.15 < area.mean() < 0.18
        assert 0.25 < (height / width).min() < 0.4
        assert 2.5 < (height / width).max() < 3.8

    def test_noise_inside_and_nothing_outside(self):
        def run(key, values):
            boxes = erasing.draw_boxes(jax.random.split(jax.random.clone(key))[0], 256, (16, 16), 1.0)
            return erasing.erase(key, values, 1.0), erasing.is_inside(boxes, (16, 16))

        values = np.full((256, 16, 16, 3), 7, np.float32)
        found, is_noise = map(np.asarray, jax.jit(run)(jax.random.key(1), values))
        assert np.all(is_noise.any(axis=(1, 2)))
        np.testing.assert_array_equal(found[~is_noise], 7)
        noise = found[is_noise]
        assert abs(noise.mean()) < 0.03
        assert abs(noise.std() - 1) < 0.03

    @parameterized.parameters(
        ({"randaugment": 2, "autoaugment": "nao"}, "randaugment needs autoaugment 'none'; got autoaugment 'nao'"),
        ({"randaugment_magnitude": 5.0}, "randaugment_magnitude needs randaugment"),
        ({"erasing": 0.2}, "erasing needs cutout 'none'; got cutout 'centre'"),
    )
    def test_settings_that_contradict_each_other(self, changes, message):
        with pytest.raises(ValueError, match=message):
            augmentation.Config(**changes)


class MixTest(parameterized.TestCase):
    def one_hot_images(self, count, size):
        """Images whose pixels name their image, and targets which do too."""
        names = jnp.eye(count)
        return jnp.broadcast_to(names[:, None, None], (count, *size, count)), names

    @parameterized.parameters((1, 1.0), (2, 0.5), (3, 1.0), (1, 0.0))
    def test_labels_of_one_cutmix_are_the_shares_of_the_pixels(self, num_mixes, probability):
        config = augmentation.Config(mixing="cutmix", num_mixes=num_mixes, mixing_probability=probability)
        images, targets = self.one_hot_images(16, (32, 24))
        mix = jax.jit(lambda key: augmentation.mix(key, images, targets, config))
        for seed in range(5):
            mixed, mixed_targets = mix(jax.random.key(seed))
            np.testing.assert_allclose(jnp.sum(mixed_targets, axis=1), 1, rtol=1e-6)
            np.testing.assert_array_equal(jnp.sum(mixed, axis=-1), 1)  # every pixel is one image's
            if num_mixes == 1:
                np.testing.assert_allclose(mixed_targets, jnp.mean(mixed, axis=(1, 2)), rtol=1e-6, atol=1e-7)
            if probability == 0:
                np.testing.assert_array_equal(mixed, images)

    def test_two_mixes_are_one_after_the_other(self):
        """Published: what the second box covers takes its share of the label, whatever the first one left there."""
        images, targets = self.one_hot_images(3, (4, 4))
        boxes = [jnp.array([[[0, 2], [0, 4]]] * 3), jnp.array([[[0, 4], [0, 1]]] * 3)]
        for box, shift in zip(boxes, (1, 2), strict=True):
            others = jnp.roll(jnp.eye(3), -shift, axis=0)
            images, shares = augmentation.paste(images, jnp.broadcast_to(others[:, None, None], images.shape), box)
            targets = augmentation.blend(targets, others, shares)
        # Image 0: image 1 covers half, then image 2 covers a quarter: 1 * 1/2 * 3/4, 1/2 * 3/4, 1/4.
        np.testing.assert_allclose(targets[0], [0.375, 0.375, 0.25])
        np.testing.assert_array_equal(jnp.sum(images[0], axis=(0, 1)), [6, 6, 4])

    def test_mixup_mixes_images_and_labels_alike(self):
        config = augmentation.Config(mixing="mixup", mixing_beta=0.4)
        images, targets = self.one_hot_images(64, (2, 2))
        mix = jax.jit(lambda key: augmentation.mix(key, images, targets, config))
        mixed, mixed_targets = mix(jax.random.key(0))
        np.testing.assert_allclose(mixed[:, 0, 0], mixed_targets, rtol=1e-6)
        np.testing.assert_allclose(mixed[:, 1, 1], mixed_targets, rtol=1e-6)
        np.testing.assert_allclose(jnp.sum(mixed_targets, axis=0), 1, atol=1)  # a permutation gives the partners
        own = np.diag(mixed_targets)
        assert 0.3 < own.mean() < 0.7
        # Beta(0.4, 0.4) has the variance 1 / (4 (2 * 0.4 + 1)) = 0.139.
        assert 0.1 < own.var() < 0.18

    def test_boxes_by_hand(self):
        """Share 0.75 of 32x24: sides 16x12; share 0: the whole image, halves rounded down."""
        shares = jnp.array([0.75, 0.0, 1.0])
        boxes = np.asarray(augmentation.draw_boxes(jax.random.key(0), shares, (32, 25)))
        np.testing.assert_array_equal(boxes[..., 1] - boxes[..., 0], [[16, 12], [32, 24], [0, 0]])

    def test_none_is_nothing(self):
        images, targets = self.one_hot_images(4, (2, 2))
        mixed = augmentation.mix(jax.random.key(0), images, targets, augmentation.Config())
        chex.assert_trees_all_equal(mixed, (images, targets))


class WholeTest(parameterized.TestCase):
    @parameterized.parameters(*augmentation.PRESETS, "randaugment")
    def test_every_preset_on_colour_images(self, name):
        config = augmentation.PRESETS.get(name, augmentation.Config(randaugment=2, erasing=0.5, cutout="none"))
        images = some_images(5)

        augment = jax.jit(lambda key, images: augmentation.augment(key, images, config, MEAN, STD))
        found = augment(jax.random.key(0), images)
        again, other = augment(jax.random.key(0), images), augment(jax.random.key(1), images)
        assert (found.shape, found.dtype) == (images.shape, jnp.float32)
        assert bool(jnp.all(jnp.isfinite(found)))
        np.testing.assert_array_equal(found, again)
        assert bool(jnp.any(found != other)) == (name != "none")
