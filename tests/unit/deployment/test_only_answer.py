"""A network that gives every item the same class is named as one."""

import numpy as np
import pytest

from paddle_automl.deployment.create import create_bundle
from paddle_automl.deployment.only_answer import KEY, sentence_of, with_only_answer
from tests.unit.deployment.conftest import array_data, make_net, make_task, quick

SAME, DIFFERENT = np.array([[0.5, 0.3, 0.2], [0.4, 0.35, 0.25]]), np.array([[0.5, 0.3, 0.2], [0.2, 0.5, 0.3]])


@pytest.mark.parametrize(
    ("outputs", "codes", "name"), [(SAME, [0, 1], "菊花 daisy"), (SAME, [0, 0], None), (DIFFERENT, [0, 1], None)]
)
def test_the_only_answer_is_noted_where_the_items_are_of_several_classes(outputs, codes, name):
    found = with_only_answer({"test": 1, KEY: "old"}, make_task(), outputs, np.array(codes))
    assert found == ({"test": 1} if name is None else {"test": 1, KEY: name})
    assert bool(sentence_of(found)) is (name is not None)


def test_a_bundle_of_such_a_network_records_it(tmp_path):
    net, data = make_net(), array_data()
    net.head.bias.set_value(np.array([0, 100, 0], np.float32))
    made = create_bundle(net, folder=tmp_path / "b", data=data, deployment=quick(), config={}, metrics={"a": 1})
    assert made.info.metrics == {"a": 1, KEY: "rose"}
    assert sentence_of(made.info.metrics).startswith("'rose' for every validation item")
