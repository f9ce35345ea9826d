"""Latents: drawing them, walking between them, and calculating with them."""

from jaxgan.latent.arithmetic import analogy, mean_latent
from jaxgan.latent.interpolation import (
    interpolate,
    interpolate_linear,
    interpolate_spherical,
    latent_grid,
    smooth_path,
)
from jaxgan.latent.prior import onto_prior, sample_latents

__all__ = [
    "analogy",
    "interpolate",
    "interpolate_linear",
    "interpolate_spherical",
    "latent_grid",
    "mean_latent",
    "onto_prior",
    "sample_latents",
    "smooth_path",
]
