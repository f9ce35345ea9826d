"""Grids pixel by pixel, files as Pillow reads them back, curves from odd rows."""

import math
import subprocess
import sys
import threading

import numpy as np
import pytest
from PIL import Image

from jaxgan.errors import UserError
from jaxgan.runs.pictures import image_grid, plot_curves, save_animation, save_image


def flat_images(*values, size=(1, 1), channels=1):
    return np.stack([np.full((*size, channels), value, np.float32) for value in values])


def grey_frame(value, size=(4, 5)):
    return np.full(size, value, np.uint8)


def durations(path):
    with Image.open(path) as file:
        times = []
        for index in range(file.n_frames):
            file.seek(index)
            times.append(file.info["duration"])
        return times


def test_grid_pixel_by_pixel():
    images = np.zeros((3, 2, 2, 1), np.float32)
    images[0, 0, 1] = 1.0
    images[1] = 0.2
    images[2, 1, 0] = 0.6
    line = 72
    expected = [
        [line, line, line, line, line, line, line],
        [line, 0, 255, line, 51, 51, line],
        [line, 0, 0, line, 51, 51, line],
        [line, line, line, line, line, line, line],
        [line, 0, 0, line, line, line, line],
        [line, 153, 0, line, line, line, line],
        [line, line, line, line, line, line, line],
    ]
    grid = image_grid(images, columns=2, padding=1)
    assert grid.dtype == np.uint8
    np.testing.assert_array_equal(grid[..., 0], expected)


def test_grid_keeps_the_order_of_channels():
    images = np.zeros((2, 1, 1, 3), np.float32)
    images[0, 0, 0] = [1.0, 0.2, 0.0]
    images[1, 0, 0] = [0.0, 0.0, 0.4]
    grid = image_grid(images, columns=2, padding=0)
    np.testing.assert_array_equal(grid, [[[255, 51, 0], [0, 0, 102]]])


@pytest.mark.parametrize(
    ("count", "rows", "columns"), [(1, 1, 1), (2, 1, 2), (5, 2, 3), (7, 3, 3), (16, 4, 4)]
)
def test_grid_is_nearly_square_by_default(count, rows, columns):
    grid = image_grid(np.zeros((count, 3, 3, 1), np.float32), padding=2)
    assert grid.shape == (rows * 5 + 2, columns * 5 + 2, 1)


def test_grid_of_wide_images_has_fewer_columns():
    grid = image_grid(np.zeros((16, 2, 8, 1), np.float32), padding=0)
    assert grid.shape == (16, 16, 1)


def test_grid_clips_and_rounds():
    grid = image_grid(flat_images(-3.0, 1.5, 0.5), columns=3, padding=0)
    np.testing.assert_array_equal(grid[0, :, 0], [0, 255, 128])


def test_grid_takes_other_floating_types():
    ml_dtypes = pytest.importorskip("ml_dtypes")
    for dtype in (np.float16, np.float64, ml_dtypes.bfloat16):
        assert image_grid(flat_images(1.0).astype(dtype), padding=0)[0, 0, 0] == 255


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((2, 4, 4), np.float32), "shape"),
        (np.zeros((2, 4, 4, 2), np.float32), "shape"),
        (np.zeros((0, 4, 4, 1), np.float32), "shape"),
        (np.zeros((2, 4, 4, 1), np.uint8), "uint8"),
        (flat_images(0.0, math.nan), "finite"),
        (flat_images(0.0, math.inf), "finite"),
    ],
)
def test_grid_refuses_bad_images(images, message):
    with pytest.raises(UserError, match=message):
        image_grid(images)


@pytest.mark.parametrize(
    "arguments", [{"columns": 0}, {"columns": 1.5}, {"padding": -1}, {"padding": True}]
)
def test_grid_refuses_bad_numbers(arguments):
    with pytest.raises(UserError, match=next(iter(arguments))):
        image_grid(flat_images(0.0), **arguments)


def test_save_image_enlarges_by_whole_pixels(tmp_path):
    image = np.array([[[0], [100]], [[200], [50]]], np.uint8)
    path = save_image(tmp_path / "new" / "grid.png", image, scale=2)
    with Image.open(path) as file:
        assert file.format == "PNG"
        assert file.mode == "L"
        np.testing.assert_array_equal(
            np.asarray(file),
            [[0, 0, 100, 100], [0, 0, 100, 100], [200, 200, 50, 50], [200, 200, 50, 50]],
        )
    assert [entry.name for entry in path.parent.iterdir()] == ["grid.png"]


def test_save_image_in_colour(tmp_path):
    image = np.arange(18, dtype=np.uint8).reshape(2, 3, 3)
    with Image.open(save_image(tmp_path / "a.png", image)) as file:
        np.testing.assert_array_equal(np.asarray(file), image)


@pytest.mark.parametrize(
    "image",
    [np.zeros((4, 4), np.float32), np.zeros((4, 4, 2), np.uint8), np.zeros((0, 4), np.uint8)],
)
def test_save_image_refuses_what_is_no_image(tmp_path, image):
    with pytest.raises(UserError, match="image: expected uint8"):
        save_image(tmp_path / "a.png", image)
    assert list(tmp_path.iterdir()) == []


def test_save_image_refuses_a_bad_scale(tmp_path):
    with pytest.raises(UserError, match="scale"):
        save_image(tmp_path / "a.png", grey_frame(0), scale=0)


def test_animation_frames_and_durations(tmp_path):
    rng = np.random.default_rng(0)
    frames = [rng.integers(0, 256, (20, 30), np.uint8) for _ in range(4)]
    path = save_animation(tmp_path / "a.gif", frames, milliseconds=80, last_milliseconds=900)
    assert durations(path) == [80, 80, 80, 900]
    with Image.open(path) as file:
        assert file.info["loop"] == 0
        for index, frame in enumerate(frames):
            file.seek(index)
            np.testing.assert_array_equal(np.asarray(file.convert("L")), frame)


def test_animation_from_files_and_arrays_together(tmp_path):
    colour = np.zeros((4, 5, 3), np.uint8)
    colour[..., 0] = 255
    first = save_image(tmp_path / "a.png", grey_frame(10))
    path = save_animation(
        tmp_path / "a.gif", [first, str(first), colour, grey_frame(200)[..., None]]
    )
    # The two equal frames have become one that stays as long as both.
    assert durations(path) == [240, 120, 2000]
    with Image.open(path) as file:
        file.seek(1)
        assert file.convert("RGB").getpixel((0, 0)) == (255, 0, 0)


def test_an_animation_is_enlarged_pixel_by_pixel(tmp_path):
    frames = [np.arange(6, dtype=np.uint8).reshape(2, 3) + 9 * i for i in range(2)]
    with Image.open(save_animation(tmp_path / "a.gif", frames, scale=3)) as file:
        for index, frame in enumerate(frames):
            file.seek(index)
            expected = np.kron(frame, np.ones((3, 3), np.uint8))
            np.testing.assert_array_equal(np.asarray(file.convert("L")), expected)


def test_animation_of_one_frame(tmp_path):
    with Image.open(save_animation(tmp_path / "a.gif", [grey_frame(7)])) as file:
        assert file.n_frames == 1
        assert file.convert("L").getpixel((0, 0)) == 7


def test_animation_refuses_bad_input(tmp_path):
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no image")
    good = [grey_frame(0), grey_frame(1)]
    path = tmp_path / "a.gif"
    for frames, message in (
        ([], "at least one"),
        ([grey_frame(0), grey_frame(0, (5, 5))], "one size"),
        ([tmp_path / "missing.png"], "missing.png"),
        ([broken], "broken.png"),
    ):
        with pytest.raises(UserError, match=message):
            save_animation(path, frames)
    with pytest.raises(UserError, match="milliseconds"):
        save_animation(path, good, milliseconds=5)
    with pytest.raises(UserError, match="scale"):
        save_animation(path, good, scale=0)
    assert not path.exists()


ROW = {
    "step": 50,
    "train/discriminator_loss_real": 0.7,
    "train/discriminator_loss_fake": 0.6,
    "train/generator_loss": 0.8,
    "train/d_real": 0.6,
    "train/d_fake": 0.4,
    "train/accuracy_real": 0.7,
    "train/accuracy_fake": 0.8,
}
EVAL_ROW = {"step": 60, "eval/accuracy_real": 0.5, "eval/accuracy_fake": 0.6}


def curves_image(path, rows, **arguments):
    with Image.open(plot_curves(path, rows, **arguments)) as file:
        return np.asarray(file.convert("RGB")).astype(int)


def inked(picture):
    """How many pixels have a colour: axes, text and grid are grey."""
    return int((picture.max(-1) - picture.min(-1) > 60).sum())


def test_curves_without_values_have_no_colour(tmp_path):
    nothing = dict.fromkeys(ROW, math.nan) | {"step": 1}
    useless = [nothing, {"step": 3}, {"train/d_real": 0.5}, {**ROW, "step": None}]
    for rows in ([], useless):
        assert inked(curves_image(tmp_path / "a.png", rows)) == 0


@pytest.mark.parametrize(
    "rows",
    [
        [ROW],
        [ROW, {**ROW, "step": 100, "train/d_real": 0.9}],
        [ROW, {**ROW, "step": 100, "train/d_real": math.nan, "train/d_fake": None}],
        [EVAL_ROW],
        [{"step": 1, "train/generator_loss": 1.0, "train/d_real": math.inf}],
    ],
)
def test_curves_of_few_rows_are_seen(tmp_path, rows):
    assert inked(curves_image(tmp_path / "a.png", rows)) > 50


def test_a_critic_has_a_panel_in_place_of_two(tmp_path):
    losses = {"step": 50, "train/generator_loss": 0.8}
    judged = {**losses, "train/d_real": 0.5, "train/accuracy_real": 0.6}
    critic = {**losses, "train/critic_real": 3.0, "train/critic_fake": -2.0}
    held_out = {"step": 60, "eval/critic_real": 2.5, "eval/critic_fake": -1.5}
    pictures = [
        curves_image(tmp_path / f"{number}.png", rows)
        for number, rows in enumerate(([judged], [critic], [critic, held_out]))
    ]
    assert len(pictures[1]) == len(pictures[2]) < len(pictures[0])
    assert inked(pictures[2]) > inked(pictures[1])


def test_curves_repeated_steps_count_once(tmp_path):
    rows = [{**ROW, "step": step} for step in (1, 2, 3)]
    stale = [{**ROW, "step": 3, "train/d_real": 0.1}]
    once = curves_image(tmp_path / "a.png", rows)
    np.testing.assert_array_equal(once, curves_image(tmp_path / "b.png", stale + rows))
    assert (once != curves_image(tmp_path / "c.png", rows + stale)).any()


def test_curves_smoothing_is_corrected_for_the_start(tmp_path):
    rows = [{"step": step, "train/d_real": 0.7} for step in range(9)]
    np.testing.assert_array_equal(
        curves_image(tmp_path / "a.png", rows, smoothing=0.0),
        curves_image(tmp_path / "b.png", rows, smoothing=0.99),
    )


def test_curves_refuse_a_bad_smoothing(tmp_path):
    with pytest.raises(UserError, match="smoothing"):
        plot_curves(tmp_path / "a.png", [ROW], smoothing=1.0)


def test_curves_in_threads(tmp_path):
    failures = []

    def draw(name):
        try:
            plot_curves(tmp_path / name, [ROW, EVAL_ROW])
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=draw, args=(f"{index}.png",)) for index in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert (tmp_path / "0.png").read_bytes() == (tmp_path / "1.png").read_bytes()


def test_matplotlib_is_not_imported_before_it_is_needed():
    code = "import sys, jaxgan.runs.pictures, jaxgan.runs.page; print('matplotlib' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
