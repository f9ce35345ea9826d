r"""One step (DMD2, Yin et al. 2024): a flow-matching teacher, and what is distilled of it.

    python experiments/one_step.py --workdir runs/one_step
    python experiments/sample.py --workdir runs/one_step --num 64 --out grid.png
    python experiments/one_step.py --workdir runs/more --config.teacher_steps=20000 \
        --config.num_steps=10000 --config.width=64

A small U-Net learns the velocity from noise to digits (WORKDIR/teacher.msgpack). A student, which
begins as the teacher, then learns to draw in one step what that draws in many: by distribution
matching and an adversarial term, and in WORKDIR/without by distribution matching alone. The run
ends with distances from real digits of both students and of the teacher in 1, 4 and 50 steps, in
evaluation.json, and all of them from the same noise, in one_step.png.

Differs from the paper: see `methods.dmd2`; and rates fall to 0 in the second half of the run.
"""

from jaxgan.training import distillation, generation
from jaxgan.training.experiment import run_experiment
from jaxgan.training.reports import one_step_report


def get_config():
    config = generation.default_config()
    config.latent_dim = 28 * 28  # of the noise: as many numbers as an image has, always
    config.width = 32  # channels of all three networks at half the image's side
    config.blocks = 1  # residual blocks at either side, down and up again
    config.teacher_steps = 8_000
    config.teacher_learning_rate = 1e-3  # after a warm-up; it falls to 0 by a cosine
    config.student_time = 0.8  # at which the student takes its noise for a noisy image
    # Of the adversarial term; 0 leaves it out. The paper's 3e-3 is for images of 16 times as many
    # numbers, over which the other term is a mean.
    config.gan_weight = 2e-2
    config.critic_gan_weight = 1e-2  # of the critic's side of it, beside its flow matching
    config.disc_steps = 2
    config.batch_size = 64
    config.num_steps = 1_500
    config.generator_learning_rate = 5e-4
    config.discriminator_learning_rate = 1e-3
    config.ema_decay = 0.99
    config.metrics = "fid"
    config.eval_every = 300
    return config


if __name__ == "__main__":
    run_experiment(
        distillation.train,
        get_config,
        report=one_step_report.report,
        fit_to_data=distillation.fit,
    )
