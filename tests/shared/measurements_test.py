"""Files of measurements: round trip and error messages."""

import math
from unittest import mock

import jax.numpy as jnp
import numpy as np
import pytest
from absl.testing import parameterized

from common import history as history_lib
from common import spaces, types
from common.records import measurements
from common.spaces import factory
from tests.shared import folders

SPACE = factory.search_space("toy", (3, 2, 4), size=24, describe=str)


class MeasurementsTest(folders.FolderTest):
    def file(self, name, text):
        path = self.folder / name
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return path

    @parameterized.parameters(".jsonl", ".csv")
    def test_what_is_written_is_read_again(self, suffix):
        archs = jnp.array([[2, 1, 3], [0, 0, 0], [1, 1, 1]])
        measured = types.Evaluation(
            fitness=jnp.array([1 / 3, jnp.nan, 0.1]), cost=jnp.array([1.5, 2.0, 0.1]), ok=jnp.array([True, True, False])
        )
        history = history_lib.append(history_lib.empty(6, 3), archs, measured)
        history = history_lib.append_pending(history, jnp.array([[1, 0, 2]]))
        path = self.folder / f"all{suffix}"
        measurements.write(path, history)
        got = measurements.read(path, SPACE)
        np.testing.assert_array_equal(got.archs, archs)
        np.testing.assert_array_equal(got.fitness, history.fitness[:3])
        np.testing.assert_array_equal(got.cost, history.cost[:3])
        assert [got.archs.dtype, got.fitness.dtype, got.cost.dtype] == [np.int32, np.float32, np.float32]
        assert [path.name for path in self.folder.iterdir()] == [path.name], "nothing else is left there"

    def test_a_file_is_replaced_only_by_more_of_the_same(self):
        path = self.file("a.csv", "arch,fitness,cost\n0 1 3,0.1,\n2 0 0,,\n")
        known = {(0, 1, 3): 0.1, (2, 0, 0): math.nan, (1, 1, 1): 0.5}
        measurements.check_replaceable(path, SPACE, known)
        measurements.check_replaceable(self.file("empty.csv", ""), SPACE, {})
        measurements.check_replaceable(self.folder / "new.csv", SPACE, {})
        for changes in ({(0, 1, 3): 0.2}, {(2, 0, 0): 0.1}):
            with pytest.raises(ValueError, match=r"a.csv exists and has measurements that this search has not; name"):
                measurements.check_replaceable(path, SPACE, known | changes)
        with pytest.raises(ValueError, match=r"a.csv exists and has measurements that this search has not; name"):
            measurements.check_replaceable(path, SPACE, {(0, 1, 3): 0.1})
        notes = self.file("notes.csv", "my notes")
        with pytest.raises(ValueError, match=r"notes.csv exists and is no export of this search"):
            measurements.check_replaceable(notes, SPACE, known)
        with pytest.raises(ValueError, match=r"there is no folder .*nowhere"):
            measurements.check_replaceable(self.folder / "nowhere" / "a.csv", SPACE, known)
        with (
            mock.patch("os.access", return_value=False),
            pytest.raises(ValueError, match=r"cannot write .*no permission"),
        ):
            measurements.check_replaceable(self.folder / "new.csv", SPACE, known)
        measurements.check_replaceable(self.folder / "run" / "a.csv", SPACE, known, folder=self.folder / "run")

    def test_by_hand(self):
        got = measurements.read(
            self.file("a.csv", 'note, arch ,fitness\r\nbest,"[2, 1, 3]",0.5\r\n\r\n"two\nlines",0 0 0,\r\n'), SPACE
        )
        np.testing.assert_array_equal(got.archs, [[2, 1, 3], [0, 0, 0]])
        np.testing.assert_array_equal(got.fitness, np.array([0.5, math.nan], np.float32))
        np.testing.assert_array_equal(got.cost, [math.nan, math.nan])
        got = measurements.read(
            self.file("a.jsonl", '{"arch": [2, 1, 3], "fitness": 1}\n\n{"fitness": 0, "cost": 3, "arch": "0 0 1"}'),
            SPACE,
        )
        np.testing.assert_array_equal(got.archs, [[2, 1, 3], [0, 0, 1]])
        np.testing.assert_array_equal(got.fitness, [1, 0])
        np.testing.assert_array_equal(got.cost, np.array([math.nan, 3], np.float32))

    def test_rows_are_made_canonical(self):
        space = spaces.get("convnet")
        raw = np.array([[0, 0, 3, 0, 2]], np.int32)
        canonical = np.asarray(space.canonicalize(raw))
        assert np.any(raw != canonical)
        got = measurements.read(self.file("a.csv", "arch,fitness\n0 0 3 0 2,0.5\n"), space)
        np.testing.assert_array_equal(got.archs, canonical)

    @parameterized.parameters(
        ('{"arch": [2, 1], "fitness": 0.5}', "arch has 2 decisions; those of toy have 3"),
        ('{"arch": [2, 1, 4], "fitness": 0.5}', "decision 2 of arch is 4; toy allows 0 to 3"),
        ('{"arch": [2, -1, 3], "fitness": 0.5}', "decision 1 of arch is -1; toy allows 0 to 1"),
        ('{"arch": [2, 1, 3.0], "fitness": 0.5}', ".*not a list of integers"),
        ('{"arch": [2, true, 3], "fitness": 0.5}', ".*not a list of integers"),
        ('{"arch": "2;1;3", "fitness": 0.5}', "arch is '2;1;3', not 3 integers with spaces between"),
        ('{"arch": null, "fitness": 0.5}', "arch is None, not a list of integers"),
        ('{"fitness": 0.5}', "arch is None, not a list of integers"),
        ('{"arch": [2, 1, 3], "fitness": 93.4}', r"fitness is 93.4, not a fraction .* \(divide a percentage by 100\)"),
        ('{"arch": [2, 1, 3], "fitness": NaN}', "fitness is nan, not a number"),
        ('{"arch": [2, 1, 3], "fitness": 1e999}', "fitness is inf, not a number"),
        ('{"arch": [2, 1, 3], "fitness": true}', "fitness is True, not a number"),
        ('{"arch": [2, 1, 3], "fitness": "good"}', "fitness is 'good', not a number"),
        ('{"arch": [2, 1, 3], "fitness": [1]}', r"fitness is \[1\], not a number"),
        ('{"arch": [2, 1, 3], "fitness": 1' + 400 * "0" + "}", r"fitness is 1000\d*\.\.\., not a number"),
        ('{"arch": [2, 1, 3], "fitness": 1, "cost": -1}', "cost is -1; it must be seconds, not negative"),
        ('{"arch": [2, 1, 3], "fitness": 1, "cost": 1e300}', "cost is 1e\\+300; it must be seconds"),
        ('{"arch": [0, 0, 0], "fitness": 1}', "is of the same architecture as line 1; keep one of them"),
        ("[2, 1, 3]", "is not a JSON object"),
        ('{"arch": [2, 1', "is not JSON"),
        (10_000 * "[", "is not read: its brackets are nested more than 100 deep"),
    )
    def test_bad_json_lines(self, line, message):
        path = self.file("a.jsonl", f'{{"arch": [0, 0, 0], "fitness": 0.1}}\n\n{line}\n')
        with pytest.raises(ValueError, match=f"line 3 of .*a.jsonl(: | ){message}"):
            measurements.read(path, SPACE)

    @parameterized.parameters(
        ("2 1 3", "1 cells in 2 columns"),
        ("2 1 3,1,1", "3 cells in 2 columns"),
        ("2 1 x,1", "arch is '2 1 x', not 3 integers"),
        ("²1 1 3,1", "arch is .*, not 3 integers"),
        ('"2 1 3"x,1', "is not CSV"),
        ("2 1 3,nan", "fitness is 'nan', not a number"),
    )
    def test_bad_csv_lines(self, line, message):
        path = self.file("a.csv", f"arch,fitness\n0 0 0,0.1\n{line}\n")
        with pytest.raises(ValueError, match=f"line 3 of .*a.csv(: | ){message}"):
            measurements.read(path, SPACE)

    def test_invalid_architectures_are_named(self):
        space = spaces.get("nasbench101")
        zeros = " ".join(["0"] * len(space.num_choices))
        with pytest.raises(ValueError, match=r"line 2 of .* is not a valid architecture of nasbench101"):
            measurements.read(self.file("a.csv", f"arch,fitness\n{zeros},0.1\n"), space)

    def test_all_faults_at_once(self):
        lines = ["0 0 0,2", "x,0.5", "0 0 1,0.5", *[f"0 0 {at},-1" for at in range(2, 7)]]
        path = self.file("a.csv", "arch,fitness\n" + "\n".join(lines) + "\n")
        with pytest.raises(ValueError, match=r"line 2 of .*fitness is 2, .*; line 3 of .*'x', not 3.*; and 2 more$"):
            measurements.read(path, SPACE)

    def test_bad_files(self):
        for name, text, message in (
            ("a.csv", "", "holds no measurements"),
            ("a.csv", "arch,fitness\n", "holds no measurements"),
            ("a.csv", "architecture,fitness\n1,1\n", "line 1 of .*: the columns are arch,fitness,cost"),
            (
                "a.csv",
                "Arch,FITNESS\n1,1\n",
                "has the columns Arch, FITNESS; write their names in small letters: arch, ",
            ),
            ("a.csv", "arch,fitness,arch\n1,1,1\n", "line 1 of .*: the columns are arch,fitness,cost"),
            ("a.jsonl", "\n", "holds no measurements"),
            ("a.jsonl", b'{"arch": [0, 0, 0], "fitness": 0.1}\n\xff\n', "not UTF-8 at byte 36"),
            ("a.json", "", r"the name of a file of measurements must end in .jsonl or .csv"),
        ):
            with pytest.raises(ValueError, match=message):
                measurements.read(self.file(name, text), SPACE)
        with pytest.raises(ValueError, match="no file of measurements at"):
            measurements.read(self.folder / "nothing.csv", SPACE)
        with pytest.raises(ValueError, match=r"must end in \.jsonl or \.csv"):
            measurements.write(self.folder / "a.txt", history_lib.empty(3, 3))
