"""Random crops and colour jitter of ImageNet images with Pillow, as in torchvision."""

import math

import numpy as np
import PIL.Image
import PIL.ImageEnhance

_RATIOS = (3 / 4, 4 / 3)
_ENHANCE = {
    "brightness": PIL.ImageEnhance.Brightness,
    "contrast": PIL.ImageEnhance.Contrast,
    "saturation": PIL.ImageEnhance.Color,
}


def draw_crop(rng: np.random.Generator, size: tuple[int, int], min_area: float) -> tuple[int, int, int, int]:
    """Samples (left, top, width, height) of a crop: area, logarithm of the aspect ratio and place are uniform.

    If 10 samples do not fit into the image, it is the largest central crop with an allowed aspect ratio.

    Args:
      size: (width, height) of the image.
      min_area: smallest fraction of the image's area; the largest is 1.
    """
    width, height = size
    for _ in range(10):
        area = width * height * rng.uniform(min_area, 1)
        ratio = math.exp(rng.uniform(*map(math.log, _RATIOS)))
        crop_width, crop_height = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < crop_width <= width and 0 < crop_height <= height:
            left, top = rng.integers(width - crop_width + 1), rng.integers(height - crop_height + 1)
            return int(left), int(top), crop_width, crop_height
    crop_width, crop_height = min(width, round(height * _RATIOS[1])), min(height, round(width / _RATIOS[0]))
    return (width - crop_width) // 2, (height - crop_height) // 2, crop_width, crop_height


def resized_crop(image: PIL.Image.Image, crop: tuple[int, int, int, int], size: int) -> PIL.Image.Image:
    """Cuts a rectangle (left, top, width, height) out and makes it a square of `size` pixels."""
    left, top, width, height = crop
    cut = image.crop((left, top, left + width, top + height))
    return cut.resize((size, size), PIL.Image.Resampling.BILINEAR)


def flip(image: PIL.Image.Image) -> PIL.Image.Image:
    """Mirrors an image, left to right."""
    return image.transpose(PIL.Image.Transpose.FLIP_LEFT_RIGHT)


def draw_colors(rng: np.random.Generator, config) -> list[tuple[str, float]]:
    """Samples (name, factor or hue shift) of the changes with a range in a `streams.Config`, in random order."""
    names = [name for name in (*_ENHANCE, "hue") if getattr(config, name)]
    changes = []
    for at in rng.permutation(len(names)):
        most = getattr(config, names[at])
        middle = 0 if names[at] == "hue" else 1
        changes.append((names[at], rng.uniform(middle - most, middle + most)))
    return changes


def recolor(image: PIL.Image.Image, changes: list[tuple[str, float]]) -> PIL.Image.Image:
    """Applies colour changes in order."""
    for name, amount in changes:
        image = turn_hue(image, amount) if name == "hue" else _ENHANCE[name](image).enhance(amount)
    return image


def turn_hue(image: PIL.Image.Image, turn: float) -> PIL.Image.Image:
    """Shifts the hues by a fraction of the circle, in steps of 1/256."""
    hue, saturation, value = image.convert("HSV").split()
    turned = np.asarray(hue) + np.uint8(int(turn * 255) % 256)  # bytes wrap around
    return PIL.Image.merge("HSV", (PIL.Image.fromarray(turned), saturation, value)).convert("RGB")
