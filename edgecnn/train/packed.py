"""A checkpoint as one run of bytes, to be sent to processes that can't read the folder it lies in."""

from __future__ import annotations

import json

from safetensors.torch import load, save

from edgecnn.records import from_json, to_json
from edgecnn.train.checkpoint import State, Tensors

PARTS = ("model", "optimizer", "average")


def pack(found: tuple[Tensors, State] | None) -> bytes:
    """Nothing at all where there is no checkpoint."""
    if found is None:
        return b""
    tensors, state = found
    flat = {f"{part}:{name}": value for part in PARTS for name, value in getattr(tensors, part).items()}
    record = json.dumps(to_json(state)).encode()
    return len(record).to_bytes(8, "little") + record + save(flat)


def unpack(content: bytes) -> tuple[Tensors, State] | None:
    """What `pack` was given."""
    if not content:
        return None
    end = 8 + int.from_bytes(content[:8], "little")
    state = from_json(State, json.loads(content[8:end]))
    flat = load(content[end:])
    parts = ({n.split(":", 1)[1]: v for n, v in flat.items() if n.startswith(f"{part}:")} for part in PARTS)
    return Tensors(*parts), state
