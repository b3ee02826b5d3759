import base64
import json
import struct

import jax
import numpy as np
import pytest
from absl.testing import parameterized

from common import spaces
from common.file_formats import tfrecord
from common.spaces import nasbench101 as space101
from common.tables import nasbench101
from tests.shared import folders


def frame(record):
    """A TFRecord frame, its checksums from the definition of CRC-32C, bit by bit."""

    def masked(data):
        crc = 0xFFFFFFFF
        for byte in data:
            crc ^= byte
            for _ in range(8):
                crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
        crc ^= 0xFFFFFFFF
        return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)

    length = struct.pack("<Q", len(record))
    return length + masked(length) + record + masked(record)


class TfrecordTest(folders.FolderTest):
    def setUp(self):
        super().setUp()
        self.path = self.folder / "file.tfrecord"

    def test_every_flipped_bit_and_every_truncation_is_noticed(self):
        contents = frame(b"first") + frame(b"second record")
        for at in range(len(contents)):
            self.path.write_bytes(contents[:at] + bytes([contents[at] ^ 4]) + contents[at + 1 :])
            with pytest.raises(ValueError, match=f"wrong checksum in the record at byte {0 if at < 21 else 21}$"):
                list(tfrecord.read(self.path))

        for size in {*range(1, len(contents))} - {21}:
            self.path.write_bytes(contents[:size])
            with pytest.raises(ValueError, match="is cut short: it ends inside the record at byte"):
                list(tfrecord.read(self.path))

    def test_files_of_any_number_of_records(self):
        records = [b"one", b"", b"three" * 100, bytes(range(256))]
        with pytest.raises(ValueError, match="no file at"):
            list(tfrecord.read(self.path))
        self.path.write_bytes(b"")
        with pytest.raises(ValueError, match="is empty"):
            list(tfrecord.read(self.path))
        self.path.write_bytes(b"".join(map(frame, records)))
        assert list(tfrecord.read(self.path)) == records
        self.path.write_bytes(frame(bytes(70_000)))
        with pytest.raises(ValueError, match="has 70000 bytes, more than 65536"):
            list(tfrecord.read(self.path))


def metrics_message(validation, test, seconds, parameters):
    """A serialized `ModelMetrics` of nasbench/lib/model_metrics.proto, of three evaluations."""

    def double(field, value):
        return bytes([field << 3 | 1]) + struct.pack("<d", value)

    def sized(field, contents):
        return bytes([field << 3 | 2, len(contents)]) + contents

    def varint(field, value):
        digits = []
        while value:
            digits.append(value & 127)
            value >>= 7
        return bytes([field << 3, *(digit | 128 for digit in digits[:-1]), digits[-1]])

    message = b""
    for epoch, scale in ((0.0, 0.0), (54.0, 0.5), (108.0, 1.0)):
        values = (epoch, seconds * scale, scale, validation * scale, test * scale)
        fields = b"".join(double(field, value) for field, value in enumerate(values, start=1))
        message += sized(1, fields + (sized(6, b"/a/checkpoint") if epoch else b""))
    return message + varint(2, parameters) + double(3, 3 * seconds)


# The same network twice, its two inner vertices swapped; and the smallest one.
CELL = ("0110000100010000", "input,conv3x3-bn-relu,maxpool3x3,output")
SWAPPED = ("0110000100010000", "input,maxpool3x3,conv3x3-bn-relu,output")
EMPTY = ("0100", "input,output")


class Nasbench101Test(folders.FolderTest):
    def setUp(self):
        super().setUp()
        self.path = self.folder / "nasbench_full.tfrecord"

    def write(self, *runs):
        records = []
        for (adjacency, operations), epochs, *values in runs:
            encoded = base64.b64encode(metrics_message(*values)).decode()
            records.append(json.dumps([f"hash of {operations}", epochs, adjacency, operations, encoded]).encode())
        self.path.write_bytes(b"".join(map(frame, records)))

    def test_runs_of_one_network_are_gathered(self):
        self.write(
            (CELL, 108, 0.9, 0.8, 1000.0, 2_500_000),
            (EMPTY, 108, 0.5, 0.4, 100.0, 300),
            (CELL, 4, 0.6, 0.55, 40.0, 2_500_000),
            (SWAPPED, 108, 0.92, 0.82, 1100.0, 2_500_000),
            (EMPTY, 4, 0.25, 0.3, 4.0, 300),
            (CELL, 108, 0.94, 0.84, 1200.0, 2_500_000),
        )
        made = nasbench101.read(self.path)
        assert [spaces.get("nasbench101").describe(arch).count("=") for arch in made.archs] == [0, 2]
        nan = np.nan
        for name, values in {
            "validation": [[0.5, nan, nan], [0.9, 0.92, 0.94]],
            "test": [[0.4, nan, nan], [0.8, 0.82, 0.84]],
            "training_seconds": [[100, nan, nan], [1000, 1100, 1200]],
            "validation_4_epochs": [[0.25], [0.6]],
            "test_4_epochs": [[0.3], [0.55]],
            "training_seconds_4_epochs": [[4], [40]],
            "million_parameters": [[0.0003], [2.5]],
        }.items():
            np.testing.assert_array_equal(made.metrics[name], np.float32(values), err_msg=name)
        assert made.info.datasets == {
            "cifar10": {"validation": "validation", "test": "test", "cost": "training_seconds"}
        }

    @parameterized.parameters(
        b"not json",
        b"[1, 2, 3]",
        b'["hash", 108, "0100", "input,output", "%%"]',
        b'["hash", 108, "0100", "input,output", "CgE="]',  # a message that ends inside a field
        b'["hash", 108, "0100", "input,output", ""]',
    )
    def test_other_records_are_refused(self, record):
        self.path.write_bytes(frame(record))
        with pytest.raises(ValueError, match="record 0 is not a NAS-Bench-101 record"):
            nasbench101.read(self.path)

    @parameterized.parameters(
        (("010", "input,output"), "010 with input,output is not a cell of NAS-Bench-101"),
        (("0120", "input,output"), "is not a cell of NAS-Bench-101"),
        (("010001000", "input,moon,output"), "with input,moon,output is not a cell of NAS-Bench-101"),
        (("0110", "input,output"), "the adjacency 0110 of 2 vertices is not strictly upper triangular"),
        (("0000", "input,output"), "is not a valid canonical architecture of nasbench101"),
    )
    def test_other_cells_are_refused(self, cell, message):
        self.write((EMPTY, 108, 0.5, 0.4, 100.0, 300), (cell, 108, 0.5, 0.4, 100.0, 300))
        with pytest.raises(ValueError, match=message):
            nasbench101.read(self.path)

    def test_cells_of_every_size_are_read_as_one_by_one(self):
        space = spaces.get("nasbench101")
        archs = np.asarray(space.sample(jax.random.key(0), 40))
        cells = [space101.to_matrix(arch) for arch in archs]
        assert {len(names) for _, names in cells} >= {2, 3, 4, 5, 6}
        runs = {}
        for i, (adjacency, names) in enumerate(cells):
            text = "".join(map(str, adjacency.ravel())), ",".join(names)
            runs.setdefault(text, (text, 108, i / 64, 0.5, 10.0, 300))
        self.write(*runs.values())
        made = nasbench101.read(self.path)
        distinct, first = np.unique(archs, axis=0, return_index=True)
        np.testing.assert_array_equal(made.archs, distinct)
        np.testing.assert_array_equal(np.nanmin(made.metrics["validation"], axis=1), first / 64)
