"""The classifier of pairs of sentences: against NumPy, at its published size, trained on a tiny SNLI."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import ROOT, refusal, small_config, states_equal, trained
from tiny_snli import write_set, write_vectors

from eval.main import main as eval_main
from experiments import registry
from experiments.main import main
from lib.data import Dataset, DataSpec, Splits
from lib.data.dataset import Vocabulary
from lib.errors import ConfigError
from lib.nets.sentence_pairs import SentencePairs

SMALL = ["classifier.model.kwargs.hidden=5", "classifier.model.kwargs.dense=(4,)"]
SMALL += ["classifier.model.kwargs.embedding=3", "batch_size=4", "classifier.optimizer.learning_rate=0.1"]


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    """Writes the set and word vectors; returns overrides that name them."""
    monkeypatch.setenv("GRADIENT_DYNAMICS_CACHE", str(tmp_path / "cache"))
    write_set(tmp_path / "tfds")
    write_vectors(tmp_path / "glove.txt")
    return [f"dataset.data_dir={tmp_path / 'tfds'}"], f"dataset.kwargs.vectors={tmp_path / 'glove.txt'}"


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def lstm(cell, x: np.ndarray) -> np.ndarray:
    """Returns the outputs [t, h] of an LSTM on a sentence [t, d]."""
    h = c = np.zeros(len(cell["hi"]["bias"]))
    outputs = []
    for row in x:
        i, f, g, o = (
            row @ cell[f"i{gate}"]["kernel"] + h @ cell[f"h{gate}"]["kernel"] + cell[f"h{gate}"]["bias"]
            for gate in "ifgo"
        )
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        outputs.append(h)
    return np.reshape(outputs, (-1, len(h)))


@pytest.mark.parametrize("has_vectors", [True, False])
def test_logits_are_their_transcription(float64, has_vectors):
    rng = np.random.default_rng(0)
    words = rng.integers(1, 8, (6, 2, 7))
    lengths = np.array([7, 1, 3, 5, 2, 0, 4, 4, 6, 7, 1, 2]).reshape(6, 2)
    words *= np.arange(7) < lengths[..., None]
    vectors = jnp.asarray(rng.normal(size=(9, 3))) if has_vectors else None
    net = SentencePairs(num_classes=3, num_words=8, hidden=5, dense=(4,), embedding=3)
    params = net.init(jax.random.key(0), (words, vectors), train=False)["params"]
    params = jax.tree.map(lambda x: x + rng.normal(size=x.shape), params)  # biases are not 0
    logits, features = net.apply({"params": params}, (words, vectors), train=True)
    p = jax.tree.map(lambda x: np.asarray(x, np.float64), params)
    table = np.asarray(vectors) if has_vectors else p["Embed_0"]["embedding"]
    assert ("Embed_0" in p) != has_vectors
    for pair, found, found_features in zip(words, logits, features, strict=True):
        codes = []
        for sentence in pair:
            x = table[sentence[sentence > 0]]
            both = lstm(p["OptimizedLSTMCell_0"], x), lstm(p["OptimizedLSTMCell_1"], x[::-1])[::-1]
            codes.append(np.concatenate([np.maximum(h.max(0, initial=0.0), 0) for h in both]))
        u, v = codes
        expected = np.concatenate([u, v, abs(u - v), u * v])
        np.testing.assert_allclose(found_features, expected, rtol=1e-10, atol=1e-12)
        for name in ("Dense_0", "Dense_1"):
            expected = expected @ p[name]["kernel"] + p[name]["bias"]
        np.testing.assert_allclose(found, expected, rtol=1e-10)


def test_the_published_network_has_47_million_parameters():
    net = SentencePairs(num_classes=3, num_words=4, hidden=2048, dense=(512, 512), embedding=300)
    inputs = np.ones((1, 2, 3), np.int32), np.ones((5, 300), np.float32)
    params = jax.eval_shape(lambda: net.init(jax.random.key(0), inputs, train=False))
    lstm = 2 * 4 * (300 * 2048 + 2048 * 2048 + 2048)  # the published code has each bias twice
    dense = 16384 * 512 + 512 + 512 * 512 + 512 + 512 * 3 + 3
    count = sum(x.size for x in jax.tree.leaves(params))
    assert count == lstm + dense == 47_155_715 - 2 * 4 * 2048


def test_first_weights_are_uniform_around_zero():
    net = SentencePairs(num_classes=3, num_words=4, hidden=400, dense=(8,), embedding=30)
    inputs = np.ones((1, 2, 3), np.int32), np.ones((5, 30), np.float32)
    params = net.init(jax.random.key(0), inputs, train=False)["params"]
    for name, cell in params.items():
        bound = 1 / 20 if "LSTM" in name else 1 / np.sqrt(len(cell["kernel"]))
        for path, x in jax.tree_util.tree_leaves_with_path(cell):
            is_lstm_bias = "LSTM" in name and path[-1].key == "bias"  # a sum of two
            assert np.abs(x).max() <= bound * (1 + is_lstm_bias) * (1 + 1e-6)
            assert (np.abs(x).max() > bound) == is_lstm_bias
            if x.size > 1000:
                np.testing.assert_allclose([x.mean(), x.std()], [0, bound / 3**0.5], atol=0.05 * bound)


@pytest.mark.parametrize("has_vectors", [True, False])
def test_a_run_trains_and_is_the_same_on_two_devices(make, tiny, has_vectors):
    data, vectors = tiny
    args = ["classifier/snli", *SMALL, *data, *([vectors] if has_vectors else [])]
    one = trained(make(*args, workdir="one"))
    trainer = make(*args, num_devices=2, workdir="two")
    start, two = trainer.programs.init(), trained(trainer)
    moved = jax.tree.map(lambda a, b: float(np.abs(a - b).max()), start.params, two.params)
    assert all(x > 0 for x in jax.tree.leaves(moved))
    for a, b in zip(jax.tree.leaves(one.params), jax.tree.leaves(two.params), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)
    table = one.net_state["inputs"].get("vectors")
    assert (table is not None) == has_vectors
    if has_vectors:
        np.testing.assert_array_equal(table, trainer.programs.data.train.vocabulary.vectors)
    assert trainer.programs.evaluate(trainer.programs.place(two)).keys() >= {"loss", "accuracy"}


@pytest.mark.parametrize("has_vectors", [True, False])
def test_a_run_that_was_stopped_goes_on_as_if_it_had_not_been(make, tiny, has_vectors):
    data, vectors = tiny
    args = ["classifier/snli", *SMALL, *data, *([vectors] if has_vectors else [])]
    whole = trained(make(*args, workdir="whole"))
    trained(make(*args, "num_steps=2", workdir="parts"))
    assert states_equal(trained(make(*args, workdir="parts")), whole)


def test_another_file_of_vectors_is_refused_and_another_path_is_not(tiny, tmp_path, monkeypatch, capsys):
    data, _ = tiny
    monkeypatch.chdir(tmp_path)
    (tmp_path / "elsewhere").mkdir()
    config, run = ROOT / "configs/classifier/snli.py", f"--workdir={tmp_path / 'run'}"
    steps = ["num_steps=2", "log_every=1", "checkpoint_every=1", "eval_every=1"]
    common = [f"--config={config}", run, *(f"--config.{o}" for o in [*SMALL, *data, *steps])]
    assert main([*common, "--config.dataset.kwargs.vectors=glove.txt"]) == 0  # a path from here
    evaluate = [f"--config.restore_path={tmp_path / 'run'}"]
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert eval_main(evaluate) == 0
    lines = (tmp_path / "glove.txt").read_text().splitlines(keepends=True)
    (tmp_path / "moved.txt").write_text("".join(lines[::-1]))
    moved = f"--config.dataset.kwargs.vectors={tmp_path / 'moved.txt'}"
    assert eval_main([*evaluate, moved]) == 0
    (tmp_path / "moved.txt").write_text("".join([lines[0].replace("0", "5"), *lines[1:]]))
    for program, arguments in ((eval_main, evaluate), (main, [*common, "--config.num_steps=3"])):
        error = refusal(program, capsys, *arguments, moved)
        assert "vectors are not those that the run in" in error
        assert "config.dataset.kwargs.vectors" in error


def test_it_learns_the_tiny_set(make, tiny):
    data, _ = tiny
    adam = ["classifier.optimizer.name=adam", "classifier.optimizer.learning_rate=0.02", "num_steps=60"]
    trainer = make("classifier/snli", *SMALL, *data, *adam, "dataset.eval_split=train", "batch_size=6")
    first = trainer.programs.evaluate(trainer.programs.place(trainer.programs.init()))
    last = trainer.programs.evaluate(trainer.programs.place(trained(trainer)))
    assert last["loss"] < 0.3 < 0.9 < first["loss"]
    assert last["accuracy"] == 1.0


def pairs(n: int = 8) -> Dataset:
    words = np.random.default_rng(0).integers(0, 5, (n, 2, 3)).astype(np.int32)
    return Dataset(words, np.arange(n, dtype=np.int32) % 3, 3, vocabulary=Vocabulary(4, None))


def pairs_alone(section) -> Splits:
    """Returns the same data for every section of a config."""
    del section
    return Splits(pairs(), pairs())


@pytest.mark.parametrize(
    "config, override, text",
    [
        ("classifier/snli", "classifier.model.name=mlp", "'mlp' reads images, .* use sentence_pairs"),
        ("classifier/snli", "classifier.normalization=standard", "classifier.normalization: 'standard'"),
        ("classifier/snli", "classifier.augmentation.flip=True", "classifier.augmentation.flip: is for"),
        ("classifier/snli", "classifier.augmentation.crop_padding=1", "augmentation.crop_padding: is for"),
        ("gan/digits", "dataset.name=snli", "has sentences, which 'gan' does not take"),
        ("eigengame/digits", "dataset.name=snli", "has sentences, which 'eigengame' does not take"),
    ],
)
def test_what_does_not_fit_sentences_is_refused(config, override, text):
    with pytest.raises(ConfigError, match=text):
        registry.programs(registry.validated(small_config(config, override)), load=pairs_alone)


def test_a_network_of_sentences_refuses_images():
    raw = small_config("classifier/digits")
    raw.classifier.model = {"name": "sentence_pairs", "kwargs": {}}
    image = Dataset(np.zeros((8, 8, 8, 1), np.uint8), np.zeros(8, np.int32), 3)
    with pytest.raises(ConfigError, match="reads sentences, but 'digits' has images; use logistic"):
        registry.build(registry.validated(raw), DataSpec.of(image))
