"""Reads TFRecord files without TensorFlow, and checks them.

A record is its length (8 bytes), a checksum of the length, its bytes, and a checksum of the bytes. The
checksum is CRC-32C, rotated and shifted ("masked"). It is defined byte by byte, which is slow in Python,
so it is computed for many records side by side.
"""

import pathlib
import struct
from collections.abc import Iterator

import numpy as np

MAX_RECORD = 1 << 16  # bytes; this reader is for many small records
_BATCH = 1 << 15  # records checked at a time
_FRAME = 16  # bytes of length and checksums around a record


def read(path: pathlib.Path) -> Iterator[bytes]:
    """Yields the records of a file of small records.

    Raises:
      ValueError: while iterating, if the file is missing, empty, cut short, if a checksum is wrong, or if
        a record is longer than `MAX_RECORD`.
    """
    if not path.is_file():
        raise ValueError(f"no TFRecord file at {path}")
    if not path.stat().st_size:
        raise ValueError(f"{path} is empty")
    data = np.memmap(path, np.uint8, "r")
    at = 0
    while at < len(data):
        starts, lengths, at = _frames(data, at)
        _check(path, data, np.array(starts), np.array(lengths))
        for start, length in zip(starts, lengths):
            yield data[start + 12 : start + 12 + length].tobytes()


def crc32c(data: np.ndarray, starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Returns uint32[n], the CRC-32C of each piece `data[start : start + length]` of uint8 `data`."""
    order = np.argsort(-lengths, kind="stable")  # so that the pieces not yet at their end come first
    starts, rising = starts[order], np.sort(lengths)
    crc = np.full(len(starts), 0xFFFFFFFF, np.uint32)
    for i in range(int(rising[-1]) if len(rising) else 0):
        active = len(rising) - np.searchsorted(rising, i, side="right")
        head = crc[:active]
        head[:] = _TABLE[(head ^ data[starts[:active] + i]).astype(np.uint8)] ^ (head >> np.uint32(8))
    result = np.empty_like(crc)
    result[order] = ~crc
    return result


def mask(crc: np.ndarray) -> np.ndarray:
    """Returns uint32[n], checksums as TFRecord files hold them."""
    return ((crc >> np.uint32(15)) | (crc << np.uint32(17))) + np.uint32(0xA282EAD8)


def _frames(data, at):
    """Returns (starts, lengths) of the next records, not yet checked, and where they end."""
    size, starts, lengths = len(data), [], []
    while at < size and len(starts) < _BATCH:
        length = struct.unpack("<Q", data[at : at + 8].tobytes().ljust(8, b"\xff"))[0]
        starts.append(at)
        lengths.append(length)
        at += _FRAME + length
        if length > MAX_RECORD or at > size:
            return starts, lengths, size  # `_check` says what is wrong
    return starts, lengths, at


def _check(path, data, starts, lengths):
    """Raises a `ValueError` that names the first record that is not sound."""
    is_whole = starts + 12 <= len(data)
    header_is_good = np.zeros(len(starts), bool)
    header_is_good[is_whole] = _agrees(data, starts[is_whole], np.full(is_whole.sum(), 8))
    is_inside = header_is_good & (lengths <= MAX_RECORD)
    is_inside[is_inside] = starts[is_inside] + lengths[is_inside].astype(np.int64) + _FRAME <= len(data)
    is_good = is_inside.copy()
    is_good[is_inside] = _agrees(data, starts[is_inside] + 12, lengths[is_inside].astype(np.int64))
    if is_good.all():
        return
    at = int(np.argmin(is_good))
    if not is_whole[at] or (header_is_good[at] and not is_inside[at] and lengths[at] <= MAX_RECORD):
        raise ValueError(f"{path} is cut short: it ends inside the record at byte {starts[at]}; copy it again")
    if header_is_good[at] and lengths[at] > MAX_RECORD:
        raise ValueError(f"{path}: the record at byte {starts[at]} has {lengths[at]} bytes, more than {MAX_RECORD}")
    raise ValueError(f"{path} is damaged or no TFRecord file: wrong checksum in the record at byte {starts[at]}")


def _agrees(data, starts, lengths):
    """Whether each piece of `data` is followed by its masked checksum."""
    after = (starts + lengths)[:, None] + np.arange(4)
    stored = data[after].astype(np.uint32) @ np.array([1, 1 << 8, 1 << 16, 1 << 24], np.uint32)
    return mask(crc32c(data, starts, lengths)) == stored


def _crc_table():
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = np.where(table & 1, (table >> 1) ^ np.uint32(0x82F63B78), table >> 1)
    return table.astype(np.uint32)


_TABLE = _crc_table()
