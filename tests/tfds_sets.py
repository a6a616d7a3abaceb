"""Small TFDS sets that tests write, by TFDS's own writer."""

from lib.tensorflow import tensorflow_datasets

CLASSES = 3


def write(root, name: str, splits: dict, shape=(4, 5, 1), version: str = "1.0.0") -> None:
    """Writes a TFDS set; `splits` are {split: (images, labels)}."""
    tfds = tensorflow_datasets()
    features = {"image": tfds.features.Image(shape=shape)}
    features["label"] = tfds.features.ClassLabel(num_classes=CLASSES)
    examples = {
        split: [(i, {"image": x, "label": int(y)}) for i, (x, y) in enumerate(zip(*arrays, strict=True))]
        for split, arrays in splits.items()
    }
    tfds.dataset_builders.store_as_tfds_dataset(
        name=name,
        version=version,
        data_dir=root,
        features=tfds.features.FeaturesDict(features),
        split_datasets=examples,
        disable_shuffling=True,
    )
