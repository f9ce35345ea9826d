"""Images of one value each, and features whose statistics are known."""

import numpy as np

from jaxgan.evaluation.features import Features

LOOK = {"image_size": 2, "channels": 1}


class Source:
    """Image i is of the value i all over."""

    num_classes = None

    def __init__(self, size, offset=0):
        self.size, self.offset = size, offset

    def __len__(self):
        return self.size

    def __getitem__(self, index):
        return {"image": np.full((2, 2, 1), index + self.offset, np.uint8)}


def features_of(rng, mean, std, count=400):
    """Features whose sample mean and standard deviation are exactly these, along one axis."""
    x = rng.normal(size=count)
    x = mean + std * (x - np.mean(x)) / np.std(x, ddof=1)
    return Features(x[:, None], np.eye(4)[np.arange(count) % 2] * 50)


def lite(variant, of=np.asarray):
    """In place of `load_lite`: pixels, or what a function makes of them, under that name."""

    def network(images):
        rows = of(images)[:, ::7, ::7].reshape(len(images), -1)
        return {"features": rows, "logits": rows}

    network.name, network.version = variant, "0"
    return network
