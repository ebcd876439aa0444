"""Texts: cleaning, n-grams, tokens, vocabularies."""

from paddle_automl.inputs.text.input import TextInput
from paddle_automl.inputs.text.options import TextConfig, TextFitted

__all__ = ["TextConfig", "TextFitted", "TextInput"]
