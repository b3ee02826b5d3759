"""NAS-Bench-201, also called the topology part of NATS-Bench (arXiv:2001.00326, arXiv:2009.00437).

15,625 cells, trained on three datasets for 200 epochs with up to three seeds, and for 12 epochs. On CIFAR-10 the
validation accuracy is of the network trained on 25,000 images (`cifar10-valid`), the test accuracy of the network
trained on all 50,000 (`cifar10`); on CIFAR-100 and ImageNet16-120 both are of one network, on the two halves of the
original test set. Metrics of each dataset D: `D/validation`, `D/test`, `D/validation_and_test` (of both halves; not on
CIFAR-10), the same with the ending `_12_epochs`, `D/training_seconds` (of 200 epochs) and `D/million_parameters`.
"""

import math
import pathlib
import re
from collections.abc import Iterator

import numpy as np
from absl import logging

from common.file_formats import csv_lines, files, npz, pickles, text_file
from common.spaces import nasbench201 as space
from common.tables import table

DATASETS = ("cifar10", "cifar100", "imagenet16")
# In the official files: (our metric, the training set, the evaluation set).
_OFFICIAL = (
    ("cifar10/validation", "cifar10-valid", "x-valid"),
    ("cifar10/test", "cifar10", "ori-test"),
    ("cifar100/validation", "cifar100", "x-valid"),
    ("cifar100/test", "cifar100", "x-test"),
    ("cifar100/validation_and_test", "cifar100", "ori-test"),
    ("imagenet16/validation", "ImageNet16-120", "x-valid"),
    ("imagenet16/test", "ImageNet16-120", "x-test"),
    ("imagenet16/validation_and_test", "ImageNet16-120", "ori-test"),
)
_TRAINED_ON = {"cifar10-valid": "cifar10", "cifar100": "cifar100", "ImageNet16-120": "imagenet16"}
# In the official files: (the names of the training schedule, the ending of our metrics).
_SCHEDULES = ((("200", "full"), ""), (("12", "less"), "_12_epochs"))
# In the files of columns: (our metric, the column).
_COLUMNS = (
    ("cifar10/validation", "c10_valid_seeds"),
    ("cifar10/test", "c10_test"),
    ("cifar100/validation", "c100_valid"),
    ("cifar100/test", "c100_test"),
    ("cifar100/validation_and_test", "c100_valtest_seeds"),
    ("imagenet16/validation", "in16_valid"),
    ("imagenet16/test", "in16_test"),
    ("imagenet16/validation_and_test", "in16_valtest_seeds"),
    ("cifar10/validation_12_epochs", "e12_c10_valid"),
    ("cifar10/test_12_epochs", "e12_c10_test"),
    ("cifar100/validation_12_epochs", "e12_c100_valid"),
    ("cifar100/test_12_epochs", "e12_c100_test"),
    ("imagenet16/validation_12_epochs", "e12_in16_valid"),
    ("imagenet16/test_12_epochs", "e12_in16_test"),
)
_COLUMN_NOTES = (
    "Only cifar10/validation and the metrics validation_and_test have their runs; the others are published as means "
    "over seeds and stored as one run. The validation accuracies of cifar100 and imagenet16 are derived: twice "
    "validation_and_test, less test, which is exact for equal halves."
)


def read(path: str | pathlib.Path) -> table.Table:
    """Returns the table of a published file.

    Args:
      path: `NATS-tss-v1_0-3ffb9.pickle.pbz2`, or the folder `NATS-tss-v1_0-3ffb9-simple` (which needs far less
        memory); `NAS-Bench-201-v1_1-096897.pth`; or columns, `nasbench201.npz` or `nasbench201.csv.gz`.

    Raises:
      ValueError: if the file is missing, damaged or of another format.
    """
    path = pathlib.Path(path)
    if not path.exists():
        raise ValueError(f"no NAS-Bench-201 file or folder at {path}")
    if path.is_dir():
        return _from_results(path, _folder(path))
    if path.suffix == ".npz":
        return _from_columns(path, npz.read(path))
    if path.name.endswith((".csv.gz", ".csv")):
        return _from_columns(path, _csv(path))
    if (found := files.kind_of(path)) == "a tar archive":
        raise ValueError(f"{path} is {found}; unpack it (tar xf {path.name}) and give the folder in it")
    contents = pickles.read(path)
    if not isinstance(contents, dict) or not isinstance(contents.get("arch2infos"), dict):
        raise ValueError(f"{path} is not a NAS-Bench-201 file: it has no dictionary called arch2infos")
    if not all(type(number) is int for number in contents["arch2infos"]):
        raise ValueError(f"{path} is not a NAS-Bench-201 file: the keys of arch2infos are not all integers")
    return _from_results(path, [results for _, results in sorted(contents["arch2infos"].items())])


def _table(path, archs, metrics, notes):
    roles = {"validation": "validation", "test": "test", "cost": "training_seconds"}
    datasets = {name: {role: f"{name}/{metric}" for role, metric in roles.items()} for name in DATASETS}
    about = {"origin": "X. Dong and Y. Yang, github.com/D-X-Y/NATS-Bench", "licence": "MIT (NATS-Bench)"}
    return table.published("nasbench201", path, archs, metrics, datasets, space=space.space(), notes=notes, **about)


def _csv(path) -> dict[str, np.ndarray]:
    """Returns the columns of the npz: those that end in _0, _1, ... or in the name of a dataset stacked."""
    text = text_file.decode(files.read_decompressed(path), path)
    with files.reporting(path, "is not nasbench201.csv.gz as published: a column is missing, or a cell is no number"):
        (_, names), *lines = csv_lines.parse(text, path)
        columns = dict(zip(names, zip(*(line for _, line in lines), strict=True), strict=True))
        datasets, seeds = ("c10", "c100", "in16"), ("c10_valid_seeds", "c100_valtest_seeds", "in16_valtest_seeds")
        stacks = {name: [name] for _, name in _COLUMNS}
        stacks |= {name: [f"{name}_{seed}" for seed in range(3)] for name in seeds}
        stacks |= {name: [f"{name}_{dataset}" for dataset in datasets] for name in ("params_m", "train_time_200e_s")}
        stacks["ops"] = [f"ops_{edge}" for edge in range(6)]
        return {
            stack: np.array([[float(text or "nan") for text in columns[name]] for name in parts]).T
            for stack, parts in stacks.items()
        }


def _from_columns(path, columns):
    needed = {"ops", "params_m", "train_time_200e_s"} | {column for _, column in _COLUMNS}
    if needed - set(columns):
        raise ValueError(f"{path} lacks the columns {', '.join(sorted(needed - set(columns)))}")
    num_rows = len(np.atleast_1d(columns["ops"]))
    widths = {"ops": len(space.space().num_choices), "params_m": len(DATASETS), "train_time_200e_s": len(DATASETS)}
    for name in needed:
        values, width = columns[name], widths.get(name)
        is_sound = np.issubdtype(values.dtype, np.number) and not np.iscomplexobj(values) and values.ndim in (1, 2)
        is_sound = is_sound and len(values) == num_rows and (width is None or values.shape[1:] == (width,))
        if not is_sound:
            wanted = f"({num_rows}, {width or 'runs'})"
            raise ValueError(f"{path}, array {name}: want numbers {wanted}; got {values.dtype} {values.shape}")
    ops, num_choices = np.asarray(columns["ops"]), np.array(space.space().num_choices)
    if not np.all((ops >= 0) & (ops < num_choices) & (ops == np.floor(ops))):
        raise ValueError(f"{path}, ops: not all are operations from 0 to {num_choices.max() - 1}")
    metrics = {metric: np.asarray(columns[column]) / 100 for metric, column in _COLUMNS}
    for i, name in enumerate(DATASETS):
        metrics[f"{name}/training_seconds"] = columns["train_time_200e_s"][:, i]
        metrics[f"{name}/million_parameters"] = columns["params_m"][:, i]
    return _table(path, ops.astype(np.int8), metrics, _COLUMN_NOTES)


def _folder(path) -> Iterator[dict]:
    found = sorted(file for file in path.iterdir() if re.fullmatch(r"\d+\.pickle\.pbz2", file.name))
    if not found:
        raise ValueError(f"no files 000000.pickle.pbz2 to 015624.pickle.pbz2 in the folder {path}")
    for i, file in enumerate(found):
        if i % 1000 == 0:
            logging.info("read %d of %d architectures of %s", i, len(found), path)
        yield pickles.read(file)


def _from_results(path, architectures):
    """`architectures` are dictionaries from training schedule to the results of one architecture."""
    archs, runs = [], []
    for i, schedules in enumerate(architectures):
        try:
            archs.append(space.from_string(_fields(next(iter(schedules.values())))["arch_str"]))
            runs.append({(metric, seed): value for metric, seed, value in _runs(schedules)})
        except KeyError as error:
            raise ValueError(f"{path}: architecture {i} has no field {error.args[0]!r:.60}") from error
        except ValueError as error:
            raise ValueError(f"{path}: architecture {i}: {error}") from error
        except (TypeError, AttributeError, StopIteration, ArithmeticError) as error:
            raise ValueError(f"{path}: architecture {i} is not a NAS-Bench-201 record") from error
    keys = sorted(set().union(*runs))
    metrics = {}
    for metric in dict.fromkeys(metric for metric, _ in keys):
        seeds = [seed for other, seed in keys if other == metric]
        metrics[metric] = np.array([[run.get((metric, seed), np.nan) for seed in seeds] for run in runs])
    return _table(path, np.array(archs), metrics, "")


def _runs(schedules) -> Iterator[tuple[str, int, float]]:
    """Yields (metric, seed, value) of one architecture; accuracies after the last epoch."""
    for names, ending in _SCHEDULES:
        results = next((_fields(schedules[name])["all_results"] for name in names if name in schedules), {})
        for key, result in results.items():
            if not isinstance(key, tuple) or len(key) != 2:
                raise ValueError(f"all_results has the key {key!r:.60}, not (dataset, seed)")
            (trained_on, seed), result = key, _fields(result)
            accuracies = result["eval_acc1es"]
            if type(seed) is not int:
                raise ValueError(f"the seed {seed!r:.60} is not an integer")
            for metric, training_set, evaluation_set in _OFFICIAL:
                key = f"{evaluation_set}@{_number(result['epochs'], 'epochs') - 1:g}"
                if training_set == trained_on and key in accuracies:
                    yield metric + ending, seed, _number(accuracies[key], key) / 100
            if trained_on in _TRAINED_ON and not ending:
                dataset = _TRAINED_ON[trained_on]
                yield f"{dataset}/million_parameters", seed, _number(result["params"], "params")
                if result["train_times"]:
                    seconds = (_number(value, "train_times") for value in result["train_times"].values())
                    yield f"{dataset}/training_seconds", seed, sum(seconds)


def _number(value, name):
    if type(value) not in (int, float) or not math.isfinite(value) or value < 0:
        raise ValueError(f"{name} is {value!r:.60}, not a number from 0 up")
    return value


def _fields(record):
    """Returns the fields of a record, an object or its state dictionary."""
    return record if isinstance(record, dict) else vars(record)
