"""
GGUF files of RWKV-6 and RWKV-7: read into official names, shapes and orientation.

Tensors stay views of the mapped file; a block-quantised tensor is decoded only where GGUF stores it in another
orientation.  The division by powers of two that RWKV-6 files may carry is undone.  See docs/formats-gguf.md.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from rookery.errors import FormatError, MissingTensor, UnknownTensor, UnsupportedError
from rookery.formats.checkpoint import Checkpoint, Tensor
from rookery.formats.gguf_container import MAGIC, Container, Entry, parse
from rookery.formats.gguf_names import ARCHITECTURES, OLDER, TOP, Fused
from rookery.formats.gguf_vocabulary import vocabulary
from rookery.formats.gguf_write import write
from rookery.formats.lazy import mapped, part, reshaped, transposed
from rookery.formats.rescale import rescaled
from rookery.formats.source import Source
from rookery.quant import FORMATS

__all__ = ["NAME", "read", "sniff", "write"]

NAME = "gguf"
RESCALED = ("att.output.weight", "ffn.value.weight")

_BY_ID = {kind.ggml: kind.name for kind in FORMATS.values() if kind.in_gguf}
_OTHER_TYPES = {9: "Q8_1", 10: "Q2_K", 11: "Q3_K", 15: "Q8_K", 20: "IQ4_NL", 23: "IQ4_XS", 34: "TQ1_0", 35: "TQ2_0"}
_BLOCK = re.compile(r"blk\.(0|[1-9][0-9]{0,5})\.(.+)")
_LONG = 64  # arrays above this length are summed up in the metadata


def sniff(path: Path, head: bytes) -> bool:
    """Whether a file that begins with `head` is GGUF."""
    return head.startswith(MAGIC)


def read(path: Path) -> Checkpoint:
    """A GGUF file as a checkpoint with official names.

    Raises FormatError (or TruncatedFile, UnknownTensor, MissingTensor) when the file is damaged, UnsupportedError
    for other architectures, split files and element types rookery does not read.
    """
    source = Source(path)
    container = parse(source)
    model = _Model(source, container)
    return Checkpoint(
        path=path,
        format=NAME,
        tensors=model.official(),
        metadata={key: _summary(value) for key, value in container.metadata.items()} | model.notes,
        vocabulary=vocabulary(container.metadata, str(path)),
        release=source.release,
    )


class _Model:
    """The tensors of one container, under official names."""

    def __init__(self, source: Source, container: Container) -> None:
        self.path = source.path
        self.metadata = container.metadata
        self.name = self._architecture()
        self.kind = ARCHITECTURES[self.name]
        self.stored = _tensors(source, container.entries)
        self.layers = self._integer("block_count", len(container.entries))
        self.head_size = self._integer("wkv.head_size", 1 << 20)
        self.rescale = self._integer("rescale_every_n_layers", 1 << 31, default=0) if self.name == "rwkv6" else 0
        self.names = {n.gguf: n for n in (*self.kind.names, *OLDER[self.name])}
        self.notes: dict[str, Any] = {"rookery.rescale_undone": self.rescale} if self.rescale else {}

    def official(self) -> dict[str, Tensor]:
        out: dict[str, Tensor] = {}
        for gguf, tensor in self.stored.items():
            for name, found in self._convert(gguf, tensor):
                if name in out:
                    raise FormatError(f"{self.path}: tensor {name!r} is stored twice; the second is {gguf!r}")
                out[name] = found
        return out

    def _convert(self, gguf: str, tensor: Tensor) -> Iterator[tuple[str, Tensor]]:
        if gguf in TOP:
            yield TOP[gguf], tensor
            return
        match = _BLOCK.fullmatch(gguf)
        if match is None or int(match[1]) >= self.layers:
            raise UnknownTensor(
                f"{self.path}: tensor {gguf!r} does not belong to {self.name} with {self.layers} blocks"
            )
        layer, rest = int(match[1]), match[2]
        if rest == self.kind.fused.gguf:
            yield from self._fused(layer, self.kind.fused, tensor)
        elif rest not in self.names:
            raise UnknownTensor(f"{self.path}: tensor {gguf!r} is not known of {self.name}")
        elif not (self.name == "rwkv7" and layer == 0 and re.fullmatch(r"att\.v[012]", self.names[rest].official)):
            # Block 0 has no value residual: files hold fillers there because their readers ask for them.
            name = self.names[rest]
            yield f"blocks.{layer}.{name.official}", self._rule(layer, name.rule, name.official, tensor)

    def _rule(self, layer: int, rule: str, official: str, tensor: Tensor) -> Tensor:
        what = f"{self.path}: tensor 'blocks.{layer}.{official}'"
        if rule == "transpose":
            return transposed(tensor, what)
        if rule == "vector":
            return reshaped(tensor, (1, 1, math.prod(tensor.shape)), what)
        if rule == "heads":
            return reshaped(tensor, (math.prod(tensor.shape) // self.head_size, self.head_size), what)
        if self.rescale and official in RESCALED:
            return rescaled(tensor, layer // self.rescale, what)
        return tensor

    def _fused(self, layer: int, fused: Fused, tensor: Tensor) -> Iterator[tuple[str, Tensor]]:
        count = len(fused.letters)
        if tensor.shape[0] != count:
            raise FormatError(
                f"{self.path}: tensor 'blk.{layer}.{fused.gguf}' has shape {tensor.shape}, expected {count} rows"
            )
        width = math.prod(tensor.shape[1:])
        for index, letter in enumerate(fused.letters):
            official = f"blocks.{layer}.{fused.official}{letter}"
            yield official, reshaped(part(tensor, index), (1, 1, width), f"{self.path}: tensor {official!r}")

    def _architecture(self) -> str:
        name = self.metadata.get("general.architecture")
        if not isinstance(name, str):
            raise FormatError(f"{self.path}: the key 'general.architecture' is missing; this is no model file")
        if name not in ARCHITECTURES:
            raise UnsupportedError(
                f"{self.path}: a model of architecture {name!r}, which is not supported; expected "
                f"{' or '.join(ARCHITECTURES)}"
            )
        split = self.metadata.get("split.count", 1)
        if isinstance(split, int) and split > 1:
            raise UnsupportedError(f"{self.path}: one of {split} parts; join them first (llama-gguf-split --merge)")
        return name

    def _integer(self, key: str, limit: int, default: int | None = None) -> int:
        """A size from the metadata: positive, or a default where it may be absent."""
        value = self.metadata.get(f"{self.name}.{key}", default)
        least = 1 if default is None else default
        if type(value) is not int or not least <= value <= limit:
            raise FormatError(f"{self.path}: {self.name}.{key} is {value!r}, expected a number from {least} to {limit}")
        return value


def _tensors(source: Source, entries: list[Entry]) -> dict[str, Tensor]:
    """The stored tensors by GGUF name, their ranges checked: inside the file, none over another."""
    if not entries:
        raise MissingTensor(f"{source.path}: the file holds no tensors; fetch the whole model")
    found, end = {}, 0
    for entry in sorted(entries, key=lambda e: e.offset):
        what = f"{source.path}: tensor {entry.name!r}"
        if entry.type not in _BY_ID:
            kind = _OTHER_TYPES.get(entry.type, f"type {entry.type}")
            raise UnsupportedError(
                f"{what} is stored as {kind}, which is not supported; known: {', '.join(_BY_ID.values())}"
            )
        if entry.offset < end:
            raise FormatError(f"{what} overlaps the tensor before it")
        format = _BY_ID[entry.type]
        found[entry.name] = mapped(source, entry.offset, format, entry.shape, f"tensor {entry.name!r}")
        end = entry.offset + math.prod(entry.shape[:-1]) * FORMATS[format].row_bytes(entry.shape[-1])
    return {entry.name: found[entry.name] for entry in entries}


def _summary(value: Any) -> Any:
    """A value as `show` prints it: arrays as lists, long ones as one line."""
    if not isinstance(value, list | np.ndarray):
        return value
    if len(value) > _LONG:
        return f"array of {len(value)} {'strings' if isinstance(value, list) else value.dtype.name}"
    return [x.decode("utf-8", "replace") for x in value] if isinstance(value, list) else value.tolist()
