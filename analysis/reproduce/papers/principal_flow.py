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
            below(of["principal_flow"], 1e-5),
            less("principal flow", of["principal_flow"], "gradient flow", of["gradient_flow"], factor=100),
        )

    return check


def _no_other_oscillates(results: Results) -> Finding:
    of = results.computed[OSCILLATING.title]
    return all_of(above(of["gradient_flow"], 0.1), above(of["igr"], 0.1))


def _beyond_quadratics(results: Results) -> Finding:
    of = results.computed[BANANA.title]
    return less("principal flow", of["principal_flow"], "IGR", of["igr"])


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
    largest = {rate: float(_saved(results, rate)["sharpness"].max()) * rate / 2 for rate in SGD}
    text = ", ".join(f"rate {rate:g}: {value:.2f}" for rate, value in largest.items())
    return Finding(f"largest sharpness over 2/h: {text}", min(largest.values()) >= 1)


def _larger_rate_flatter(results: Results) -> Finding:
    late = {rate: float(_saved(results, rate)["sharpness"].max()) for rate in SGD}
    return less("largest sharpness at 0.2", late[0.2], "at 0.05", late[0.05])


def _unstable_directions_hold_the_gradient(results: Results) -> Finding:
    """Compares the gradient's share along u_1 where h lam_1 is above 2 and below 1.9."""
    saved = _saved(results, 0.1)
    over, under = saved["h lam 1"] > 2, saved["h lam 1"] < 1.9
    if not (over.any() and under.any()):
        return Finding("no checkpoints on both sides of 2", False)
    means = [float(saved.loc[side, "share 1"].mean()) for side in (over, under)]
    return less("mean share below", means[1], "above", means[0])


def _diverges(results: Results, p: float) -> bool:
    return any(run.status == "failed" for run in results.runs("mnist", p)) or not np.isfinite(
        results.last("mnist", p, "test/loss").mean
    )


def _needs_no_rate(results: Results) -> Finding:
    accuracy = results.last("mnist", 1.0, "test/accuracy")
    return above(accuracy, 0.95)


def _sgd_diverges(results: Results) -> Finding:
    text = ", ".join(f"p = {p:g} {'diverges' if _diverges(results, p) else 'trains'}" for p in DAL)
    return Finding(text, _diverges(results, 0.0) and not _diverges(results, 1.0))


def _smaller_p_is_less_stable(results: Results) -> Finding:
    half, one = (results.last("mnist", p, "test/loss") for p in (0.5, 1.0))
    return less("held-out loss with p = 1", one, "0.5", half)


def _draw_dal(results: Results):
    trained = [p for p in DAL if not _diverges(results, p)]
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
                Claim("oscillating", "also where gradient descent oscillates", _exact(OSCILLATING)),
                Claim("unstable", "and where it diverges", _exact(UNSTABLE)),
                Claim("others", "gradient flow and IGR do not oscillate", _no_other_oscillates),
                Claim(
                    "banana", "it is nearer than IGR beyond quadratics, on the banana", _beyond_quadratics
                ),
            ],
            compute=largest_distances,
            draw=lambda results: principal_flow.draw(),
        ),
        Figure(
            "edge",
            "The edge of stability: sharpness, h lam_i and the gradient's shares along training",
            [
                Claim("edge", "the sharpness rises to 2/h", _reaches_the_edge),
                Claim("rates", "which is lower for larger rates", _larger_rate_flatter),
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
                Claim("p", "p = 1 is more stable than p = 0.5", _smaller_p_is_less_stable),
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
