"""Folders of images, and archives of them: order, labels, squares, caches, and refusals in one line."""

import numpy as np
import pytest
from conftest import trained
from PIL import Image

from lib.data import image_folder, load, load_splits
from lib.errors import ConfigError
from lib.schema import DatasetSection

RNG = np.random.default_rng(0)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    folder = tmp_path / "cache"
    monkeypatch.setenv("GRADIENT_DYNAMICS_CACHE", str(folder))
    return folder


def save(path, image: np.ndarray, **how):
    """Writes an image [h, w, 3] or grey [h, w]; returns it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path, **how)
    return image


def random(*shape: int) -> np.ndarray:
    return RNG.integers(0, 256, shape, np.uint8)


def of_two_classes(root) -> dict[str, np.ndarray]:
    """Writes two dogs and a cat; returns {name: image}."""
    return {name: save(root / name, random(5, 7, 3)) for name in ("dog/2.png", "dog/10.png", "cat/a.png")}


def test_folders_are_classes_in_the_order_of_their_names(tmp_path, cache):
    written = of_two_classes(tmp_path / "pets")
    data = load(f"{tmp_path / 'pets'}/", "train")
    assert data.image.shape == (3, 5, 7, 3) and data.image.dtype == np.uint8
    assert isinstance(data.image, np.memmap)
    assert data.num_classes == 2
    np.testing.assert_array_equal(data.label, [0, 1, 1])
    for image, name in zip(data.image, ("cat/a.png", "dog/10.png", "dog/2.png"), strict=True):
        np.testing.assert_array_equal(image, written[name])
    part = load(str(tmp_path / "pets"), "train[1:2]")
    np.testing.assert_array_equal(part.image[0], written["dog/10.png"])
    np.testing.assert_array_equal(part.label, [1])


def test_images_without_folders_have_no_labels_and_grey_ones_one_channel(tmp_path, cache):
    written = [save(tmp_path / "grey" / f"{i}.png", random(4, 4)) for i in range(3)]
    data = load(f"{tmp_path / 'grey'}", "train")
    np.testing.assert_array_equal(data.image, np.stack(written)[..., None])
    assert data.num_classes == 1 and not data.label.any()


def test_splits_are_folders_with_one_numbering_of_classes(tmp_path, cache):
    root = tmp_path / "set"
    for i, name in enumerate(("train/a/1.png", "train/b/1.png", "train/b/2.png", "test/b/1.png")):
        save(root / name, np.full((2, 2, 3), i, np.uint8))
    train, held_out = load_splits(
        DatasetSection(
            name=f"{root}/",
            kwargs={},
            data_dir="",
            train_split="train",
            eval_split="test",
            validation_size=0,
            validation_seed=0,
            device_limit_gb=1.0,
        )
    )
    np.testing.assert_array_equal(train.label, [0, 1, 1])
    np.testing.assert_array_equal(held_out.label, [1])
    assert (held_out.image == 3).all()


def test_a_class_that_is_new_changes_the_labels_of_all_splits(tmp_path, cache):
    root = tmp_path / "set"
    for name in ("train/b/1.png", "train/c/1.png", "test/c/1.png"):
        save(root / name, random(2, 2, 3))
    assert load(f"{root}/", "test").label.tolist() == [1]
    save(root / "train" / "a" / "1.png", random(2, 2, 3))
    data = load(f"{root}/", "test")
    assert (data.label.tolist(), data.num_classes) == ([2], 3)


def test_a_class_may_be_called_like_a_split_and_what_is_hidden_is_none(tmp_path, cache):
    root = tmp_path / "set"
    for name in ("train/1.png", "bus/1.png", ".ipynb_checkpoints/1.png", "bus/.2.png"):
        save(root / name, random(2, 2, 3))
    (root / "car").symlink_to(root / "bus")
    data = load(f"{root}/", "train")
    assert (data.label.tolist(), data.num_classes) == ([0, 1, 2], 3)
    save(tmp_path / "only" / "test" / "x" / "1.png", random(2, 2, 3))
    assert load(f"{tmp_path / 'only'}/", "test").num_classes == 1


def test_squares_are_cut_as_of_tfds_and_cameras_turn_images(tmp_path, cache):
    image = random(20, 13, 3)
    save(tmp_path / "x" / "1.png", image)
    save(tmp_path / "x" / "2.jpg", random(9, 30, 3), quality=95)
    data = load(f"{tmp_path / 'x'}", "train", "", {"size": 8, "resize": 11})
    assert data.image.shape == (2, 8, 8, 3)
    resized = np.asarray(Image.fromarray(image).resize((11, 16), Image.Resampling.BILINEAR))
    np.testing.assert_array_equal(data.image[0], resized[4:12, 2:10])

    turned = Image.Exif()
    turned[0x0112] = 6  # the camera stood on its side
    upright = save(tmp_path / "y" / "1.png", random(4, 6, 3), exif=turned)
    data = load(f"{tmp_path / 'y'}", "train")
    np.testing.assert_array_equal(data.image[0], np.rot90(upright, -1))


def test_transparent_pixels_are_black(tmp_path, cache):
    image = random(3, 3, 4)
    image[..., 3] = [[0, 255, 0]] * 3
    save(tmp_path / "x" / "1.png", image)
    found = load(f"{tmp_path / 'x'}", "train").image[0]
    assert not found[:, [0, 2]].any()
    np.testing.assert_array_equal(found[:, 1], image[:, 1, :3])


def test_images_are_decoded_once_and_again_when_one_changes(tmp_path, cache, monkeypatch):
    written = of_two_classes(tmp_path / "pets")
    name = f"{tmp_path / 'pets'}/"
    load(name, "train")
    decoded = []
    original = image_folder._decoded
    monkeypatch.setattr(image_folder, "_decoded", lambda *a: decoded.append(a[0].name) or original(*a))
    np.testing.assert_array_equal(load(name, "train[:1]").image[0], written["cat/a.png"])
    assert not decoded
    changed = save(tmp_path / "pets" / "cat" / "a.png", 255 - written["cat/a.png"])
    np.testing.assert_array_equal(load(name, "train").image[0], changed)
    assert sorted(decoded) == ["10.png", "2.png", "a.png"]


@pytest.mark.parametrize("name", ["classifier/digits", "eigengame/digits"])
def test_experiments_train_on_a_folder(make, tmp_path, cache, name):
    for i in range(16):
        save(tmp_path / "set" / "ab"[i % 2] / f"{i}.png", random(8, 8))
    split = ["dataset.train_split=train", "dataset.eval_split=train[:8]"]
    few = ["eigengame.k=4"] if name.startswith("eigen") else []
    trainer = make(name, f"dataset.name={tmp_path / 'set'}/", *split, *few)
    assert trained(trainer) is not None


def test_images_without_classes_are_for_gans_alone(make, tmp_path, cache):
    for i in range(16):
        save(tmp_path / "set" / f"{i}.png", random(8, 8))
    data = f"dataset.name={tmp_path / 'set'}/", "dataset.eval_split=train[:8]"
    assert make("gan/digits", *data).programs.data.train.size == 16
    with pytest.raises(ConfigError, match="config.dataset.name: '.*' has no classes to tell apart"):
        make("classifier/digits", *data)


def test_archives_hold_images_with_their_labels(tmp_path, cache):
    images, labels = random(6, 5, 4, 3), np.array([0, 2, 1, 1, 0, 2])
    np.savez(tmp_path / "x.npz", images=images, labels=labels, other=np.zeros(3))
    data = load(str(tmp_path / "x.npz"), "train[2:]")
    np.testing.assert_array_equal(data.image, images[2:])
    np.testing.assert_array_equal(data.label, labels[2:])
    assert data.num_classes == 3
    np.save(tmp_path / "grey.npy", images[..., 0])
    data = load(str(tmp_path / "grey.npy"), "train")
    np.testing.assert_array_equal(data.image, images[..., :1])
    assert data.num_classes == 1


@pytest.mark.parametrize(
    ("labels", "text"),
    [
        (np.arange(5), r"'label' has shape \(5,\)"),
        (np.linspace(0, 1, 6), "type float64; use one integer"),
        (np.arange(6) - 1, "use one integer from 0 on for each of the 6 images"),
    ],
)
def test_labels_that_do_not_fit_are_refused(tmp_path, cache, labels, text):
    np.savez(tmp_path / "x.npz", image=random(6, 2, 2, 3), label=labels)
    with pytest.raises(ConfigError, match=f"^config.dataset.name: its .*{text}"):
        load(str(tmp_path / "x.npz"), "train")


def damaged(root):
    save(root / "1.png", random(4, 4, 3))
    (root / "2.png").write_bytes((root / "1.png").read_bytes()[:60])


def deep(root):
    root.mkdir()
    Image.fromarray(np.zeros((4, 4), np.uint16)).save(root / "1.png")


@pytest.mark.parametrize(
    ("write", "split", "kwargs", "text"),
    [
        (None, "train", {}, "config.dataset.name: no folder '.*'; paths begin at"),
        (lambda r: r.mkdir(), "train", {}, "config.dataset.name: no .png, .jpg, .jpeg files in"),
        (of_two_classes, "test", {}, "config.dataset: '.*' has no split 'test'; known: train"),
        (of_two_classes, "train[:9]", {}, "config.dataset: .* out of range; train has 3 examples"),
        (of_two_classes, "train", {"sise": 8}, "config.dataset.kwargs.sise: .*did you mean 'size'"),
        (damaged, "train", {}, "config.dataset.name: cannot read '.*2.png' "),
        (deep, "train", {}, "config.dataset.name: '.*1.png' has more than 8 bits a channel"),
        (
            lambda r: (save(r / "1.png", random(4, 4, 3)), save(r / "2.png", random(5, 4, 3))),
            "train",
            {},
            "config.dataset.kwargs.size: the images of '.*' have several sizes .4x4, 4x5.; set this",
        ),
        (
            lambda r: (save(r / "1.png", random(4, 4, 3)), save(r / "a" / "2.png", random(4, 4, 3))),
            "train",
            {},
            "config.dataset.name: '.*1.png' is in no folder of a class, and '.*2.png' is in one",
        ),
        (
            lambda r: (save(r / "train/a/1.png", random(4, 4)), save(r / "test/b/1.png", random(4, 4))),
            "test",
            {},
            "config.dataset.name: '.*test/b' is a class that '.*train' has not",
        ),
    ],
)
def test_what_is_wrong_is_said_in_one_line(tmp_path, cache, write, split, kwargs, text):
    root = tmp_path / "set"
    if write:
        write(root)
    with pytest.raises(ConfigError, match=f"^{text}") as error:
        load(f"{root}/", split, "", kwargs)
    assert "\n" not in str(error.value)
