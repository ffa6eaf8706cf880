"""
GGUF files of RWKV-6 and RWKV-7, written tensor by tensor.

Names, orientation, element types and keys are those other programs expect; see docs/formats-gguf.md.  RWKV-6 is
written undivided: `rescale_every_n_layers` is 0, which readers take as "no rescaling".
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from rookery.config import GROUP_NORM_EPS, Config, optional
from rookery.errors import MissingTensor, NumericError, SettingsError, UnknownTensor, UnsupportedError
from rookery.formats.checkpoint import Checkpoint, Tensor
from rookery.formats.gguf_names import ARCHITECTURES, KEPT_F32, MATRICES, TOP, Architecture, Name
from rookery.formats.gguf_pack import Descriptor, Key, aligned, header
from rookery.formats.gguf_vocabulary import CHAT_TEMPLATE, table
from rookery.formats.lazy import reshaped, stacked, stored_bytes, transposed
from rookery.formats.target import atomic
from rookery.quant import FORMATS
from rookery.quant.clipping import clips

__all__ = ["DTYPES", "write"]

DTYPES = tuple(name for name, kind in FORMATS.items() if kind.encode and kind.in_gguf)

CONTEXT_LENGTH = 1048576  # a number readers want; the models have no limit
END_OF_TURN = b"\n\n"

# `general.file_type` of a file whose matrices are mostly of one type (the medium mixes for the K-quants).
_FILE_TYPES = {"F32": 0, "F16": 1, "BF16": 32, "Q4_0": 2, "Q4_1": 3, "Q5_0": 8, "Q5_1": 9, "Q8_0": 7} | {
    "Q4_K": 15,
    "Q5_K": 17,
    "Q6_K": 18,
}
_KEPT = ("rookery.quality", "rookery.zeros")  # what `rookery quantize` writes down
_PIECE = 1 << 22  # numbers converted at a time


@dataclass(frozen=True, slots=True)
class _Output:
    """A tensor of the file: `tensor` already has the shape and orientation to write."""

    name: str
    tensor: Tensor
    format: str

    def descriptor(self) -> Descriptor:
        nbytes = stored_bytes(self.format, self.tensor.shape, f"tensor {self.name!r}")
        return Descriptor(self.name, self.tensor.shape, FORMATS[self.format].ggml, nbytes)


def write(
    checkpoint: Checkpoint,
    path: Path,
    dtype: str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Write a checkpoint of RWKV-6 or RWKV-7 as GGUF; the file appears when it is complete.

    dtype:    storage of the matrices, one of `DTYPES`; None keeps
              each as it is stored.  Vectors and the tensors in KEPT_F32 are always float32; in quantised files the
              other low-rank matrices, and rows that are no whole number of blocks, are float16.
    progress: called with (bytes written, bytes in all) after every tensor.

    The tokens of `checkpoint.vocabulary` become the file's tokenizer; without them the file has none.
    Raises UnsupportedError for other versions and for tuned states, SettingsError for an unknown dtype, NumericError
    when a number does not fit the type.
    """
    if dtype is not None and dtype not in DTYPES:
        raise SettingsError(f"{dtype!r} is no type that can be written to GGUF; known: {', '.join(DTYPES)}")
    if checkpoint.initial_state:
        raise UnsupportedError(f"{path}: GGUF has no place for a tuned state; write .pth or .safetensors instead")
    shapes = {name: tensor.shape for name, tensor in checkpoint.tensors.items()}
    config = checkpoint.config or Config.infer(shapes, str(checkpoint.path))
    outputs = _outputs(checkpoint, config, dtype)
    descriptors = [output.descriptor() for output in outputs]
    total = sum(aligned(d.nbytes) for d in descriptors)
    done = 0
    with atomic(Path(path)) as file:
        file.write(header(_keys(checkpoint, config, outputs), descriptors))
        for output, descriptor in zip(outputs, descriptors, strict=True):
            _emit(file, output, checkpoint.release)
            file.write(bytes(aligned(descriptor.nbytes) - descriptor.nbytes))
            done += aligned(descriptor.nbytes)
            if progress is not None:
                progress(done, total)


def _outputs(checkpoint: Checkpoint, config: Config, dtype: str | None) -> list[_Output]:
    """Every tensor of the file, in order.  All of the checkpoint's must have found their place."""
    pick = _Picker(checkpoint)
    named = [(gguf, pick(official)) for gguf, official in TOP.items()]
    for layer in range(config.layers):
        named += [(f"blk.{layer}.{gguf}", tensor) for gguf, tensor in _block(pick, config, layer)]
    left = [name for name in checkpoint.tensors if name not in pick.used and not optional(name)]
    if left:
        raise UnknownTensor(f"{checkpoint.path}: tensor {left[0]!r} has no place in a GGUF file; remove it first")
    return [_Output(name, tensor, _format(name, tensor, dtype)) for name, tensor in named]


def _block(pick: _Picker, config: Config, layer: int) -> Iterator[tuple[str, Tensor]]:
    kind, block = _architecture(config)[1], f"blocks.{layer}."
    fused = kind.fused
    vectors = [_flat(pick(f"{block}{fused.official}{letter}"), block) for letter in fused.letters]
    stack = stacked(vectors)
    yield fused.gguf, reshaped(stack, (len(vectors), 1, 1, stack.shape[-1]), block)
    for name in kind.names:
        official = block + name.official
        if optional(official):
            # Readers ask for a value residual in block 0 and ignore it: fill in the learning rate's tensors.
            official = official.replace("att.v", "att.a")
        yield name.gguf, _stored_form(pick(official), name, config)


def _stored_form(tensor: Tensor, name: Name, config: Config) -> Tensor:
    what = f"tensor {name.official!r}"
    if name.rule == "transpose":
        return transposed(tensor, what)
    if name.rule == "vector" or name.official == "att.r_k":
        return _flat(tensor, what)
    if name.rule == "heads":
        return reshaped(tensor, (config.heads, config.head_size), what)
    return tensor


def _flat(tensor: Tensor, what: str) -> Tensor:
    return reshaped(tensor, (int(np.prod(tensor.shape)),), what)


def _format(name: str, tensor: Tensor, dtype: str | None) -> str:
    """The storage type of a tensor: see `write`."""
    short = name.split(".", 2)[2] if name.startswith("blk.") else name
    if len(tensor.shape) == 1 or short in KEPT_F32:
        return "F32"
    wanted = dtype or tensor.format
    if not FORMATS[wanted].in_gguf:
        raise SettingsError(
            f"tensor {name!r} is stored as {wanted}, which GGUF has no type for; choose a dtype, for example Q8_0"
        )
    if FORMATS[wanted].block > 1 and (short not in MATRICES or tensor.shape[-1] % FORMATS[wanted].block):
        return "F16"
    return wanted


def _emit(file: BinaryIO, output: _Output, release: Callable[[], None]) -> None:
    """The tensor's numbers, a bounded piece at a time; `release` gives the source's pages back after each."""
    source, target = FORMATS[output.tensor.format], FORMATS[output.format]
    data = output.tensor.load()
    rows = data.reshape(-1, data.shape[-1])
    step = max(1, _PIECE // output.tensor.shape[-1])
    for start in range(0, len(rows), step):
        piece = rows[start : start + step]
        if source is not target:
            piece = _encoded(output, source.decode(piece))
        file.write(np.ascontiguousarray(piece).data)
        release()


def _encoded(output: _Output, numbers: np.ndarray) -> np.ndarray:
    encode = FORMATS[output.format].encode
    assert encode is not None
    try:
        stored = encode(numbers)
    except NumericError as error:
        raise NumericError(f"tensor {output.name!r}: {error}") from None
    if output.format == "F16" and not np.array_equal(np.isfinite(stored), np.isfinite(numbers)):
        raise NumericError(f"tensor {output.name!r} holds numbers beyond the range of F16; use dtype='BF16' or 'F32'")
    if FORMATS[output.format].block > 1 and clips(FORMATS[output.format], numbers, stored):
        raise NumericError(
            f"tensor {output.name!r} holds numbers beyond the range of {output.format}; use dtype='BF16' or 'F32'"
        )
    return stored


def _architecture(config: Config) -> tuple[str, Architecture]:
    for name, kind in ARCHITECTURES.items():
        if kind.version == config.version:
            if config.group_norm_eps != GROUP_NORM_EPS:
                raise UnsupportedError(f"GGUF cannot say that group_norm_eps is {config.group_norm_eps}")
            return name, kind
    raise UnsupportedError(f"GGUF is defined for RWKV 6 and 7; this is RWKV {config.version}: use another format")


def _keys(checkpoint: Checkpoint, config: Config, outputs: list[_Output]) -> list[Key]:
    name = _architecture(config)[0]
    sizes = {
        "context_length": CONTEXT_LENGTH,
        "embedding_length": config.width,
        "block_count": config.layers,
        "feed_forward_length": config.ffn,
        "wkv.head_size": config.head_size,
        "attention.head_count": 0,
        "vocab_size": config.vocab,
    }
    ranks = config.ranks
    if name == "rwkv6":
        sizes |= {
            "rescale_every_n_layers": 0,
            "time_mix_extra_dim": ranks["mix"],
            "time_decay_extra_dim": ranks["decay"],
        }
    else:
        long = {"w": "decay", "a": "iclr", "v": "value_residual_mix", "g": "gate"}
        sizes |= {f"attention.{long[x]}_lora_rank": ranks[x] for x in "wavg"}
    matrix = next(o for o in outputs if o.name == "blk.0.time_mix_key.weight")
    return [
        Key("general.architecture", "str", name),
        Key("general.type", "str", "model"),
        Key("general.name", "str", Path(checkpoint.path).stem),
        Key("general.file_type", "u32", _FILE_TYPES[matrix.format]),
        Key("general.quantization_version", "u32", 2),
        *(Key(f"{name}.{key}", "u32", value) for key, value in sizes.items()),
        Key(f"{name}.attention.layer_norm_epsilon", "f32", 1e-5),
        *_tokenizer(checkpoint, config),
        *(Key(key, "str", x) for key, x in checkpoint.metadata.items() if key in _KEPT and isinstance(x, str)),
    ]


def _tokenizer(checkpoint: Checkpoint, config: Config) -> list[Key]:
    known = checkpoint.vocabulary
    if known is None:
        return [Key("tokenizer.ggml.model", "str", "none")]
    wrong = next((i for i, token in known.items() if not 0 <= i < config.vocab or not token), None)
    if wrong is not None:
        raise SettingsError(f"token {wrong} of the vocabulary is empty or beyond the model's {config.vocab} rows")
    tokens, types = table(known, config.vocab)
    keys = [
        Key("tokenizer.ggml.model", "str", "rwkv"),
        Key("tokenizer.ggml.tokens", "str", tokens),
        Key("tokenizer.ggml.token_type", "i32", types),
        Key("tokenizer.chat_template", "str", CHAT_TEMPLATE),
    ]
    if 0 not in known:  # id 0 ends a document
        keys += [Key("tokenizer.ggml.bos_token_id", "u32", 0), Key("tokenizer.ggml.eos_token_id", "u32", 0)]
    turn = next((i for i, token in known.items() if token == END_OF_TURN), None)
    return keys if turn is None else [*keys, Key("tokenizer.ggml.eot_token_id", "u32", turn)]


class _Picker:
    """Tensors of a checkpoint by name, remembering which were used."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.path = checkpoint.path
        self.tensors = checkpoint.tensors
        self.used: set[str] = set()

    def __call__(self, name: str) -> Tensor:
        if name not in self.tensors:
            raise MissingTensor(f"{self.path}: tensor {name!r} is missing; this is not a whole RWKV checkpoint")
        self.used.add(name)
        return self.tensors[name]
