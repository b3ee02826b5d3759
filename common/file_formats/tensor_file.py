"""Files of named arrays in the safetensors format: written all or nothing, read mapped into memory.

The format is eight bytes of header length, a JSON header (name -> type, shape, place; and text metadata)
and the bytes of the arrays. The library writes it; it is mapped here because the library's reader copies.
"""

import hashlib
import json
import math
import os
import pathlib
from collections.abc import Mapping

import numpy as np
from safetensors import numpy as safetensors_numpy

_DTYPES = {"I8": np.dtype("<i1"), "I32": np.dtype("<i4"), "F32": np.dtype("<f4")}
_MAX_HEADER = 1 << 24


def write(path: pathlib.Path, tensors: Mapping[str, np.ndarray], metadata: Mapping[str, str]) -> None:
    """Writes int8, int32 and float32 `tensors` and `metadata`; a killed writer leaves the old file as it was."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    contents = safetensors_numpy.save({name: np.ascontiguousarray(array) for name, array in tensors.items()}, metadata)
    try:
        with partial.open("wb") as file:
            file.write(contents)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def read(path: pathlib.Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Returns (name -> read-only array mapped from the file, metadata).

    Raises:
      ValueError: if the file is cut short or not of this format.
    """
    header, start = _read_header(path)
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict):
        raise ValueError(f"{path} is not a file of tensors: its metadata are {type(metadata).__name__}")
    places = {name: _place(path, name, entry) for name, entry in sorted(header.items())}
    end = start + max((high for _, _, _, high in places.values()), default=0)
    size = path.stat().st_size
    if size != end:
        raise ValueError(f"{path} is cut short or damaged: it has {size} bytes instead of {end}")
    data = np.memmap(path, np.uint8, "r")
    tensors = {
        name: np.asarray(data[start + low : start + high].view(dtype).reshape(shape))
        for name, (dtype, shape, low, high) in places.items()
    }
    return tensors, metadata


def digest(tensors: Mapping[str, np.ndarray], text: str) -> str:
    """Returns the SHA-256, in hexadecimal, of `text` and of each tensor's name, type, shape and bytes."""
    total = hashlib.sha256(text.encode())
    for name, values in sorted(tensors.items()):
        total.update(f"\n{name} {values.dtype.str} {values.shape}\n".encode())
        total.update(np.ascontiguousarray(values))
    return total.hexdigest()


def _read_header(path):
    size = path.stat().st_size
    with path.open("rb") as file:
        header_size = int.from_bytes(file.read(8), "little")
        text = file.read(header_size) if 2 <= header_size <= _MAX_HEADER else b""
    start = 8 + header_size
    if text[:1] == b"{" and size < start:
        raise ValueError(f"{path} is cut short: it has {size} bytes, fewer than its header of {start}")
    try:
        header = json.loads(text)
    except ValueError:
        header = None
    if not isinstance(header, dict):
        raise ValueError(f"{path} is not a file of tensors: it does not begin with a safetensors header")
    return header, start


def _place(path, name, entry):
    """Returns (dtype, shape, first byte, end) of one tensor, the bytes counted from the end of the header."""
    try:
        dtype, shape, (low, high) = _DTYPES[entry["dtype"]], tuple(entry["shape"]), entry["data_offsets"]
        is_sound = 0 <= low <= high and high - low == dtype.itemsize * math.prod(shape)
    except (KeyError, TypeError, ValueError):
        is_sound = False
    if not is_sound:
        raise ValueError(f"{path} is damaged or of another kind: its header describes tensor {name!r} as {entry}")
    return dtype, shape, low, high
