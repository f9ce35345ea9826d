"""One of two processes that train tiny networks; some examples of the second one are NaN.

    python two_nonfinite.py WORKDIR skip|rollback

It prints the step, the sum of the parameters' bytes, and what was counted, as JSON.
"""

import json
import os
import sys
import zlib
from pathlib import Path

import grain
import jax
import jax.numpy as jnp
import numpy as np
import tiny
from looped import FEW_AHEAD

from jaxgan.nonfinite import skip_nonfinite
from jaxgan.runs.recorder import Recorder
from jaxgan.training import sharding
from jaxgan.training.loop import Checkpoints, Hook, fit

BAD = {"skip": (2, 5), "rollback": (6,)}


def main():
    workdir, mode = Path(sys.argv[1]), sys.argv[2]
    number = int(os.environ["JAX_PROCESS_ID"])
    jax.distributed.initialize(num_processes=2, process_id=number)
    mesh = sharding.make_mesh()

    def own_part(batch):
        images = tiny.batch(8, seed=batch)["image"][4 * number : 4 * number + 4]
        if number == 1 and batch in BAD[mode]:
            images[2] = np.nan
        return {"image": images}

    step = tiny.step()
    step = skip_nonfinite(step) if mode == "skip" else step
    steps = jax.jit(lambda state, batches: jax.lax.scan(step, state, batches), donate_argnums=0)
    images = jnp.zeros((4, *tiny.IMAGE_SHAPE))
    workdir.mkdir(exist_ok=True)
    state = fit(
        sharding.replicate(tiny.state(), mesh),
        lambda state, batches: steps(state, sharding.shard_batch(batches, mesh, stacked=True)),
        iter(grain.MapDataset.range(1000).map(own_part).to_iter_dataset(FEW_AHEAD)),
        num_steps=12,
        checkpoints=Checkpoints(workdir, 4),
        hooks=[Hook(6, lambda state: {"samples": images}, at_start=True)],
        recorder=Recorder(workdir, {}, real=np.asarray(images)),
        log_every=2,
        images_per_step=8,
        rollback=mode == "rollback",
    )
    leaves = jax.tree.leaves(jax.device_get((state.generator, state.discriminator)))
    crc = 0
    for leaf in leaves:
        crc = zlib.crc32(np.asarray(leaf).tobytes(), crc)
    finite = all(np.isfinite(leaf).all() for leaf in leaves)
    print(json.dumps({"step": int(state.step), "crc": crc, "finite": bool(finite)}))


if __name__ == "__main__":
    main()
