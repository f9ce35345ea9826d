"""The training of `stackgan.py`: its two stages, and the picture of where either stands."""

import contextlib
import functools
import math
import shlex
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags
from jax.sharding import Mesh
from ml_collections import config_dict

from jaxgan import data, methods, networks
from jaxgan.errors import UserError
from jaxgan.inference.captions import (
    make_text_to_image,
    measure_text_statistics,
    restore_stage,
)
from jaxgan.runs.recorder import save_config
from jaxgan.training import captioned
from jaxgan.training.config import DTYPES, expect_field, falling_adams
from jaxgan.training.experiment import fit_images, make_mesh, make_step
from jaxgan.training.loop import is_finished
from jaxgan.training.reports import caption_pictures
from jaxgan.training.sources import load_split, load_splits
from jaxgan.training.workdir import lock_workdir, open_workdir

SHOWN = 8


def train(config, workdir, change_config, stage=None):
    """Trains the stages "1", "2" or "both", by default what `--stage` says."""
    stage = stage or flags.FLAGS.stage
    for name in ("embedding_dim", "matching_steps", "condition_dim", "text_dim", "latent_dim",
                 "stage_one_size", "stage_one_steps", "stage_one_width", "stage_one_disc_width",
                 "width", "disc_width"):  # fmt: skip
        expect_field(config, name, config[name] >= 1, "1 or more")
    for name in ("batch_size", "matching_batch_size"):
        expect_field(config, name, config[name] >= 2, "2 or more")
    expect_field(config, "ema_decay", 0 < config.ema_decay < 1, "a number between 0 and 1")
    for name in ("kl_weight", "matching_weight"):
        right = config[name] >= 0 and math.isfinite(config[name])
        expect_field(config, name, right, "a number of at least 0")
    expect_field(config, "residual_blocks", config.residual_blocks >= 0, "0 or more")
    check_sizes(config)
    mesh = make_mesh(config)
    if config.embeddings:
        # Its rows belong to images by their numbers, and say nothing of other images.
        expect = functools.partial(expect_field, config)
        expect("on_bad_image", config.on_bad_image == "stop", "stop where embeddings are given")
        expect("evaluate_on", config.evaluate_on == "test", "test, with embeddings")
        load = data.load_captioned if config.dataset == "scenes" else data.load
        source, test = load_split(config, "train", load), None
        captions = captioned.given(captioned.read_embeddings(config.embeddings, len(source)))
    else:
        source, test = load_splits(config, captioned.load)
    workdir = open_workdir(workdir, config.to_dict(), change_config=change_config)
    with lock_workdir(workdir) if jax.process_index() == 0 else contextlib.nullcontext():
        if stage == "2" and not is_finished(workdir / "stage1"):
            raise UserError(f"stage: 2 needs a finished Stage I, expected one in {workdir}/stage1")
        save_config(workdir, config.to_dict())
        if not config.embeddings:
            captions = captioned.prepare(config, source, workdir)
        run = functools.partial(
            train_stage, config, source, test or source, captions, workdir, change_config, mesh
        )
        if stage != "2":
            run("stage1", make_stage_one)
        if stage != "1":
            first = restore_stage(workdir / "stage1")
            run("stage2", functools.partial(make_stage_two, first))


def make_stage_one(config, encode, key):
    """(None, generator, discriminator, state, step) of Stage I."""
    generator, discriminator = _networks_one(config)
    method = methods.stackgan_stage_one(generator, discriminator, **_weights(config, encode))
    txs = falling_adams(config, config.stage_one_steps)
    state = method.init(key, _batch(config, config.stage_one_size), *txs, ema=True)
    step = make_step(config, method, *txs, ema_decay=config.ema_decay)
    return None, generator, discriminator, state, step


def make_stage_two(first, config, encode, key):
    """(stage_one, generator, discriminator, state, step) of Stage II over a finished first."""
    generator, discriminator = _networks_two(config)
    method = methods.stackgan_stage_two(
        first.generator,
        generator,
        discriminator,
        stage_one_variables=first.variables,
        **_weights(config, encode),
    )
    txs = falling_adams(config, config.num_steps)
    state = method.init(key, _batch(config, config.image_size), *txs, ema=True)
    step = make_step(config, method, *txs, ema_decay=config.ema_decay)
    return first.generator, generator, discriminator, state, step


def check_sizes(config):
    """Refuses sizes and widths that the networks cannot have, before anything is trained."""
    size = config.stage_one_size
    right = size in (16, 32, 64, 128) and size < config.image_size
    expect_field(config, "stage_one_size", right, "16, 32, 64 or 128, below image_size")
    _networks_one(config)
    _networks_two(config)


def _networks_one(config):
    return networks.stackgan_stage_one(
        config.stage_one_size,
        gen_width=config.stage_one_width,
        disc_width=config.stage_one_disc_width,
        latent_dim=config.latent_dim,
        **_shared(config),
    )


def _networks_two(config):
    return networks.stackgan_stage_two(
        config.image_size,
        config.stage_one_size,
        gen_width=config.width,
        disc_width=config.disc_width,
        residual_blocks=config.residual_blocks,
        **_shared(config),
    )


def _shared(config):
    names = ("channels", "condition_dim", "text_dim")
    return {**{name: config[name] for name in names}, "dtype": DTYPES[config.dtype]}


def _weights(config, encode):
    matching = {"encode": encode, "matching_weight": config.matching_weight} if encode else {}
    return {"kl_weight": config.kl_weight, **matching}


def _batch(config, size):
    """What a batch looks like, in shapes and dtypes."""
    shapes = {"image": (size, size, config.channels), "embedding": (config.embedding_dim,)}
    return {
        name: jax.ShapeDtypeStruct((config.batch_size, *shape), jnp.float32)
        for name, shape in shapes.items()
    }


def train_stage(
    config: config_dict.ConfigDict,
    source,
    test,
    captions: captioned.Captions,
    workdir: Path,
    change_config: bool,
    mesh: Mesh,
    name: str,
    make,
) -> None:
    """Trains a stage in a folder of its own.

    Args:
      config: of the experiment.
      source, test: images with captions; the pictures show captions of the second.
      captions: of `source`.
      workdir: of the experiment.
      change_config: go on with an old run under another config.
      mesh: of all devices.
      name: "stage1" or "stage2".
      make: (config, encode_image or None, key) -> (stage_one or None, generator, discriminator,
        state, step).
    """
    config = config.copy_and_resolve_references()
    config.embedding_dim = captions.extra["embeddings"].shape[-1]
    init_key, draw_key, noise_key = jax.random.split(jax.random.key(config.seed), 3)
    stage_one, generator, discriminator, state, play = make(config, captions.encode_image, init_key)
    if stage_one is None:
        config.image_size, config.num_steps = config.stage_one_size, config.stage_one_steps
        # So that Stage II may be another one over the same Stage I.
        with config.unlocked():
            for field in ("width", "disc_width", "residual_blocks"):
                del config[field]
    # A copy, since the loop takes the state for its own.
    extra = {**(state.extra or {}), **captions.extra}
    state = state.replace(extra=jax.tree.map(jnp.array, jax.device_get(extra)))
    folder = open_workdir(workdir / name, config.to_dict(), change_config=change_config)
    arrays, batches, take = captioned.image_batches(
        config, source, config.image_size, config.batch_size
    )

    def step(state, arrays, batch):
        images, numbers = take(arrays["images"], batch)
        key = jax.random.fold_in(draw_key, state.step)
        rows = arrays["captions"]
        rows = rows[numbers, jax.random.randint(key, numbers.shape, 0, rows.shape[1])]
        embeddings = captions.embed(state.extra, rows)
        meaning = arrays["meaning"][numbers]
        return play(state, {"image": images, "embedding": embeddings, "meaning": meaning})

    # Given embeddings say nothing of other images than those of training.
    shown = test if captions.encode else source
    numbers = np.linspace(0, len(shown) - 1, min(SHOWN, len(shown))).astype(int)
    look = {"image_size": config.image_size, "channels": config.channels}
    real = data.read_images(shown, numbers, **look)
    texts = [
        shown.captions(int(number))[0] if captions.encode else f"image {number}"
        for number in numbers
    ]
    rows = captions.encode(texts) if captions.encode else captions.rows[numbers, 0]
    embeddings = jax.jit(captions.embed)(captions.extra, rows)

    def sample(state):
        # Of this process alone: each draws the same images on a device of its own.
        player, extra = jax.device_get((state.generator, state.extra))
        variables = measure_text_statistics(generator, player.ema_variables, extra, stage_one)
        generate = make_text_to_image(generator, variables, extra, stage_one)
        noise = jax.random.normal(noise_key, (3, len(texts), generate.noise_dim))
        columns = {f"drawn {i + 1}": generate(noise[i], embeddings) for i in range(3)}
        if stage_one is not None:
            columns = {"Stage I": generate.first(noise[0], embeddings), **columns}
        columns = {**columns, "real": real}
        return {"samples": caption_pictures.draw(texts, columns)[None]}

    what = f"--caption {shlex.quote(texts[0])}" if captions.encode else "--embedding FILE.npy"
    which = f"--workdir {shlex.quote(str(workdir))} --stage {name[-1]}"
    fit_images(
        config,
        state,
        step,
        batches,
        folder,
        mesh,
        arrays={"images": arrays, "captions": captions.rows, "meaning": captions.meaning},
        sample=sample,
        real=data.spread_images(source, 64, **look),
        evaluate=None,
        description={
            "generator": networks.describe(generator),
            "discriminator": networks.describe(discriminator),
            "stage_one": stage_one and networks.describe(stage_one),
            **captions.description,
        },
        use={
            "Draw what a caption says": f"jaxgan caption {which} {what}",
            "Or in Python": "from jaxgan.inference.captions import load_stackgan\n\n"
            f"generate = load_stackgan({str(folder)!r})",
        },
        images_per_step=config.batch_size,
        sources=(source, *([test] if test is not source else [])),
    )
