import contextlib
import io
import json
import os
import pathlib
import pickle
import subprocess
import sys
import tarfile
from typing import ClassVar

import numpy as np
import PIL.Image
import pytest
from absl.testing import parameterized

from common.datasets import class_folders, images, prepared, tfds_format
from launch import prepare_data
from tests.shared import folders

ROOT = pathlib.Path(__file__).parents[2]
NAMES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
COUNTS = {"train": 5 * 7, "test": 9}


class Python2Pickler(pickle._Pickler):
    """Writes bytes as strings of Python 2, as in the published archives."""

    dispatch: ClassVar = dict(pickle._Pickler.dispatch)

    def save_bytes(self, value):
        self.write(b"T" + len(value).to_bytes(4, "little") + value)
        self.memoize(value)

    dispatch[bytes] = save_bytes


def dumps(value):
    file = io.BytesIO()
    Python2Pickler(file, 2).dump(value)
    return file.getvalue()


def made_up(dataset):
    """Returns {split: (uint8[N, 32, 32, 3], labels by name)}."""
    rng = np.random.default_rng(3)
    found = {}
    for split, count in COUNTS.items():
        labels = {"label": rng.integers(0, 10 if dataset == "cifar10" else 100, count)}
        if dataset == "cifar100":
            labels["coarse_label"] = labels["label"] // 5
        found[split] = rng.integers(0, 256, (count, 32, 32, 3), dtype=np.uint8), labels
    return found


def files_of(dataset, kind):
    """Returns the files of an archive as published: {name: contents}."""
    data, files = made_up(dataset), {}
    for split, (pixels, labels) in data.items():
        rows = pixels.transpose(0, 3, 1, 2).reshape(len(pixels), -1)
        batches = 5 if (dataset, split) == ("cifar10", "train") else 1
        for number, part in enumerate(np.split(np.arange(len(rows)), batches), start=1):
            name = {"cifar100": split, "cifar10": f"data_batch_{number}" if batches > 1 else "test_batch"}[dataset]
            parts = {key: labels[key][part] for key in sorted(labels)}  # coarse labels come first
            if kind == "binary":
                columns = np.stack([*parts.values()], axis=1).astype(np.uint8)
                files[f"{name}.bin"] = np.concatenate([columns, rows[part]], axis=1).tobytes()
            else:
                label = b"labels" if dataset == "cifar10" else b"fine_labels"
                keys = {"label": label, "coarse_label": b"coarse_labels"}
                entry = {keys[key]: values.tolist() for key, values in parts.items()}
                files[name] = dumps({b"data": rows[part], b"batch_label": b"made up", **entry})
    if dataset == "cifar10":
        text = "\n".join(NAMES) + "\n\n"
        more = ("batches.meta", dumps({b"label_names": [name.encode() for name in NAMES]}))
        files |= dict([more if kind == "python" else ("batches.meta.txt", text.encode())])
    return files


def write_archive(path, files):
    with tarfile.open(path, "w:gz") as archive:
        for name, contents in files.items():
            member = tarfile.TarInfo(f"cifar-batches/{name}")
            member.size = len(contents)
            archive.addfile(member, io.BytesIO(contents))
    return path


def contents_of(folder):
    return {file.name: file.read_bytes() for file in sorted(folder.iterdir())}


class PrepareTest(folders.FolderTest):
    def setUp(self):
        super().setUp()
        self.data_dir = self.folder / "prepared"

    def prepare(self, dataset, source, data_dir=None):
        """Returns (exit code, standard output, standard error) of the command."""
        output, errors = io.StringIO(), io.StringIO()
        arguments = (f"--dataset={dataset}", f"--source={source}", f"--data_dir={data_dir or self.data_dir}")
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
            code = prepare_data.main(arguments)
        return code, output.getvalue(), errors.getvalue()

    @parameterized.product(dataset=["cifar10", "cifar100"], kind=["python", "binary"])
    def test_an_archive_comes_back_to_the_byte(self, dataset, kind):
        source = write_archive(self.folder / "cifar.tar.gz", files_of(dataset, kind))
        code, output, errors = self.prepare(dataset, source)
        assert code == 0, errors
        counts = f"{dataset}: 35 images in train\n{dataset}: 9 images in test\n"
        assert output.startswith(f"{counts}{self.data_dir}/{dataset}/3.0.2: ")
        assert errors == f"{dataset}: 44/44 images, test\n"
        data = images.load(dataset, self.data_dir)
        for split, (pixels, labels) in made_up(dataset).items():
            found = getattr(data, split)
            np.testing.assert_array_equal(found.images, pixels)
            np.testing.assert_array_equal(found.labels, labels["label"])
        assert data.num_classes == (10 if dataset == "cifar10" else 100)
        if dataset == "cifar10":
            assert data.mean == (0.49139968, 0.48215827, 0.44653124)
            assert data.std == (0.24703233, 0.24348505, 0.26158768)
            labels = (self.data_dir / "cifar10/3.0.2/label.labels.txt").read_text().split()
            assert tuple(labels) == NAMES
        else:
            np.testing.assert_allclose(data.mean, (data.train.images / 255).mean(axis=(0, 1, 2)))

    def test_the_command_without_tensorflow_and_what_the_library_reads(self):
        """A user's way, in processes of their own in which TensorFlow cannot be imported."""
        source = write_archive(self.folder / "cifar.tar.gz", files_of("cifar10", "python"))
        blocked = (
            "import sys\n"
            "from importlib.machinery import PathFinder\n"
            "def find_spec(name, *args, find=PathFinder.find_spec):\n"
            "    return None if name.split('.')[0] == 'tensorflow' else find(name, *args)\n"
            "PathFinder.find_spec = find_spec\n"
        )
        prepare = "from launch import prepare_data; sys.exit(prepare_data.main(sys.argv[1:]))"
        arguments = ["--dataset=cifar10", f"--source={source}", f"--data_dir={self.data_dir}"]
        read = (
            "import numpy as np, tensorflow_datasets as tfds\n"
            "from common.datasets import images\n"
            "train = images.load('cifar10', sys.argv[1]).train\n"
            "source = tfds.data_source('cifar10', split='train', data_dir=sys.argv[1])\n"
            "assert len(source) == 35\n"
            "for n, example in enumerate(source):\n"
            "    np.testing.assert_array_equal(example['image'], train.images[n])\n"
            "    assert example['label'] == train.labels[n]\n"
            "    assert example['id'] == f'train_{n:05}'.encode()\n"
            "assert 'tensorflow' not in sys.modules\n"
        )
        for code, given in ((prepare, arguments), (read, [str(self.data_dir)])):
            command = [sys.executable, "-W", "error", "-c", blocked + code, *given]
            done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
            assert done.returncode == 0, done.stderr

    def test_the_same_source_gives_the_same_files_and_nothing_is_overwritten(self):
        source = write_archive(self.folder / "cifar.tar.gz", files_of("cifar10", "binary"))
        places = [self.folder / "one", self.folder / "two"]
        for folder in places:
            assert self.prepare("cifar10", source, folder)[0] == 0
        one, two = (contents_of(folder / "cifar10" / "3.0.2") for folder in places)
        assert sorted(one) == [
            "cifar10-test.array_record-00000-of-00001",
            "cifar10-train.array_record-00000-of-00001",
            "dataset_info.json",
            "features.json",
            "label.labels.txt",
        ]
        assert one == two
        place = places[0] / "cifar10/3.0.2"
        code, _, errors = self.prepare("cifar10", source, places[0])
        assert (code, errors) == (1, f"error: {place} exists already; remove it to prepare cifar10 again\n")
        assert contents_of(place) == one

    def test_an_npz_file(self):
        rng = np.random.default_rng(0)
        path = self.folder / "mine.npz"
        pixels, labels = rng.integers(0, 256, (6, 9, 7), dtype=np.uint8), np.arange(6) % 3
        np.savez(path, x_train=pixels, y_train=labels, x_test=pixels[:2], y_test=labels[:2], num_classes=4)
        left = self.data_dir / ".mine-1.0.0.tmp" / "mine" / "1.0.0.incompleteABC"  # by a process that was killed
        left.mkdir(parents=True)
        assert self.prepare("mine", path)[0] == 0
        assert [path.name for path in self.data_dir.iterdir()] == ["mine"]
        data = images.load("mine", self.data_dir)
        assert (data.name, data.num_classes) == ("mine", 4)
        np.testing.assert_array_equal(data.train.images[..., 0], pixels)
        np.testing.assert_array_equal(data.test.labels, labels[:2])

    def test_a_failure_leaves_nothing_behind(self):
        for split in ("train", "val"):
            (self.folder / "raw" / split / "n01").mkdir(parents=True)
            (self.folder / "raw" / split / "n01" / "a.JPEG").write_bytes(b"no image")
        code, _, errors = self.prepare("imagenet", self.folder / "raw")
        assert code == 1
        assert f"{self.folder}/raw/train/n01/a.JPEG cannot be read as an image: it is a text file; rem" in errors
        assert not self.data_dir.exists()

    @parameterized.parameters(
        ([], "give --dataset, one of cifar10, cifar100, imagenet, or a name of your own for an npz file"),
        (
            ["--dataset=cifar10", "--source=x"],
            "give --source and --data_dir: `python -m launch.prepare_data --dataset=",
        ),
    )
    def test_missing_flags(self, arguments, message):
        errors = io.StringIO()
        with contextlib.redirect_stderr(errors):
            assert prepare_data.main(arguments) == 1
        assert message in errors.getvalue()

    @parameterized.parameters(
        ("moon", "nowhere", "unknown dataset 'moon'; choose one of cifar10, cifar100, imagenet, or give an npz file"),
        ("../up", "x.npz", "a dataset's name must be lower-case letters, digits and _"),
        ("cifar10", "nowhere", "no file at nowhere; get cifar-10-python.tar.gz or cifar-10-binary.tar.gz from"),
        ("imagenet", "nowhere", "no folder nowhere/train; want nowhere/train/CLASS/.*JPEG and nowhere/val/CLASS"),
        ("cifar10", "nowhere.npz", "no file at nowhere.npz"),
    )
    def test_arguments(self, name, source, message):
        with pytest.raises(ValueError, match=message):
            prepared.prepare(name, source, self.data_dir)
        assert not self.data_dir.exists()

    def test_archives_of_no_use(self):
        files, binary = files_of("cifar10", "python"), files_of("cifar10", "binary")
        path = self.folder / "cifar.tar.gz"

        def refused(message, dataset="cifar10"):
            code, _, errors = self.prepare(dataset, path)
            assert (code, errors.count("\n")) == (1, 1)
            assert message in errors
            assert not self.data_dir.exists()

        path.write_bytes(b"no archive")
        refused(f"{path} is empty, damaged or no tar archive")
        whole = write_archive(path, files).read_bytes()
        path.write_bytes(whole[: len(whole) // 2])
        refused(f"{path} is cut short, damaged or no tar archive")
        write_archive(path, files)
        refused("is not an archive of cifar100 as published: it holds batches.meta, data_batch_1, ", dataset="cifar100")
        write_archive(path, {name: contents for name, contents in files.items() if name != "test_batch"})
        refused("is not an archive of cifar10 as published")
        write_archive(path, binary | {"data_batch_1.bin": binary["data_batch_1.bin"][:-1]})
        refused(f"data_batch_1.bin in {path} has 21510 bytes; want a multiple of 3073")
        shape = ": want pixels uint8[N, 3072] and N labels"
        for batch, message in (
            (b"\x80\x02broken", " is a broken pickle"),
            (pickle.dumps(pathlib.PurePosixPath("x")), "which no benchmark file needs; do not trust it"),
            (dumps({b"data": np.zeros((2, 3072), np.uint8)}), " has 'data'; want data, labels"),
            (dumps({b"data": np.zeros((2, 9), np.uint8), b"labels": [1, 2]}), shape),
            (dumps({b"data": np.zeros((2, 3072), np.uint8), b"labels": [1]}), shape),
            (dumps({b"data": np.zeros((1, 3072), np.uint8), b"labels": [10]}), ": a label is not from 0 to 9"),
        ):
            write_archive(path, files | {"test_batch": batch})
            refused(message)

    def test_an_unpacked_archive(self):
        for kind in ("python", "binary"):
            files = files_of("cifar10", kind)
            folder = self.folder / f"cifar-10-{kind}" / "cifar-10-batches"
            folder.mkdir(parents=True)
            for name, contents in files.items():
                (folder / name).write_bytes(contents)
            (folder / "._data_batch_1").write_bytes(b"\0\5\x16\7")
            archive = write_archive(self.folder / "cifar.tar.gz", files)
            found = []
            for at, source in enumerate((archive, folder, folder.parent)):
                code, _, errors = self.prepare("cifar10", source, self.folder / f"{kind}{at}")
                assert code == 0, errors
                found.append(contents_of(self.folder / f"{kind}{at}" / "cifar10" / "3.0.2"))
            assert found[0] == found[1] == found[2]

    def test_something_else_in_place_of_an_archive(self):
        def refused(source, message):
            code, _, errors = self.prepare("cifar10", source)
            assert (code, errors.count("\n")) == (1, 1)
            assert message in errors

        path = self.folder / "cifar-10-python.tar.gz"
        for contents, message in (
            (b"PK\x03\x04", "cifar-10-python.tar.gz is a zip archive; unpack it and give its folder"),
            (b"\n<!DOCTYPE html><html>", "cifar-10-python.tar.gz is a web page, not the file: download it again"),
            (pickle.dumps({}), "is a Python pickle, one file of the archive; give the folder that has all of them"),
        ):
            path.write_bytes(contents)
            refused(path, message)
        refused(self.folder, f"is a folder; give the archive in it: --source={path}")
        path.unlink()
        refused(self.folder, "is not an archive of cifar10 as published: it holds nothing")
        path.write_bytes(b"x" * 257 + b"ustar")
        code, _, errors = self.prepare("imagenet", path)
        assert (code, errors) == (1, f"error: {path} is a tar archive; unpack it and give its folder\n")


class DamagedTest(folders.FolderTest):
    """Prepared datasets that are damaged or incomplete."""

    def setUp(self):
        super().setUp()
        self.data_dir = self.folder
        path = self.data_dir / "mine.npz"
        pixels = np.random.default_rng(0).integers(0, 256, (40, 8, 8, 3), dtype=np.uint8)
        np.savez(path, x_train=pixels, y_train=np.arange(40) % 4, x_test=pixels[:5], y_test=np.arange(5) % 4)
        prepared.prepare("mine", str(path), str(self.data_dir))
        self.folder = self.data_dir / "mine" / "1.0.0"
        self.info = self.folder / "dataset_info.json"
        self.records = self.folder / "mine-train.array_record-00000-of-00001"

    def refused(self, message):
        with pytest.raises(ValueError, match=message):
            images.load("mine", self.data_dir)

    def test_the_newest_version_is_taken(self):
        for version in ("0.9.0", "0.10.0"):
            (self.data_dir / "mine" / version).mkdir()
            (self.data_dir / "mine" / version / "dataset_info.json").write_text("{}")
        assert prepared.find("mine", self.data_dir) == self.folder
        assert len(images.load("mine", self.data_dir).train) == 40

    def test_descriptions(self):
        with pytest.raises(ValueError, match="has no split validation; it has train, test"):
            tfds_format.open_split(self.folder, "validation")
        self.info.write_text(self.info.read_text().replace("array_record", "tfrecord", 1))
        self.refused("holds tfrecord files; want array_record")
        self.info.write_text("{")
        self.refused(f"{self.info} is not JSON from line 1, column 2 on")
        (self.folder / "features.json").write_text(json.dumps({"featuresDict": {"features": {}}}))
        with pytest.raises(ValueError, match="does not describe images with a label"):
            tfds_format.num_classes(self.folder)

    def test_damaged_and_missing_files(self):
        contents = self.records.read_bytes()
        for damaged in (b"", contents[: len(contents) // 2], b"\0" * len(contents)):
            self.records.write_bytes(damaged)
            self.refused("cannot read split train of .*, is it damaged?")
        self.records.unlink()
        self.refused("is incomplete: mine-train.array_record-00000-of-00001 is missing")


class FolderTest(folders.FolderTest):
    """A folder of class folders, as of ImageNet."""

    def save(self, name, size=(40, 30)):
        path = self.folder / "raw" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(len(name)).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
        PIL.Image.fromarray(pixels).save(path, "jpeg")
        return path

    def prepare(self):
        return prepared.prepare("imagenet", str(self.folder / "raw"), str(self.folder / "prepared"))

    def test_files_are_kept_as_they_are(self):
        paths = [self.save(f"train/{name}.JPEG") for name in ("n01/b", "n01/a", "n02/c")]
        self.save("val/n02/d.jpg", size=(50, 60))
        (self.folder / "raw/train/n01/notes.txt").write_text("not an image")
        folder = self.prepare()
        assert folder == self.folder / "prepared" / "imagenet2012" / "5.1.0"
        train = tfds_format.open_split(folder, "train")
        assert [example["label"] for example in train] == [0, 0, 1]
        assert [example["file_name"] for example in train] == [b"a.JPEG", b"b.JPEG", b"c.JPEG"]
        assert [example["image"] for example in train] == [path.read_bytes() for path in sorted(paths)]
        assert (folder / "label.labels.txt").read_text().split() == ["n01", "n02"]
        data = images.load("imagenet", self.folder / "prepared")
        assert (data.train.images.shape, data.test.images.shape) == ((3, 224, 224, 3), (1, 224, 224, 3))
        assert (data.num_classes, data.mean) == (2, (0.485, 0.456, 0.406))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(class_folders, "MAX_BYTES", 1000)
            with pytest.raises(ValueError, match="has 3 images, too many to be held in memory; read them as a stream"):
                prepared.load("imagenet", self.folder / "prepared")

    def test_hidden_and_other_files_are_left_out_and_reported_once(self):
        for name in ("train/n01/a", "train/n02/b", "val/n01/c", "val/n02/d"):
            self.save(f"{name}.JPEG")
        raw = self.folder / "raw"
        for part in ("train", "val"):
            (raw / part / ".ipynb_checkpoints").mkdir()
            (raw / part / "@eaDir").mkdir()
            (raw / part / ".DS_Store").write_bytes(b"\0")
            (raw / part / "n01" / "._a.JPEG").write_bytes(b"\0\5\x16\7")
        (raw / "train/n02/.cache").mkdir()
        (raw / "train/n02/notes.txt").write_text("of the user")
        errors = io.StringIO()
        with contextlib.redirect_stderr(errors):
            folder = self.prepare()
        assert (folder / "label.labels.txt").read_text().split() == ["n01", "n02"]
        assert [example["label"] for example in tfds_format.open_split(folder, "train")] == [0, 1]
        assert (
            f"warning: 7 hidden files and folders that are no images are left out, such as {raw}" in errors.getvalue()
        )
        assert f"warning: 3 files that are no images are left out, such as {raw}/train/@eaDir\n" in errors.getvalue()
        assert "data: imagenet: 2 classes (label)\n" in errors.getvalue()

    def test_files_of_no_use_are_named_before_anything_is_written(self):
        for name in ("train/n01/a", "train/n02/b", "val/n01/c"):
            self.save(f"{name}.JPEG")
        raw = self.folder / "raw"
        os.mkfifo(raw / "train/n01/pipe.jpg")
        (raw / "train/n01/link.jpg").symlink_to("nowhere")
        (raw / "train/n02/z.jpg").write_text("<!DOCTYPE html>")
        with pytest.raises(
            ValueError, match=r"n01/link.jpg cannot be read as an image: it is not a file; nor can 2 others of 5 in"
        ):
            self.prepare()
        assert not (self.folder / "prepared").exists()
        for name in ("train/n01/pipe.jpg", "train/n01/link.jpg"):
            (raw / name).unlink()
        with pytest.raises(ValueError, match=r"n02/z.jpg cannot be read as an image: it is a web page, not the file"):
            self.prepare()
        (raw / "train/n02/z.jpg").unlink()
        (raw / "train/n00").mkdir()
        with pytest.raises(
            ValueError, match=r"1 of 3 classes have no images in .*raw/train: n00; remove their folders"
        ):
            self.prepare()

    def test_folders_of_no_use(self):
        (self.folder / "raw/train").mkdir(parents=True)
        with pytest.raises(ValueError, match=r"no folder .*raw/validation; want"):
            self.prepare()
        (self.folder / "raw/val").mkdir()
        with pytest.raises(ValueError, match=r"no class folders in .*raw/train; want"):
            self.prepare()
        (self.folder / "raw/train/n01").mkdir()
        with pytest.raises(ValueError, match=r"no images in .*raw/train/CLASS; want files ending in .jpeg, .jpg, .png"):
            self.prepare()
        self.save("train/n01/a.jpg")
        self.save("val/n02/a.jpg")
        with pytest.raises(ValueError, match=r"raw/val/n02 is of a class that .*raw/train does not have"):
            self.prepare()
