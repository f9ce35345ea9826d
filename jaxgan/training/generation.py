"""What the experiments from latents to images share: config, data, pictures and evaluation."""

import functools
import itertools
import math
import shlex
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from ml_collections import config_dict

from jaxgan import cpu, data, networks
from jaxgan.inference.load import make_generate
from jaxgan.inputs import Classes, Inputs, Latents, describe_inputs, draw_grid, draw_inputs
from jaxgan.latent import interpolate
from jaxgan.methods import Method
from jaxgan.network import Network, NetworkLike, name_of, value_range_of
from jaxgan.runs.spread import over_seeds
from jaxgan.state import TrainState
from jaxgan.training import seeds, sharding
from jaxgan.training.config import base_config, expect_field, image_shape
from jaxgan.training.experiment import fit_images, make_mesh, make_step, run_experiment
from jaxgan.training.feature_metrics import TrainingMetrics, features_for
from jaxgan.training.loop import parameter_tables
from jaxgan.training.own_folder import fit_to_folder, tell_of_folder
from jaxgan.training.sources import fits_on_device, load_splits
from jaxgan.training.sweep import check_effect, with_fields
from jaxgan.training.workdir import open_workdir

WALK = 10
"""How many images a walk from one draw to another has."""
SHOWN, COLUMNS = 8, 8
"""Of so many of several seeds the samples are shown, so many of each."""
HELD_OUT = 2_000
"""How many of the held-out images an evaluation sees: as many as tell its shares to one in a
hundred, since the step waits for it."""


def default_config() -> config_dict.ConfigDict:
    """The vocabulary of the games from latents to images."""
    config = base_config()
    config.seeds = 1  # so many trainings at once, from seed on; see docs/many_seeds.md
    config.sweep = ""  # or one for each value of a field, as penalty_weight=0.1,1,10
    config.flip = False  # show the discriminator every image turned left to right as well
    config.latent_dim = 100
    config.latent = "normal"  # or uniform, in [-1, 1]
    config.disc_steps = 1  # updates of the discriminator for each of the generator
    config.ema_decay = 0.999  # of the generator's averaged parameters; 0 keeps none
    config.metrics = ""  # at each evaluation, some of fid,kid,is,prdc,modes
    # What the metrics see: lenet (of all but 28 x 28 grey images that is lite1), lite0, lite1,
    # inception, or a file of classifier.py.
    config.features = "lenet"
    config.keep_best = ""  # in best/, the checkpoint where one of the metrics, as fid, is best
    return config


class Game(NamedTuple):
    """What an experiment trains, and what the records need of it.

    Attributes:
      generator, discriminator: the modules.
      state: at step 0.
      step: the pure train step, (state, batch) -> (state, metrics).
      evaluate: (state, batch, key) -> sums over a batch of held-out examples, and their "count"; or
        None, where nothing is tested.
      inputs: what the generator takes.
      disc_inputs: the same of the discriminator, besides images.
      description: JSON that the checkpoints carry besides.
      held_out: how many of the held-out images an evaluation sees, at most; None for all.
      one_seed: where the step is not that of any other seed, what `config.seeds` has to be for it.
    """

    generator: NetworkLike
    discriminator: NetworkLike
    state: TrainState
    step: Callable
    evaluate: Callable | None
    inputs: Inputs
    disc_inputs: Inputs
    description: Mapping[str, Any] = {}
    held_out: int | None = HELD_OUT
    one_seed: str = ""


def game_of(
    config: config_dict.ConfigDict,
    key: jax.Array,
    generator: NetworkLike,
    discriminator: NetworkLike,
    method: Method,
    gen_tx: optax.GradientTransformation,
    disc_tx: optax.GradientTransformation,
    *,
    ema_decay: optax.Schedule | None = None,
    **more: Any,
) -> Game:
    """The game of a method as the config says; `more` are other attributes of it.

    `ema_decay` is a schedule in place of the config's number, where that keeps an average at all.
    """
    state = method.init(key, batch_of(config), gen_tx, disc_tx, ema=config.ema_decay > 0)
    options = {
        "disc_steps": config.disc_steps,
        "fresh_batch": config.get("fresh_batch", False),
        "ema_decay": (ema_decay or config.ema_decay) if config.ema_decay else None,
    }
    step = make_step(config, method, gen_tx, disc_tx, **options)
    inputs = method.inputs, method.disc_inputs
    return Game(generator, discriminator, state, step, method.evaluate, *inputs, **more)


def batch_of(config: config_dict.ConfigDict) -> dict[str, jax.ShapeDtypeStruct]:
    """Shapes and dtypes of a step's images and labels."""
    count = images_per_step(config)
    return {
        "image": jax.ShapeDtypeStruct((count, *image_shape(config)), jnp.float32),
        "label": jax.ShapeDtypeStruct((count,), jnp.int32),
    }


def images_per_step(config: config_dict.ConfigDict) -> int:
    """How many images one step sees, of all updates together."""
    return config.batch_size * (config.disc_steps + config.get("fresh_batch", False))


def train(
    make_game: Callable, config: config_dict.ConfigDict, workdir: str | Path, change_config: bool
) -> None:
    """Trains a generator of images from latents as the config says."""
    check_latents(config)
    count = seeds.count(config)
    several = count > 1
    mesh = seeds.make_mesh(count) if several else make_mesh(config)
    source, test = load_splits(config)
    shown = data.mirrored(source) if config.flip else source
    metrics = TrainingMetrics(config, source, HELD_OUT)
    keep_best = metrics.keep_best()
    singles = seeds.single_configs(config)
    keys = [jax.random.split(jax.random.key(single.seed), 3) for single in singles]

    def one_step(config, batch):
        game = make_game(config, source, jax.random.key(0))
        return game.step(game.state, batch)

    check_effect(config, one_step, batch_of(config))
    states = []
    for single, (init_key, _, _) in zip(singles, keys, strict=True):
        game = make_game(single, source, init_key)
        expect_field(config, "seeds", config.seeds == 1 or not game.one_seed, game.one_seed)
        states.append(game.state)
    state = seeds.join_states(states) if several else game.state
    generator = game.generator
    pixels = {"image_size": config.image_size, "channels": config.channels}
    value_range = value_range_of(generator)
    look = {**pixels, "value_range": value_range}
    orders = [{"batch_size": images_per_step(config), "seed": single.seed} for single in singles]
    arrays = None
    if fits_on_device(config, len(shown)):
        arrays = data.load_arrays(shown, **pixels)
        streams = [data.index_iterator(len(shown), **order) for order in orders]
    else:
        streams = [data.train_iterator(shown, **order, **look) for order in orders]
    batches = seeds.JoinedBatches(streams) if several else streams[0]
    # Small training batches would make a long evaluation.
    eval_batch_size = config.batch_size * math.ceil(100 / config.batch_size)
    real = data.spread_images(source, 64, **pixels)
    # Only now, when all of the input is known to be good, is more told than an error.
    if jax.process_index() == 0 and not (Path(workdir) / "config.json").exists():
        tell_of_folder(config)
    # And the run's folder touched.
    workdir = open_workdir(workdir, config.to_dict(), change_config=change_config)

    def step(state, arrays, batch, **swept):
        if arrays is not None:
            batch = data.take_batch(arrays, batch["index"], value_range)
        of = make_game(with_fields(config, **swept), source, keys[0][0]) if swept else game
        return of.step(state, batch)

    held_out = None
    if test and game.evaluate:
        held_out = evaluate_on(
            data.eval_batches(test, batch_size=eval_batch_size, **look),
            game.held_out and math.ceil(game.held_out / eval_batch_size),
            game.evaluate,
            [eval_key for _, _, eval_key in keys],
            mesh,
        )

    def generate(state):
        """The function that `load_generator` would give of this state."""
        return make_generate(
            generator,
            # Of this process alone: each draws the same images on a device of its own.
            jax.device_get(state.generator.ema_variables),
            game.inputs,
            averaged=config.ema_decay > 0,
        )

    samples = [make_sample(game.inputs, generate, sample_key) for _, sample_key, _ in keys]

    def sample(state):
        """Of several seeds one row each of what its own run shows, and the walk of the first."""
        if not several:
            return samples[0](state)
        chosen = seeds.shown(config)[:SHOWN]
        shown = [samples[index](seeds.pick(state, index)) for index in chosen]
        rows = [of["samples"][0] if of_classes else of["samples"][:COLUMNS] for of in shown]
        return {"samples": jnp.stack(rows), "interpolation": shown[0]["interpolation"]}

    def evaluate(state):
        counted = held_out(state) if held_out else [{} for _ in singles]
        of_each = [
            {**of, **metrics(lambda one=one: generate(one))}
            for of, one in zip(
                counted,
                [seeds.pick(state, index) for index in range(count)] if several else [state],
                strict=True,
            )
        ]
        if not several:
            return of_each[0]
        return over_seeds({name: [of[name] for of in of_each] for name in of_each[0]})

    of_classes = any(isinstance(of, Classes) for of in game.inputs.values())
    description = {
        "generator": networks.describe(generator),
        "discriminator": networks.describe(game.discriminator),
        "inputs": describe_inputs(game.inputs),
        "disc_inputs": describe_inputs(game.disc_inputs),
        **game.description,
    }
    layout = "A latent a row, a class a column." if of_classes else ""
    folders = [workdir / name for name in seeds.names(config)] if several else [workdir]
    state = fit_images(
        config,
        state,
        step,
        batches,
        workdir,
        mesh,
        arrays=arrays,
        sample=sample,
        real=real,
        evaluate=evaluate if held_out or config.metrics else None,
        description=description,
        use=how_to_use(folders[0], generator, game.inputs, image_shape(config), config.features),
        layout=f"A row a {seeds.what_differs(config)}." if several else layout,
        images_per_step=images_per_step(config) * count,
        sources=(source, test),
        keep_best=keep_best,
    )
    if not several:
        return
    for index, (single, folder) in enumerate(zip(singles, folders, strict=True)):
        own = seeds.pick(state, index)
        seeds.write_run(
            workdir,
            folder.name,
            single,
            index,
            own,
            batches.get_state()["seeds"][index],
            description,
            parameter_tables(own),
            pictures=samples[index](own),
            real=real,
            use=how_to_use(folder, generator, game.inputs, image_shape(config), config.features),
            layout=layout,
        )
    seeds.write_sweep(workdir, config)


def how_to_use(
    workdir: Path,
    generator: NetworkLike,
    inputs: Inputs,
    shape: tuple[int, int, int],
    features: str,
) -> dict[str, str]:
    """What for -> a command, or Python; the commands build networks of jaxgan alone.

    Args:
      workdir: the run's folder.
      generator: the module.
      inputs: what it takes.
      shape: (H, W, C) of its images.
      features: the config's, by which it is measured.
    """
    name = name_of(generator)
    if isinstance(generator, Network) or name not in networks.__all__:
        own = "network" if isinstance(generator, Network) else f"{name}(...)"
        load = f"jaxgan.load_generator({str(workdir)!r}, generator={own})"
        return {"Sample from this run in Python": f"import jaxgan\n\ngenerate = {load}"}
    run = f"--workdir {shlex.quote(str(workdir))}"
    features = features_for(features, shape)
    by = "" if features == "lenet" else f" --features {shlex.quote(features)}"
    use = {
        "Sample from this run": f"jaxgan sample {run} --num 64 --out grid.png",
        "Measure it": f"jaxgan evaluate {run}{by}",
    }
    if {*inputs} <= {"latents", "labels"}:
        command = f"jaxgan explore {run} --what neighbours{by} --out neighbours.png"
        use["See whether it copies training images"] = command
    load = f"import jaxgan\n\ngenerate = jaxgan.load_generator({str(workdir)!r})"
    return {**use, "Or in Python": load}


main = functools.partial(run_experiment, train, fit_to_data=fit_to_folder)
"""Runs an experiment from latents to images from the command line: main(get_config, make_game).

`make_game` is (config, source of training images, key) -> `Game`; the rest is as for
`run_experiment`.
"""


def make_sample(inputs: Inputs, generate: Callable, key: jax.Array) -> Callable:
    """State -> pictures from draws that stay the same through the run.

    With classes, each row of the samples has one latent, and each column one class.

    Args:
      inputs: what the generator takes.
      generate: state -> what `make_generate` gives.
      key: of the draws.
    """
    samples_key, path_key = jax.random.split(key)
    grid, columns = draw_grid(inputs, samples_key, 64)
    # The walk stays within the first class.
    walk = [
        interpolate(ends[0], ends[1], WALK, prior=of.prior)
        if isinstance(of, Latents)
        else jnp.zeros(WALK, jnp.int32)
        for of, ends in zip(inputs.values(), draw_inputs(inputs, path_key, 2), strict=True)
    ]
    both = [jnp.concatenate(parts) for parts in zip(grid, walk, strict=True)]

    def sample(state):
        images = generate(state)(*both)
        samples, walk = images[:-WALK], images[-WALK:]
        if columns is not None:
            samples = samples.reshape(-1, columns, *samples.shape[1:])
        return {"samples": samples, "interpolation": walk}

    return sample


def evaluate_on(
    batches, num_batches: int | None, evaluate: Callable, keys: list[jax.Array], mesh
) -> Callable:
    """State -> for each seed the means of what `evaluate` counts, over the first batches or all."""
    several = len(keys) > 1
    put: Callable = sharding.replicate if several else sharding.shard_batch
    evaluate = seeds.each_seed(evaluate, mesh) if several else evaluate
    evaluate = jax.jit(evaluate, compiler_options=cpu.compiler_options())

    def run(state):
        totals = None
        state = seeds.place(state, mesh) if several else state
        for index, batch in enumerate(itertools.islice(batches, num_batches)):
            drawn = [jax.random.fold_in(key, index) for key in keys]
            counts = evaluate(state, put(batch, mesh), jnp.stack(drawn) if several else drawn[0])
            totals = counts if totals is None else jax.tree.map(jnp.add, totals, counts)
        totals = jax.device_get(totals)
        count = totals.pop("count")
        means = {name: total / count for name, total in totals.items()}
        if not several:
            return [{name: float(mean) for name, mean in means.items()}]
        return [{name: float(m[seed]) for name, m in means.items()} for seed in range(len(keys))]

    return run


def check_latents(config: config_dict.ConfigDict) -> None:
    """Refuses values that no run from latents to images can have, naming the field."""
    expect = functools.partial(expect_field, config)
    for name in ("latent_dim", "disc_steps"):
        expect(name, config[name] >= 1, "1 or more")
    expect("ema_decay", 0 <= config.ema_decay < 1, "a number in [0, 1)")
    expect("latent", config.latent in ("normal", "uniform"), "normal or uniform")
    seeds.check_seeds(config)
