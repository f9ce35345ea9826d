"""What goes out of a run makes the same images there as here."""

import json
import subprocess
import sys
import types
from pathlib import Path

import dcgan
import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest

import jaxgan
from jaxgan import UserError, data, networks
from jaxgan.commands import export as command
from jaxgan.files import write_json
from jaxgan.inference.export import load_safetensors, save_onnx, save_program, save_safetensors
from jaxgan.inference.load import load_generator, make_generate
from jaxgan.inference.translator import make_translate
from jaxgan.inputs import Classes, Latents, draw_inputs
from jaxgan.training import adversarial, generation
from jaxgan.training.reports.evaluate_run import evaluate_run

CLASSES = {"latents": Latents(6, "uniform"), "labels": Classes(5)}
PLAIN = {"latents": Latents(6)}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A trained run, of averaged parameters with batch norm, measured."""
    config = dcgan.get_config()
    for name, value in {"num_steps": 2, "batch_size": 8, "latent_dim": 6}.items():
        config[name] = value
    workdir = tmp_path_factory.mktemp("run")
    make_game = lambda *of: adversarial.make_game(dcgan.make_players, *of)  # noqa: E731
    generation.train(make_game, config, str(workdir), False)
    evaluate_run(workdir, ("kid",), num=20, batch_size=20)
    return workdir


@pytest.fixture(scope="module")
def exported(run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("exported") / "new"
    export(run, folder)
    return folder


def export(workdir, folder, *arguments):
    before = sys.argv
    sys.argv = ["export", "--workdir", str(workdir), "--to", str(folder), *arguments]
    try:
        command.main()
    finally:
        sys.argv = before


def draws(inputs, count=3):
    return [np.asarray(array) for array in draw_inputs(inputs, jax.random.key(1), count)]


def same(images, others):
    assert images.shape == others.shape
    np.testing.assert_allclose(images, others, rtol=0, atol=1e-5)


def run_program(file, *arrays):
    return jax.export.deserialize(bytearray(file.read_bytes())).call(*arrays)


def test_a_run_goes_out_and_is_loaded_without_its_folder(run, exported):
    names = {path.name for path in exported.iterdir()}
    assert names == {"README.md", "generator.jax", "generator.safetensors", "samples.png"}
    generate, latents = load_generator(run), draws(PLAIN)
    loaded = load_safetensors(exported / "generator.safetensors")
    assert (loaded.inputs, loaded.step) == (PLAIN, 2)
    assert loaded.config == generate.config
    assert np.ptp(generate(*latents)) > 0.01
    same(loaded(*latents), generate(*latents))
    for count in (3, 1, 20):
        latents = draws(PLAIN, count)
        same(run_program(exported / "generator.jax", *latents), generate(*latents))


def test_the_card_says_what_it_is_of(run, exported):
    card = (exported / "README.md").read_text()
    summary = json.loads((run / "summary.json").read_text())
    evaluation = json.loads((run / "evaluation.json").read_text())
    kid = evaluation["generated"]["kid_lenet_20"]
    for text in (
        f"# {summary['title']}",
        "![Samples](samples.png)",
        "`latents` (B, 6) float32, normal",
        f"`mnist`: {data.licence('mnist')}",
        summary["command"],
        f"jax {jax.__version__}",
        f"| `kid_lenet_20` | {kid:.4g} |",
        'load_safetensors("generator.safetensors")',
    ):
        assert text in card
    assert "onnx" not in card


def test_the_lines_of_the_card_load_it(exported):
    """In a process of its own, as somebody does who has the folder alone."""
    card = (exported / "README.md").read_text()
    blocks = [block.partition("```")[0] for block in card.split("```python\n")[1:]]
    assert len(blocks) == 2
    lines = ["import numpy as np", "latents, made = np.ones((2, 6), np.float32), []"]
    for block in blocks:
        lines += [block, "made.append(np.asarray(images))"]
    lines += ["assert np.abs(made[0] - made[1]).max() < 1e-5", "print(made[0].shape)"]
    root = str(Path(jaxgan.__file__).parents[1])
    code = "\n".join([f"import sys; sys.path.insert(0, {root!r})", *lines])
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=exported, capture_output=True, text=True, check=False
    )
    assert done.stdout == "(2, 28, 28, 1)\n", done.stderr


def test_a_card_tells_no_metrics_of_another_step(run, tmp_path):
    evaluation = json.loads((run / "evaluation.json").read_text())
    other = tmp_path / "run"
    other.mkdir()
    write_json(other / "evaluation.json", {**evaluation, "step": 1})
    assert command._metrics(other, 1)["generated"] == evaluation["generated"]
    assert command._metrics(other, 2) == {}


def small(name):
    """A generator with variables that are not those of any other."""
    if name == "mlp":
        generator, inputs = networks.mlp(image_shape=(8, 8, 1))[0], {"latents": Latents(64)}
    elif name == "dcgan":
        generator, inputs = networks.DCGANGenerator(4, (8, 4), 3, 3, True, num_classes=5), CLASSES
    elif name == "dcgan by resizing":
        generator = networks.DCGANGenerator(4, (8, 4), 3, 3, True, "resize")
        inputs = PLAIN
    elif name == "sn_resnet":
        generator, _ = networks.sn_resnet(32, width=8, num_classes=5)
        inputs = CLASSES
    elif name == "r3gan":
        generator, _ = networks.r3gan(32, width=32, num_classes=5)
        inputs = CLASSES
    arrays = draws(inputs)
    variables = generator.init(jax.random.key(0), *arrays)
    keys = iter(jax.random.split(jax.random.key(2), 1000))

    def moved(path, x):
        """Away from the zeros and ones that much begins as; variances stay positive."""
        noise = 0.1 * jax.random.normal(next(keys), x.shape, x.dtype)
        return x + (jnp.abs(noise) if "batch_stats" in str(path[0]) else noise)

    variables = jax.tree_util.tree_map_with_path(moved, variables)
    return make_generate(generator, variables, inputs, averaged=False), arrays


FAMILIES = ("mlp", "dcgan", "dcgan by resizing", "sn_resnet", "r3gan")


@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_goes_out(name, tmp_path):
    generate, arrays = small(name)
    save_safetensors(tmp_path / "weights", generate)
    save_program(tmp_path / "program", generate)
    images = generate(*arrays)
    assert np.std(images) > 0.01
    same(load_safetensors(tmp_path / "weights")(*arrays), images)
    same(run_program(tmp_path / "program", *arrays), images)


@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_goes_out_as_onnx(name, tmp_path):
    generate, arrays = small(name)
    try_onnx(tmp_path / "generator.onnx", generate)
    for count in (3, 1):
        some = [array[:count] for array in arrays]
        same(run_onnx(tmp_path / "generator.onnx", generate.inputs, some), generate(*some))


def try_onnx(file, generate):
    """Saves it, where there is a jax2onnx that knows this JAX."""
    pytest.importorskip("jax2onnx", exc_type=ImportError)
    try:
        save_onnx(file, generate)
    except UserError as error:
        if jax.__version_info__ < (0, 11):
            raise
        pytest.skip(str(error))


def run_onnx(file, inputs, arrays):
    import onnxruntime

    session = onnxruntime.InferenceSession(file)
    return session.run(None, dict(zip(inputs, arrays, strict=True)))[0]


@pytest.fixture(scope="module")
def translate():
    generator, _ = networks.cyclegan(image_size=32, width=4, blocks=1)
    variables = generator.init(jax.random.key(0), np.zeros((1, 32, 32, 3), np.float32))
    made = make_translate(generator, variables)
    made.config = {"image_size": 32, "dataset": "emoji"}
    return made


IMAGES = np.random.default_rng(0).random((3, 32, 32, 3), np.float32)


def test_what_translates_goes_out(translate, tmp_path):
    save_safetensors(tmp_path / "weights", translate)
    save_program(tmp_path / "program", translate)
    same(load_safetensors(tmp_path / "weights")(IMAGES), translate(IMAGES))
    same(run_program(tmp_path / "program", IMAGES), translate(IMAGES))
    assert "Apache License 2.0; Twemoji" in command._licence(translate)


def test_what_translates_goes_out_as_onnx(translate, tmp_path):
    try_onnx(tmp_path / "generator.onnx", translate)
    same(run_onnx(tmp_path / "generator.onnx", translate.inputs, [IMAGES]), translate(IMAGES))


def test_a_program_needs_the_size_of_images(translate, tmp_path, monkeypatch):
    monkeypatch.setattr(translate, "config", {})
    with pytest.raises(UserError, match=r"^images: no size of images is known"):
        save_program(tmp_path / "program", translate)


def test_weights_of_another_network_are_refused(tmp_path):
    generate, _ = small("dcgan")
    save_safetensors(tmp_path / "weights", generate)
    wider = generate.generator.clone(widths=(8, 5))
    line = r"^path: .*weights is not of this DCGANGenerator: \S+ is \(\d.*\), expected \(\d.*\)$"
    with pytest.raises(UserError, match=line):
        load_safetensors(tmp_path / "weights", generator=wider)
    deeper = generate.generator.clone(widths=(8, 4, 4))
    with pytest.raises(UserError, match=r"is none, expected \("):
        load_safetensors(tmp_path / "weights", generator=deeper)


def test_a_jax_that_jax2onnx_does_not_know_is_named(tmp_path, monkeypatch):
    def to_onnx(*arguments, **options):
        raise AttributeError("module 'jax._src.core' has no\nattribute 'New'")

    monkeypatch.setitem(sys.modules, "jax2onnx", types.SimpleNamespace(to_onnx=to_onnx))
    with pytest.raises(UserError) as error:
        save_onnx(tmp_path / "generator.onnx", small("mlp")[0])
    told = f"jax2onnx does not convert MLPGenerator under JAX {jax.__version__} (AttributeError: "
    assert told in str(error.value)
    assert "\n" not in str(error.value)


def test_what_is_no_such_file_is_refused(tmp_path):
    import safetensors.numpy

    whole, cut, other = (tmp_path / name for name in ("whole", "cut", "other"))
    save_safetensors(whole, small("mlp")[0])
    cut.write_bytes(whole.read_bytes()[:1000])
    safetensors.numpy.save_file({"weight": np.zeros(3, np.float32)}, other)
    for file, line in (
        (tmp_path / "nowhere", r"cannot read .*nowhere \(No such file"),
        (cut, r"cannot read .*cut \("),
        (other, "holds no generator"),
    ):
        with pytest.raises(
            UserError, match=f"^path: {line if line.startswith('c') else '.*' + line}"
        ):
            load_safetensors(file)


@pytest.mark.parametrize(
    ("module", "formats", "line"),
    [
        ("safetensors.numpy", "safetensors", "safetensors is not installed, expected pip install "),
        ("jax2onnx", "onnx", "jax2onnx is not installed, expected pip install 'jaxgan[onnx]'"),
    ],
)
def test_an_extra_that_is_missing_is_named(module, formats, line, run, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(UserError) as error:
        export(run, tmp_path / "to", "--formats", formats)
    assert str(error.value).startswith(line)


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("--formats", "pickle"), "formats: got 'pickle', expected some of safetensors, program"),
        (("--to", "{run}"), "to: got the folder of the run, expected another"),
        (("--to", "{run}/summary.json"), "to: got .*, expected a folder"),
        (("--direction", "ab"), "workdir: .* holds no run that translates images"),
    ],
)
def test_bad_arguments_are_refused(arguments, line, run, tmp_path):
    arguments = [argument.format(run=run) for argument in arguments]
    with pytest.raises(UserError, match=f"^{line}"):
        export(run, tmp_path / "to", *arguments)
    assert not (tmp_path / "to").exists()
