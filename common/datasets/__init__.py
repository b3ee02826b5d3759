"""Datasets: images in memory (`images`), streamed images (`streams`), text (`text`)."""

from common.datasets.images import DATASETS, Dataset, Split, hold_out, load

__all__ = ["DATASETS", "Dataset", "Split", "hold_out", "load"]
