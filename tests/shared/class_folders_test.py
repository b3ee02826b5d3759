"""Images in folders of classes, and test images that are held out."""

import contextlib
import io

import numpy as np
import PIL.Image
import pytest
from absl.testing import parameterized

from common.datasets import images, prepared, records
from tests.shared import folders


class Case(folders.FolderTest):
    def setUp(self):
        super().setUp()
        self.folder /= "photos"

    def save(self, name, size=(6, 4), mode="RGB", value=7, **options):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        colour = value if mode == "L" else (value,) * len(mode)
        PIL.Image.new(mode, size, colour).save(path, **options)
        return path


class ClassFoldersTest(Case):
    def test_train_and_test_folders(self):
        for at, name in enumerate(("train/dog/a.png", "train/cat/b.png", "train/cat/c.png", "val/cat/d.png")):
            self.save(name, value=10 * at)
        (self.folder / "train" / "cat" / "notes.txt").write_text("none")
        data = images.load(str(self.folder))
        assert (data.name, data.num_classes, data.train.images.shape) == ("photos", 2, (3, 4, 6, 3))
        np.testing.assert_array_equal(data.train.labels, [0, 0, 1])
        np.testing.assert_array_equal(data.train.images[:, 0, 0, 0], [10, 20, 0])
        np.testing.assert_array_equal(data.test.images[:, 0, 0, 0], [30])
        empty, others = records.oddities(data)[:2]
        assert empty == f"1 of 2 classes have no images in {self.folder / 'val'}: dog"
        assert others.startswith("1 files that are no images are left out, such as")

    def test_a_folder_of_classes_without_test_images(self):
        for label, name in enumerate(("cat", "dog")):
            for at in range(10):
                self.save(f"{name}/{at}.png", mode="L", value=10 * label + at)
        data = images.load(str(self.folder))
        assert data.train.images.shape == (16, 4, 6, 1)
        np.testing.assert_array_equal(np.bincount(data.test.labels), [2, 2])
        values = np.concatenate([data.train.images[:, 0, 0, 0], data.test.images[:, 0, 0, 0]])
        np.testing.assert_array_equal(np.sort(values), np.arange(20))
        assert data.class_names == ("cat", "dog")
        assert data.notes == ("no test images are given: 4, a fifth of each class, are held out as such",)
        self.save("dog/9.png", mode="L", value=99)  # the same images are held out
        again = images.load(str(self.folder))
        assert 99 in [*again.train.images[:, 0, 0, 0], *again.test.images[:, 0, 0, 0]]
        np.testing.assert_array_equal(again.train.images[:, 0, 0, 0] % 80, data.train.images[:, 0, 0, 0])

    def test_grey_and_coloured_images_and_one_that_is_turned(self):
        exif = PIL.Image.Exif()
        exif[274] = 6  # turn by a quarter
        self.save("a/0.png", mode="L")
        self.save("a/1.png")
        self.save("b/0.png", mode="RGBA")
        self.save("b/1.jpg", size=(4, 6), exif=exif)
        with pytest.raises(
            ValueError, match=r"images of .* have 2 sizes, such as 6 x 4 \(.*0.png\) and 4 x 6 \(.*1.jpg\)"
        ):
            images.load(str(self.folder))
        self.save("b/1.jpg", exif=exif)
        with pytest.raises(ValueError, match=r"1.jpg and .*0.png differ in size once turned"):
            images.load(str(self.folder))
        self.save("b/1.jpg")
        data = images.load(str(self.folder))
        assert data.train.images.shape == (2, 4, 6, 3)
        assert f"transparency is left out, such as that of {self.folder}/b/0.png" in data.notes

    def test_images_of_several_sizes_are_prepared_with_one(self):
        self.save("a/0.png", size=(40, 20), mode="L", value=0)
        self.save("a/1.png", size=(20, 20), mode="L", value=200)
        self.save("b/0.png", size=(30, 90), mode="L", value=100)
        with pytest.raises(
            ValueError, match=r"`python -m launch.prepare_data --dataset=NAME --source=.* --image_size=32"
        ):
            images.load(str(self.folder))
        data_dir = self.folder.parent / "data"
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            prepared.prepare("photos", str(self.folder), data_dir, image_size=8)
        data = images.load("photos", data_dir)
        assert data.class_names == ("a", "b")
        assert data.train.images.shape == (2, 8, 8, 1)
        assert sorted([*data.train.images[:, 0, 0, 0], *data.test.images[:, 0, 0, 0]]) == [0, 100, 200]

    @parameterized.parameters(
        ({"image_size": 0}, "image_size must be from 1 to 1024 pixels; got 0"),
        ({"source": "x.npz", "image_size": 8}, "image_size is for a folder of images of your own, not for x.npz"),
        ({"source": "nowhere"}, "unknown dataset 'photos'; .* or give an npz file, or a folder"),
    )
    def test_bad_sources(self, changes, message):
        self.save("a/0.png")
        given = {"source": str(self.folder), "image_size": None} | changes
        with pytest.raises(ValueError, match=message):
            prepared.prepare("photos", given["source"], self.folder, image_size=given["image_size"])

    @parameterized.parameters(
        (("a/0.png",), "has 1 folders of classes, but needs two or more; want .*CLASS"),
        (("a/0.png", "b/0.png"), "no class has two images, so none can be held out"),
        (("train/a/0.png", "train/b/0.png", "test/c/0.png"), r"test/c is of a class that .*train does not have"),
    )
    def test_layouts(self, names, message):
        for name in names:
            self.save(name)
        with pytest.raises(ValueError, match=message):
            images.load(str(self.folder))


class HeldOutTest(Case):
    def test_an_npz_file_without_test_images(self):
        self.folder.mkdir()
        path = self.folder / "mine.npz"
        pixels, labels = np.arange(256, dtype=np.uint8).repeat(4).reshape(256, 2, 2), np.arange(256) % 3
        for names in (("x", "y"), ("images", "labels"), ("x_train", "y_train"), ("train_images", "train_labels")):
            np.savez(path, **dict(zip(names, (pixels, labels), strict=True)))
            data = images.load(str(path))
            assert (len(data.train), len(data.test)) == (205, 51)
            np.testing.assert_array_equal(np.bincount(data.test.labels), [17, 17, 17])
            seen = np.concatenate([data.train.images[:, 0, 0, 0], data.test.images[:, 0, 0, 0]])
            np.testing.assert_array_equal(np.sort(seen), np.arange(256))
