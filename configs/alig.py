"""The methods of the ALI-G paper's tables as overrides of a classifier's config.

Berrada, Zisserman, Kumar, 'Training Neural Networks for and by Interpolation', ICML 2020; the rates, decays
and radii that the sweeps give are its published ones.
"""

OPTIMIZER = "classifier.optimizer"
_PUBLISHED = {"adagrad": {"initial_accumulator_value": 0.0, "eps": 1e-10}, "yogi": {"eps": 1e-8}}
_KEEP_MOMENTUM = ("alig", "bpgrad", "dfw", "sgd")


def method(
    name: str,
    eta: float,
    weight_decay: float = 0.0,
    max_norm: float | None = None,
    momentum: float | None = 0.9,
    smooth: bool = False,
) -> dict:
    """Returns the overrides of one method.

    Args:
      name: of an optimiser.
      eta: its learning rate; of ALI-G, DFW and BPGrad the largest one, of L4 alpha.
      weight_decay: of L2 in the gradient; of AdamW and DFW their own.
      max_norm: of ALI-G, which has no decay: the radius of the ball for all parameters.
      momentum: of those that have it.
      smooth: whether the hinge loss, which DFW has and is for, is smoothed.
    """
    kwargs = {"momentum": momentum} if name in _KEEP_MOMENTUM and momentum is not None else {}
    if name == "sgd":
        kwargs["nesterov"] = momentum is not None
    if name in ("adamw", "dfw"):
        kwargs["weight_decay"] = weight_decay
    if max_norm is not None:
        kwargs["max_norm"] = max_norm
    overrides = {
        f"{OPTIMIZER}.name": name,
        f"{OPTIMIZER}.learning_rate": eta,
        f"{OPTIMIZER}.kwargs": kwargs,
        "classifier.l2": 0.0 if name in ("adamw", "dfw", "alig") else weight_decay,
    }
    return overrides | (hinge(smooth) if name == "dfw" else {})


def hinge(smooth: bool = False) -> dict:
    """Returns the overrides of the multi-class hinge loss."""
    return {"classifier.loss.name": "hinge", "classifier.loss.kwargs": {"smooth": smooth}}


def as_published(overrides: dict) -> dict:
    """Returns the overrides of a method with what its published code sets otherwise than optax."""
    kwargs = _PUBLISHED.get(overrides[f"{OPTIMIZER}.name"], {})
    return overrides | {f"{OPTIMIZER}.kwargs": overrides[f"{OPTIMIZER}.kwargs"] | kwargs}


def length(epochs: int, batch_size: int, train: int) -> dict:
    """Returns the overrides of a run of whole epochs, each logged, measured and saved.

    Args:
      train: how many examples there are to train on.
    """
    epoch = -(-train // batch_size)
    every = dict.fromkeys(("log_every", "eval_every", "checkpoint_every"), epoch)
    return {"batch_size": batch_size, "num_steps": epochs * epoch, **every}


def decayed(epochs: tuple[int, ...], factor: float, batch_size: int, train: int) -> dict:
    """Returns the overrides of a rate that is multiplied by a factor after some epochs."""
    epoch = -(-train // batch_size)
    pairs = tuple((e * epoch, factor) for e in epochs)
    return {
        f"{OPTIMIZER}.schedule.name": "piecewise_constant_schedule",
        f"{OPTIMIZER}.schedule.kwargs": {"boundaries_and_scales": pairs},
    }
