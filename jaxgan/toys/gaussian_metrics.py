"""What `gaussians.py` measures and shows of its trials, the same for the loop and for the end."""

import math

import jax
import jax.numpy as jnp
import numpy as np

from jaxgan.toys import gaussian_pictures, gaussian_toys
from jaxgan.training import adversarial

LOWEST_IS_WORST = ("modes", "high_quality")
MEANINGS = {
    "modes": "that have a sample",
    "high_quality": "the share of samples within three standard deviations of a mode",
    "reverse_kl": "of the modes' frequencies against equal ones, 0 is best; - is without any mode",
    "distance": "mean |D(x) - p/(p+q)|, 0 is best",
    "total_variation": "of generator and data: 0 is alike, 1 has nothing in common",
}


class Plane:
    """Points of the plane, drawn from the averaged generators: the metrics of the protocol."""

    def __init__(self, config, trials):
        self._trials = trials
        key = jax.random.key(config.seed + 1)
        self._real = np.asarray(trials.mixture.sample(key, (config.num_samples,)))

    def real(self):
        """The data as a batch of one picture, beside as much of it again."""
        mixture = self._trials.mixture
        points = np.asarray(mixture.sample(jax.random.key(2**31), (len(self._real),)))
        return self._draw(points[None])

    def measure(self, state):
        """One dictionary a trial."""
        return [self._measure(points) for points in np.asarray(self._trials.draw(state))]

    def sample(self, state):
        """One picture of all trials."""
        return {"samples": self._draw(np.asarray(self._trials.draw(state)))}

    def _measure(self, points):
        return gaussian_toys.mode_metrics(points, self._trials.mixture)

    def _draw(self, points):
        values = [self._measure(each) for each in points]
        titles = [f"{f['modes']} modes, {f['high_quality']:.1%} near one" for f in values]
        return gaussian_pictures.draw_planes(points, self._trials.mixture, self._real, titles)[None]


class Line:
    """Points of the line, and the discriminators as trained, beside the best there could be."""

    def __init__(self, config, trials):
        self._config, self._trials = config, trials
        limit = trials.mixture.limit
        self._edges = np.linspace(-limit, limit, 251)
        self._masses = trials.mixture.masses(self._edges)
        self._real = np.asarray(
            trials.mixture.sample(jax.random.key(config.seed + 1), (config.num_samples,))
        )[:, 0]
        middles = (self._edges[1:] + self._edges[:-1]) / 2
        log_probabilities = adversarial.loss_of(config).log_probabilities

        @jax.jit
        def discriminate(state):
            def one(variables):
                points = jnp.asarray(middles, jnp.float32)[:, None, None]
                return jnp.exp(log_probabilities(trials.discriminator.apply(variables, points))[0])

            return jax.vmap(one)(state.discriminator.variables)

        self._discriminate = discriminate
        self._generate = jax.jit(
            lambda variables, latents: trials.generator.apply(variables, latents)[:, 0, 0]
        )

    def real(self):
        """The data as a batch of one picture, with the best discriminator when G is as good."""
        half = np.full(len(self._masses), 0.5)
        return self._draw(half, half, self._real, "the data")

    def measure(self, state):
        """One dictionary a trial."""
        return [self._trial(state, trial, d)[1] for trial, d in enumerate(self._curves(state))]

    def sample(self, state):
        """A picture of the first trial."""
        curve = self._curves(state)[0]
        optimum, values = self._trial(state, 0, curve)
        title = f"step {int(state.step)}: mean distance {values['distance']:.3f}"
        points = np.asarray(self._trials.draw(state))[0, :, 0]
        return {"samples": self._draw(curve, optimum, points, title)}

    def _curves(self, state):
        return np.asarray(self._discriminate(state), np.float64)

    def _trial(self, state, trial, discriminator):
        # The players of one moment: the average of the generator is not what D is trained against.
        variables = jax.tree.map(lambda array: array[trial], state.generator.variables)
        generated = gaussian_toys.generated_masses(
            lambda latents: self._generate(variables, latents), self._config.latent, self._edges
        )
        optimum, distance = gaussian_toys.distance_to_optimum(
            discriminator, self._masses, generated
        )
        variation = 0.5 * np.sum(np.abs(self._masses - generated))
        return optimum, {"distance": distance, "total_variation": float(variation)}

    def _draw(self, curve, optimum, points, title):
        return gaussian_pictures.draw_line(self._edges, curve, optimum, points, self._real, title)[
            None
        ]


def summarize(trials):
    """Dictionaries of the trials -> {name: {mean, std, worst}} over them."""
    summary = {}
    for name in trials[0]:
        values = np.array([trial[name] for trial in trials], np.float64)
        worst = np.min(values) if name in LOWEST_IS_WORST else np.max(values)
        spread = np.std(values, ddof=1) if len(values) > 1 else 0.0
        summary[name] = {"mean": np.mean(values), "std": spread, "worst": worst}
    return {name: without_nan(row) for name, row in summary.items()}


def flatten(trials):
    """Dictionaries of the trials -> {NAME_mean, NAME_std, NAME_worst}, those that there are."""
    summary = summarize(trials)
    named = {f"{name}_{kind}": v for name, row in summary.items() for kind, v in row.items()}
    return {name: value for name, value in named.items() if value is not None}


def without_nan(row):
    """Numbers for JSON, which knows no NaN: that of a trial without any mode is its reverse KL."""
    return {name: float(v) if math.isfinite(v) else None for name, v in row.items()}


def format_summary(summary):
    """A table, one metric a line."""
    rows = [f"{'':16}{'mean':>10}{'std':>10}{'worst':>10}"]
    for name, row in summary.items():
        cells = ("-" if value is None else f"{value:.4f}" for value in row.values())
        rows.append(f"{name:16}" + "".join(f"{cell:>10}" for cell in cells) + f"  {MEANINGS[name]}")
    return "\n".join(rows)
