"""EigenGame on the trainer: devices, checkpoints, means, results, refusals."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import largest_difference, run, trained

from lib.errors import ConfigError
from lib.runtime import results

SPLIT = ("dataset.name=exponential_spectrum", "dataset.kwargs.d=8", "eigengame.k=4", "batch_size=64")
EVERY = ("log_every=400", "eval_every=400", "checkpoint_every=400")
LONG = ("eigengame.optimizer.learning_rate=1e-4", "num_steps=400", *EVERY)


@pytest.fixture(autouse=True)
def no_curves(monkeypatch):
    """Leaves out the curves of metrics, which are no experiment's own."""
    monkeypatch.setattr(results, "_draw_curves", lambda *args: None)


def test_one_device_is_two_and_checkpoints_do_not_tell(make):
    """Resumes on two devices from what two saved, in the shapes of one."""
    args = ("eigengame/digits", *SPLIT, *EVERY, "eigengame.optimizer.learning_rate=1e-4")
    one = trained(make(*args, "num_steps=6", workdir="one"))
    trained(make(*args, num_devices=2, workdir="two"))
    two = trained(make(*args, "num_steps=6", workdir="two"))
    start = make(*args, workdir="new").programs.init()
    assert largest_difference(start, one) > 1e-2
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(two), strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-4)


def test_a_run_finds_the_known_spectrum_and_writes_it(make):
    trainer = make("eigengame/digits", *SPLIT, *LONG, num_devices=2)
    state = trained(trainer)
    metrics = trainer.programs.evaluate(trainer.programs.place(state))
    assert metrics["streak"] == 4
    assert metrics["subspace_distance"] < 0.01
    assert 0.9 < metrics["captured_variance"] < 1
    source = trainer.programs.data.train.source
    written = {
        n: np.load(trainer.folder.path / f"{n}.npy") for n in ("eigenvectors", "eigenvalues", "mean")
    }
    cosines = np.sum(written["eigenvectors"] * source.eigenvectors[:4], 1)
    np.testing.assert_allclose(np.abs(cosines), 1, atol=0.02)
    np.testing.assert_allclose(written["eigenvalues"], source.eigenvalues[:4], rtol=0.1)
    each = [metrics[f"eigenvalue/{i:02}"] for i in (1, 2, 3, 4)]
    np.testing.assert_allclose(each, written["eigenvalues"], rtol=1e-5)


@pytest.mark.parametrize("num_devices", [1, 2])
def test_the_last_components_are_found_the_smallest_first(make, tmp_path, num_devices):
    generator = np.random.default_rng(0)
    basis = np.linalg.qr(generator.standard_normal((5, 5)))[0]
    spectrum = np.array([4.0, 3.0, 2.0, 1.0, 0.25])
    rows = np.linalg.qr(generator.standard_normal((64, 5)))[0]
    rows = np.linalg.qr(rows - rows.mean(0))[0] * np.sqrt(64 * spectrum) @ basis
    np.save(tmp_path / "rows.npy", rows)
    args = (f"dataset.name={tmp_path / 'rows.npy'}", "eigengame.k=2", "batch_size=64", "num_steps=1200")
    args += ("eigengame.optimizer.learning_rate=0.05", "eigengame.maximize=False", *EVERY)
    trainer = make("eigengame/digits", *args, num_devices=num_devices)
    state = trained(trainer)
    metrics = trainer.programs.evaluate(trainer.programs.place(state))
    assert metrics["streak"] == 2
    assert metrics["eigenvalue_error"] < 1e-3
    written = np.load(trainer.folder.path / "eigenvalues.npy")
    np.testing.assert_allclose(written, spectrum[:-3:-1], rtol=1e-3)
    cosines = np.sum(np.load(trainer.folder.path / "eigenvectors.npy") * basis[:-3:-1], 1)
    np.testing.assert_allclose(np.abs(cosines), 1, atol=1e-4)


def with_mean(make, tmp_path, mean: str, **kwargs):
    """Returns the trainer of 64 rows of 5 features that are centred by a mean, and the rows."""
    rows = np.random.default_rng(0).standard_normal((64, 5)) + np.arange(5)
    np.save(tmp_path / "rows.npy", rows)
    np.save(tmp_path / "mean.npy", np.ones(5))
    args = (f"dataset.name={tmp_path / 'rows.npy'}", "eigengame.k=2", "batch_size=32", "num_steps=2")
    mean = str(tmp_path / "mean.npy") if mean == "file" else mean
    return make("eigengame/digits", *args, f"eigengame.mean={mean}", **kwargs), rows


def test_the_mean_is_tracked_over_devices(make, tmp_path):
    trainer, rows = with_mean(make, tmp_path, "online", num_devices=2)
    mean = trained(trainer).mean
    np.testing.assert_allclose(mean.value, rows.mean(0), rtol=1e-5, atol=1e-6)
    assert mean.count == 2


@pytest.mark.parametrize("mean", ["none", "data", "file"])
def test_the_mean_is_none_given_or_that_of_the_data(mean, make, tmp_path):
    """Checks that it stays what it was, and that steps are those on rows from which it is taken off."""
    trainer, rows = with_mean(make, tmp_path, mean)
    expected = {"none": np.zeros(5), "data": rows.mean(0), "file": np.ones(5)}[mean]
    step = jax.jit(trainer.programs.experiment.train_step)
    start = trainer.programs.experiment.init(jax.random.key(0), None)
    first = rows[:32].astype(np.float32)
    after, _ = step(start, {"image": first}, None)
    np.testing.assert_allclose(after.mean.value, expected, rtol=1e-5, atol=1e-6)
    centred, _ = step(
        start._replace(mean=jax.tree.map(jnp.zeros_like, start.mean)),
        {"image": first - expected.astype(np.float32)},
        None,
    )
    assert largest_difference(start.params, after.params) > 1e-2
    np.testing.assert_allclose(after.params, centred.params, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "overrides, field, part",
    [
        (["k=65"], "k", "65 vectors of only 64 features; use at most 64"),
        (["k=15"], "k", "use 14"),
        (["groups=3"], "groups", "use 2"),
        (
            ["rule=oja", "riemannian=True"],
            "riemannian",
            "only the players of mu and alpha live on the sphere",
        ),
        (["rule=mus"], "rule", "mus"),
        (["mean=dat"], "mean", "unknown 'dat'; known: none, data, online"),
        (["mean=no.npy"], "mean", "cannot read 'no.npy'"),
        (["optimizer.name=lbfgs", "optimizer.kwargs={}"], "optimizer.name", "searches along a loss"),
    ],
)
def test_what_does_not_fit_is_refused(make, overrides, field, part):
    with pytest.raises(ConfigError) as error:
        make("eigengame/digits", *(f"eigengame.{override}" for override in overrides), num_devices=2)
    assert error.value.field == f"config.eigengame.{field}"
    assert part in str(error.value)
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


def test_without_exact_components_there_are_the_other_metrics(make):
    trainer = make("eigengame/digits", "eigengame.exact_limit=10", "eigengame.k=2")
    metrics = trainer.programs.evaluate(trainer.programs.place(trainer.programs.init()))
    assert set(metrics) == {"captured_variance", "eigenvalue/01", "eigenvalue/02"}


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
    """Takes 6 rows, which have 5 components about their mean."""
    np.save(tmp_path / "x.npy", np.random.default_rng(0).standard_normal((6, 8)))
    args = (f"dataset.name={tmp_path / 'x.npy'}", "eigengame.k=8", "batch_size=6")
    programs = make("eigengame/digits", *args).programs
    metrics = programs.evaluate(programs.place(programs.init()))
    assert 0 < metrics["eigenvalue_error"] < 1e4


def test_the_padding_of_the_last_batch_is_not_counted(make, tmp_path):
    rows = np.random.default_rng(0).standard_normal((6, 8))
    np.save(tmp_path / "x.npy", rows)
    args = (f"dataset.name={tmp_path / 'x.npy'}", "eigengame.k=2", "batch_size=4")
    programs = make("eigengame/digits", *args).programs
    state = programs.init()
    centred = rows - rows.mean(0)
    expected = np.mean((centred @ np.asarray(state.params).T) ** 2, 0)
    means = programs.means(programs.place(state))
    np.testing.assert_allclose(means["rayleigh"], expected, rtol=1e-4)
    assert means["total"] == pytest.approx(np.mean(np.sum(centred**2, 1)), rel=1e-4)


@pytest.mark.program
def test_four_devices_in_two_groups_give_what_one_gives(make, program_env, tmp_path):
    """Splits each group's products between two devices, and puts each player in both groups."""
    args = ("eigengame.k=8", "eigengame.groups=2", "eigengame.optimizer.learning_rate=0.1", "batch_size=64")
    args += ("num_steps=6", "figures_every=0", "seed=1")
    alone = make("eigengame/digits", *args, "eigengame.groups=0")
    start = alone.programs.init().params
    trained(alone)
    ended = run(
        program_env | {"JAX_NUM_CPU_DEVICES": "4"},
        "experiments.main",
        "--config=configs/eigengame/digits.py",
        f"--workdir={tmp_path / 'four'}",
        *(f"--config.{arg}" for arg in args),
    )
    assert not ended.returncode, ended.stderr
    assert ended.stdout.count("eigenvalues.npy, eigenvectors.npy, mean.npy") == 1
    expected = np.load(alone.folder.path / "eigenvectors.npy")
    assert np.abs(expected - start).max() > 0.01
    np.testing.assert_allclose(np.load(tmp_path / "four" / "eigenvectors.npy"), expected, atol=1e-4)
