"""The vocabulary that all experiments with images share, and what its fields may be."""

import functools
import math

import jax
import jax.numpy as jnp
import optax
from ml_collections import config_dict

from jaxgan.errors import UserError

DTYPES = {"float32": jnp.float32, "bfloat16": jnp.bfloat16}


SCHEDULE = ("num_steps", "steps_per_call", "log_every", "sample_every", "eval_every",
            "checkpoint_every", "keep_checkpoints")  # fmt: skip
"""The fields that the loop is given."""


def base_config() -> config_dict.ConfigDict:
    """The fields of every experiment with images."""
    config = config_dict.ConfigDict()
    config.seed = 0
    config.dataset = "mnist"  # or folder:PATH, also of a .zip, or a name of TensorFlow Datasets
    config.data_dir = config_dict.placeholder(str)  # where TFDS keeps its data sets
    # Or skip: all images are read once at the start, and bad ones left out and counted.
    config.on_bad_image = "stop"
    # Or validation, to choose settings by: put aside from the training data, not trained on.
    config.evaluate_on = "test"
    config.image_size = 28
    config.channels = 1
    config.device_data_mb = 512  # a data set of at most so many MB lives on the device
    config.batch_size = 100
    config.num_steps = 3_000  # five epochs of MNIST
    config.steps_per_call = 5  # of the compiled program, at most: a divisor of all intervals
    config.generator_learning_rate = 2e-4
    config.discriminator_learning_rate = 2e-4
    config.log_every = 20
    config.sample_every = 150
    config.eval_every = 600
    config.checkpoint_every = 300
    config.keep_checkpoints = 3
    config.dtype = "float32"  # of the computation; parameters stay float32
    # Of several devices: whether each has only its share of parameters, averages and optimiser
    # states, and how many share the large layers of one copy of the networks.
    config.shard_state = False
    config.model_devices = 1
    config.micro_batches = 1  # parts of a batch, one after another, for less memory
    config.deterministic = False  # on a GPU: the same numbers in every process, in longer steps
    # What becomes of numbers that are not finite: stop the run, skip the step (and go on from the
    # parameters before it), or rollback to the newest checkpoint and go on with other examples.
    config.on_nonfinite = "stop"
    return config


LATER = {
    "seeds": 1,
    "sweep": "",
    "flip": False,
    "shard_state": False,
    "model_devices": 1,
    "micro_batches": 1,
    "deterministic": False,
    "augment_probability": 0.3,
    "variant": "digits",  # and the fields that r3gan's presets have
    "group_size": 16,
    "narrowing": True,
    "burn_in_images": 0,
    "ema_half_life": 0,
    "fresh_batch": False,
}
"""Fields that runs of before do not know, and what they did: going on with it is no change."""
PLACES = ("shard_state", "model_devices")
"""Fields that say where a state is and not what becomes of it: a run may go on with others."""


EMOJI = {"dataset": "emoji", "image_size": 32, "channels": 3}
"""What the variants of that name share: pictures in colour, of a size that a CPU can learn."""
EMOJI_VARIANTS = ("digits", "emoji")


def falling(rate: float, num_steps: int) -> optax.Schedule:
    """A learning rate that falls to zero, in a straight line, through the second half of a run."""
    half = num_steps // 2
    return optax.linear_schedule(rate, 0.0, num_steps - half, half)


def falling_adams(
    config: config_dict.ConfigDict, num_steps: int
) -> tuple[optax.GradientTransformation, optax.GradientTransformation]:
    """Adam for the generator and for the discriminator, by rates that are `falling`."""
    rates = (config.generator_learning_rate, config.discriminator_learning_rate)
    return tuple(optax.adam(falling(rate, num_steps), b1=0.5) for rate in rates)


def check_config(config: config_dict.ConfigDict) -> None:
    """Refuses values that no run can have, naming the field."""
    check_numbers(config)
    expect = functools.partial(expect_field, config)
    for name in ("image_size", "batch_size", "model_devices", "micro_batches", *SCHEDULE):
        expect(name, config[name] >= 1, "1 or more")
    expect("device_data_mb", config.device_data_mb >= 0, "0 or more")
    for name in ("generator_learning_rate", "discriminator_learning_rate"):
        expect(name, config[name] > 0 and math.isfinite(config[name]), "a positive number")
    expect("seed", 0 <= config.seed < 2**31, "a number from 0 to 2^31 - 1")
    expect("channels", config.channels in (1, 3), "1 (grey) or 3 (RGB)")
    expect("dtype", config.dtype in DTYPES, f"one of {', '.join(DTYPES)}")
    expect("on_bad_image", config.on_bad_image in ("stop", "skip"), "stop or skip")
    expect_policy(config)


def check_numbers(config: config_dict.ConfigDict) -> None:
    """Refuses numbers that the device's int32 and float32 cannot hold, NaN among them."""
    for name, value in config.items():
        if isinstance(value, int):
            expect_field(config, name, abs(value) < 2**31, "a whole number below 2^31")
        if isinstance(value, float):
            right = abs(value) <= float(jnp.finfo(jnp.float32).max)
            expect_field(config, name, right, "a finite number, of at most 3.4e38")


def expect_policy(config: config_dict.ConfigDict) -> None:
    """Refuses another `on_nonfinite` than there is."""
    known = ("stop", "skip", "rollback")
    expect_field(config, "on_nonfinite", config.on_nonfinite in known, "stop, skip or rollback")


def expect_field(config: config_dict.ConfigDict, name: str, right: bool, expected: str) -> None:
    """Refuses a field that is not right."""
    if not right:
        raise UserError(f"{name}: got {config[name]!r}, expected {expected}")


def expect_number(
    config: config_dict.ConfigDict, name: str, least: float, most: float = math.inf
) -> None:
    """Refuses a field that is no number in [least, most].

    One that is swept has been checked as each of its values, and is an array here.
    """
    value = config[name]
    if not isinstance(value, jax.core.Tracer):
        bounded = f"a number in [{least}, {most}]"
        expected = f"a number of at least {least}" if most == math.inf else bounded
        expect_field(config, name, least <= value <= most and math.isfinite(value), expected)


def image_shape(config: config_dict.ConfigDict) -> tuple[int, int, int]:
    """(H, W, C) of the images."""
    return config.image_size, config.image_size, config.channels
