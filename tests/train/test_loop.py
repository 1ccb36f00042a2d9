"""The loop against a plain one written out here, and what it promises: the same again, and on from where it stood."""

from __future__ import annotations

import copy
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from edgecnn.errors import Diverged, Interrupted, OutOfResources, UsageError
from edgecnn.recipe.layers import Layer
from edgecnn.train import checkpoint, loop
from edgecnn.train.average import Average
from edgecnn.train.batches import batch_of, order
from edgecnn.train.loader import Loader, normalise
from edgecnn.train.loop import Trainer, check_batch
from edgecnn.train.schedule import learning_rate
from tests.train.nets import DROPPING, PLAIN, SETTINGS, Heard, net, some, trainer


def test_normalise() -> None:
    images = torch.from_numpy(np.arange(2 * 4 * 5 * 3, dtype=np.uint8).reshape(2, 4, 5, 3) * 2)
    found = normalise(images)
    assert found.shape == (2, 3, 4, 5)
    assert found.dtype == torch.float32
    assert found.is_contiguous(memory_format=torch.channels_last)
    for n, c, y, x in [(0, 0, 0, 0), (1, 2, 3, 4), (1, 0, 2, 1)]:
        assert found[n, c, y, x] == (int(images[n, y, x, c]) - 128) / 128
    ends = normalise(torch.tensor([0, 128, 255], dtype=torch.uint8).reshape(1, 1, 1, 3)).flatten()
    assert ends.tolist() == [-1.0, 0.0, 127 / 128]


def plain_epochs(model: torch.nn.Module, epochs: int, decayed: str = "weights") -> list[float]:
    """SGD with Nesterov momentum (Sutskever et al. 2013, in torch's form), label smoothing and decay, written out."""
    loader = Loader(some(0, 300), 10, SETTINGS.augment, torch.device("cpu"))
    momenta: dict[str, torch.Tensor] = {}
    means = []
    for epoch in range(epochs):
        model.train()
        places = order(SETTINGS.seed, epoch, 300)
        losses = []
        for step in range(9):
            images, classes = loader.load(batch_of(places, 32, SETTINGS.seed, epoch, step))
            log_p = model(images).log_softmax(1)
            wanted = torch.full((32, 10), SETTINGS.label_smoothing / 10)
            wanted[range(32), classes] += 1 - SETTINGS.label_smoothing
            loss = -(wanted * log_p).sum(1).mean()
            losses.append(loss.item())
            named = dict(model.named_parameters())
            lr = learning_rate(SETTINGS, epoch + step / 9)
            for (name, weight), slope in zip(
                named.items(), torch.autograd.grad(loss, list(named.values())), strict=True
            ):
                slope = slope + SETTINGS.weight_decay * weight.detach() * (weight.dim() > 1 or decayed == "all")
                momenta[name] = slope if name not in momenta else SETTINGS.momentum * momenta[name] + slope
                weight.data -= lr * (slope + SETTINGS.momentum * momenta[name])
        means.append(float(np.mean(losses)))
    return means


@pytest.mark.parametrize("decayed", ["weights", "all"])
def test_two_epochs_equal_a_plain_loop(tmp_path: Path, decayed: str) -> None:
    model = net()
    by_hand = copy.deepcopy(model)
    losses = plain_epochs(by_hand, 2, decayed)
    epochs = trainer(tmp_path, model, weight_decay_on=decayed).run()
    for expected in losses:
        assert next(epochs).train_loss == pytest.approx(expected, rel=1e-5)
    for (name, found), expected_weight in zip(model.named_parameters(), by_hand.parameters(), strict=True):
        assert torch.allclose(found, expected_weight, rtol=1e-4, atol=1e-5), name
    for (name, value), expected_value in zip(model.named_buffers(), by_hand.buffers(), strict=True):
        assert torch.allclose(value, expected_value, rtol=1e-4, atol=1e-5), name


@pytest.mark.parametrize("changed", [{"weight_decay": 1.1e-3}, {"weight_decay_on": "all"}])
def test_the_plain_loop_would_notice_a_difference(tmp_path: Path, changed: dict[str, Any]) -> None:
    """The comparison is not blind: a decay a tenth larger, or on biases too, is seen."""
    model = net()
    by_hand = copy.deepcopy(model)
    plain_epochs(by_hand, 1)
    next(trainer(tmp_path, model, **changed).run())
    pairs = zip(model.parameters(), by_hand.parameters(), strict=True)
    assert not all(torch.allclose(found, expected, rtol=1e-4, atol=1e-5) for found, expected in pairs)


def test_validation_is_plain_evaluation(tmp_path: Path) -> None:
    made = trainer(tmp_path)
    epoch = next(made.run())
    val = some(300, 100)
    model = made.model.eval()
    with torch.no_grad():
        logits = model((torch.from_numpy(val.images).permute(0, 3, 1, 2).float() - 128) / 128)
    right = (logits.argmax(1).numpy() == val.classes).mean()
    assert epoch.val_top1 == pytest.approx(right)
    log_p = logits.log_softmax(1)[range(100), val.classes]
    assert epoch.val_loss == pytest.approx(-float(log_p.mean()), rel=1e-5)
    answers, classes = made.val_answers()
    assert np.allclose(answers, logits.numpy(), atol=1e-5)
    assert np.array_equal(classes, val.classes)


def weights(folder: Path) -> tuple[bytes, bytes]:
    return (folder / "model.safetensors").read_bytes(), (folder / "optimizer.safetensors").read_bytes()


@pytest.mark.parametrize("layers", [PLAIN, DROPPING], ids=["plain", "dropout"])
@pytest.mark.parametrize("after", [1, 3])
def test_going_on_gives_the_weights_of_a_run_in_one_go(tmp_path: Path, layers: tuple[object, ...], after: int) -> None:
    whole = trainer(tmp_path / "whole", net(layers))  # type: ignore[arg-type]
    in_one_go = list(whole.run())
    first = trainer(tmp_path / "parts", net(layers))  # type: ignore[arg-type]
    for _, _ in zip(range(after), first.run(), strict=False):
        pass
    torch.manual_seed(99)  # another process stands elsewhere
    second = trainer(tmp_path / "parts", net(layers, seed=5))  # type: ignore[arg-type]
    assert second.resume()
    rest = list(second.run())
    assert [epoch.epoch for epoch in rest] == list(range(after + 1, 5))
    for found, expected in zip(rest, in_one_go[after:], strict=True):
        assert (found.train_loss, found.val_top1, found.lr) == (expected.train_loss, expected.val_top1, expected.lr)
    for kept in ("last", "best"):
        assert weights(tmp_path / "parts" / kept) == weights(tmp_path / "whole" / kept)
        states = [checkpoint.read_state(tmp_path / part / kept) for part in ("parts", "whole")]
        assert states[0] == states[1]


EVERYTHING: dict[str, Any] = {
    "ema": 0.9,
    "clip_norm": 0.5,
    "augment": ("crop", "alternating_flip", "cutout", "random_augment", "mixup", "cutmix"),
}


@pytest.mark.parametrize("after", [1, 8, 9, 10, 22, 35])
@pytest.mark.parametrize(
    ("layers", "changed"),
    [
        (PLAIN, {}),
        (DROPPING, {"optimizer": "adamw", "lr0": 3e-3, "schedule": "one_cycle"}),
        (DROPPING, {"optimizer": "muon", "weight_decay_on": "all"}),
        (DROPPING, {**EVERYTHING, "dtype": "bfloat16"}),
    ],
    ids=["plain", "adamw", "muon", "everything"],
)
def test_stopped_between_any_two_steps_it_goes_on_to_the_same_weights(
    tmp_path: Path, layers: tuple[Layer, ...], changed: dict[str, Any], after: int
) -> None:
    whole, parts = Heard(), Heard(stop_after=after)
    list(trainer(tmp_path / "whole", net(layers), whole, **changed).run())
    with pytest.raises(
        Interrupted, match=f"stopped after step {after % 10} of 9 in epoch {after // 10 + 1}, and saved"
    ):
        list(trainer(tmp_path / "parts", net(layers), parts, **changed).run())
    state = checkpoint.read_state(tmp_path / "parts/last")
    assert (state.epoch, state.step) == (after // 10, after % 10), "asked before each of nine steps, and after them"
    torch.manual_seed(99)  # another process stands elsewhere
    rest = Heard()
    second = trainer(tmp_path / "parts", net(layers, seed=5), rest, **changed)
    assert second.resume()
    list(second.run())
    assert parts.lines + rest.lines == whole.lines
    figures = [(e.epoch, e.train_loss, e.train_top1, e.val_loss, e.val_top1, e.lr) for e in parts.epochs + rest.epochs]
    assert figures == [(e.epoch, e.train_loss, e.train_top1, e.val_loss, e.val_top1, e.lr) for e in whole.epochs]
    for kept in ("last", "best"):
        assert weights(tmp_path / "parts" / kept) == weights(tmp_path / "whole" / kept)
    if "ema" in changed:
        averages = [(tmp_path / part / "last/average.safetensors").read_bytes() for part in ("parts", "whole")]
        assert averages[0] == averages[1]


def test_a_stop_before_the_first_step_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(Interrupted):
        next(trainer(tmp_path, journal=Heard(stop_after=0)).run())
    assert list(tmp_path.iterdir()) == []


def test_a_long_epoch_is_saved_on_the_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "SAVE_SECONDS", 0.0)
    made = trainer(tmp_path)
    monkeypatch.setattr(made, "_validated", lambda lr: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        next(made.run())
    state = checkpoint.read_state(tmp_path / "last")
    assert (state.epoch, state.step) == (0, 8)
    assert len(made.journal.lines) == 9  # type: ignore[attr-defined]


def test_the_average_is_what_validation_measures_and_best_keeps(tmp_path: Path) -> None:
    """Recomputed here from the weights after each step, with the decay that TensorFlow documents."""
    made = trainer(tmp_path, epochs=1, ema=0.8)
    assert made.average
    made.average.decay = 0.8  # a training this short is bounded further, which the test below is about
    mine = {name: value.clone() for name, value in made.model.state_dict().items()}
    real, steps = made.learner.step, iter(range(1, 100))

    def watched(*arguments: Any) -> Any:
        found = real(*arguments)
        count = next(steps)
        decay = min(0.8, (1 + count) / (10 + count))
        for name, value in made.model.state_dict().items():
            mine[name] = decay * mine[name] + (1 - decay) * value if value.is_floating_point() else value.clone()
        return found

    made.learner.step = watched  # type: ignore[method-assign]
    next(made.run())
    kept = load_file(tmp_path / "best/model.safetensors")
    for name, value in mine.items():
        assert torch.allclose(kept[name], value, rtol=1e-5, atol=1e-6), name
    assert not torch.allclose(kept["conv_1.conv.weight"], made.model.state_dict()["conv_1.conv.weight"])


@pytest.mark.parametrize(("steps", "decay"), [(30_000, 0.999), (1_500, 0.99), (30, 0.5), (1, 0.5)])
def test_the_average_looks_back_over_a_fifteenth_of_training_at_most(steps: int, decay: float) -> None:
    assert Average(net(PLAIN), 0.999, steps).decay == pytest.approx(decay)


def test_patience_ends_training_and_going_on_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = trainer(tmp_path, epochs=9, patience=2)
    play(made, monkeypatch, [0.30, 0.55, 0.55, 0.20, 0.90])
    assert [epoch.epoch for epoch in made.run()] == [1, 2, 3, 4]
    assert made.finished
    again = trainer(tmp_path, epochs=9, patience=2)
    assert again.resume()
    assert list(again.run()) == []
    assert again.state.best_epoch == 3, "of equals the last; patience counts from when it rose"


@pytest.mark.parametrize("clip", [None, 0.05])
def test_clipping_bounds_a_steps_gradient(tmp_path: Path, clip: float | None) -> None:
    made = trainer(tmp_path, clip_norm=clip)
    next(made.run())
    norm = torch.stack([p.grad.norm() for p in made.model.parameters() if p.grad is not None]).norm()
    assert (float(norm) <= 0.0501) == (clip is not None)


def test_adamw_is_torchs_with_decay_on_weights_only(tmp_path: Path) -> None:
    made = trainer(tmp_path, optimizer="adamw", momentum=0.8)
    groups = made.learner.optimizer.param_groups
    assert type(made.learner.optimizer) is torch.optim.AdamW
    assert [group["weight_decay"] for group in groups] == [1e-3, 0.0]
    assert groups[0]["betas"] == (0.8, 0.999)
    assert all(p.dim() > 1 for p in groups[0]["params"])
    assert all(p.dim() == 1 for p in groups[1]["params"])
    assert sum(len(group["params"]) for group in groups) == len(list(made.model.parameters()))


def test_the_same_seed_gives_the_same_weights_and_another_other_ones(tmp_path: Path) -> None:
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        list(trainer(tmp_path / name, net(DROPPING), epochs=1, seed=seed).run())
    a, b, c = (weights(tmp_path / name / "last") for name in "abc")
    assert a == b
    assert a != c


def test_a_run_without_a_checkpoint_begins(tmp_path: Path) -> None:
    assert not trainer(tmp_path).resume()


def test_it_learns(tmp_path: Path) -> None:
    made = trainer(tmp_path, epochs=20, label_smoothing=0.0, augment=())
    losses = [epoch.train_loss for epoch in made.run()]
    assert losses[0] > 2.0
    assert losses[-1] < 0.75 * losses[0]
    assert losses[-1] == pytest.approx(min(losses), rel=0.02)


def play(made: Trainer, monkeypatch: pytest.MonkeyPatch, accuracies: list[float]) -> None:
    """Validation comes out as told, epoch by epoch."""
    rates = iter(accuracies)

    def played(images: torch.Tensor) -> torch.Tensor:
        right = round(next(rates) * len(images))
        answers = torch.where(torch.arange(len(images)) < right, made.val_classes, (made.val_classes + 1) % 10)
        return torch.nn.functional.one_hot(answers, 10).float()

    monkeypatch.setattr(made, "_logits", played)


def test_best_is_the_last_of_the_best_epochs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = trainer(tmp_path, epochs=5)
    play(made, monkeypatch, [0.30, 0.55, 0.55, 0.20, 0.40])
    kept = {}
    for epoch in made.run():
        kept[epoch.epoch] = weights(tmp_path / "last")
    best, last = (checkpoint.read_state(tmp_path / name) for name in ("best", "last"))
    assert (best.epoch, best.val_top1, best.best_epoch, best.rose_epoch) == (3, 0.55, 3, 2)
    assert (last.epoch, last.val_top1, last.best_val_top1, last.best_epoch, last.rose_epoch) == (5, 0.4, 0.55, 3, 2)
    assert weights(tmp_path / "best") == kept[3]
    assert weights(tmp_path / "last") == kept[5]


def test_the_last_epoch_is_kept_where_that_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = trainer(tmp_path, epochs=3, keep="last")
    play(made, monkeypatch, [0.30, 0.55, 0.20])
    list(made.run())
    best = checkpoint.read_state(tmp_path / "best")
    assert (best.epoch, best.val_top1, best.best_val_top1, best.best_epoch) == (3, 0.20, 0.20, 3)
    assert weights(tmp_path / "best") == weights(tmp_path / "last")


def test_a_poisoned_weight_stops_training_and_the_checkpoint_stays(tmp_path: Path) -> None:
    made = trainer(tmp_path)
    epochs = made.run()
    next(epochs)
    before = weights(tmp_path / "last")
    with torch.no_grad():
        next(made.model.parameters())[0] = math.nan
    said = r"loss became nan in epoch 2, step 1 \(learning rate 0.1, pictures train/\d+, .* and 29 more\); .*epoch 1 is"
    with pytest.raises(Diverged, match=said):
        next(epochs)
    assert weights(tmp_path / "last") == before


def test_no_memory_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """torch says so by different exceptions on different devices; this is its own on the CPU."""
    made = trainer(tmp_path)

    def hungry(images: torch.Tensor) -> torch.Tensor:
        return torch.empty(1 << 50)

    monkeypatch.setattr(made.model, "forward", hungry)
    with pytest.raises(OutOfResources, match=r"out of memory at a batch of 32; try train\.batch=16"):
        next(made.run())


def test_progress_and_speed(tmp_path: Path) -> None:
    journal = Heard()
    made = trainer(tmp_path, journal=journal)
    epoch = next(made.run())
    heard = journal.reports
    assert made.steps == 9, "300 pictures are nine batches of 32; the rest waits for another epoch"
    assert (heard[0].epoch, heard[0].epochs, heard[0].step, heard[0].steps) == (1, 4, 1, 9)
    assert heard[0].seconds_left > 0
    assert epoch.images_per_s > 9 * 32 / epoch.seconds


def test_fewer_pictures_than_a_batch() -> None:
    check_batch(32, 32)
    with pytest.raises(UsageError, match=r"31 training pictures are fewer than one batch of 32; set train\.batch=7"):
        check_batch(31, 32)
