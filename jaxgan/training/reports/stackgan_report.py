"""What the report of `stackgan.py` measures: whether images show what their captions say.

A classifier of real scenes reads images made of captions with combinations that training never had,
of either stage, and as many real scenes of the like. Then one word of each caption is changed. Half
of those combinations are there to choose settings by, the other half to report on; the metrics are
of the half that `config.evaluate_on` says. What pictures of other data are read by is said in
`caption_report`.
"""

from pathlib import Path

import jax
import numpy as np

from jaxgan import data
from jaxgan.data.captions import COLOURS, DIGITS, GROUNDS, SIZES, Scene, Thing, word
from jaxgan.data.scenes import SCENE_SIZE
from jaxgan.evaluation.features import frechet, real_batches
from jaxgan.inference.captions import load_stackgan
from jaxgan.runs.evaluations import format_table, write_evaluation
from jaxgan.runs.recorder import is_finished
from jaxgan.training import captioned
from jaxgan.training.config import image_shape
from jaxgan.training.reports import caption_report, scene_reader

NUM = 2_000
BATCH = 100
CHANGES = {"digit": len(DIGITS), "colour": len(COLOURS), "size": len(SIZES), "ground": len(GROUNDS)}


def report(config, workdir):
    """Prints both stages' metrics on unseen captions; stage2/evaluation.json keeps them."""
    folder = Path(workdir) / "stage2"
    shape = image_shape(config)
    scenes = config.dataset == "scenes" and shape == (SCENE_SIZE, SCENE_SIZE, 3)
    if config.embeddings or not is_finished(folder):
        return
    if not scenes:
        caption_report.report(config, workdir)
        return
    print(f"\nmeasuring it on {NUM:,} captions, which takes a few minutes")
    split = captioned.UNSEEN[config.evaluate_on]
    generate, source = load_stackgan(folder), data.scenes(split)
    examples = [source[number] for number in range(NUM)]
    said = scene_reader.contents_of(examples)
    read = scene_reader.train_reader()
    noise = jax.random.normal(jax.random.key(config.seed), (NUM, generate.noise_dim))
    embeddings = generate.embed([example["caption"] for example in examples])
    real = np.stack([example["image"] for example in examples]) / np.float32(255)
    # Others than those, as the reference of the distances.
    others = data.scenes(split, seed=1, size=5 * NUM)
    look = {"image_size": SCENE_SIZE, "channels": 3, "batch_size": BATCH}
    reference = _read_all(read, real_batches(others, len(others), **look))[1]
    images = {
        "Stage I": lambda *inputs: _enlarge(generate.first(*inputs)),
        "Stage II": generate,
    }
    table = {}
    for name, make in images.items():
        contents, features = _read_all(read, _made(make, noise, embeddings))
        values = scene_reader.shares_right(said, contents)
        table[name] = {**values, "fid": frechet(reference, features)}
    contents, features = _read_all(read, (real[i : i + BATCH] for i in range(0, NUM, BATCH)))
    table["real"] = {
        **scene_reader.shares_right(said, contents),
        "fid": frechet(reference, features),
    }
    changed = measure_changes(generate, read, examples, noise)
    record = {"split": split, **table}
    record |= {f"{what} changed": values for what, values in changed.items()}
    file = write_evaluation(folder, generate.step, record, table["Stage II"])
    print(f"\n{format_table(f'{NUM}, {split}', table)}")
    print(f"\n{format_table('one word changed', changed)}")
    print(file)


def measure_changes(generate, read, examples, noise):
    """What becomes of an image when its caption is changed in one word and the noise stays.

    Of scenes of one digit: how often the new value is read, and each of the others as before,
    where a digit is read at its place at all.

    Returns:
      {what changes: {metric: share}}; "pixels" is the mean absolute difference in [0, 1].
    """
    rows = [row for row, example in enumerate(examples) if example["digit"][1] < 0][: NUM // 4]
    noise, rng, columns = noise[np.array(rows)], np.random.default_rng(0), {}
    scenes = [_scene(examples[row]) for row in rows]

    def draw(scenes):
        embeddings = generate.embed([word(scene, 0) for scene in scenes])
        return np.concatenate(list(_made(generate, noise, embeddings)))

    before = draw(scenes)
    was = read(before)[0]
    for what, count in CHANGES.items():
        others = [_change(scene, what, count, rng) for scene in scenes]
        after = draw(others)
        now = read(after)[0]
        at = (np.arange(len(rows)), [scene.things[0].place for scene in others])
        new = [_value(scene, what) for scene in others]
        values = {"new": np.mean((_read_value(now, what, at) == new) & now.there[at])}
        for name in CHANGES:
            same = _read_value(was, name, at) == _read_value(now, name, at)
            values[f"{name} as before"] = np.mean(same & was.there[at] & now.there[at])
        values["place as before"] = np.mean(np.all(was.there == now.there, axis=1))
        values["pixels"] = np.mean(np.abs(after - before))
        columns[what] = {name: float(value) for name, value in values.items()}
    return columns


def _scene(example):
    thing = Thing(*(int(example[name][0]) for name in Thing._fields))
    return Scene((thing,), int(example["ground"]))


def _value(scene, what):
    return scene.ground if what == "ground" else getattr(scene.things[0], what)


def _change(scene, what, count, rng):
    """The scene with another value of what is named."""
    value = int((_value(scene, what) + rng.integers(1, count)) % count)
    if what == "ground":
        return scene._replace(ground=value)
    return scene._replace(things=(scene.things[0]._replace(**{what: value}),))


def _read_value(contents, what, at):
    return contents.ground if what == "ground" else getattr(contents, what)[at]


def _made(make, noise, embeddings):
    for first in range(0, len(noise), BATCH):
        rows = slice(first, first + BATCH)
        yield np.asarray(make(noise[rows], embeddings[rows]))


def _read_all(read, batches):
    """The contents and the features of all images of some batches."""
    contents, features = zip(
        *(read(np.asarray(images, np.float32)) for images in batches), strict=True
    )
    fields = zip(*contents, strict=True)
    return scene_reader.Contents(*map(np.concatenate, fields)), np.concatenate(features)


def _enlarge(images):
    shape = (len(images), 64, 64, images.shape[-1])
    return jax.image.resize(images, shape, "bilinear")
