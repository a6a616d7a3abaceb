"""The picture of the principal flow: the distances it draws, its titles, and what it refuses."""

import re

import jax
import numpy as np
import pytest
from conftest import refusal

from analysis import principal_flow
from analysis.__main__ import main
from analysis.principal_flow import LINE, PLANES, distances, follow
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
    largest = {name: values.max() for name, values in distances(LINE).items()}
    assert min(largest["gradient_flow"], largest["igr"]) > 4 * largest["principal_flow"]


@pytest.mark.parametrize("setting", SETTINGS)
def test_titles_name_the_step_size_and_the_range_of_the_top_curvature(setting):
    h, *curvatures = map(float, re.findall(r"\d+\.\d+", setting.title))
    iterates, _ = follow(setting)
    hessians = jax.jit(jax.vmap(jax.hessian(setting.loss)))(iterates)
    top = np.linalg.eigvalsh(hessians)[:, -1]
    assert h == setting.h
    expected = h * top.min(), h * top.max()
    assert (curvatures[0], curvatures[-1]) == pytest.approx(expected, abs=0.05)


def test_table_and_picture(capsys, tmp_path):
    assert main(["principal_flow", f"--out={tmp_path / 'flow.png'}"]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == 2 + len(SETTINGS)
    assert printed[0].split()[-4:] == list(flows.FLOWS)
    assert printed[1].endswith("-")  # the third order is not of a quadratic
    assert (tmp_path / "flow.png").stat().st_size > 1000


def test_bad_input(capsys, monkeypatch):
    for args, message in (
        (["--output=a.png"], "Unknown command line flag 'output'"),
        (["--config.seed=1"], "plot principal_flow: '--config.seed=1'"),
        (["flow.png"], "flow.png"),
    ):
        assert message in refusal(main, capsys, "principal_flow", *args)
    monkeypatch.setattr(principal_flow, "table", lambda: "")
    monkeypatch.setattr(principal_flow, "draw", lambda: None)
    assert "'flow.txt' must end in" in refusal(main, capsys, "principal_flow", "--out=flow.txt")
