"""Base of all CCA configs: what each field of the `cca` section means."""

from ml_collections import ConfigDict

from configs import common


def base() -> ConfigDict:
    """Returns canonical correlations of the left with the right half by gamma-EigenGame."""
    config = common.base()
    config.experiment = "cca"
    config.dataset.eval_split = "train"  # correlations are those of the training rows
    section = config.cca = ConfigDict()
    # Of two views: cca (canonical correlations), pls (covariances: partial least squares), mlr
    # (multivariate linear regression of the second view on the first). Of whole rows: inverse (of the
    # covariance), ica (independent components by their kurtosis): lib/eigengame/generalized/problems.py
    section.problem = "cca"
    # gamma: players have an order, and find eigenvectors one by one. eckart_young: no order, only the
    # subspace: directions.py
    section.rule = "gamma"
    section.maximize = True  # ica: False: sources with a kurtosis below a normal's come first
    # unbiased: A and B of a direction are of different halves of a batch. biased: both of the whole batch.
    section.estimator = "unbiased"
    section.k = 8  # pairs of vectors, or vectors, one player each; must divide by the number of devices
    section.split = 0  # the first view: so many columns of an image, or of a matrix; 0: half of them
    section.epsilon = 0.01  # added to B's variances, of mlr to the first view's; images are in 0 .. 1
    section.gamma = 0.1  # the share of a batch in the players' running means of their parents
    section.optimizer = common.optimizer("sgd", 1.0, momentum=0.9, nesterov=True)  # of each player
    return config
