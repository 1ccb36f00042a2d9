"""What words share: sizes, and a name of one's own."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field


def pair(value: Any) -> Any:
    """One whole number is meant for both directions."""
    return (value, value) if isinstance(value, int) and not isinstance(value, bool) else value


Size = Annotated[int, Field(ge=1, le=1024)]
Count = Annotated[int, Field(ge=1, le=65_536)]
Pair = Annotated[tuple[Size, Size], BeforeValidator(pair)]
Activation = Literal[
    "linear",
    "relu",
    "relu6",
    "leaky_relu",
    "sigmoid",
    "tanh",
    "silu",
    "swish",
    "hard_sigmoid",
    "hard_swish",
    "gelu",
    "softmax",
]


class Layer(BaseModel):
    """What every word has: an optional name of its own."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    nested: ClassVar[tuple[str, ...]] = ()
    """The keys that hold layers, or lists of them."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")] | None = None
