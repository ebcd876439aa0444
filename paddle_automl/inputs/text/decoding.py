"""Bytes of unknown encoding to text."""

from __future__ import annotations

import re

from paddle_automl.core.errors import DataError
from paddle_automl.core.extras import needed

_MARKS = ((b"\xff\xfe\x00\x00", "utf-32"), (b"\x00\x00\xfe\xff", "utf-32"), (b"\xff\xfe", "utf-16"),
          (b"\xfe\xff", "utf-16"), (b"\xef\xbb\xbf", "utf-8-sig"))  # fmt: skip
_LONE = re.compile("[\ud800-\udfff]")
_LOOKED_AT = 1 << 18
"""Bytes by which an encoding is guessed."""
FEW = 64
"""Bytes beyond ASCII that are too few to tell encodings apart: valid GB18030 is taken for it."""
CANDIDATES = ("gb18030", "big5hkscs", "shift_jis", "euc_kr", "cp1252", "cp1251")
WIDE = ("utf_16_le", "utf_16_be")
"""Encodings whose line ends and digits have a NUL byte, as no other text does."""
MANY_ZEROS = 10
"""More than one zero byte among so many shows that a text is wide; valid UTF-8 may have single NUL characters."""


def mended(text: str) -> str:
    """Return a text with U+FFFD in place of each lone surrogate, half of a character beyond U+FFFF.

    JSON can hold them, where a text was cut after so many UTF-16 units; no encoding can, and no package takes them.
    """
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return _LONE.sub("\ufffd", text)
    return text


def decoded(raw: bytes, where: str, encoding: str | None = None, likely: str | None = None) -> tuple[str, str]:
    """Return the text of some bytes, and the encoding that they are in.

    Without `encoding` a byte-order mark decides, then UTF-8 if the bytes are valid, then the `likely` encoding if
    they are valid in it, then the guess of the package charset-normalizer among the encodings of East Asia and
    Europe; many zero bytes mean UTF-16. In no encoding is a mark part of the text. Raises DataError with the place
    of the first byte that does not fit.
    """
    if encoding is None:
        encoding = next((name for mark, name in _MARKS if raw.startswith(mark)), None)
    if encoding is None:
        encoding = _wide(raw)
    if encoding is None:
        try:
            return raw.decode("utf-8"), "utf-8"
        except UnicodeDecodeError as error:
            encoding = likely if likely is not None and _fits(raw, likely) else _guess(raw)
            if encoding is None:
                raise DataError(f"{where}: {_mixed(raw, error)}") from None
    try:
        return raw.decode(encoding).removeprefix("\ufeff"), encoding
    except LookupError:
        raise DataError(f"{where}: unknown encoding '{encoding}'; use such as utf-8, gb18030 or utf-16") from None
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise DataError(
            f"{where}:{line}: byte {error.start} is not {encoding} ({error.reason}); the file may mix encodings: "
            "save it as UTF-8, or state its encoding (data.dataset.encoding, --encoding)"
        ) from None


def _wide(raw: bytes) -> str | None:
    """Return the encoding of two bytes a character whose zero bytes are many, such as UTF-16 of English texts."""
    some = raw[:_LOOKED_AT]
    zeros = some[0::2].count(0), some[1::2].count(0)
    # The zeros are the high bytes of letters, and so have one place; in little-endian order it is the second.
    if sum(zeros) * MANY_ZEROS <= len(some) or max(zeros) < MANY_ZEROS * min(zeros):
        return None
    name = WIDE[zeros[0] > zeros[1]]
    try:
        raw.decode(name)
    except UnicodeDecodeError:
        return None
    return name


def _fits(raw: bytes, encoding: str) -> bool:
    """Return whether bytes are a text in an encoding; almost all pairs of bytes are UTF-16, which has NUL bytes."""
    try:
        raw.decode(encoding)
    except (LookupError, UnicodeDecodeError):
        return False
    return (b"\0" in raw) == (b"\0" in "\n".encode(encoding))


def _guess(raw: bytes) -> str | None:
    """Return the encoding in which all bytes can be read, the likeliest first."""
    try:
        raw.decode("gb18030")
        chinese = True
    except UnicodeDecodeError:
        chinese = False
    if chinese and sum(byte > 127 for byte in raw[:_LOOKED_AT]) < FEW:
        return "gb18030"
    detector = needed("charset_normalizer", "text", "data.dataset.encoding")
    candidates = WIDE if b"\0" in raw[:_LOOKED_AT] else CANDIDATES
    found = detector.from_bytes(raw[:_LOOKED_AT], cp_isolation=list(candidates)).best()
    name = None if found is None else str(found.encoding)
    if chinese and name in (None, "gb18030", "cp1252", "cp1251"):
        return "gb18030"
    return name


def _mixed(raw: bytes, error: UnicodeDecodeError) -> str:
    line = raw[: error.start].count(b"\n") + 1
    return (
        f"is in no known encoding: byte {error.start} in line {line} is not UTF-8, and nothing else fits; "
        "save it as UTF-8, or state its encoding (data.dataset.encoding, --encoding)"
    )
