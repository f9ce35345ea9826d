"""The READMEs' tables are those of `results/`, and what a run leaves becomes a result."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import table_contents
import table_text
import tables

import results
from jaxgan.runs.provenance import provenance
from results import Result

ROOT = Path(__file__).parents[1]


def test_the_tables_of_the_readmes_agree_with_the_results():
    command = [sys.executable, ROOT / "benchmarks" / "tables.py", "--check"]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    named = {
        name
        for file in tables.FILES
        for _, name, *_ in tables.BLOCK.findall((ROOT / file).read_text())
    }
    assert named == set(tables.TABLES)


def test_a_figure_that_was_changed_by_hand_is_found():
    text = (ROOT / "experiments/README.md").read_text()
    assert tables.rewrite(text) == text
    changed = re.sub(r"(\| `dcgan` \| )\d", r"\g<1>9", text)
    assert tables.rewrite(changed) == text != changed


def test_every_figure_outside_the_tables_marks_is_no_table_of_figures():
    for file in tables.FILES:
        rest = tables.BLOCK.sub("", (ROOT / file).read_text())
        rows = [line for line in rest.splitlines() if line.startswith("|")]
        assert not [row for row in rows if re.search(r"\d\.\d|\d %", row)]


def test_every_result_says_what_it_came_from():
    for path in results.RESULTS.glob("*.json"):
        content = json.loads(path.read_text())
        if "runs" not in content:  # figures of another kind
            continue
        assert content["command"].startswith("python benchmarks/")
        for run in content["runs"]:
            assert set(run) == {
                *("seed", "command", "split", "budget", "figures"), *results.ORIGIN
            }, path  # fmt: skip
            assert "jax" in run["versions"]


def test_figures_are_of_the_test_part_and_of_seeds_that_no_choice_has_seen():
    """Those of the JAX that computes wrongly say of themselves that they are to be made again."""
    for path in results.RESULTS.glob("*.json"):
        content = json.loads(path.read_text())
        seen = re.findall(r"seeds? ((?:\d+(?:, | and )?)+)", content.get("chosen_on", ""))
        looked_at = {int(seed) for seeds in seen for seed in re.findall(r"\d+", seeds)}
        for run in content.get("runs", []):
            if run["versions"]["jax"] != table_text.WRONG_SUMS:
                assert run["seed"] not in looked_at, path
                assert run["split"] in ("test", "unseen", None), path  # the toys have none


def test_published_modes_stand_beside_ours_with_their_networks_and_budgets():
    text = (ROOT / "experiments/README.md").read_text()
    (table,) = (block for block in tables.BLOCK.finditer(text) if block[2] == "stacked_mnist")
    assert re.search("published", table[0])
    said = text[table.end() :].strip().split("\n\n")[0]
    assert all(word in said for word in ("published", "channels", "batches"))


def run_of(seed, value, **rest):
    figures = {"generated": {"fid": value}}
    run = {"seed": seed, "split": "test", "versions": {"jax": "0.11"}, "figures": figures}
    return {**run, **rest}


def test_mean_and_deviation_are_of_the_runs(tmp_path):
    runs = [run_of(10, 1.0), run_of(11, 2.0), run_of(12, 6.0)]
    assert results.write("one", "a command", runs, tmp_path, "validation, seed 0").exists()
    result = Result("one", tmp_path)
    figure = result.figure("generated", "fid")
    assert figure.mean == 3
    assert figure.std == pytest.approx(7**0.5)
    assert (figure.worst, figure.seeds) == (6, [10, 11, 12])
    assert result.figure("gen*", "fid", lowest_is_worst=True).worst == 1
    with pytest.raises(KeyError, match=r"one\.json has no generated, kid"):
        result.figure("generated", "kid")
    # What was looked at stays until something else is said.
    results.write("one", "a command", runs[:1], tmp_path)
    result = Result("one", tmp_path)
    assert result.chosen_on == "validation, seed 0"
    assert result.figure("generated", "fid").std is None


def test_where_figures_come_from_is_said(tmp_path):
    suspect = run_of(0, {"mean": 1.0, "std": 0.5}, versions={"jax": "0.10.2"})
    results.write("old", "a command", [{**suspect, "seed": [0, 1]}], tmp_path, "test, seed 0")
    old = Result("old", tmp_path)
    assert old.figure("generated", "fid")[:2] == (1.0, 0.5)
    text = old.origin("generated", "0.10.2")
    assert text.startswith("Seeds 0, 1; on the test part; settings chosen by looking at test, seed")
    assert text.endswith("to be measured again")
    results.write("new", "a command", [run_of(10, 1.0)], tmp_path)
    text = Result("new", tmp_path).origin("generated", "0.10.2")
    assert text == "Seed 10; on the test part; JAX 0.11"


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def test_a_run_s_folder_becomes_an_entry(tmp_path):
    config = {"seed": 10, "batch_size": 4, "disc_steps": 2, "evaluate_on": "test"}
    write(tmp_path / "config.json", config)
    origin = {"commit": "abc", "versions": {"jax": "1"}, "processor": "p", "cores": 1}
    write(tmp_path / "summary.json", {"num_steps": 30, "seconds": 90.0, **origin})
    generated = {"fid_lenet_10k": 2.0, "accuracy_lenet_10k": 0.9}
    generated |= {f"accuracy_{k}_lenet_10k": 0.9 - k / 10 for k in range(2)}
    evaluation = {"step": 30, "network": {"name": "lenet", "version": 1}, "generated": generated}
    write(tmp_path / "evaluation.json", evaluation)
    write(tmp_path / "sgan.json", {"accuracy": 0.8, "accuracy_supervised": 0.5, "labels": 10})
    write(tmp_path / "gaussians.json", {"trials": [{"modes": 8.0}, {"modes": 7.0}]})
    names = ("d_real", "d_fake", "jsd_lower_bound")
    rows = [{"step": i, **{f"train/{n}": i / 20 for n in names}} for i in range(1, 21)]
    rows.append({"step": 20, "eval/accuracy_real": 0.7, "eval/accuracy_fake": 0.6})
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    run = results.read_run("sgan --config.labels=10", tmp_path)
    assert run["command"] == "python experiments/sgan.py --config.labels=10 --config.seed=10"
    assert run["budget"] == {"steps": 30, "examples": 240, "minutes": 1.5}
    assert {name: run[name] for name in origin} == origin
    figures = run["figures"]
    assert figures["generated"]["fid"] == 2
    assert figures["generated"]["accuracy_worst"] == pytest.approx(0.8)
    assert (figures["sgan"]["accuracy"], figures["alone"]["accuracy"]) == (0.8, 0.5)
    assert [figures[f"trial {k}"]["modes"] for k in range(2)] == [8, 7]
    # The last tenth of the run's rows.
    assert figures["game"]["d_real"] == pytest.approx((19 / 20 + 1) / 2)
    assert figures["game"]["accuracy_fake"] == 0.6


def test_of_emoji_there_is_a_row_for_each_result_that_is_there(tmp_path, monkeypatch):
    monkeypatch.setattr(table_contents, "RESULTS", tmp_path)
    monkeypatch.setattr(Result, "of", lambda script: Result(results.name_of(script), tmp_path))
    rest = {"split": "test", "versions": {"jax": "0.11"}, "budget": {"minutes": 18.4}}
    shares = {"fd": 70.0, "accuracy": 0.5}
    drawn = {"generated": shares, "floor": {"fd": 20.0, "accuracy": 0.75}}
    read = {"fd_lite1": 90.0, "seen": 0.25, "unseen": 0.125}
    named = {"Stage I": {}, "Stage II": read, "real": {"fd_lite1": 20.0, "unseen": 0.625}}
    translated = {"run": {"mae_ab": 0.25, "ssim_ab": 0.5}, "identity": {"mae_ab": 0.5}}
    for script, figures in (
        ("sngan --variant=emoji", drawn),
        ("stackgan --variant=emoji", named),
        ("cyclegan --variant=emoji", translated),
    ):
        results.write(
            results.name_of(script), "", [{"seed": 10, "figures": figures, **rest}], tmp_path
        )
    lines = table_contents.emoji().splitlines()
    assert lines[2:5] == [
        "| `sngan --variant=emoji` | 18 | 70.0 (20.0) | 50.0 % (75.0 %) | | |",
        "| `cyclegan --variant=emoji` | 18 | not measured | not measured | 0.250 (0.500) | 0.500 |",
        "| `stackgan --variant=emoji` | 18 | 90.0 (20.0) | 12.5 % (62.5 %) | | |",
    ]
    assert "Of names that training had, 25.0 % are found." in lines
    assert lines[-1] == "*Seed 10; on the test part; JAX 0.11.*"


def test_names_of_files():
    assert results.name_of("stacked_mnist --variant=quick") == "stacked_mnist-variant=quick"
    assert results.name_of("sgan --config.labels=100") == "sgan-labels=100"
    assert "/" not in results.name_of("dcgan --config.dataset=folder:a/b")


def test_provenance_names_commit_versions_and_machine():
    found = provenance()
    assert found["versions"]["jax"] == __import__("jax").__version__
    assert found["cores"] >= 1
    assert found["processor"]
    if (ROOT / ".git").exists():
        head = subprocess.run(
            ["git", "-C", ROOT, "rev-parse", "HEAD"], capture_output=True, text=True, check=True
        ).stdout.strip()
        assert found["commit"].removesuffix("+") == head
