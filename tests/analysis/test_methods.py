"""Eigenvalues and maps of convergence of toy games' methods: closed forms, pictures, and refusals."""

import math

import numpy as np
import pytest
from conftest import ROOT, refusal, small_config

from analysis import methods
from analysis.__main__ import main
from experiments import registry

CONFIG = str(ROOT / "configs/games/bilinear.py")


@pytest.fixture(scope="module")
def section():
    return registry.validated(small_config("games/bilinear")).games


def test_consensus_moves_the_field_to_the_left_and_no_rule_does(section):
    for label, weight in (("simultaneous", 0.0), ("extragradient", 0.0), ("consensus", 0.5)):
        field, _ = methods.eigenvalues(section, label)
        np.testing.assert_allclose(sorted(field, key=np.imag), [-weight - 1j, -weight + 1j], atol=1e-12)


def test_steps_have_their_closed_forms(section):
    h = 0.3
    _, step = methods.eigenvalues(section, "consensus")
    np.testing.assert_allclose(np.abs(step) ** 2, (1 - 0.5 * h) ** 2 + h**2, rtol=1e-12)
    _, step = methods.eigenvalues(section, "runge_kutta_4")
    z = 1j * h
    np.testing.assert_allclose(np.abs(step), abs(1 + z + z**2 / 2 + z**3 / 6 + z**4 / 24), rtol=1e-12)


def test_maps_have_the_closed_form_of_the_radius(section):
    rates, momenta = np.array([0.1, 0.5, 1.5]), np.array([-0.5, 0.0])
    steps = methods.steps_to_converge(section, "extragradient", rates, momenta)
    radius = np.sqrt(1 - rates**2 + rates**4)
    np.testing.assert_allclose(steps[1, :2], -math.log(1000) / np.log(radius[:2]), rtol=1e-9)
    assert steps[1, 2] == np.inf  # 1 - h^2 + h^4 > 1
    alternating = methods.steps_to_converge(section, "alternating", rates, momenta)
    assert np.isinf(alternating[1]).all()  # on an ellipse
    assert np.isfinite(alternating[0, :2]).all()


@pytest.fixture(scope="module")
def config_file(tmp_path_factory):
    """Writes a config of methods, of which two differ in momentum alone and one has no linear step."""
    lines = [
        "from configs.games.base import base, method",
        "def get_config():",
        "    config = base('bilinear', [(0.8, 0.4)])",
        "    methods = config.games.methods",
        "    methods.alternating = method(0.3, 'alternating')",
        "    methods.alternating_negative = method(0.3, 'alternating', momentum=-0.5)",
        "    methods.optimistic = method(0.3, 'optimistic')",
        "    methods.lead = method(0.3, 'lead')",
        "    methods.competitive = method(0.3, 'competitive')",
        "    methods.extragradient = method(0.3, 'extragradient')",
        "    methods.anchored = method(0.3, 'anchored_extragradient')",
        "    return config",
    ]
    file = tmp_path_factory.mktemp("configs") / "four.py"
    file.write_text("\n".join(lines))
    return file


@pytest.mark.parametrize(("flags", "labels"), [((), 6), (("--map",), 5)])
def test_tables_and_pictures(config_file, tmp_path, capsys, flags, labels):
    out = tmp_path / "x.png"
    assert main(["methods", f"--config={config_file}", *flags, f"--out={out}"]) == 0
    first, head, *rows, last = capsys.readouterr().out.splitlines()
    assert first.endswith("SGD: anchored")
    assert head.split()[0] == "method"
    assert len(rows) == labels
    assert last == str(out)
    assert out.stat().st_size > 20_000


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--config=configs/games/nothing.py"], "nothing.py"),
        (["--config=" + str(ROOT / "configs/gan/ring8.py")], "is no toy game"),
        ([f"--config={CONFIG}", "--config.games.methods.lead.updates=leed"], "did you mean 'lead'"),
        ([f"--config={CONFIG}", "--out=x.txt"], "must end in"),
    ],
)
def test_bad_input_is_one_line(capsys, arguments, text):
    assert text in refusal(main, capsys, "methods", *arguments)


def test_a_game_without_linear_methods_is_refused(config_file, capsys):
    labels = ["alternating", "alternating_negative", "optimistic", "lead", "competitive", "extragradient"]
    adam = [
        f"--config.games.methods.{label}.{field}"
        for label in labels
        for field in ("optimizers.gen.name=adam", "optimizers.gen.kwargs={}", "allow_unsound=True")
    ]
    text = refusal(main, capsys, "methods", f"--config={config_file}", "--map", *adam)
    assert "config.games.methods: none is one linear map" in text
