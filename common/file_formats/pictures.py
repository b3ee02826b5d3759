"""Checked reading of pictures: the size is compared with a limit before pixels are decoded."""

import io
import warnings

import PIL.Image

from common.file_formats import files

MAX_PIXELS = 1 << 26
_FORMATS = ("JPEG", "PNG", "BMP", "GIF", "WEBP")


def decode(contents: bytes, name: str = "a picture") -> PIL.Image.Image:
    """Returns a decoded picture; raises a `ValueError`, which gives its `name`, if it is damaged or too large."""
    image = check(contents, name)
    with files.reporting(name, "cannot be read as an image: it is damaged or cut short"):
        image.load()
    return image


def check(contents: bytes, name: str = "a picture") -> PIL.Image.Image:
    """Returns a picture whose header was read, and checked as in `decode`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PIL.Image.DecompressionBombWarning)
        try:
            kind = files.kind(contents[:512]) or "damaged or of another format"
            with files.reporting(name, f"cannot be read as an image: it is {kind}"):
                image = PIL.Image.open(io.BytesIO(contents), formats=_FORMATS)
        except PIL.Image.DecompressionBombError as error:
            raise files.FormatError(f"{name} claims more than {MAX_PIXELS:,} pixels, and is not read") from error
    if image.width * image.height > MAX_PIXELS:
        raise files.FormatError(f"{name} has {image.width} x {image.height} pixels; at most {MAX_PIXELS:,} are read")
    return image
