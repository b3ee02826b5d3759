"""Valid files of every format, and the readers of them, for `benchmarks.fuzz_readers`."""

import bz2
import contextlib
import gzip
import io
import json
import pathlib
import pickle
import struct
import tarfile
import zipfile
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import google_crc32c
import numpy as np
import PIL.Image
import safetensors.numpy

from common import spaces
from common.datasets import archives, arrays, class_folders
from common.file_formats import json_values, npz, pickles, pictures, tensor_file
from common.genotypes import formats, published
from common.records import journal, measurements, run_dir
from common.report import report, search, study
from common.tables import columns, nasbench101, nasbench201, nasbench_macro, table

SHARES = {  # of the inputs
    **{"pickle": 14, "nasbench201": 5, "tfrecord": 8, "tar": 8, "zip": 5, "npz": 14, "table": 6, "picture": 3},
    **{"json": 10, "genotype": 14, "csv": 8, "measurements": 6, "journal": 9, "history": 4, "run": 3, "study": 1},
    **{"class_folder": 3, "tensors": 3},
}


_LINE = b'{"arch": [0, 1, 2, 0, 1, 2, 0, 1], "fitness": 0.5, "cost": 3}\n'


class Reader(NamedTuple):
    """A reader of the contents of a file, and valid contents."""

    seeds: Sequence[bytes]
    read: Callable[[bytes], Any]


def reader(name: str, folder: pathlib.Path) -> Reader:
    """Returns a reader by name; files are written to `folder`."""
    if name in ("run", "study"):
        return _of_folder(folder / name, _write_run if name == "run" else _write_study)
    if name == "genotype":
        return Reader(_genotypes(), _read_genotype)
    file, seeds, *reads = _READERS[name]
    path = folder / file

    def read(data):
        path.write_bytes(data)
        error = None
        for one in reads:
            try:
                one(path)
            except ValueError as caught:
                error = caught
        if error is not None:
            raise error

    return Reader(seeds(folder), read)


def _measured(path):
    space, error = spaces.get("nasbench_macro"), None
    for suffix in (".csv", ".jsonl"):
        other = path.with_suffix(suffix)
        other.write_bytes(path.read_bytes())
        try:
            measurements.read(other, space)
        except ValueError as caught:
            error = caught
    if error is not None:
        raise error


def _of_folder(folder, write):
    """Returns the reader of a folder of which one file, named in the first byte of an input, is changed."""
    folder.mkdir()
    write(folder)
    files = {path: path.read_bytes() for path in sorted(folder.iterdir()) if path.suffix != ".lock"}
    paths = list(files)

    def read(data):
        path = paths[(data[0] if data else 0) % len(paths)]
        path.write_bytes(data[1:])
        try:
            found = report.read(folder)
            (study if isinstance(found, study.Study) else search).document(found, ())
        finally:
            path.write_bytes(files[path])

    return Reader([bytes([at]) + contents for at, contents in enumerate(files.values())], read)


def _write_run(folder):
    environment = {"versions": {"jax": "0"}, "device": {"platform": "cpu", "kind": "cpu", "count": 1}}
    header = {"benchmark": "nasbench_macro/cifar10", "space": "nasbench_macro", "protocol": "test", "seed": 0}
    header |= {"algorithm": "random", "config": {"count": 2}}
    flags = {"budget": 2, "seed": 0, "benchmark": "nasbench_macro"}
    config = {"command": "baselines", "flags": flags, **header, "optimum": 0.9, **environment}
    run_dir.write_json(folder / run_dir.CONFIG, config)
    (folder / run_dir.JOURNAL).write_bytes(_journal(folder))
    (folder / run_dir.HISTORY).write_bytes(_history(folder))
    best = {"arch": [0] * 8, "description": "x", "fitness": 0.5, "test": 0.5}
    result = {"protocol": "test", "queries": 2, "infeasible": 0, "seconds": 1.5, "best": best, "failures": {"x": 1}}
    run_dir.write_json(folder / run_dir.RESULT, result)
    line = {"round": 0, "queries": 2, "infeasible": 0, "best_fitness": 0.5, "seconds": 1.0}
    (folder / run_dir.METRICS).write_text(json.dumps(line) + "\n")


def _write_study(folder):
    config = {"command": "study", "flags": {"budget": 2}, "algorithms": ["random"], "versions": {}, "device": {}}
    run_dir.write_json(folder / run_dir.CONFIG, config)
    band = {"2": {name: [0.5, 0.4, 0.6] for name in ("mean", "interquartile_mean", "median")}}
    target = {"target": 0.9, "found": 0.5, "queries": [1, 2, None], "seconds": [1, 2, None]}
    record = {"queries_to_optimum": {}, "best_fitness": {"2": 0.5}, "test_of_best": {"2": 0.5}, "targets": [target]}
    record |= {"seconds_per_search": 0.1, "compile_seconds": 1.0}
    record |= {"intervals": {"best_fitness": band, "test_of_best": band}}
    pair = {"of": "best_fitness", "first": "random", "second": "x", "improvement": [0.5, 0.4, 0.6], "p_value": 0.5}
    report_ = {"benchmark": "b", "dataset": "d", "protocol": "validation", "budget": 2, "num_seeds": 2, "seed": 0}
    report_ |= {"optimum": None, "algorithms": {"random": record}, "comparisons": [pair | {"adjusted": 0.5}]}
    run_dir.write_json(folder / run_dir.STUDY, report_)
    curves = {name: np.full((2, 2), 0.5) for name in ("best_fitness", "test_of_best", "seconds")}
    run_dir.write_arrays(folder / run_dir.CURVES.format("random"), curves)


def _pickles(folder):
    values = {"a": [1, 2.5, None, True, "x" * 300, b"y", ("t", 1)], "n": np.float64(0.5), "m": np.arange(6.0)}
    made = [pickle.dumps(values, protocol) for protocol in range(6)]
    return [*made, bz2.compress(made[2]), gzip.compress(made[4]), b"\x80\x02})" + b"\x85" * 3000 + b"Ns."]


def _nasbench201(folder):
    arch = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|avg_pool_3x3~0|none~1|nor_conv_1x1~2|"
    names = {"cifar10-valid": ("x-valid",), "cifar10": ("ori-test",), "cifar100": ("x-valid", "x-test", "ori-test")}
    names["ImageNet16-120"] = names["cifar100"]
    results = {}
    for trained_on, sets in names.items():
        record = {"epochs": 2, "params": 1.5, "train_times": {0: 1.0, 1: 2.0}}
        results[trained_on, 777] = record | {"eval_acc1es": {f"{name}@1": 50.0 for name in sets}}
    schedules = {name: {"arch_str": arch, "all_results": results} for name in ("200", "12")}
    return [pickle.dumps({"arch2infos": {0: schedules}}, protocol) for protocol in (0, 2, 4)]


def _tfrecord(folder):
    def field(number, contents):
        return bytes([number << 3 | 2, len(contents)]) + contents

    import base64

    evaluation = b"".join(bytes([number << 3 | 1]) + struct.pack("<d", 0.5) for number in (2, 4, 5))
    message = base64.b64encode(field(1, evaluation) * 3 + b"\x10\x64").decode()
    record = json.dumps(["x", 108, "0100", "input,output", message]).encode()
    return [_framed(record) * 2, record]


def _framed(record):
    """Returns a record with its length and checksums."""
    length, made = struct.pack("<Q", len(record)), b""
    for part in (length, record):
        crc = google_crc32c.value(part)
        made += part + struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)
    return made


def _read_framed(path):
    """Reads contents of a record that is mended after its change."""
    other = path.with_suffix(".framed")
    other.write_bytes(_framed(path.read_bytes()))
    nasbench101.read(other)


def _tars(folder):
    batch = {"data": np.zeros((2, 3072), np.uint8), "labels": [0, 1]}
    made = []
    for mode in ("w", "w:gz", "w:bz2"):
        file = io.BytesIO()
        with tarfile.open(fileobj=file, mode=mode) as archive:
            for name in ("data_batch_1", "test_batch"):
                contents = pickle.dumps(batch, 2)
                member = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
                member.size = len(contents)
                archive.addfile(member, io.BytesIO(contents))
        made.append(file.getvalue())
    return made


def _zip(name, contents):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, contents)
    return file.getvalue()


def _npzs(folder):
    kinds = [{"arch": np.array([[0, 1], [1, 0]]), "validation": np.array([0.5, 0.6]), "cost": np.array([1.0, 2.0])}]
    images, labels = np.zeros((3, 4, 4), np.uint8), np.arange(3)
    kinds.append({"x_train": images, "y_train": labels, "x_test": images, "y_test": labels})
    cells = {"adjacency": np.zeros((1, 7, 7), int), "ops": np.zeros((1, 7), int)}
    kinds.append(cells | {"val_accuracy": np.ones(1), "params": np.ones(1)})
    made = []
    for save in (np.savez, np.savez_compressed):
        for one in kinds:
            file = io.BytesIO()
            save(file, **one)
            made.append(file.getvalue())
    return made


def _table(folder):
    info = table.Info("b", "s", {"d": {"validation": "v"}}, source="", licence="", num_choices=(2, 3))
    path = folder / "seed.table"
    table.save(path, table.from_rows(info, np.array([[0, 0], [1, 2]]), {"v": np.array([0.5, 0.6])}))
    return [path.read_bytes()]


def _pictures(folder):
    made = []
    for kind in ("PNG", "JPEG", "GIF", "BMP"):
        file = io.BytesIO()
        PIL.Image.fromarray(np.arange(192, dtype=np.uint8).reshape(8, 8, 3)).save(file, kind)
        made.append(file.getvalue())
    return made


def _photos(folder):
    for name in ("cat/1", "dog/0", "dog/1"):
        path = folder / "photos" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        PIL.Image.new("RGB", (8, 8)).save(path)
    exif, file = PIL.Image.Exif(), io.BytesIO()
    exif[274] = 6
    PIL.Image.new("RGB", (8, 8)).save(file, "JPEG", exif=exif)
    return [*_pictures(folder), file.getvalue()]


def _read_photos(path):
    with contextlib.redirect_stderr(io.StringIO()):
        class_folders.load(path.parent.parent)


def _tensors(folder):
    values = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b.c": np.zeros(2, np.int32)}
    return [safetensors.numpy.save(values, metadata={"about": '{"format": 1}'})]


def _jsons(folder):
    entry = {"test_acc": [90.0, 91.0, 92.0], "params": 2_000_000, "flops": 50_000_000}
    return [json.dumps({"00000000": entry, "01201201": entry}).encode(), *_genotypes()[:5]]


def _genotypes():
    texts = [text for one in published.PUBLISHED.values() for text in formats.written(one.genotype).values()]
    return sorted({text.encode() for text in texts})


def _read_genotype(data):
    text = data.decode("utf-8", "replace")
    names = ["json", "darts", "nasbench201", "nao_large", "nao_json", "ofa_mobile", "nasbench101", "lanas_cell"]
    found = formats.recognize(text) or names[len(data) % len(names)]
    formats.get(found).read(text)


def _csvs(folder):
    rows = b"x_depth,x_width,validation_0,validation_1,test,cost\n0,0,0.6,0.61,0.6,31\n0,1,0.7,,0.6,3\n1,0,0.1,,0.3,4\n"
    return [rows, b"arch,validation,test\n0 0,0.5,0.4\n0 1,0.6,0.5\n1 1,0.6,0.4\n", b"\xef\xbb\xbf" + rows]


def _journal(folder):
    path = folder / "seed.jsonl"
    path.unlink(missing_ok=True)
    archs = np.array([[0] * 8, [0] * 7 + [1], [0] * 6 + [1, 1]], np.int32)
    header = {"space": "nasbench_macro", "seed": 0}
    earlier = measurements.Measurements(archs[2:], np.array([0.5], np.float32), np.array([1.0], np.float32))
    from common import types

    with journal.open_journal(path, header) as opened:
        opened.agree_on_earlier(earlier)
        opened.write_proposed(0, archs[:2])
        opened.write_measured([types.Outcome(1, 0.5, 2.0, True), types.Outcome(2, float("nan"), 0.0, False, "no")])
    contents = path.read_bytes()
    path.unlink()
    pathlib.Path(f"{path}.lock").unlink(missing_ok=True)
    return contents


def _history(folder):
    path = folder / "seed.npz"
    rows = {"archs": np.zeros((2, 8), np.int32), "fitness": np.array([0.5, 0.6], np.float32)}
    rows |= {"cost": np.ones(2, np.float32), "status": np.array([2, 3], np.int32)}
    run_dir.write_arrays(path, rows)
    contents = path.read_bytes()
    path.unlink()
    return contents


_READERS = {  # name of the file, its valid contents, and what reads it
    "pickle": ("a.pickle", _pickles, pickles.read),
    "nasbench201": ("b.pickle", _nasbench201, nasbench201.read),
    "tfrecord": ("a.tfrecord", _tfrecord, nasbench101.read, _read_framed),
    "tar": ("a.tar", _tars, archives.read_cifar10),
    "zip": ("a.pth", lambda folder: [_zip("x/data.pkl", pickle.dumps({"a": [1.5]}, 2))], pickles.read),
    "npz": ("a.npz", _npzs, npz.read, columns.read, arrays.load_file, nasbench101.read_sample),
    "table": ("a.table", _table, lambda path: table.load(path, verify=False), table.load),
    "picture": ("a.png", _pictures, lambda path: pictures.decode(path.read_bytes()).convert("RGB")),
    "class_folder": ("photos/cat/0.png", _photos, _read_photos),
    "tensors": ("a.safetensors", _tensors, tensor_file.read),
    "json": ("a.json", _jsons, json_values.read, nasbench_macro.read, lambda path: published.get(str(path))),
    "csv": ("a.csv", _csvs, columns.read),
    "measurements": (*("m.txt", lambda folder: [b"arch,fitness,cost\n0 1 2 0 1 2 0 1,0.5,3\n", _LINE * 2]), _measured),
    "journal": ("journal.jsonl", lambda folder: [_journal(folder)], journal.read),
    "history": ("history.npz", lambda folder: [_history(folder)], run_dir.read_history),
}
