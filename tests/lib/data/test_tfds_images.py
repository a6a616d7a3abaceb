"""Any TFDS set: through a folder that TFDS's own writer makes here, and through real ones."""

import hashlib
import json
import subprocess
import sys

import numpy as np
import pytest
from conftest import TFDS_DIR, needs_images
from tfds_sets import CLASSES, write

from lib.data import load, tfds
from lib.errors import ConfigError
from lib.tensorflow import tensorflow_datasets

TRAIN, TEST = 1030, 7  # more than one of the batches that the set is read in
rng = np.random.default_rng(0)
IMAGE = rng.integers(0, 256, (TRAIN + TEST, 4, 5, 1), dtype=np.uint8)
LABEL = rng.integers(0, CLASSES, TRAIN + TEST)


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    """Writes a TFDS folder with the set `tiny`."""
    root = tmp_path_factory.mktemp("tensorflow_datasets")
    splits = {"train": (IMAGE[:TRAIN], LABEL[:TRAIN]), "test": (IMAGE[TRAIN:], LABEL[TRAIN:])}
    write(root, "tiny", splits)
    return root


@pytest.fixture
def no_tensorflow(monkeypatch):
    """Returns a function that makes every later use of TensorFlow Datasets fail."""

    def fail():
        raise AssertionError("TensorFlow is used")

    return lambda: monkeypatch.setattr(tfds, "tensorflow_datasets", fail)


def error_of(*args) -> str:
    with pytest.raises(ConfigError) as error:
        load(*args)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize(
    "name, split, chosen",
    [
        ("tiny", "train", slice(0, TRAIN)),
        ("tiny", "test", slice(TRAIN, None)),
        ("tiny:1.0.0", "test", slice(TRAIN, None)),
        ("tiny", "test[:]", slice(TRAIN, None)),
        ("tiny", "train[:5]", slice(0, 5)),
        ("tiny", "train[-4:]", slice(TRAIN - 4, TRAIN)),
        ("tiny", "train[50%:]", slice(TRAIN // 2, TRAIN)),
        ("tiny", "train+test", slice(None)),
    ],
)
def test_a_split_is_what_was_written(name, split, chosen, data_dir, no_tensorflow):
    for _ in range(2):
        dataset = load(name, split, str(data_dir))
        np.testing.assert_array_equal(dataset.image, IMAGE[chosen])
        np.testing.assert_array_equal(dataset.label, LABEL[chosen])
        assert dataset.image.dtype == np.uint8
        assert dataset.label.dtype == np.int32
        assert dataset.num_classes == CLASSES
        assert isinstance(dataset.image, np.memmap)
        no_tensorflow()


@pytest.mark.program
def test_a_process_that_reads_digits_and_a_cached_set_imports_neither_tensorflow_nor_scikit_learn(
    data_dir, cache, program_env
):
    dataset = load("tiny", "train", str(data_dir))
    assert "tensorflow" in sys.modules
    program = (
        "import json, sys; from lib.data import load; "
        "load('digits', 'train'); dataset = load('tiny', 'train'); "
        "names = [name for name in sys.modules if name.startswith(('tensorflow', 'sklearn'))]; "
        "print(json.dumps([names, int(dataset.image.sum()), dataset.label.tolist()]))"
    )
    env = program_env | {"GRADIENT_DYNAMICS_CACHE": str(cache), "TFDS_DATA_DIR": str(data_dir)}
    output = subprocess.run(
        [sys.executable, "-c", program], env=env, check=True, capture_output=True, text=True
    ).stdout
    assert json.loads(output) == [[], int(dataset.image.sum()), dataset.label.tolist()]


def test_the_cache_of_a_set_without_arguments_has_the_key_that_it_always_had(data_dir, cache):
    load("tiny", "test", str(data_dir))
    digest = hashlib.sha256(str((data_dir.resolve(), "tiny")).encode())
    for file in sorted(p for p in (data_dir / "tiny").rglob("*") if p.is_file()):
        stat = file.stat()
        digest.update(str((file.relative_to(data_dir), stat.st_size, stat.st_mtime_ns)).encode())
    (folder,) = (cache / "datasets").iterdir()
    assert folder.name == f"tiny-test-{digest.hexdigest()[:16]}"
    assert sorted(json.loads((folder / "meta.json").read_text())) == [
        "name",
        "num_classes",
        "split",
        "version",
    ]


def test_the_folder_may_come_from_the_environment(data_dir, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(data_dir))
    assert load("tiny", "test").size == TEST


def test_a_new_version_of_a_set_is_prepared_anew(tmp_path):
    first = {"train": (IMAGE[:6], LABEL[:6])}
    second = {"train": (IMAGE[6:12], LABEL[6:12])}
    write(tmp_path, "changing", first)
    np.testing.assert_array_equal(load("changing", "train", str(tmp_path)).image, IMAGE[:6])
    write(tmp_path, "changing", second, version="1.1.0")
    np.testing.assert_array_equal(load("changing", "train", str(tmp_path)).image, IMAGE[6:12])
    np.testing.assert_array_equal(load("changing:1.0.0", "train", str(tmp_path)).image, IMAGE[:6])


@pytest.mark.parametrize("content", [b"", b"[1]", b"\xff", b"\x93NUMPY"])
@pytest.mark.parametrize("name", ["image.npy", "label.npy", "meta.json"])
def test_a_damaged_cache_is_prepared_again(name, content, data_dir, cache, capsys):
    load("tiny", "test", str(data_dir))
    (file,) = cache.rglob(name)
    file.write_bytes(content)
    dataset = load("tiny", "test", str(data_dir))
    np.testing.assert_array_equal(dataset.image, IMAGE[TRAIN:])
    np.testing.assert_array_equal(dataset.label, LABEL[TRAIN:])
    assert "it is made again" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["image.npy", "label.npy", "meta.json"])
def test_a_preparation_that_was_cut_off_is_done_again(name, data_dir, cache, monkeypatch):
    replace = tfds.Path.replace

    def stop_before(source, target):
        if target.name == name:
            raise KeyboardInterrupt
        return replace(source, target)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(tfds.Path, "replace", stop_before)
        load("tiny", "test", str(data_dir))
    assert not list(cache.rglob("meta.json"))
    dataset = load("tiny", "test", str(data_dir))
    np.testing.assert_array_equal(dataset.image, IMAGE[TRAIN:])
    np.testing.assert_array_equal(dataset.label, LABEL[TRAIN:])


@pytest.mark.parametrize("split", ["valid", "train[", "train[5:9999]", ""])
def test_an_unknown_split_is_an_error_that_names_the_known_ones(split, data_dir):
    text = error_of("tiny", split, str(data_dir))
    assert text.startswith(f"config.dataset: 'tiny' has no split '{split}'; known: train, test")


@pytest.mark.parametrize(
    "name, hint",
    [("minst", "; did you mean 'mnist'?"), ("digit", "; did you mean 'digits'?"), ("qqqqqq", "")],
)
def test_an_unknown_set_is_an_error_that_names_the_nearest(name, hint, data_dir):
    text = error_of(name, "train", str(data_dir))
    assert text.startswith(f"config.dataset.name: no set '{name}'{hint} (known: digits, ")


def test_a_name_that_tfds_cannot_parse_is_an_error(data_dir):
    assert error_of("a b!", "train", str(data_dir)).startswith("config.dataset.name: no set 'a b!'")


def test_a_set_that_cannot_be_downloaded_is_an_error_that_says_where_to_put_it(tmp_path, monkeypatch):
    def fail(*args, **kwargs):
        raise ConnectionError("no route\nto the host")

    monkeypatch.setattr(tfds, "_check_network", lambda: None)
    monkeypatch.setattr(tensorflow_datasets().core.DatasetBuilder, "download_and_prepare", fail)
    text = error_of("mnist", "train", str(tmp_path))
    assert text.startswith(f"config.dataset: 'mnist' is not in '{tmp_path}' and cannot be downloaded ")
    assert "(ConnectionError: no route)" in text
    assert "set TFDS_DATA_DIR or config.dataset.data_dir" in text


@needs_images
@pytest.mark.parametrize(
    "name, split, shape",
    [
        ("mnist", "train", (60000, 28, 28, 1)),
        ("mnist", "test", (10000, 28, 28, 1)),
        ("cifar10", "train", (4000, 32, 32, 3)),
        ("cifar10", "test", (1000, 32, 32, 3)),
    ],
)
def test_the_real_sets(name, split, shape):
    dataset = load(name, split, str(TFDS_DIR))
    assert dataset.image.shape == shape
    assert dataset.image.dtype == np.uint8
    assert (dataset.image.min(), dataset.image.max()) == (0, 255)
    assert dataset.num_classes == 10
    counts = np.bincount(dataset.label, minlength=10)
    assert counts.sum() == shape[0]
    assert (counts > 0.07 * shape[0]).all()
    assert (dataset.image.max(axis=(1, 2, 3)) > 0).all()


def test_sets_of_one_name_in_two_folders_do_not_share_a_cache(tmp_path):
    images = IMAGE[:4]
    for folder, labels in (("a", [0, 1, 2, 0]), ("b", [1, 2, 0, 1])):
        write(tmp_path / folder, "twin", {"train": (images, np.array(labels))})
        assert load("twin", "train", str(tmp_path / folder)).label.tolist() == labels


def test_tfds_s_other_spelling_is_corrected(data_dir):
    with pytest.raises(ConfigError, match="unknown name 'Tiny'; did you mean 'tiny'"):
        load("Tiny", "train", str(data_dir))


def test_damaged_files_are_one_line_and_leave_nothing_behind(tmp_path, cache):
    write(tmp_path, "broken", {"train": (IMAGE[:4], LABEL[:4])})
    (record,) = tmp_path.rglob("*tfrecord*")
    record.write_bytes(record.read_bytes()[:-20])
    with pytest.raises(ConfigError, match="are damaged .*; prepare the set again") as error:
        load("broken", "train", str(tmp_path))
    assert "\n" not in str(error.value)
    assert [p for p in cache.rglob("*") if p.is_file()] == []
