"""Base of all EigenGame configs: what each field of the `eigengame` section means."""

from ml_collections import ConfigDict

from configs import common


def base() -> ConfigDict:
    """Returns EigenGame Unloaded (mu) with its pseudo-code's optimiser: SGD 1e-4, Nesterov momentum 0.9."""
    config = common.base()
    config.experiment = "eigengame"
    config.dataset.eval_split = "train"  # captured variance and eigenvalues are those of the training rows
    section = config.eigengame = ConfigDict()
    # mu (EigenGame Unloaded), alpha (EigenGame), oja and krasulina (with QR), sanger (GHA)
    section.rule = "mu"
    section.k = 16  # vectors, one player each; must divide by the number of devices
    section.maximize = True  # False: the last components, of the smallest eigenvalues, the smallest first
    # What rows are centred by: none, data (their exact mean), online (the mean so far), or a .npy file with
    # one number for each feature.
    section.mean = "data"
    section.riemannian = False  # mu, alpha: project directions on the sphere's tangent space
    # Groups of devices that each see rows of their own, among which they split the players; 0: as many as
    # devices.
    section.groups = 0
    section.exact_limit = 4096  # features up to which the true eigenvectors are computed, for the metrics
    section.optimizer = common.optimizer("sgd", 1e-4, momentum=0.9, nesterov=True)  # of each player
    return config
