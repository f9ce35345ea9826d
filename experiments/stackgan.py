r"""StackGAN (Zhang et al. 2017): images from captions, a small one first, then a large one of it.

    python experiments/stackgan.py --workdir runs/stackgan
    python experiments/stackgan_sample.py --workdir runs/stackgan --caption "a small red seven at \
        the top left on a dark blue ground"
    python experiments/stackgan.py --workdir runs/names --variant=emoji
    python experiments/stackgan.py --workdir runs/birds --config.dataset=folder:PATH \
        --config.image_size=256 --config.stage_one_size=64

By default on scenes of digits whose captions come from a grammar; the run ends with how often what
a caption names is read in the image, for captions that training never had. Images of other captions
are read by Lite1's features: how often one's own caption is found among ten. A folder holds images
and captions.tsv, lines of a path, a tab and a caption. Each stage is a run in a folder of its own,
stage1 and stage2; --stage=1 or --stage=2 trains one of them alone.
"""

from absl import flags

from jaxgan.training import stackgan_stages
from jaxgan.training.config import EMOJI_VARIANTS, base_config
from jaxgan.training.experiment import run_experiment
from jaxgan.training.reports import stackgan_report


def get_config(variant="digits"):
    config = base_config()
    config.variant = variant
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
    if variant == "emoji":
        config.update({"dataset": "emoji", "matching_steps": 1_000})
        config.update({"stage_one_steps": 3_000, "num_steps": 800})
    return config


if __name__ == "__main__":
    flags.DEFINE_enum("stage", "both", ("both", "1", "2"), "Which of the stages to train.")
    run_experiment(
        stackgan_stages.train,
        get_config,
        variants=EMOJI_VARIANTS,
        report=stackgan_report.report,
        more_flags=("stage",),
    )
