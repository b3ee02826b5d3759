"""Data to train on: images in memory (`images`), and images as a stream (`streams`)."""

from common.datasets.images import DATASETS, Dataset, Split, hold_out, load

__all__ = ["DATASETS", "Dataset", "Split", "hold_out", "load"]
