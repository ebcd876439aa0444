"""The form of a fresh table, and the models that such tables train, from one combination of choices and a seed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class GridTask:
    """A table: a data set, all combinations of `choices`, and the model of one of them.

    `data` is one of scikit-learn's `load_*`, or of its `make_*` with `options`. One run trains on `train` examples
    and measures the error (1 - accuracy, or 1 - R2, at most 2) on at most `validate` others; a new run draws both
    anew.
    """

    data: str
    choices: Mapping[str, Sequence[Any]]
    model: Callable[[Mapping[str, Any], int], Any]
    train: int
    validate: int = 400
    options: Mapping[str, Any] = field(default_factory=dict)


def support_vectors(chosen: Mapping[str, Any], seed: int) -> Any:
    """Return a support vector classifier, after principal components if there are any."""
    from sklearn.decomposition import PCA
    from sklearn.svm import SVC

    kernel, degree = {"quadratic": ("poly", 2), "cubic": ("poly", 3)}.get(chosen["kernel"], (chosen["kernel"], 1))
    machine = SVC(C=chosen["c"], gamma=chosen["gamma"], kernel=kernel, degree=degree, max_iter=3000)
    parts = [PCA(chosen["components"], random_state=seed)] if chosen["components"] else []
    return pipeline(chosen["scaling"], *parts, machine)


def trees(chosen: Mapping[str, Any], seed: int) -> Any:
    """Return a forest of classification trees; `kind` tells which."""
    from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier

    kind = {"forest": RandomForestClassifier, "extra": ExtraTreesClassifier}[chosen["kind"]]
    names = ("n_estimators", "max_depth", "max_features", "min_samples_leaf", "criterion", "bootstrap")
    return kind(random_state=seed, **{name: chosen[name] for name in names})


def boosting(chosen: Mapping[str, Any], seed: int) -> Any:
    """Return boosted trees for regression."""
    from sklearn.ensemble import GradientBoostingRegressor

    return GradientBoostingRegressor(random_state=seed, **chosen)


def network(chosen: Mapping[str, Any], seed: int) -> Any:
    """Return a small network for classification."""
    from sklearn.neural_network import MLPClassifier

    layers = (chosen["width"],) * chosen["depth"]
    names = ("learning_rate_init", "alpha", "batch_size", "activation", "max_iter")
    network = MLPClassifier(layers, random_state=seed, **{name: chosen[name] for name in names})
    return pipeline(chosen["scaling"], network)


def linear(chosen: Mapping[str, Any], seed: int) -> Any:
    """Return a linear classifier that is trained by gradient descent."""
    from sklearn.linear_model import SGDClassifier

    names = ("loss", "penalty", "alpha", "learning_rate", "eta0", "average")
    model = SGDClassifier(random_state=seed, max_iter=20, tol=None, **{name: chosen[name] for name in names})
    return pipeline(chosen["scaling"], model)


def pipeline(scaling: str, *steps: Any) -> Any:
    """Return the steps after the scaling of the features."""
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import MinMaxScaler, QuantileTransformer, StandardScaler

    scalers = {"standard": StandardScaler, "range": MinMaxScaler}
    first = [QuantileTransformer(n_quantiles=50)] if scaling == "quantiles" else []
    return make_pipeline(*([scalers[scaling]()] if scaling in scalers else first), *steps)


def neighbors(chosen: Mapping[str, Any], seed: int) -> Any:
    """Return nearest neighbours, after principal components if there are any."""
    from sklearn.decomposition import PCA
    from sklearn.neighbors import KNeighborsClassifier

    parts = [PCA(chosen["components"], random_state=seed)] if chosen["components"] else []
    names = ("n_neighbors", "weights", "metric")
    return pipeline(chosen["scaling"], *parts, KNeighborsClassifier(**{name: chosen[name] for name in names}))


def support_regression(chosen: Mapping[str, Any], seed: int) -> Any:
    """Return support vector regression."""
    from sklearn.svm import SVR

    names = ("C", "gamma", "epsilon", "kernel")
    return pipeline(chosen["scaling"], SVR(max_iter=2000, **{name: chosen[name] for name in names}))


def tree(chosen: Mapping[str, Any], seed: int) -> Any:
    """Return one decision tree."""
    from sklearn.tree import DecisionTreeClassifier

    return DecisionTreeClassifier(random_state=seed, **chosen)


def forest_regression(chosen: Mapping[str, Any], seed: int) -> Any:
    """Return a forest of regression trees; `kind` tells which."""
    from sklearn.ensemble import ExtraTreesRegressor, RandomForestRegressor

    kind = {"forest": RandomForestRegressor, "extra": ExtraTreesRegressor}[chosen["kind"]]
    return kind(random_state=seed, **{name: value for name, value in chosen.items() if name != "kind"})


def boosting_classifier(chosen: Mapping[str, Any], seed: int) -> Any:
    """Return boosted trees for two classes."""
    from sklearn.ensemble import GradientBoostingClassifier

    return GradientBoostingClassifier(random_state=seed, **chosen)


def kernel_map(chosen: Mapping[str, Any], seed: int) -> Any:
    """Return an approximate kernel map under a linear model trained by gradient descent."""
    from sklearn.kernel_approximation import Nystroem
    from sklearn.linear_model import SGDClassifier

    mapped = Nystroem(chosen["kernel"], gamma=chosen["gamma"], n_components=chosen["components"], random_state=seed)
    model = SGDClassifier(
        chosen["loss"], alpha=chosen["alpha"], average=chosen["average"], max_iter=8, tol=None, random_state=seed
    )
    return pipeline("standard", mapped, model)


def elastic(chosen: Mapping[str, Any], seed: int) -> Any:
    """Return a linear regression with both penalties on selected features or their products."""
    from sklearn.feature_selection import SelectKBest, f_regression, r_regression
    from sklearn.linear_model import ElasticNet
    from sklearn.preprocessing import PolynomialFeatures

    rule = {"f": f_regression, "correlation": r_regression}[chosen["select"]]
    parts = [SelectKBest(rule, k=chosen["k"]), PolynomialFeatures(chosen["degree"], include_bias=False)]
    model = ElasticNet(alpha=chosen["alpha"], l1_ratio=chosen["l1_ratio"], max_iter=200, random_state=seed)
    return pipeline(chosen["scaling"], *parts, model)


def network_regression(chosen: Mapping[str, Any], seed: int) -> Any:
    """Return a small network for regression on standardised features and targets."""
    from sklearn.compose import TransformedTargetRegressor
    from sklearn.neural_network import MLPRegressor
    from sklearn.preprocessing import StandardScaler

    layers = (chosen["width"],) * chosen["depth"]
    names = ("learning_rate_init", "alpha", "batch_size", "activation", "solver", "max_iter")
    network = MLPRegressor(hidden_layer_sizes=layers, random_state=seed, **{name: chosen[name] for name in names})
    return pipeline("standard", TransformedTargetRegressor(network, transformer=StandardScaler()))


def discriminant(chosen: Mapping[str, Any], seed: int) -> Any:
    """Return discriminant analysis on components or clusters of features."""
    from sklearn.cluster import FeatureAgglomeration
    from sklearn.decomposition import PCA
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis, QuadraticDiscriminantAnalysis

    count = chosen["features"]
    reducers = {"components": PCA(count, random_state=seed), "white": PCA(count, whiten=True, random_state=seed)}
    reducer = reducers.get(chosen["reduce"], FeatureAgglomeration(count))
    share = chosen["shrinkage"]
    model = (
        LinearDiscriminantAnalysis(solver="lsqr", shrinkage=share)
        if chosen["kind"] == "linear"
        else QuadraticDiscriminantAnalysis(reg_param=share)
    )
    return pipeline(chosen["scaling"], reducer, model)


def logistic(chosen: Mapping[str, Any], seed: int) -> Any:
    """Return logistic regression on splines or products of the features."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import KBinsDiscretizer, PolynomialFeatures, SplineTransformer

    parts = {
        "raw": [],
        "products": [PolynomialFeatures(2, include_bias=False)],
        "bins": [KBinsDiscretizer(chosen["cells"], encode="onehot-dense", quantile_method="averaged_inverted_cdf")],
        "splines": [SplineTransformer(chosen["cells"], degree=2)],
    }[chosen["expand"]]
    model = LogisticRegression(
        C=chosen["C"], class_weight=chosen["weight"], fit_intercept=chosen["intercept"], max_iter=30
    )
    return pipeline(chosen["scaling"], *parts, model)


def splines(chosen: Mapping[str, Any], seed: int) -> Any:
    """Return ridge regression on splines of each feature."""
    from sklearn.linear_model import Ridge
    from sklearn.preprocessing import SplineTransformer

    curves = SplineTransformer(
        chosen["knots"], degree=chosen["degree"], knots=chosen["placement"], extrapolation=chosen["outside"]
    )
    return pipeline(chosen["scaling"], curves, Ridge(chosen["alpha"], fit_intercept=chosen["intercept"]))


def kernel_ridge(chosen: Mapping[str, Any], seed: int) -> Any:
    """Return ridge regression with a kernel."""
    from sklearn.kernel_ridge import KernelRidge

    names = ("alpha", "gamma", "kernel", "degree", "coef0")
    return pipeline(chosen["scaling"], KernelRidge(**{name: chosen[name] for name in names}))
