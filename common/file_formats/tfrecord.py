"""Reads TFRecord files without TensorFlow; a record is its length, a checksum of it, its bytes, a checksum of them."""

import pathlib
import struct
from collections.abc import Iterator

import google_crc32c

from common.file_formats import files

MAX_RECORD = 1 << 16  # bytes; this reader is for many small records


def read(path: pathlib.Path) -> Iterator[bytes]:
    """Yields the records of a file of small records.

    Raises:
      ValueError: while iterating, if the file is missing, empty or cut short, a checksum is wrong, or a record is too
        long.
    """
    if not files.check(path):
        raise ValueError(f"{path} is empty")
    if found := files.kind_of(path):
        raise ValueError(f"{path} is {found}; want a TFRecord file")
    start = 0
    with path.open("rb") as file:
        while head := file.read(12):
            _check(path, start, head, size=8)
            (length,) = struct.unpack("<Q", head[:8])
            if length > MAX_RECORD:
                raise ValueError(f"{path}: the record at byte {start} has {length} bytes, more than {MAX_RECORD}")
            body = file.read(length + 4)
            _check(path, start, body, size=length)
            yield body[:length]
            start += len(head) + len(body)


def _check(path, start, framed, *, size):
    """Raises a `ValueError` unless `framed` is `size` bytes and their CRC-32C, rotated and shifted ("masked")."""
    if len(framed) < size + 4:
        raise ValueError(f"{path} is cut short: it ends inside the record at byte {start}; copy it again")
    crc = google_crc32c.value(framed[:size])
    masked = ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
    if framed[size:] != struct.pack("<I", masked):
        raise ValueError(f"{path} is damaged or no TFRecord file: wrong checksum in the record at byte {start}")
