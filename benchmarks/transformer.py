"""
A transformer of random weights, as many as an RWKV model has, for llama.cpp to run beside it.

    python benchmarks/transformer.py model.gguf transformer.gguf
    rookery bench model.gguf --context 512,4096,16384 --against-transformer transformer.gguf --plot context.svg

It has the architecture of Llama, the depth, width and vocabulary of MODEL, three query heads to a key and value head
as today's small transformers have, and a feed-forward as wide as makes the number of parameters equal.  All matrices
are Q8_0.  Needs the `gguf` package.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from rookery.config import Config, shapes
from rookery.formats import open_checkpoint
from rookery.quant import FORMATS, encode_rows

HEAD = 64
SHARE = 3  # query heads to a key and value head
LONGEST = 1 << 20  # context its metadata allows


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("model", type=Path, help="the RWKV model to be like")
    parser.add_argument("target", type=Path, help="the GGUF file to write")
    given = parser.parse_args()
    config = open_checkpoint(given.model).config
    assert config is not None
    wanted = sum(math.prod(shape) for shape in shapes(config).values())
    written = write(given.target, config, wanted)
    print(f"{given.target}: {written / 1e6:.1f} M parameters; {given.model}: {wanted / 1e6:.1f} M")


def write(path: Path, config: Config, parameters: int) -> int:
    """Write the file; how many parameters it has."""
    import gguf

    heads = config.width // HEAD
    shared = next(count for count in range(max(heads // SHARE, 1), 0, -1) if heads % count == 0)
    ffn = _feed_forward(config, shared, parameters)
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("random weights")
    writer.add_vocab_size(config.vocab)
    writer.add_context_length(LONGEST)
    writer.add_embedding_length(config.width)
    writer.add_block_count(config.layers)
    writer.add_feed_forward_length(ffn)
    writer.add_head_count(heads)
    writer.add_head_count_kv(shared)
    writer.add_rope_dimension_count(HEAD)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_tokenizer_model("no_vocab")
    count = 0
    for name, shape in _tensors(config, shared * HEAD, ffn):
        count += math.prod(shape)
        if len(shape) == 1:
            writer.add_tensor(name, np.ones(shape, np.float32))
        else:
            writer.add_tensor(name, _random(shape), raw_dtype=gguf.GGMLQuantizationType.Q8_0)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return count


def _feed_forward(config: Config, shared: int, parameters: int) -> int:
    """The width, a multiple of 32, that comes nearest to the number of parameters."""
    without = sum(math.prod(shape) for _, shape in _tensors(config, shared * HEAD, 0))
    exact = (parameters - without) / (3 * config.width * config.layers)
    return max(round(exact / 32), 1) * 32


def _tensors(config: Config, shared: int, ffn: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Name and shape, outputs first.  shared: channels of keys and values."""
    width = config.width
    yield "token_embd.weight", (config.vocab, width)
    for i in range(config.layers):
        yield f"blk.{i}.attn_norm.weight", (width,)
        yield f"blk.{i}.attn_q.weight", (width, width)
        yield f"blk.{i}.attn_k.weight", (shared, width)
        yield f"blk.{i}.attn_v.weight", (shared, width)
        yield f"blk.{i}.attn_output.weight", (width, width)
        yield f"blk.{i}.ffn_norm.weight", (width,)
        yield f"blk.{i}.ffn_gate.weight", (ffn, width)
        yield f"blk.{i}.ffn_up.weight", (ffn, width)
        yield f"blk.{i}.ffn_down.weight", (width, ffn)
    yield "output_norm.weight", (width,)
    yield "output.weight", (config.vocab, width)


def _random(shape: tuple[int, ...]) -> np.ndarray:
    """Q8_0 rows with the spread a trained matrix has: a few of them, over and over."""
    rows, cols = shape
    few = np.random.default_rng(rows).standard_normal((min(rows, 64), cols), np.float32) / math.sqrt(cols)
    return np.resize(encode_rows(FORMATS["Q8_0"], few), (rows, FORMATS["Q8_0"].row_bytes(cols)))


if __name__ == "__main__":
    main()
