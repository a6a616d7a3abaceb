"""TFDS sets whose images have several sizes: squares of them against Pillow, their caches, refusals."""

import collections

import numpy as np
import pytest
from conftest import trained
from PIL import Image
from tfds_sets import CLASSES, write

from lib.data import image_arrays, load, load_split, load_splits, square_images, tfds, tfds_arrays
from lib.errors import ConfigError
from lib.schema import DatasetSection

# Heights and widths: portrait and landscape, larger and smaller than the square, and one side like it.
SIDES = [(20, 13), (13, 20), (64, 41), (5, 6), (7, 3), (8, 11), (19, 8), (8, 8), (9, 30), (30, 9)]
RNG = np.random.default_rng(0)
TRAIN, OWN_VALIDATION = (
    ([RNG.integers(0, 256, (*side, 3), np.uint8) for side in sides], RNG.integers(0, CLASSES, len(sides)))
    for sides in (SIDES, SIDES[:4])
)
GREY = RNG.integers(0, 256, (3, 6, 9, 1), np.uint8)


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    """Writes a TFDS folder with `ragged`, of several sizes, and `grey`, of one."""
    root = tmp_path_factory.mktemp("tensorflow_datasets")
    splits = {"train": TRAIN, "validation": OWN_VALIDATION}
    write(root, "ragged", splits, shape=(None, None, 3))
    write(root, "grey", {"train": (GREY, np.arange(3))}, shape=(6, 9, 1))
    return str(root)


def by_pillow(image: np.ndarray, size: int, resize: int) -> np.ndarray:
    """Returns the square of an image [h, w, c], resized by Pillow and cut out of the centre."""
    height, width, channels = image.shape
    shorter = min(height, width)
    height, width = height * resize // shorter, width * resize // shorter
    mode = image[:, :, 0] if channels == 1 else image
    resized = np.asarray(Image.fromarray(mode).resize((width, height), Image.Resampling.BILINEAR))
    top, left = (int(round((side - size) / 2.0)) for side in (height, width))  # as torchvision's CenterCrop
    return resized.reshape(height, width, channels)[top : top + size, left : left + size]


def assert_squares(dataset, images, size: int, resize: int) -> None:
    """Checks that a set's images are those of Pillow, up to one level of 256."""
    expected = np.stack([by_pillow(image, size, resize) for image in images]).astype(int)
    assert dataset.image.shape == (len(images), size, size, images[0].shape[2])
    assert dataset.image.dtype == np.uint8
    assert isinstance(dataset.image, np.memmap)
    assert expected.std(axis=(1, 2)).min() > 3
    assert np.abs(dataset.image - expected).max() <= 1


@pytest.mark.parametrize("size, resize", [(8, None), (8, 11), (16, 16), (3, 5)])
def test_squares_are_those_of_pillow(size, resize, data_dir):
    kwargs = {"size": size} | ({"resize": resize} if resize else {})
    dataset = load("ragged", "train", data_dir, kwargs)
    assert_squares(dataset, TRAIN[0], size, resize or size)
    np.testing.assert_array_equal(dataset.label, TRAIN[1])
    assert dataset.num_classes == CLASSES


def test_images_of_one_size_stay_as_they_are_unless_a_size_is_chosen(data_dir):
    np.testing.assert_array_equal(load("grey", "train", data_dir).image, GREY)
    assert_squares(load("grey", "train", data_dir, {"size": 4, "resize": 5}), list(GREY), 4, 5)
    assert_squares(load("grey", "train", data_dir, {"size": 6}), list(GREY), 6, 6)


def test_an_image_with_a_side_like_the_square_is_cropped_alone(data_dir):
    square = load("ragged", "train", data_dir, {"size": 8}).image[SIDES.index((8, 11))]
    np.testing.assert_array_equal(square, TRAIN[0][SIDES.index((8, 11))][:, 2:10])  # 1.5, half to even


def test_each_size_has_a_cache_that_needs_no_tensorflow(data_dir, cache, monkeypatch):
    def fail():
        raise AssertionError("TensorFlow is used")

    chosen = [{"size": 8}, {"size": 9}, {"size": 8, "resize": 9}]
    before = [load("ragged", "train", data_dir, kwargs) for kwargs in chosen]
    assert len(list(cache.rglob("image.npy"))) == 3
    assert (before[0].image != before[2].image).any()
    for module in (tfds, tfds_arrays):
        monkeypatch.setattr(module, "tensorflow_datasets", fail)
    for module in (tfds_arrays, square_images):
        monkeypatch.setattr(module, "tensorflow", fail)
    for kwargs, dataset in zip([*chosen, {"size": 8, "resize": 8}], [*before, before[0]], strict=True):
        again = load("ragged", "train", data_dir, kwargs)
        np.testing.assert_array_equal(again.image, dataset.image)
        np.testing.assert_array_equal(again.label, TRAIN[1])
    with pytest.raises(AssertionError, match="TensorFlow is used"):
        load("ragged", "train", data_dir, {"size": 7})


@pytest.mark.parametrize(
    "name, kwargs, message",
    [
        (
            "ragged",
            {},
            "kwargs.size: the images of 'ragged' have several sizes; set this to the side of the square "
            "that is kept of each, such as 224",
        ),
        ("ragged", {"size": 0}, "kwargs.size: should be greater than 0, got 0"),
        ("ragged", {"size": 8.0}, "kwargs.size: should be a valid integer, got 8.0"),
        ("ragged", {"size": 10**5}, "kwargs.size: should be less than or equal to 8192, got 100000"),
        ("ragged", {"size": 8, "resize": 7}, "kwargs.resize: 7 is less than size; use 8 or more"),
        ("grey", {"resize": 7}, "kwargs.resize: needs size; set that too, or leave this out"),
        ("grey", {"siez": 7}, "kwargs.siez: unknown field; did you mean 'size'?"),
        ("grey", {"d": 7}, "kwargs.d: unknown field; known: resize, size"),
        (
            "linear_spectrun",
            {"d": 7},
            "name: no set 'linear_spectrun'; did you mean 'linear_spectrum'? (known: digits, ring8, "
            "grid16, linear_spectrum, exponential_spectrum, snli, and TFDS's image sets)",
        ),
        (
            "ring8",
            {"size": 7},
            "kwargs.size: 'ring8' takes no arguments; leave it out (only linear_spectrum, "
            "exponential_spectrum, mixed_sources, folders of images and TFDS's sets take some)",
        ),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(name, kwargs, message, data_dir, cache):
    with pytest.raises(ConfigError) as error:
        load(name, "train", data_dir, kwargs)
    assert str(error.value) == f"config.dataset.{message}"
    assert not [path for path in cache.rglob("*") if path.is_file()]


def test_a_set_that_does_not_fit_the_disk_is_refused_before_anything_is_written(
    data_dir, cache, monkeypatch
):
    needed = len(SIDES) * (8 * 8 * 3 + 4)
    usage = collections.namedtuple("usage", "free")

    def load_with(free: int):
        monkeypatch.setattr(image_arrays.shutil, "disk_usage", lambda folder: usage(free))
        return load("ragged", "train", data_dir, {"size": 8})

    with pytest.raises(ConfigError) as error:
        load_with(needed - 1)
    (folder,) = (cache / "datasets").iterdir()
    assert str(error.value) == (
        f"config.dataset: ragged train takes 2.0 kB, and '{folder}' has 2.0 kB left; make room, or name "
        "another folder: GRADIENT_DYNAMICS_CACHE=DIR"
    )
    assert list(folder.iterdir()) == []
    assert load_with(needed).size == len(SIDES)


def test_preparing_says_its_bytes_and_shows_how_far_it_is(data_dir, capsys, monkeypatch):
    load("ragged", "train", data_dir, {"size": 200})
    out = capsys.readouterr().out
    assert "preparing ragged train: 10 images, 1.2 MB, once, in " in out
    assert "10/10" not in out
    monkeypatch.setattr(image_arrays, "_FEW", 5)
    monkeypatch.setattr(image_arrays, "BATCH", 4)
    assert_squares(load("ragged", "train", data_dir, {"size": 201}), TRAIN[0], 201, 201)
    assert "ragged train image 10/10 " in capsys.readouterr().out


def section(data_dir: str, **fields) -> DatasetSection:
    """Returns a config's section of data with 3 images of `ragged` held out."""
    known = {"name": "ragged", "kwargs": {"size": 8}, "data_dir": data_dir, "train_split": "train"}
    known |= {"eval_split": "validation[:]", "validation_size": 3, "validation_seed": 0}
    return DatasetSection(**(known | fields), device_limit_gb=4.0)


def test_a_set_s_own_validation_split_is_to_be_had_beside_the_held_out_images(data_dir):
    train, own = load_splits(section(data_dir))
    assert train.size == len(SIDES) - 3
    assert_squares(own, OWN_VALIDATION[0], 8, 8)
    np.testing.assert_array_equal(own.label, OWN_VALIDATION[1])
    held_out = load_split(section(data_dir), "validation")
    images = [np.asarray(part.image) for part in (train, held_out)]
    whole = load("ragged", "train", data_dir, {"size": 8}).image
    assert held_out.size == 3
    assert {x.tobytes() for x in np.concatenate(images)} == {x.tobytes() for x in whole}
    assert load_splits(section(data_dir, eval_split="validation")).held_out.size == 3


def test_a_classifier_is_trained_on_squares(make, data_dir):
    data = ["name=ragged", "kwargs.size=8", f"data_dir={data_dir}", "validation_size=2"]
    overrides = [f"dataset.{field}" for field in (*data, "eval_split=validation[:]")]
    trainer = make("classifier/digits", *overrides, "classifier.model.name=logistic", "batch_size=4")
    assert trainer.programs.data.held_out.size == len(OWN_VALIDATION[0])
    kernel = trained(trainer).params["model"]["Dense_0"]["kernel"]
    assert kernel.shape == (8 * 8 * 3, CLASSES)
