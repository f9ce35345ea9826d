"""From a source to batches: preparation of images, the endless train stream, the test pass."""

import dataclasses
import functools
import math

import grain
import jax
import numpy as np
from PIL import Image

from jaxgan.errors import UserError

# A batch per thread at a time: two keep a training step fed while a third is being taken.
_READ_OPTIONS = grain.ReadOptions(num_threads=2, prefetch_buffer_size=4)
