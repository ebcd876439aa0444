"""The text input: n-grams as scikit-learn counts them, tokens, cleaning, vocabularies as files."""

import hashlib
import json
from typing import get_args

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.feature_extraction.text import TfidfVectorizer

from paddle_automl.core.errors import BundleError, ConfigError, DataError
from paddle_automl.core.loading import validate
from paddle_automl.inputs.base import INPUTS, batched, restore
from paddle_automl.inputs.ragged import Ragged
from paddle_automl.inputs.text import TextConfig, TextInput, cleaning, fitting, learned
from paddle_automl.inputs.text.cleaning import split_words
from paddle_automl.inputs.text.ngrams import Counter, symbols_of
from paddle_automl.inputs.text.options import NAMES, Block, Named

CHINESE = ("房间很干净，早餐一般", "太吵了，房间太小", "很好很好", "好", "早餐很好", "房间 干净", "吵") * 2
ENGLISH = ("the room was clean", "the room was small", "noisy street, noisy room", "clean and quiet", "a") * 2


def fitted(texts, **options):
    config = validate(TextConfig, {"name": "text", **options})
    items = np.array(texts, dtype=object)
    reader = TextInput.reader(config, sources=None, items=items)
    return TextInput.fit(
        config, reader, TextInput.measure(config, reader, batched(items.__getitem__, np.arange(len(items))))
    )


def matrix(given, texts):
    found = given.encode(np.array(texts, dtype=object))
    rows, weights = found["ngrams"], found["ngram_weights"]
    shape = (len(texts), given.rows("ngrams"))
    return sp.csr_matrix((weights.values, rows.values, rows.offsets), shape=shape)


def test_a_tokenizer_whose_ids_have_gaps_is_refused(tmp_path):
    model = {"type": "WordLevel", "vocab": {"<unknown>": 0, "b": 1000}, "unk_token": "<unknown>"}
    file = tmp_path / "tokenizer.json"
    file.write_text(json.dumps({"version": "1.0", "model": model, "added_tokens": []}))
    with pytest.raises(DataError, match=r"tokenizer\.json: the ids of its 2 tokens must be 0 to 1, .*'b' has 1000"):
        fitted(ENGLISH, tokens={"kind": "trained", "file": str(file)})
    given = fitted(ENGLISH, tokens={"kind": "trained"})
    folder = tmp_path / "learned"
    given.save(folder)
    (folder / "tokenizer.json").write_bytes(file.read_bytes())
    files = {**given.fitted.files, "tokenizer.json": hashlib.sha256(file.read_bytes()).hexdigest()}
    forged = restore(given.fitted.model_copy(update={"files": files}), folder)
    with pytest.raises((BundleError, DataError), match="the ids of its 2 tokens must be 0 to 1"):
        forged.batch(np.array(["b b"], dtype=object))


def test_a_large_vocabulary_can_be_read_again(tmp_path, monkeypatch):
    monkeypatch.setattr(learned, "LARGEST_FILE", 64)
    given = fitted(ENGLISH, ngrams=["characters 1-4"])
    given.save(tmp_path)
    assert (tmp_path / "ngrams.txt").stat().st_size > 64
    again = restore(given.fitted, tmp_path)
    assert again.texts("ngrams") == given.texts("ngrams")
    with open(tmp_path / "ngrams.txt", "a") as file:
        file.write("x" * learned.LONGEST_LINE * sum(given.fitted.block_sizes))
    with pytest.raises(
        BundleError, match=r"ngrams\.txt: has more than the 0 MB that the vocabulary of this network"
    ):
        _ = restore(given.fitted, tmp_path).learned
    monkeypatch.setattr(learned, "LONGEST_LINE", 2)
    monkeypatch.setattr(learned, "LARGEST_FILE", 16)
    for options, option in (({"ngrams": ["characters 1-4"]}, "max_ngrams"), ({"ngrams": "none"}, "tokens")):
        with pytest.raises(ConfigError, match=rf"^data\.input\.{option}: the .* take 0 MB, more than the 0 MB"):
            fitted(ENGLISH, **options)


@pytest.mark.parametrize(
    ("texts", "block", "options"),
    [
        (CHINESE, "characters 1-3", {"analyzer": "char", "ngram_range": (1, 3), "min_df": 2}),
        (ENGLISH, "characters 2-4", {"analyzer": "char", "ngram_range": (2, 4), "min_df": 2}),
        (ENGLISH, "words 1-2", {"analyzer": "word", "ngram_range": (1, 2), "min_df": 1}),
        (ENGLISH, "characters_in_words 2-5", {"analyzer": "char_wb", "ngram_range": (2, 5), "min_df": 2}),
    ],
)
def test_ngrams_have_the_weights_of_scikit_learn(texts, block, options):
    words = {"tokenizer": lambda text: text.replace(",", " , ").split(), "token_pattern": None}
    model = TfidfVectorizer(sublinear_tf=True, **options, **(words if options["analyzer"] == "word" else {}))
    expected = model.fit_transform(texts)
    given = fitted(texts, ngrams=[block], tokens="none", unicode="none", full_width="keep")
    names = given.texts("ngrams")[1:]
    assert sorted(names) == sorted(model.get_feature_names_out())
    # Words that are shorter than the longest n-grams scikit-learn counts once more.
    if options["analyzer"] != "char_wb":
        found = matrix(given, texts).toarray()[:, 1:]
        order = [names.index(name) for name in model.get_feature_names_out()]
        np.testing.assert_allclose(found[:, order], expected.toarray(), atol=1e-6)


def test_each_block_of_a_text_has_unit_length_and_unknown_texts_one_entry():
    given = fitted(ENGLISH, ngrams=["words 1", "characters 1-2"], tokens="none")
    found = matrix(given, [*ENGLISH[:3], "木木", ""])
    np.testing.assert_allclose(np.asarray(found.multiply(found).sum(axis=1))[:3, 0], 2, rtol=1e-5)
    arrays = given.batch(np.array(["木木", ""], dtype=object))
    assert arrays["ngrams"].tolist() == [[0], [0]]
    assert arrays["ngram_weights"].tolist() == [[0], [0]]
    names = [name for name, _, _ in given.blocks]
    assert names == ["words 1", "characters 1-2"]
    (_, first, middle), (_, again, end) = given.blocks
    assert (first, middle, end) == (1, again, given.rows("ngrams"))
    assert set(given.texts("ngrams")[first:middle]) >= {"room", "clean"}


def test_equal_words_are_held_once_while_they_are_counted():
    counter = Counter(validate(Block, {"unit": "words", "lengths": [1, 2]}))
    for _ in range(2):
        symbols = symbols_of(["the clean room", "the room"], "words", split_words)
        assert len({id(word) for word in symbols.words}) == 5
        counter.add(symbols)
    held = [word for kept in counter._symbols for word in kept.words]
    assert len({id(word) for word in held}) == len(set(held)) == 3
    assert counter.most(10) == (["clean", "clean room", "room", "the", "the clean", "the room"], [2, 2, 4, 4, 2, 2])


def test_the_most_frequent_ngrams_are_kept():
    given = fitted(CHINESE, ngrams=["characters 1"], tokens="none", max_ngrams=10)
    assert given.rows("ngrams") == 11
    assert given.rows("ngram_weights") is None
    assert "好" in given.texts("ngrams")


def test_a_network_of_ngrams_needs_a_known_one():
    given = fitted(["a b", "c d"] * 2, ngrams=["characters 8", {"unit": "words", "min_count": 50}], tokens="words")
    with pytest.raises(
        ConfigError,
        match=r"^data\.input\.ngrams: the 4 training texts have none of the n-grams that are asked for "
        r"\(characters 8 in 2 or more, words 1-3 in 50 or more of them\).* use shorter ones",
    ):
        given.only(["ngrams", "ngram_weights"])
    assert given.only(["tokens"]).rows("tokens") > 2
    # Random rows, for timing, are rows of the table: it has that of padding alone.
    assert given.example(3, np.random.default_rng(0))["ngrams"].max() == 0
    given.check(given.example(3, np.random.default_rng(0)))


@pytest.mark.parametrize(
    ("long", "read"),
    [("head", "abcdefgh"), ("head_tail", "abcdwxyz"), ("windows", "abijqryz")],
)
def test_long_texts_are_cut(long, read):
    text = "abcdefghijklmnopqrstuvwxyz"
    given = fitted([text] * 2, tokens="characters", ngrams="none", max_length=8, long=long)
    names = given.texts("tokens")
    found = given.batch(np.array([text, "ab?"], dtype=object))["tokens"]
    assert "".join(names[row] for row in found[0]) == read
    assert [names[row] for row in found[1]] == ["a", "b", "<unknown>", "", "", "", "", ""]


def test_the_fraction_that_is_never_read_is_told(caplog):
    given = fitted(["a" * 16, "b" * 4] * 2, tokens="characters", max_length=8)
    given.only(["ngrams", "ngram_weights"])
    assert not caplog.text
    given.only(["tokens"])
    assert "40% of the characters of the training texts are never read" in caplog.text


def test_the_fraction_of_parts_of_words_that_is_never_read_is_told(tmp_path, caplog):
    pytest.importorskip("tokenizers")
    (tmp_path / "vocab.txt").write_text("[UNK]\nroom\nclean\n##s\n", "utf-8")
    tokens = {"kind": "wordpiece", "file": str(tmp_path / "vocab.txt")}
    short = fitted(["rooms clean", "clean"], tokens=tokens, max_length=4)
    assert short.fitted.unread == 0
    short.only(["tokens"])
    assert not caplog.text
    # Eight of 16 tokens, and none of two.
    long = fitted(["clean " * 14 + "rooms", "rooms"], tokens=tokens, max_length=8)
    assert long.fitted.unread == pytest.approx(8 / 18, abs=0.01)
    long.only(["tokens"])
    assert "44% of the tokens of the training texts are never read" in caplog.text


def test_tokens_are_rows_by_frequency_and_rare_ones_unknown():
    given = fitted(ENGLISH, tokens="words", ngrams="none")
    assert given.texts("tokens")[:3] == ["", "<unknown>", "room"]
    assert given.rows("tokens") == len(given.texts("tokens"))
    assert given.tokens_kind == "words"
    tokens = given.batch(np.array(["room zebra", ""], dtype=object))["tokens"]
    assert tokens.tolist() == [[2, 1], [1, 0]]


@pytest.mark.parametrize(
    ("options", "text", "same"),
    [
        ({}, "ＡＢ１　ｃ", "ab1 c"),
        ({"unicode": "NFC"}, "ＡＢ１　ｃ", "ab1 c"),
        ({}, "Room\r\n\t clean\u200b ", "room clean"),
        ({"chinese": "simplified"}, "乾淨", "干净"),
        ({"chinese": "traditional"}, "干净", "乾淨"),
    ],
)
def test_texts_are_cleaned(options, text, same):
    given = fitted([text, same, "ab1 c", "room clean", "干净乾淨"] * 2, ngrams=["characters 1-2"], **options)
    first, second = given.batch(np.array([text, same], dtype=object))["tokens"]
    assert first.tolist() == second.tolist()


def test_what_is_kept_when_cleaning_is_off():
    given = fitted(["Ａa", "Aa"] * 2, ngrams=["characters 1"], unicode="none", case="keep", full_width="keep")
    assert set(given.texts("ngrams")) == {"", "A", "a", "Ａ"}


def test_auto_follows_the_language():
    chinese, english = fitted(CHINESE), fitted(ENGLISH)
    assert [block.name for block in chinese.fitted.blocks] == ["characters 1-3"]
    assert chinese.tokens_kind == "characters"
    assert [block.name for block in english.fitted.blocks] == ["words 1-2", "characters_in_words 2-5"]
    assert english.tokens_kind == "words"
    assert fitted(CHINESE, ngrams="characters_and_words").fitted.words == "jieba"


def test_korean_words_are_those_between_spaces(monkeypatch, caplog):
    texts = ("방이 정말 깨끗해요", "조식이 맛있어요", "방이 너무 좁아요", "客室 방이 韓國") * 2
    given = fitted(texts, ngrams="characters_and_words", tokens="words")
    assert given.fitted.words == "spaces"
    assert given.texts("tokens")[2] == "방이"
    monkeypatch.setattr(fitting, "find_spec", lambda name: None)
    assert fitted(texts, ngrams="characters_and_words", tokens="words").fitted == given.fitted
    assert not caplog.text
    # Japanese has no spaces between words; some of its characters are Chinese ones, which jieba knows.
    japanese = ("部屋がとても綺麗です", "朝食がおいしい") * 2
    assert fitted(japanese, ngrams="words").fitted.words == "spaces"
    assert "jieba is not installed" in caplog.text


def test_of_few_texts_the_sets_know_what_occurs_once(monkeypatch):
    assert "乙" in fitted(["甲", "甲", "乙"]).texts("ngrams")
    # Blocks that are written out stay as they are, and so do sets of many texts.
    assert "乙" not in fitted(["甲", "甲", "乙"], ngrams=["characters 1-3"]).texts("ngrams")
    monkeypatch.setattr(fitting, "FEW", 3)
    assert "乙" not in fitted(["甲", "甲", "乙"]).texts("ngrams")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ngrams": "charakters"}, "ngrams: unknown n-grams 'charakters'; did you mean 'characters'"),
        ({"ngrams": ["letters 1-2"]}, "must be a unit and lengths, such as 'characters 1-3'"),
        ({"ngrams": ["characters 3-1"]}, "lengths must rise between 1 and 8, got 3 and 1"),
        ({"tokens": "wordpiece"}, "file: wordpiece needs a vocabulary file"),
        ({"tokens": {"kind": "words", "file": "x"}}, "file: words takes no file"),
        ({"max_length": 1}, "max_length"),
    ],
)
def test_mistakes_in_options(options, message):
    with pytest.raises(ConfigError, match=message):
        validate(TextConfig, {"name": "text", **options})


def test_nothing_to_see_and_missing_files_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="ngrams and tokens are both none"):
        fitted(CHINESE, ngrams="none", tokens="none")
    with pytest.raises(ConfigError, match=r"takes the array 'tokens', but data.input.tokens is none"):
        fitted(CHINESE, tokens="none").only(["tokens"])
    with pytest.raises(ConfigError, match=r"tokens\.file: cannot read '.*missing"):
        fitted(CHINESE, tokens={"kind": "wordpiece", "file": str(tmp_path / "missing")})
    (tmp_path / "words.txt").write_text("a\nb\n", "utf-8")
    with pytest.raises(ConfigError, match="is not a WordPiece vocabulary"):
        fitted(CHINESE, tokens={"kind": "wordpiece", "file": str(tmp_path / "words.txt")})


def test_of_a_given_vocabulary_what_occurs_is_kept(tmp_path):
    (tmp_path / "vocab.txt").write_text("[PAD]\n[UNK]\nroom\nclean\n##s\n好\nzebra\n", "utf-8")
    given = fitted(["rooms clean", "很好"], tokens={"kind": "wordpiece", "file": str(tmp_path / "vocab.txt")})
    assert set(given.texts("tokens")) >= {"room", "##s", "clean", "好"}
    assert "zebra" not in given.texts("tokens")
    names = given.texts("tokens")
    found = given.batch(np.array(["rooms 很"], dtype=object))["tokens"][0]
    assert [names[row] for row in found] == ["room", "##s", "<unknown>"]


def test_a_given_vocabulary_that_stays_whole_is_told_if_it_is_too_large(tmp_path, caplog):
    pytest.importorskip("tokenizers")
    model = {"type": "WordLevel", "vocab": {"<unknown>": 0, "room": 1, "zebra": 2}, "unk_token": "<unknown>"}
    file = tmp_path / "tokenizer.json"
    file.write_text(json.dumps({"version": "1.0", "model": model, "added_tokens": []}))
    tokens = {"kind": "trained", "file": str(file)}
    assert "zebra" in fitted(ENGLISH, tokens={**tokens, "most": 3}).texts("tokens")
    assert not caplog.text
    assert "zebra" in fitted(ENGLISH, tokens={**tokens, "most": 2}).texts("tokens")
    assert "all 3 tokens of the given tokenizer (WordLevel) are kept, not the 2 that" in caplog.text


def test_parts_of_words_are_learned_alike():
    first, second = (fitted(ENGLISH * 3, tokens={"kind": "trained", "size": 100}) for _ in range(2))
    assert first.fitted == second.fitted
    assert any(len(text) > 2 for text in first.texts("tokens")[2:])


def test_only_what_a_network_takes_is_saved(tmp_path):
    whole = fitted(CHINESE)
    part = whole.only(["ngrams", "ngram_weights"])
    part.save(tmp_path / "a")
    assert [file.name for file in (tmp_path / "a").iterdir()] == ["ngrams.txt"]
    assert [spec.name for spec in part.specs] == ["ngrams", "ngram_weights"]
    again = restore(part.fitted, tmp_path / "a")
    items = np.array(CHINESE[:3], dtype=object)
    assert all((again.batch(items)[name] == array).all() for name, array in part.batch(items).items())
    assert again.same_items(part)
    assert not again.same_items(whole)


def test_a_vocabulary_of_another_network_is_refused(tmp_path):
    given, other = fitted(CHINESE), fitted((*CHINESE, "早餐早餐"))
    given.save(tmp_path / "given")
    other.save(tmp_path / "other")
    (tmp_path / "given" / "ngrams.txt").write_bytes((tmp_path / "other" / "ngrams.txt").read_bytes())
    with pytest.raises(BundleError, match=r"ngrams\.txt: is not the vocabulary that the network was trained with"):
        _ = restore(given.fitted, tmp_path / "given").learned
    (tmp_path / "given" / "ngrams.txt").unlink()
    with pytest.raises(BundleError, match=r"the vocabulary ngrams\.txt is missing"):
        restore(given.fitted, tmp_path / "given")


@pytest.mark.parametrize("content", ["1\ta\n", "x\ta\n1\tb\n2\tc\n3\td\n", "99\ta\n1\tb\n1\tc\n1\td\n", "\ud800"])
def test_a_forged_vocabulary_is_refused(tmp_path, content):
    given = fitted(["ab", "ab", "cd", "cd"], ngrams=["characters 1"], tokens="none")
    raw = content.encode("utf-8", "surrogatepass")
    (tmp_path / "ngrams.txt").write_bytes(raw)
    forged = given.fitted.model_copy(update={"files": {"ngrams.txt": hashlib.sha256(raw).hexdigest()}})
    with pytest.raises(BundleError, match="it belongs to another network"):
        _ = restore(forged, tmp_path).learned


def test_words_are_texts_and_files_are_read(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "评论.txt").write_text("很好", "gb18030")
    given = fitted(CHINESE)
    found = given.find(["很好", "评论.txt", "a" * 5000, "x\0y"])
    assert [str(given.read(source)) for source in found] == ["很好", "很好", "a" * 5000, "x\0y"]
    # A text that comes from elsewhere is never taken for a file.
    assert str(given.read("评论.txt")) == "评论.txt"
    assert given.find([str(tmp_path)])[0].name == "评论.txt"
    with pytest.raises(DataError, match="must be a text or a file of one, got int 7"):
        given.read(7)


def test_a_text_of_100_000_characters_is_read_whole_by_ngrams():
    given = fitted([*CHINESE, "好好", "好好"])
    text = "好" * 100_000 + "尾" * 3
    arrays = given.batch(np.array([text, "好"], dtype=object))
    assert arrays["tokens"].shape == (2, 256)
    names = {given.texts("ngrams")[row] for row in arrays["ngrams"][0]}
    assert names >= {"好", "好好"}


def test_ragged_rows():
    rows = Ragged.of([np.array([1, 2, 3]), np.array([], int), np.array([4])], np.int32)
    assert rows.lengths.tolist() == [3, 0, 1]
    assert rows.take(np.array([2, 0])).values.tolist() == [4, 1, 2, 3]
    assert rows.padded(np.array([1, 2, 0]), "int64").tolist() == [[0, 0, 0], [4, 0, 0], [1, 2, 3]]
    assert rows.padded(np.array([1]), "int64").tolist() == [[0]]
    assert Ragged.joined([rows, rows]).row(3).tolist() == [1, 2, 3]
    assert INPUTS["text"] is TextInput


def test_a_configuration_keeps_the_names_that_it_states():
    given = validate(TextConfig, {"name": "text", "ngrams": "characters_and_words", "tokens": None})
    assert given.ngrams == "characters_and_words"
    assert given.tokens.kind == "none"
    assert validate(TextConfig, given.model_dump(mode="json")) == given
    assert validate(TextConfig, {"name": "text", "ngrams": "words 1"}).ngrams[0].name == "words 1"
    assert set(NAMES) == set(get_args(Named))


def test_without_jieba_characters_are_words(monkeypatch, caplog):
    monkeypatch.setattr("paddle_automl.inputs.text.fitting.find_spec", lambda name: None)
    given = fitted(CHINESE, ngrams="characters_and_words", tokens="words")
    assert given.fitted.words == "spaces"
    assert "jieba is not installed" in caplog.text
    assert "\u623f" in given.texts("tokens")
    assert split_words("\u623f\u95f4 room\u5927 it's 5\uac1c\uc6d4!") == [
        "\u623f", "\u95f4", "room", "\u5927", "it's", "5\uac1c\uc6d4", "!"
    ]  # fmt: skip


def test_words_of_training_texts_are_split_once(monkeypatch):
    pytest.importorskip("jieba")
    asked, jieba = [], cleaning._jieba()
    monkeypatch.setattr(cleaning, "_jieba", lambda: lambda text: (asked.append(text), jieba(text))[1])
    given = fitted(CHINESE, ngrams="words", tokens="words", words="jieba")
    assert len(asked) == len(set(asked)) == len(set(CHINESE))
    found = given.encode(np.array(CHINESE, object))
    assert len(asked) == len(set(CHINESE))
    assert cleaning.TRAINING_WORDS.held == 0
    # Those of other texts are not kept, and split once, too.
    again = given.encode(np.array(CHINESE, object))
    assert len(asked) == 2 * len(set(CHINESE))
    assert all((found[name].values == again[name].values).all() for name in found)
    assert cleaning.TRAINING_WORDS.held == 0


def test_words_of_jieba_are_not_those_between_spaces():
    """A network that takes n-grams of characters alone never asks for the words that were counted for tokens."""
    pytest.importorskip("jieba")
    options = {"ngrams": "characters", "tokens": "words"}
    first, second = (fitted(CHINESE, **options, words="spaces") for _ in range(2))
    expected = first.encode(np.array(CHINESE, object))
    fitted(CHINESE, **options, words="jieba").only(["ngrams", "ngram_weights"])
    assert cleaning.TRAINING_WORDS.held
    found = second.encode(np.array(CHINESE, object))
    assert found["tokens"].values.tolist() == expected["tokens"].values.tolist()


def test_words_beyond_the_limit_are_not_kept():
    asked = []

    def split(text):
        asked.append(text)
        return text.split()

    words = cleaning.KeptWords(5)
    keep, give = words.keeping(split), words.giving(split)
    for text in ("a b", "c d", "a b"):
        assert list(keep(text)) == text.split()
    assert asked == ["a b", "c d"]
    assert words.held == 3
    for text in ("a b", "c d", "a b"):
        assert list(give(text)) == text.split()
    assert asked == ["a b", "c d", "c d", "a b"]
    assert words.held == 0
