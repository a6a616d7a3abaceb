"""On a Continuous Time Model of Gradient Descent, TMLR 2023: flows, the edge of stability, DAL."""

import numpy as np

from analysis import principal_flow, sharpness
from analysis.reproduce.findings import above, all_of, below, less
from analysis.reproduce.paper import Claim, Figure, Finding, Paper, Scale, Training
from analysis.reproduce.papers.principal_flow_dal import DAL, DAL_RESNET
from analysis.reproduce.results import Results

STABLE, OSCILLATING, UNSTABLE, BANANA = principal_flow.PLANES
SGD = {rate: {"classifier.optimizer.learning_rate": rate} for rate in (0.05, 0.1, 0.2)}


def largest_distances(results: Results) -> dict[str, dict[str, float]]:
    """Returns {setting: {flow: largest distance from gradient descent}}."""
    del results
    return {
        setting.title: {
            name: float(values.max()) for name, values in principal_flow.distances(setting).items()
        }
        for setting in principal_flow.PLANES
    }


def _table_distances(results: Results):
    flows = list(results.computed[BANANA.title])
    rows = [("largest distance from gradient descent", *(name.replace("_", " ") for name in flows))]
    for title, of in results.computed.items():
        rows.append((title, *(f"{of[name]:.2g}" if name in of else "" for name in flows)))
    return rows


def _exact(setting) -> "callable":
    def check(results: Results) -> Finding:
        of = results.computed[setting.title]
        return all_of(
            below("largest distance of the principal flow", of["principal_flow"], 1e-5),
            less(
                "100 times that distance",
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
    """Checks that sharpness begins below 2/h, reaches it, and is near it at most checkpoints after."""
    texts, holds = [], []
    for rate in SGD:
        ratios = _saved(results, rate)["sharpness"].to_numpy() * rate / 2
        (reached,) = np.nonzero(ratios >= 1)
        later = ratios[reached[0] :][:10] if len(reached) else ratios[:0]
        near = int((np.abs(later - 1) < 0.25).sum())
        texts.append(
            f"rate {rate:g}: from {ratios[0]:.2f} to {ratios.max():.2f}, near 1 at {near} of the next 10"
        )
        holds.append(ratios[0] < 1 and near > 5)
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
    return all_of(
        above("mean share of u_1 where h lam_1 is above 2", means[0], 0.5),
        less("where it is below 1.9", means[1], "above 2", means[0]),
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
                    "the principal flow passes through every iterate also where gradient "
                    "descent oscillates",
                    _exact(OSCILLATING),
                ),
                Claim(
                    "unstable",
                    "the principal flow passes through every iterate also where gradient descent diverges",
                    _exact(UNSTABLE),
                ),
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
            table=_table_distances,
            notes="On a quadratic the term of third order is zero.",
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
        DAL,
        DAL_RESNET,
    ],
)
