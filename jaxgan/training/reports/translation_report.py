"""How near translations come: to the truth where it is known, and to what they came from.

Beside a finished run on the digits stand the identity map, which is what a method has to beat, and
the same generators trained with pairs, which it cannot be expected to.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
from ml_collections import config_dict

from jaxgan import cpu, data, metrics
from jaxgan.evaluation.features import collect_features, frechet, real_batches
from jaxgan.inference.translator import load_translator, make_translate
from jaxgan.metrics.lenet import load_lenet
from jaxgan.runs.evaluations import format_table, write_evaluation
from jaxgan.state import create_player, init_variables, update_player
from jaxgan.step import apply_train
from jaxgan.training.config import falling, image_shape
from jaxgan.training.sources import load_splits

SUPERVISED_STEPS = 1_000


class Figures:
    """Measures translations on held-out images of both domains.

    Args:
      config: of an experiment of translation.
      tests: the sources of the two domains.
      num: of how many images, at most.
    """

    def __init__(self, config: config_dict.ConfigDict, tests, num: int | None = None) -> None:
        look = {"image_size": config.image_size, "channels": config.channels}
        num = min(map(len, tests)) if num is None else min(num, *map(len, tests))
        # Of the digits, which are as many in both, these are the same numbers.
        numbers = [np.linspace(0, len(source) - 1, num).astype(int) for source in tests]
        # As many at once as are 500 digits.
        size = max(1, 500 * 28**2 // config.image_size**2)
        self._batches = [
            [of_domain[first : first + size] for of_domain in numbers]
            for first in range(0, num, size)
        ]
        self._read = [functools.partial(data.read_images, source, **look) for source in tests]
        self._known = is_embedded(config)
        self._label = lambda index: tests[0][int(index)]["label"]

    def __call__(self, ab, ba) -> dict[str, float]:
        """Means over the images, of translations from a to b and from b to a.

        Returns:
          {"cycle_a", "cycle_b"}, mean absolute errors after there and back; where the truth is
          known also {"mse_ab", "mse_ba", "ssim_ab", "ssim_ba"} against it and {"read_aba",
          "read_ba"}, the share of digits that the classifier reads. Errors are of [-1, 1] pixels.
        """
        parts = [self._of_batch(ab, ba, numbers) for numbers in self._batches]
        return {k: float(np.mean(np.concatenate([p[k] for p in parts]))) for k in parts[0]}

    def _of_batch(self, ab, ba, numbers):
        a, b = (read(of_domain) for read, of_domain in zip(self._read, numbers, strict=True))
        made_b, made_a = np.asarray(ab(a)), np.asarray(ba(b))
        back_a, back_b = np.asarray(ba(made_b)), np.asarray(ab(made_a))
        figures = {"cycle_a": _error(back_a, a), "cycle_b": _error(back_b, b)}
        if self._known:
            for name, made, truth in (("ab", made_b, b), ("ba", made_a, a)):
                figures[f"mse_{name}"] = 4 * metrics.mean_squared_error(made, truth)
                figures[f"ssim_{name}"] = metrics.ssim(made, truth, data_range=1.0)
            labels = np.array([self._label(index) for index in numbers[0]])
            for name, images in (("aba", back_a), ("ba", made_a)):
                figures[f"read_{name}"] = read_digits(images) == labels
        return figures

    def features(self, ab, ba) -> list[np.ndarray]:
        """The digit classifier's features of what is made of either domain, those of b first."""
        num = sum(len(numbers[0]) for numbers in self._batches)
        features = []
        for domain, there in enumerate((ab, ba)):
            read = self._read[domain]
            made = (there(read(numbers[domain])) for numbers in self._batches)
            features.append(collect_features(digit_network, made, num).features)
        return features


def is_embedded(config: config_dict.ConfigDict) -> bool:
    """Whether the domains are the digits, of which the truth is known: image i of b is what image i
    of a should become, in what is not trained on."""
    return config.dataset == "digits" and image_shape(config) == (28, 28, 3)


def report(config: config_dict.ConfigDict, workdir) -> None:
    """Prints the figures of a finished run and keeps them in evaluation.json."""
    sources, tests = load_splits(config, data.load_domains)
    if tests is None:
        return
    print(f"\nmeasuring it on {min(map(len, tests)):,} {config.evaluate_on} images")
    measure = Figures(config, tests)
    ways = {"run": [load_translator(workdir, direction) for direction in ("ab", "ba")]}
    if is_embedded(config):
        ways["identity"] = [np.asarray] * 2
        ways["with pairs"] = train_with_pairs(config, sources[0], workdir)
        look = {"image_size": config.image_size, "channels": config.channels}
        real = [
            collect_features(
                digit_network, real_batches(source, len(source), **look), len(source)
            ).features
            for source in sources
        ]
    table = {}
    for name, both in ways.items():
        table[name] = measure(*both)
        if is_embedded(config):
            made_b, made_a = measure.features(*both)
            table[name] |= {"fid_b": frechet(real[1], made_b), "fid_a": frechet(real[0], made_a)}
    step = ways["run"][0].step
    file = write_evaluation(workdir, step, {"split": config.evaluate_on, **table}, table["run"])
    print("\n" + format_table(f"step {step}, {min(map(len, tests))} images", table))
    print(file)


def train_with_pairs(config: config_dict.ConfigDict, source, workdir) -> list:
    """The run's generators, trained on digits and what each should become, by squared error."""
    plain = data.load_arrays(source, image_size=config.image_size, channels=config.channels)
    plain = plain["image"]
    pairs = jax.device_put((plain, data.recolour(plain[..., :1])))
    module = load_translator(workdir, "ab").generator
    low, high = module.value_range
    tx = optax.adam(falling(1e-3, SUPERVISED_STEPS), b1=0.5)

    @functools.partial(jax.jit, donate_argnums=0, compiler_options=cpu.compiler_options())
    def step(player, pairs, index):
        inputs, targets = (low + (high - low) * array[index] / 255 for array in pairs)

        def loss(params):
            made, model_state = apply_train(
                module, {"params": params, **player.model_state}, inputs, key=jax.random.key(0)
            )
            return jnp.mean(jnp.square(made - targets)), model_state

        grads, model_state = jax.grad(loss, has_aux=True)(player.params)
        return update_player(player, grads, model_state, tx)

    ways = []
    for number, both in enumerate((pairs, pairs[::-1])):
        key = jax.random.fold_in(jax.random.key(config.seed), number)
        images = jnp.zeros((1, *image_shape(config)))
        player = create_player(init_variables(module, key, images), tx)
        order = {"batch_size": config.batch_size, "seed": config.seed}
        batches = data.index_iterator(len(plain), **order)
        for _ in range(SUPERVISED_STEPS):
            player = step(player, both, next(batches)["index"])
        ways.append(make_translate(module, player.variables))
    return ways


def read_digits(images) -> np.ndarray:
    """The digits that the classifier reads, (B,), of images (B, 28, 28, 3) in [0, 1]."""
    return np.argmax(digit_network(images)["logits"], axis=1)


def digit_network(images) -> dict[str, jax.Array]:
    """Its features (B, 84) and logits (B, 10) of such images, made grey."""
    grey = jnp.mean(jnp.asarray(images, jnp.float32), axis=-1, keepdims=True)
    return _lenet()(grey)


@functools.cache
def _lenet():
    return load_lenet()


def _error(images, references):
    return 2 * np.mean(np.abs(images - references), axis=(1, 2, 3), dtype=np.float64)
