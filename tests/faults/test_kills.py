"""SIGKILL at fifty random moments: each time the run goes on from its newest whole checkpoint.

At the moment of most kills the process is first stopped, by SIGSTOP, and looked at: it is killed
where it is in the middle of what the kill is aimed at, and else let go on for a while. So it is
known how many of the kills met which kind of work.
"""

import collections
import concurrent.futures
import os
import random
import signal
import time

import pytest
from scripts import final_state
from small_run import SmallRun, make_images

from jaxgan.runs.page import read_metrics

EVERY = 20  # steps from checkpoint to checkpoint
CONFIG = {"num_steps": 800, "checkpoint_every": EVERY}
AIMS = ("start", "steps", "saving", "saving", "records")
KILLS = 50
WORKERS = 2  # series of kills at a time, each in a folder of its own


def whole_checkpoints(workdir):
    names = os.listdir(workdir / "checkpoints") if (workdir / "checkpoints").exists() else []
    return sorted(int(name) for name in names if name.isdigit())


def doing(run, workdir):
    """What a stopped process is in the middle of."""
    if not run.says("step "):
        return "start"
    if any(not name.isdigit() for name in os.listdir(workdir / "checkpoints")):
        return "saving"
    # The page is written after the pictures of a step, with TensorBoard's records in between.
    pictures = [path.stat().st_mtime_ns for path in (workdir / "samples").glob("*.png")]
    half_written = [*workdir.glob(".*.tmp"), *workdir.glob("samples/.*.tmp")]
    if half_written or max(pictures, default=0) > (workdir / "index.html").stat().st_mtime_ns:
        return "records"
    return "steps"


def kill(run, workdir, aim, moments, start_seconds):
    """Kills it at a random moment of the kind that is aimed at; what it did, None if it ended."""
    process = run.process
    if aim == "start":
        time.sleep(moments.uniform(0.02, 1.0) * start_seconds)
    else:
        run.wait_for("step ")
        enough = max(whole_checkpoints(workdir), default=0) + moments.randrange(4) * EVERY
        while process.poll() is None and max(whole_checkpoints(workdir), default=0) < enough:
            time.sleep(0.002)
        time.sleep(moments.uniform(0.0, 0.2))
    while process.poll() is None:
        process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
        if process.poll() is None and (aim == "start" or doing(run, workdir) == aim):
            what = doing(run, workdir)
            run.kill()
            assert process.returncode == -signal.SIGKILL
            return what
        process.send_signal(signal.SIGCONT)
        time.sleep(moments.uniform(0.001, 0.02))
    return None


def outcome(workdir):
    """All that a run leaves but for times: state, data position, records, names of files."""
    rows = read_metrics(workdir / "metrics.jsonl")
    for row in rows:
        row.pop("train/images_per_second", None)
    last = max(whole_checkpoints(workdir))
    files = {path.relative_to(workdir) for path in workdir.rglob("*") if path.is_file()}
    return {
        "state": [array.tobytes() for array in final_state(workdir, last)],
        "position": next((workdir / f"checkpoints/{last}/data").iterdir()).read_bytes(),
        "rows": rows,
        "pictures": {path.name: path.read_bytes() for path in workdir.glob("samples/*.png")},
        "checkpoints": whole_checkpoints(workdir),
        # Each process writes a file of events of its own, and Orbax names some of its by chance.
        "files": {
            str(path) for path in files if path.parts[0] not in ("tensorboard", "checkpoints")
        },
    }


def series(images, root, expected, aims, moments):
    """Kills a run as often as there are aims, and has it end; how often each kind of work was met.

    Where the run ends in between, another one begins in a new folder.
    """
    met, number, start_seconds = collections.Counter(), 0, 5.0
    aims = list(aims)
    while True:
        workdir = root / str(number)
        had = whole_checkpoints(workdir)
        began, run = time.monotonic(), SmallRun(images, workdir, **CONFIG)
        try:
            what = aims and kill(run, workdir, aims[-1], moments, start_seconds)
            if what:
                aims.pop()
                met[what] += 1
                print(f"{workdir}: killed in {what}, had {had[-1:]}", flush=True)
            else:
                assert run.end() == 0, "\n".join(run.lines)
            if run.says("step "):
                start_seconds = run.said_at("step ") - began
                # Whatever came after the newest whole checkpoint comes again, and nothing else.
                line = f"goes on from the checkpoint of step {had[-1]}" if had else "compiling"
                # Or it was killed when all was written.
                finished = had[-1:] == [CONFIG["num_steps"]] and run.says("is finished")
                assert run.says(line) or finished, "\n".join(run.lines)
        finally:
            run.kill()
        if not what:
            assert outcome(workdir) == expected
            number += 1
            if not aims:
                return met


@pytest.mark.long
def test_killed_fifty_times_it_ends_bit_for_bit_the_same(tmp_path, tally):
    (tmp_path / "images").mkdir()
    images = make_images(tmp_path / "images")
    run = SmallRun(images, tmp_path / "unbroken", **CONFIG)
    assert run.end() == 0, "\n".join(run.lines)
    run.kill()
    expected = outcome(tmp_path / "unbroken")
    assert len(expected["state"]) > 20
    assert len(expected["pictures"]) > 160

    aims = [AIMS[number % len(AIMS)] for number in range(KILLS)]
    random.Random(0).shuffle(aims)
    with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
        works = [
            pool.submit(
                series,
                *(images, tmp_path / f"killed{number}", expected),
                *(aims[number::WORKERS], random.Random(number)),
            )
            for number in range(WORKERS)
        ]
        met = sum((work.result() for work in works), collections.Counter())
    print(f"\nkilled {', '.join(f'{met[what]} times in {what}' for what in sorted(met))}")
    assert met.total() == KILLS
    # What is aimed at the start may meet a run that has started faster than the one before.
    for what in ("steps", "saving", "records"):
        assert met[what] >= AIMS.count(what) * KILLS // len(AIMS)
    assert met["start"] > 0
    tally("kills survived", met.total(), KILLS)
