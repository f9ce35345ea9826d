"""Event files, read as TensorBoard reads them."""

import numpy as np
from looped import tensorboard_events, tensorboard_steps

from jaxgan.runs.event_files import EventWriter


def test_a_later_file_takes_back_what_an_earlier_one_has_beyond_a_step(tmp_path):
    folder = tmp_path / "tensorboard"
    for last, after in ((8, None), (6, 4)):
        writer = EventWriter(folder, after)
        for step in range((after or 0) + 1, last + 1):
            writer.scalars(step, {"train/loss": step / (last + 1)})
        writer.images(last, {"samples": np.full((4, 6, 1), last, np.uint8)})
        writer.close()
    events = tensorboard_events(tmp_path)
    assert tensorboard_steps(events, "train/loss") == [1, 2, 3, 4, 5, 6]
    assert tensorboard_steps(events, "samples") == [6]


def test_a_file_that_was_cut_off_hides_no_later_one(tmp_path):
    folder = tmp_path / "tensorboard"
    for steps in ((1, 2), (2, 3)):
        writer = EventWriter(folder, steps[0] - 1)
        for step in steps:
            writer.scalars(step, {"train/loss": 0.5})
        writer.close()
        if steps == (1, 2):
            (file,) = folder.iterdir()
            file.write_bytes(file.read_bytes()[:-5])
    assert tensorboard_steps(tensorboard_events(tmp_path), "train/loss") == [1, 2, 3]


def test_many_files_of_one_second_are_read_in_their_order(tmp_path):
    for step in range(1, 13):
        writer = EventWriter(tmp_path / "tensorboard", after=step - 1)
        writer.scalars(step, {"train/loss": 0.5})
        writer.close()
    steps = tensorboard_steps(tensorboard_events(tmp_path), "train/loss")
    assert steps == list(range(1, 13))
