"""Weight files that ask for more than they hold, or for other things than numbers, are refused."""

import os
import pickle
import re
import struct
import tracemalloc

import numpy as np
import pytest

from paddle_automl.core.errors import ConfigError
from paddle_automl.paddle_compat.weights import load_weights

EMPTY_TUPLE = b")"


def text(word: str) -> bytes:
    return b"\x8c" + bytes([len(word)]) + word.encode()


def name(module: str, word: str) -> bytes:
    return text(module) + text(word) + b"\x93"


def entry(value: bytes, key: bytes = text("w")) -> bytes:
    return b"\x80\x04}" + key + value + b"s."


def array(dtype: bytes, shape: bytes, content: bytes, flags: bytes = b"K\x00") -> bytes:
    """Return the instructions of an array; `dtype` is a text such as f4, its state has the given flags."""
    rebuilt = name("numpy.core.multiarray", "_reconstruct") + name("numpy", "ndarray") + b"K\x00\x85C\x01b\x87R"
    kind = (
        name("numpy", "dtype")
        + dtype
        + b"\x89\x88\x87R(K\x03"
        + text("<")
        + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xff"
    )
    return rebuilt + b"(K\x01" + shape + kind + flags + b"tb\x89" + content + b"tb"


def four(count: int) -> bytes:
    return b"J" + struct.pack("<i", count)


def refused(tmp_path, content: bytes) -> str:
    file = tmp_path / "w.pdparams"
    file.write_bytes(content)
    tracemalloc.start()
    try:
        with pytest.raises(ConfigError) as caught:
            load_weights(file)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 100 * max(len(content), 1 << 16)
    return str(caught.value)


def test_the_instructions_of_these_tests_make_an_array(tmp_path):
    (tmp_path / "w").write_bytes(entry(array(text("f4"), b"K\x02\x85", b"C\x08" + bytes(8))))
    assert load_weights(tmp_path / "w")["w"].tolist() == [0.0, 0.0]


@pytest.mark.parametrize("flags", [b"K\x00", b"K\x3f"])
def test_an_array_of_raw_pointers_is_refused(tmp_path, flags):
    content = entry(array(text("O8"), b"K\x04\x85", b"C\x20" + b"A" * 32, flags))
    assert "the type O8, which is not a number type" in refused(tmp_path, content)


@pytest.mark.parametrize("kind", ["V8", "M8", "S8", "U2", "f4,O8", "(9999,9999)f4", "f16", "i3"])
def test_other_types_than_numbers_are_refused(tmp_path, kind):
    content = entry(array(text(kind), b"K\x01\x85", b"C\x08" + bytes(8)))
    assert "not a number type" in refused(tmp_path, content)


def test_a_scalar_and_a_buffer_of_pointers_are_refused(tmp_path):
    kind = name("numpy", "dtype") + text("O8") + b"\x85R"
    scalar = name("numpy.core.multiarray", "scalar") + kind + b"C\x08" + bytes(8) + b"\x86R"
    assert "not a number type" in refused(tmp_path, entry(scalar))
    buffer = (
        name("numpy.core.numeric", "_frombuffer") + b"(C\x08" + bytes(8) + kind + b"K\x01\x85" + text("C") + b"tR"
    )
    assert "not a number type" in refused(tmp_path, entry(buffer))


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        (b"K\x03\x85", r"shape \[3\] needs 12 bytes, it holds 8"),
        (four(2**31 - 1) * 2 + b"\x86", "needs 18446744056529682436 bytes"),
        (b"(" + four(2**31 - 1) * 40 + b"t", "impossible shape"),
        (b"J\xff\xff\xff\xff\x85", "impossible shape"),
        (b"\x88\x85", "impossible shape"),
        (b"N", "not made of numbers"),
    ],
)
def test_a_shape_that_is_not_that_of_the_content_is_refused(tmp_path, shape, message):
    said = refused(tmp_path, entry(array(text("f4"), shape, b"C\x08" + bytes(8))))
    assert re.search(message, said)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\x80\x04}" + b"r" + struct.pack("<I", 2**24) + b".", "holds no weights"),
        (b"\x80\x04\x8e" + struct.pack("<Q", 2**40) + b".", "1099511627776 bytes should follow"),
        (b"\x80\x04\x8d" + struct.pack("<Q", 2**40) + b".", "should follow"),
        (b"\x80\x04\x96" + struct.pack("<Q", 2**62) + b".", "should follow"),
        (b"\x80\x02X" + struct.pack("<I", 2**31) + b".", "should follow"),
        (b"\x80\x02\x8b" + struct.pack("<i", 2**30) + b".", "should follow"),
        (b"I" + b"9" * 5000 + b"\n.", "not a file of weights"),
    ],
)
def test_sizes_beyond_the_file_reserve_no_memory(tmp_path, content, message):
    assert message in refused(tmp_path, content)


def test_one_text_made_into_many_arrays_is_refused(tmp_path):
    size = 4096
    source = b"B" + struct.pack("<I", size) + bytes(size) + b"q\x00"
    one = array(text("u1"), four(size) + b"\x85", b"h\x00")
    content = (
        b"\x80\x04}" + text("s") + source + b"s" + b"".join(text(f"{i:04}") + one + b"s" for i in range(500)) + b"."
    )
    assert "larger than its data" in refused(tmp_path, content)


def test_one_list_copied_over_and_over_is_refused(tmp_path):
    start = b"\x80\x04](" + b"N" * 5000 + b"eq\x00"
    copies = b"".join(name("builtins", "tuple") + b"h\x00\x85R0" for _ in range(500))
    assert "larger than its data" in refused(tmp_path, start + copies + b".")


@pytest.mark.parametrize("levels", [b"\x85", b"l"])
def test_deep_nesting_is_a_value_and_no_key(tmp_path, levels):
    deep = b")" + b"\x85" * 100_000 if levels == b"\x85" else b"(" * 100_000 + b"l" * 100_000
    assert "holds no weights" in refused(tmp_path, entry(deep))
    assert "a key is neither a text nor a small number" in refused(tmp_path, entry(b"N", key=deep))
    assert "small number" in refused(tmp_path, entry(b"N", key=b"\x8a\x20" + b"\x7f" * 32))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\x80\x02ios\nsystem\n.", "a mark is missing|the instruction INST"),
        (b"\x80\x02(S'x'\nios\nsystem\n.", "the instruction INST"),
        (b"\x80\x02cos\nsystem\n(S'x'\ntR.", "it holds 'os.system'"),
        (b"\x80\x04" + name("builtins", "eval") + text("1") + b"\x85R.", "it holds 'builtins.eval'"),
        (b"\x80\x04" + name("numpy", "ndarray") + EMPTY_TUPLE + b"\x81.", "the instruction NEWOBJ"),
        (b"\x80\x04" + name("numpy", "ndarray") + four(2**30) + b"\x85\x85R.", "calls ndarray with arguments that"),
        (b"\x80\x04" + name("_codecs", "encode") + text("x") + text("zip") + b"\x86R.", "calls encode"),
        (b"\x80\x02\x82\x01.", "the instruction EXT1"),
        (b"\x80\x02P1\n.", "the instruction PERSID"),
        (b"\x80\x02}h\x07.", "object 7 is used before"),
        (b"\x80\x02.", "takes more from the stack"),
        (b"\x80\x02}}s.", "takes more from the stack"),
        (b"\x80\x02]K\x01K\x02s.", "not a mapping"),
        (b"\x80\x02}K\x01a.", "not a list"),
        (b"\x80\x02}K\x01\x85b.", "the state of an object that has none"),
    ],
)
def test_other_instructions_than_those_of_state_dicts_are_refused(tmp_path, content, message):
    assert re.search(message, refused(tmp_path, content))


@pytest.mark.parametrize("protocol", range(6))
def test_every_kind_of_numbers_is_read_in_every_protocol(tmp_path, protocol):
    state = {
        "c": np.arange(6, dtype="f4").reshape(2, 3),
        "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "big": np.arange(3, dtype=">i4"),
        "half": np.ones(2, "f2"),
        "truth": np.array([True, False]),
        "complex": np.array([1 + 2j]),
        "scalar": np.array(3.0),
        "none": np.zeros((0, 3)),
        "named": ("name", np.ones(2)),
    }
    more = {"text": "x", "number": np.float32(1), "more": {"a": [1]}}
    content = pickle.dumps({**state, **more}, protocol=protocol)
    if protocol:
        # NumPy 2 writes other names of the same functions.
        renamed = content.replace(b"numpy.core", b"numpy._core") if protocol < 4 else content
        (tmp_path / "renamed").write_bytes(renamed)
        assert load_weights(tmp_path / "renamed").keys() == state.keys()
    (tmp_path / "w").write_bytes(content)
    arrays = load_weights(tmp_path / "w")
    assert arrays.keys() == state.keys()
    for key, value in state.items():
        expected = value[1] if isinstance(value, tuple) else value
        assert np.array_equal(arrays[key], expected)
        assert arrays[key].dtype == expected.dtype.newbyteorder("=")
        assert arrays[key].flags.writeable


@pytest.mark.skipif(os.name != "posix", reason="pipes of POSIX systems")
def test_a_pipe_with_a_weight_files_name_is_refused(tmp_path):
    os.mkfifo(tmp_path / "w.pdparams")
    with pytest.raises(ConfigError, match=r"w\.pdparams: cannot read the weights: is not a regular file"):
        load_weights(tmp_path / "w.pdparams")
