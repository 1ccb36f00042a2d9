"""`weights: pretrained`: from a library's cache or its download, with what the weights want to see, and never twice.

Nothing can be downloaded here: what stands for trained weights lies in torch's cache under the name that torchvision
asks for, or comes from a small timm.
"""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torchvision import models
from torchvision.transforms.functional import normalize

import edgecnn
from edgecnn.errors import Interrupted
from edgecnn.recipe import load_recipe
from edgecnn.recipe.schema import Model
from edgecnn.run import Run
from edgecnn.verbs.listener import Listener
from edgecnn.verbs.train import train
from edgecnn.verbs.weights import told_pixels
from tests.nn.small_timm import MEAN, STD, small_timm
from tests.verbs.small_runs import PINNED, bundled, class_folders
from tests.verbs.small_runs import edgecnn as command
from tests.verbs.test_fine_tuning import Heard

NET = "shufflenet_v2_x0_5"


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Every look-up of a name fails as without a network, and is remembered."""
    asked: list[Any] = []

    def refuse(*arguments: Any, **_: Any) -> Any:
        asked.append(arguments)
        raise socket.gaierror(-3, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    for proxy in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(proxy, raising=False)
    return asked


@pytest.fixture
def torch_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    return tmp_path / "torch/hub/checkpoints"


def cached(folder: Path, content: Any = None) -> nn.Module:
    """The network whose weights lie in torch's cache, where torchvision looks before it downloads."""
    torch.manual_seed(5)
    module: nn.Module = models.get_model(NET, weights=None)
    folder.mkdir(parents=True)
    name = models.get_model_weights(NET).DEFAULT.url.rpartition("/")[2]
    torch.save(module.state_dict() if content is None else content, folder / name)
    return module


def recipe(folder: Path, model: str, more: str = "", size: int = 32) -> Path:
    path = folder / "net.yaml"
    pictures = folder / "pictures"
    if not pictures.exists():
        class_folders(pictures)
    path.write_text(
        f"name: net\ndata: {{folder: {pictures}, val_fraction: 0.2}}\ninput: {{size: {size}}}\nmodel: {{{model}}}\n"
        f"train: {{epochs: 2, batch: 16, lr0: 0.05, {PINNED}{more}}}\nquantize: {{calibration: {{images: 64}}}}\n"
    )
    return path


def best(run: Path) -> dict[str, Any]:
    return load_file(run / "checkpoints/best/model.safetensors")


def frozen(torch_home: Path, folder: Path, heard: Heard) -> tuple[nn.Module, Run]:
    """What lies in the cache, and a run in which only the new classifier learns."""
    trained = cached(torch_home)
    path = recipe(folder, f"torchvision: {NET}, weights: pretrained", ", freeze: backbone")
    return trained, Run(train(path, {"train.epochs": 1}, root=folder / "runs", listener=heard).run)


@pytest.mark.slow
def test_torchvisions_are_taken_from_its_cache(torch_home: Path, tmp_path: Path, no_network: list[Any]) -> None:
    heard = Heard()
    trained, run = frozen(torch_home, tmp_path, heard)
    after, before = best(run.path), trained.state_dict()
    assert {name for name in after if not torch.equal(after[name], before[name])} == {"fc.weight", "fc.bias"}
    assert any(f"taken from torchvision's trained weights of {NET}; the classifier (fc" in said for said in heard.said)
    assert "a first layer brings pixels to what they want: mean 0.485, 0.456, 0.406, std 0.229, 0.224, 0.225" in (
        heard.said
    )
    model = load_recipe(run.resolved).model
    assert (model.weights, model.mean, model.std) == ("pretrained", MEAN, STD)
    assert no_network == []


@pytest.mark.slow
@pytest.mark.long
def test_six_files_see_what_torchvisions_own_transform_gives(torch_home: Path, tmp_path: Path) -> None:
    _, run = frozen(torch_home, tmp_path, Heard())
    six = edgecnn.export(run.path)
    module = models.get_model(NET, weights=None, num_classes=3).eval()
    module.load_state_dict(best(run.path))
    images = bundled("test").images[:8]
    with torch.inference_mode():
        planes = normalize(torch.from_numpy(np.array(images)).permute(0, 3, 1, 2) / 255.0, list(MEAN), list(STD))
        expected = module(planes).numpy()
    for artifact in (one for one in six if one.precision == "fp32"):
        opened = edgecnn.load(artifact.path)
        found = opened.values(opened.raw(images))
        assert np.abs(found - expected).max() <= 1e-4 * np.abs(expected).max(), artifact.target
    certificate = edgecnn.verify(six)
    assert all(check.reason is None for report in certificate.layers for check in report.layers)


@pytest.mark.slow
def test_timms_trained_and_exported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trained, heard = small_timm(monkeypatch), Heard()
    path = recipe(tmp_path, "timm: small_net, weights: pretrained", ", freeze: backbone, ema: 0.9")
    made = train(path, root=tmp_path / "runs", listener=heard)
    after, before = best(made.run), trained.state_dict()
    changed = {name for name in after if not torch.equal(after[name], before[name])}
    assert changed == {"classifier.weight", "classifier.bias"}
    small_timm(monkeypatch, error=AssertionError("nobody downloads again"))
    six = edgecnn.export(made.run)
    assert len(six) == 6
    certificate = edgecnn.verify(six)
    assert all(check.reason is None for report in certificate.layers for check in report.layers)


def test_grey_pictures_have_one_mean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small_timm(monkeypatch)
    found = told_pixels(Model(timm="small_net", weights="pretrained"), 1)
    assert found.mean == pytest.approx((sum(MEAN) / 3,))


def test_a_run_that_goes_on_downloads_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = recipe(tmp_path, "timm: small_net, weights: pretrained")
    small_timm(monkeypatch)
    whole = train(path, root=tmp_path / "whole")
    stopped = Heard(stop_after=8)
    with pytest.raises(Interrupted):
        train(path, root=tmp_path / "parts", listener=stopped)
    small_timm(monkeypatch, error=AssertionError("nobody downloads again"))
    assert stopped.run is not None
    monkeypatch.setattr("edgecnn.nn.timm.statistics", lambda *_: pytest.fail("nobody asks again"))
    train(stopped.run, listener=Listener())
    files = [run / "checkpoints/last/model.safetensors" for run in (whole.run, stopped.run)]
    assert files[0].read_bytes() == files[1].read_bytes()


@pytest.mark.usefixtures("torch_home")
def test_without_network_it_is_one_sentence_and_no_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_network: list[Any]
) -> None:
    monkeypatch.chdir(tmp_path)
    left = command("train", recipe(tmp_path, f"torchvision: {NET}, weights: pretrained"))
    assert left.code == 4
    assert left.err.splitlines()[-1] == (
        f"error: torchvision's trained weights of {NET} could not be fetched (<urlopen error [Errno -3] Temporary "
        "failure in name resolution>); set model.weights to a .safetensors file of them, or to null"
    )
    assert no_network
    assert not Path("runs").exists()


class HubError(Exception):
    """Stands for huggingface_hub's."""


HubError.__name__ = "LocalEntryNotFoundError"
NO_HUB = "Hugging Face hub model specified but package not installed. Run `pip install huggingface_hub`."


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (
            HubError("nothing is kept, and no connection"),
            4,
            "could not be fetched (nothing is kept, and no connection)",
        ),
        (ConnectionResetError(104, "Connection reset by peer"), 4, "could not be fetched ([Errno 104] Connection"),
        (RuntimeError(NO_HUB), 2, "needs huggingface_hub, which is not installed: pip install 'edgecnn[timm]'"),
        (RuntimeError("invalid hash value"), 3, "can't be used (invalid hash value)"),
        (OSError(28, "No space left on device"), 5, "the disk has no room for timm's trained weights of small_net"),
    ],
    ids=["hub", "reset", "no hub", "hash", "disk"],
)
def test_what_can_go_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, code: int, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    small_timm(monkeypatch, error=error)
    left = command("train", recipe(tmp_path, "timm: small_net, weights: pretrained"))
    assert left.code == code, left.err
    assert said in left.err.splitlines()[-1]
    assert not Path("runs").exists()


class Planted:
    """Opened by pickle, it writes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (Path.write_text, (self.path, "run"))


def test_code_in_a_cached_file_is_not_run(torch_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    cached(torch_home, content={"fc.weight": Planted(tmp_path / "planted")})
    left = command("train", recipe(tmp_path, f"torchvision: {NET}, weights: pretrained"))
    assert left.code == 3, left.err
    assert f"torchvision's trained weights of {NET} can't be used (Weights only load failed" in left.err
    assert not (tmp_path / "planted").exists()


def test_named_architectures_have_packaged_weights(tmp_path: Path) -> None:
    path = recipe(tmp_path, "arch: ds_cnn, weights: pretrained")
    for verb in ("train", "inspect"):
        left = command(verb, path)
        assert left.code == 2
        assert "net.yaml:4:" in left.err
        assert "'weights: pretrained' goes with torchvision and timm; for 'arch' there are packaged ones: " in left.err
        assert "cifar10-ds" in left.err


def test_inspect_shows_the_first_layer_without_the_weights(tmp_path: Path, no_network: list[Any]) -> None:
    left = command("inspect", recipe(tmp_path, f"torchvision: {NET}, weights: pretrained"))
    assert left.code == 0, left.err
    assert "normalise" in left.out
    assert no_network == []
    assert "normalise" not in command("inspect", recipe(tmp_path, f"torchvision: {NET}")).out


def test_a_file_of_the_librarys_own_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trained, heard = small_timm(monkeypatch), Heard()
    file = tmp_path / "small_net.safetensors"
    save_file(trained.state_dict(), file)
    path = recipe(tmp_path, f"timm: small_net, weights: {file}", ", freeze: backbone")
    made = train(path, root=tmp_path / "runs", listener=heard)
    assert torch.equal(best(made.run)["conv_stem.weight"], trained.state_dict()["conv_stem.weight"])
    left = "the classifier (classifier.weight, classifier.bias) starts anew"
    assert any(said.endswith(f"tensors taken from {file}; {left}") for said in heard.said)
    assert load_recipe(Run(made.run).resolved).model.mean == MEAN


def test_a_runs_weights_want_what_its_own_model_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small_timm(monkeypatch)
    for number, weights in enumerate(("null", "pretrained")):
        source = train(recipe(tmp_path, f"timm: small_net, weights: {weights}"), root=tmp_path / str(number)).run
        file = source / "checkpoints/best/model.safetensors"
        for given in (source, file):
            asked = Model(timm="small_net", weights=str(given))
            assert told_pixels(asked, 3).mean == (None, MEAN)[number]
        said = told_pixels(asked.model_copy(update={"mean": (0.5,) * 3, "std": (0.5,) * 3}), 3)
        assert said.mean == (0.5,) * 3
