"""The page of a run, read back with the parsers of the standard library."""

import base64
import json
import math
import os
import re
import shutil
import struct
from html.parser import HTMLParser

import numpy as np
import pytest
from metric_rows import ROWS, write_rows

from jaxgan.errors import UserError
from jaxgan.runs.page import read_metrics, write_report
from jaxgan.runs.pictures import save_animation, save_image
from jaxgan.runs.spread import by_value, over_seeds


class Page(HTMLParser):
    """The elements of a page with their attributes and the text up to the next tag."""

    def __init__(self, path):
        super().__init__()
        self.source = path.read_text(encoding="utf-8")
        self.elements, self.texts, self.inside = [], [], False
        self.feed(self.source)

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        self.texts.append((tag, dict(attributes), []))
        self.inside = True

    def handle_endtag(self, tag):
        self.inside = False

    def handle_data(self, data):
        if self.inside:
            self.texts[-1][2].append(data)

    def all(self, tag, **wanted):
        return [
            attributes
            for name, attributes in self.elements
            if name == tag and wanted.items() <= attributes.items()
        ]

    def text(self, tag, **wanted):
        """The text of the first such element."""
        return self.all_text(tag, **wanted)[0]

    def all_text(self, tag, **wanted):
        return [
            "".join(pieces)
            for name, attributes, pieces in self.texts
            if name == tag and wanted.items() <= attributes.items()
        ]

    @property
    def data(self):
        return json.loads(self.text("script", id="run-data"))

    @property
    def steps(self):
        return [int(image["data-step"]) for image in self.all("img") if "data-step" in image]


def grid(value, size=(6, 6)):
    return np.full(size, value, np.uint8)


def write_json(path, value):
    path.write_text(json.dumps(value), encoding="utf-8")


@pytest.fixture
def run(tmp_path):
    workdir = tmp_path / "run"
    samples = workdir / "samples"
    write_json(save_image(samples / "real.png", grid(9)).parents[1] / "config.json", {"seed": 7})
    for step in (0, 50, 100):
        save_image(samples / f"samples_{step:06d}.png", grid(step))
        save_image(samples / f"interpolation_{step:06d}.png", grid(step, (4, 12)))
    save_animation(workdir / "progress.gif", [grid(0), grid(50)])
    summary = {"title": "One run", "status": "finished", "step": 100, "num_steps": 400}
    write_json(workdir / "summary.json", summary)
    write_rows(workdir, ROWS)
    return workdir


def page_of(workdir):
    return Page(write_report(workdir))


def test_page_is_self_contained(run):
    page = page_of(run)
    links = [
        value
        for _, attributes in page.elements
        for name, value in attributes.items()
        if name in ("src", "href", "srcset", "action", "poster", "data")
    ]
    # The three grids, the real one, the strip, the animation, the icon.
    assert len(links) == 7
    assert [link for link in links if not link.startswith("data:")] == []
    assert "http://" not in page.source
    assert "https://" not in page.source
    assert re.search(r"@import|url\((?!#)", page.source) is None
    assert {path.name for path in run.iterdir()} >= {"index.html", "samples"}
    assert [path.name for path in run.iterdir() if path.name.endswith(".tmp")] == []


def test_page_shows_what_the_summary_says(run):
    page = page_of(run)
    assert page.text("h1") == page.text("title") == "One run"
    assert page.text("span", **{"class": "status finished"}) == "finished"
    assert page.all("i", style="width:25.00%")
    assert page.all("div", role="progressbar")[0]["aria-valuenow"] == "25"


def test_page_shows_key_figures(run):
    summary = {
        "images_per_second": 5213.4,
        "generator_parameters": 1234567,
        "discriminator_parameters": math.nan,
        "seconds": 3725,
        "devices": ["cpu:0"],
        "started": "2026-11-21T21:04:41.5+00:00",
        "note_of_later_versions": 3,
    }
    write_json(run / "summary.json", summary)
    page = page_of(run)
    assert page.all_text("dd") == ["5,213", "1 h 2 min", "1.23 M", '["cpu:0"]']
    assert page.text("span", **{"class": "started"}) == "started 2026-11-21 21:04 UTC"
    assert "note_of_later_versions" in page.all_text("th")


def test_page_shows_what_was_measured(run):
    figures = {"generated": {"fid": 2.61093, "modes": 10}, "floor": {"fid": 0.1834}}
    write_json(run / "evaluation.json", {"step": 100, "network": {"name": "lenet"}, **figures})
    page = page_of(run)
    cells = page.all_text("td")
    start = cells.index("generated")
    # Columns are the dicts of figures; what one of them lacks is left empty.
    assert cells[start : start + 6] == ["generated", "floor", "2.611", "0.1834", "10", ""]
    assert 'step: 100; network: {"name": "lenet"}' in page.all_text("p", **{"class": "note"})


def test_figures_of_other_names_stand_in_another_table(run):
    figures = {"one": {"fid": 1.0}, "other": {"new": 3.0}, "two": {"fid": 2.0}}
    write_json(run / "evaluation.json", {"step": 100, **figures})
    cells = page_of(run).all_text("td")
    start = cells.index("one")
    assert cells[start : start + 6] == ["one", "two", "1", "2", "other", "3"]


def test_embedded_rows_are_the_rows(run):
    assert page_of(run).data["rows"] == ROWS


def test_not_a_number_is_embedded_as_null(run):
    write_rows(run, [{"step": 1, "train/d_real": math.nan, "train/d_fake": -math.inf}])
    assert '"train/d_real": NaN' in (run / "metrics.jsonl").read_text(encoding="utf-8")
    page = page_of(run)
    assert page.data["rows"] == [{"step": 1, "train/d_real": None, "train/d_fake": None}]
    assert re.search(r"\bNaN\b", page.text("script", id="run-data")) is None


def test_each_metric_is_in_one_chart(run):
    charts = page_of(run).data["charts"]
    keys = [[series["key"] for series in chart["series"]] for chart in charts]
    assert keys == [
        ["train/generator_loss"],
        ["train/d_real", "train/d_fake"],
        ["eval/accuracy_real"],
        ["eval/fid_lenet_10k"],
        ["train/cycle_loss"],
        ["train/health/norm", "train/health/ratio"],
    ]
    titles = [chart["title"] for chart in charts]
    assert titles[3:] == ["FID lenet 10k", "Cycle loss", "Health"]
    assert [series["dots"] for chart in charts[1:4] for series in chart["series"]] == [
        *(False, False, True, True),
    ]


def test_the_bound_of_held_out_images_stands_beside_that_of_images_trained_on(run):
    write_rows(run, [{"step": 1, "train/jsd_lower_bound": 0.5, "eval/jsd_lower_bound": 0.2}])
    (chart,) = page_of(run).data["charts"]
    assert {series["key"]: series["label"] for series in chart["series"]} == {
        "train/jsd_lower_bound": "training images",
        "eval/jsd_lower_bound": "held-out images",
    }


def test_what_is_no_number_is_not_drawn(run):
    write_rows(run, [{"step": 1, "note": "text", "flag": True, "list": [1], "train/d_real": 0.5}])
    charts = page_of(run).data["charts"]
    assert [series["key"] for chart in charts for series in chart["series"]] == ["train/d_real"]


def test_newest_grid_is_the_highest_step(run):
    # As text, 1000000 comes before 999999.
    save_image(run / "samples" / "samples_999999.png", grid(1))
    save_image(run / "samples" / "samples_1000000.png", grid(2))
    page = page_of(run)
    assert page.steps == [0, 50, 100, 999999, 1000000]
    assert page.text("output", id="grid-step") == "1,000,000"
    newest = (run / "samples" / "samples_1000000.png").read_bytes()
    (shown,) = page.all("img", **{"class": "on"})
    assert base64.b64decode(shown["src"].split(",")[1]) == newest


def test_newest_interpolation_is_shown(run):
    alt = "Interpolation between latent vectors at step 100"
    (strip,) = page_of(run).all("img", alt=alt)
    newest = (run / "samples" / "interpolation_000100.png").read_bytes()
    assert base64.b64decode(strip["src"].split(",")[1]) == newest


def test_grids_stand_at_one_scale(run):
    save_image(run / "samples" / "real.png", grid(9, (6, 18)))
    assert [figure["style"] for figure in page_of(run).all("figure")] == [
        *("flex-grow:6", "flex-grow:18"),
    ]


def test_many_grids_are_chosen_evenly(run):
    for step in range(150, 5001, 50):
        shutil.copy(run / "samples" / "samples_000100.png", run / f"samples/samples_{step:06d}.png")
    steps = page_of(run).steps
    assert len(steps) == 24
    assert (steps[0], steps[-1]) == (0, 5000)
    assert set(np.diff(steps)) <= {200, 250}


def test_heavy_pictures_do_not_make_a_heavy_page(run):
    header = b"\x89PNG\r\n\x1a\n" + b"\0\0\0\rIHDR" + struct.pack(">II", 300, 300)
    for step in range(150, 1501, 50):
        (run / f"samples/samples_{step:06d}.png").write_bytes(header + bytes(400_000))
    (run / "progress.gif").write_bytes(b"GIF89a" + struct.pack("<HH", 300, 300) + bytes(2_500_000))
    path = write_report(run)
    assert path.stat().st_size < 5_000_000
    page = Page(path)
    assert 4 < len(page.steps) < 24
    assert (page.steps[0], page.steps[-1]) == (0, 1500)
    assert "progress.gif" in page.all_text("code")


def test_many_rows_are_thinned_but_rare_ones_stay(run):
    rows = [{"step": step, "train/d_real": 0.5} for step in range(5000)]
    rare = [{"step": 2500, "eval/fid": 3.0}, {"step": 4000, "eval/fid": 2.0}]
    write_rows(run, rows + rare)
    page = page_of(run)
    drawn = page.data["rows"]
    assert len(drawn) == 1002
    assert (drawn[0], drawn[999], drawn[-2:]) == (rows[0], rows[-1], rare)
    assert "1,002 of 5,002 rows" in page.source


def test_text_of_the_run_is_escaped(run):
    evil = '</script </script><b id="evil">&amp;"\'{{data}}'
    write_json(run / "config.json", {evil: evil, "none": None, "list": [1, evil]})
    write_json(
        run / "summary.json",
        {"title": evil, "status": evil, "devices": evil, "layout": evil, "x": evil},
    )
    write_rows(run, [{"step": 1, evil: 2.0, "text": evil}])
    page = page_of(run)
    assert page.all("b", id="evil") == []
    assert len(page.all("script")) == 2
    assert "<" not in page.text("script", id="run-data")
    assert page.data["rows"] == [{"step": 1, evil: 2.0, "text": evil}]
    assert page.text("h1") == page.text("title") == evil
    assert page.all_text("th")[:3] == [evil, "none", "list"]
    assert page.all_text("td")[:2] == [evil, "None"]
    assert json.loads(page.all_text("td")[2]) == [1, evil]


def test_how_to_use_the_run_is_told(tmp_path):
    use = {"Draw": "sample --out 'a b.png'", "Or <in> Python": 'load("a b")\n'}
    write_json(tmp_path / "summary.json", {"command": "train --steps 3", "use": use})
    page = page_of(tmp_path)
    assert page.all_text("code") == [*use.values(), "train --steps 3"]
    assert page.all_text("h3")[-3:] == [*use, "How it was started"]


def test_without_a_known_use_there_is_none_on_the_page(tmp_path):
    assert page_of(tmp_path).all("code") == []


@pytest.mark.parametrize(
    ("status", "reloads"),
    [("running", 1), ("finished", 0), ("stopped: not finite", 0), (None, 0)],
)
def test_only_a_running_page_reloads(run, status, reloads):
    write_json(run / "summary.json", {"status": status})
    assert len(page_of(run).all("meta", **{"http-equiv": "refresh"})) == reloads


@pytest.mark.parametrize(
    "missing",
    [
        "metrics.jsonl",
        "config.json",
        "summary.json",
        "progress.gif",
        "samples",
        "samples/real.png",
        "samples/samples_000000.png",
    ],
)
def test_any_piece_may_be_missing(run, missing):
    everything = write_report(run).read_bytes()
    path = run / missing
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    page = page_of(run)
    assert page.source.encode() != everything
    assert (page.data["rows"] == ROWS) == (missing != "metrics.jsonl")
    assert page.steps == {"samples": [], "samples/samples_000000.png": [50, 100]}.get(
        missing, [0, 50, 100]
    )
    # Without a summary the step is known from the rows and the grids.
    assert page.text("b") == "Step 100"


def test_empty_folder(tmp_path):
    page = page_of(tmp_path)
    assert page.text("h1") == tmp_path.name
    assert page.all("img") == []
    assert page.data == {"rows": [], "charts": []}


def test_files_that_are_no_pictures_are_left_out(run):
    (run / "samples" / "samples_000200.png").write_bytes(b"")
    (run / "progress.gif").write_bytes(b"GIF8")
    page = page_of(run)
    assert page.steps == [0, 50, 100]
    assert "Animation" not in page.all_text("h2")


def test_the_page_depends_on_the_folder_alone(run):
    first = write_report(run).read_bytes()
    os.utime(run / "metrics.jsonl", (0, 0))
    assert write_report(run).read_bytes() == first


@pytest.mark.parametrize("name", ["config.json", "summary.json", "evaluation.json"])
@pytest.mark.parametrize("text", ["{", "[1]"])
def test_broken_settings_are_told_once_and_leave_the_rest_of_the_page(run, name, text, capsys):
    (run / name).write_text(text, encoding="utf-8")
    for _ in range(2):
        assert page_of(run).data["rows"] == ROWS
    line = f"warning: {run / name} is no JSON object, and taken as not there\n"
    assert capsys.readouterr().err == line


def test_no_such_folder(tmp_path):
    with pytest.raises(UserError, match="no such folder"):
        write_report(tmp_path / "missing")


@pytest.mark.parametrize("tail", [b'{"step": 15', b'{"step": 150, "note": "\xc3', b"{}", b"\n"])
def test_a_broken_last_line_is_ignored(run, tail):
    with (run / "metrics.jsonl").open("ab") as file:
        file.write(tail)
    assert read_metrics(run / "metrics.jsonl") == ROWS
    page = page_of(run)
    assert page.data["rows"] == ROWS
    assert "Unreadable" not in page.source


def test_a_broken_line_before_the_last_is_counted(run):
    text = (run / "metrics.jsonl").read_text(encoding="utf-8")
    broken = '{"step": 150, "tra{"step": 150, "train/d_real": 0.5}\n'
    (run / "metrics.jsonl").write_text(broken + text, encoding="utf-8")
    assert read_metrics(run / "metrics.jsonl") == ROWS
    assert "Unreadable lines of metrics.jsonl, left out: 1." in page_of(run).source


@pytest.mark.parametrize(
    ("logged", "said"),
    [
        ({"accuracy_fake": 0.7}, "No sign of saturation, collapse or oscillation in"),
        # From a critic's outputs the other two cannot be told.
        ({"critic_fake": 7.0}, "No sign of collapse in"),
        ({"critic_fake": 7.0, "diversity": 0.1}, "<b>Collapsed</b>, since step 10."),
    ],
)
def test_the_page_says_what_goes_wrong(run, logged, said):
    names = {"train/generator_loss": 1.0, **{f"train/{k}": value for k, value in logged.items()}}
    write_rows(run, [{"step": step, **names} for step in range(1, 11)])
    assert said in page_of(run).source


def seeds_row(step, **values):
    return {"step": step, **over_seeds({f"train/{name}": of for name, of in values.items()})}


def test_of_several_seeds_curves_are_means_with_their_spread(run):
    write_rows(run, [seeds_row(1, d_real=[0.2, 0.4]), seeds_row(2, d_real=[0.3, 0.3])])
    page = page_of(run)
    (chart,) = page.data["charts"]
    (series,) = chart["series"]
    assert (series["key"], series["spread"]) == ("train/d_real", "train/d_real_std")
    assert page.data["rows"] == [
        {
            "step": 1,
            "train/d_real": pytest.approx(0.3),
            "train/d_real_std": pytest.approx(0.02**0.5),
        },
        {"step": 2, "train/d_real": 0.3, "train/d_real_std": 0},
    ]


def test_of_a_sweep_each_metric_has_a_curve_for_each_value_and_a_row_of_a_table(run):
    labels = ["rate=2", "rate=10"]
    first = over_seeds({"train/d_real": [0.2, 0.4, 0.5, 0.5], "eval/fid": [1.0, 2.0, 3.0, 5.0]})
    write_rows(run, [{"step": step, **by_value(first, labels)} for step in (1, 2)])
    page = page_of(run)
    charts = {chart["title"]: chart for chart in page.data["charts"]}
    assert list(charts) == ["Probabilities: D(x), by rate", "FID, by rate"]
    curves = charts["Probabilities: D(x), by rate"]["series"]
    assert [(of["label"], of["colour"], of["dots"]) for of in curves] == [
        ("2", 0, False),
        ("10", 1, False),
    ]
    assert [of["spread"] for of in curves] == [f"train/d_real/{of}_std" for of in labels]
    assert charts["Probabilities: D(x), by rate"]["high"] == 1
    assert [of["label"] for of in charts["FID, by rate"]["series"]] == [
        "2, evaluated",
        "10, evaluated",
    ]
    for text in ("0.3 ± 0.1414", "0.5 ± 0<", "1.5 ± 0.7071", "4 ± 1.414", "<td>rate=2</td>"):
        assert text in page.source


def test_what_goes_wrong_in_one_of_several_seeds_is_told(run):
    values = {"generator_loss": [1.0, 1.0], "diversity": [0.9, 0.02]}
    write_rows(run, [seeds_row(step, **values) for step in range(20)])
    told = page_of(run).source
    assert "<b>Collapsed</b>" in told
    assert "Training 2 of 2: Generated images are nearly alike" in told
    assert "Training 1 of 2" not in told
