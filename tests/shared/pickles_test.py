import bz2
import collections
import os
import pathlib
import pickle
import tempfile

import numpy as np
import pytest
from absl.testing import parameterized

from common.file_formats import pickles
from common.tables import nasbench201


class Malicious:
    """Unpickled, it calls a function: pickle calls what `__reduce__` names."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


class PicklesTest(parameterized.TestCase):
    def setUp(self):
        super().setUp()
        self.path = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory())) / "file.pickle"

    @parameterized.product(wrap=(bytes, bz2.compress), protocol=(0, 2, 4, 5))
    def test_a_program_is_refused_and_not_run(self, wrap, protocol):
        victim = self.path.with_name("victim")
        self.path.write_bytes(wrap(pickle.dumps({"arch2infos": Malicious(os.mkdir, str(victim))}, protocol)))
        with pytest.raises(ValueError, match=r"it names (posix|nt)\.mkdir, which no benchmark file needs"):
            nasbench201.read(self.path)
        assert not victim.exists()
        pickle.loads(pickle.dumps(Malicious(os.mkdir, str(victim))))  # it would have worked
        assert victim.exists()

    @parameterized.parameters("eval", "exec", "getattr", "__import__")
    def test_builtins_that_run_code_are_refused(self, name):
        self.path.write_bytes(f"cbuiltins\n{name}\n(S'1'\ntR.".encode())
        with pytest.raises(ValueError, match=f"it names builtins.{name}"):
            pickles.read(self.path)

    def test_the_benchmarks_module_gives_no_other_name(self):
        self.path.write_bytes(b"cnats_bench.api_utils\nos.system\n(S'true'\ntR.")
        with pytest.raises(ValueError, match=r"it names nats_bench.api_utils.os.system"):
            pickles.read(self.path)

    def test_numpy_arrays_of_objects_are_refused(self):
        self.path.write_bytes(pickle.dumps(np.array([None, {}], object)))
        with pytest.raises(ValueError, match="NumPy type 'O8' is not a number"):
            pickles.read(self.path)

    def test_network_weights_are_refused(self):
        self.path.write_bytes(b"\x80\x02U\x07storageQ.")
        with pytest.raises(ValueError, match="it holds network weights; take the file without weights"):
            pickles.read(self.path)

    @parameterized.parameters(2, 4, 5)
    def test_plain_data_come_back(self, protocol):
        contents = {
            "number": np.float64(0.1),
            "half": np.float16(1.5),
            "swapped": np.array([1, 2], ">i4"),
            "matrix": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
            "set": {1, 2},
            "ordered": collections.OrderedDict(a=1),
            "bytes": b"\xff\x00",
            "tuple": (1, None, "x", True),
        }
        self.path.write_bytes(pickle.dumps(contents, protocol))
        read = pickles.read(self.path)
        assert type(read["number"]) is float
        expected = contents | {"number": 0.1, "half": 1.5, "swapped": [1, 2], "matrix": [[0, 1, 2], [3, 4, 5]]}
        assert read == expected

    @parameterized.parameters(b"", b"BZh9 no", b"PK\x03\x04 no", b"\x80\x04}", b"hello there", b"\x80\x04(K\x01R.")
    def test_broken_files_are_refused(self, contents):
        self.path.write_bytes(contents)
        with pytest.raises(ValueError, match=r"cannot read .*file\.pickle"):
            pickles.read(self.path)

    def test_truncated_bzip2_is_refused(self):
        whole = bz2.compress(pickle.dumps({"numbers": list(range(1000))}))
        self.path.write_bytes(whole[: len(whole) // 2])
        with pytest.raises(ValueError, match="cannot read"):
            pickles.read(self.path)
