"""Likely values of domains: stated in the space, followed at first, outgrown when they are wrong."""

import numpy as np
import pytest

from paddle_automl.core.errors import ConfigError
from paddle_automl.search.learning.encoding import Encoding
from paddle_automl.search.learning.priors import FAVOR, SPREAD, Prior
from paddle_automl.space import SearchSpace

SPEC = {
    "rate": {"log": [1e-4, 1.0], "likely": 1e-2},
    "kind": {"choice": ["a", "b", "c"], "likely": "b"},
    "size": {"int": [1, 9]},
}


def test_only_stated_domains_have_a_density_which_fades():
    encoding = Encoding(SearchSpace.parse(SPEC))
    prior = Prior(encoding)
    best = encoding.encode({"rate": 1e-2, "kind": "b", "size": 3})
    far = encoding.encode({"rate": 1.0, "kind": "a", "size": 3})
    same = encoding.encode({"rate": 1e-2, "kind": "b", "size": 9})
    early, late = prior.bonus(np.stack([best, far, same]), 10), prior.bonus(np.stack([best, far, same]), 1000)
    assert early[0] == early[2] == 0.0
    assert early[1] == pytest.approx(-0.5 * (0.5 / SPREAD) ** 2 - np.log(FAVOR))
    assert late[1] == pytest.approx(early[1] / 100)
    plain = SearchSpace.parse({key: {k: v for k, v in spec.items() if k != "likely"} for key, spec in SPEC.items()})
    assert not Prior(Encoding(plain)).stated
    # What is likely does not change what a trial is: a study continues.
    assert plain.distributions == SearchSpace.parse(SPEC).distributions
    assert [d.domain for d in plain.decisions] == [d.domain for d in SearchSpace.parse(SPEC).decisions]


def test_half_of_the_initial_design_lies_near_the_likely_values():
    encoding = Encoding(SearchSpace.parse(SPEC))
    rows = Prior(encoding).pulled(encoding.latin_hypercube(200, np.random.default_rng(0)), np.random.default_rng(1))
    rate = encoding.names.index("rate")
    assert np.abs(rows[::2, rate] - 0.5).mean() < 0.8 * np.abs(rows[1::2, rate] - 0.5).mean()
    kind = encoding.names.index("kind")
    shares = [(rows[start::2, kind] == 1).mean() for start in (0, 1)]
    assert shares[0] > 0.6 > 0.4 > shares[1]
    assert all(encoding.space.contains(encoding.decode(row)) for row in rows)


@pytest.mark.parametrize(
    ("domain", "message"),
    [
        ({"log": [1e-3, 1.0], "likely": 2.0}, "likely: 2.0 is not in {log: [0.001, 1]}; give one of the domain's"),
        ({"choice": ["a", "b"], "likely": "c"}, "likely: 'c' is not among"),
        ({"int": [1, 9], "likly": 3}, "unknown key 'likly' next to 'int'; did you mean 'likely'?"),
    ],
)
def test_likely_values_that_are_none_are_refused(domain, message):
    with pytest.raises(ConfigError) as caught:
        SearchSpace.parse({"x": domain})
    assert message in str(caught.value)
