r"""StackGAN (Zhang et al. 2017): images from captions, a small one first, then a large one of it.

    python experiments/stackgan.py --workdir runs/stackgan
    python experiments/stackgan_sample.py --workdir runs/stackgan --caption "a small red seven at \
        the top left on a dark blue ground"
    python experiments/stackgan.py --workdir runs/birds --config.dataset=folder:PATH \
        --config.image_size=256 --config.stage_one_size=64

By default on scenes of digits whose captions come from a grammar; the run ends with how often what
a caption names is read in the image, for captions that training never had. A folder holds images
and captions.tsv, lines of a path, a tab and a caption. Each stage is a run in a folder of its own,
stage1 and stage2; --stage=1 or --stage=2 trains one of them alone.
"""

import contextlib
import functools
import math

import jax
from absl import flags

from jaxgan import UserError, data
from jaxgan.inference.captions import restore_stage
from jaxgan.runs.recorder import save_config
from jaxgan.training import captioned, sharding, stackgan_stages
from jaxgan.training.config import base_config, expect_field
from jaxgan.training.experiment import run_experiment
from jaxgan.training.loop import is_finished
from jaxgan.training.reports import stackgan_report
from jaxgan.training.sources import load_split, load_splits
from jaxgan.training.workdir import lock_workdir, open_workdir


def get_config():
    config = base_config()
    config.dataset = "scenes"  # or folder:PATH, or a name of TFDS, as coco_captions
    config.channels = 3
    config.device_data_mb = 1024
    config.embeddings = ""  # or a .npy file: for each image one row, or several, for its captions
    config.embedding_dim = 128  # of a caption
    config.matching_steps = 2_500  # of the encoders, before the stages
    config.matching_batch_size = 256
    config.condition_dim = 128  # of the Gaussian about a caption that the generators draw from
    config.text_dim = 128  # of a caption in the discriminators
    config.latent_dim = 100
    config.kl_weight = 0.002  # the authors have 2 / 128, for few captions with gaps to fill
    # Of the generator's images being found by their captions; 0 is the paper's loss.
    config.matching_weight = 50.0
    config.stage_one_size = 32
    config.stage_one_steps = 4_500
    config.stage_one_width = 32  # channels of the last feature map of Stage I's generator
    config.stage_one_disc_width = 24  # of the first of its discriminator
    config.image_size = 64  # of Stage II, as what follows
    config.num_steps = 1_500
    config.width = 32  # channels of the generator at Stage I's size
    config.disc_width = 24
    config.residual_blocks = 2
    config.batch_size = 64
    config.generator_learning_rate = 1e-3
    config.discriminator_learning_rate = 5e-4
    config.ema_decay = 0.999
    return config


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
    stackgan_stages.check_sizes(config)
    sharding.check_batch_size(config.batch_size, sharding.make_mesh())
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
            stackgan_stages.train, config, source, test or source, captions, workdir, change_config
        )
        if stage != "2":
            run("stage1", stackgan_stages.make_stage_one)
        if stage != "1":
            first = restore_stage(workdir / "stage1")
            run("stage2", functools.partial(stackgan_stages.make_stage_two, first))


if __name__ == "__main__":
    flags.DEFINE_enum("stage", "both", ("both", "1", "2"), "Which of the stages to train.")
    run_experiment(get_config, train, report=stackgan_report.report, more_flags=("stage",))
