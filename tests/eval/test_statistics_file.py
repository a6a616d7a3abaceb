"""Statistics of real images that another tool has computed."""

import numpy as np
import pytest

from eval.distances import Gaussian, frechet_distance
from eval.statistics_file import read_statistics
from lib.errors import ConfigError

rng = np.random.default_rng(0)
X = rng.normal(size=(40, 5))
MU, SIGMA = X.mean(0), np.cov(X, rowvar=False)


def test_a_file_of_other_tools_is_a_reference(tmp_path):
    file = tmp_path / "statistics.npz"
    np.savez(file, mu=MU, sigma=SIGMA.astype(np.float32))
    reference, digest = read_statistics(str(file), 5)
    assert reference.features is None
    exact = Gaussian(MU, SIGMA, 40)
    assert frechet_distance(reference.gaussian, exact, reference.root) == pytest.approx(0, abs=1e-5)
    np.savez(file, mu=MU + 1, sigma=SIGMA)
    assert read_statistics(str(file), 5).digest != digest


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"mu": MU[:4], "sigma": SIGMA[:4, :4]}, r"mu of shape \(4,\) .* has 5 features: .* another"),
        ({"mu": MU, "sigma": SIGMA[:, :4]}, r"sigma of \(5, 4\)"),
        ({"mu": MU}, "has no sigma"),
        ({"mean": MU}, "has no mu and no sigma"),
        ({"mu": MU * np.nan, "sigma": SIGMA}, "not finite"),
        ({"mu": MU, "sigma": SIGMA + np.triu(SIGMA, 1)}, "not symmetric"),
        ({"mu": MU, "sigma": -SIGMA}, "negative"),
        ({"mu": MU, "sigma": np.ones((5, 5)) - 0.5 * np.eye(5)}, "negative"),  # on no diagonal
        ({"mu": np.array([object()] * 5), "sigma": SIGMA}, "cannot read .*allow_pickle"),
    ],
)
def test_files_that_do_not_fit_are_one_line(tmp_path, arrays, message):
    file = tmp_path / "statistics.npz"
    np.savez(file, **arrays)
    with pytest.raises(ConfigError, match=message) as error:
        read_statistics(str(file), 5)
    assert error.value.field == "config.eval.reference_statistics"
    assert "\n" not in str(error.value)


def test_a_truncated_file_or_another_one_is_one_line(tmp_path):
    file = tmp_path / "statistics.npz"
    np.savez(file, mu=MU, sigma=SIGMA)
    file.write_bytes(file.read_bytes()[:200])
    with pytest.raises(ConfigError, match="cannot read"):
        read_statistics(str(file), 5)
    np.save(tmp_path / "statistics.npy", MU)
    with pytest.raises(ConfigError, match="cannot read '.*npy'.*BadZipFile"):
        read_statistics(str(tmp_path / "statistics.npy"), 5)
