"""Augmented images per second, compiled for the device, compared with Pillow and NumPy image by image.

The reference does what a worker of a PyTorch data loader does: crop, flip, AutoAugment by Pillow, normalization and
cutout, one image at a time, in one process. Both sides apply the same operations, with random numbers of their own.
CPU seconds of all threads are counted, which makes results less dependent on other load.

    python -m benchmarks.augmentation
"""

import dataclasses
import math
import time
from collections.abc import Callable

import jax
import numpy as np
from PIL import Image, ImageEnhance, ImageOps

from common.training import augmentation, autoaugment

MEAN, STD = (0.49139968, 0.48215827, 0.44653124), (0.24703233, 0.24348505, 0.26158768)
BATCH_SIZE, SIZE, REPETITIONS = 128, 32, 5
_GREY = (128, 128, 128)


def main() -> None:
    images = np.random.default_rng(0).integers(0, 256, (BATCH_SIZE, SIZE // 4, SIZE // 4, 3), dtype=np.uint8)
    images = images.repeat(4, axis=1).repeat(4, axis=2)
    print(f"{'setting':20} {'ours':>9} {'Pillow':>9} {'ratio':>6} {'compile s':>9}   (images a CPU second, medians)")
    for name in ("standard", "naonet", "naonet_autoaugment", "lanet"):
        config = dataclasses.replace(augmentation.PRESETS[name], mixing="none")
        augment = jax.jit(lambda key, images, config=config: augmentation.augment(key, images, config, MEAN, STD))
        start = time.process_time()
        jax.block_until_ready(augment(jax.random.key(0), images))
        compiled = time.process_time() - start
        rng = np.random.default_rng(1)

        def ours(seed, augment=augment):
            jax.block_until_ready(augment(jax.random.key(seed), images))

        def reference(seed, config=config, rng=rng):
            np.stack([plain(rng, image, config) for image in images])

        # Pillow has no cubic splines; LaNet's form is compared with Pillow's cheaper warps.
        rates = speed(ours, repeats=10), speed(reference, repeats=1)
        print(f"{name:20} {rates[0]:9,.0f} {rates[1]:9,.0f} {rates[0] / rates[1]:6.1f} {compiled:9.1f}")


def speed(run: Callable[[int], None], *, repeats: int) -> float:
    """Returns images per CPU second: the median of several repetitions."""
    seconds = []
    for repetition in range(REPETITIONS):
        start = time.process_time()
        for number in range(repeats):
            run(repetition * repeats + number)
        seconds.append((time.process_time() - start) / repeats)
    return BATCH_SIZE / float(np.median(seconds))


def plain(rng: np.random.Generator, image: np.ndarray, config: augmentation.Config) -> np.ndarray:
    """Augments one image by Pillow and NumPy."""
    padding = config.crop_padding
    row, column = rng.integers(0, 2 * padding + 1, 2)
    image = np.pad(image, ((padding, padding), (padding, padding), (0, 0)))[row : row + SIZE, column : column + SIZE]
    image = Image.fromarray(image)
    if rng.random() < 0.5:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    if config.autoaugment != "none":
        for name, probability, level in autoaugment.POLICY[rng.integers(len(autoaugment.POLICY))]:
            if rng.random() < probability:
                image = operate(image, name, level, rng.choice([-1, 1]))
    values = (np.asarray(image, np.float32) / 255 - np.float32(MEAN)) / np.float32(STD)
    if config.cutout != "none":
        row, column = rng.integers(0, SIZE, 2)
        half = config.cutout_size // 2
        values[max(row - half, 0) : row + half, max(column - half, 0) : column + half] = 0
    return values


def operate(image: Image.Image, name: str, level: int, sign: int) -> Image.Image:
    """Applies an operation of AutoAugment by Pillow."""
    share = level / 9
    if name in ("contrast", "color", "brightness", "sharpness"):
        return getattr(ImageEnhance, name.capitalize())(image).enhance(1 + sign * 0.9 * share)
    if name in ("equalize", "autocontrast", "invert"):
        return getattr(ImageOps, name)(image)
    if name == "rotate":
        return image.rotate(30 * share, fillcolor=_GREY)
    if name == "posterize":
        return ImageOps.posterize(image, round(8 - 4 * share))
    if name == "solarize":
        return ImageOps.solarize(image, 256 * (1 - share))
    move = sign * share * (0.3 if name.startswith("shear") else math.floor(SIZE * 150 / 331))
    matrix = {
        "shear_x": (1, move, 0, 0, 1, 0),
        "shear_y": (1, 0, 0, move, 1, 0),
        "translate_x": (1, 0, move, 0, 1, 0),
        "translate_y": (1, 0, 0, 0, 1, move),
    }[name]
    kind = Image.Resampling.BICUBIC if name.startswith("shear") else Image.Resampling.NEAREST
    return image.transform(image.size, Image.Transform.AFFINE, matrix, kind, fillcolor=_GREY)


if __name__ == "__main__":
    main()
