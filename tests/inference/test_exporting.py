"""Exported files, run by onnxruntime and by torch alone, against the module and against `predict`."""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from matplotlib.cbook import get_sample_data
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn

import resnet_spec
from resnet_spec.data.decode import read_image
from resnet_spec.diagnostics import ResnetSpecError
from resnet_spec.inference.evaluate import evaluate
from resnet_spec.inference.predict import predict
from resnet_spec.inference.trained import load_trained
from resnet_spec.outputs.exporting import onnx_file, source_file
from resnet_spec.outputs.python_source import python_source

pytestmark = pytest.mark.torch

RUN = Path(__file__).parent.parent / "compatibility" / "runs" / "finished"  # a trained network for 3x10x10
CLASSES = ["disc", "square", "triangle", "cross"]
# A name that breaks out of quotes, comments and lines wherever it is not data.
HOSTILE = "a\"b'c\n#\u202e\u2028{x}\\"
SPEC = {
    "spec": 1,
    "name": HOSTILE,
    "about": "x\ny",
    "input": "1x8x8",
    "stem": {
        "conv": {"op": "conv2d", "out_channels": 64, "kernel_size": 3, "padding": 1, "bias": False},
        "bn": "norm",
        "relu": "act",
        "pool": {"op": "max_pool2d", "kernel_size": 2},
    },
    "head": {
        "gap": {"op": "adaptive_avg_pool2d", "output_size": 1},
        "flatten": "flatten",
        "fc": {"op": "linear", "out_features": 3},
        "aux": {"op": "linear", "from": "flatten", "out_features": 2},
    },
    "outputs": {"images": "pool", "logits": "fc", "conv2d": "bn", "aux": {"from": "aux", "training_only": True}},
}


@pytest.fixture(scope="module")
def photograph() -> Path:
    """A photograph of 512x600 pixels, which comes with matplotlib."""
    return Path(get_sample_data("grace_hopper.jpg", asfileobj=False))


def bytes_of(photograph: Path) -> NDArray[np.uint8]:
    """The photograph as the network takes it, `(1, H, W, C)`: resized, and still bytes."""
    preparation = load_trained(RUN, "cpu").facts.preparation
    pixels = read_image(photograph)
    prepared: NDArray[np.uint8] = preparation.for_images_of((pixels.shape[0], pixels.shape[1])).apply(pixels)[None]
    return prepared


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    odds: NDArray[np.float32] = np.exp(logits - logits.max())
    total: NDArray[np.float32] = odds / odds.sum()
    return total


def run_snippet(
    snippet: Path, photograph: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> list[str]:
    """Run a snippet on the photograph, where this package cannot be imported; returns the words that it prints."""
    with monkeypatch.context() as patch:
        for name in [name for name in sys.modules if name.partition(".")[0] == "resnet_spec"]:
            patch.setitem(sys.modules, name, None)
        patch.setattr(sys, "argv", [str(snippet), str(photograph)])
        runpy.run_path(str(snippet))
    return capsys.readouterr().out.split()


# --- of a run --------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_onnx_of_a_run_predicts_as_the_run_does(
    tmp_path: Path, photograph: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    done = resnet_spec.export(RUN, tmp_path / "net.onnx", preprocessing="nhwc", snippet=True, dynamic="size")
    assert capsys.readouterr() == ("", "")  # the exporter is quiet
    assert [path.name for path in done.files] == ["net.onnx", "net_example.py"] == sorted(x.name for x in tmp_path.iterdir())
    assert [(check.batch, check.size) for check in done.checks[:3]] == [(1, (10, 10)), (2, (10, 10)), (5, (10, 10))]
    assert done.checks[3].size != (10, 10)
    assert done.difference < 1e-5
    onnx.checker.check_model(str(done.path), full_check=True)

    session = onnxruntime.InferenceSession(done.path)
    (taken,) = session.get_inputs()
    assert (taken.name, taken.type, taken.shape) == ("images", "tensor(uint8)", ["batch", "height", "width", 3])
    (best, probability), *_ = predict(RUN, photograph, device="cpu")[0].classes
    (logits,) = session.run(["output"], {"images": bytes_of(photograph)})
    assert CLASSES[int(logits[0].argmax())] == best
    assert softmax(logits[0]).max() == pytest.approx(probability, abs=1e-4)

    facts = session.get_modelmeta().custom_metadata_map
    assert json.loads(facts["resnet_spec.classes"]) == CLASSES
    assert json.loads(facts["resnet_spec.preparation"]) | {"size": [10, 10], "resize": None, "crop": None} == json.loads(
        facts["resnet_spec.preparation"]
    )
    assert facts["resnet_spec.fingerprint"] == load_trained(RUN, "cpu").facts.fingerprint
    assert facts["resnet_spec.input"] == "3x10x10"
    assert b"torch_module.py" not in done.path.read_bytes()  # no paths of this machine

    printed = run_snippet(tmp_path / "net_example.py", photograph, monkeypatch, capsys)
    assert printed[0] == best
    assert float(printed[1]) == pytest.approx(probability, abs=0.02)  # Pillow resizes otherwise than torch


def test_a_program_of_a_run_predicts_as_the_run_does(
    tmp_path: Path, photograph: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    done = resnet_spec.export(RUN, tmp_path / "net.pt2", preprocessing="nchw", snippet=True, channels_last=True)
    assert capsys.readouterr() == ("", "")
    assert done.difference < 1e-6
    extra = {"resnet_spec.json": ""}
    module = torch.export.load(done.path, extra_files=extra).module()
    (best, probability), *_ = predict(RUN, photograph, device="cpu")[0].classes
    x = torch.from_numpy(bytes_of(photograph)).permute(0, 3, 1, 2)
    found = module(x.expand(3, -1, -1, -1))[2].softmax(0).detach()
    assert CLASSES[int(found.argmax())] == best
    assert float(found.max()) == pytest.approx(probability, abs=1e-4)
    facts = json.loads(extra["resnet_spec.json"])
    assert json.loads(facts["resnet_spec.classes"]) == CLASSES
    assert facts["resnet_spec.layout"] == "uint8 NCHW"
    printed = run_snippet(tmp_path / "net_example.py", photograph, monkeypatch, capsys)
    assert printed[0] == best
    assert float(printed[1]) == pytest.approx(probability, abs=0.02)


def test_exported_weights_of_a_run_are_evaluated_and_predicted_with(tmp_path: Path, photograph: Path) -> None:
    resnet_spec.export(RUN, tmp_path / "net.safetensors")
    assert evaluate(tmp_path / "net.safetensors", device="cpu").scores == evaluate(RUN, device="cpu").scores
    assert predict(tmp_path / "net.safetensors", photograph, device="cpu") == predict(RUN, photograph, device="cpu")


def test_source_of_a_run_has_its_weights_in_a_file_of_torch(tmp_path: Path) -> None:
    done = resnet_spec.export(RUN, tmp_path / "net.py")
    assert [path.name for path in done.files] == ["net.py", "net.pth", "net.json"]
    assert (done.difference, done.tolerance, len(done.checks)) == (0, 0, 3)
    names = runpy.run_path(str(done.path))
    module = names["build"](weights=tmp_path / "net.pth").eval()
    x = torch.randn(2, 3, 10, 10)
    trained = load_trained(RUN, "cpu")
    assert torch.equal(module(x), trained.module(x))
    use = json.loads((tmp_path / "net.json").read_text(encoding="utf-8"))
    assert tuple(use["classes"]) == trained.facts.classes
    assert (tuple(use["mean"]), tuple(use["std"])) == (trained.facts.preparation.mean, trained.facts.preparation.std)
    assert [path.name for path in resnet_spec.export(SPEC, tmp_path / "new" / "net.py").files] == ["net.py"]
    before = (tmp_path / "net.pth").read_bytes()
    with pytest.raises(ResnetSpecError, match="the weights are read from"):
        resnet_spec.export(load_trained(RUN, "cpu").facts.spec, tmp_path / "net.py", weights=tmp_path / "net.pth")
    assert (tmp_path / "net.pth").read_bytes() == before


def test_source_that_is_replaced_and_weights_of_another_export_are_noted(tmp_path: Path) -> None:
    resnet_spec.export(RUN, tmp_path / "net.py")
    notes = resnet_spec.export("mnist/lenet5", tmp_path / "net.py").notes
    assert "net.pth, which was there before, is not of this export" in notes
    assert "net.py replaced what was there" in notes


@pytest.mark.parametrize("text", ['{"fingerprint": "rs1:0", "classes": ["a"]}', "[]", "not JSON"])
def test_another_json_file_is_not_replaced(text: str, tmp_path: Path) -> None:
    """Such as the `run.json` of a run, next to `run.py`."""
    (tmp_path / "run.json").write_text(text, encoding="utf-8")
    with pytest.raises(ResnetSpecError, match=r"run\.json, .* is another file"):
        resnet_spec.export(RUN, tmp_path / "run.py")
    assert (tmp_path / "run.json").read_text(encoding="utf-8") == text
    assert [path.name for path in tmp_path.iterdir()] == ["run.json"]
    resnet_spec.export(RUN, tmp_path / "net.py")
    resnet_spec.export(RUN, tmp_path / "net.py")  # its own is


def test_source_needs_no_finite_values_and_what_runs_does(tmp_path: Path) -> None:
    """As with fresh weights in a deep network, whose sums grow from block to block in evaluation."""
    large = {"op": "scale", "init_value": 1e30}
    spec = {
        "spec": 1,
        "name": "deep",
        "input": "3x8x8",
        "stem": {"a": large, "b": large, "pool": {"op": "mean", "over": "pixels"}},
    }
    done = resnet_spec.export(spec, tmp_path / "deep.py")
    assert any("bit by bit" in note for note in done.notes)
    with pytest.raises(ResnetSpecError) as caught:
        resnet_spec.export(spec, tmp_path / "deep.pt2")
    (finding,) = caught.value.diagnostics
    assert finding.code == "output-not-finite"
    assert "freshly initialized" in finding.help


def test_what_goes_to_others_does_not_say_where_the_images_are(tmp_path: Path) -> None:
    resnet_spec.export(RUN, tmp_path / "net.pt2")
    facts = {"resnet_spec.json": ""}
    torch.export.load(tmp_path / "net.pt2", extra_files=facts)
    assert not {"resnet_spec.data", "resnet_spec.split"} & json.loads(facts["resnet_spec.json"]).keys()


def test_a_preparation_that_is_stated_is_in_the_file(tmp_path: Path) -> None:
    """For weights that say nothing; of a run it is known."""
    torch.save(resnet_spec.build(SPEC).state_dict(), tmp_path / "weights.pth")
    options: dict[str, Any] = {
        "weights": tmp_path / "weights.pth",
        "preprocessing": "nchw",
        "prepare": ["mean=0.25", "std=0.5"],
    }
    done = resnet_spec.export(SPEC, tmp_path / "net.pt2", **options)
    pixels = torch.full((2, 1, 8, 8), 51, dtype=torch.uint8)
    found = torch.export.load(done.path).module()(pixels)
    wanted = resnet_spec.build(SPEC, weights=tmp_path / "weights.pth").eval()((pixels / 255 - 0.25) / 0.5)
    torch.testing.assert_close(found["logits"], wanted["logits"])
    with pytest.raises(ResnetSpecError, match="`prepare` does not apply to a run"):
        resnet_spec.export(RUN, tmp_path / "run.pt2", prepare={"mean": 0.5})


def test_source_that_is_another_network_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def write_wrong(analysis: resnet_spec.Analysis) -> str:
        return python_source(analysis).replace("kernel_size=3", "kernel_size=1").replace("64, 3,", "64, 1,")

    monkeypatch.setattr(source_file, "python_source", write_wrong)
    with pytest.raises(ResnetSpecError, match="conv") as raised:
        resnet_spec.export(SPEC, tmp_path / "net.py")
    assert [found.code for found in raised.value.diagnostics] == ["export-differs"]
    assert list(tmp_path.iterdir()) == []


def test_a_folded_network_is_a_spec_with_weights(tmp_path: Path, photograph: Path) -> None:
    done = resnet_spec.export(RUN, tmp_path / "net.safetensors", fold_bn=True)
    assert [path.name for path in done.files] == ["net.safetensors", "net.folded.yaml"]
    assert "6 batch norms folded" in done.notes[0]
    network = resnet_spec.build(tmp_path / "net.folded.yaml", weights=done.path).eval()
    assert not any(isinstance(module, nn.BatchNorm2d) for module in network.modules())
    x = torch.randn(4, 3, 10, 10)
    torch.testing.assert_close(network(x), load_trained(RUN, "cpu").module(x), rtol=1e-4, atol=1e-5)
    (best, probability), *_ = predict(done.path, photograph, device="cpu")[0].classes  # the file has its spec
    (wanted, expected), *_ = predict(RUN, photograph, device="cpu")[0].classes
    assert best == wanted
    assert probability == pytest.approx(expected, abs=1e-4)


def test_a_precision_is_that_of_the_weights(tmp_path: Path) -> None:
    done = resnet_spec.export(RUN, tmp_path / "net.safetensors", dtype="fp16")
    with safe_open(done.path, "pt") as half, safe_open(RUN / "best.safetensors", "pt") as full:
        for key in full.keys():  # noqa: SIM118
            tensor = full.get_tensor(key)
            wanted = tensor.half() if tensor.is_floating_point() else tensor
            assert torch.equal(half.get_tensor(key), wanted)
            assert half.get_tensor(key).dtype == wanted.dtype


def test_a_program_in_bfloat16_takes_and_returns_float32(tmp_path: Path) -> None:
    done = resnet_spec.export(RUN, tmp_path / "net.pt2", dtype="bf16")
    found = torch.export.load(done.path).module()(x := torch.randn(2, 3, 10, 10))
    assert found.dtype == torch.float32
    wanted = load_trained(RUN, "cpu").module(x)
    difference = float((found - wanted).abs().max() / wanted.abs().max())
    assert 1e-4 < difference < 0.05
    assert any(note.startswith("in bf16 the outputs differ by ") for note in done.notes)


# --- of a spec -------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> tuple[resnet_spec.Exported, Path]:
    """A network with hostile texts and several outputs as ONNX, its weights outside the file, in float16."""
    folder = tmp_path_factory.mktemp("hostile")
    network = resnet_spec.build(SPEC)
    torch.save(network.state_dict(), folder / "weights.pth")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(onnx_file, "MOST_BYTES", 100)
        path = folder / "o" / "n'e\"t\u00e9.onnx"
        return resnet_spec.export(SPEC, path, weights=folder / "weights.pth", snippet=True, dtype="fp16", opset=21), folder


def test_several_outputs_have_their_names(hostile: tuple[resnet_spec.Exported, Path]) -> None:
    """Without what exists in training only; what the exporter itself calls `images` or `conv2d` has another name."""
    done, folder = hostile
    session = onnxruntime.InferenceSession(done.path)
    assert [output.name for output in session.get_outputs()] == ["images", "logits", "conv2d"]
    assert [given.name for given in session.get_inputs()] == ["images_in"]
    x = torch.randn(3, 1, 8, 8)
    maps, logits, normalized = session.run(None, {"images_in": x.numpy()})
    wanted = resnet_spec.build(SPEC, weights=folder / "weights.pth").eval()(x)
    assert isinstance(wanted, dict)
    torch.testing.assert_close(torch.from_numpy(maps), wanted["images"], rtol=0.01, atol=0.01)
    torch.testing.assert_close(torch.from_numpy(logits), wanted["logits"], rtol=0.01, atol=0.01)
    torch.testing.assert_close(torch.from_numpy(normalized), wanted["conv2d"], rtol=0.01, atol=0.01)


@pytest.mark.parametrize("options", [{}, {"dtype": "bf16"}], ids=str)
def test_a_file_that_runs_has_no_weights_of_what_is_for_training_only(options: dict[str, Any], tmp_path: Path) -> None:
    assert any(key.startswith("aux.") for key in resnet_spec.build(SPEC).state_dict())
    resnet_spec.export(SPEC, tmp_path / "net.pt2", **options)
    program = torch.export.load(tmp_path / "net.pt2")
    kept = [key for key in program.state_dict if "aux" in key]
    assert kept == []
    resnet_spec.export(SPEC, tmp_path / "net.safetensors", **options)
    assert any(key.startswith("aux.") for key in load_file(tmp_path / "net.safetensors"))  # to train further


def test_weights_beyond_two_gigabytes_are_in_a_file_of_their_own(hostile: tuple[resnet_spec.Exported, Path]) -> None:
    """With a smaller limit; the graph names the file, which is found where both are now."""
    done, _ = hostile
    assert done.files[1].name == f"{done.path.name}.data"
    assert done.files[1].is_file()
    assert any("keep both together" in note for note in done.notes)
    model = onnx.load(done.path, load_external_data=False)
    places = [entry.value for tensor in model.graph.initializer for entry in tensor.external_data if entry.key == "location"]
    assert set(places) == {done.files[1].name}
    assert [each.version for each in model.opset_import if not each.domain] == [21]


def test_hostile_texts_are_data(
    hostile: tuple[resnet_spec.Exported, Path],
    photograph: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    done, _ = hostile
    facts = onnxruntime.InferenceSession(done.path).get_modelmeta().custom_metadata_map
    assert facts["resnet_spec.name"] == HOSTILE
    snippet = done.files[-1]
    assert snippet.read_text(encoding="utf-8").isascii()
    assert run_snippet(snippet, photograph, monkeypatch, capsys) == ["(1,", "3)"]


def test_a_part_of_a_network_is_exported_with_weights_of_all(tmp_path: Path) -> None:
    resnet_spec.export(SPEC, tmp_path / "all.safetensors", seed=3)
    done = resnet_spec.export(SPEC, tmp_path / "part.safetensors", outputs="relu", weights=tmp_path / "all.safetensors")
    with safe_open(tmp_path / "all.safetensors", "pt") as whole, safe_open(done.path, "pt") as part:
        assert {key.partition(".")[0] for key in part.keys()} == {"conv", "bn"}  # noqa: SIM118
        assert all(torch.equal(part.get_tensor(key), whole.get_tensor(key)) for key in part.keys())  # noqa: SIM118


def test_fresh_weights_are_those_of_the_seed(tmp_path: Path) -> None:
    state = torch.random.get_rng_state()
    done = resnet_spec.export(SPEC, tmp_path / "a.safetensors", seed=7)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert done.notes[0] == "the weights are freshly initialized (seed 7): --weights names trained ones"
    torch.manual_seed(7)
    wanted = resnet_spec.build(SPEC).state_dict()
    with safe_open(done.path, "pt") as found:
        assert all(torch.equal(found.get_tensor(key), wanted[key]) for key in wanted)
    again = resnet_spec.export(SPEC, tmp_path / "b.safetensors", seed=7)
    assert again.path.read_bytes() == done.path.read_bytes()


def test_an_analysis_is_exported(tmp_path: Path) -> None:
    done = resnet_spec.export(resnet_spec.analyze(SPEC), tmp_path / "a.safetensors")
    assert done.size == done.path.stat().st_size
    with pytest.raises(ResnetSpecError, match="already compiled"):
        resnet_spec.export(resnet_spec.analyze(SPEC), tmp_path / "a.safetensors", set=["input=1x9x9"])


def test_a_part_states_nothing_of_the_whole(tmp_path: Path) -> None:
    resnet_spec.export(RUN, tmp_path / "part.safetensors", outputs="layer2")
    with safe_open(tmp_path / "part.safetensors", "pt") as file:
        stated = file.metadata()
    assert "resnet_spec.spec" not in stated
    assert "resnet_spec.classes" not in stated
    assert "resnet_spec.preparation" in stated


def test_files_next_to_an_export_do_not_replace_its_spec_and_others_are_named(tmp_path: Path) -> None:
    spec = tmp_path / "net.folded.yaml"
    spec.write_text(json.dumps(SPEC | {"name": "net", "outputs": "fc"}), encoding="utf-8")
    text = spec.read_bytes()
    with pytest.raises(ResnetSpecError, match=r"net\.folded\.yaml is the spec that is exported"):
        resnet_spec.export(spec, tmp_path / "net.safetensors", fold_bn=True)
    assert spec.read_bytes() == text
    assert list(tmp_path.iterdir()) == [spec]
    assert "replaced" not in "".join(resnet_spec.export(spec, tmp_path / "a.safetensors", fold_bn=True).notes)
    again = resnet_spec.export(spec, tmp_path / "a.safetensors", fold_bn=True)
    assert "a.folded.yaml replaced what was there" in again.notes


def test_values_that_are_not_finite_are_refused_in_every_batch(tmp_path: Path) -> None:
    """Here in bytes alone, which are beyond fp16 once they are divided by a tiny deviation."""
    weights = tmp_path / "w.safetensors"
    with safe_open(RUN / "best.safetensors", "pt") as file:
        stated = dict(file.metadata())
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    prepared = json.loads(stated["resnet_spec.preparation"]) | {"std": [1e-7, 1e-7, 1e-7]}
    save_file(tensors, weights, stated | {"resnet_spec.preparation": json.dumps(prepared)})
    with pytest.raises(ResnetSpecError, match="values that are not finite"):
        resnet_spec.export(weights, tmp_path / "net.pt2", dtype="fp16", preprocessing="nhwc")
    assert list(tmp_path.iterdir()) == [weights]
