"""Images in folders: one folder for each class, as ImageNet and most collections of photographs have them."""

import io
import os
import pathlib
import warnings

import numpy as np
import PIL.Image
import PIL.ImageOps

from common.datasets import archives, records
from common.file_formats import files as file_formats
from common.file_formats import pictures, text_file
from common.records import progress

MAX_BYTES = 2**33  # of decoded images in memory
_SUFFIXES = (".jpeg", ".jpg", ".png")
_SYSTEM_FOLDERS = ("__MACOSX", "@eaDir", "lost+found", "$RECYCLE.BIN", "System Volume Information")
_TEST = ("test", "val", "validation")
_GREY = ("1", "L", "LA")
_TRANSPARENT = ("LA", "PA", "RGBA")


def load(path: str | os.PathLike, *, image_size: int | None = None) -> records.Dataset:
    """Returns the images of a folder, in memory: grey if all are, else with three channels.

    The folder has a folder for each class, whose labels follow their names in alphabetical order, or the folders train
    and test (or val) with these. Without test images some are held out (`records.make`).

    Args:
      image_size: resizes the shorter side of every image to this and crops its centre; by default all images must be
        of one size.

    Raises:
      ValueError: the layout is another one, an image cannot be read, or images have different sizes.
    """
    path = pathlib.Path(path)
    train = path / "train"
    test = next((path / name for name in _TEST if (path / name).is_dir()), None) if train.is_dir() else None
    folders = [train if train.is_dir() else path, *([test] if test else [])]
    left_out: list[pathlib.Path] = []
    classes = _classes_in(folders[0], left_out)
    if len(classes) < 2:
        layout = f"{path}/CLASS/*.png, or {path}/train/CLASS/*.png and {path}/test/CLASS/*.png"
        raise ValueError(f"{folders[0]} has {len(classes)} folders of classes, but needs two or more; want {layout}")
    parts, notes = [], []
    for folder in folders:
        files, more = _labelled(folder, classes, left_out, is_train=folder == folders[0])
        notes += more
        parts.append((files, _check_images([file for file, _ in files], folder)))
    _check_sizes(path, parts, image_size)
    channels = 1 if all(mode in _GREY for _, found in parts for _, mode in found) else 3
    decoded = [
        _decoded(files, channels, image_size, f"reading {folder.name}")
        for folder, (files, _) in zip(folders, parts, strict=True)
    ]
    notes += _notes_on(left_out)
    if clear := next((file for _, found in parts for (_, mode), file in found.items() if mode in _TRANSPARENT), None):
        notes.append(f"transparency is left out, such as that of {clear}")
    if test and (other := [name for name in _TEST if (path / name).is_dir() and path / name != test]):
        notes.append(f"{path / other[0]} is not used; {test} holds the test images")
    tested = decoded[1] if test else None
    found = {"num_classes": len(classes), "notes": notes, "class_names": classes}
    return records.make(path.name, decoded[0], tested, source=str(path), **found)


def read(path: pathlib.Path, image_size: int | None) -> archives.Published:
    """Returns a folder of images as a published dataset; see `load`."""
    return archives.of_dataset(load(path, image_size=image_size), path)


def read_imagenet(path: pathlib.Path) -> archives.Published:
    """Reads ImageNet's usual layout: folders train and val (or validation), in each a folder of images per class.

    Raises:
      ValueError: if a folder is missing, or its classes or files are not in this layout.
    """
    if path.is_file():
        raise ValueError(f"{path} is {text_file.kind_of(path)}; unpack it and give its folder")
    folders = {"train": path / "train", "validation": path / "val"}
    if not folders["validation"].is_dir():
        folders["validation"] = path / "validation"
    for folder in folders.values():
        if not folder.is_dir():
            raise ValueError(f"no folder {folder}; want {path}/train/CLASS/*.JPEG and {path}/val/CLASS/*.JPEG")
    left_out: list[pathlib.Path] = []
    classes = _classes_in(folders["train"], left_out)
    if not classes:
        raise ValueError(f"no class folders in {folders['train']}; want {path}/train/CLASS/*.JPEG")
    parts, notes = {}, []
    for split, folder in folders.items():
        files, more = _labelled(folder, classes, left_out, is_train=split == "train")
        notes += more
        _check_images([file for file, _ in files], folder)
        parts[split] = archives.Part(len(files), _examples(files))
    return archives.Published((None, None, 3), "jpeg", {"label": classes}, parts, (*notes, *_notes_on(left_out)))


def _labelled(folder, classes, left_out, *, is_train):
    """Returns ([(file, label)], notes); adds to `left_out` what is no image."""
    if unknown := [name for name in _classes_in(folder, left_out) if name not in classes]:
        raise ValueError(f"{folder / unknown[0]} is of a class that {folder.parent / 'train'} does not have")
    files = [(file, label) for label, name in enumerate(classes) for file in _images_in(folder / name, left_out)]
    if not files:
        raise ValueError(f"no images in {folder}/CLASS; want files ending in {', '.join(_SUFFIXES)}")
    present = {label for _, label in files}
    if empty := [name for label, name in enumerate(classes) if label not in present]:
        problem = f"{len(empty)} of {len(classes)} classes have no images in {folder}: {', '.join(empty[:5])}"
        if is_train:
            raise ValueError(f"{problem}; remove their folders, or add images that end in {', '.join(_SUFFIXES)}")
        return files, [problem]
    return files, []


def _classes_in(folder, left_out):
    """Returns the names of the class folders, sorted; adds to `left_out` what is none."""
    names = []
    for entry in folder.iterdir():
        if entry.is_dir() and not entry.name.startswith(".") and entry.name not in _SYSTEM_FOLDERS:
            names.append(entry.name)
        else:
            left_out.append(entry)
    return sorted(names)


def _images_in(folder, left_out):
    """Returns the image files of a class, sorted; adds to `left_out` what is none."""
    files = []
    for entry in os.scandir(folder) if folder.is_dir() else ():
        is_image = entry.name.lower().endswith(_SUFFIXES) and not entry.name.startswith(".")
        (files if is_image else left_out).append(pathlib.Path(entry.path))
    return sorted(files)


def _notes_on(left_out):
    """Returns one line for the hidden files and one for others that are no images."""
    hidden = sorted({file for file in left_out if file.name.startswith(".")})
    others = sorted(set(left_out) - set(hidden))
    return [
        f"{len(files):,} {which} that are no images are left out, such as {files[0]}"
        for which, files in (("hidden files and folders", hidden), ("files", others))
        if files
    ]


def _check_images(files, folder):
    """Returns the first file of each (size, mode); a `ValueError` names what cannot be read as an image."""
    broken, found = [], {}
    with progress.Progress(f"checking {folder.name}", total=len(files), unit="images") as shown:
        for done, file in enumerate(files, start=1):
            if (header := _header(file)) is None:
                broken.append(file)
            else:
                found.setdefault(header, file)
            shown.update(done, f"{len(broken)} cannot be read")
    if broken:
        found = text_file.kind_of(broken[0])
        problem = f"{broken[0]} cannot be read as an image: it is {found}"
        if found.endswith("image"):
            problem += f" that is damaged or has more than {pictures.MAX_PIXELS:,} pixels"
        if others := ", ".join(map(str, broken[1:4])):
            problem += f"; nor can {len(broken) - 1} others of {len(files):,} in {folder}, such as {others}"
        raise ValueError(f"{problem}; remove or restore it")
    return found


def _header(file):
    """Returns (size, mode) of a file that begins as a picture that can be read does, else None."""
    if not file.is_file():  # a pipe would wait for ever
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", PIL.Image.DecompressionBombWarning)
            with PIL.Image.open(file) as image:
                return (image.size, image.mode) if image.width * image.height <= pictures.MAX_PIXELS else None
    except (*file_formats.BROKEN, PIL.Image.DecompressionBombError):
        return None


def _check_sizes(path, parts, image_size):
    """Raises a `ValueError` if images differ in size, or are too large for memory, and none is given to resize to."""
    if image_size is not None:
        return
    advice = (
        f"`python -m launch.prepare_data --dataset=NAME --source={path} --image_size=32 --data_dir=DATA_DIR` makes "
        "them squares of 32 pixels"
    )
    firsts = {size: file for _, found in parts for (size, _), file in found.items()}
    if len(firsts) > 1:
        some = " and ".join(f"{width} x {height} ({file})" for (width, height), file in list(firsts.items())[:2])
        raise ValueError(f"images of {path} have {len(firsts)} sizes, such as {some}; {advice}")
    width, height = next(iter(firsts))
    if 3 * width * height * sum(len(files) for files, _ in parts) > MAX_BYTES:
        raise ValueError(f"images of {path}, {width} x {height}, are too many to be held in memory; {advice}")


def _decoded(files, channels, image_size, title):
    """Returns (uint8[N, H, W, channels], labels)."""
    images = []
    with progress.Progress(title, total=len(files), unit="images") as shown:
        for done, (file, _) in enumerate(files, start=1):
            image = PIL.ImageOps.exif_transpose(pictures.decode(file_formats.read_bytes(file), str(file)))
            if image.mode.startswith("I"):
                raise ValueError(f"{file} has more than 8 bits a channel; convert it to 8 bits")
            image = image.convert("L" if channels == 1 else "RGB")
            if image_size is not None:
                image = PIL.ImageOps.fit(image, (image_size, image_size), PIL.Image.Resampling.BILINEAR)
            images.append(np.asarray(image))
            shown.update(done, "")
    if turned := [file for (file, _), image in zip(files, images, strict=True) if image.shape != images[0].shape]:
        raise ValueError(f"{turned[0]} and {files[0][0]} differ in size once turned as they say; give an image_size")
    labels = np.array([label for _, label in files])
    return np.stack(images).reshape(len(images), *images[0].shape[:2], channels), labels


def _examples(files):
    for file, label in files:
        contents = file_formats.read_bytes(file)
        pictures.check(contents, str(file))
        yield io.BytesIO(contents), {"label": label}, file.name
