import collections
import dataclasses
import io
import itertools
import math
import pathlib
import tempfile

import numpy as np
import PIL.Image
import PIL.ImageEnhance
import pytest
from absl import flags
from absl.testing import parameterized

from common.datasets import jitter, prepared, streams

SMALL = streams.Config(image_size=16, resized=20, num_threads=4, prefetch=16)
NUM_TRAIN, NUM_TEST = 22, 7


def encode(pixels, kind="jpeg"):
    file = io.BytesIO()
    PIL.Image.fromarray(pixels).save(file, kind)
    return file.getvalue()


def random_pixels(height, width):
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def take(batches, count=None):
    return list(itertools.islice(batches, count))


def same(ones, others):
    return len(ones) == len(others) and all(
        np.array_equal(one[key], other[key]) for one, other in zip(ones, others, strict=True) for key in one
    )


class StreamTest(parameterized.TestCase):
    """A small dataset in ImageNet's layout, prepared by the command; the label is the place of the image."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.folder = pathlib.Path(cls.enterClassContext(tempfile.TemporaryDirectory()))
        rng = np.random.default_rng(0)
        for split, count in (("train", NUM_TRAIN), ("val", NUM_TEST)):
            for number in range(NUM_TRAIN):
                folder = cls.folder / "raw" / split / f"n{number:02}"
                folder.mkdir(parents=True)
                if number < count:
                    pixels = rng.integers(0, 256, (24 + number, 40 - number, 3), dtype=np.uint8)
                    (folder / "x.JPEG").write_bytes(encode(pixels))
        data_dir = str(cls.folder / "prepared")
        prepared.prepare("imagenet", str(cls.folder / "raw"), data_dir)
        cls.source = streams.open_source(data_dir)

    def train(self, config=SMALL, **changes):
        arguments = {"batch_size": 4, "seed": 1} | changes
        return streams.train_batches(self.source.train, config, **arguments)

    def labels(self, **changes):
        return np.concatenate([batch["labels"] for batch in self.train(**changes)])

    def test_the_source_and_its_batches(self):
        sizes = (len(self.source.train), len(self.source.test), self.source.num_classes)
        assert sizes == (NUM_TRAIN, NUM_TEST, NUM_TRAIN)
        assert (self.source.mean, self.source.std) == prepared.IMAGENET_STATISTICS
        batch = next(iter(self.train()))
        assert (batch["images"].shape, batch["images"].dtype) == ((4, 16, 16, 3), np.uint8)
        assert (batch["labels"].shape, batch["labels"].dtype) == ((4,), np.int32)

    def test_an_epoch_has_every_image_once_and_epochs_differ_in_order_and_changes(self):
        epochs = self.labels(num_epochs=3, batch_size=1).reshape(3, NUM_TRAIN)
        for epoch in epochs:
            np.testing.assert_array_equal(np.sort(epoch), np.arange(NUM_TRAIN))
        assert not any(np.array_equal(one, other) for one, other in itertools.combinations(epochs, 2))
        seen = collections.defaultdict(set)
        for batch in self.train(num_epochs=3, batch_size=1):
            seen[int(batch["labels"][0])].add(batch["images"].tobytes())
        assert all(len(variants) == 3 for variants in seen.values())

    def test_hosts_share_out_each_epoch(self):
        shares = [self.labels(num_epochs=2, batch_size=1, shard=(host, 4)).reshape(2, 5) for host in range(4)]
        for epoch in range(2):
            seen = np.concatenate([share[epoch] for share in shares])
            assert len(set(seen)) == 20  # of 22: a rest is left out
        # Which images are left out changes, too.
        assert len(set(np.ravel(shares))) > 20

    def test_hosts_augment_as_one_does(self):
        whole = take(self.train(batch_size=2), 11)
        halves = [take(self.train(batch_size=1, shard=(host, 2)), 11) for host in range(2)]
        for batch, *parts in zip(whole, *halves, strict=True):
            for name in ("images", "labels"):
                np.testing.assert_array_equal(batch[name], np.concatenate([part[name] for part in parts]))

    def test_the_seed_decides_and_threads_and_prefetching_change_nothing(self):
        whole, plain = take(self.train(), 12), dataclasses.replace(SMALL, num_threads=1, prefetch=1)
        assert same(whole, take(self.train(plain), 12))
        assert not same(whole, take(self.train(seed=2), 12))

    def test_a_stream_goes_on_where_it_was(self):
        iterator = iter(self.train())
        take(iterator, 7)  # into the second epoch
        state, expected = iterator.get_state(), take(iterator, 6)
        again = iter(self.train())
        again.set_state(state)
        assert same(take(again, 6), expected)
        next(again)
        again.set_state(state)
        assert same(take(again, 6), expected)
        assert same(take(self.train(start=7), 6), expected)

    def test_evaluation_has_every_image_once_in_order(self):
        batches = take(streams.evaluation_batches(self.source.test, SMALL, batch_size=3))
        assert [len(batch["labels"]) for batch in batches] == [3, 3, 1]
        np.testing.assert_array_equal(np.concatenate([batch["labels"] for batch in batches]), np.arange(NUM_TEST))
        for batch in batches:
            for image, label in zip(batch["images"], batch["labels"], strict=True):
                contents = (self.folder / "raw" / "val" / f"n{label:02}" / "x.JPEG").read_bytes()
                np.testing.assert_array_equal(image, prepared.decode_centre(contents, 16, 20))

    @parameterized.parameters(
        ({"batch_size": 0}, "batch_size must be at least 1; got 0"),
        ({"batch_size": 23}, "batch_size = 23 is more than the 22 training images of a host"),
        ({"shard": (2, 2)}, r"shard must be \(host, number of hosts\), the host from 0; got \(2, 2\)"),
        ({"shard": (0, 30)}, "22 images are too few for 30 hosts"),
    )
    def test_refused(self, changes, message):
        with pytest.raises(ValueError, match=message):
            self.train(**changes)

    @pytest.mark.slow
    def test_processes_change_nothing(self):
        flags.FLAGS.mark_as_parsed()  # as the commands do
        config = dataclasses.replace(SMALL, num_processes=2)
        assert same(take(self.train(config, num_epochs=1)), take(self.train(num_epochs=1)))
        assert same(take(self.train(config, start=7), 6), take(self.train(start=7), 6))


class ConfigTest(parameterized.TestCase):
    def test_presets_are_as_published(self):
        naonet, seminasnet = streams.PRESETS["naonet"], streams.PRESETS["seminasnet"]
        assert (naonet.brightness, naonet.contrast, naonet.saturation, naonet.hue) == (0.4, 0.4, 0.4, 0.2)
        assert (naonet.image_size, naonet.resized, seminasnet.hue) == (224, 256, 0.1)
        with pytest.raises(ValueError, match="resized must be at least image_size = 224; got 200"):
            streams.Config(resized=200)


class CropTest(parameterized.TestCase):
    def test_areas_ratios_and_places(self):
        rng = np.random.default_rng(0)
        crops = np.array([jitter.draw_crop(rng, (600, 500), 0.08) for _ in range(20_000)])
        left, top, width, height = crops.T
        assert (left.min(), top.min()) == (0, 0)
        assert ((left + width <= 600) & (top + height <= 500)).all()
        areas, ratios = width * height / (600 * 500), np.log(width / height)
        assert 0.079 < areas.min() < 0.09
        assert 0.95 < areas.max() <= 1
        assert math.log(0.74) < ratios.min() < math.log(0.76)
        assert math.log(1.32) < ratios.max() < math.log(1.35)
        # Small areas always fit: there all ratios are drawn, uniformly in their logarithm.
        small = ratios[areas < 0.4]
        np.testing.assert_allclose([small.mean(), small.std()], [0, 2 * math.log(4 / 3) / math.sqrt(12)], atol=0.01)

    @parameterized.parameters(
        ((400, 20), (186, 0, 27, 20)),  # as wide as 4/3 of the height
        ((20, 400), (0, 186, 20, 27)),  # as high as 4/3 of the width
        ((100, 90), (0, 0, 100, 90)),  # the whole
    )
    def test_where_nothing_fits_it_is_the_centre(self, size, expected):
        class Rng:
            def uniform(self, low, high):
                return 4.0 if (low, high) == (1.0, 1) else 0.0

        assert jitter.draw_crop(Rng(), size, 1.0) == expected

    def test_a_crop_is_the_rectangle_and_a_flip_is_left_to_right(self):
        pixels = random_pixels(12, 10)
        found = jitter.resized_crop(PIL.Image.fromarray(pixels), (3, 2, 6, 6), 6)
        np.testing.assert_array_equal(np.asarray(found), pixels[2:8, 3:9])
        np.testing.assert_array_equal(np.asarray(jitter.flip(PIL.Image.fromarray(pixels))), pixels[:, ::-1])


class CentreTest(parameterized.TestCase):
    @parameterized.parameters(((300, 256), (22, 0)), ((256, 301), (0, 22)), ((256, 256), (0, 0)))
    def test_the_centre_of_an_image_that_needs_no_resizing(self, size, shift):
        """Margins by hand: (300 - 256) / 2 = 22; (301 - 256) / 2 = 22.5, to the even 22."""
        pixels = random_pixels(size[1], size[0])
        found = prepared.decode_centre(encode(pixels, "png"), 224, 256)
        left, top = shift[0] + 16, shift[1] + 16
        np.testing.assert_array_equal(found, pixels[top : top + 224, left : left + 224])

    def test_the_shorter_side_is_resized_and_grey_images_become_coloured(self):
        pixels = random_pixels(64, 48)
        found = prepared.decode_centre(encode(pixels, "png"), 24, 24)
        whole = PIL.Image.fromarray(pixels).resize((24, 32), PIL.Image.Resampling.BILINEAR)
        np.testing.assert_array_equal(found, np.asarray(whole)[4:28])
        grey = random_pixels(20, 20)[..., 0]
        found = prepared.decode_centre(encode(grey, "png"), 20, 20)
        np.testing.assert_array_equal(found, grey[..., None].repeat(3, 2))


class ColorTest(parameterized.TestCase):
    def test_ranges_and_orders(self):
        rng = np.random.default_rng(0)
        drawn = [jitter.draw_colors(rng, streams.Config()) for _ in range(6000)]
        orders = collections.Counter(tuple(name for name, _ in changes) for changes in drawn)
        assert len(orders) == 24
        assert all(abs(count - 250) < 5 * math.sqrt(250) for count in orders.values())
        values = collections.defaultdict(list)
        for name, amount in itertools.chain(*drawn):
            values[name].append(amount)
        for name, amounts in values.items():
            least, most = (-0.2, 0.2) if name == "hue" else (0.6, 1.4)
            assert least <= min(amounts) < least + 0.01
            assert most - 0.01 < max(amounts) <= most

    def test_no_range_and_no_change(self):
        config = streams.Config(brightness=0.0, contrast=0.0, saturation=0.0, hue=0.1)
        assert [name for name, _ in jitter.draw_colors(np.random.default_rng(0), config)] == ["hue"]

    @parameterized.parameters((0.0, (200, 50, 50)), (1 / 3, (50, 200, 50)), (-1 / 3, (50, 50, 200)))
    def test_hues_turn(self, turn, expected):
        """A third of the circle is 85 of 256 steps, about 120 degrees."""
        image = PIL.Image.fromarray(np.full((2, 2, 3), (200, 50, 50), np.uint8))
        np.testing.assert_allclose(np.asarray(jitter.turn_hue(image, turn))[0, 0], expected, atol=5)

    def test_changes_follow_each_other(self):
        image = PIL.Image.fromarray(random_pixels(5, 6))
        found = jitter.recolor(image, [("brightness", 1.3), ("saturation", 0.5), ("contrast", 0.7)])
        expected = PIL.ImageEnhance.Brightness(image).enhance(1.3)
        expected = PIL.ImageEnhance.Color(expected).enhance(0.5)
        expected = PIL.ImageEnhance.Contrast(expected).enhance(0.7)
        np.testing.assert_array_equal(np.asarray(found), np.asarray(expected))
