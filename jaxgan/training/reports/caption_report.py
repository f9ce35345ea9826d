"""What the report of `stackgan.py` measures on pictures that only their captions tell of.

A reader learns from real pictures and their captions: ridge regression, from Lite1's features of a
picture to the words of its caption, of which the rare ones count more. It is then given a picture
and ten captions, and takes the one whose words are nearest to those that it reads. Beside captions
of held-out images, which training never had, stand captions of training, and beside the generated
pictures the real ones; those of training the reader has learnt from.
"""

from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np

from jaxgan.data import Vocabulary
from jaxgan.evaluation.cache import real_features
from jaxgan.evaluation.features import collect_features, frechet, real_indices
from jaxgan.evaluation.probe import fit_probe
from jaxgan.inference.captions import load_stackgan
from jaxgan.runs.evaluations import format_table, write_evaluation
from jaxgan.training import captioned, feature_metrics
from jaxgan.training.sources import load_splits, splits_of

NUM = 1_000
"""How many captions of either kind, at most."""
BATCH = 100
CHOICES = 10
"""Of so many captions one is right."""


def report(config, workdir):
    """Prints both stages' metrics; stage2/evaluation.json keeps them."""
    source, test = load_splits(config, captioned.load)
    network = feature_metrics.judge_of_pictures() if test else None
    if network is None:
        return
    folder, num = Path(workdir) / "stage2", min(NUM, len(source), len(test))
    print(f"\nmeasuring it on {num:,} captions of training and as many of {config.evaluate_on}")
    generate = load_stackgan(folder)
    look = {name: config[name] for name in ("image_size", "channels")}

    def of_real(source, split):
        """Features of all images, captions and meanings, in one order."""
        order = real_indices(source, len(source))
        drawn = {"dataset": config.dataset, "split": split, "batch_size": BATCH}
        features = real_features(network, source, len(source), **drawn, **look).features
        captions = [source.captions(int(index))[0] for index in order]
        return features, captions, captioned.read_meaning(source)[order]

    def of_made(make, captions):
        noise = jax.random.normal(jax.random.key(config.seed), (num, generate.noise_dim))
        rows = [slice(first, first + BATCH) for first in range(0, num, BATCH)]
        made = (make(noise[of], generate.embed(captions[of])) for of in rows)
        return collect_features(network, made, num).features

    parts = dict(
        zip(("seen", "unseen"), map(of_real, (source, test), splits_of(config)), strict=True)
    )
    read = fit_reader(*parts["seen"][:2])
    parts = {name: tuple(column[:num] for column in part) for name, part in parts.items()}
    stages = {"Stage I": generate.first, "Stage II": generate}
    table = {}
    for name in (*stages, "real"):
        features = {
            part: of_made(stages[name], captions) if name in stages else of_real
            for part, (of_real, captions, _) in parts.items()
        }
        table[name] = {
            part: float(np.mean(read(features[part], *parts[part][1:]))) for part in parts
        }
        # Of real pictures it is that of the training ones.
        judged = features["unseen" if name in stages else "seen"]
        table[name][f"fd_{network.name}"] = frechet(parts["unseen"][0], judged)
    record = {"split": config.evaluate_on, **table}
    file = write_evaluation(folder, generate.step, record, table["Stage II"])
    print("\n" + format_table(f"one of {CHOICES}, {num}", table))
    print(file)


def fit_reader(features: np.ndarray, captions: list[str]) -> Callable:
    """Fits a reader of captions to real pictures.

    Args:
      features: (N, D) of the pictures.
      captions: of each.

    Returns:
      (features (M, D) of pictures, the captions that they were made of, numbers (M,) that captions
      share where one is true of the other's picture) -> (M,) bool, whether a picture's own caption
      is nearer than `CHOICES` - 1 others, drawn from those.
    """
    vocabulary = Vocabulary.of(captions)

    def words_of(captions):
        there = np.zeros((len(captions), vocabulary.size))
        for row, caption in zip(there, captions, strict=True):
            row[vocabulary.encode(caption)] = 1
        return there[:, -len(vocabulary.words) :]

    there = words_of(captions)
    rarity = np.log(len(there) / np.sum(there, axis=0))
    probe = fit_probe(features, _unit(there * rarity), penalty=0.1)

    def read(features, captions, meaning):
        wanted = _unit(words_of(captions) * rarity)
        nearness = _unit(probe(features)) @ wanted.T
        rng, right = np.random.default_rng(0), []
        for row, near in enumerate(nearness):
            others = rng.permutation(np.flatnonzero(meaning != meaning[row]))[: CHOICES - 1]
            right.append(near[row] > np.max(near[others], initial=-np.inf))
        return np.array(right)

    return read


def _unit(rows):
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)
