"""Moments and principal components against NumPy's, their cache, and what they refuse."""

import numpy as np
import pytest

from lib.data import Dataset, DataSpec, exact_pca, load, moments, principal_components
from lib.data.moments import moments as moments_of
from lib.errors import ConfigError

rng = np.random.default_rng(0)


def points(n=200, d=7, mean=0.0, dtype=np.float64) -> Dataset:
    """Returns correlated rows, as a set."""
    x = mean + rng.normal(size=(n, d)) @ rng.normal(size=(d, d))
    return Dataset(x.astype(dtype), np.zeros(n, np.int32), 1, name="mine")


def images() -> Dataset:
    image = rng.integers(0, 256, (50, 3, 2, 1), dtype=np.uint8)
    return Dataset(image, np.zeros(50, np.int32), 1)


@pytest.fixture
def small_chunks(monkeypatch):
    """Makes several chunks of a set, the last one shorter."""
    monkeypatch.setattr(moments, "_CHUNK", 7 * 30)


@pytest.fixture
def no_pass(monkeypatch):
    """Returns a function that makes every later pass over data fail."""

    def fail(*args, **kwargs):
        raise AssertionError("the data are read")

    return lambda: monkeypatch.setattr(principal_components, "moments", fail)


@pytest.mark.parametrize("data", [points(), points(dtype=np.float32), points(n=1), images()])
def test_moments_are_numpy_s(data, small_chunks):
    x = data.image.reshape(data.size, -1).astype(np.float64) / (255 if data.image.ndim == 4 else 1)
    actual = moments_of(data)
    assert actual.count == data.size
    np.testing.assert_allclose(actual.mean, x.mean(0), rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(actual.covariance, np.cov(x.T, bias=True), rtol=1e-11, atol=1e-12)
    assert actual.total_variance == pytest.approx(x.var(0).sum(), rel=1e-12, abs=1e-14)
    short = moments_of(data, with_covariance=False)
    assert short.covariance is None
    np.testing.assert_array_equal(short.mean, actual.mean)
    assert short.total_variance == pytest.approx(actual.total_variance, rel=1e-12, abs=1e-14)


def test_a_mean_that_is_large_against_the_spread_costs_no_digits(small_chunks):
    """Integers, so that the shifted rows are exact: E[x x^T] - mean mean^T would keep no digit."""
    x = rng.integers(-9, 10, (200, 7)).astype(np.float64)
    large = Dataset(x + 2.0**40, np.zeros(200, np.int32), 1)
    y = large.image
    naive = y.T @ y / 200 - np.outer(y.mean(0), y.mean(0))
    exact = np.cov(x.T, bias=True)
    assert np.abs(naive - exact).max() > 1e4 * np.abs(exact).max()
    np.testing.assert_allclose(moments_of(large).covariance, exact, rtol=1e-12, atol=1e-13)
    components = exact_pca(large, 6)
    np.testing.assert_allclose(components.eigenvalues, np.linalg.eigvalsh(exact)[::-1], rtol=1e-12)


def everywhere(value: float | None, d: int) -> np.ndarray | None:
    return None if value is None else np.full(d, value)


@pytest.mark.parametrize("centre", [None, 0.0, 1.5])
@pytest.mark.parametrize("data", [points(mean=3.0), images()])
def test_pairs_are_numpy_s(data, centre):
    x = data.image.reshape(data.size, -1).astype(np.float64) / (255 if data.image.ndim == 4 else 1)
    x -= x.mean(0) if centre is None else centre
    values, vectors = np.linalg.eigh(x.T @ x / len(x))
    centre = everywhere(centre, x.shape[1])
    components = exact_pca(data, 3, centre)
    np.testing.assert_allclose(components.eigenvalues, values[::-1][:4], rtol=1e-12)
    cosines = np.einsum("md,dm->m", components.eigenvectors, vectors[:, ::-1][:, :4])
    np.testing.assert_allclose(np.abs(cosines), 1, rtol=1e-12)
    np.testing.assert_allclose(components.eigenvectors @ components.eigenvectors.T, np.eye(4), atol=1e-13)
    assert components.total_variance == pytest.approx(values.sum(), rel=1e-12)
    assert len(exact_pca(data, 100, centre).eigenvalues) == len(values)


@pytest.mark.parametrize("kind", ["in memory", "on disk"])
def test_an_answer_is_kept(kind, tmp_path, no_pass, cache):
    data = points()
    if kind == "on disk":
        np.save(tmp_path / "x.npy", data.image)
        data = load(str(tmp_path / "x.npy"), "train")
    first = exact_pca(data, 3)
    no_pass()
    for k in (3, 2, 1):
        again = DataSpec.of(data).principal_components(k)
        np.testing.assert_array_equal(again.eigenvalues, first.eigenvalues[: k + 1])
        np.testing.assert_array_equal(again.eigenvectors, first.eigenvectors[: k + 1])
        np.testing.assert_array_equal(again.mean, first.mean)
        assert again.total_variance == first.total_variance
    others = [(data, 4), (data, 3, np.zeros(7)), (data._replace(image=data.image[1:]), 3)]
    for other in (*others, (data._replace(image=data.image[:, ::-1]), 3)):
        with pytest.raises(AssertionError, match="the data are read"):
            exact_pca(*other)
    assert len(list((cache / "spectra").iterdir())) == 1


def test_a_hit_of_a_mapped_file_reads_none_of_it(tmp_path, monkeypatch):
    np.save(tmp_path / "x.npy", points().image)
    data = load(str(tmp_path / "x.npy"), "train[10:]")
    first = exact_pca(data, 3)
    monkeypatch.setattr(np.memmap, "__getitem__", None)
    np.testing.assert_array_equal(exact_pca(data, 3).mean, first.mean)
    monkeypatch.undo()


def test_slices_of_one_file_are_told_apart(tmp_path):
    x = points(n=40).image
    np.save(tmp_path / "x.npy", x)
    for first, last in ((0, 20), (20, 40), (10, 30)):
        data = load(str(tmp_path / "x.npy"), f"train[{first}:{last}]")
        components = exact_pca(data, 1)
        np.testing.assert_allclose(components.mean, x[first:last].mean(0), rtol=1e-12, atol=1e-14)


def test_a_damaged_answer_is_made_again(cache):
    data = points()
    first = exact_pca(data, 3)
    (file,) = (cache / "spectra").iterdir()
    file.write_bytes(file.read_bytes()[:100])
    np.testing.assert_array_equal(exact_pca(data, 3).eigenvalues, first.eigenvalues)


@pytest.mark.parametrize("centre", [None, 0.0, 1.5])
def test_of_many_dimensions_only_the_mean_and_the_total_are_made(centre, no_pass):
    data, centre = points(mean=2.0), everywhere(centre, 7)
    whole = exact_pca(data, 7, centre)
    short = exact_pca(data, 3, centre, largest_d=6)
    assert (short.eigenvalues, short.eigenvectors) == (None, None)
    np.testing.assert_array_equal(short.mean, whole.mean)
    assert short.total_variance == pytest.approx(whole.eigenvalues.sum(), rel=1e-12)
    no_pass()
    assert exact_pca(data, 3, centre, largest_d=6).total_variance == short.total_variance


@pytest.mark.parametrize("with_covariance", [True, False])
@pytest.mark.parametrize("value, text", [(np.nan, "nan"), (-np.inf, "-inf"), (1e39, "1e+39")])
def test_what_is_not_finite_is_refused_with_its_place(value, text, with_covariance, small_chunks):
    data = points()
    data.image[123, 4] = data.image[150, 0] = value
    with pytest.raises(ConfigError) as error:
        moments_of(data, with_covariance)
    expected = f"config.dataset.name: 'mine' holds {text} in row 123, column 4 (from 0); use finite numbers"
    assert str(error.value) == f"{expected} that fit float32"


def test_long_work_is_announced_in_one_line(capsys, monkeypatch):
    exact_pca(points(), 3)
    assert capsys.readouterr() == ("", "")
    monkeypatch.setattr(principal_components, "_QUIET_WORK", 1)
    exact_pca(points(), 3)
    assert capsys.readouterr() == ("computing the exact spectrum of mine, 200 x 7, once\n", "")


@pytest.mark.parametrize("value", (0.0, 0.1, 1e6))
def test_rows_that_are_all_the_same_are_no_data_to_train_on(value):
    dataset = Dataset(np.full((20, 3), value), np.zeros(20, np.int32), 1, name="flat")
    with pytest.raises(ConfigError, match="the rows of 'flat' do not differ"):
        DataSpec.of(dataset).principal_components(2)
    if value:  # about another centre they do
        assert DataSpec.of(dataset).principal_components(2, np.zeros(3)).eigenvalues[0] == pytest.approx(
            3 * value**2
        )
