"""Vocabularies in GGUF files."""

import ast

import gguf as reference
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from random_models import arrays, checkpoint

from rookery.errors import FormatError
from rookery.formats import gguf
from rookery.formats.gguf_vocabulary import CHAT_TEMPLATE, escape, unescape, vocabulary


@given(st.binary(max_size=20))
def test_escaping_is_ascii_and_comes_back(token):
    text = escape(token)
    assert text.isascii()
    assert text.decode().isprintable()
    assert unescape(text) == token
    assert ast.literal_eval(f"b'{text.decode()}'") == token  # the escapes are also Python's


def test_the_published_forms():
    assert escape("你".encode()) == rb"\xe4\xbd\xa0"
    assert escape(b"\n\n\t\r\\'\"\0 ~\x7f") == rb"\n\n\t\r\\\'" + b'"' + rb"\x00 ~\x7f"


def test_unescaping_is_generous():
    assert unescape(rb"\q\x4\xGG" + "é".encode() + b"\\") == b"qx4xGG" + "é".encode() + b"\\"
    assert unescape(b"\\\n") == b"\n"


def test_the_reference_sees_types_and_special_ids(tmp_path):
    tensors = arrays("7")
    tensors |= {n: np.ones((300, 64), np.float32) for n in ("emb.weight", "head.weight")}
    known = {i: bytes([i - 1]) for i in range(1, 257)} | {261: b"\n\n", 262: "é'".encode()}
    gguf.write(checkpoint(tensors, vocabulary=known), tmp_path / "x.gguf")
    reader = reference.GGUFReader(tmp_path / "x.gguf")
    tokens, types, bos, eos, eot, model = (
        reader.get_field(f"tokenizer.ggml.{key}").contents()
        for key in ("tokens", "token_type", "bos_token_id", "eos_token_id", "eot_token_id", "model")
    )
    assert model == "rwkv"
    assert (bos, eos, eot) == (0, 0, 261)
    assert len(tokens) == len(types) == 300
    assert (tokens[0], types[0]) == ("<s>", reference.TokenType.CONTROL)
    assert (tokens[299], types[299]) == ("[PAD299]", reference.TokenType.UNUSED)
    assert (tokens[262], types[262]) == (r"\xc3\xa9\'", reference.TokenType.NORMAL)
    assert gguf.read(tmp_path / "x.gguf").vocabulary == known


def test_a_vocabulary_that_uses_id_0(tmp_path):
    known = {i: bytes([i]) for i in range(40)}
    gguf.write(checkpoint(arrays("6"), vocabulary=known), tmp_path / "x.gguf")
    assert gguf.read(tmp_path / "x.gguf").vocabulary == known
    assert reference.GGUFReader(tmp_path / "x.gguf").get_field("tokenizer.ggml.bos_token_id") is None


def test_a_whole_world_sized_vocabulary(tmp_path):
    tensors = arrays("7") | {n: np.zeros((65536, 64), np.float16) for n in ("emb.weight", "head.weight")}
    known = {i: i.to_bytes(3, "big") for i in range(1, 65530)}
    gguf.write(checkpoint(tensors, vocabulary=known), tmp_path / "x.gguf")
    assert gguf.read(tmp_path / "x.gguf").vocabulary == known


def test_files_without_a_vocabulary(tmp_path):
    gguf.write(checkpoint(arrays("7")), tmp_path / "x.gguf")
    assert gguf.read(tmp_path / "x.gguf").vocabulary is None
    assert vocabulary({"tokenizer.ggml.model": "gpt2"}, "x") is None


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"tokens": [b"a"]},
        {"tokens": [b"a"], "token_type": np.array([1, 1])},
        {"tokens": [b""], "token_type": np.array([1])},
        {"tokens": "a", "token_type": np.array([1])},
        {"tokens": [b"a"], "token_type": 1},
    ],
)
def test_broken_vocabularies_are_refused(fields):
    metadata = {f"tokenizer.ggml.{key}": value for key, value in ({"model": "rwkv"} | fields).items()}
    with pytest.raises(FormatError, match="token"):
        vocabulary(metadata, "x.gguf")


def test_the_chat_template():
    jinja2 = pytest.importorskip("jinja2")
    template = jinja2.Template(CHAT_TEMPLATE)
    talk = [
        {"role": "system", "content": "first"},
        {"role": "system", "content": " last "},
        {"role": "user", "content": " Hi \n"},
        {"role": "assistant", "content": "<think>hm</think> Hello. "},
        {"role": "user", "content": "Bye"},
    ]
    want = "System:  last \n\nUser: Hi\n\nAssistant: Hello.\n\nUser: Bye\n\n"
    assert template.render(messages=talk, bos_token="") == want
    assert template.render(messages=talk, bos_token="<s>", add_generation_prompt=True) == "<s>" + want + "Assistant:"
    prompt = {"messages": talk[2:3], "bos_token": "", "add_generation_prompt": True}
    assert template.render(**prompt, enable_thinking=True) == "User: Hi\n\nAssistant: <think>"
    assert template.render(**prompt, enable_thinking=False) == "User: Hi\n\nAssistant: <think>\n</think>"
