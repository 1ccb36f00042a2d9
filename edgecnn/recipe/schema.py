"""What a recipe may say, key by key, with its defaults."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from edgecnn.recipe.layers import Layer

Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
Target = Literal["tflite", "onnx", "openvino"]
Precision = Literal["fp32", "fp16", "int8"]


class Section(BaseModel):
    """A part of a recipe: unknown keys are errors, values don't change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Data(Section):
    """Where the pictures come from: a registered source or a folder; what becomes of a folder's broken ones.

    A folder holds train/<class>/, or `splits` lists its pictures: a CSV file that `edgecnn new` writes. `background`
    is a folder with pictures of none of the classes, which the same file lists. Paths are relative to the recipe, to
    the working folder, or to where data sets lie.
    """

    source: str | None = None
    folder: str | None = None
    splits: str | None = None
    background: str | None = None
    val_fraction: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.1
    broken: Literal["refuse", "skip"] = "refuse"
    cache: Literal["auto", "memory", "disk"] = "auto"  # where decoded pictures are held

    @model_validator(mode="after")
    def _one_of(self) -> Data:
        if (self.source is None) == (self.folder is None):
            raise ValueError("give either 'source' (a registered data set) or 'folder' (class folders)")
        if self.splits is not None and self.folder is None:
            raise ValueError("'splits' goes with 'folder': it lists the pictures of one")
        if self.background is not None and self.splits is None:
            raise ValueError("'background' goes with 'splits': `edgecnn new FOLDER --background DIR` writes both")
        if self.source is not None and self.broken == "skip":
            raise ValueError("'broken: skip' goes with 'folder'; a registered data set is whole or got anew")
        return self


def _height_width(value: Any) -> Any:
    return (value, value) if isinstance(value, int) and not isinstance(value, bool) else value


Side = Annotated[int, Field(ge=4, le=4096)]


class Input(Section):
    """The picture as the model takes it: [height, width], of 3 channels (RGB) or of 1 (grey)."""

    size: Annotated[tuple[Side, Side], BeforeValidator(_height_width)] = (32, 32)
    channels: Literal[1, 3] = 3
    resize: Literal["crop", "letterbox", "stretch"] = "crop"


LIBRARIES = ("torchvision", "timm")
"""Whose classifiers go by their names there."""
KINDS = ("arch", "layers", *LIBRARIES)
PRETRAINED = "pretrained"
"""The weights that a library has for its classifier."""
Mean = Annotated[float, Field(gt=-10.0, lt=10.0)]
Spread = Annotated[float, Field(gt=0.0, lt=100.0)]


class Model(Section):
    """A named architecture, the layers themselves, or a classifier of torchvision's or timm's by its name there.

    weights: where its first weights come from: a packaged model by name, a run's folder, or a .safetensors file; of
    torchvision's and timm's also `pretrained`, what that library has. mean, std: what such weights want to see, a
    number a channel for pixels from 0 to 1; a first layer brings the pixels there. Left out, they are those of the
    library's own weights.
    """

    arch: str | None = None
    width: Annotated[float, Field(gt=0.0, le=8.0)] | None = None
    layers: tuple[Layer, ...] | None = None
    torchvision: Annotated[str, Field(min_length=1)] | None = None
    timm: Annotated[str, Field(min_length=1)] | None = None
    weights: Annotated[str, Field(min_length=1)] | None = None
    fully_convolutional: bool = False  # it has a map form at any size, which is exported, too
    mean: Annotated[tuple[Mean, ...], Field(min_length=1, max_length=3)] | None = None
    std: Annotated[tuple[Spread, ...], Field(min_length=1, max_length=3)] | None = None

    @property
    def kind(self) -> str:
        """The key that says what the model is."""
        return next(key for key in KINDS if getattr(self, key) is not None)

    @model_validator(mode="after")
    def _one_of(self) -> Model:
        if sum(getattr(self, key) is not None for key in KINDS) != 1:
            raise ValueError(
                "give one of 'arch' (a named architecture), 'layers', 'torchvision' and 'timm' (a name there)"
            )
        if self.arch is None and self.width is not None:
            raise ValueError("'width' goes with 'arch'; elsewhere the widths are what they are")
        if (self.mean is None) != (self.std is None):
            raise ValueError("'mean' and 'std' go together")
        if self.mean is not None and self.kind not in LIBRARIES:
            raise ValueError("'mean' and 'std' go with 'torchvision' and 'timm'; other nets see (pixel - 128) / 128")
        if self.mean is not None and self.std is not None and len(self.mean) != len(self.std):
            raise ValueError("'mean' and 'std' have one number a channel each")
        return self


Augmentation = Literal[
    "crop",
    "random_resized_crop",
    "flip",
    "alternating_flip",
    "color_jitter",
    "cutout",
    "random_augment",
    "mixup",
    "cutmix",
]


def _layers(value: Any) -> Any:
    whole = isinstance(value, int) and not isinstance(value, bool)
    if value is None or (whole and value > 0) or (isinstance(value, str) and value):
        return value
    raise ValueError("expected how many of the first layers, 'backbone' (all but the classifier) or a layer's name")


class Train(Section):
    """Gradient descent on a schedule. What is `auto` or left out is chosen before the first step, and written down.

    Of the options, those are on by default whose gain tools/ablate has shown: its interval lies above nothing.
    """

    epochs: Annotated[int, Field(ge=1, le=100_000)] = 30
    batch: Annotated[int, Field(ge=2, le=65_536)] = 256
    optimizer: Literal["sgd", "adamw", "muon"] = "sgd"
    lr0: Annotated[float, Field(gt=0.0, le=100.0)] = 0.2
    momentum: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.9
    weight_decay: Annotated[float, Field(ge=0.0, le=1.0)] = 5e-4
    weight_decay_on: Literal["weights", "all"] = "weights"  # all: norms and biases too
    schedule: Literal["cosine", "one_cycle"] = "cosine"
    warmup_epochs: Annotated[float, Field(ge=0.0)] | None = None
    label_smoothing: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.05
    ema: Annotated[float, Field(gt=0.0, lt=1.0)] | None = None
    clip_norm: Annotated[float, Field(gt=0.0)] | None = None
    patience: Annotated[int, Field(ge=1)] | None = None
    keep: Literal["best", "last"] = "best"  # of all epochs, by validation accuracy, or the last one
    augment: tuple[Augmentation, ...] = ("crop", "alternating_flip")
    freeze: Annotated[int | str | None, BeforeValidator(_layers)] = None
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    device: Literal["auto", "cpu", "cuda"] = "auto"
    threads: Annotated[int, Field(ge=1, le=1024)] | None = None
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    layout: Literal["auto", "channels_last", "contiguous"] = "auto"
    fused: Literal["auto"] | bool = "auto"  # our own kernels, compiled on this machine (train/fused)
    compile: Literal["auto"] | bool = "auto"

    @model_validator(mode="after")
    def _patient(self) -> Train:
        if self.patience is not None and self.keep == "last":
            raise ValueError("'patience' waits for a better epoch, which 'keep: last' would not keep; leave one out")
        return self

    @model_validator(mode="after")
    def _one_compiler(self) -> Train:
        if self.fused is True and self.compile is True:
            raise ValueError("'fused' and 'compile' don't go together: torch.compile makes kernels of its own")
        return self

    @model_validator(mode="after")
    def _one_flip(self) -> Train:
        twice = [name for name in self.augment if self.augment.count(name) > 1]
        if twice:
            raise ValueError(f"augment names '{twice[0]}' twice")
        if {"flip", "alternating_flip"} <= set(self.augment):
            raise ValueError("augment names both 'flip' and 'alternating_flip': one undoes the other's order")
        return self


class Teacher(Section):
    """A larger network that is trained first, on the same pictures; the model then learns from its answers.

    What is left out is as `train` says, but that all its layers learn unless `freeze` says otherwise. temperature
    softens the answers of both, alpha is their share of the loss beside the true classes (arXiv:1503.02531).
    """

    model: Model
    epochs: Annotated[int, Field(ge=1, le=100_000)] | None = None
    lr0: Annotated[float, Field(gt=0.0, le=100.0)] | None = None
    freeze: Annotated[int | str | None, BeforeValidator(_layers)] = None
    temperature: Annotated[float, Field(gt=0.0, le=100.0)] = 2.0
    alpha: Annotated[float, Field(gt=0.0, le=1.0)] = 1.0


class Calibration(Section):
    """The training pictures that activation ranges are read from."""

    images: Annotated[int, Field(ge=1, le=100_000)] = 512
    method: Literal["minmax"] = "minmax"


class Quantize(Section):
    """How int8 is decided."""

    calibration: Calibration = Calibration()
    weights_bits: Literal[7, 8] = 8  # 7 for x86 machines without VNNI, where sums with 8 can saturate
    activations: Literal["asymmetric", "symmetric"] = "asymmetric"  # symmetric: zero points 0, as TensorRT wants them
    float_islands: bool = False  # layers that have no int8 form may be computed in float inside int8 files


class Export(Section):
    """What `export` makes unless its flags say otherwise."""

    targets: Annotated[tuple[Target, ...], Field(min_length=1)] = ("tflite", "onnx", "openvino")
    precisions: Annotated[tuple[Precision, ...], Field(min_length=1)] = ("fp32", "int8")
    output: Literal["logits", "probabilities"] = "logits"
    answers: Literal["uint8", "float32"] = "uint8"  # of int8 files; fp32 and fp16 files answer in float32
    heatmap: bool = False  # the map form beside each artifact, for `camera --heatmap`


class Limits(Section):
    """What `verify` holds the artifacts to; the parity of single layers is not for the recipe to choose."""

    drop_pp: Annotated[float, Field(ge=0.0, le=100.0)] = 1.0
    agreement: Fraction = 0.99


class Budget(Section):
    """What `bench --check` holds the models to, on a device; one row of the measurement has to meet all figures.

    peak_rss_mib is what bench calls so: what the process holds beyond one that has only loaded the runtime.
    """

    device: Annotated[str, Field(min_length=1)] | None = None
    p90_ms: Annotated[float, Field(gt=0.0)] | None = None
    peak_rss_mib: Annotated[float, Field(gt=0.0)] | None = None
    model_kib: Annotated[float, Field(gt=0.0)] | None = None

    @model_validator(mode="after")
    def _something(self) -> Budget:
        if self.p90_ms is None and self.peak_rss_mib is None and self.model_kib is None:
            raise ValueError("a budget has at least one figure: 'p90_ms', 'peak_rss_mib' or 'model_kib'")
        return self


class Recipe(Section):
    """Everything that decides a model, from pictures to limits."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]
    data: Data
    input: Input = Input()
    model: Model
    train: Train = Train()
    teacher: Teacher | None = None
    quantize: Quantize = Quantize()
    export: Export = Export()
    limits: Limits = Limits()
    budget: Budget | None = None
