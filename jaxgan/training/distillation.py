"""The training of `one_step.py`: a teacher of flow matching, then students of one step.

WORKDIR/teacher.msgpack keeps the teacher. The run in WORKDIR is the student with the adversarial
term, the one in WORKDIR/without the same without it.
"""

import contextlib
import functools
import math
from pathlib import Path
from typing import Any

import jax
import optax
from jax.experimental import multihost_utils
from ml_collections import config_dict

from jaxgan import cpu, data, networks
from jaxgan.errors import UserError
from jaxgan.methods import dmd2, init_flow, make_flow_step
from jaxgan.runs.recorder import save_config
from jaxgan.state import PyTree
from jaxgan.training import generation, short_training
from jaxgan.training.captioned import image_batches
from jaxgan.training.config import DTYPES, expect_field, falling, image_shape
from jaxgan.training.own_folder import fit_to_folder, tell_of_folder
from jaxgan.training.state_file import read_state, write_state
from jaxgan.training.workdir import lock_workdir, open_workdir

OF_TEACHER = ("seed", "dataset", "data_dir", "on_bad_image", "evaluate_on", "image_size",
              "channels", "flip", "batch_size", "dtype", "width", "blocks", "teacher_steps",
              "teacher_learning_rate")  # fmt: skip
"""The fields that a teacher depends on."""
TEACHER = "teacher.msgpack"
"""Its file in a run's folder."""
EMA_DECAY = 0.999
"""Of the teacher's averaged parameters."""
SAVED_EVERY = 100
"""Steps after which the teacher is saved as far as it is."""


def fit(config: config_dict.ConfigDict, given, workdir: str | Path) -> None:
    """As `fit_to_folder`; the latents are as large as the images. Refuses several trainings."""
    expect_field(config, "seeds", config.seeds == 1, "1: each seed has a teacher of its own")
    expect_field(config, "sweep", not config.sweep, "none: there are two students already")
    fit_to_folder(config, given, workdir)
    numbers = math.prod(image_shape(config))
    right = "latent_dim" not in given or config.latent_dim == numbers
    expect_field(config, "latent_dim", right, f"{numbers}, one for each number of an image")
    config.latent_dim = numbers


def train(config: config_dict.ConfigDict, workdir: str | Path, change_config: bool) -> None:
    """Trains a teacher and both students, or what of them is not there yet."""
    make = functools.partial(make_game, Path(workdir), change_config)
    generation.train(make, config, workdir, change_config)
    if config.gan_weight:
        print("\nthe same without the adversarial term, to compare with")
        without = config.copy_and_resolve_references()
        without.gan_weight = 0.0
        generation.train(make, without, Path(workdir) / "without", change_config)


def make_game(
    workdir: Path, change_config: bool, config: config_dict.ConfigDict, source, key: jax.Array
) -> generation.Game:
    """The game of a student and its critic; a teacher that the folder has not is trained first."""
    expect = functools.partial(expect_field, config)
    for name in ("width", "blocks", "teacher_steps"):
        expect(name, config[name] >= 1, "1 or more")
    expect("teacher_learning_rate", config.teacher_learning_rate > 0, "a positive number")
    for name in ("gan_weight", "critic_gan_weight"):
        expect(name, config[name] >= 0, "a number of at least 0")
    expect("student_time", 0 < config.student_time <= 1, "a number above 0, up to 1")
    expect("image_size", config.image_size % 4 == 0, "a multiple of 4")
    expect("latent", config.latent == "normal", "normal, as the noise of flow matching is")
    teacher = make_teacher(config)
    student = networks.OneStepUNet(
        **_fields(config), image_size=config.image_size, time=config.student_time
    )
    critic = networks.VelocityCritic(**_fields(config))
    method = dmd2(
        student,
        critic,
        teacher,
        teacher_variables=prepare_teacher(config, source, workdir, change_config),
        latent_dim=config.latent_dim,
        gan_weight=config.gan_weight,
        critic_gan_weight=config.critic_gan_weight,
    )
    rates = config.generator_learning_rate, config.discriminator_learning_rate
    txs = (optax.adam(falling(rate, config.num_steps), b1=0.0, b2=0.99) for rate in rates)
    return generation.game_of(config, key, student, critic, method, *txs)


def make_teacher(config: config_dict.ConfigDict) -> networks.VelocityUNet:
    """The teacher's module."""
    return networks.VelocityUNet(**_fields(config))


def _fields(config) -> dict[str, Any]:
    names = ("width", "blocks", "channels")
    return {**{name: config[name] for name in names}, "dtype": DTYPES[config.dtype]}


def prepare_teacher(
    config: config_dict.ConfigDict, source, workdir: Path, change_config: bool
) -> PyTree:
    """The averaged variables of a run's teacher, which is trained if it is not there yet."""
    about = {name: config[name] for name in OF_TEACHER}
    file, unfinished = workdir / TEACHER, workdir / "teacher_unfinished.msgpack"
    saved = read_state(file)
    if saved is not None:
        for name, value in about.items():
            if saved[1].get(name) != value:
                raise UserError(
                    f"{name}: got {value!r}, but {file} was trained with {saved[1].get(name)!r}; "
                    "expected another folder"
                )
        return saved[0]
    # All that is known of the config is right: the folder may be touched.
    if jax.process_index() == 0 and not (workdir / "config.json").exists():
        tell_of_folder(config)
    open_workdir(workdir, config.to_dict(), change_config=change_config)
    first = jax.process_index() == 0
    with lock_workdir(workdir) if first else contextlib.nullcontext():
        if first:
            save_config(workdir, config.to_dict())
        variables = train_teacher(config, source, unfinished, about)
        if first:
            write_state(file, variables, about)
            unfinished.unlink(missing_ok=True)
    return variables


def train_teacher(
    config: config_dict.ConfigDict, source, file: Path, about: dict[str, Any]
) -> PyTree:
    """Trains a teacher; `file` and `about` are as for `short_training.train`.

    Returns:
      Its variables with averaged parameters, on the host.
    """
    network, steps = make_teacher(config), config.teacher_steps
    rate = optax.warmup_cosine_decay_schedule(
        0.0, config.teacher_learning_rate, min(200, steps // 2), steps
    )
    tx = optax.adam(rate)
    init_key, draw_key = jax.random.split(jax.random.key(config.seed))
    player = init_flow(init_key, network, tx, image_shape=image_shape(config))
    learn = make_flow_step(network, tx, ema_decay=EMA_DECAY)
    shown = data.mirrored(source) if config.flip else source
    # Each process trains on all of each batch.
    alone = {"process_index": 0, "process_count": 1}
    arrays, batches, take = image_batches(
        config, shown, config.image_size, config.batch_size, **alone
    )
    arrays = jax.device_put(arrays)

    @functools.partial(jax.jit, donate_argnums=0, compiler_options=cpu.compiler_options())
    def step(player, arrays, batch, number):
        images, _ = take(arrays, batch)
        return learn(player, {"image": images}, jax.random.fold_in(draw_key, number))

    def tell(progress, number, player, metrics):
        progress.say(
            f"teacher, step {number}/{steps}, {progress.rate(number):.0f} images/s: "
            f"loss {float(metrics['flow_matching_loss']):.3f}",
            live=number < steps,
        )

    player = short_training.train(
        lambda player, batch, number: step(player, arrays, batch, number),
        player,
        batches,
        steps,
        file=file,
        about=about,
        every=SAVED_EVERY,
        tell=tell,
        images_per_step=config.batch_size,
    )
    variables = jax.device_get(player.ema_variables)
    if jax.process_count() > 1:
        # All have trained the same, but for rounding where their machines differ.
        variables = multihost_utils.broadcast_one_to_all(variables)
    return variables
