"""On a Continuous Time Model of Gradient Descent, TMLR 2023: flows, the edge of stability, DAL."""

import numpy as np

from analysis import principal_flow, sharpness
from analysis.reproduce.findings import above, all_of, below, less
from analysis.reproduce.paper import Claim, Figure, Finding, Paper, Scale, Training
from analysis.reproduce.pictures import curves
from analysis.reproduce.presets import DIGITS
from analysis.reproduce.results import Results
from analysis.reproduce.tables import of_methods

STABLE, OSCILLATING, UNSTABLE, BANANA = principal_flow.PLANES
_P = "classifier.optimizer.kwargs.p"
DAL = {p: {_P: p} for p in (0.0, 0.25, 0.5, 1.0)}
SGD = {rate: {"classifier.optimizer.learning_rate": rate} for rate in (0.05, 0.1, 0.2)}


def largest_distances(results: Results) -> dict[str, dict[str, float]]:
    """Returns {setting: {flow: largest distance from gradient descent}}."""
    del results
    settings = (*principal_flow.PLANES, principal_flow.LINE)
    return {
        setting.title: {
            name: float(values.max()) for name, values in principal_flow.distances(setting).items()
        }
        for setting in settings
    }


def _exact(setting) -> "callable":
    def check(results: Results) -> Finding:
        of = results.computed[setting.title]
        return all_of(
            below("largest distance of the principal flow", of["principal_flow"], 1e-5),
            less(
                "100 times that of the principal flow",
                100 * of["principal_flow"],
                "of gradient flow",
                of["gradient_flow"],
            ),
        )

    return check


def _sign_changes(values: np.ndarray) -> int:
    """Counts how often values jump over 0; those that are 0 to rounding are left out."""
    signs = np.sign(values.real)[np.abs(values.real) > 1e-6]
    return int((np.diff(signs) != 0).sum())


def _no_other_oscillates(results: Results) -> Finding:
    """Counts sign changes along the eigenvector with h lam = 1.8, at the times of the iterates."""
    iterates, paths = principal_flow.follow(OSCILLATING)
    counts = {name: _sign_changes(values[:, 0]) for name, values in _at_iterates(paths).items()}
    steps = _sign_changes(iterates[:, 0])
    text = ", ".join(f"{name.replace('_', ' ')} {count}" for name, count in counts.items())
    holds = counts["gradient_flow"] == counts["igr"] == 0 and counts["principal_flow"] == steps > 0
    return Finding(f"sign changes: gradient descent {steps}, {text}", holds)


def _at_iterates(paths: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    steps = OSCILLATING.steps
    return {name: path[:: (len(path) - 1) // steps] for name, path in paths.items()}


def _beyond_quadratics(results: Results) -> Finding:
    of = results.computed[BANANA.title]
    return less("largest distance of the principal flow", of["principal_flow"], "IGR", of["igr"])


def _third_order(results: Results) -> Finding:
    of = results.computed[BANANA.title]
    third, without = of["principal_flow_third_order"], of["principal_flow"]
    return less("largest distance with the third-order term", third, "without", without)


def edge(results: Results) -> dict:
    """Returns {rate: the sharpness curve} of the runs of SGD, with stability coefficients and shares."""
    found = {}
    for rate in SGD:
        run = results.runs("digits", rate)[0]
        (curve,) = sharpness.read_curves([results.folder / "digits" / run.name], k=3)
        found[rate] = curve
    return found


def _saved(results: Results, rate: float):
    return results.computed[rate].records[0].dropna(subset="sharpness")


def _reaches_the_edge(results: Results) -> Finding:
    """Checks that sharpness begins below 2/h, reaches it, and is then near it for ten checkpoints."""
    texts, holds = [], []
    for rate in SGD:
        ratios = _saved(results, rate)["sharpness"].to_numpy() * rate / 2
        (reached,) = np.nonzero(ratios >= 1)
        at_edge = ratios[reached[0] :][:10].mean() if len(reached) else np.nan
        texts.append(f"rate {rate:g}: from {ratios[0]:.2f} to {ratios.max():.2f}, then {at_edge:.2f}")
        holds.append(ratios[0] < 1 and abs(at_edge - 1) < 0.25)
    return Finding(f"sharpness over 2/h: {'; '.join(texts)}", all(holds))


def _larger_rate_flatter(results: Results) -> Finding:
    largest = [float(_saved(results, rate)["sharpness"].max()) for rate in sorted(SGD)]
    text = ", ".join(
        f"rate {rate:g}: {value:.4g}" for rate, value in zip(sorted(SGD), largest, strict=True)
    )
    return Finding(f"largest sharpness: {text}", largest == sorted(largest, reverse=True))


def _unstable_directions_hold_the_gradient(results: Results) -> Finding:
    """Compares the gradient's share along u_1 where h lam_1 is above 2 and below 1.9."""
    saved = _saved(results, 0.1)
    over, under = saved["h lam 1"] > 2, saved["h lam 1"] < 1.9
    if not (over.any() and under.any()):
        return Finding("no checkpoints on both sides of 2", False)
    means = [float(saved.loc[side, "share 1"].mean()) for side in (over, under)]
    return less("mean share of u_1 where h lam_1 is below 1.9", means[1], "above 2", means[0])


def _diverged(results: Results, p: float) -> int:
    """Counts the seeds with which DAL-p diverges."""
    return int((~np.isfinite(results.last("mnist", p, "test/loss").values)).sum())


def _needs_no_rate(results: Results) -> Finding:
    accuracy = results.last("mnist", 1.0, "test/accuracy")
    return above("accuracy", accuracy, 0.95)


def _sgd_diverges(results: Results) -> Finding:
    count = len(results.runs("mnist", 1.0))
    sgd, dal = _diverged(results, 0.0), _diverged(results, 1.0)
    return Finding(f"seeds that diverge: SGD {sgd} of {count}, DAL-1 {dal}", sgd == count and not dal)


def _smaller_p_is_less_stable(results: Results) -> Finding:
    counts = [_diverged(results, p) for p in DAL]
    text = ", ".join(f"p = {p:g} {count}" for p, count in zip(DAL, counts, strict=True))
    holds = counts == sorted(counts, reverse=True) and counts[0] > counts[-1]
    return Finding(f"seeds that diverge: {text}", holds)


def _smaller_rates(results: Results) -> Finding:
    half, one = (results.last("mnist", p, "train/model_learning_rate") for p in (0.5, 1.0))
    return less("last rate of p = 1", one, "of p = 0.5", half)


def _draw_dal(results: Results):
    trained = [p for p in DAL if not _diverged(results, p)]
    return curves(
        {
            title: {f"p = {p:g}": results.curves("mnist", p, metric) for p in trained}
            for title, metric in (
                ("learning rate", "train/model_learning_rate"),
                ("held-out loss", "test/loss"),
            )
        },
        "step",
        "",
    )


PAPER = Paper(
    "principal_flow",
    "The principal flow, and drift-adjusted learning rates",
    "Rosca, Wu, Qin, Dherin, 'On a Continuous Time Model of Gradient Descent Dynamics and Instability in "
    "Deep Learning', TMLR 2023.",
    "principal_flow.md",
    [
        Figure(
            "quadratic",
            "Gradient descent against the flows that model it",
            [
                Claim(
                    "stable",
                    "on a quadratic the principal flow passes through every iterate",
                    _exact(STABLE),
                ),
                Claim(
                    "oscillating",
                    "the principal flow does so also where gradient descent oscillates",
                    _exact(OSCILLATING),
                ),
                Claim("unstable", "the principal flow does so also where it diverges", _exact(UNSTABLE)),
                Claim(
                    "others",
                    "gradient flow and IGR do not oscillate, the principal flow does",
                    _no_other_oscillates,
                ),
                Claim(
                    "banana",
                    "the principal flow is nearer than IGR beyond quadratics, on the banana",
                    _beyond_quadratics,
                ),
                Claim(
                    "third order",
                    "with its term of third order the principal flow is nearer still",
                    _third_order,
                ),
            ],
            compute=largest_distances,
            draw=lambda results: principal_flow.draw(),
        ),
        Figure(
            "edge",
            "The edge of stability: sharpness, h lam_i and the gradient's shares along training",
            [
                Claim(
                    "edge", "the sharpness rises to 2/h, and stays near it for a while", _reaches_the_edge
                ),
                Claim("rates", "the larger the rate, the lower the sharpness", _larger_rate_flatter),
                Claim(
                    "unstable directions",
                    "the gradient lies along u_1 where h lam_1 is above 2",
                    _unstable_directions_hold_the_gradient,
                ),
            ],
            trainings={
                "digits": Training(
                    "classifier/digits_edge",
                    SGD,
                    {Scale.SMOKE: 1, Scale.LAPTOP: 1, Scale.PAPER: 1},
                    settings={
                        Scale.SMOKE: {
                            "classifier.model.kwargs.hidden": "(4,)",
                            "dataset.train_split": "train[:50]",
                            "batch_size": 50,
                            "checkpoint_every": 2,
                            "eval_every": 4,
                        }
                    },
                )
            },
            compute=edge,
            draw=lambda results: sharpness.draw(list(results.computed.values())),
        ),
        Figure(
            "dal",
            "DAL-p on MNIST, base rate 2",
            [
                Claim("stability", "SGD at DAL's base rate diverges, DAL-1 does not", _sgd_diverges),
                Claim("no tuning", "DAL-1 trains without a rate that was tuned", _needs_no_rate),
                Claim("p", "DAL-p is the less stable the smaller p is", _smaller_p_is_less_stable),
                Claim("rates", "the smaller p, the larger are the learning rates of DAL-p", _smaller_rates),
            ],
            trainings={
                "mnist": Training(
                    "classifier/mnist_dal",
                    DAL,
                    {Scale.SMOKE: 1, Scale.LAPTOP: 3, Scale.PAPER: 3},
                    settings={
                        Scale.SMOKE: DIGITS | {"classifier.model.kwargs.hidden": "(4,)"},
                        Scale.LAPTOP: {"num_steps": 1407, "eval_every": 469, "checkpoint_every": 1407},
                    },
                )
            },
            draw=_draw_dal,
            table=of_methods(
                "mnist",
                {
                    "last rate": "train/model_learning_rate",
                    "held-out loss": "test/loss",
                    "accuracy": "test/accuracy",
                },
                head="p",
            ),
            notes="The paper's are VGG and ResNet-18 on CIFAR-10 and ImageNet.",
        ),
    ],
)
