"""Where the authors of a method do otherwise on purpose, it is said where the method stands."""

import pytest

from jaxgan import augment, methods, metrics, networks
from jaxgan.networks.stackgan import ConditioningAugmentation

SAID = [
    (methods.cyclegan, "updates the discriminators first"),
    (methods.discogan, "updates the discriminators at every third step"),
    (methods.sgan, "half of L_D"),
    (methods.stackgan_stage_one, "equal to the default w with 128 entries"),
    (ConditioningAugmentation, "LeakyReLU 0.2 on mean and log sigma"),
    (networks.dcgan, "biases"),
    (networks.dcgan_paper, "running statistics"),
    (augment.ada, "as far as their own size"),
    (metrics.precision_recall, "the edge of a ball"),
    (metrics.density_coverage, "the edge of a ball"),
]


@pytest.mark.parametrize(("where", "what"), SAID, ids=[where.__name__ for where, _ in SAID])
def test_it_is_said_what_differs_from_the_authors_code(where, what):
    paragraphs = [" ".join(text.split()) for text in where.__doc__.split("\n\n")]
    assert any("Differs from" in text and what in text for text in paragraphs)
