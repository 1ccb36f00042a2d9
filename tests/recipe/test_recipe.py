"""Reading recipes: every problem at once with its place, overrides, and the way there and back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edgecnn.errors import Problem, RecipeError, UnusableFile
from edgecnn.recipe import dump_recipe, load_recipe
from edgecnn.recipe.layers import Conv, Dense, Residual

RECIPES = sorted((Path(__file__).parents[2] / "recipes").glob("*.yaml"))
GOOD = """\
name: good
data: {source: cifar10}
model:
  layers:
    - conv: {filters: 16, kernel: [3, 5], padding: [1, 0], batch_norm: true, activation: relu6, name: stem}
    - max_pool: {size: 3, stride: 2, padding: same}
    - residual:
        activation: relu
        shortcut: conv
        layers:
          - depthwise_conv: {stride: 2}
          - conv: {filters: 24, kernel: 1}
          - relu6
    - separable_conv: {filters: 8, padding: valid}
    - batch_norm
    - relu
    - average_pool
    - dropout: {rate: 0.25}
    - global_max_pool
    - dense: {units: 10, bias: false}
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "recipe.yaml"
    path.write_text(text)
    return path


def problems(path: Path, overrides: dict[str, Any] | None = None) -> list[tuple[str, str]]:
    """Each problem's place behind the file's name, and its message."""
    with pytest.raises(RecipeError) as error:
        load_recipe(path, overrides)
    assert str(error.value) == "\n".join(f"{p.where}: {p.message}" for p in error.value.problems)
    return [(problem.where.removeprefix(f"{path}:"), problem.message) for problem in error.value.problems]


def assert_said(found: list[tuple[str, str]], *expected: tuple[str, str]) -> None:
    """Exactly these places, with these words in their messages, in any order."""
    assert sorted(place for place, _ in found) == sorted(place for place, _ in expected), found
    for place, words in expected:
        assert any(words in message for where, message in found if where == place), (place, words, found)


# --- what is good -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_there_and_back(path: Path, tmp_path: Path) -> None:
    recipe = load_recipe(path)
    assert load_recipe(written(tmp_path, dump_recipe(recipe))) == recipe


def test_there_and_back_with_layers(tmp_path: Path) -> None:
    recipe = load_recipe(written(tmp_path, GOOD))
    again = load_recipe(written(tmp_path, dump_recipe(recipe)))
    assert again == recipe
    assert again.model.layers is not None
    assert recipe.model.layers is not None
    assert [type(layer) for layer in again.model.layers] == [type(layer) for layer in recipe.model.layers]
    assert dump_recipe(again) == dump_recipe(recipe)


def test_a_changed_value_would_be_seen(tmp_path: Path) -> None:
    """The fault planted: a dump that changes a layer's name."""
    recipe = load_recipe(written(tmp_path, GOOD))
    dumped = dump_recipe(recipe)
    assert dumped.count("stem") == 1
    assert load_recipe(written(tmp_path, dumped.replace("stem", "root"))) != recipe


def test_what_layers_mean(tmp_path: Path) -> None:
    layers = load_recipe(written(tmp_path, GOOD)).model.layers
    assert layers is not None
    assert layers[0] == Conv(
        filters=16, kernel=(3, 5), padding=(1, 0), batch_norm=True, activation="relu6", name="stem"
    )
    assert isinstance(layers[2], Residual)
    assert layers[2].layers[1] == Conv(filters=24, kernel=(1, 1))
    assert layers[-1] == Dense(units=10, bias=False)


def test_defaults_and_sizes(tmp_path: Path) -> None:
    text = "name: a\ndata: {folder: pictures}\nmodel: {arch: ds_cnn}\n"
    assert load_recipe(written(tmp_path, text)).input.size == (32, 32)
    assert load_recipe(written(tmp_path, text + "input: {size: 48}\n")).input.size == (48, 48)
    assert load_recipe(written(tmp_path, text + "input: {size: [48, 64]}\n")).input.size == (48, 64)


# --- what is not ------------------------------------------------------------------------------------------------------


def test_every_problem_at_once(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        "name: bad name\n"
        "data: {source: cifar10, val_fraction: 2}\n"
        "model:\n"
        "  layers:\n"
        "    - conv: {filters: many}\n"
        "    - pool\n"
        "    - dense: {units: 10, activaton: relu}\n"
        "train:\n"
        "  epohcs: 3\n"
        "  batch: 1.5\n"
        "exprot: {}\n",
    )
    assert_said(
        problems(path),
        ("1:1", "name: String should match pattern"),
        ("2:25", "data.val_fraction: Input should be less than 1, got 2"),
        ("5:14", "filters: Input should be a valid integer"),
        ("6:7", "unknown layer 'pool'"),
        ("7:26", "unknown key 'activaton'; did you mean 'activation'?"),
        ("9:3", "unknown key 'epohcs'; did you mean 'epochs'?"),
        ("10:3", "train.batch: Input should be a valid integer"),
        ("11:1", "unknown key 'exprot'; did you mean 'export'?"),
    )


def test_branches_that_were_read_are_not_repeated(tmp_path: Path) -> None:
    layers = "model: {layers: [{concat: {branches: [[{conv: {filters: 3}}]]}}]}"
    path = written(tmp_path, f"name: a\ndata: {{source: cifar10}}\n{layers}\n")
    assert problems(path) == [("3:28", "branches: Tuple should have at least 2 items after validation, not 1")]


WRONG = {
    "a word for a number": ("train: {epochs: many}", "4:9", "train.epochs: Input should be a valid integer"),
    "a number out of range": ("train: {epochs: 0}", "4:9", "greater than or equal to 1, got 0"),
    "a list for a word": ("input: {resize: [crop]}", "4:9", "input.resize: Input should be 'crop', 'letterbox'"),
    "a truth value for a number": ("input: {size: true}", "4:9", "input.size"),
    "a word for a section": ("train: fast", "4:1", "train"),
    "an unknown choice": ("export: {targets: [tflite, coreml]}", "4:28", "got 'coreml'"),
    "a fraction above one": (
        "limits: {agreement: 1.5}",
        "4:10",
        "limits.agreement: Input should be less than",
    ),
    "a budget of nothing": ("budget: {device: pi}", "4:1", "budget: a budget has at least one figure: 'p90_ms'"),
    "a budget below zero": ("budget: {p90_ms: -1}", "4:10", "budget.p90_ms: Input should be greater than 0"),
    "a budget's unknown figure": ("budget: {p99_ms: 8}", "4:10", "unknown key 'p99_ms'; did you mean 'p90_ms'?"),
    "no layer": ("train: {freeze: 0}", "4:9", "train.freeze: expected how many of the first layers, 'backbone'"),
    "a truth value for layers": ("train: {freeze: true}", "4:9", "a layer's name, got True"),
    "an unknown section": ("x: 1", "4:1", "unknown key 'x'"),
}


@pytest.mark.parametrize(("line", "place", "words"), WRONG.values(), ids=WRONG)
def test_wrong_types_and_values(line: str, place: str, words: str, tmp_path: Path) -> None:
    path = written(tmp_path, f"name: a\ndata: {{source: cifar10}}\nmodel: {{arch: ds_cnn}}\n{line}\n")
    assert_said(problems(path), (place, words))


@pytest.mark.parametrize("freeze", [3, "backbone", "block4", None])
def test_fine_tuning_goes_there_and_back(freeze: int | str | None, tmp_path: Path) -> None:
    text = "null" if freeze is None else freeze
    path = written(
        tmp_path,
        f"name: a\ndata: {{source: cifar10}}\nmodel: {{arch: ds_cnn, weights: photos-96}}\ntrain: {{freeze: {text}}}\n",
    )
    recipe = load_recipe(path)
    assert (recipe.model.weights, recipe.train.freeze) == ("photos-96", freeze)
    path.write_text(dump_recipe(recipe))
    assert load_recipe(path) == recipe
    assert load_recipe(path, {"model.weights": None}).model.weights is None


MEAN, STD = "mean: [0.4, 0.5, 0.6]", "std: [0.1, 0.2, 0.3]"
WRONG_MODELS = {
    "two": ("torchvision: resnet18, timm: resnet18", "give one of 'arch'"),
    "a width": ("timm: resnet18, width: 0.5", "'width' goes with 'arch'"),
    "a mean alone": (f"timm: resnet18, {MEAN}", "'mean' and 'std' go together"),
    "not as many": (f"timm: resnet18, {MEAN}, std: [0.1]", "'mean' and 'std' have one number a channel each"),
    "of our own net": (f"arch: ds_cnn, {MEAN}, {STD}", "'mean' and 'std' go with 'torchvision' and 'timm'"),
    "pixels to 255": (f"timm: resnet18, mean: [124, 116, 104], {STD}", "Input should be less than 10, got 124"),
}


@pytest.mark.parametrize(("model", "words"), WRONG_MODELS.values(), ids=WRONG_MODELS)
def test_models_of_libraries_that_make_no_sense(model: str, words: str, tmp_path: Path) -> None:
    found = problems(written(tmp_path, f"name: a\ndata: {{source: cifar10}}\nmodel: {{{model}}}\n"))
    assert any(place.startswith("3:") and words in message for place, message in found), found


@pytest.mark.parametrize("kind", ["torchvision", "timm"])
def test_what_weights_want_goes_there_and_back(kind: str, tmp_path: Path) -> None:
    model = f"{{{kind}: resnet18, weights: pretrained, {MEAN}, {STD}}}"
    path = written(tmp_path, f"name: a\ndata: {{source: cifar10}}\nmodel: {model}\n")
    recipe = load_recipe(path)
    assert (recipe.model.kind, recipe.model.mean, recipe.model.std) == (kind, (0.4, 0.5, 0.6), (0.1, 0.2, 0.3))
    path.write_text(dump_recipe(recipe))
    assert load_recipe(path) == recipe


def test_a_budget_goes_there_and_back(tmp_path: Path) -> None:
    text = "name: a\ndata: {source: cifar10}\nmodel: {arch: ds_cnn}\n"
    assert load_recipe(written(tmp_path, text)).budget is None
    path = written(tmp_path, text + "budget: {device: raspberry-pi-4, p90_ms: 8, peak_rss_mib: 80, model_kib: 900}\n")
    recipe = load_recipe(path, {"budget.p90_ms": 9})
    assert recipe.budget is not None
    assert (recipe.budget.device, recipe.budget.p90_ms, recipe.budget.model_kib) == ("raspberry-pi-4", 9.0, 900.0)
    path.write_text(dump_recipe(recipe))
    assert load_recipe(path) == recipe


def test_one_of_two(tmp_path: Path) -> None:
    text = "name: a\ndata: {source: cifar10, folder: there}\nmodel: {arch: ds_cnn, layers: [flatten]}\n"
    assert_said(
        problems(written(tmp_path, text)),
        ("2:1", "give either 'source'"),
        ("3:1", "give one of 'arch'"),
    )


def test_what_is_missing(tmp_path: Path) -> None:
    found = problems(written(tmp_path, "train: {epochs: 3}\n"))
    assert sorted(message for _, message in found) == ["'data' is missing", "'model' is missing", "'name' is missing"]


def test_layers_inside_residuals(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        "name: a\n"
        "data: {source: cifar10}\n"
        "model:\n"
        "  layers:\n"
        "    - residual:\n"
        "        shortcut: cnov\n"
        "        layers:\n"
        "          - conv: {filters: 0}\n"
        "          - residual:\n"
        "              layers:\n"
        "                - relu7\n"
        "                - conv: 16\n"
        "    - residual\n"
        "    - {relu: , flatten: }\n"
        "    - 7\n"
        "    - max_pool: {size: [2, 2, 2]}\n",
    )
    assert_said(
        problems(path),
        ("6:9", "shortcut: Input should be 'identity', 'conv' or 'average'"),
        ("8:20", "filters: Input should be greater than or equal to 1, got 0"),
        ("11:19", "unknown layer 'relu7'; did you mean 'relu"),
        ("12:19", "'conv' takes named values"),
        ("13:7", "expected a list of layers"),
        ("14:7", "a layer is one word with its values"),
        ("15:7", "a layer is one word with its values"),
        ("16:18", "size"),
    )


@pytest.mark.parametrize("value", ["", "[]", "flatten", "{conv: {filters: 3}}"])
def test_layers_that_are_no_list(value: str, tmp_path: Path) -> None:
    path = written(tmp_path, f"name: a\ndata: {{source: cifar10}}\nmodel:\n  layers: {value}\n")
    assert problems(path)[0][0] in ("3:1", "4:3")


# --- overrides --------------------------------------------------------------------------------------------------------


def test_overrides_win(tmp_path: Path) -> None:
    recipe = load_recipe(RECIPES[0], {"train.epochs": 7, "train.lr0": 0.25, "quantize.calibration.images": 64})
    assert (recipe.train.epochs, recipe.train.lr0, recipe.quantize.calibration.images) == (7, 0.25, 64)
    assert recipe.train.batch == load_recipe(RECIPES[0]).train.batch


def test_a_problem_of_an_override_is_said_there(tmp_path: Path) -> None:
    path = written(tmp_path, "name: a\ndata: {source: cifar10}\nmodel: {arch: ds_cnn}\ntrain: {epochs: 9}\n")
    assert_said(
        problems(path, {"train.epochs": "many", "train.epohcs": 5, "export.targets": ["coreml"]}),
        ("train.epochs=many", "train.epochs: Input should be a valid integer"),
        ("train.epohcs=5", "unknown key 'epohcs'; did you mean 'epochs'?"),
        ("export.targets=['coreml']", "got 'coreml'"),
    )


def test_an_override_mends_what_the_file_has_wrong(tmp_path: Path) -> None:
    path = written(tmp_path, "name: a\ndata: {source: cifar10}\nmodel: {arch: ds_cnn}\ntrain: {epochs: many}\n")
    assert load_recipe(path, {"train.epochs": 5}).train.epochs == 5


# --- files that are no recipe -----------------------------------------------------------------------------------------

UNREADABLE = {
    "a key twice": ("name: a\nname: b\n", "2:1", "duplicate key"),
    "a key twice, deep": ("name: a\ntrain:\n  epochs: 3\n  batch: 2\n  epochs: 4\n", "5:3", "duplicate key"),
    "not YAML": ("name: [a\n", "2:1", "not valid YAML"),
    "a tab": ("name: a\n\tdata: b\n", "2:1", "not valid YAML"),
    "empty": ("", "1:1", "expected keys like 'name:' and 'data:'"),
    "comments only": ("# nothing\n", "1:1", "expected keys"),
    "a list": ("- name\n", "1:1", "expected keys"),
    "a word": ("recipe\n", "1:1", "expected keys"),
}


@pytest.mark.parametrize(("text", "place", "words"), UNREADABLE.values(), ids=UNREADABLE)
def test_files_that_are_no_recipe(text: str, place: str, words: str, tmp_path: Path) -> None:
    assert_said(problems(written(tmp_path, text)), (place, words))


def test_files_that_can_not_be_read(tmp_path: Path) -> None:
    with pytest.raises(UnusableFile, match="there is no such recipe"):
        load_recipe(tmp_path / "none.yaml")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00\x9f")
    with pytest.raises(UnusableFile, match="can't be read as text"):
        load_recipe(tmp_path / "binary.yaml")
    with pytest.raises(UnusableFile, match="can't be read as text"):
        load_recipe(tmp_path)


@pytest.mark.parametrize(
    "text", ["name: !!python/object/apply:os.system ['true']\n", "name: &a [*a]\n", "name: !x y\n"]
)
def test_yaml_s_darker_corners_are_problems_or_values(text: str, tmp_path: Path) -> None:
    """Nothing is called, nothing recurses for ever: whatever is wrong is a RecipeError."""
    with pytest.raises(RecipeError):
        load_recipe(written(tmp_path, text + "data: {source: cifar10}\nmodel: {arch: ds_cnn}\n"))


def test_lists_in_lists_without_end(tmp_path: Path) -> None:
    assert problems(written(tmp_path, "name: " + "[" * 2000 + "]" * 2000)) == [
        (str(tmp_path / "recipe.yaml"), "its lists are nested too deeply to be read")
    ]


@pytest.mark.parametrize("padding", ["sames", "-1", "[1, x]"])
def test_a_value_that_fits_none_of_several_forms_is_said_once(padding: str, tmp_path: Path) -> None:
    layers = f"[conv: {{filters: 3, padding: {padding}}}]"
    found = problems(written(tmp_path, f"name: a\ndata: {{source: cifar10}}\nmodel:\n  layers: {layers}\n"))
    assert_said(found, ("4:31", "padding: Input should be 'same' or 'valid', got "))


def test_a_problem_reads_as_a_compiler_s() -> None:
    assert str(Problem("r.yaml:3:5", "unknown key 'a'")) == "r.yaml:3:5: unknown key 'a'"
