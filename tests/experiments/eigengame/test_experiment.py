"""EigenGame on the trainer: devices, checkpoints, means, results, refusals."""

import jax
import numpy as np
import pytest
from conftest import run

from lib.errors import ConfigError
from lib.runtime.trainer import first_state

SPLIT = ("dataset.name=exponential_spectrum", "dataset.kwargs.d=8", "eigengame.k=4", "batch_size=64")
LONG = ("eigengame.optimizer.learning_rate=1e-4", "num_steps=400", "eval_every=400", "checkpoint_every=200")


def trained(trainer):
    step, state = first_state(trainer.programs, trainer.folder)
    trainer.train(state, step)
    return trainer.folder.restore(trainer.programs.abstract_state())[1]


def leaves(state) -> list[np.ndarray]:
    return jax.tree.leaves(jax.device_get(state))


def test_one_device_is_two_and_checkpoints_do_not_tell(make):
    """What two devices saved has the shapes of one's, and goes on there."""
    args = ("eigengame/digits", *SPLIT, "eigengame.optimizer.learning_rate=1e-4")
    one = trained(make(*args, "num_steps=6", workdir="one"))
    trained(make(*args, num_devices=2, workdir="two"))
    two = trained(make(*args, "num_steps=6", workdir="two"))
    start = make(*args, workdir="new").programs.init()
    assert max(np.abs(a - b).max() for a, b in zip(leaves(start), leaves(one), strict=True)) > 1e-2
    for a, b in zip(leaves(one), leaves(two), strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-4)


def test_a_run_finds_the_known_spectrum_and_writes_it(make):
    trainer = make("eigengame/digits", *SPLIT, *LONG, num_devices=2)
    state = trained(trainer)
    metrics = trainer.programs.evaluate(trainer.programs.place(state))
    assert metrics["streak"] == 4
    assert metrics["subspace_distance"] < 0.01
    assert 0.9 < metrics["captured_variance"] < 1
    truth = trainer.programs.data[0].source
    written = {
        n: np.load(trainer.folder.path / f"{n}.npy") for n in ("eigenvectors", "eigenvalues", "mean")
    }
    cosines = np.sum(written["eigenvectors"] * truth.eigenvectors[:4], 1)
    np.testing.assert_allclose(np.abs(cosines), 1, atol=0.02)
    np.testing.assert_allclose(written["eigenvalues"], truth.eigenvalues[:4], rtol=0.1)


def test_the_mean_is_none_given_tracked_or_that_of_the_data(make, tmp_path):
    rows = np.random.default_rng(0).standard_normal((64, 5)) + np.arange(5)
    np.save(tmp_path / "rows.npy", rows)
    np.save(tmp_path / "mean.npy", np.ones(5))
    args = ("eigengame/digits", f"dataset.name={tmp_path / 'rows.npy'}", "eigengame.k=2", "batch_size=32")
    expected = {"none": 0, "data": rows.mean(0), "online": rows.mean(0), str(tmp_path / "mean.npy"): 1}
    for i, (mean, value) in enumerate(expected.items()):
        state = trained(make(*args, f"eigengame.mean={mean}", workdir=str(i), num_devices=2))
        np.testing.assert_allclose(state.mean.value, np.broadcast_to(value, 5), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "overrides, message",
    [
        (["eigengame.k=65"], "config.eigengame.k: 65 vectors of only 64 features; use at most 64"),
        (["eigengame.k=15"], "config.eigengame.k: 15 vectors do not divide by the 2 devices; use 14"),
        (["eigengame.groups=3"], "config.eigengame.groups: 3 does not divide the 2 devices; use 2"),
        (
            ["eigengame.rule=oja", "eigengame.riemannian=True"],
            "config.eigengame.riemannian: only the players of mu and alpha live on the sphere",
        ),
        (["eigengame.rule=mus"], "config.eigengame.rule: "),
        (["eigengame.mean=dat"], "config.eigengame.mean: unknown 'dat'; known: none, data, online"),
        (["eigengame.mean=no.npy"], "config.eigengame.mean: cannot read 'no.npy'"),
        (
            ["eigengame.optimizer.name=lbfgs", "eigengame.optimizer.kwargs={}"],
            "config.eigengame.optimizer.name: 'lbfgs' searches along a loss",
        ),
    ],
)
def test_what_does_not_fit_is_refused(make, overrides, message):
    with pytest.raises(ConfigError) as error:
        make("eigengame/digits", *overrides, num_devices=2)
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "matrix, message",
    [
        (np.full((40, 3), np.nan), "holds nan in row 0, column 0"),
        (np.zeros((4, 3, 2, 2)), "has shape (4, 3, 2, 2); use a matrix"),
        (np.full((40, 3), 0.1), "do not differ from their centre"),
    ],
)
def test_matrices_that_are_none_are_refused(make, tmp_path, matrix, message):
    np.save(tmp_path / "x.npy", matrix)
    with pytest.raises(ConfigError) as error:
        make("eigengame/digits", f"dataset.name={tmp_path / 'x.npy'}", "eigengame.k=2")
    assert message in str(error.value)


def test_without_the_truth_there_are_the_other_metrics(make):
    trainer = make("eigengame/digits", "eigengame.exact_limit=10", "eigengame.k=2")
    metrics = trainer.programs.evaluate(trainer.programs.place(trainer.programs.init()))
    assert set(metrics) == {"captured_variance"}


@pytest.mark.parametrize(
    "mean", [np.array(["a", "b"]), np.ones(2, complex), np.ones(3), np.array([1, np.inf])]
)
def test_means_that_are_none_are_refused(make, tmp_path, mean):
    np.save(tmp_path / "x.npy", np.eye(2))
    np.save(tmp_path / "mean.npy", mean)
    args = (f"dataset.name={tmp_path / 'x.npy'}", f"eigengame.mean={tmp_path / 'mean.npy'}")
    with pytest.raises(ConfigError, match="config.eigengame.mean: .* must hold 2 finite real numbers"):
        make("eigengame/digits", *args, "eigengame.k=2")


def test_a_mean_in_an_archive_is_refused(make, tmp_path):
    np.savez(tmp_path / "mean.npz", np.ones(64))
    (tmp_path / "mean.npz").rename(tmp_path / "mean.npy")
    with pytest.raises(ConfigError, match="config.eigengame.mean: cannot read"):
        make("eigengame/digits", f"eigengame.mean={tmp_path / 'mean.npy'}")


def test_eigenvalues_of_zero_are_not_compared(make, tmp_path):
    """6 rows have 5 components about their mean."""
    np.save(tmp_path / "x.npy", np.random.default_rng(0).standard_normal((6, 8)))
    trainer = make(
        "eigengame/digits", f"dataset.name={tmp_path / 'x.npy'}", "eigengame.k=8", "batch_size=6"
    )
    assert (
        0
        < trainer.programs.evaluate(trainer.programs.place(trainer.programs.init()))["eigenvalue_error"]
        < 1e4
    )


def test_four_devices_in_two_groups_give_what_one_gives(make, program_env, tmp_path):
    """Each group splits its rows' products between two devices, and each player is in both groups."""
    args = ("eigengame.k=8", "eigengame.groups=2", "eigengame.optimizer.learning_rate=0.1", "batch_size=64")
    args += ("num_steps=6", "figures_every=0", "seed=1")
    alone = make("eigengame/digits", *args, "eigengame.groups=0")
    start = alone.init().params
    trained(alone)
    found = run(
        program_env | {"JAX_NUM_CPU_DEVICES": "4"},
        "experiments.main",
        "--config=configs/eigengame/digits.py",
        f"--workdir={tmp_path / 'four'}",
        *(f"--config.{arg}" for arg in args),
    )
    assert not found.returncode, found.stderr
    assert found.stdout.count("eigenvalues.npy, eigenvectors.npy, mean.npy") == 1
    expected = np.load(alone.folder.path / "eigenvectors.npy")
    assert np.abs(expected - start).max() > 0.01
    np.testing.assert_allclose(np.load(tmp_path / "four" / "eigenvectors.npy"), expected, atol=1e-4)
