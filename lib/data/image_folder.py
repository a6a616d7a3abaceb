"""Images of one's own: a folder of PNG or JPEG files, one folder for each class, or without classes.

    FOLDER/cat/1.png, FOLDER/dog/1.jpg           two classes, the split train
    FOLDER/1.png, FOLDER/2.png                   no labels, the split train
    FOLDER/train/cat/1.png, FOLDER/test/cat/..   splits of either kind

They are decoded once, into the cache. Names of classes are in alphabetical order.
"""

import concurrent.futures
import contextlib
import hashlib
import os
import struct
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, ImageOps

from lib.config import validate
from lib.data import image_arrays, splits
from lib.data.dataset import Dataset
from lib.data.square_images import Arguments, place
from lib.errors import ConfigError, one_line
from lib.runtime.cache import cache_dir, kept

_NAME, _KWARGS = "config.dataset.name", "config.dataset.kwargs"
_ENDINGS = (".png", ".jpg", ".jpeg")
_SPLITS = ("train", "test", "validation", "val")
_GREY = ("1", "L", "LA")  # Pillow's modes
_DEEP = ("I", "F", "I;16", "I;16B", "I;16L")


class Files(NamedTuple):
    """The images of a split.

    Attributes:
      paths: in order.
      labels: of each, 0 where there are no classes.
      classes: their names; none where there are none.
    """

    paths: Sequence[Path]
    labels: Sequence[int]
    classes: Sequence[str]


def is_folder(name: str) -> bool:
    """Tells whether a set's name is a folder's: it ends in `/`, or begins with `/`, `./`, `../` or `~`."""
    return name.endswith("/") or name.startswith(("/", "./", "../", "~"))


def load(name: str, split: str, kwargs: Mapping[str, Any] | None = None) -> Dataset:
    """Maps the uint8 images [n, h, w, c] of a folder into memory; decodes them first where that is to do.

    Args:
      name: of the folder.
      split: a folder of it called train, test, validation or val; train where it has none of these. Slices
        of it, like `train[:1000]`, are in the order of the files' names.
      kwargs: the fields of `square_images.Arguments`.

    Raises:
      ConfigError: no such folder or split, no images, images of several sizes without `size`, a file that
        cannot be read, or too little space.
    """
    root = Path(name).expanduser()
    arguments = validate(Arguments, kwargs or {}, _KWARGS)
    if not root.is_dir():
        raise ConfigError(f"no folder '{root}'; paths begin at '{Path.cwd()}'", _NAME)
    folders = _splits(root)
    whole = split.partition("[")[0]
    if whole not in folders:
        raise splits.unknown(f"'{name}'", split, folders)
    files = find(folders[whole], folders.get("train", folders[whole]))
    _, rows = splits.parse(split, {whole: len(files.paths)}, name)

    def make(meta: Path) -> None:
        shape = _shape(files.paths, arguments, name)
        facts = image_arrays.Meta(
            name=name, version="", split=whole, num_classes=max(1, len(files.classes))
        )
        image_arrays.prepare(meta, facts, (len(files.paths), *shape), _batches(files, arguments, shape))

    folder = cache_dir() / "datasets" / f"{root.resolve().name}-{whole}-{_digest(root, files, arguments)}"
    dataset = kept(folder / "meta.json", image_arrays.read, make)
    return dataset._replace(image=dataset.image[rows], label=dataset.label[rows])


def _splits(root: Path) -> dict[str, Path]:
    """Returns {split: its folder}: the root's folders if all are called like splits, else the root."""
    inside = {path.name: path for path in _folders(root)}
    return inside if inside and set(inside) <= set(_SPLITS) else {"train": root}


def _folders(folder: Path) -> list[Path]:
    """Lists the folders in a folder, without hidden ones."""
    return sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))


def find(folder: Path, of_classes: Path) -> Files:
    """Lists the images of a split's folder.

    Args:
      folder: of the split.
      of_classes: the split whose folders name the classes.

    Raises:
      ConfigError: there are none, or some are in folders of classes and some are not.
    """
    paths = sorted(_images(folder))
    if not paths:
        raise ConfigError(f"no {', '.join(_ENDINGS)} files in '{folder}'", _NAME)
    loose = [p for p in paths if p.parent == folder]
    if loose and len(loose) < len(paths):
        other = next(p for p in paths if p.parent != folder)
        raise ConfigError(
            f"'{loose[0]}' is in no folder of a class, and '{other}' is in one; move one of them", _NAME
        )
    if loose:
        return Files(paths, [0] * len(paths), [])
    classes = [p.name for p in _folders(of_classes)]
    names = [p.relative_to(folder).parts[0] for p in paths]
    if unknown := sorted(set(names) - set(classes)):
        raise ConfigError(f"'{folder / unknown[0]}' is a class that '{of_classes}' has not", _NAME)
    return Files(paths, [classes.index(name) for name in names], classes)


def _images(folder: Path) -> Iterator[Path]:
    """Yields the images below a folder, also behind links, without what is hidden."""
    for where, folders, names in os.walk(folder, followlinks=True):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            if not name.startswith(".") and name.lower().endswith(_ENDINGS):
                yield Path(where) / name


def _digest(root: Path, files: Files, arguments: Arguments) -> str:
    """Returns a digest of names, classes, sizes and times: where one changes, all are decoded again."""
    what = str(root.resolve()), arguments.size, arguments.resize, list(files.classes)
    digest = hashlib.sha256(repr(what).encode())
    for path, label in zip(files.paths, files.labels, strict=True):
        stat = path.stat()
        name = str(path.relative_to(root))
        digest.update(repr((name, label, stat.st_size, stat.st_mtime_ns)).encode())
    return digest.hexdigest()[:16]


def _shape(paths: Sequence[Path], arguments: Arguments, name: str) -> tuple[int, int, int]:
    """Returns the (h, w, c) of all images: grey where all are, else in colour.

    Raises:
      ConfigError: a file cannot be read, or they have several sizes and none is chosen.
    """
    found = set()
    with _threads() as pool:
        for path, (side, mode) in zip(paths, pool.map(_header, paths), strict=True):
            if mode in _DEEP:
                raise ConfigError(f"'{path}' has more than 8 bits a channel; save it with 8", _NAME)
            found.add((side, mode in _GREY))
    channels = 1 if all(grey for _, grey in found) else 3
    sides = sorted({side for side, _ in found})
    if arguments.size:
        return arguments.size, arguments.size, channels
    if len(sides) > 1:
        (w, h), (v, g) = sides[0], sides[-1]
        raise ConfigError(
            f"the images of '{name}' have several sizes ({w}x{h}, {v}x{g}); set this to the side of the "
            "square that is kept of each, such as 64",
            f"{_KWARGS}.size",
        )
    width, height = sides[0]
    return height, width, channels


def _header(path: Path) -> tuple[tuple[int, int], str]:
    """Reads ((width, height), mode) of an image, turned as its camera says."""
    with _reading(path), Image.open(path) as image:
        turned = image.getexif().get(0x0112, 1) >= 5  # orientations that swap the sides
        return image.size[::-1] if turned else image.size, image.mode


def _batches(
    files: Files, arguments: Arguments, shape: tuple[int, int, int]
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yields (images, labels), decoded by several threads, in order."""
    size = image_arrays.batch_size(shape)
    with _threads() as pool:
        for first in range(0, len(files.paths), size):
            part = files.paths[first : first + size]
            images = pool.map(lambda path: _decoded(path, arguments, shape), part)
            yield np.stack(list(images)), np.array(files.labels[first : first + size])


def _decoded(path: Path, arguments: Arguments, shape: tuple[int, int, int]) -> np.ndarray:
    """Returns an image as uint8 [h, w, c]; what is transparent lies on black."""
    with _reading(path), Image.open(path) as image:
        image = ImageOps.exif_transpose(image)
        if "A" in image.mode or "transparency" in image.info:
            image = image.convert("RGBA")
            image = Image.alpha_composite(Image.new("RGBA", image.size, (0, 0, 0, 255)), image)
        image = image.convert("L" if shape[-1] == 1 else "RGB")
        if arguments.size:
            image = _square(image, arguments)
        return np.asarray(image).reshape(shape)


def _square(image: Image.Image, arguments: Arguments) -> Image.Image:
    """Returns the square of an image: resized to a shorter side, then cut out of the centre."""
    (width, height), size = image.size, arguments.size
    shorter = min(width, height)
    width, height = (side * arguments.shorter_side // shorter for side in (width, height))
    left, top = place(width, size), place(height, size)
    resized = image.resize((width, height), Image.Resampling.BILINEAR)
    return resized.crop((left, top, left + size, top + size))


def _threads() -> concurrent.futures.ThreadPoolExecutor:
    return concurrent.futures.ThreadPoolExecutor(len(os.sched_getaffinity(0)))  # Pillow lets go of the GIL


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Says of what Pillow raises in a block that the file cannot be read.

    Raises:
      ConfigError: it cannot.
    """
    try:
        yield
    except (OSError, ValueError, SyntaxError, struct.error, Image.DecompressionBombError) as error:
        text = f"cannot read '{path}' ({one_line(error)[:200]}); mend it, or take it out"
        raise ConfigError(text, _NAME) from error
