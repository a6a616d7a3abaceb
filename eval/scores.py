"""TF-GAN's scores of a set of images, from a network's logits and features."""

import numpy as np

from eval.tfgan import tfgan_eval


def classifier_score(logits: np.ndarray) -> float:
    """exp E_x KL(p(y|x) || p(y)): the Inception score, for any network's logits [n, classes]."""
    return float(tfgan_eval().classifier_score_from_logits(logits))


def frechet_distance(real: np.ndarray, other: np.ndarray) -> float:
    """||m - m'||^2 + Tr(S + S' - 2 (S S')^(1/2)) between Gaussians fitted to features [n, d]."""
    distance = tfgan_eval().frechet_classifier_distance_from_activations
    return float(distance(np.asarray(real, np.float64), np.asarray(other, np.float64)))
