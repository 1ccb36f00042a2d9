"""A file's operations with what the engine makes of them: what the rules look at, and what they say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from edgecnn.graph.listing import WEIGHTED, Listing, Operation, Value
from edgecnn.inspection.kernels import Kernel

ACTIVATIONS = ("relu", "relu6", "clip", "leaky_relu")
"""What engines compute as part of the operation before it."""


@dataclass(frozen=True)
class Finding:
    """Something that is slow or wrong in some layers: what it is, why it is so, and what would change it.

    `effect` is `accuracy` or `speed`.
    """

    rule: str
    effect: str
    layers: tuple[str, ...]
    what: str
    why: str
    change: str


@dataclass(frozen=True)
class View:
    """A file as an engine runs it. `kernels` is None where no engine was asked."""

    format: str
    engine: str
    listing: Listing
    kernels: Mapping[str, Kernel] | None

    @cached_property
    def makers(self) -> Mapping[str, Operation]:
        """The operation that makes a value, by the value's name."""
        return {value.name: operation for operation in self.listing.operations for value in operation.outputs}

    @cached_property
    def takers(self) -> Mapping[str, Sequence[Operation]]:
        """The operations that take a value, by the value's name."""
        found: dict[str, list[Operation]] = {}
        for operation in self.listing.operations:
            for value in operation.inputs:
                found.setdefault(value.name, []).append(operation)
        return found

    def kernel(self, operation: Operation) -> Kernel | None:
        """What runs an operation; None for what runs as part of another, or where no engine was asked.

        An operation and the activation behind it run as one, and an engine may call that by either's name.
        """
        own = self._named(operation)
        activation = self._activation(operation)
        return self._named(activation) if own is None and activation is not None else own

    def _named(self, operation: Operation) -> Kernel | None:
        kernels = self.kernels or {}
        return next((kernels[alias] for alias in operation.aliases if alias in kernels), None)

    def _activation(self, operation: Operation) -> Operation | None:
        """The activation that alone follows an operation with weights, or a sum."""
        if not operation.outputs or operation.kind not in (*WEIGHTED, "add"):
            return None
        takers = self.takers.get(operation.outputs[0].name, ())
        return takers[0] if len(takers) == 1 and takers[0].kind in ACTIVATIONS else None

    def after(self, operation: Operation) -> Value | None:
        """What an operation gives, behind the activation that alone follows it."""
        last = operation
        activation = self._activation(operation)
        if activation is not None and operation.outputs[0].quantization is None:
            last = activation
        return last.outputs[0] if last.outputs else None

    def quantized_ends(self, operation: Operation) -> tuple[bool, bool]:
        """Whether all that goes in, and what comes out, is on a grid of 8 bits in the file."""
        given = bool(operation.inputs) and all(value.integer for value in operation.inputs)
        made = self.after(operation)
        return given, made is not None and made.integer

    def integer(self, operation: Operation) -> bool:
        """Whether an operation runs in 8 bits: by the engine's word, or by the file where there is none."""
        kernel = self.kernel(operation)
        if kernel is not None:
            return kernel.integer
        return all(self.quantized_ends(operation))
