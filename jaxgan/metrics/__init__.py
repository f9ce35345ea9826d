"""How good generated samples are: metrics from features, logits, classes, points or image pairs.

Pure functions of arrays, on the host in float64; which network made the features is no matter of
theirs, and goes into the name (`metric_name`). What can be streamed is, in memory that does not
grow with the number of images:

- `frechet_distance` of Gaussians: `start_moments`, `add_features`, `merge_moments`,
  `finish_moments`;
- the inception score: `start_inception`, `add_logits`, `merge_inception`, `finish_inception`
  (`inception_score` where all logits are there, with splits);
- modes: counts of a batch (`count_modes`, `count_point_modes`), which `merge_modes` adds; then
  `modes_caught`, `high_quality_share`, `reverse_kl`;
- classes: `count_right`, then `accuracy`, `class_accuracy`;
- `ssim` and `mean_squared_error`: one value an image pair.

`kernel_distance`, `precision_recall` and `density_coverage` compare samples with one another and
take all features, (N, D), at once: small beside the images that they were made of.

The networks are in `metrics.lenet`, `metrics.efficientnet` and `metrics.inception`;
`jaxgan.evaluation` puts all together.
"""

from jaxgan.metrics.classification import (
    ClassCounts,
    accuracy,
    class_accuracy,
    count_right,
)
from jaxgan.metrics.frechet import (
    Gaussian,
    Moments,
    add_features,
    finish_moments,
    frechet_distance,
    merge_moments,
    start_moments,
)
from jaxgan.metrics.inception_score import (
    InceptionScore,
    InceptionSums,
    add_logits,
    finish_inception,
    inception_score,
    merge_inception,
    start_inception,
)
from jaxgan.metrics.kernel import KernelDistance, kernel_distance
from jaxgan.metrics.manifold import (
    DensityCoverage,
    PrecisionRecall,
    density_coverage,
    precision_recall,
)
from jaxgan.metrics.modes import (
    ModeCounts,
    count_modes,
    count_point_modes,
    high_quality_share,
    merge_modes,
    modes_caught,
    reverse_kl,
)
from jaxgan.metrics.names import metric_name, name_in
from jaxgan.metrics.similarity import mean_squared_error, ssim

__all__ = [
    "ClassCounts",
    "DensityCoverage",
    "Gaussian",
    "InceptionScore",
    "InceptionSums",
    "KernelDistance",
    "ModeCounts",
    "Moments",
    "PrecisionRecall",
    "accuracy",
    "add_features",
    "add_logits",
    "class_accuracy",
    "count_modes",
    "count_point_modes",
    "count_right",
    "density_coverage",
    "finish_inception",
    "finish_moments",
    "frechet_distance",
    "high_quality_share",
    "inception_score",
    "kernel_distance",
    "mean_squared_error",
    "merge_inception",
    "merge_modes",
    "merge_moments",
    "metric_name",
    "modes_caught",
    "name_in",
    "precision_recall",
    "reverse_kl",
    "ssim",
    "start_inception",
    "start_moments",
]
