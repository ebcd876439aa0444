"""The linear model of n-grams that scikit-learn fits, as a table."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import numpy as np
import paddle
from paddle import Tensor, nn
from pydantic import Field

from paddle_automl.core.schema import PluginConfig
from paddle_automl.inputs.base import Input
from paddle_automl.models.backbones.base import BACKBONES
from paddle_automl.models.layers import LayerFactory
from paddle_automl.models.problem import Problem
from paddle_automl.models.text.base import NGRAMS, TextBackbone, texts_of
from paddle_automl.models.text.linear import fit_linear
from paddle_automl.models.text.table import NGramTable


@BACKBONES.register("linear_ngrams")
class LinearNgrams(TextBackbone):
    """A linear model of the n-grams' weights, fitted by scikit-learn in a second or two: the bar for all others.

    Classes and labels: a support vector machine (LinearSVC) or logistic regression; numbers: ridge regression. The
    table holds its coefficients, so the outputs are those of scikit-learn. Nothing is learned in steps: a training
    has one epoch, and only `training.class_weights` of the recipe applies.
    """

    class Config(PluginConfig):
        """Options of the backbone."""

        model: Literal["svm", "logistic"] = "svm"
        """svm: linear support vector machines, one class against the rest, whose decision values times 2 are the
        outputs; logistic: logistic regression, whose probabilities are better. Numbers are fitted by ridge
        regression in either case."""
        C: float = Field(1.0, gt=0)
        """Inverse of the strength of the penalty on the squared coefficients."""

    needs: ClassVar[tuple[str, ...]] = NGRAMS
    gives_scores: ClassVar[bool] = True
    searched: ClassVar[bool] = False
    space: ClassVar[dict[str, Any]] = {"model": {"choice": ["svm", "logistic"]}, "C": {"log": [0.03, 3.0]}}

    def __init__(self, config: Config, rows: int) -> None:
        super().__init__()
        self.config = config
        self._rows = rows

    @classmethod
    def build(cls, config: Any, *, input: Input, layers: LayerFactory) -> LinearNgrams:  # noqa: D102
        return cls(config, texts_of(input).rows("ngrams"))

    def expect(self, outputs: int) -> None:
        """Make the table [rows, outputs]."""
        self.out_features = outputs
        self.table = NGramTable(self._rows, outputs, deviation=0.0, bias=True)
        self.table.solved = True

    def solve(self, problem: Problem) -> None:
        """Fit the coefficients."""
        import scipy.sparse as sp

        ngrams, weights = problem.read("ngrams"), problem.read("ngram_weights")
        items = sp.csr_matrix(
            (weights.values, ngrams.values, ngrams.offsets), shape=(len(problem.targets), self._rows)
        )
        coefficients, intercepts = fit_linear(items, problem, kind=self.config.model, c=self.config.C)
        with paddle.no_grad():
            self.table.weight.set_value(coefficients.astype(np.float32))
            assert self.table.bias is not None
            self.table.bias.set_value(intercepts.astype(np.float32))

    def forward(self, *inputs: Tensor) -> Tensor:
        """Map n-grams [N, M] and their weights [N, M] to raw outputs [N, K]."""
        ngrams, weights = inputs
        return self.table(ngrams, weights)

    def head(self, layers: LayerFactory, outputs: int) -> nn.Layer:
        """Return nothing more."""
        return nn.Identity()
