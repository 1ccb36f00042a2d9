"""Reading a recipe: YAML with positions, overrides, validation, and writing one back."""

from __future__ import annotations

import io
import typing
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from edgecnn.errors import Problem, RecipeError, UnusableFile, nearest
from edgecnn.recipe.layers import KINDS, WORDS, Layer
from edgecnn.recipe.schema import Recipe

Place = tuple[str | int, ...]
MODELS = (("model",), ("teacher", "model"))
"""The places of a recipe where layers may stand."""


def load_recipe(path: Path, overrides: Mapping[str, Any] | None = None) -> Recipe:
    """Read and check a recipe; `overrides` are dotted keys (`train.epochs`) with their values.

    Raises RecipeError with every problem found, UnusableFile when there is no such file.
    """
    tree, positions = _overridden(path, overrides)
    problems: list[Problem] = []
    plain = _plain(tree)
    for place in MODELS:
        model = _at(plain, place)
        if isinstance(model, dict) and model.get("layers") is not None:
            written = _at(tree, (*place, "layers"))
            model["layers"] = _read_layers(written, (*place, "layers"), positions, problems)
    recipe: Recipe | None = None
    try:
        recipe = Recipe.model_validate(plain)
    except ValidationError as error:
        problems += _problems(error, Recipe, positions)
    if problems or recipe is None:
        raise RecipeError(problems)
    return recipe


def position(path: Path, place: Place, overrides: Mapping[str, Any] | None = None) -> str:
    """Where a key of a recipe stands: `file:line:column`, or the override that sets it."""
    return _overridden(path, overrides)[1].of(place)


def dump_recipe(recipe: Recipe) -> str:
    """A recipe as YAML that `load_recipe` reads back to an equal one."""
    layers = {"layers": True}
    tree = recipe.model_dump(mode="json", exclude_none=True, exclude={"model": layers, "teacher": {"model": layers}})
    models = [recipe.model] if recipe.teacher is None else [recipe.model, recipe.teacher.model]
    for place, model in zip(MODELS, models, strict=False):
        if model.layers is not None:
            _at(tree, place)["layers"] = [_written(layer) for layer in model.layers]
    out = io.StringIO()
    yaml = YAML()
    yaml.default_flow_style = None
    yaml.width = 120
    yaml.dump(tree, out)
    return out.getvalue()


def _written(layer: Layer) -> Any:
    word = KINDS[type(layer)]
    values = layer.model_dump(mode="json", exclude_defaults=True, exclude=set(layer.nested))
    for key in layer.nested:
        values[key] = _written_inside(getattr(layer, key))
    return {word: values} if values else word


def _written_inside(value: Any) -> Any:
    return _written(value) if isinstance(value, Layer) else [_written_inside(item) for item in value]


def _parse(path: Path) -> CommentedMap:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise UnusableFile(f"{path}: there is no such recipe") from error
    except (OSError, UnicodeDecodeError) as error:
        raise UnusableFile(f"{path}: can't be read as text ({error})") from error
    try:
        tree = YAML(typ="rt").load(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"{path}:{mark.line + 1}:{mark.column + 1}" if mark else str(path)
        raise RecipeError([Problem(where, f"not valid YAML: {error.problem}")]) from error
    except YAMLError as error:
        raise RecipeError([Problem(str(path), f"not valid YAML: {error}")]) from error
    except RecursionError as error:
        raise RecipeError([Problem(str(path), "its lists are nested too deeply to be read")]) from error
    if not isinstance(tree, CommentedMap):
        raise RecipeError([Problem(f"{path}:1:1", "expected keys like 'name:' and 'data:'; see recipes/ for examples")])
    return tree


def _overridden(path: Path, overrides: Mapping[str, Any] | None) -> tuple[CommentedMap, Positions]:
    tree = _parse(path)
    overridden: dict[Place, str] = {}
    problems = []
    for key, value in (overrides or {}).items():
        try:
            _override(tree, key, value, overridden)
        except ValueError as error:
            problems.append(Problem(f"{key}={value}", str(error)))
    if problems:
        raise RecipeError(problems)
    return tree, Positions(path, tree, overridden)


def _override(tree: CommentedMap, key: str, value: Any, overridden: dict[Place, str]) -> None:
    parts = key.split(".")
    if not all(parts):
        raise ValueError("a key is words with one dot between them, such as train.epochs")
    node: Any = tree
    for depth, part in enumerate(parts[:-1], start=1):
        if isinstance(node.get(part), Sequence) and not isinstance(node[part], str):
            whole = ".".join(parts[:depth])
            raise ValueError(f"'{whole}' is a list, which is set as a whole: {whole}=[...]")
        if not isinstance(node.get(part), CommentedMap):
            node[part] = CommentedMap()
        node = node[part]
    node[parts[-1]] = value
    overridden[tuple(parts)] = f"{key}={value}"


class Positions:
    """Where each key of a recipe stands, as `file:line:column`."""

    def __init__(self, path: Path, tree: CommentedMap, overridden: dict[Place, str]) -> None:
        self._path, self._tree, self._overridden = path, tree, overridden

    def of(self, place: Place) -> str:
        """The position of the deepest key of `place` that is written in the file."""
        for length in range(len(place), 0, -1):
            if place[:length] in self._overridden:
                return self._overridden[place[:length]]
        node: Any = self._tree
        line, column = 0, 0
        for step in place:
            if isinstance(node, CommentedMap) and step in node:
                line, column = node.lc.key(step) if step in (node.lc.data or {}) else (line, column)
            elif isinstance(node, CommentedSeq) and isinstance(step, int) and step < len(node):
                line, column = node.lc.item(step)
            else:
                break
            node = node[step]
        return f"{self._path}:{line + 1}:{column + 1}"


def _at(tree: Any, place: Sequence[str]) -> Any:
    """What stands there; None where nothing does."""
    for key in place:
        tree = tree.get(key) if isinstance(tree, Mapping) else None
    return tree


def _read_layers(items: Any, place: Place, positions: Positions, problems: list[Problem]) -> tuple[Layer, ...]:
    if not isinstance(items, Sequence) or isinstance(items, str) or not items:
        problems.append(Problem(positions.of(place), "expected a list of layers, such as '- flatten'"))
        return ()
    read = (_read_layer(item, (*place, i), positions, problems) for i, item in enumerate(items))
    return tuple(layer for layer in read if layer is not None)


def _read_nested(
    word: str, key: str, items: Any, place: Place, positions: Positions, problems: list[Problem]
) -> tuple[Any, ...]:
    """The layers of a block, or of each branch of one; an empty branch has none."""
    if key != "branches":
        return _read_layers(items, place, positions, problems)
    if not isinstance(items, Sequence) or isinstance(items, str):
        problems.append(Problem(positions.of(place), f"'{word}' takes a list of branches, each a list of layers"))
        return ()
    return tuple(
        () if branch == [] else _read_layers(branch, (*place, i), positions, problems) for i, branch in enumerate(items)
    )


def _read_layer(item: Any, place: Place, positions: Positions, problems: list[Problem]) -> Layer | None:
    word: Any
    values: Any
    if isinstance(item, str):
        word, values = item, {}
    elif isinstance(item, Mapping) and len(item) == 1:
        ((word, values),) = item.items()
        place, values = (*place, word), values if values is not None else {}
    else:
        problems.append(
            Problem(positions.of(place), "a layer is one word with its values, such as 'conv: {filters: 16}'")
        )
        return None
    if word not in WORDS:
        problems.append(Problem(positions.of(place), f"unknown layer '{word}'{nearest(str(word), WORDS)}"))
        return None
    if not isinstance(values, Mapping):
        problems.append(Problem(positions.of(place), f"'{word}' takes named values, such as {word}: {{...}}"))
        return None
    plain = _plain(values)
    for key in WORDS[word].nested:
        plain[key] = _read_nested(word, key, values.get(key), (*place, key), positions, problems)
    try:
        return WORDS[word].model_validate(plain)
    except ValidationError as error:
        problems += _problems(error, WORDS[word], positions, place)
        return None


def _problems(
    error: ValidationError, model: type[BaseModel], positions: Positions, prefix: Place = ()
) -> Iterator[Problem]:
    """One problem for each place; a value that fits none of several forms is said once."""
    seen: set[str] = set()
    for item in error.errors():
        place = tuple(part for part in item["loc"])
        key = ".".join(str(part) for part in place if "[" not in str(part))  # without the names pydantic gives to forms
        where = positions.of((*prefix, *place))
        if item["type"] == "extra_forbidden":
            message = f"unknown key '{place[-1]}'{nearest(str(place[-1]), _keys(model, place[:-1]))}"
        elif item["type"] == "missing":
            message = f"'{'.'.join(str(p) for p in (*prefix, *place))}' is missing"
        else:
            reason = item["msg"].removeprefix("Value error, ")
            given = item["input"]
            told = isinstance(given, dict | BaseModel | tuple)  # a section, or layers that have been read already
            got = "" if told else f", got {given!r}"
            message = f"{key}: {reason}{got}" if key else reason
        if where not in seen or item["type"] in ("extra_forbidden", "missing"):
            yield Problem(where, message)
        seen.add(where)


def _keys(model: type[BaseModel], place: Place) -> list[str]:
    for part in place:
        field = model.model_fields.get(str(part))
        kinds = [] if field is None else [field.annotation, *typing.get_args(field.annotation)]
        found = [k for k in kinds if isinstance(k, type) and issubclass(k, BaseModel)]
        if not found:
            return []
        model = found[0]
    return list(model.model_fields)


def _plain(node: Any) -> Any:
    if isinstance(node, Mapping):
        return {str(key): _plain(value) for key, value in node.items()}
    if isinstance(node, Sequence) and not isinstance(node, str):
        return [_plain(value) for value in node]
    return node
