"""Foreign text in front of people: nothing steers a terminal, forges a row or is computed by a spreadsheet."""

import csv
import io
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib import cbook

from paddle_automl.core.display_text import by_name, csv_cell, csv_text, plot_text, shown

TURNING = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"


def test_several_values_are_named_and_a_single_one_is_not():
    assert by_name({"width": 0.5}, str) == "0.5"
    assert by_name({"width": 0.5, "a\nb": 0.25}, "{:.2f}".format) == r"width 0.50, a\nb 0.25"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("\x1b[31mred\x1b[0m", r"\x1b[31mred\x1b[0m"),
        ("\x1b]0;title\x07", r"\x1b]0;title\x07"),
        ("a\nb\rc\td", r"a\nb\rc\td"),
        ("\x7f\x80\x9b31m\x00", r"\x7f\x80\x9b31m\x00"),
        ("photo\u202egpj.exe", r"photo\u202egpj.exe"),
        ("\u2066a\u2069", r"\u2066a\u2069"),
        ("a\u2028b\u2029c", r"a\u2028b\u2029c"),
        (b"caf\xe9.jpg".decode("utf-8", "surrogateescape"), r"caf\xe9.jpg"),
        ("\ud800", r"\ud800"),
        ("cat [indoor]", "cat [indoor]"),
        ("[/b] C:\\new\\x1b", "[/b] C:\\new\\x1b"),
        ("café 菊花 😀👩‍🚀 עברית\u200f ‏", "café 菊花 😀👩‍🚀 עברית\u200f ‏"),
        ("e\u0301\u00a0\u3000", "e\u0301\u00a0\u3000"),
        ("", ""),
        (7, "7"),
    ],
)
def test_what_steers_a_terminal_is_made_visible_and_all_else_stays(text, expected):
    assert shown(text) == expected


@given(st.text(st.characters(codec=None, exclude_categories=())))
def test_no_control_character_passes(text):
    result = shown(text)
    assert not any(unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") or c in TURNING for c in result)
    assert shown(result) == result
    assert len(result.splitlines()) <= 1
    result.encode("utf-8")


@pytest.mark.parametrize(
    "text",
    [
        *(
            "=1+1",
            "=cmd|' /C calc'!A0",
            "+1-2",
            "-1+cmd|'x'!A1",
            "@SUM(A1)",
            "\t=1",
            "\r=1",
            "\n=1",
            "＝1",
            "＋1",
            "＠x",
        ),
        *(
            "  =1",
            "\u00a0=1",
            "'=1",
            "''@x",
            "-",
            "--help",
            "-x.png",
            "+49 30 123",
            "=",
            "-1-1",
            "1e5".replace("1", "-"),
        ),
    ],
)
def test_a_text_that_could_be_a_formula_gets_an_apostrophe_that_can_be_taken_away(text):
    assert csv_cell(text) == f"'{text}"
    assert csv_cell(text)[1:] == text


@pytest.mark.parametrize(
    "text", ["-0.5", "+3", "1e-3", "-1.5E+10", ".5", "-.5", "3.", "nan", "-inf", "Infinity", " -5 ", "0"]
)
def test_numbers_stay_numbers(text):
    assert csv_cell(text) == text
    assert float(csv_cell(text)) == pytest.approx(float(text), nan_ok=True)


def test_values_of_numbers_and_nothing():
    assert [csv_cell(value) for value in (-0.5, -3, float("-inf"), True, None, "")] == [
        *("-0.5", "-3", "-inf", "True", "", "")
    ]
    # Digits of other scripts are text, and need no apostrophe.
    assert csv_cell("-٣") == "'-٣"


def test_cells_escape_what_steers_a_terminal_but_keep_what_a_writer_quotes():
    assert csv_cell("a\x1b[31m\u202e") == r"a\x1b[31m\u202e"
    assert csv_cell("a\nb\tc") == "a\nb\tc"
    assert csv_cell("[x] café 菊花") == "[x] café 菊花"


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_no_cell_is_split_into_a_formula_whatever_separates_cells(separator):
    cell = f"a{separator}=1+1"
    text = csv_text([[cell, 2]])
    assert text.startswith(f'"{cell}"')
    first = next(csv.reader(io.StringIO(text), delimiter=separator))[0]
    assert not first.startswith("=")


@given(st.lists(st.lists(st.text(), min_size=2, max_size=4), max_size=5))
def test_csv_is_read_as_it_was_written(rows):
    read = list(csv.reader(io.StringIO(csv_text(rows), newline="")))
    assert read == [[csv_cell(cell) for cell in row] for row in rows]
    assert not any(cell.lstrip(" \u00a0")[:1] in tuple("=@\t\r\n") for row in read for cell in row if cell)


def test_no_text_of_a_plot_is_a_formula():
    """Matplotlib reads two dollars as a formula, and raises where it is none."""
    from matplotlib.figure import Figure

    for name in ("$x_1$", r"$\bad{$", "a\x1b[31m\u202eb", r"\$x$", "5 $"):
        figure = Figure()
        text = figure.text(0.5, 0.5, plot_text(name))
        figure.canvas.draw()
        assert text.get_text().isprintable()
        assert not cbook.is_math_text(text.get_text()), name
