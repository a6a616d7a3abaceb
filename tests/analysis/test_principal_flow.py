"""The picture of the principal flow: the distances it draws, its titles, and what it refuses."""

import re

import jax
import numpy as np
import pytest
from conftest import refusal

from analysis import principal_flow
from analysis.plot import main
from analysis.principal_flow import LINE, PLANES, distances, followed
from lib.games import flows

SETTINGS = [pytest.param(setting, id=setting.title.split(":")[0]) for setting in (*PLANES, LINE)]


@pytest.mark.parametrize("setting", SETTINGS[:3])
def test_the_principal_flow_alone_is_at_every_iterate_on_the_quadratic(setting):
    largest = {name: values.max() for name, values in distances(setting).items()}
    assert largest["principal_flow"] < 1e-6
    assert min(largest["gradient_flow"], largest["igr"]) > 1e3 * 1e-6


def test_flows_of_higher_order_are_nearer_on_the_banana():
    largest = [distances(PLANES[3])[name].max() for name in flows.FLOWS]
    assert all(lower > 2 * higher for lower, higher in zip(largest, largest[1:], strict=False))


def test_only_the_principal_flow_oscillates_on_the_wave():
    found = distances(LINE)
    assert min(found["gradient_flow"].max(), found["igr"].max()) > 4 * found["principal_flow"].max()


@pytest.mark.parametrize("setting", SETTINGS)
def test_titles_tell_the_step_size_and_the_curvature(setting):
    """`h = .., h lam = ..` of the top eigenvalue, or `.. to ..` where it changes along the way."""
    h, *told = map(float, re.findall(r"\d+\.\d+", setting.title))
    iterates, _ = followed(setting)
    top = np.linalg.eigvalsh(jax.vmap(jax.hessian(setting.loss))(iterates))[:, -1]
    assert h == setting.h
    assert (told[0], told[-1]) == pytest.approx((h * top.min(), h * top.max()), abs=0.05)


def test_table_and_picture(capsys, tmp_path):
    assert main(["principal_flow", f"--out={tmp_path / 'flow.png'}"]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == 2 + len(SETTINGS)
    assert printed[0].split()[-4:] == list(flows.FLOWS)
    assert printed[1].endswith("-")  # the third order is not of a quadratic
    assert (tmp_path / "flow.png").stat().st_size > 1000


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--output=a.png"], "Unknown command line flag 'output'"),
        (["--config.seed=1"], "plot principal_flow: '--config.seed=1'"),
        (["flow.png"], "flow.png"),
    ],
)
def test_bad_input(capsys, args, message):
    assert message in refusal(main, capsys, "principal_flow", *args)


def test_a_picture_s_file_must_be_one(capsys, monkeypatch):
    monkeypatch.setattr(principal_flow, "table", lambda: "")
    monkeypatch.setattr(principal_flow, "picture", lambda: None)
    assert "--out: 'flow.txt' must end in" in refusal(main, capsys, "principal_flow", "--out=flow.txt")
