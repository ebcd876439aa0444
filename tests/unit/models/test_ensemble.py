"""Several networks in one: its answers are the mean of theirs."""

import numpy as np
import paddle
import pytest

from paddle_automl.core.errors import ConfigError
from paddle_automl.core.loading import validate
from paddle_automl.models.backbones.ensemble import arrays_of
from paddle_automl.models.config import ModelConfig
from paddle_automl.models.network import build_network
from paddle_automl.tasks.base import Final
from paddle_automl.testing.backbones import image_input, text_input
from paddle_automl.training.final import final_tensor

IMAGES = [
    {"backbone": {"name": "resnet", "width": 4, "blocks": [1]}},
    {
        "backbone": {"name": "vgg", "width": 4, "convs": [1]},
        "activation": "mish",
        "test_time_augmentation": "mirror",
    },
]
TEXTS = [{"backbone": "wide"}, {"backbone": {"name": "text_cnn", "filters": 4}}, {"backbone": {"name": "bag"}}]


def joined(members, **options):
    return validate(ModelConfig, {"backbone": {"name": "ensemble", "members": members, **options}})


def outputs_of(model, given, arrays, final, temperature=1.0):
    model.eval()
    with paddle.no_grad():
        raw = model(*(paddle.to_tensor(arrays[spec.name]) for spec in given.specs))
        return final_tensor(raw / temperature, final).numpy()


@pytest.mark.parametrize("answer", ["softmax", "sigmoid", "identity"])
@pytest.mark.parametrize("members", [IMAGES, TEXTS], ids=["images", "texts"])
def test_the_answer_is_the_mean_answer(answer, members):
    given = image_input(1, 8, 8) if members is IMAGES else text_input()
    temperatures = [1.0, 2.5, 0.4][: len(members)]
    config = joined(members, answer=answer, temperatures=temperatures)
    model = build_network(config, given, 3, seed=0)
    final, arrays = Final(answer), given.example(32, np.random.default_rng(0))
    found, expected = outputs_of(model, given, arrays, final), []
    for number, member in enumerate(config.backbone.models):
        names = arrays_of(member)
        own = given if names is None else given.only(names)
        alone = build_network(member, own, 3, seed=number + 1)
        alone.set_state_dict(model.backbone.members[number].state_dict())
        expected.append(outputs_of(alone, own, arrays, final, temperatures[number]))
    np.testing.assert_allclose(found, np.mean(expected, axis=0), atol=1e-6)


def test_answers_that_are_certain_stay_finite():
    config = joined(IMAGES[:1] * 2, answer="sigmoid")
    head = build_network(config, image_input(1, 8, 8), 2, seed=0).fc
    raw = head(paddle.to_tensor([[200.0, -200.0, 200.0, -200.0], [50.0, 0.0, -50.0, 0.0]])).numpy()
    assert np.isfinite(raw).all()
    np.testing.assert_allclose(Final("sigmoid")(raw), [[1, 0], [0.5, 0.5]], atol=1e-6)


def test_each_member_learns_by_a_loss_of_its_own():
    model = build_network(joined(IMAGES), image_input(1, 8, 8), 3, seed=0)
    features = model.features(paddle.ones([2, 1, 8, 8]))
    branches = model.backbone.loss_branches(features)
    assert [branch.shape for branch in branches] == [[2, 3], [2, 3]]
    heads = [name for name, kind in model.backbone.kinds().items() if kind == "head"]
    assert heads == ["members.0.fc.weight", "members.1.fc.weight"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"members": [{"backbone": {"name": "vgg", "blok": 1}}]}, r"members: 0\.backbone\.blok: unknown key"),
        ({"members": [{}, {"pretrained": "x"}]}, r"members: 1\.pretrained: a member does not have it"),
        ({"members": []}, "members: .*at least 1"),
        ({"members": IMAGES, "temperatures": [1.0]}, "temperatures: needs one for each of the 2 members"),
        ({"members": IMAGES, "temperatures": [1.0, 0.0]}, r"temperatures\.1: .*greater than 0"),
    ],
)
def test_wrong_members_are_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        joined(**options)


def test_members_of_another_input_are_refused():
    with pytest.raises(ConfigError, match="'wide' takes text input, but the data are image input"):
        build_network(joined(TEXTS[:1]), image_input(1, 8, 8), 2)
