"""A suite of tasks for choosing settings, and one for reporting results with the settings chosen.

The split is by dataset, kind of attack, device or generator seed, so that no task for reporting is a near-copy of one
for choosing:

- choosing: NAS-Bench-201 on CIFAR-10, its accuracy under the iterative attacks (APGD, PGD), its latency and energy on
  the edge GPU, the cells of LaNAS' one-shot search, whose accuracies its supernet predicted, and synthetic landscapes
  with even generator seeds;
- reporting: NAS-Bench-201 on CIFAR-100 and ImageNet16-120, its accuracy under FGSM and Square, its latency on the
  Raspberry Pi, its energy on Eyeriss and the FPGA, NAS-Bench-Macro, the cells that distributed LaNAS trained, the
  sample of NAS-Bench-101, digits_convnet, and synthetic landscapes with odd generator seeds.

Names are "benchmark/dataset". `nasbench201` has the shipped features, `nasbench201_one_hot` the default ones, as a
user's own benchmark, and `nasbench201_4ops` is the subspace without average pooling, of 4,096 rows. `nk_6x4` and
`nk_8x3` are NK landscapes of 6 decisions of 4 choices and 8 of 3, `nk_sequence` has sequences of 4 to 6 places of 4
choices (5,376 rows). A latency or energy is an objective as the fraction (largest - it) / (largest - smallest).

`lanas_oneshot/predicted` (3,776 rows), `lanas_cell/trained` (5,402) and `nasbench101_sample/cifar10` (292, means over
runs of equal cells) are parts of their spaces with the features of these: only the recorded rows can be proposed. In
the first two hardly any row is one decision from another, so that the neighbours of a row, into which it mutates, are
the 10 that differ from it in the fewest decisions. 200 of 292 are most of the sample: there the regret after 50 counts.
`cifar10_validation` and digits_convnet have a test fitness beside that which the search sees; on the other tasks both
are the same (the test protocol).
"""

import os
import pathlib

import numpy as np

from common import config as configs
from common import rows, tables, types
from common.evaluators import benchmark, synthetic, tabular
from common.file_formats import npz
from common.spaces import factory, lanas_cell, lanas_oneshot, nasbench201
from common.tables import table as table_lib

SUITES = ("choosing", "reporting")
_LENGTHS = (4, 5, 6)
_NUM_NEAREST = 10  # neighbours among the cells of LaNAS
# On NAS-Bench-201: dataset of the task -> metric of the table, of the file of attacks or of that of devices.
_SHIPPED = {
    "choosing": ("cifar10_test", "cifar10_validation", "cifar10_12_epochs"),
    "reporting": ("cifar100_test", "imagenet16_test"),
}
_ONE_HOT = {
    "choosing": (*_SHIPPED["choosing"], "apgd_eps0p5", "pgd_eps2p0", "cifar10_edgegpu_energy"),
    "reporting": (
        *_SHIPPED["reporting"],
        *("cifar100_12_epochs", "imagenet16_12_epochs", "square_eps3p0", "fgsm_eps1p0"),
        *("imagenet16_eyeriss_energy", "imagenet16_fpga_energy"),
    ),
}
_FOUR_OPERATIONS = {
    "choosing": ("cifar10_test", "cifar10_12_epochs", "apgd_eps0p5", "pgd_eps2p0", "cifar10_edgegpu_latency"),
    "reporting": ("cifar100_test", "imagenet16_test", "square_eps1p0", "fgsm_eps0p5", "imagenet16_raspi4_latency"),
}
# (space, K, generator seed)
_LANDSCAPES = {
    "choosing": (("6x4", 1, 0), ("6x4", 3, 2), ("8x3", 2, 4), ("sequence", 1, 0), ("sequence", 2, 2)),
    "reporting": (("6x4", 2, 1), ("8x3", 3, 3), ("sequence", 1, 1), ("sequence", 3, 3)),
}


def tasks(suite: str, data_dir: str | os.PathLike | None) -> list[types.Evaluator]:
    """Returns the evaluators of a suite; those on one search space share its record, and so compiled programs.

    Args:
      suite: "choosing" or "reporting".
      data_dir: folder of the files of nasbench201, nasbench201_robustness, nasbench201_costs and lanas_traces and, for
        reporting, nasbench_macro and nasbench101_sample.

    Raises:
      ValueError: the suite is unknown, or a file is missing or damaged; the message names it.
    """
    configs.one_of("suite", suite, SUITES)
    table = tables.load_benchmark("nasbench201", data_dir)
    columns = _columns(table, data_dir)
    shipped, one_hot, six_of_four = table_lib.space_of(table), _product(6, 5), _product(6, 4)
    made = []
    for benchmark_name, space, datasets, num_operations in (
        ("nasbench201", shipped, _SHIPPED, 5),
        ("nasbench201_one_hot", one_hot, _ONE_HOT, 5),
        ("nasbench201_4ops", six_of_four, _FOUR_OPERATIONS, 4),
    ):
        kept = np.all(table.archs < num_operations, axis=1)
        for dataset in datasets[suite]:
            test = columns["cifar10_test"][kept] if dataset == "cifar10_validation" else None
            name = f"{benchmark_name}/{dataset}"
            made.append(tabular.from_arrays(name, space, table.archs[kept], columns[dataset][kept], test=test))
    if suite == "choosing":
        made.append(_lanas_oneshot(data_dir))
    else:
        made += [
            benchmark.evaluator("nasbench_macro", data_dir=data_dir, protocol="test"),
            benchmark.evaluator("digits_convnet"),
            _lanas_cell(data_dir),
            _nasbench101_sample(data_dir),
        ]
    sequences = synthetic.variable_length_space("sequence", _LENGTHS, 4)
    settings = {
        "6x4": {"space": six_of_four},
        "8x3": {"space": _product(8, 3)},
        "sequence": {"space": sequences, "states": lambda archs: synthetic.sequence_states(archs, _LENGTHS)},
    }
    for kind, interactions, seed in _LANDSCAPES[suite]:
        name = f"nk_{kind}/k{interactions}_seed{seed}"
        made.append(synthetic.nk_landscape(name, interactions=interactions, seed=seed, **settings[kind]))
    return made


def _product(length, num_choices):
    return factory.product(f"product_{length}x{num_choices}", (num_choices,) * length)


def _columns(table, data_dir):
    """Returns the fitness of every row of NAS-Bench-201, by name of the dataset of the task."""
    columns = {}
    for dataset in table.info.datasets:
        columns[f"{dataset}_test"] = table_lib.mean(table, f"{dataset}/test")
        columns[f"{dataset}_validation"] = table_lib.mean(table, f"{dataset}/validation")
        columns[f"{dataset}_12_epochs"] = table_lib.mean(table, f"{dataset}/validation_12_epochs")
    name = "nasbench201_robustness"
    attacks = _read(data_dir, name, f"{name}.npz", ("columns", "accuracy", "ops"))
    name = "nasbench201_costs"
    devices = _read(data_dir, name, f"{name}.npz", ("hw_columns", "hw_cifar10", "hw_imagenet16", "arch_str"))
    rows_of_devices = np.array([nasbench201.from_string(text) for text in devices["arch_str"]])
    for name, archs in (("nasbench201_robustness", attacks["ops"]), ("nasbench201_costs", rows_of_devices)):
        if not np.array_equal(archs[rows.lexicographic_order(archs)], table.archs):
            raise ValueError(f"the file {name}.npz is not of the rows of NAS-Bench-201; copy it again")
    order = rows.lexicographic_order(attacks["ops"])
    columns |= dict(zip(attacks["columns"].tolist(), attacks["accuracy"][order].T / 100))
    order = rows.lexicographic_order(rows_of_devices)
    for dataset in ("cifar10", "imagenet16"):
        measured = dict(zip(devices["hw_columns"].tolist(), devices[f"hw_{dataset}"][order].T))
        for cost in ("edgegpu_latency", "raspi4_latency", "edgegpu_energy", "eyeriss_energy", "fpga_energy"):
            values = measured[cost]
            columns[f"{dataset}_{cost}"] = (values.max() - values) / (values.max() - values.min())
    return columns


def _lanas_oneshot(data_dir):
    recorded = _read(data_dir, "lanas_traces", "oneshot_result.npz", ("encoding", "accuracy"))
    archs = lanas_oneshot.from_mask(recorded["encoding"])
    return _of_records("lanas_oneshot/predicted", lanas_oneshot.space(), archs, recorded["accuracy"])


def _lanas_cell(data_dir):
    recorded = _read(data_dir, "lanas_traces", "distributed_trace.npz", ("encoding", "accuracy"))
    space = lanas_cell.space()
    archs = np.asarray(space.canonicalize(recorded["encoding"].astype(np.int32)))
    return _of_records("lanas_cell/trained", space, archs, recorded["accuracy"])


def _of_records(name, space, archs, percent):
    order = rows.lexicographic_order(archs)
    part = factory.listed(space, archs[order], num_nearest=_NUM_NEAREST)
    return tabular.from_arrays(name, part, archs, percent / 100)


def _nasbench101_sample(data_dir):
    table = tables.load_benchmark("nasbench101_sample", data_dir)
    part = factory.listed(table_lib.space_of(table), table.archs)
    return tabular.from_arrays("nasbench101_sample/cifar10", part, table.archs, table_lib.mean(table, "validation"))


def _read(data_dir, folder, name, arrays):
    """Returns arrays of a file in the data folder or its subfolder."""
    paths = [pathlib.Path(data_dir or ".", *inside, name) for inside in ((), (folder,))]
    path = next((path for path in paths if path.is_file()), None)
    if path is None:
        raise ValueError(f"no file {name} for the suite; looked for {', '.join(map(str, paths))}")
    found = npz.read(path, arrays)
    if missing := [array for array in arrays if array not in found]:
        raise ValueError(f"{path} lacks the arrays {', '.join(missing)}; copy it again")
    return found
