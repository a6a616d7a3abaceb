"""Matrices on disk."""

import zipfile

import numpy as np
import pytest

from lib.data import load
from lib.data.pipeline import Order, Resident, Streamed, eval_batches, make
from lib.errors import ConfigError

X = np.random.default_rng(0).normal(size=(10, 3))


def saved(path, *args, **arrays) -> str:
    """Writes an .npy file, or an .npz archive of arrays by name."""
    np.savez_compressed(path, **arrays) if arrays else np.save(path, *args)
    return str(path)


@pytest.mark.parametrize("dtype", ["f8", "f4", "f2", ">f8", "i8", "u1", "?"])
def test_rows_of_any_real_type_are_mapped_and_their_batches_are_float32(tmp_path, dtype):
    x = (100 * X).astype(dtype)
    data = load(saved(tmp_path / "x.npy", x), "train")
    assert isinstance(data.image, np.memmap)
    np.testing.assert_array_equal(data.image, x)
    assert (data.size, data.image_shape, data.num_classes, data.source) == (10, (3,), 1, None)
    np.testing.assert_array_equal(data.label, np.zeros(10, np.int32))
    order = Order(10, 4, 0, 2)
    feed = Resident(data, order).feed(3)
    batches = [
        Resident.batch(Resident(data, order).constants, feed),
        Streamed(data, order).feed(3),
        next(eval_batches(data, 4)),
    ]
    for batch, rows in zip(batches, (feed, feed, np.arange(4)), strict=True):
        assert batch["image"].dtype == np.float32
        np.testing.assert_array_equal(batch["image"], x.astype(np.float32)[rows])


def test_a_file_above_the_limit_is_streamed_and_its_size_counts_as_float32(tmp_path):
    data = load(saved(tmp_path / "x.npy", X.astype(np.uint8)), "train")
    limit_gb = X.size * 4 / 1e9
    assert type(make(data, Order(10, 4, 0, 1), 1.01 * limit_gb)) is Resident
    assert type(make(data, Order(10, 4, 0, 1), 0.99 * limit_gb)) is Streamed


def test_a_file_much_larger_than_memory_is_never_read_whole(tmp_path):
    # A sparse file of 800 GB: only the rows of a batch can be read.
    path = tmp_path / "x.npy"
    with path.open("wb") as file:
        header = {"descr": "<f8", "fortran_order": False, "shape": (10**8, 1000)}
        np.lib.format.write_array_header_1_0(file, header)
        file.truncate(file.tell() + 8 * 10**11)
    data = load(str(path), "train[-5:]")
    order = Order(5, 8, 0, 1)
    feed = make(data, order, 0.0).feed(0)
    np.testing.assert_array_equal(feed["image"], np.zeros((1, 8, 1000), np.float32))


def test_an_archive_is_unpacked_once_and_again_when_it_is_written_again(tmp_path, cache, monkeypatch):
    path = tmp_path / "x.npz"
    name = saved(path, a=X, b=X[:4])
    for _ in range(2):
        for key, expected in (("a", X), ("b", X[:4])):
            data = load(f"{name}:{key}", "train")
            assert isinstance(data.image, np.memmap)
            np.testing.assert_array_equal(data.image, expected)
        monkeypatch.setattr("shutil.copyfileobj", None)
    assert len(list((cache / "datasets").iterdir())) == 2
    monkeypatch.undo()
    monkeypatch.setenv("GRADIENT_DYNAMICS_CACHE", str(cache))
    saved(path, a=2 * X[:7])
    np.testing.assert_array_equal(load(name, "train").image, 2 * X[:7])


@pytest.mark.parametrize("left", [0, 100, 200])
def test_a_damaged_unpacked_array_is_unpacked_again(tmp_path, cache, capsys, left):
    name = saved(tmp_path / "x.npz", a=X)
    load(name, "train")
    (unpacked,) = (cache / "datasets").iterdir()
    unpacked.write_bytes(unpacked.read_bytes()[:left])
    np.testing.assert_array_equal(load(name, "train").image, X)
    assert f"'{unpacked}' is damaged" in capsys.readouterr().out


def test_unpacking_that_fails_leaves_nothing(tmp_path, cache):
    path = tmp_path / "x.npz"
    np.savez(path, a=np.zeros((1000, 100)))
    with zipfile.ZipFile(path) as archive:
        info = archive.getinfo("a.npy")
    content = bytearray(path.read_bytes())
    content[info.header_offset + 400_000] ^= 1
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"^config.dataset.name: cannot read .*CRC.*; save it again$"):
        load(str(path), "train")
    assert not list((cache / "datasets").iterdir())


@pytest.mark.parametrize(
    "file, content, asked, message",
    [
        ("other.npy", X, "othr.npy", r"no file '.*othr.npy'; did you mean '.*other.npy'\?"),
        ("other.npy", X, "nothing_like_it.npz", r"no file '.*nothing_like_it.npz'; paths begin at '/.*'"),
        ("x.npy", X, "x.npy:a", "'.*x.npy' holds one array; leave out ':a'"),
        ("x.npy", X[0], "x.npy", r"'.*' has shape \(3,\); use a matrix with one example in each row"),
        ("x.npy", X[None], "x.npy", r"'.*' has shape \(1, 10, 3\); use"),
        ("x.npy", X[:0], "x.npy", r"'.*' has shape \(0, 3\); use"),
        ("x.npy", X[:, :0], "x.npy", r"'.*' has shape \(10, 0\); use"),
        ("x.npy", X + 1j, "x.npy", "'.*' is of type complex128; use one of real numbers"),
        ("x.npy", np.array([["a"]]), "x.npy", "'.*' is of type <U1; use"),
        ("x.npy", np.array([[None]]), "x.npy", "'.*' is of type object; use"),
        ("x.npy", b"no array at all", "x.npy", "cannot read '.*x.npy': the magic string .*; save it again"),
        ("x.npz", b"no archive", "x.npz", "cannot read '.*x.npz': File is not a zip file; save it again"),
        ("x.npz", {"a": X, "b": X}, "x.npz", r"'.*' holds 2 arrays \(a, b\); name one: FILE.npz:KEY"),
        (
            "x.npz",
            {"image": X, "b": X},
            "x.npz:imge",
            r"'.*' holds no array 'imge'; did you mean 'image'\?",
        ),
        ("x.npz", {"a": X[0]}, "x.npz", r"'.*x.npz' has shape \(3,\); use"),
        ("x.npz", {"a": np.array([[None]])}, "x.npz:a", "'.*x.npz:a' is of type object; use"),
    ],
)
def test_what_is_no_matrix_is_refused_in_one_line(tmp_path, cache, file, content, asked, message):
    path = tmp_path / file
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        saved(path, **content) if isinstance(content, dict) else saved(path, content)
    with pytest.raises(ConfigError, match=f"^config.dataset.name: {message}") as error:
        load(str(tmp_path / asked), "train")
    assert "\n" not in str(error.value)
    assert not (cache / "datasets").exists()


def test_a_file_that_was_cut_off_is_refused(tmp_path):
    path = tmp_path / "x.npy"
    name = saved(path, X)
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(ConfigError, match="^config.dataset.name: cannot read .*; save it again$"):
        load(name, "train")


def test_it_has_no_other_split(tmp_path):
    with pytest.raises(
        ConfigError, match=r"^config.dataset: /.*x.npy has no split 'test'; known: train, and"
    ):
        load(saved(tmp_path / "x.npy", X), "test")
