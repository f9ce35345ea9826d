"""Adversarial losses: pure functions from discriminator logits to scalars.

Each loss comes as a `Loss`, a tuple of functions on logits of shape (B,):

    real, fake = losses.non_saturating.discriminator(real_logits, fake_logits)
    loss = losses.non_saturating.generator(fake_logits)

With r and f the logits of real and of generated examples, they are

    loss             minimised by the discriminator           by the generator
    minimax          E[softplus(-r)] + E[softplus(f)]         -E[softplus(f)]
    non_saturating   E[softplus(-r)] + E[softplus(f)]         E[softplus(-f)]
    least_squares    1/2 E[(r - 1)^2] + 1/2 E[f^2]            1/2 E[(f - 1)^2]
    wasserstein      -E[r] + E[f]                             -E[f]
    hinge            E[max(0, 1 - r)] + E[max(0, 1 + f)]      -E[f]
    relativistic     E[softplus(f - r)]                       E[softplus(r - f)]

and `smooth_labels` varies the first two. All stay finite up to |logit| = 1e4 and beyond. Logits of
any other rank are an error: (B, 1) against (B,) would broadcast to (B, B) without a word.
`feature_matching` and `paired_feature_matching` compare features in place of logits, `perceptual`
those of a fixed network, `lecam` keeps logits near their averages, `image_text_matching` and
`barlow_twins` compare embeddings of images with those of captions, `word_prediction` tells words
from images, and `gaussian_kl` compares Gaussians with the standard one. Where a discriminator has
logits of K classes, `real_logits` gives the one that these losses take, and `class_cross_entropy`
is the loss of examples with a label; `class_consistency` needs none. `adaptive_weight` is what an
adversarial term weighs beside another loss.
"""

from jaxgan.losses.balance import adaptive_weight
from jaxgan.losses.cross_entropy import (
    minimax,
    minimax_discriminator,
    minimax_generator,
    non_saturating,
    non_saturating_generator,
    smooth_labels,
)
from jaxgan.losses.features import feature_matching, paired_feature_matching, perceptual
from jaxgan.losses.gaussian import gaussian_kl
from jaxgan.losses.lecam import lecam
from jaxgan.losses.linear import (
    hinge,
    hinge_discriminator,
    wasserstein,
    wasserstein_discriminator,
    wasserstein_generator,
)
from jaxgan.losses.loss import Loss
from jaxgan.losses.matching import (
    barlow_twins,
    cosine_similarities,
    image_text_matching,
    word_prediction,
)
from jaxgan.losses.paired import (
    relativistic,
    relativistic_discriminator,
    relativistic_generator,
)
from jaxgan.losses.semi_supervised import class_consistency, class_cross_entropy, real_logits
from jaxgan.losses.squared_error import (
    least_squares,
    least_squares_discriminator,
    least_squares_generator,
)

__all__ = [
    "Loss",
    "adaptive_weight",
    "barlow_twins",
    "class_consistency",
    "class_cross_entropy",
    "cosine_similarities",
    "feature_matching",
    "gaussian_kl",
    "hinge",
    "hinge_discriminator",
    "image_text_matching",
    "least_squares",
    "least_squares_discriminator",
    "least_squares_generator",
    "lecam",
    "minimax",
    "minimax_discriminator",
    "minimax_generator",
    "non_saturating",
    "non_saturating_generator",
    "paired_feature_matching",
    "perceptual",
    "real_logits",
    "relativistic",
    "relativistic_discriminator",
    "relativistic_generator",
    "smooth_labels",
    "wasserstein",
    "wasserstein_discriminator",
    "wasserstein_generator",
    "word_prediction",
]
