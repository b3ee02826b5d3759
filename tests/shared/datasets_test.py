import contextlib
import io
import os
import pathlib
import subprocess
import sys

import chex
import jax
import numpy as np
import pytest
from absl.testing import parameterized

from common import datasets
from common.datasets import digits, images, records
from common.runs import digits_convnet
from common.training import augmentation
from tests.shared import folders

ROOT = pathlib.Path(__file__).parents[2]


def arrays(count=6, size=(5, 4), channels=3, classes=3):
    rng = np.random.default_rng(0)
    shape = (count, *size, channels) if channels else (count, *size)
    return rng.integers(0, 256, shape, dtype=np.uint8), np.arange(count) % classes


class DigitsTest(chex.TestCase):
    def test_the_images_and_their_split(self):
        data = images.load("digits")
        assert (data.train.images.shape, data.test.images.shape) == ((1090, 8, 8, 1), (707, 8, 8, 1))
        assert (data.train.images.dtype, data.train.labels.dtype) == (np.uint8, np.int32)
        assert (data.name, data.num_classes, int(data.train.images.max())) == ("digits", 10, 240)
        levels, labels = digits.read()
        whole = np.concatenate([data.train.images, data.test.images])[..., 0]
        order = digits.shuffled()
        np.testing.assert_array_equal(whole, levels[order] * 15)
        np.testing.assert_array_equal(np.concatenate([data.train.labels, data.test.labels]), labels[order])

    def test_the_test_images_are_those_of_the_table(self):
        _, _, table_test = digits_convnet.load_data(digits_convnet.Settings())
        test = images.load("digits").test
        np.testing.assert_array_equal(np.argmax(table_test.labels, axis=0), test.labels)
        pixels = np.moveaxis(np.asarray(table_test.pixels), -1, 0)
        assert np.corrcoef(pixels.ravel(), test.images[..., 0].ravel())[0, 1] > 0.999999

    def test_other_images_are_refused(self):
        from sklearn import datasets as sklearn_datasets

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sklearn_datasets, "load_digits", lambda return_X_y: (np.zeros((1797, 64)), np.zeros(1797)))
            with pytest.raises(ValueError, match=r"load_digits gave other images: SHA-256 \w{64}, expected 87ff"):
                digits.load()


class ClutterTest(chex.TestCase):
    def test_an_image_without_ink_shows_pieces_of_the_others_alone(self):
        blank = np.zeros((50, 8, 8), np.uint8)
        assert not digits.clutter(np.random.RandomState(0), blank).any()
        blank[0, 3:6, 3:6] = 7
        found = digits.clutter(np.random.RandomState(0), blank)
        assert set(np.unique(found)) == {0, 7}
        ink = (found[1:] > 0).sum(axis=(1, 2))
        assert ink.max() <= digits.NUM_PIECES * digits.PIECE**2

    def test_digits_lie_on_top_of_pieces_and_reach_every_corner(self):
        solid = np.full((300, 8, 8), 9, np.uint8)
        found = digits.clutter(np.random.RandomState(0), solid)
        covered = np.array(
            [(image[y : y + 8, x : x + 8] == 9).all() for image in found for y in range(5) for x in range(5)]
        )
        assert covered.reshape(300, 25).any(axis=1).all()
        assert (found[:, (0, 0, -1, -1), (0, -1, 0, -1)] == 9).any(axis=0).all()


class ClutteredTest(chex.TestCase):
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
        # No digit is both trained on and held out.
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
            with pytest.raises(ValueError, match=r"SHA-256 \w{64}, expected " + digits.CLUTTERED_SHA256):
                digits.load_cluttered()


class HoldOutTest(chex.TestCase):
    def setUp(self):
        super().setUp()
        pixels, _ = arrays(10)
        self.split = records.Split(images=pixels, labels=np.arange(10, dtype=np.int32))

    def test_parts_are_disjoint_complete_and_in_order(self):
        rest, held_out = images.hold_out(self.split, 3, key=jax.random.key(0))
        assert (len(rest), len(held_out)) == (7, 3)
        np.testing.assert_array_equal(np.sort(np.concatenate([rest.labels, held_out.labels])), np.arange(10))
        for part in (rest, held_out):
            np.testing.assert_array_equal(part.labels, np.sort(part.labels))
            np.testing.assert_array_equal(part.images, self.split.images[part.labels])

    def test_the_key_decides(self):
        drawn = [tuple(images.hold_out(self.split, 3, key=jax.random.key(seed))[1].labels) for seed in range(100)]
        assert drawn[0] == tuple(images.hold_out(self.split, 3, key=jax.random.key(0))[1].labels)
        counts = np.bincount(np.ravel(drawn), minlength=10)
        assert np.abs(counts - 30).max() < 5 * np.sqrt(30 * 0.7)

    def test_groups_stay_together(self):
        pixels, labels = arrays(12)
        groups = np.tile(np.arange(6, dtype=np.int32), 2)
        split = records.Split(images=pixels, labels=labels, groups=groups)
        rest, held_out = images.hold_out(split, 4, key=jax.random.key(0))
        chosen = jax.random.permutation(jax.random.key(0), 6)[:2]
        np.testing.assert_array_equal(held_out.images, pixels[np.isin(groups, chosen)])
        np.testing.assert_array_equal(rest.images, pixels[~np.isin(groups, chosen)])
        np.testing.assert_array_equal(held_out.groups, [0, 1, 0, 1])
        np.testing.assert_array_equal(rest.groups, [0, 1, 2, 3] * 2)

    def test_none_and_too_many(self):
        rest, held_out = images.hold_out(self.split, 0, key=jax.random.key(0))
        np.testing.assert_array_equal(rest.images, self.split.images)
        assert held_out.images.shape == (0, 5, 4, 3)
        for count in (-1, 10):
            with pytest.raises(ValueError, match=f"cannot hold out {count} of 10 images; want 0 to 9"):
                images.hold_out(self.split, count, key=jax.random.key(0))


class RecordsTest(parameterized.TestCase):
    def test_statistics_are_those_of_numpy(self):
        pixels, _ = arrays(50)
        mean, std = records.measure(pixels)
        np.testing.assert_allclose(mean, (pixels / 255).mean(axis=(0, 1, 2)), rtol=1e-12)
        np.testing.assert_allclose(std, (pixels / 255).std(axis=(0, 1, 2)), rtol=1e-12)
        assert records.measure(np.full((2, 3, 3, 1), 51, np.uint8)) == ((0.2,), (1.0,))

    def test_grey_images_get_an_axis_and_columns_of_labels_lose_one(self):
        pixels, labels = arrays(channels=None)
        split = records.check(pixels, labels[:, None].astype(np.uint8), source="x")
        assert (split.images.shape, split.labels.shape, split.labels.dtype) == ((6, 5, 4, 1), (6,), np.int32)

    @parameterized.parameters(
        (lambda x, y: (x.astype(np.float32), y), "x: images are float32; want uint8"),
        (lambda x, y: (x[0, 0], y), r"x: images have shape \(4, 3\); want \[N, height, width, channels\]"),
        (lambda x, y: (x[:0], y[:0]), r"x: images have shape \(0, 5, 4, 3\); want .*, all above 0"),
        (lambda x, y: (x, y.astype(np.float32)), r"x: labels are float32 of shape \(6,\); want integers \[N\]"),
        (lambda x, y: (x, np.eye(6, dtype=np.int32)), r"x: labels are int32 of shape \(6, 6\)"),
        (lambda x, y: (x, y[:-1]), "x: 6 images but 5 labels"),
        (lambda x, y: (x, y - 1), "x: label -1 of image 0; labels are classes, from 0 up"),
        (lambda x, y: (x, y + 2**40), "x: label 1099511627776 of image 0"),
    )
    def test_arrays_of_no_use(self, change, message):
        with pytest.raises(ValueError, match=message):
            records.check(*change(*arrays()), source="x")

    def test_splits_that_do_not_fit(self):
        with pytest.raises(ValueError, match=r"label 2 of image 2 in test of x: there are 2 classes, .* from 0 to 1"):
            records.make("n", arrays(classes=2), arrays(classes=3), source="x", num_classes=2)
        with pytest.raises(ValueError, match=r"x: images of train are \(5, 4, 3\) and of test \(4, 4, 3\)"):
            records.make("n", arrays(), arrays(size=(4, 4)), source="x")


class ArrayFileTest(folders.FolderTest):
    def save(self, name="mine.npz", **changes):
        x_train, y_train = arrays(6, channels=None)
        x_test, y_test = arrays(4, channels=None)
        values = {"x_train": x_train, "y_train": y_train, "x_test": x_test, "y_test": y_test} | changes
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        np.savez(path, **{key: value for key, value in values.items() if value is not None})
        return path

    def test_a_file_of_ones_own(self):
        path = self.save()
        for data in (images.load(str(path)), datasets.load("mine.npz", self.folder)):
            assert (data.name, data.num_classes, data.train.images.shape) == ("mine", 3, (6, 5, 4, 1))
            np.testing.assert_array_equal(data.test.images[..., 0], np.load(path)["x_test"])

    def test_a_file_is_read_once_until_it_changes(self):
        path = self.save()
        first = images.load(str(path))
        assert images.load(str(path)) is first
        assert not first.train.images.flags.writeable
        changed = 255 - first.train.images[..., 0]
        self.save(x_train=changed)
        os.utime(path, ns=(0, 0))
        np.testing.assert_array_equal(images.load(str(path)).train.images[..., 0], changed)

    def test_other_names_and_a_number_of_classes(self):
        pixels, labels = arrays()
        path = self.folder / "mine.npz"
        names = {"train_images": pixels, "train_labels": labels, "test_images": pixels, "test_labels": labels}
        np.savez(path, num_classes=7, **names)
        assert images.load(str(path)).num_classes == 7
        np.savez(path, num_classes=0.5, **names)
        with pytest.raises(ValueError, match=r"num_classes of .*; want one integer above 0"):
            images.load(str(path))

    def test_names_of_classes(self):
        for names in (["a b", "\N{LATIN SMALL LETTER E WITH ACUTE}", "c"], [b"a", b"b", b"c"]):
            data = images.load(str(self.save(class_names=np.array(names))))
            wanted = tuple(name if isinstance(name, str) else name.decode() for name in names)
            assert (data.num_classes, data.class_names, data.notes) == (3, wanted, ())
        for changes, message in (
            (
                {"class_names": np.array(["a", "b"])},
                "label 2 of image 2 in train of .*: there are 2 class_names, one a class, so labels go from 0 to 1",
            ),
            ({"class_names": np.array(["a", "b", "a"])}, "must be different and not empty; got 'a', 'b', 'a'"),
            ({"class_names": np.array([["a", "b", "c"]])}, r"class_names of .* is <U1\[1, 3\]; want texts \[K\]"),
            ({"class_names": np.array([b"\xe9", b"b", b"c"])}, "class_names of .* are not UTF-8; save them as"),
            (
                {"class_names": np.array(["a", "b", "c"], object)},
                "'class_names' holds Python objects; .* texts",
            ),
            ({"class_names": np.arange(3)}, "class_names of .* is int64.*; want texts"),
            ({"class_names": np.array(["a", "b", "c"]), "num_classes": 4}, "3 class_names and num_classes = 4; leave"),
        ):
            with pytest.raises(ValueError, match=message):
                images.load(str(self.save(**changes)))

    @parameterized.parameters("mnist.npz", "mnist/mnist.npz")
    def test_mnist_is_found(self, name):
        self.save(name)
        data = images.load("mnist", self.folder)
        assert (data.name, data.num_classes) == ("mnist", 10)

    def test_mnist_is_not_there(self):
        with pytest.raises(ValueError, match=r"mnist does not ship with the package: get mnist.npz .* --data_dir"):
            images.load("mnist")
        with pytest.raises(ValueError, match=f"looked for {self.folder}/mnist.npz, {self.folder}/mnist/mnist.npz; get"):
            images.load("mnist", self.folder)

    def test_damaged_files_and_pickled_objects(self):
        path = self.save()
        contents = path.read_bytes()
        flipped = bytearray(contents)
        flipped[200] ^= 255  # inside the first array: the checksum of the archive does not hold
        array = io.BytesIO()
        np.save(array, np.arange(3))
        pickled = self.save(y_train=np.array([{}] * 6, dtype=object)).read_bytes()
        half = contents[: len(contents) // 2]
        for damaged in (b"", b"not a file of arrays", contents[:200], half, flipped, array.getvalue(), pickled):
            path.write_bytes(damaged)
            with pytest.raises(ValueError, match=f"{path}.* (damaged|not an npz file|objects)"):
                images.load(str(path))

    def test_missing_files_and_arrays(self):
        with pytest.raises(ValueError, match=r"no file at nowhere.npz; want an .npz file with the arrays x_train, "):
            images.load("nowhere.npz", self.folder)
        path = self.save(y_test=None)
        with pytest.raises(
            ValueError, match="has the arrays x_test, x_train, y_train, but no y_test; want x_train, y_train"
        ):
            images.load(str(path))
        message = "has the arrays x_test, x_train, y_test, but no y_train; .* and may have x_test, y_test"
        with pytest.raises(ValueError, match=message):
            images.load(str(self.save(y_train=None)))


class RegistryTest(folders.FolderTest):
    @parameterized.parameters("moon", "", "CIFAR10")
    def test_unknown_names(self, name):
        with pytest.raises(ValueError, match=f"unknown dataset '{name}'; choose one of cifar10, cifar100, cluttered_"):
            images.load(name, "/nowhere")

    @parameterized.parameters(
        ("cifar10", "cifar10/3.0.2", "cifar-10-python.tar.gz"),
        ("cifar100", "cifar100/3.0.2", "cifar-100-python.tar.gz"),
        ("imagenet", "imagenet2012/5.1.0", "FOLDER_OF_TRAIN_AND_VAL"),
    )
    def test_a_dataset_that_is_not_prepared(self, name, place, source):
        command = f"`python -m launch.prepare_data --dataset={name} --source={source} --data_dir="
        with pytest.raises(ValueError, match=f"{name} does not ship with the package: .*{command}DATA_DIR`"):
            images.load(name)
        with pytest.raises(ValueError, match=f"no folder /nowhere to find dataset {name} in; .*{command}/nowhere`"):
            images.load(name, "/nowhere")
        with pytest.raises(ValueError, match=f"no dataset {name} at {self.folder}/{place}; .*{command}{self.folder}`"):
            images.load(name, self.folder)

    def test_importing_is_silent_and_leaves_heavy_packages_alone(self):
        code = (
            "import sys, common.datasets\n"
            "heavy = {'tensorflow', 'tensorflow_datasets', 'sklearn', 'grain', 'array_record'} & set(sys.modules)\n"
            "assert not heavy, heavy"
        )
        command = [sys.executable, "-W", "error", "-c", code]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


class DocumentTest(parameterized.TestCase):
    def test_the_page_lists_every_preset_and_dataset(self):
        page = (ROOT / "docs" / "data.md").read_text(encoding="utf-8")
        for name in (*augmentation.PRESETS, *images.DATASETS):
            assert f"`{name}`" in page


class UserArraysTest(folders.FolderTest):
    """What users hold, and what is understood, warned of or refused."""

    def setUp(self):
        super().setUp()
        self.path = self.folder / "mine.npz"
        self.pixels = np.random.default_rng(0).integers(0, 256, (12, 8, 6, 3), dtype=np.uint8)
        self.pixels[0, 0, 0] = 0, 128, 255
        self.labels = np.arange(12) % 4

    def load(self, **changes):
        given = {"x_train": self.pixels, "y_train": self.labels, "x_test": self.pixels[:4], "y_test": self.labels[:4]}
        np.savez(self.path, **{**given, **changes})
        return images.load(str(self.path))

    def both(self, convert):
        return {"x_train": convert(self.pixels), "x_test": convert(self.pixels[:4])}

    def test_one_line_says_what_was_understood(self):
        dataset = self.load()
        line = "mine: 12 training and 4 test images of 8x6x3, pixels from 0 to 255, 4 classes of 3 training images"
        assert (records.describe(dataset), records.oddities(dataset)) == (line, [])
        errors = io.StringIO()
        with contextlib.redirect_stderr(errors):
            images.report(dataset)
            images.report(images.load("digits"))  # not of the user
        assert errors.getvalue() == f"data: {line}\n"
        grey = self.load(**self.both(lambda x: x[..., 0]), y_train=self.labels[:, None])
        assert grey.train.images.shape == (12, 8, 6, 1)
        assert "images of 8x6x1, " in records.describe(grey)

    def test_what_is_odd_is_a_warning_and_nothing_changes(self):
        labels = np.where(self.labels == 2, 0, self.labels)
        dataset = self.load(y_train=labels, x_val=self.pixels)
        assert dataset.num_classes == 4
        np.testing.assert_array_equal(dataset.train.labels, labels)
        assert records.oddities(dataset) == [
            f"{self.path} has the arrays x_val too, which are not used",
            "1 of 4 classes have no training image: 2, of which 1 have test images",
        ]
        for changes, message in (
            (self.both(lambda x: x // 128), "pixels are 0 or 1; if they were fractions, multiply them by 255 before"),
            (self.both(np.zeros_like), "all pixels of the training images are 0"),
            (self.both(lambda x: np.repeat(x, 2, axis=3)), "images have 6 channels"),
            (self.both(lambda x: x[:, :, :1]), "images are 8 pixels high and 1 wide"),
            ({"num_classes": 100}, "96 of 100 classes have no training image: 4, 5, 6, 7, 8, ..."),
            ({"y_train": 0 * self.labels, "y_test": 0 * self.labels[:4]}, "all images are of one class"),
        ):
            (found,) = records.oddities(self.load(**changes))
            assert found.startswith(message)

    @parameterized.parameters(
        (lambda x: x.transpose(0, 3, 1, 2), r"shape \(12, 3, 8, 6\), channels first; .*: x.transpose\(0, 2, 3, 1\)"),
        (lambda x: x[:, None, :, :, 0], r"shape \(12, 1, 8, 6\), channels first; want them last"),
        (
            lambda x: x / np.float32(255),
            r"are float32; want .*; these go from 0 to 1: \(255 \* x\).round\(\).astype\(np",
        ),
        (lambda x: x.astype(float), r"float64; want .*; these go from 0 to 255: x.round\(\).astype\(np.uint8\)"),
        (lambda x: x.astype(np.int64), r"int64; want .*; these go from 0 to 255: x.astype\(np.uint8\)$"),
        (lambda x: x > 127, r"are bool; want .*; these go from 0 to 1: 255 \* x.astype\(np.uint8\)$"),
        (lambda x: x / 127.5 - 1, "these go from -1 to 1: they look normalized, so save what they were before"),
        (lambda x: np.where(x == 255, np.nan, x), "float64; want uint8, .*; image 0 has a pixel that is not finite"),
        (lambda x: x.reshape(len(x), -1), r"shape \(12, 144\); want .*, not rows of pixels: such as x.reshape\(-1, 12"),
        (lambda x: x[:, :, :3].reshape(len(x), -1)[:, :48], r"x.reshape\(-1, 3, 4, 4\).transpose\(0, 2, 3, 1\) if cha"),
        (lambda x: x.transpose(1, 2, 3, 0), r"8 images but 12 labels; if .* last axis: x.transpose\(3, 0, 1, 2\)"),
        (lambda x: x[:0], r"images have shape \(0, 8, 6, 3\); want .*, all above 0"),
    )
    def test_images_that_cannot_be_meant(self, convert, message):
        with pytest.raises(ValueError, match=message):
            self.load(**self.both(convert))

    @parameterized.parameters(
        (lambda y: y + 1, r"labels of .*mine.npz go from 1 to 4; want them from 0: y - 1, or state num_classes"),
        (
            lambda y: np.where(y == 3, 1_000_000, y),
            r"only 4 classes occur; number them without gaps \(np.unique\(y, return_inverse=True\)\[1\]\), or state",
        ),
        (
            lambda y: np.eye(4, dtype=int)[y],
            r"shape \((12|4), 4\); want integers \[N\]: of one-hot labels y.argmax\(ax",
        ),
        (lambda y: np.eye(4)[y], "of one-hot labels"),
        (lambda y: np.array(["cat", "dog", "cow", "eel"])[y], "not texts such as 'cat': number the classes from 0"),
        (lambda y: y.astype(float), r"labels are float64 .*: y.astype\(np.int32\)"),
        (lambda y: y - 1, "label -1 of image 0; labels are classes, from 0 up"),
    )
    def test_labels_that_cannot_be_meant(self, convert, message):
        with pytest.raises(ValueError, match=message):
            self.load(y_train=convert(self.labels), y_test=convert(self.labels[:4]))

    def test_parts_that_do_not_fit_each_other(self):
        with pytest.raises(ValueError, match=r"pixels of test go from 0 to 1, those of train to 255; save both with"):
            self.load(x_test=self.pixels[:4] // 128)
        with pytest.raises(ValueError, match="no class of test occurs in train; number the classes of both alike"):
            self.load(y_test=self.labels[:4] + 4, num_classes=8)
        assert self.load(y_train=self.labels + 1, y_test=self.labels[:4] + 1, num_classes=5).num_classes == 5
