import math

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from absl.testing import parameterized
from PIL import Image, ImageEnhance, ImageOps
from scipy import ndimage

from common.training import autoaugment

GREY = (128, 128, 128)


def some_images():
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (4, 32, 32, 3))
    ramps = np.add.outer(np.arange(32) * 3, np.arange(32) * 5)[None, ..., None] * np.array([1, 0.7, 0.3])
    coarse = rng.integers(0, 3, (2, 32, 32, 3)) * 100 + 20
    flat = np.full((1, 32, 32, 3), 77)
    narrow = rng.integers(90, 131, (4, 32, 32, 3))
    dark = (rng.random((4, 32, 32, 3)) ** 6) * 255
    return np.concatenate([noise, ramps, coarse, flat, narrow, dark]).astype(np.uint8)


IMAGES = some_images()
APPLY = {
    form: jax.jit(lambda images, *args, form=form: autoaugment.apply(images, *args, form=form))
    for form in autoaugment.FORMS
}


def apply(name, magnitude, *, form="nao", images=IMAGES):
    number = autoaugment.OPERATIONS.index(name)
    arguments = jnp.full(len(images), number), jnp.full(len(images), magnitude, jnp.float32)
    return np.asarray(APPLY[form](images, *arguments)).astype(int)


def in_pillow(function, images=IMAGES):
    return np.stack([np.asarray(function(Image.fromarray(image))) for image in images]).astype(int)


class PillowTest(parameterized.TestCase):
    @parameterized.product(
        name=["contrast", "color", "brightness", "sharpness"], factor=[0.1, 0.37, 0.5, 0.82, 1.0, 1.3, 1.9]
    )
    def test_factors(self, name, factor):
        enhance = getattr(ImageEnhance, name.capitalize())
        np.testing.assert_array_equal(apply(name, factor), in_pillow(lambda image: enhance(image).enhance(factor)))

    @parameterized.parameters(
        *(("solarize", threshold) for threshold in (0, 25.6, 51.2, 128, 200.5, 256)),
        *(("posterize", bits) for bits in range(1, 9)),
        ("invert",),
        ("equalize",),
    )
    def test_operations(self, name, *magnitude):
        expected = in_pillow(lambda image: getattr(ImageOps, name)(image, *magnitude))
        np.testing.assert_array_equal(apply(name, *(magnitude or (0,))), expected)

    def test_autocontrast_is_exact_where_pillow_rounds_ties(self):
        """(value - least) * 255 / width rounded down; Pillow's doubles miss some whole numbers from below."""
        found, expected = apply("autocontrast", 0), in_pillow(ImageOps.autocontrast)
        least, most = (reduce(IMAGES, axis=(1, 2), keepdims=True).astype(int) for reduce in (np.min, np.max))
        width = most - least
        exact, rest = np.divmod((IMAGES - least) * 255, np.maximum(width, 1))
        np.testing.assert_array_equal(found, np.where(width > 0, exact, IMAGES))
        differs = found != expected
        assert np.mean(differs) < 0.02
        np.testing.assert_array_equal((found - expected)[differs], 1)
        assert not np.any(differs & (rest != 0))

    @parameterized.parameters(-0.45, -0.2, 0.05, 0.31)
    def test_translations(self, share):
        moved = {"translate_x": (1, 0, 32 * share, 0, 1, 0), "translate_y": (1, 0, 0, 0, 1, 32 * share)}
        for name, matrix in moved.items():
            expected = in_pillow(lambda i, m=matrix: i.transform(i.size, Image.Transform.AFFINE, m, fillcolor=GREY))
            np.testing.assert_array_equal(apply(name, share), expected)

    @parameterized.parameters(-0.3, -0.1, 0.05, 0.8 / 3)
    def test_shears_up_to_rounding(self, slope):
        cubic = Image.Resampling.BICUBIC
        sheared = {"shear_x": (1, slope, 0, 0, 1, 0), "shear_y": (1, 0, 0, slope, 1, 0)}
        for name, matrix in sheared.items():
            expected = in_pillow(
                lambda i, m=matrix: i.transform(i.size, Image.Transform.AFFINE, m, cubic, fillcolor=GREY)
            )
            differences = np.abs(apply(name, slope) - expected)
            assert differences.max() <= 1
            assert np.mean(differences > 0) < 0.03

    @parameterized.parameters(60 / 9, 10, 25)
    def test_rotations(self, degrees):
        expected = in_pillow(lambda image: image.rotate(degrees, fillcolor=GREY))
        assert np.mean(apply("rotate", math.radians(degrees)) != expected) < 0.002

    def test_grey_images(self):
        images = IMAGES[..., :1]
        for name in ("contrast", "color", "sharpness"):
            enhance = getattr(ImageEnhance, name.capitalize())
            expected = in_pillow(lambda image, enhance=enhance: enhance(image).enhance(0.4), images[..., 0])
            np.testing.assert_array_equal(apply(name, 0.4, images=images)[..., 0], expected)
        found = apply("equalize", 0, images=images)[..., 0]
        np.testing.assert_array_equal(found, in_pillow(ImageOps.equalize, images[..., 0]))


class RandAugmentTest(chex.TestCase):
    def test_operations_and_magnitudes_by_hand(self):
        draw = jax.jit(lambda key: autoaugment.draw_random(key, 2048, num_operations=2, magnitude=5))
        draws = jax.tree.map(np.asarray, draw(jax.random.key(0)))
        assert draws.operations.shape == (2048, 2)
        expected = {
            **dict.fromkeys(("nothing", "equalize", "autocontrast"), (0,)),
            **dict.fromkeys(("shear_x", "shear_y"), (-0.15, 0.15)),
            **dict.fromkeys(("translate_x", "translate_y"), (-75 / 331, 75 / 331)),
            **dict.fromkeys(("contrast", "color", "brightness", "sharpness"), (0.55, 1.45)),
            "rotate": (-math.radians(15), math.radians(15)),
            "solarize": (128,),
            "posterize": (6,),
        }
        assert set(autoaugment.RANDOM) == set(expected)
        for name, magnitudes in expected.items():
            is_chosen = draws.operations == autoaugment.OPERATIONS.index(name)
            assert abs(is_chosen.mean() - 1 / 14) < 0.02, name
            np.testing.assert_allclose(np.unique(draws.magnitudes[is_chosen]), magnitudes, rtol=1e-6)

    def test_operations_are_applied_one_after_the_other(self):
        apply_all = jax.jit(lambda key, images: autoaugment.randaugment(key, images, num_operations=2, magnitude=9))
        found = apply_all(jax.random.key(3), IMAGES)
        draw = jax.jit(lambda key: autoaugment.draw_random(key, len(IMAGES), num_operations=2, magnitude=9))
        draws, expected = jax.tree.map(np.asarray, draw(jax.random.key(3))), IMAGES
        for at in range(2):
            expected = APPLY["nao"](expected, draws.operations[:, at], draws.magnitudes[:, at])
        np.testing.assert_array_equal(found, expected)
        assert np.mean(np.any(found != IMAGES, axis=(1, 2, 3))) > 0.5


class SplineTest(parameterized.TestCase):
    """LaNet's warps are affine transforms of SciPy about (n / 2 + 1 / 2), rows first."""

    @parameterized.parameters(-0.3, 0.0, 0.17)
    def test_warps_equal_scipy(self, magnitude):
        cosine, sine = math.cos(magnitude), math.sin(magnitude)
        warps = {
            "shear_x": ([[1, magnitude], [0, 1]], (0, 0)),
            "shear_y": ([[1, 0], [magnitude, 1]], (0, 0)),
            "rotate": ([[cosine, -sine], [sine, cosine]], (0, 0)),
            "translate_x": (np.eye(2), (0, 32 * magnitude)),
            "translate_y": (np.eye(2), (32 * magnitude, 0)),
        }
        for name, (matrix, shift) in warps.items():
            matrix, centre = np.asarray(matrix), np.full(2, 16.5)
            offset = centre - matrix @ centre + shift
            expected = np.zeros_like(IMAGES)
            for n, channel in np.ndindex(len(IMAGES), 3):
                expected[n, ..., channel] = ndimage.affine_transform(IMAGES[n, ..., channel], matrix, offset)
            differences = np.abs(apply(name, magnitude, form="lanet") - expected.astype(int))
            assert differences.max() <= 1, name
            assert np.mean(differences > 0) < 0.001, name


class DrawTest(parameterized.TestCase):
    @parameterized.parameters(*autoaugment.FORMS)
    def test_pairs_and_probabilities(self, form):
        count = 50_000
        draws = autoaugment.draw(jax.random.key(0), count, form=form)
        operations = np.asarray(draws.operations)
        for at in range(2):
            expected = np.zeros(len(autoaugment.OPERATIONS))
            for pair in autoaugment.POLICY:
                name, probability, _ = pair[at]
                expected[autoaugment.OPERATIONS.index(name)] += probability / 25
            expected[0] = 1 - expected[1:].sum()
            found = np.bincount(operations[:, at], minlength=len(expected)) / count
            np.testing.assert_allclose(found, expected, atol=5 * 0.5 / math.sqrt(count))

    def magnitudes(self, form, name):
        draws = autoaugment.draw(jax.random.key(1), 20_000, form=form)
        return np.asarray(draws.magnitudes)[np.asarray(draws.operations) == autoaugment.OPERATIONS.index(name)]

    def test_lanet_draws_within_bins(self):
        """Bins of linspace(least, most, 11): rotate is in bin 2, posterize in 7, solarize in 2, 3, 5 and 8."""
        rotations = self.magnitudes("lanet", "rotate")
        assert math.radians(-18) <= rotations.min() < math.radians(-17.8)
        assert math.radians(-12.2) < rotations.max() <= math.radians(-12)
        bits = self.magnitudes("lanet", "posterize")
        assert 6.8 <= bits.min() < bits.max() <= 7.2
        bins = np.unique(np.floor(self.magnitudes("lanet", "solarize") / 25.6))
        np.testing.assert_array_equal(bins, [2, 3, 5, 8])

    def test_nao_draws_levels_with_signs(self):
        np.testing.assert_allclose(np.unique(self.magnitudes("nao", "rotate")), [math.radians(30) * 2 / 9], rtol=1e-6)
        np.testing.assert_allclose(np.unique(self.magnitudes("nao", "posterize")), [5])
        shears = np.unique(self.magnitudes("nao", "shear_y"))
        np.testing.assert_allclose(shears, [-0.8 / 3, -0.7 / 3, 0.7 / 3, 0.8 / 3], rtol=1e-6)
        contrasts = self.magnitudes("nao", "contrast")
        np.testing.assert_allclose(np.unique(contrasts), [0.3, 0.4, 1.6, 1.7], rtol=1e-6)
        assert 0.45 < np.mean(contrasts > 1) < 0.55

    def test_the_whole_is_one_operation_after_the_other(self):
        for form in autoaugment.FORMS:
            augment = jax.jit(lambda key, form=form: autoaugment.augment(key, jnp.asarray(IMAGES), form=form))
            found = augment(jax.random.key(3))
            draws = autoaugment.draw(jax.random.key(3), len(IMAGES), form=form)
            expected = IMAGES
            for at in range(2):
                expected = APPLY[form](expected, draws.operations[:, at], draws.magnitudes[:, at])
            np.testing.assert_array_equal(found, expected)
            assert found.dtype == jnp.uint8
            assert np.all(np.asarray(found) == IMAGES, axis=(1, 2, 3)).mean() < 0.7

    def test_refused(self):
        with pytest.raises(ValueError, match="unknown form 'other'; choose one of lanet, nao"):
            autoaugment.augment(jax.random.key(0), IMAGES, form="other")
        with pytest.raises(ValueError, match="images of 1 or 3 channels; got 2"):
            autoaugment.augment(jax.random.key(0), IMAGES[..., :2], form="nao")


class OnSomeTest(chex.TestCase):
    @parameterized.product(count=[1, 3, 17], share=[0.0, 0.4, 1.0])
    def test_only_the_chosen_are_changed(self, count, share):
        images = jnp.arange(count * 4, dtype=jnp.uint8).reshape(count, 2, 2, 1)
        amounts = jnp.arange(count) + 1
        is_chosen = jnp.asarray(np.random.default_rng(0).random(count) < share)

        def add(images, amounts):
            return images + amounts[:, None, None, None].astype(jnp.uint8)

        found = autoaugment.on_some(add, images, (amounts,), is_chosen)
        np.testing.assert_array_equal(found, jnp.where(is_chosen[:, None, None, None], add(images, amounts), images))
