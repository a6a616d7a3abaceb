"""SNLI through a folder that TFDS's own writer makes here: words, numbers, vectors, and what is refused."""

import numpy as np
import pytest
from tiny_snli import PAIRS, VECTORS, write_set, write_vectors

from lib.data import DataSpec, load, sentence_pairs, tfds
from lib.data.sentence_pairs import tokenize
from lib.errors import ConfigError


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    root = tmp_path_factory.mktemp("tensorflow_datasets")
    write_set(root)
    return root


@pytest.fixture
def vectors(tmp_path):
    write_vectors(tmp_path / "glove.txt")
    return tmp_path / "glove.txt"


def labelled(split: str) -> list[tuple[str, str, int]]:
    return [pair for pair in PAIRS[split] if pair[2] >= 0]


def sentences(split: str) -> list[list[str]]:
    """Returns the words of each sentence of the labelled pairs, one after another."""
    return [tokenize(sentence) for pair in labelled(split) for sentence in pair[:2]]


def assert_words(image: np.ndarray, expected: list[list]) -> None:
    """Checks that sentences' rows are equal where their numbers are, and 0 behind them."""
    t = image.shape[-1]
    np.testing.assert_array_equal(image.reshape(-1, t), [row + [0] * (t - len(row)) for row in expected])


def error_of(*args, **kwargs) -> str:
    with pytest.raises(ConfigError) as error:
        load(*args, **kwargs)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_words_are_those_of_the_penn_treebank():
    expected = "<s> The man does n't sleep , and can not ( yet ) . </s>"
    assert " ".join(tokenize("The man  doesn't\tsleep, and cannot (yet).")) == expected


def test_without_vectors_every_word_of_training_has_a_number(data_dir):
    data = load("snli", "train", str(data_dir))
    numbers = {}
    for words in sentences("train"):
        for word in words:
            numbers.setdefault(word, len(numbers) + 1)
    assert len(numbers) > 20
    assert data.image.dtype == np.int32
    assert_words(data.image, [[numbers[w] for w in words] for words in sentences("train")])
    np.testing.assert_array_equal(data.label, [label for *_, label in labelled("train")])
    assert (data.num_classes, data.vocabulary.size, data.vocabulary.vectors) == (3, len(numbers), None)
    held_out = load("snli", "validation", str(data_dir))
    known = [[numbers[w] for w in words if w in numbers] for words in sentences("validation")]
    assert any(len(a) < len(b) for a, b in zip(known, sentences("validation"), strict=True))
    assert_words(held_out.image, known)
    assert held_out.image_shape == data.image_shape == DataSpec.of(data).image_shape


def test_words_without_a_vector_are_left_out(data_dir, vectors):
    for split in PAIRS:
        data = load("snli", split, str(data_dir), {"vectors": str(vectors)})
        table = data.vocabulary.vectors
        assert table.dtype == np.float32
        assert not table[0].any()
        expected = [[VECTORS[w] for w in words if w in VECTORS] for words in sentences(split)]
        assert len(table) == data.vocabulary.size + 1 == 1 + len(VECTORS) - 1  # zzz is in no sentence
        for row, vectors_of in zip(data.image.reshape(-1, data.image.shape[-1]), expected, strict=True):
            np.testing.assert_array_equal(table[row[row > 0]], np.reshape(vectors_of, (-1, 3)).astype("f"))
            assert not row[len(vectors_of) :].any()


def test_the_order_of_a_file_does_not_matter_and_its_content_does(data_dir, vectors, tmp_path):
    def loaded(lines: list[str]):
        (tmp_path / "other.txt").write_text("".join(lines))
        return load("snli", "train", str(data_dir), {"vectors": str(tmp_path / "other.txt")})

    lines = vectors.read_text().splitlines(keepends=True)
    first, turned, header, spaced = (
        loaded(text) for text in (lines, lines[::-1], ["7 3\n", *lines], [". . 9 9 9\n", *lines])
    )
    for other in (turned, header, spaced):
        np.testing.assert_array_equal(other.image, first.image)
        np.testing.assert_array_equal(other.vocabulary.vectors, first.vocabulary.vectors)
        assert other.words_digest == first.words_digest
    changed = loaded([lines[0].replace("0", "5"), *lines[1:]])
    assert changed.words_digest != first.words_digest
    assert loaded(lines[1:]).words_digest not in (first.words_digest, changed.words_digest)
    assert load("snli", "train", str(data_dir)).words_digest not in ("", first.words_digest)


def test_slices_truncation_and_a_second_use_without_tensorflow(data_dir, monkeypatch):
    whole = load("snli", "train", str(data_dir))
    cut = load("snli", "train", str(data_dir), {"max_words": 4})
    assert whole.image.shape[-1] > 4
    np.testing.assert_array_equal(cut.image, whole.image[..., :4])

    def fail():
        raise AssertionError("TensorFlow is used")

    monkeypatch.setattr(tfds, "tensorflow_datasets", fail)
    monkeypatch.setattr(sentence_pairs, "tensorflow_datasets", fail)
    part = load("snli", "train[1:3]", str(data_dir))
    np.testing.assert_array_equal(part.image, whole.image[1:3])
    np.testing.assert_array_equal(part.label, whole.label[1:3])


def test_damage_in_the_cache_is_made_good(data_dir, capsys):
    whole = np.array(load("snli", "train", str(data_dir)).image)  # not the map of the file
    folder = next((tfds.cache_dir() / "datasets").iterdir())
    np.save(folder / "train_words.npy", np.zeros((2, 2, 3), np.int32))
    again = load("snli", "train", str(data_dir))
    assert "is damaged" in capsys.readouterr().out
    np.testing.assert_array_equal(again.image, whole)


def test_files_that_are_not_in_glove_s_format_are_refused(data_dir, tmp_path):
    def refused(text: str) -> str:
        (tmp_path / "bad.txt").write_text(text)
        return error_of("snli", "train", str(data_dir), {"vectors": str(tmp_path / "bad.txt")})

    assert "no file" in error_of("snli", "train", str(data_dir), {"vectors": "nowhere.txt"})
    assert "line 2" in refused("A 1 2 3\nman 1 2\nof 1 2 3\n")
    assert "line 1" in refused("A one two\n")
    assert "GloVe's format" in refused("A\n")
    assert "line 1" in refused("A 1 nan\n")
    assert "none of the set's" in refused("Q 1 2\n")
    assert "config.dataset.kwargs.vectors" in refused("")


def test_versions_splits_and_arguments_that_are_not_there_are_refused(data_dir, tmp_path):
    assert "no split 'dev'" in error_of("snli", "dev", str(data_dir))
    assert "did you mean 'vectors'" in error_of("snli", "train", str(data_dir), {"vector": "x"})
    assert "is not in" in error_of("snli", "train", str(tmp_path / "empty"))
    assert "TFDS cannot use 'snli:9.9.9'" in error_of("snli:9.9.9", "train", str(data_dir))


def test_damaged_files_of_the_set_are_refused(tmp_path):
    write_set(tmp_path)
    for file in tmp_path.rglob("*tfrecord*"):
        file.write_bytes(file.read_bytes()[:-3])
    assert "damaged" in error_of("snli", "train", str(tmp_path))
