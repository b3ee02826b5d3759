"""Files of named arrays in the safetensors format, written all or nothing."""

import hashlib
import json
import pathlib
from collections.abc import Mapping

import numpy as np
import safetensors
from safetensors import numpy as safetensors_numpy

from common.file_formats import files, replacing


def write(path: pathlib.Path, tensors: Mapping[str, np.ndarray], metadata: Mapping[str, str]) -> None:
    """Writes `tensors` and `metadata`; a killed writer leaves the old file as it was."""
    path.parent.mkdir(parents=True, exist_ok=True)
    contents = safetensors_numpy.save({name: np.ascontiguousarray(array) for name, array in tensors.items()}, metadata)
    with replacing.replacing(path) as file:
        file.write(_in_order(contents))


def _in_order(contents):
    """Returns the contents of a file with its header in order, so that equal tables are equal files."""
    length = int.from_bytes(contents[:8], "little")
    header = json.dumps(json.loads(contents[8 : 8 + length]), sort_keys=True, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    return len(header).to_bytes(8, "little") + header + contents[8 + length :]


def read(path: pathlib.Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Returns (arrays by name, metadata).

    Raises:
      ValueError: if the file is cut short, damaged or of another format.
    """
    files.check(path)
    with files.reporting(path, "is cut short, damaged or not a safetensors file"):
        try:
            with safetensors.safe_open(path, framework="numpy") as file:
                names = file.keys()
                return {name: file.get_tensor(name) for name in names}, file.metadata() or {}
        except safetensors.SafetensorError as error:
            raise ValueError from error


def digest(tensors: Mapping[str, np.ndarray], text: str) -> str:
    """Returns the SHA-256, in hexadecimal, of `text` and of each tensor's name, type, shape and bytes."""
    total = hashlib.sha256(text.encode())
    for name, values in sorted(tensors.items()):
        total.update(f"\n{name} {values.dtype.str} {values.shape}\n".encode())
        total.update(np.ascontiguousarray(values))
    return total.hexdigest()
