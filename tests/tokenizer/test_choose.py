"""Which tokenizer one gets, and what one is told when there is none."""

import importlib.util
import subprocess
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest

from rookery.errors import FormatError, MissingExtra, TokenError
from rookery.tokenizer import choose, load_tokenizer, tokenizer_for, world


@pytest.fixture
def packages(monkeypatch):
    """Pretend that exactly these packages are installed, in these folders."""
    folders: dict[str, Path] = {}

    def find_spec(name):
        if name not in folders:
            return None
        spec = ModuleSpec(name, None, is_package=True)
        spec.submodule_search_locations = [str(folders[name])]
        return spec

    monkeypatch.setattr(choose.importlib.util, "find_spec", find_spec)
    return folders


def world_file():
    return Path(importlib.util.find_spec("pyrwkv_tokenizer").origin).with_name("rwkv_vocab_v20230424.txt")


def test_by_name_and_by_content(tmp_path):
    assert load_tokenizer() is load_tokenizer("world") is world()
    misnamed = tmp_path / "tokenizer.json"
    misnamed.write_bytes(b"1 'a' 1\n2 b'\\xff' 1\n")
    tokenizer = load_tokenizer(misnamed)
    assert (tokenizer.name, tokenizer.encode(b"a\xff")) == ("tokenizer", [1, 2])
    with pytest.raises(TokenError, match=r"tokenizer: no token .* begins with byte 98 at position 1"):
        tokenizer.encode("ab")


@pytest.mark.parametrize("content", [b"", b"PK\3\4", b"hello", b"\xff" * 100])
def test_other_files(tmp_path, content):
    path = tmp_path / "other"
    path.write_bytes(content)
    with pytest.raises(FormatError, match="other: neither a vocabulary"):
        load_tokenizer(path)


def test_no_file(tmp_path):
    with pytest.raises(FormatError, match="absent: cannot read the tokenizer"):
        load_tokenizer(tmp_path / "absent")
    with pytest.raises(FormatError, match="cannot read the tokenizer"):
        load_tokenizer(tmp_path)


def test_the_other_package_and_its_line_ends(packages, tmp_path):
    expected = world()
    (tmp_path / "rwkv_vocab_v20230424.txt").write_bytes(WORLD.replace(b"\n", b"\r\n"))
    packages["pyrwkv_tokenizer"] = tmp_path / "without the file"
    packages["rwkv"] = tmp_path
    assert world.__wrapped__().fingerprint == expected.fingerprint


def test_no_package(packages):
    with pytest.raises(MissingExtra, match="pip install pyrwkv-tokenizer"):
        world.__wrapped__()


def test_a_package_with_another_vocabulary(packages, tmp_path):
    (tmp_path / "rwkv_vocab_v20230424.txt").write_bytes(b"1 'a' 1\n")
    packages["rwkv"] = tmp_path
    with pytest.raises(FormatError, match="not the World vocabulary"):
        world.__wrapped__()


@pytest.mark.parametrize("rows", [65530, 65535, 65536])
def test_world_models(rows):
    assert tokenizer_for(None, rows) is world()
    assert tokenizer_for({}, rows) is world()


def test_models_of_bytes():
    tokenizer = tokenizer_for(None, 256)
    assert (tokenizer.name, tokenizer.vocab_size) == ("bytes", 256)
    assert tokenizer.encode("\0é") == [0, 0xC3, 0xA9]
    assert tokenizer.decode_bytes(range(256)) == bytes(range(256))


@pytest.mark.parametrize("rows", [50277, 50304])
def test_pile_models_need_a_file(rows):
    with pytest.raises(TokenError, match=f"{rows} rows needs the Pile tokenizer.*20B_tokenizer.json.*path"):
        tokenizer_for(None, rows)


@pytest.mark.parametrize("rows", [1, 255, 257, 65529, 65537, 100_000])
def test_unknown_models(rows):
    with pytest.raises(TokenError, match=f"no known tokenizer has {rows} rows"):
        tokenizer_for(None, rows)


def test_the_model_s_own_vocabulary_comes_first():
    tokenizer = tokenizer_for({1: b"x", 2: b"xy"}, 65536)
    assert (tokenizer.name, tokenizer.encode("xyx")) == ("model", [2, 1])
    with pytest.raises(TokenError, match="has id 2, but the model only 2 rows"):
        tokenizer_for({1: b"x", 2: b"xy"}, 2)


def test_import_is_light():
    heavy = "{'tokenizers', 'pyrwkv_tokenizer', 'platformdirs', 'torch'}"
    code = f"import sys, rookery.tokenizer; assert not {heavy} & sys.modules.keys()"
    subprocess.run([sys.executable, "-c", code], check=True, env={"PYTHONPATH": ":".join(sys.path)})


def test_the_package_is_not_imported():
    code = "import sys, rookery.tokenizer as t; t.world(); assert 'pyrwkv_tokenizer' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, env={"PYTHONPATH": ":".join(sys.path)})


WORLD = world_file().read_bytes()
