"""How near translations come: to the truth where it is known, and to what they came from.

Beside a finished run stands the identity map, which is what a method has to beat. Beside one
without pairs on the digits also the same generators trained with pairs, which it cannot be expected
to beat; beside one with pairs the same generator trained by the absolute error alone. Emoji are
judged by features that no discriminator has seen, too, see `drawing_judge`.
"""

import functools
from collections.abc import Callable, Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.typing import ArrayLike
from ml_collections import config_dict

from jaxgan import cpu, data, metrics
from jaxgan.evaluation.features import collect_features, frechet, real_batches
from jaxgan.inference.load import LoadedGenerator
from jaxgan.inference.translator import load_translator, make_translate
from jaxgan.metrics.lenet import load_lenet
from jaxgan.network import NetworkLike, value_range_of
from jaxgan.runs.evaluations import format_table, write_evaluation
from jaxgan.state import create_player, init_variables, update_player
from jaxgan.step import apply_train
from jaxgan.training.config import falling, falling_adams, image_shape
from jaxgan.training.feature_metrics import judge_of_pictures
from jaxgan.training.reports.drawing_judge import DrawingJudge
from jaxgan.training.sources import load_splits

SUPERVISED_STEPS = 1_000
Ways = Mapping[str, Callable[[ArrayLike], ArrayLike]]
"""By direction, "ab" or "ba", from images in [0, 1] to such images."""


class TranslationMetrics:
    """Measures translations on held-out images of both domains.

    Args:
      config: of an experiment of translation.
      tests: the sources of the two domains.
      num: of how many images, at most.
      paired: image i of b is what image i of a should become.
    """

    def __init__(
        self, config: config_dict.ConfigDict, tests, num: int | None = None, paired: bool = False
    ) -> None:
        look = {"image_size": config.image_size, "channels": config.channels}
        num = min(map(len, tests)) if num is None else min(num, *map(len, tests))
        # Where the truth is known there are as many in both, and these are the same numbers.
        numbers = [np.linspace(0, len(source) - 1, num).astype(int) for source in tests]
        # As many at once as are 500 digits.
        size = max(1, 500 * 28**2 // config.image_size**2)
        self._batches = [
            {"a": numbers[0][first : first + size], "b": numbers[1][first : first + size]}
            for first in range(0, num, size)
        ]
        self._read: dict[str, Callable[[np.ndarray], np.ndarray]] = {
            name: functools.partial(data.read_images, source, **look)
            for name, source in zip("ab", tests, strict=True)
        }
        self._known = knows_truth(config, paired)
        self._digits = are_digits(config)
        self._label = lambda index: tests[0][int(index)]["label"]

    def __call__(self, ways: Ways) -> dict[str, float]:
        """Means over the images, of the translations in the given directions.

        Returns:
          With both directions {"cycle_a", "cycle_b"}, mean absolute errors after there and back;
          where the truth is known, for each direction {"mae_ab", "mse_ab", "ssim_ab"}, mean
          absolute and squared error and structural similarity; of digits both ways also
          {"read_aba", "read_ba"}, the share that the classifier reads. Errors are of [-1, 1]
          pixels.
        """
        parts = [self._of_batch(ways, numbers) for numbers in self._batches]
        return {k: float(np.mean(np.concatenate([p[k] for p in parts]))) for k in parts[0]}

    def _of_batch(self, ways, numbers):
        images = {name: read(numbers[name]) for name, read in self._read.items()}
        made = {way: np.asarray(there(images[way[0]])) for way, there in ways.items()}
        # From a to b and back to a, and so for b.
        back = {way[0]: np.asarray(ways[way[::-1]](made[way])) for way in ways if way[::-1] in ways}
        values = {f"cycle_{name}": _error(back[name], images[name]) for name in back}
        if self._known:
            for way in ways:
                pair = made[way], images[way[1]]
                values[f"mae_{way}"] = _error(*pair)
                values[f"mse_{way}"] = 4 * metrics.mean_squared_error(*pair)
                values[f"ssim_{way}"] = metrics.ssim(*pair, data_range=1.0)
        if self._digits and back:
            labels = np.array([self._label(index) for index in numbers["a"]])
            for name, pictures in (("aba", back["a"]), ("ba", made["ba"])):
                values[f"read_{name}"] = read_digits(pictures) == labels
        return values

    def features(self, ways: Ways, network: Callable[..., dict[str, jax.Array]]) -> dict:
        """A network's `Features` of what is made, by direction."""
        num = sum(len(numbers["a"]) for numbers in self._batches)
        features = {}
        for way, there in ways.items():
            name = way[0]
            made = (there(self._read[name](numbers[name])) for numbers in self._batches)
            features[way] = collect_features(network, made, num)
        return features

    def labels(self) -> np.ndarray:
        """The classes of a's images, in the order of `features`."""
        return np.array([self._label(i) for numbers in self._batches for i in numbers["a"]])


def are_digits(config: config_dict.ConfigDict) -> bool:
    """Whether the domains are the digits, as the classifier reads them."""
    return config.dataset == "digits" and image_shape(config) == (28, 28, 3)


def knows_truth(config: config_dict.ConfigDict, paired: bool) -> bool:
    """Whether image i of b is what image i of a should become, in what is not trained on."""
    return paired or config.dataset == "emoji" or are_digits(config)


def report(config: config_dict.ConfigDict, workdir, paired: bool = False) -> None:
    """Prints the metrics of a finished run and keeps them in evaluation.json."""
    load = data.load_pairs if paired else data.load_domains
    sources, tests = load_splits(config, load)
    if tests is None:
        return
    print(f"\nmeasuring it on {min(map(len, tests)):,} {config.evaluate_on} images")
    measure = TranslationMetrics(config, tests, paired=paired)
    directions = ("ab",) if paired else ("ab", "ba")
    run = {way: load_translator(workdir, way) for way in directions}
    ways: dict[str, Ways] = {"run": run}
    look = {"image_size": config.image_size, "channels": config.channels}
    if knows_truth(config, paired):
        ways["identity"] = dict.fromkeys(directions, np.asarray)
    if paired and config.dataset in ("digits", "emoji"):
        pairs = [data.load_arrays(source, **look)["image"] for source in sources]
        tx = falling_adams(config, config.num_steps)[0]
        generator = run["ab"].generator
        alone = train_on_error(config, generator, pairs, config.num_steps, tx, jnp.abs)
        ways["L1 alone"] = {"ab": alone}
    elif are_digits(config):
        ways["with pairs"] = train_with_pairs(config, sources[0], run["ab"].generator)
    if are_digits(config):
        real = [
            collect_features(
                digit_network, real_batches(source, len(source), **look), len(source)
            ).features
            for source in sources
        ]
    network = judge_of_pictures() if config.dataset == "emoji" else None
    judge = DrawingJudge(config, network, sources, tests) if network else None
    table = {}
    for name, both in ways.items():
        table[name] = measure(both)
        if are_digits(config):
            for way, made in measure.features(both, digit_network).items():
                table[name][f"fid_{way[1]}"] = frechet(real["ab".index(way[1])], made.features)
        if judge:
            for way, made in measure.features(both, judge.network).items():
                table[name] |= judge(way, made._replace(labels=measure.labels()))
    if judge:
        table["real"] = {k: v for way in directions for k, v in judge.of_real(way).items()}
    step = run["ab"].step
    file = write_evaluation(workdir, step, {"split": config.evaluate_on, **table}, table["run"])
    print("\n" + format_table(f"step {step}, {min(map(len, tests))} images", table))
    print(file)


def train_with_pairs(config: config_dict.ConfigDict, source, generator: NetworkLike) -> Ways:
    """The run's generators, trained on digits and what each should become, by squared error."""
    look = {"image_size": config.image_size, "channels": config.channels}
    plain = data.load_arrays(source, **look)["image"]
    pairs = (plain, data.recolour(plain[..., :1]))
    tx = optax.adam(falling(1e-3, SUPERVISED_STEPS), b1=0.5)
    both = {"ab": pairs, "ba": pairs[::-1]}
    return {
        way: train_on_error(config, generator, both[way], SUPERVISED_STEPS, tx, jnp.square, number)
        for number, way in enumerate(both)
    }


def train_on_error(
    config: config_dict.ConfigDict,
    generator: NetworkLike,
    pairs: Sequence[np.ndarray],
    num_steps: int,
    tx: optax.GradientTransformation,
    error: Callable[[jax.Array], jax.Array],
    number: int = 0,
) -> LoadedGenerator:
    """Trains a generator on the mean error of its images alone, with the run's seed and batches.

    Args:
      config: of the run.
      generator: the network, which begins anew.
      pairs: what it is given and what it should make of it, uint8 (N, H, W, C).
      num_steps: of batches of the config's size.
      tx: the optimiser.
      error: of differences.
      number: another draw of its first parameters.

    Returns:
      Images in [0, 1] -> such images.
    """
    low, high = value_range_of(generator)

    @functools.partial(jax.jit, donate_argnums=0, compiler_options=cpu.compiler_options())
    def step(player, pairs, index, key):
        inputs, targets = (low + (high - low) * array[index] / 255 for array in pairs)

        def loss(params):
            made, model_state = apply_train(
                generator, {"params": params, **player.model_state}, inputs, key=key
            )
            return jnp.mean(error(made - targets)), model_state

        grads, model_state = jax.grad(loss, has_aux=True)(player.params)
        return update_player(player, grads, model_state, tx)

    key = jax.random.fold_in(jax.random.key(config.seed), number)
    player = create_player(init_variables(generator, key, jnp.zeros((1, *image_shape(config)))), tx)
    pairs = jax.device_put(tuple(pairs))
    batches = data.index_iterator(len(pairs[0]), batch_size=config.batch_size, seed=config.seed)
    for count in range(num_steps):
        index = next(batches)["index"]
        player = step(player, pairs, index, jax.random.fold_in(key, count))
    return make_translate(generator, player.variables)


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
