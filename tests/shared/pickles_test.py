import bz2
import collections
import os
import pickle
import subprocess
import sys
import types

import numpy as np
import pytest
from absl.testing import parameterized

from common.file_formats import pickles
from common.tables import nasbench201
from tests.shared import folders


class Malicious:
    """Unpickled, it calls a function: pickle calls what `__reduce__` names."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


class PicklesTest(folders.FolderTest):
    def setUp(self):
        super().setUp()
        self.path = self.folder / "file.pickle"

    @parameterized.product(wrap=(bytes, bz2.compress), protocol=(0, 2, 4, 5))
    def test_a_program_is_refused_and_not_run(self, wrap, protocol):
        victim = self.path.with_name("victim")
        self.path.write_bytes(wrap(pickle.dumps({"arch2infos": Malicious(os.mkdir, str(victim))}, protocol)))
        with pytest.raises(ValueError, match=r"it names (posix|nt)\.mkdir, which no benchmark file needs"):
            nasbench201.read(self.path)
        assert not victim.exists()
        pickle.loads(pickle.dumps(Malicious(os.mkdir, str(victim))))  # it would have worked
        assert victim.exists()

    @parameterized.parameters(
        (b"cbuiltins\neval\n(S'1'\ntR.", "it names builtins.eval"),
        (b"cbuiltins\nexec\n(S'1'\ntR.", "it names builtins.exec"),
        (b"cbuiltins\ngetattr\n(S'1'\ntR.", "it names builtins.getattr"),
        (b"cbuiltins\n__import__\n(S'1'\ntR.", "it names builtins.__import__"),
        (b"cnats_bench.api_utils\nos.system\n(S'true'\ntR.", "it names nats_bench.api_utils.os.system"),
        (pickle.dumps(np.array([None, {}], object)), "NumPy type 'O8' is not a number"),
        (b"\x80\x02U\x07storageQ.", "it holds network weights; take the file without weights"),
    )
    def test_anything_but_plain_data_is_refused(self, contents, message):
        self.path.write_bytes(contents)
        with pytest.raises(ValueError, match=message):
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
        for name in ("swapped", "matrix"):
            np.testing.assert_array_equal(read.pop(name), contents.pop(name))
        assert read == contents

    @parameterized.parameters(
        b"\x80\x02})" + b"\x85" * 3_000_000 + b"Ns.",  # a tuple in a tuple in ..., as the key of a dictionary
        b"\x80\x04}(K\x01)" + b"\x94h\x00\x860h\x00" * 100 + b"N\x86" * 9_000 + b"Nu.",
        b"\x80\x04\x8f()" + b"(N)t0\x85" * 9_000 + b"\x90.",
        b"\x80\x02)q\0" + (b"(h\0G" + bytes(8) + b"tq\0") * 9_000 + b".",  # through pairs of a key and a float
        b"\x80\x02)q\0" + (b"(j" + bytes(4) + b"G" + bytes(8) + b"tq\0") * 9_000 + b".",
    )
    def test_deeply_nested_tuples_do_not_overflow_the_stack(self, contents):
        self.path.write_bytes(contents)
        program = (
            "import pathlib, sys; from common.file_formats import pickles; pickles.read(pathlib.Path(sys.argv[1]))"
        )
        ended = subprocess.run([sys.executable, "-c", program, self.path], capture_output=True, text=True, check=False)
        assert ended.returncode == 1
        assert "it nests tuples more than 4000 deep" in ended.stderr

    def test_many_tuples_side_by_side_are_read(self):
        contents = [{("cifar10", seed): ((seed, 1, 2, 3), {seed, "t"})} for seed in range(9000)]
        contents += [collections.OrderedDict(a=1), frozenset([1]), 1j]
        names = [f"test@{epoch}" for epoch in range(400)]
        contents += [dict.fromkeys(keys, 0.5) for keys in (range(400), names, names, range(0, 2**24, 2**16))]
        for protocol in (0, 1, 2, 5):
            self.path.write_bytes(pickle.dumps(contents, protocol))
            assert pickles.read(self.path) == contents

    def test_a_stack_with_marks_is_followed(self):
        # Protocol 1 marks an object's class; POP takes a mark away where nothing stands on it.
        self.path.write_bytes(b"((cnats_bench.api\nArchResults\no(02(N1" + b")\x85" * 5000 + b"l.")
        first, second, *rest = pickles.read(self.path)
        assert first is second
        assert isinstance(first, types.SimpleNamespace)
        assert rest == [((),)] * 5000

    def test_broken_files_are_refused(self):
        whole = bz2.compress(pickle.dumps({"numbers": list(range(1000))}))
        broken = (b"", b"BZh9 no", b"PK\x03\x04 no", b"\x80\x04}", b"hello there", b"\x80\x04(K\x01R.")
        for contents in (*broken, whole[: len(whole) // 2]):
            self.path.write_bytes(contents)
            with pytest.raises(
                ValueError,
                match=r"file\.pickle is (cut short, damaged or no pickle|damaged or cut short; .*|a zip archive .*)$",
            ):
                pickles.read(self.path)
