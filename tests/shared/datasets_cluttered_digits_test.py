"""Tests of `common.datasets.cluttered_digits`."""

import chex
import numpy as np
import pytest

from common.datasets import cluttered_digits, digits, images


class ClutterTest(chex.TestCase):
    def test_an_image_without_ink_shows_pieces_of_the_others_alone(self):
        blank = np.zeros((50, 8, 8), np.uint8)
        assert not cluttered_digits.clutter(np.random.RandomState(0), blank).any()
        blank[0, 3:6, 3:6] = 7
        found = cluttered_digits.clutter(np.random.RandomState(0), blank)
        assert set(np.unique(found)) == {0, 7}
        ink = (found[1:] > 0).sum(axis=(1, 2))
        assert ink.max() <= cluttered_digits.NUM_PIECES * cluttered_digits.PIECE**2

    def test_digits_lie_on_top_of_pieces_and_reach_every_corner(self):
        solid = np.full((300, 8, 8), 9, np.uint8)
        found = cluttered_digits.clutter(np.random.RandomState(0), solid)
        covered = np.array(
            [(image[y : y + 8, x : x + 8] == 9).all() for image in found for y in range(5) for x in range(5)]
        )
        assert covered.reshape(300, 25).any(axis=1).all()
        assert (found[:, (0, 0, -1, -1), (0, -1, 0, -1)] == 9).any(axis=0).all()


class LoadTest(chex.TestCase):
    def test_each_digit_has_its_images_in_one_part(self):
        dataset = images.load("cluttered_digits")
        plain = images.load("digits")
        chex.assert_shape([dataset.train.images, dataset.test.images], [(2180, 12, 12, 1), (2828, 12, 12, 1)])
        np.testing.assert_array_equal(dataset.train.labels, np.tile(plain.train.labels, 2))
        np.testing.assert_array_equal(dataset.test.labels, np.tile(plain.test.labels, 4))
        for split, original in ((dataset.train, plain.train), (dataset.test, plain.test)):
            for image, digit in zip(split.images[:40, ..., 0], original.images[:40, ..., 0]):
                windows = np.lib.stride_tricks.sliding_window_view(image, (8, 8)).reshape(25, 8, 8)
                assert (windows >= digit).all(axis=(1, 2)).any()

    def test_no_digit_is_trained_on_and_held_out(self):
        dataset = images.load("cluttered_digits")
        parts = images.parts(dataset)
        assert (len(parts["train"]), len(parts["validation"])) == (1454, 726)
        known = {image.tobytes(): group for image, group in zip(dataset.train.images, dataset.train.groups)}
        train, validation = (
            {known[image.tobytes()] for image in parts[name].images} for name in ("train", "validation")
        )
        assert (len(train), len(validation)) == (727, 363)
        assert not train & validation

    def test_other_images_are_refused(self):
        levels, labels = digits.read()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(digits, "read", lambda: (levels[::-1], labels))
            with pytest.raises(ValueError, match=r"SHA-256 \w{64}, expected " + cluttered_digits.SHA256):
                cluttered_digits.load()
