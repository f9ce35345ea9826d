"""The pictures of `latent.py`, each a function of its `Run` that gives what is to be saved."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxgan import data, latent
from jaxgan.errors import UserError
from jaxgan.evaluation.inversion import compare_errors, invert
from jaxgan.evaluation.neighbours import nearest_neighbours
from jaxgan.evaluation.saliency import guided_backpropagation
from jaxgan.metrics.lenet import load_lenet
from jaxgan.runs import pictures


def walk(run):
    path = latent.smooth_path(run.draw(8), 96, prior=run.prior)
    return [pictures.image_grid(image[None], padding=0) for image in run.images(path)]


def grid(run):
    plane = latent.latent_grid(run.draw(4), 10, 10, prior=run.prior)
    return pictures.image_grid(run.images(plane), columns=10)


def interpolate(run):
    pairs = run.draw(16).reshape(8, 2, -1)
    rows = [latent.interpolate(*ends, 10, prior=run.prior) for ends in pairs]
    return pictures.image_grid(run.images(jnp.concatenate(rows)), columns=10)


def arithmetic(run):
    latents, options = run.draw(2000), {"prior": run.prior}
    chosen = bold_and_thin(run.images(latents), load_classifier(run), run.arguments.digits)
    groups = [latents[rows] for rows in chosen]
    result = latent.analogy(*groups, **options)
    # As in the DCGAN paper: the result is no accident if latents around it look alike.
    around = latent.onto_prior(result[None] + 0.5 * run.draw(3, fold=1), run.prior)
    means = [latent.mean_latent(group, **options) for group in groups]
    rows = zip([*groups, around], [*means, result], strict=True)
    rows = jnp.concatenate([z for group, mean in rows for z in (group[:3], mean[None])])
    first, second = run.arguments.digits
    names = f"bold {first}", f"thin {first}", f"thin {second}"
    print("rows: {}, {}, {}, and {} - {} + {} with noise;".format(*names, *names))
    print("the last column: their means, and the sum itself")
    return pictures.image_grid(run.images(rows), columns=4)


def load_classifier(run):
    """Images in [0, 1] -> {"logits": (B, classes)}."""
    if run.config["dataset"] != "mnist":
        raise UserError(f"what: arithmetic is for digits, got a run of {run.config['dataset']}")
    return load_lenet()


def bold_and_thin(images, classify, digits):
    """Which images are the bold and the thin quarter of one digit, and the thin of the other."""
    logits = np.asarray(classify(images)["logits"], np.float64)
    second, first = np.sort(logits, axis=1)[:, -2:].T
    ink, quarters = np.mean(images, axis=(1, 2, 3)), []
    for digit in digits:
        # The others may be no digits at all: a class has to be e^2 times as probable as the next.
        found = np.flatnonzero((np.argmax(logits, axis=1) == digit) & (first - second > 2))
        if len(found) < 12:
            count = len(images)
            raise UserError(
                f"digits: got {digit}, which {len(found)} of {count} samples are, expected 12"
            )
        found, size = found[np.argsort(ink[found])], len(found) // 4
        quarters.append((found[-size:], found[:size]))
    (bold, thin), (_, other) = quarters
    return bold, thin, other


def inversion(run):
    found, options = {}, {"latent_dim": run.latent_dim, "prior": run.prior}
    for split in ("train", "test"):
        images = run.real(split, 64)
        found[split] = invert(run.generate, images, jax.random.key(run.arguments.seed), **options)
        print(f"{split}: mean squared error {found[split].errors.mean():.4f} in [-1, 1]")
    print(f"gap of the medians {compare_errors(**found).gap:+.2f}: 0 is alike, 1 is memorised")
    pairs = np.stack([images, found["test"].images], axis=1)
    return pictures.image_grid(pairs.reshape(-1, *images.shape[1:]), columns=16)


def neighbours(run):
    size = {"image_size": run.config["image_size"], "channels": run.config["channels"]}
    training = data.load_arrays(run.source("train"), **size)["image"]
    samples = run.images(run.draw(8))
    rows = [samples[:, None]]
    judge, whose = run.judge()
    for features in (None, jax.jit(judge)):
        found = nearest_neighbours(samples, training, k=5, features=features)
        rows.append(training[found.indices] / 255.0)
    print(f"columns: a sample, 5 neighbours in pixels, 5 in {whose} features")
    return pictures.image_grid(np.concatenate(rows, 1).reshape(-1, *samples.shape[1:]), columns=11)


def saliency(run):
    images, features_of = run.real("test", 1000), run.features()

    def responses(images):
        """(B, channels): the largest of each feature over the image."""
        features = features_of(images)
        return jnp.max(features.reshape(len(images), -1, features.shape[-1]), axis=1)

    blocks = [images[i : i + 100] for i in range(0, len(images), 100)]
    strength = np.concatenate([jax.jit(responses)(block) for block in blocks])
    rows = []
    for channel in np.argsort(-np.max(strength, axis=0))[:6]:
        best = images[np.argsort(-strength[:, channel])[:8]]
        gradients = guided_backpropagation(lambda x, c=channel: responses(x)[:, c], best)
        # Where more ink excites the feature; the rest is the checkerboard of strided gradients.
        largest = jnp.max(gradients, axis=(1, 2, 3), keepdims=True)
        rows += [best, jnp.maximum(gradients, 0) / jnp.maximum(largest, 1e-12)]
    return pictures.image_grid(np.concatenate(rows), columns=16)
