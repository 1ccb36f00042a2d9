"""Each named architecture against published figures, torchvision's module where it has one, or a count by hand."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torchvision import models

from edgecnn.errors import UsageError
from edgecnn.nn.branches import ChannelShuffle
from edgecnn.nn.layers import PLANS
from edgecnn.recipe.layers import ShuffleUnit
from tests.nn.architectures import ARCHS, WITHOUT_WIDTH, named, narrowest
from tests.nn.test_layers import multiply_adds


def cifar_resnet_by_hand(n: int) -> tuple[int, int]:
    """Parameters and multiply-adds of arXiv:1512.03385, section 4.2: 2n layers of 16, 32 and 64 filters, projections.

    Weights of 3x3: 2,304 from 16 to 16, 4,608 to 32, 9,216, 18,432 to 64, 36,864; of the projections 512 and 2,048.
    """
    more = 2 * n - 1
    stages = (2304 * 2 * n, 4608 + 9216 * more + 512, 18_432 + 36_864 * more + 2048)
    norms = 2 * (16 + 16 * 2 * n + 32 * (2 * n + 1) + 64 * (2 * n + 1))
    macs = sum(weights * side**2 for weights, side in zip((432 + stages[0], *stages[1:]), (32, 16, 8), strict=True))
    return 432 + sum(stages) + norms + 650, macs + 640


EXACT: list[tuple[str, float | None, tuple[int, int, int], int, int]] = [
    # LeCun 1998, figure 2, in today's form: 156 + 2,416 + 48,120 + 10,164 + 850; 784 * 150 + 100 * 2,400 + 48,000 + ...
    ("lenet5", None, (1, 28, 10), 61_706, 117_600 + 240_000 + 48_000 + 10_080 + 840),
    ("lenet5", None, (1, 32, 10), 61_706, 117_600 + 240_000 + 48_000 + 10_080 + 840),
    # ours for small pictures, by hand: five convolutions with biases, three dense layers from 256 * 2 * 2
    (
        "alexnet", None, (3, 32, 10),
        (1728 + 64) + (110_592 + 192) + (663_552 + 384) + (884_736 + 256) + (589_824 + 256)
        + (1024 * 4096 + 4096) + (4096 * 4096 + 4096) + (40_960 + 10),
        256 * 1728 + 64 * 110_592 + 16 * (663_552 + 884_736 + 589_824) + 1024 * 4096 + 4096 * 4096 + 40_960,
    ),
    # ours, by hand: weights of stem and four modules, their norms, the classifier; 1024, 256 and 64 positions
    (
        "inception_small", None, (3, 32, 10),
        864 + 7744 + 17_664 + 30_080 + 70_656 + 2 * (32 + 88 + 128 + 168 + 256) + 1930,
        1024 * 864 + 256 * (7744 + 17_664) + 64 * (30_080 + 70_656) + 1920,
    ),
    # counted by hand in test_network.py
    ("tiny_cifar", None, (3, 32, 10), 268_650, 442_368 + 256 * 4608 + 262_144 + 1280),
    ("ds_cnn", None, (3, 32, 10), 170_954, 12_259_520),
    # torchvision's ResNet-18 with three 3x3 in its stem's place, at 112 x 112; timm 1.0.31's resnet18d has as many
    (
        "resnet18_d", None, (3, 224, 1000), 11_689_512 - (9408 + 128) + (864 + 64) + (9216 + 64) + (18_432 + 128),
        1_814_073_344 + 12_544 * (864 + 9216 + 18_432 - 9408),
    ),
    *((f"resnet{6 * n + 2}", None, (3, 32, 10), *cifar_resnet_by_hand(n)) for n in (1, 3, 5, 9)),
]  # fmt: skip

# Millions of parameters and of multiply-adds, as printed.
PUBLISHED: list[tuple[str, tuple[int, int, int], str, str]] = [
    # arXiv:1704.04861, table 6
    ("mobilenet_v1", (3, 224, 1000), "4.2", "569"),
    # github.com/d-li14/efficientnet-lite.pytorch, README; Google's own parameters are below
    ("efficientnet_lite0", (3, 224, 1000), "4.652", "385"),
    ("efficientnet_lite1", (3, 240, 1000), "5.417", "600"),
    ("efficientnet_lite2", (3, 260, 1000), "6.092", "860"),
    ("efficientnet_lite3", (3, 280, 1000), "8.197", "1383"),
    ("efficientnet_lite4", (3, 300, 1000), "13.007", "2553"),
]

# torchvision 0.29.1's name, and its parameters as it publishes them
TORCHVISION: list[tuple[str, float | None, str, int]] = [
    ("alexnet", None, "alexnet", 61_100_840),
    ("vgg11", None, "vgg11", 132_863_336),
    ("vgg16", None, "vgg16", 138_357_544),
    ("squeezenet", None, "squeezenet1_1", 1_235_496),
    ("mobilenet_v2", None, "mobilenet_v2", 3_504_872),
    ("mobilenet_v3_small", None, "mobilenet_v3_small", 2_542_856),
    ("mobilenet_v3_large", None, "mobilenet_v3_large", 5_483_032),
    ("shufflenet_v2", 0.5, "shufflenet_v2_x0_5", 1_366_792),
    ("shufflenet_v2", 1.0, "shufflenet_v2_x1_0", 2_278_604),
    ("shufflenet_v2", 1.5, "shufflenet_v2_x1_5", 3_503_624),
    ("shufflenet_v2", 2.0, "shufflenet_v2_x2_0", 7_393_996),
    ("resnet18", None, "resnet18", 11_689_512),
    ("resnet50", None, "resnet50", 25_557_032),
]


def test_no_architecture_is_forgotten() -> None:
    assert {row[0] for row in (*EXACT, *PUBLISHED, *TORCHVISION)} == set(ARCHS)


@pytest.mark.parametrize(("arch", "width", "form", "params", "macs"), EXACT)
def test_counts_by_hand(arch: str, width: float | None, form: tuple[int, int, int], params: int, macs: int) -> None:
    channels, size, classes = form
    net = named(arch, size, classes, width, channels)
    assert (net.params, net.macs) == (params, macs)


@pytest.mark.parametrize(("arch", "params_m"), [("resnet20", 0.27), ("resnet32", 0.46), ("resnet56", 0.85)])
def test_cifar_resnets_have_the_paper_s_parameters_and_two_projections(arch: str, params_m: float) -> None:
    """arXiv:1512.03385, table 6, whose shortcuts have no weights."""
    projections = (512 + 64) + (2048 + 128)
    assert (named(arch, 32, 10).params - projections) / 1e6 == pytest.approx(params_m, abs=0.005)


def digits(figure: str) -> int:
    return len(figure.partition(".")[2])


@pytest.mark.parametrize(("arch", "form", "params_m", "macs_m"), PUBLISHED)
def test_published_figures(arch: str, form: tuple[int, int, int], params_m: str, macs_m: str) -> None:
    """To the last digit that is printed."""
    channels, size, classes = form
    net = named(arch, size, classes, channels=channels)
    assert net.params / 1e6 == pytest.approx(float(params_m), abs=0.5001 * 10 ** -digits(params_m))
    assert net.macs / 1e6 == pytest.approx(float(macs_m), abs=0.5001 * 10 ** -digits(macs_m))


@pytest.mark.parametrize(("arch", "width", "theirs", "params"), TORCHVISION, ids=lambda value: str(value))
def test_torchvision_s_module(arch: str, width: float | None, theirs: str, params: int) -> None:
    """Every weight's shape, the multiply-adds that its module does at 224 x 224, and the figures it publishes."""
    with torch.device("meta"):
        module = models.get_model(theirs)
        net = named(arch, 224, 1000, width)
        ours = net.build()
        assert multiply_adds(module, torch.zeros(1, 3, 224, 224)) == ((1000,), net.macs)
    published = models.get_model_weights(theirs).DEFAULT.meta
    assert net.params == params == published["num_params"]
    assert net.macs / 1e9 == pytest.approx(published["_ops"], abs=0.000501)
    assert sorted(tuple(p.shape) for p in ours.parameters()) == sorted(tuple(p.shape) for p in module.parameters())


@pytest.mark.parametrize(("arch", "params"), [("vgg11", 9_756_426), ("vgg16", 15_253_578)])
def test_small_vggs_have_the_published_form_without_its_idle_biases(arch: str, params: int) -> None:
    """github.com/chenyaofo/pytorch-cifar-models, 9.76 M and 15.25 M: torchvision's layers, dense ones of 512 behind."""
    with torch.device("meta"):
        theirs = models.get_model(f"{arch}_bn")
        theirs.avgpool = nn.Identity()
        theirs.classifier = nn.Sequential(nn.Linear(512, 512), nn.Linear(512, 512), nn.Linear(512, 10))
        net = named(arch, 32, 10)
        assert multiply_adds(theirs, torch.zeros(1, 3, 32, 32)) == ((10,), net.macs)
    biases = sum(part.out_channels for part in theirs.modules() if isinstance(part, nn.Conv2d))
    assert net.params + biases == params == sum(p.numel() for p in theirs.parameters())


@pytest.mark.parametrize(("width", "theirs"), [(0.5, "shufflenet_v2_x0_5"), (1.0, "shufflenet_v2_x1_0")])
def test_small_shufflenets_are_torchvision_s_with_a_stem_of_stride_1_and_no_pool(width: float, theirs: str) -> None:
    with torch.device("meta"):
        module = models.get_model(theirs, num_classes=10)
        module.conv1[0].stride, module.maxpool = (1, 1), nn.Identity()
        net = named("shufflenet_v2", 32, 10, width)
        assert multiply_adds(module, torch.zeros(1, 3, 32, 32)) == ((10,), net.macs)
    assert net.params == sum(p.numel() for p in module.parameters())


# github.com/tensorflow/tpu, models/official/efficientnet/lite/README.md: pixels, parameters (M), multiply-adds (M)
GOOGLE = [(224, 4.7, 407), (240, 5.4, 631), (260, 6.1, 899), (280, 8.2, 1440), (300, 13.0, 2640)]


@pytest.mark.parametrize(("number", "row"), list(enumerate(GOOGLE)))
def test_efficientnet_lite_has_google_s_parameters(number: int, row: tuple[int, float, int]) -> None:
    """Its multiply-adds count more than convolutions and dense layers: 3 to 6 % above ours, and above d-li14's."""
    size, params_m, macs_m = row
    net = named(f"efficientnet_lite{number}", size, 1000)
    assert net.params / 1e6 == pytest.approx(params_m, abs=0.05001)
    assert 1.03 < macs_m / (net.macs / 1e6) < 1.06


@pytest.mark.parametrize("size", [32, 96])
@pytest.mark.parametrize("arch", ARCHS)
def test_the_module_does_what_is_planned(arch: str, size: int) -> None:
    net = named(arch, size, 7, narrowest(arch))
    with torch.device("meta"):
        module = net.build()
        assert multiply_adds(module, torch.zeros(1, 3, size, size)) == ((7,), net.macs)
    assert sum(p.numel() for p in module.parameters()) == net.params
    assert sum(row.params for row in net.rows()) == net.params
    assert sum(row.macs for row in net.rows()) == net.macs


@pytest.mark.parametrize("arch", sorted(set(ARCHS) - set(WITHOUT_WIDTH)))
def test_a_width_makes_it_narrower(arch: str) -> None:
    assert named(arch, 32, 10, narrowest(arch)).params < named(arch, 32, 10).params


@pytest.mark.parametrize("arch", WITHOUT_WIDTH)
def test_what_has_no_width_says_so(arch: str) -> None:
    with pytest.raises(UsageError, match=rf"^{arch} has no width \(model.width: 0.5\): "):
        named(arch, 32, 10, 0.5)
    assert named(arch, 32, 10, 1.0).params == named(arch, 32, 10).params


def test_shufflenet_names_the_widths_it_has() -> None:
    with pytest.raises(UsageError, match=r"has no width 0.75: model.width may be 0.5, 1, 1.5 or 2"):
        named("shufflenet_v2", 32, 10, 0.75)


@pytest.mark.parametrize("size", [32, 63])
@pytest.mark.parametrize("arch", sorted(set(ARCHS) - {"tiny_cifar", "lenet5"}))
def test_small_pictures_are_not_shrunk_to_nothing(arch: str, size: int) -> None:
    """What is pooled or flattened at the end still has a place; all but what the papers pool to one have several."""
    last = [row for row in named(arch, size, 5, narrowest(arch)).rows() if len(row.output) == 3][-1]
    assert min(last.output[1:]) >= (1 if arch.startswith("vgg") else 2)


# --- the same numbers as torchvision, where nothing is padded otherwise -----------------------------------------------


def test_squeezenet_answers_as_torchvision_s_does() -> None:
    torch.manual_seed(0)
    theirs, ours = models.squeezenet1_1().eval(), named("squeezenet", 224, 1000).build().eval()
    with torch.no_grad():
        for mine, given in zip(ours.parameters(), theirs.parameters(), strict=True):
            mine.copy_(given)
        image = torch.randn(1, 3, 224, 224)
        torch.testing.assert_close(ours(image), theirs(image), rtol=1e-4, atol=1e-5)


def test_a_shuffle_unit_is_torchvision_s() -> None:
    torch.manual_seed(0)
    theirs = models.shufflenetv2.InvertedResidual(12, 12, 1).eval()
    ours = PLANS[ShuffleUnit](ShuffleUnit(filters=12), (12, 7, 5)).build().eval()
    with torch.no_grad():
        for mine, given in zip(ours.parameters(), theirs.parameters(), strict=True):
            mine.copy_(given)
        image = torch.randn(2, 12, 7, 5)
        torch.testing.assert_close(ours(image), theirs(image), rtol=1e-5, atol=1e-6)


def test_channels_are_taken_by_turns() -> None:
    image = torch.arange(6.0).reshape(1, 6, 1, 1)
    assert ChannelShuffle()(image).flatten().tolist() == [0, 3, 1, 4, 2, 5]


def test_a_shuffle_unit_keeps_its_channels_at_stride_1() -> None:
    with pytest.raises(UsageError, match="at stride 1 it keeps its 6 channels, but filters is 8"):
        PLANS[ShuffleUnit](ShuffleUnit(filters=8), (6, 8, 8))
