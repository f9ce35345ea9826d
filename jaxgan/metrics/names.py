"""Names of metrics that say what they were computed from."""

from jaxgan.errors import UserError

__all__ = ["metric_name"]


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
    """
    if num_samples < 1:
        raise UserError(f"num_samples: got {num_samples}, expected 1 or more")
    thousands, rest = divmod(num_samples, 1000)
    return f"{metric}_{network}_{num_samples if rest else f'{thousands}k'}"
