"""What tests of losses and of metrics share: every loss by name, and logits that none may take."""

import numpy as np

from jaxgan import losses

SMOOTHED = losses.smooth_labels(losses.non_saturating, 0.2)
LOSSES = {
    name: getattr(losses, name)
    for name in (
        *("minimax", "non_saturating", "least_squares"),
        *("wasserstein", "hinge", "relativistic"),
    )
}
GAMES = {**LOSSES, "smoothed": SMOOTHED}
WRONG = {
    "a column": np.zeros((4, 1), np.float32),
    "a map": np.zeros((4, 3, 3), np.float32),
    "a scalar": np.float32(0),
    "a number": 0.0,
    "integers": np.zeros(4, np.int32),
    "booleans": np.zeros(4, bool),
    "complex numbers": np.zeros(4, np.complex64),
}
