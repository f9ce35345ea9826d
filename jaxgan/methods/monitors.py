"""What a batch of real and generated examples tells of the game, for any method to log."""

import jax
import jax.numpy as jnp

from jaxgan.losses import Loss
from jaxgan.losses.loss import check_logits
from jaxgan.step import Metrics

__all__ = ["adversarial_metrics", "diversity", "judge_held_out"]


def adversarial_metrics(loss: Loss, real_logits: jax.Array, fake_logits: jax.Array) -> Metrics:
    """What the discriminator's logits say about the game.

    Args:
      loss: gives the meaning of a logit as a probability D.
      real_logits, fake_logits: (B,) float.

    Returns:
      float32 scalars: `d_real` E[D(x)], `d_fake` E[D(G(z))], `accuracy_real` and `accuracy_fake`
      (the share on the right side of D = 1/2), `d_ratio` E[D(x) / (D(x) + D(G(z)))] over pairs,
      and `jsd_lower_bound` log 2 + 1/2 E[log D(x)] + 1/2 E[log(1 - D(G(z)))] in nats, which on
      images that the discriminator was not trained on is at most the Jensen-Shannon divergence of
      data and generator, itself at most log 2. On training images it can be more, by what the
      discriminator has memorised; and where batch norm tells it the statistics of each batch, it
      is of batches and not of single images. Where the loss gives logits no probability:
      `critic_real` and `critic_fake`, their means, of which only the difference means something.

    Source: Goodfellow et al. 2014, "Generative Adversarial Networks", theorem 1, for the bound.

    Examples:
      >>> from jaxgan import losses
      >>> metrics = adversarial_metrics(losses.minimax, jnp.full(2, 9.0), jnp.full(2, -9.0))
      >>> print(f"{metrics['jsd_lower_bound']:.3f} {metrics['accuracy_real']:.1f}")
      0.693 1.0
    """
    if loss.log_probabilities is None:
        return {
            "critic_real": jnp.mean(check_logits("real_logits", real_logits)),
            "critic_fake": jnp.mean(check_logits("fake_logits", fake_logits)),
        }
    log_d_real, log_not_d_real = loss.log_probabilities(real_logits)
    log_d_fake, log_not_d_fake = loss.log_probabilities(fake_logits)
    return {
        "d_real": jnp.mean(jnp.exp(log_d_real)),
        "d_fake": jnp.mean(jnp.exp(log_d_fake)),
        "accuracy_real": jnp.mean(log_d_real > log_not_d_real),
        "accuracy_fake": jnp.mean(log_d_fake < log_not_d_fake),
        "d_ratio": jnp.mean(jax.nn.sigmoid(log_d_real - log_d_fake)),
        "jsd_lower_bound": jnp.log(2.0) + 0.5 * (jnp.mean(log_d_real) + jnp.mean(log_not_d_fake)),
    }


def judge_held_out(
    loss: Loss, real_logits: jax.Array, fake_logits: jax.Array, mask: jax.Array
) -> Metrics:
    """What a test of the discriminator counts; divide by the number of real examples.

    Args:
      loss: as for `adversarial_metrics`.
      real_logits, fake_logits: (B,) float.
      mask: (B,) float, 0 where a batch was filled up, else 1.

    Returns:
      Sums over the batch of what `adversarial_metrics` has the means of: {"accuracy_real",
      "accuracy_fake", "jsd_lower_bound"}; where the loss gives logits no probability
      {"critic_real", "critic_fake"}.

    Examples:
      >>> from jaxgan import losses
      >>> logits = jnp.array([3.0, -1.0])
      >>> counts = judge_held_out(losses.hinge, logits, logits, jnp.ones(2))
      >>> print(counts["accuracy_real"])
      1.0
    """
    if loss.log_probabilities is None:
        return {
            "critic_real": jnp.sum(mask * check_logits("real_logits", real_logits)),
            "critic_fake": jnp.sum(mask * check_logits("fake_logits", fake_logits)),
        }
    log_d_real, log_not_d_real = loss.log_probabilities(real_logits)
    log_d_fake, log_not_d_fake = loss.log_probabilities(fake_logits)
    return {
        "accuracy_real": jnp.sum(mask * (log_d_real > log_not_d_real)),
        "accuracy_fake": jnp.sum(mask * (log_d_fake < log_not_d_fake)),
        "jsd_lower_bound": jnp.sum(mask * (jnp.log(2.0) + 0.5 * (log_d_real + log_not_d_fake))),
    }


def diversity(real: jax.Array, fake: jax.Array, axis_name: str | None = None) -> jax.Array:
    """How much generated images spread, in units of how much real ones do.

        sqrt(mean over pixels of Var[fake] / mean over pixels of Var[real])

    About 1 in a healthy game; 0 where the generator makes one image only.

    Args:
      real, fake: (B, ...) float, of equal shapes.
      axis_name: the mapped axis over whose devices the batch is split, if any.

    Returns:
      float32 scalar.

    Examples:
      >>> images = jnp.arange(4.0).reshape(4, 1, 1, 1)
      >>> print(diversity(images, images / 2))
      0.5
    """

    def variance(images):
        images = images.astype(jnp.float32)
        mean, square = jnp.mean(images, 0), jnp.mean(jnp.square(images), 0)
        if axis_name is not None:
            mean, square = jax.lax.pmean((mean, square), axis_name)
        return jnp.mean(square - jnp.square(mean))

    # Rounding may leave a constant image a little below zero, and real ones must not be alike.
    ratio = variance(jax.lax.stop_gradient(fake)) / jnp.maximum(variance(real), 1e-12)
    return jnp.sqrt(jnp.maximum(ratio, 0.0))
