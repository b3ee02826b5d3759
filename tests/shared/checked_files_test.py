"""Files that would crash, hang or fill memory are refused in one line that names the file and the field."""

import bz2
import contextlib
import gzip
import io
import json
import os
import pathlib
import pickle
import re
import struct
import tarfile
import tempfile
import zipfile
import zlib

import hypothesis
import numpy as np
import pytest
from absl.testing import parameterized
from hypothesis import strategies as st

from benchmarks import fuzz_readers, fuzz_seeds
from common.datasets import archives, class_folders
from common.file_formats import csv_lines, files, json_values, npz, pickles, pictures, tar
from common.records import run_dir
from common.tables import nasbench201, table
from tests.shared import folders


class Case(folders.FolderTest):
    def write(self, name, contents):
        path = self.folder / name
        path.write_bytes(contents)
        return path


class FilesTest(Case):
    def test_what_is_no_file(self):
        os.mkfifo(self.folder / "pipe")
        (self.folder / "device").symlink_to("/dev/zero")
        (self.folder / "loop").symlink_to(self.folder / "loop")
        for name, message in (
            ("pipe", "is a named pipe, not a file"),
            ("device", "is a device, not a file"),
            ("loop", "no file at .*loop"),
            (".", "is a folder, not a file"),
            ("none", "no file at .*none"),
        ):
            for read in (files.read_bytes, json_values.read, npz.read, pickles.read, run_dir.read_history):
                with pytest.raises(ValueError, match=message):
                    read(self.folder / name)

    def test_a_sparse_file_is_not_read(self):
        with (self.folder / "big").open("wb") as file:
            file.truncate(1 << 40)
        with pytest.raises(ValueError, match="has 1,099,511,627,776 bytes; at most"):
            files.read_text(self.folder / "big")

    @parameterized.parameters((gzip.compress,), (bz2.compress,))
    def test_bombs(self, compress):
        path = self.write("bomb", compress(bytes(files.limit(0) + 1)))
        with pytest.raises(ValueError, match=r"bomb expands to more than 100 times its size, and is not read$"):
            files.read_decompressed(path)
        assert files.read_decompressed(self.write("good", compress(b"x" * 1000))) == b"x" * 1000


class JsonTest(Case):
    @parameterized.parameters(
        ('{"a": 1, "a": 2}', "an object has the key 'a' twice"),
        ("[" * 101 + "]" * 101, "nested more than 100 deep"),
        ("[" * 10**6, "nested more than 100 deep"),
        ("9" * 5000, "an integer has too many digits"),
        ('{"a": \n}', "not JSON from line 2, column 1 on"),
    )
    def test_refused(self, text, message):
        with pytest.raises(ValueError, match=message):
            json_values.parse(text)

    def test_accepted(self):
        assert json_values.read(self.write("a.json", b'\xef\xbb\xbf{"a": [1, null]}\n')) == {"a": [1, None]}
        assert json_values.parse("[" * 100 + "]" * 100)
        with pytest.raises(ValueError, match=r"a.json is UTF-16 text: save it as UTF-8"):
            json_values.read(self.write("a.json", "{}".encode("utf-16")))


def npy(descr="<f4", shape="(2,)", data=b"\0" * 8, order="False"):
    header = f"{{'descr': {descr!r}, 'fortran_order': {order}, 'shape': {shape}, }}".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + data


class NpzTest(Case):
    def save(self, *members, method=zipfile.ZIP_STORED):
        path = self.folder / "a.npz"
        with zipfile.ZipFile(path, "w", method) as archive:
            for name, contents in members:
                archive.writestr(name, contents)
        return path

    @parameterized.parameters(
        (npy(), None),
        (npy(shape="(1, 2)", order="True"), None),
        (npy(shape="(3,)"), r"array 'x' of shape \(3,\) needs 12 bytes; 8 are there"),
        (npy(shape=f"({2**60},)"), "needs 4,611,686,018,427,387,904 bytes; 8 are there"),
        (npy(shape="(-2,)"), r"array 'x' has the shape \(-2,\)"),
        (npy(shape="(True, 2)"), "array 'x' has the shape"),
        (npy("|O"), "array 'x' holds Python objects; save it as numbers"),
        (npy("<U0", "(9999999999,)", b""), "array 'x' is of type '<U0'; want numbers or text"),
        (npy("i4,O"), "array 'x' is of type 'i4,O'"),
        (npy(shape="(" * 5000), "is cut short, damaged or not an npz file"),
        (b"\x93NUMPY\x02\x00" + struct.pack("<I", 2**31), "has a header of 2,147,483,648 bytes"),
        (b"hello", "array 'x' is no NumPy array"),
    )
    def test_headers(self, contents, message):
        path = self.save(("x.npy", contents))
        if message is None:
            assert npz.read(path)["x"].size == 2
            return
        with pytest.raises(ValueError, match=f"{re.escape(str(path))}.*{message}"):
            npz.read(path)

    @pytest.mark.filterwarnings("ignore:Duplicate name")
    def test_archives(self):
        with pytest.raises(ValueError, match="holds the array 'x' twice"):
            npz.read(self.save(("x.npy", npy()), ("x.npy", npy())))
        bomb = npy("|u1", f"({1 << 27},)", bytes(1 << 27))
        with pytest.raises(ValueError, match="its arrays claim more than 100 times the size of the file"):
            npz.read(self.save(("x.npy", bomb), method=zipfile.ZIP_DEFLATED))

    def test_histories(self):
        path = self.folder / "history.npz"
        rows = {"archs": np.zeros((2, 3), np.int32), "fitness": np.array([0.5, 0.6], np.float32)}
        rows |= {"cost": np.ones(2, np.float32), "status": np.array([2, 3], np.int32)}
        for name, values, message in (
            ("fitness", np.array([5.0, 0.6], np.float32), "the array fitness has values out of range"),
            ("fitness", np.array([np.nan, 0.6], np.float32), "the array fitness has values out of range"),
            ("cost", np.array([-1e9, 1], np.float32), "the array cost has values out of range"),
            ("status", np.array([2, 9], np.int32), "the array status has values out of range"),
            ("archs", np.zeros((3, 3), np.int32), r"the array archs is int32 of shape \(3, 3\)"),
        ):
            run_dir.write_arrays(path, rows | {name: values})
            with pytest.raises(ValueError, match=f"history.npz is damaged: {message}"):
                run_dir.read_history(path)


class PickleTest(Case):
    @parameterized.parameters(
        (b"\x80\x02Nr\xff\xff\xff\x7f.", "it numbers its objects with gaps"),
        (b"\x80\x04\x8d" + struct.pack("<Q", 2**60) + b"a.", "is cut short, damaged or no pickle"),
        (b"\x80\x05\x96" + struct.pack("<Q", 2**60) + b"a.", "is cut short, damaged or no pickle"),
        (pickle.dumps(np.zeros(1, "i4,i4")), "NumPy type 'V8' is not a number"),
        (b"<!DOCTYPE html><html>", "is a web page, not the file: download it again; want a pickle"),
    )
    def test_refused(self, contents, message):
        with pytest.raises(ValueError, match=message):
            pickles.read(self.write("a.pickle", contents))

    def test_records_of_nasbench201(self):
        good = pickle.loads(fuzz_seeds._nasbench201(self.folder)[0])

        def changed(key, value):
            contents = pickle.loads(pickle.dumps(good))
            results = contents["arch2infos"][0]["200"]["all_results"]
            if key == "seed":
                results["cifar10-valid", value] = results.pop(("cifar10-valid", 777))
            else:
                results["cifar10-valid", 777][key] = value
            return contents

        for contents, message in (
            (changed("seed", "777"), "architecture 0: the seed '777' is not an integer"),
            (changed("params", [1]), r"architecture 0: params is \[1\], not a number from 0 up"),
            (changed("params", -1.0), "architecture 0: params is -1.0, not a number from 0 up"),
            (changed("epochs", "2"), "architecture 0: epochs is '2', not a number"),
            (changed("eval_acc1es", {"x-valid@1": float("nan")}), "architecture 0: x-valid@1 is nan, not a number"),
            ({"arch2infos": {"x": {}, 1: {}}}, "the keys of arch2infos are not all integers"),
        ):
            path = self.write("a.pickle", pickle.dumps(contents))
            with pytest.raises(ValueError, match=message):
                nasbench201.read(path)

    def test_a_tar_archive_in_place_of_its_folder(self):
        path = self.folder / "NATS-tss-v1_0-3ffb9-simple.tar"
        with tarfile.open(path, "w") as archive:
            archive.addfile(tarfile.TarInfo("x"))
        message = r"is a tar archive; unpack it \(tar xf NATS-tss-v1_0-3ffb9-simple.tar\) and give the folder in it"
        with pytest.raises(ValueError, match=message):
            nasbench201.read(path)


class TarTest(Case):
    def save(self, *members):
        path = self.folder / "a.tar"
        with tarfile.open(path, "w") as archive:
            for name, contents in members:
                member = tarfile.TarInfo(name)
                member.size = len(contents)
                archive.addfile(member, io.BytesIO(contents))
        return path

    def test_members(self):
        path = self.save(("a/x", b"1"), ("b/x", b"2"), ("b/y", b"3"))
        assert tar.read(path, lambda name: name == "y") == ({"y": b"3"}, ["x", "x", "y"])
        with pytest.raises(ValueError, match="holds two files called x; keep one of them"):
            tar.read(path, lambda name: True)

    def test_a_sparse_member_of_a_terabyte(self):
        member = tarfile.TarInfo("data_batch_1")
        member.size = 1 << 40
        path = self.write("a.tar", member.tobuf(tarfile.GNU_FORMAT) + bytes(1024))
        with pytest.raises(ValueError, match="data_batch_1 has 1,099,511,627,776 bytes, too many to be read"):
            archives.read_cifar10(path)

    def test_a_long_name_that_is_a_bomb(self):
        member = tarfile.TarInfo("././@LongLink")
        member.type, member.size = tarfile.GNUTYPE_LONGNAME, 1 << 33
        path = self.write("a.tar.gz", gzip.compress(member.tobuf(tarfile.GNU_FORMAT) + bytes(files.limit(0) + 1)))
        with pytest.raises(ValueError, match="expands to more than 100 times its size"):
            archives.read_cifar10(path)


class PicturesTest(Case):
    def test_a_header_of_many_pixels(self):
        def chunk(name, data):
            return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

        for size in (65_000, 9_000):
            header = chunk(b"IHDR", struct.pack(">IIBBBBB", size, size, 8, 2, 0, 0, 0))
            with pytest.raises(ValueError, match=r"x.png (claims more than 67,108,864 pixels|has 9000 x 9000 pixels)"):
                pictures.decode(b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", b""), "x.png")
        with pytest.raises(ValueError, match=r"x.png cannot be read as an image: it is a zip archive"):
            pictures.decode(b"PK\x03\x04", "x.png")

    def test_a_folder_with_a_pipe(self):
        for split in ("train", "val"):
            (self.folder / split / "cat").mkdir(parents=True)
        os.mkfifo(self.folder / "train" / "cat" / "x.JPEG")
        with pytest.raises(ValueError, match=r"x.JPEG cannot be read as an image: it is not a file"):
            class_folders.read_imagenet(self.folder)


class TableTest(Case):
    def test_a_negative_cost(self):
        info = table.Info("b", "s", {"d": {"validation": "v", "cost": "c"}}, "", "", num_choices=(2,))
        metrics = {"v": np.array([0.5, 0.6]), "c": np.array([1.0, -1e9])}
        with pytest.raises(ValueError, match=r"metric 'c' must be seconds, not negative; got -1000000000.0"):
            table.from_rows(info, np.array([[0], [1]]), metrics)

    def test_equal_tables_are_equal_files(self):
        info = table.Info("b", "s", {"d": {"validation": "v"}}, "", "", num_choices=(2,))
        made = table.from_rows(info, np.array([[0], [1]]), {name: np.array([0.5, 0.6]) for name in "vwxyz"})
        contents = set()
        for at in range(8):  # safetensors writes the header of each in another order
            table.save(self.folder / f"{at}.table", made)
            contents.add((self.folder / f"{at}.table").read_bytes())
        assert len(contents) == 1


class CsvTest(Case):
    def test_lines(self):
        assert csv_lines.parse("a,b\n\n c\n", "x") == [(1, ["a", "b"]), (3, [" c"])]
        with pytest.raises(ValueError, match=r"line 1 of x.csv is not CSV: its quotation marks do not match"):
            csv_lines.parse('a,"b" c\n', "x.csv")


class ConfigTest(Case):
    def test_every_start_has_its_entry(self):
        run_dir.write_json(self.folder / run_dir.CONFIG, {"versions": {"jax": "0.1"}, "seed": 1})  # of an older version
        run_dir.write_config(self.folder, {"seed": 2})
        run_dir.write_config(self.folder, {"seed": 3})
        config = json.loads((self.folder / run_dir.CONFIG).read_text())
        assert config["seed"] == 3
        now = run_dir.environment()["versions"]
        assert [start["versions"] for start in config["starts"]] == [{"jax": "0.1"}, now, now]
        assert config["versions"] == now

    def test_other_versions_are_reported(self):
        run_dir.write_json(self.folder / run_dir.CONFIG, {"versions": {"jax": "0.1"}})
        with self.subTest("other"):
            self.assertIn("resumed under other versions: jax was 0.1, now ", self._printed())
        with self.subTest("the same"):
            self.assertEqual("", self._printed())

    def _printed(self):
        output = io.StringIO()
        with contextlib.redirect_stdout(output):
            run_dir.write_config(self.folder, {})
        return output.getvalue()


class FuzzTest(parameterized.TestCase):
    @parameterized.parameters(*fuzz_seeds.SHARES)
    def test_readers(self, name):
        reader = fuzz_seeds.reader(name, pathlib.Path(self.enterContext(tempfile.TemporaryDirectory())))

        @hypothesis.settings(max_examples=25, deadline=None, derandomize=True, database=None)
        @hypothesis.given(st.randoms(use_true_random=False))
        def check(moments):
            try:
                reader.read(fuzz_readers.fuzz_input(reader.seeds, moments))
            except (ValueError, FileNotFoundError) as error:
                self.assertNotRegex(str(error), fuzz_readers._PARSERS)

        check()
