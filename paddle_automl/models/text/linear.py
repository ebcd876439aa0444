"""Linear models of scikit-learn, as coefficients of a table."""

from __future__ import annotations

import warnings
from typing import Any, Literal

import numpy as np

from paddle_automl.core.errors import TrialError
from paddle_automl.models.problem import Problem

SVM_SCALE = 2.0
"""Factor of a support vector machine's decision values as raw outputs: probabilities are then about right, and of
the weight of those of other networks in a sum."""
ITERATIONS = 1000
MEDIAN = 0.5
"""Level of a number itself."""
FOLDS = 5
"""Parts of the items of which each is predicted by a ridge regression of the others, for the ends of intervals."""


def fit_linear(
    items: Any, problem: Problem, *, kind: Literal["svm", "logistic"], c: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return the coefficients [V, K] and intercepts [K] of a linear model of sparse `items` [n, V].

    Raises TrialError if the targets have only one class.
    """
    if problem.activation == "identity":
        return _ridge(items, problem, c)
    if problem.activation == "sigmoid":
        return _labels(items, problem, kind, c)
    return _classes(items, problem, kind, c)


def _ridge(items: Any, problem: Problem, c: float) -> tuple[np.ndarray, np.ndarray]:
    """Return a ridge regression for each number.

    With an interval its ends have the same target as the number itself. Each output is moved by the quantile, at
    its level, of the errors that such regressions make on items that they have not seen: as much for every item.
    """
    from sklearn.linear_model import Ridge

    targets, column = np.unique(problem.targets.astype(np.float64), axis=1, return_inverse=True)
    column = column.ravel()
    model = Ridge(alpha=1.0 / c, solver="sparse_cg", max_iter=ITERATIONS)
    levels = problem.levels or ()
    shifts = np.zeros(len(column))
    if any(level != MEDIAN for level in levels) and len(targets) > 1:
        from sklearn.model_selection import KFold, cross_val_predict

        folds = KFold(min(FOLDS, len(targets)), shuffle=True, random_state=problem.seed % 2**32)
        predicted = cross_val_predict(model, items, targets, cv=folds).reshape(targets.shape)
        errors = (targets - predicted)[:, column]
        shifts = np.array([np.quantile(errors[:, k], level) for k, level in enumerate(levels)])
    model.fit(items, targets)
    return np.atleast_2d(model.coef_)[column].T, np.atleast_1d(model.intercept_)[column] + shifts


def _labels(
    items: Any, problem: Problem, kind: Literal["svm", "logistic"], c: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return a model for each label; a label that all items have, or none, gets its share as an intercept."""
    outputs = problem.targets.shape[1]
    coefficients, intercepts = np.zeros((items.shape[1], outputs)), np.zeros(outputs)
    scale = SVM_SCALE if kind == "svm" else 1.0
    for label in range(outputs):
        has = problem.targets[:, label] > 0.5
        if has.all() or not has.any():
            rate = (has.sum() + 0.5) / (len(has) + 1.0)
            intercepts[label] = np.log(rate / (1 - rate))
            continue
        weight = None if problem.weights is None else {1: float(problem.weights[label]), 0: 1.0}
        model = _fitted(items, has.astype(np.int64), kind, c, weight, problem.seed)
        coefficients[:, label], intercepts[label] = model.coef_[0] * scale, model.intercept_[0] * scale
    return coefficients, intercepts


def _classes(
    items: Any, problem: Problem, kind: Literal["svm", "logistic"], c: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return a model of all classes; a class without training items is never predicted."""
    classes, outputs = problem.targets.argmax(axis=1), problem.targets.shape[1]
    weight = None if problem.weights is None else dict(enumerate(map(float, problem.weights)))
    if len(np.unique(classes)) < 2:
        raise TrialError("all training items have the same class: there is nothing to learn")
    model = _fitted(items, classes, kind, c, weight, problem.seed)
    found, offset = model.coef_.T, model.intercept_
    if found.shape[1] == 1:
        # Two classes have one decision value d, that of the second: the outputs differ by it.
        found, offset = np.hstack([-found, found]), np.concatenate([-offset, offset])
        if kind == "logistic":
            found, offset = found / 2, offset / 2
    scale = SVM_SCALE if kind == "svm" else 1.0
    coefficients, intercepts = np.zeros((items.shape[1], outputs)), np.full(outputs, offset.min() * scale - 10.0)
    coefficients[:, model.classes_] = found * scale
    intercepts[model.classes_] = offset * scale
    return coefficients, intercepts


def _fitted(
    items: Any, classes: np.ndarray, kind: str, c: float, weight: dict[int, float] | None, seed: int
) -> Any:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.svm import LinearSVC

    present = set(np.unique(classes).tolist())
    weight = None if weight is None else {key: value for key, value in weight.items() if key in present}
    if kind == "svm":
        model = LinearSVC(C=c, class_weight=weight, random_state=seed % 2**32)
    else:
        model = LogisticRegression(C=c, class_weight=weight, max_iter=ITERATIONS)
    with warnings.catch_warnings():
        # An approximate solution predicts as well; validation judges it.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(items, classes)
