"""Text files as people have them, and the kinds of files that are often given in place of others."""

import os
import pathlib

_UTF16 = "UTF-16 text: save it as UTF-8"
_BEGINNINGS = (
    (b"\x1f\x8b", "a gzip file"),
    (b"BZh", "a bzip2 file"),
    (b"\xfd7zXZ\0", "an xz file"),
    (b"PK\x03\x04", "a zip archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"Rar!", "a RAR archive"),
    (b"\x93NUMPY", "a NumPy array (.npy)"),
    (b"\x89HDF", "an HDF5 file"),
    (b"\x89PNG", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"%PDF", "a PDF document"),
    (b"SQLite format 3", "an SQLite database"),
    (b"version https://git-lfs", "a pointer of Git LFS, not the file itself: fetch it by `git lfs pull`"),
    (b"\xff\xfe", _UTF16),
    (b"\xfe\xff", _UTF16),
    *((b"\x80" + bytes([protocol]), "a Python pickle") for protocol in range(2, 6)),
)
_WEB_PAGE = (b"<!doctype html", b"<html", b"<head", b"<?xml")
_MARK = "\ufeff"  # byte order mark


def kind(data: bytes) -> str:
    """Returns a phrase for the kind of file that begins with `data`, at least 512 bytes where there are as many."""
    if not data:
        return "an empty file"
    for beginning, text in _BEGINNINGS:
        if data.startswith(beginning):
            return text
    if data[257:262] == b"ustar":
        return "a tar archive"
    if data.removeprefix(b"\xef\xbb\xbf").lstrip().lower().startswith(_WEB_PAGE):
        return "a web page, not the file: download it again"
    zeros = sorted((data[:512:2].count(0), data[1:512:2].count(0)))
    if zeros[0] == 0 and zeros[1] > len(data[:512]) // 6:  # every other byte of Latin letters
        return _UTF16
    return "binary data" if zeros[1] else "a text file"


def kind_of(path: str | os.PathLike) -> str:
    """Returns a phrase for the kind of a file or folder, by its first bytes."""
    path = pathlib.Path(path)
    if not path.is_file():
        return "a folder" if path.is_dir() else "not a file"
    with path.open("rb") as file:
        return kind(file.read(512))


def decode(data: bytes, path: str | os.PathLike) -> str:
    """Returns the text of UTF-8 bytes, without a byte order mark.

    Raises:
      ValueError: they are not UTF-8 text; the message says what they are instead.
    """
    found = kind(data[:512])
    if data and found != "a text file" and not found.startswith("a web page"):
        raise ValueError(f"{path} is {found}")
    try:
        return data.decode("utf-8").removeprefix(_MARK)
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise ValueError(f"{path} is not UTF-8 at byte {error.start}; convert it to UTF-8 (line {line})") from error


def read(path: str | os.PathLike) -> str:
    """Returns the text of a UTF-8 file, see `decode`.

    Raises:
      ValueError: the file is missing, cannot be read, or is not UTF-8 text.
    """
    path = pathlib.Path(path)
    if not path.is_file():
        raise ValueError(f"{path} is a folder, not a file" if path.is_dir() else f"no file at {path}")
    try:
        return decode(path.read_bytes(), path)
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror}") from error
