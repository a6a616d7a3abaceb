"""The fields that every config has, and what they mean."""

import ml_collections
from ml_collections import ConfigDict


def base() -> ConfigDict:
    """Defaults of everything that is not particular to an experiment."""
    config = ml_collections.ConfigDict()
    config.experiment = ""  # a name in experiments/registry.py; its own section has that name too
    config.seed = 0  # fixes the initial parameters, the order of the data and all samples
    config.num_steps = 10_000  # training steps in all, also when a run is continued
    # The same in passes over the training examples, such as 10.0 or 0.5: above 0 it sets num_steps, rounded
    # up to whole steps. Not for data that are drawn without end, or for none.
    config.num_epochs = 0.0
    # Stop before that where a record of a metric reaches a value: train/model_loss:0.29, or
    # test/accuracy:0.97 of held-out data. Losses fall to it and others rise; a minus turns that round.
    config.stop_at = ""
    config.batch_size = 128  # over all devices: must divide by their number
    # Training steps per call of the device; 0: up to 100, but on CPUs 1 where one is large or has
    # convolutions.
    config.steps_per_dispatch = 0
    # Steps between lines of metrics/train.jsonl, which have the means over these steps; the line of step 0
    # has what the first step measures.
    config.log_every = 100
    # Besides, so many lines for every tenfold of steps, evenly spaced in their logarithm; 0: none.
    config.log_per_decade = 0
    # Besides, a line of metrics/epochs.jsonl at the end of each epoch: the means over exactly its steps. An
    # epoch in which the run was stopped and resumed has none.
    config.epoch_means = False
    config.eval_every = 1_000  # steps between lines of metrics/eval.jsonl; 0: never
    config.figures_every = 0  # steps between pictures; 0: only at the end
    config.checkpoint_every = 1_000  # steps between checkpoints; the last step always has one
    # Besides, so many seconds after the last line, or the last checkpoint, at the end of a call of the
    # device; 0: never. Which steps these are differs from run to run.
    config.log_seconds = 0.0
    config.checkpoint_seconds = 0.0
    config.keep_checkpoints = 3  # how many of the newest checkpoints stay on disk
    config.trackers = ()  # beside TensorBoard and the JSON lines: trackio, wandb; to be installed first
    # train: where a new run starts from; the section of a GAN or a classifier may differ from that run's
    # (experiments/warm_start.py). eval: what is scored. A work directory, its checkpoints folder, or one
    # step's folder. Empty: train from scratch, evaluate the newest of the work directory.
    config.restore_path = ""

    config.dataset = ConfigDict()
    # Built in: digits, ring8, grid16, linear_spectrum, exponential_spectrum; none, where none are read. On
    # disk: a matrix or images (FILE.npy, FILE.npz, or FILE.npz:KEY where it holds several), a FOLDER/ of
    # PNG or JPEG files (lib/data/image_folder.py), any TFDS image set, snli.
    config.dataset.name = "digits"
    # Of the spectra: d, largest, smallest, seed. Of TFDS's image sets and folders: size, the side of the
    # square that is kept of each image, which sets with images of several sizes need; resize, the shorter
    # side of an image before the square is cut out of its centre (default: size). Of snli: vectors, a text
    # file of word vectors (GloVe's), without which networks learn their own; max_words of a sentence (0:
    # all). Others take none.
    config.dataset.kwargs = ConfigDict()
    config.dataset.data_dir = ""  # of TFDS; empty: TFDS_DATA_DIR, or TFDS's own default
    config.dataset.train_split = "train"  # or a slice of a split, such as train[:1000] or train[-10%:]
    # validation: the examples that validation_size holds out. A set's own split of that name is then
    # validation[:].
    config.dataset.eval_split = "test"
    config.dataset.validation_size = 0  # how many examples of train_split are held out of training
    config.dataset.validation_seed = 0  # which ones: the same for every config.seed
    config.dataset.device_limit_gb = 4.0  # a larger set is streamed from disk, with the same batches

    config.eval = _evaluation()
    return config


def _evaluation() -> ConfigDict:
    """Returns the section of the evaluator."""
    section = ConfigDict()
    # What computes logits and features: checkpoint (a classifier trained here), vgg16 or alexnet (of
    # ImageNet, the same everywhere; installed on first use), inception (TF-GAN's; its scores alone are
    # called IS, FID and KID; vgg16 where its file is not found), saved_model (any TensorFlow SavedModel).
    section.network = "checkpoint"
    # Where that is: a classifier run's work directory, a file of weights, or a SavedModel's folder.
    section.network_path = ""
    section.classifier = "classifier/digits"  # its config; trained once, then cached
    section.num_samples = 50_000  # generated samples to score, over all splits
    section.num_splits = 5  # scores are means over so many equal parts, with their spread
    # Images of each kind in the kernel distance and in the scores by nearest neighbours.
    section.kernel_samples = 2_000
    section.neighbours = 5  # k of precision, recall, density and coverage
    section.batch_size = 500  # samples per call of the device
    # What samples are compared with: a split, also train, as papers often have it; empty:
    # dataset.eval_split.
    section.reference_split = ""
    # Or statistics that another tool has computed with the same network: an npz with mu and sigma. Then
    # there is a Frechet distance, and no score that needs features of single images.
    section.reference_statistics = ""
    # What --follow keeps the best checkpoint by; empty: the first score. Distances and losses are better
    # when they are lower; say so of any other metric with a minus before its name.
    section.best_metric = ""
    return section


def named(name: str, **kwargs) -> ConfigDict:
    """Returns the section of what is chosen by name: a model, a GAN's networks, a schedule.

    On the command line `--config.SECTION.kwargs={}` takes off what a config has set, for another name.
    """
    return ConfigDict({"name": name, "kwargs": kwargs})


def optimizer(name: str, learning_rate: float, **kwargs) -> ConfigDict:
    """Returns the section of an optimiser, one of this project's or any of optax's, with its arguments."""
    section = ConfigDict()
    section.name = name
    section.learning_rate = learning_rate
    section.kwargs = ConfigDict(kwargs)  # such as momentum (may be negative) and nesterov of sgd
    # A factor on learning_rate: constant, harmonic (rises to 1 at warm_up_step 0, then scale / (t + shift),
    # which is end_factor at end_step), slingshot (1 and -1 in turn, `first` 1), or any public schedule of
    # optax with its arguments. Unless they say otherwise it starts at 1 (where it has a peak: rises from 0
    # to 1); boundaries_and_scales are pairs.
    # Counted in this optimiser's own updates, of which a step may have several.
    section.schedule = named("constant")
    section.clip_norm = 0.0  # of the whole gradient, after clip_value; 0: not clipped
    section.clip_value = 0.0  # of every component of the gradient; 0: not clipped
    return section
