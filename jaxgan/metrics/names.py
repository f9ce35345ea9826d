"""Names of metrics that say what they were computed from."""

from jaxgan.errors import UserError
from jaxgan.metrics.efficientnet import VARIANTS

__all__ = ["metric_name", "name_in"]


def name_in(metric: str, network: str) -> str:
    """What a metric is called in the features of a network.

    The I in FID is Inception. In the features of other photographs' networks the Fréchet distance
    is `fd`, and so never taken for a published one.

    Args:
      metric: such as "fid".
      network: what made the features, such as "lite0".

    Returns:
      The name, without network and number.

    Examples:
      >>> name_in("fid", "lite0"), name_in("class_fid_worst", "lite1"), name_in("fid", "inception")
      ('fd', 'class_fd_worst', 'fid')
    """
    words = metric.split("_")
    return "_".join("fd" if word == "fid" and network in VARIANTS else word for word in words)


def metric_name(metric: str, network: str, num_samples: int) -> str:
    """The name under which a metric is recorded, with its feature network and sample count.

    A distance in one network's features says nothing beside one in another's, and most are biased
    by the number of samples; under names of their own they cannot be mixed up.

    Args:
      metric: such as "fid".
      network: what made the features, such as "lenet".
      num_samples: number of generated samples; whole thousands are written with a k.

    Returns:
      The three, joined by underscores.

    Raises:
      UserError: a number of samples below 1.

    Examples:
      >>> metric_name("fid", "lenet", 10_000), metric_name("kid", "inception", 2_500)
      ('fid_lenet_10k', 'kid_inception_2500')
      >>> metric_name("fid", "lite0", 10_000)
      'fd_lite0_10k'
    """
    if num_samples < 1:
        raise UserError(f"num_samples: got {num_samples}, expected 1 or more")
    thousands, rest = divmod(num_samples, 1000)
    return f"{name_in(metric, network)}_{network}_{num_samples if rest else f'{thousands}k'}"
