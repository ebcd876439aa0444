import numpy as np
import pytest
from sklearn import metrics as reference

from paddle_automl.core.errors import ConfigError, DataError
from paddle_automl.pipeline.jobs.costs import rounded
from paddle_automl.tasks.base import TASKS, RawTargets, default_task
from paddle_automl.tasks.metrics.spelling import text_of
from paddle_automl.tasks.numbers import number_text, r_squared

REGRESSION = TASKS["regression"]
RNG = np.random.default_rng(0)
VALUES = RNG.normal(size=(60, 2)) * [2.5, 40] + [5, 300]
RAW = RawTargets("numbers", VALUES, ("value", "ink"))


def task(raw=RAW, **options):
    return REGRESSION.fit(REGRESSION.Config(name="regression", **options), raw)


def test_targets_are_standardized_and_answers_are_in_the_users_unit():
    made = task().with_training(VALUES[:40])
    assert made.fitted.mean == pytest.approx(VALUES[:40].mean(axis=0))
    assert made.fitted.scale == pytest.approx(VALUES[:40].std(axis=0))
    dense = made.dense(made.encode(RAW))
    assert dense[:40].mean(axis=0) == pytest.approx([0, 0], abs=1e-6)
    assert dense[:40].std(axis=0) == pytest.approx([1, 1], rel=1e-6)
    assert made.final(dense) == pytest.approx(VALUES, rel=1e-6)


def test_answers_in_words():
    fitted = REGRESSION.Fitted(name="regression", names=("ink", "value"), mean=(3.0, 5.0), scale=(1.5, 2.0))
    made = REGRESSION(fitted)
    answer = made.answer(np.array([3.4199, 5.0001], np.float32))
    assert answer.text == "ink 3.42, value 5"
    assert answer.values == {"ink": pytest.approx(3.4199), "value": pytest.approx(5.0001)}
    assert made.truth(np.array([2.0, 0.25])) == "ink 2, value 0.25"
    one = REGRESSION(REGRESSION.Fitted(name="regression", names=("ink",), mean=(3.0,), scale=(1.5,)))
    assert one.answer(np.array([3.4199], np.float32)).text == "3.42"


@pytest.mark.parametrize(
    ("value", "size", "text"),
    [
        (3.4199, 2.9, "3.42"),
        (5.0001, 2.9, "5"),
        (-0.0001, 2.9, "0"),
        (1234567.8, 1e5, "1234568"),
        (0.00123456, 1e-3, "0.001235"),
        (1.23456e-15, 1e-15, "1.235e-15"),
        (100.0, 30.0, "100"),
        (float("nan"), 1.0, "nan"),
        (2.5, None, "2.5"),
    ],
)
def test_a_number_is_printed_to_a_thousandth_of_the_spread(value, size, text):
    assert number_text(value, size) == text


def test_errors_of_small_numbers_have_digits():
    """Such as thicknesses in metres."""
    values = 1e-5 + VALUES[:, :1] * 1e-7
    made = task(RawTargets("numbers", values, ("thickness",))).with_training(values)
    outputs = (values + 2.34567e-7).astype(np.float32)
    found = made.evaluation(outputs, values)
    (column,) = found.data["per_column"]
    assert [column[key] for key in ("mae", "rmse", "residual_0.5")] == pytest.approx([2.34567e-7] * 3, rel=1e-4)
    mistake = made.worst(outputs, values, 1)[0].as_dict("a.png")
    assert mistake["error"] == pytest.approx(2.34567e-7, rel=1e-4)
    assert text_of("mae", found.data["per_column"][0]["mae"]) == "2.346e-07"
    assert rounded({"mae": 2.345678e-7, "r2": 0.12345678, "a": float("nan")}) == {
        "mae": 2.34568e-7,
        "r2": 0.123457,
        "a": pytest.approx(float("nan"), nan_ok=True),
    }


def test_an_interval_has_three_outputs_per_column():
    made = task(interval=0.8).with_training(VALUES)
    assert made.outputs == 6
    assert made.levels == (0.5, 0.5, 0.1, 0.1, 0.9, 0.9)
    assert made.losses == ("quantile",)
    assert REGRESSION.losses[0] == "mse"
    dense = made.dense(VALUES)
    assert dense.shape == (60, 6)
    assert np.array_equal(dense[:, :2], dense[:, 4:])
    row = np.array([5, 300, 7, 250, 3, 400], np.float32)
    answer = made.answer(row)
    assert answer.values == {"value": 5.0, "ink": 300.0}
    # Ends that crossed are put in order.
    assert answer.interval == {"value": (3.0, 7.0), "ink": (250.0, 400.0)}
    # A number is never outside of its own interval.
    outside = made.answer(np.array([5, 300, 6, 100, 7, 200], np.float32))
    assert outside.interval == {"value": (5.0, 7.0), "ink": (100.0, 300.0)}
    with pytest.raises(ConfigError, match="predicts no interval"):
        task().bounds(row)


def test_the_loss_is_the_squared_error_of_standardized_numbers():
    made = task().with_training(VALUES)
    outputs = (VALUES + np.array(made.fitted.scale) * [1, -2]).astype(np.float32)
    assert made.loss(outputs, VALUES) == pytest.approx((1 + 4) / 2, rel=1e-5)


def test_the_loss_of_an_interval_is_the_quantile_loss():
    made = task(RawTargets("numbers", VALUES[:, :1], ("value",)), interval=0.8).with_training(VALUES[:, :1])
    outputs = RNG.normal(size=(60, 3)).astype(np.float32) * 2 + 5
    expected = np.mean(
        [
            reference.mean_pinball_loss(VALUES[:, 0], outputs[:, k].astype(float), alpha=level)
            for k, level in enumerate((0.5, 0.1, 0.9))
        ]
    )
    assert made.loss(outputs, VALUES[:, :1]) == pytest.approx(expected / made.fitted.scale[0])


def test_a_table_per_column_and_the_residuals():
    made = task(interval=0.9).with_training(VALUES)
    points, low, high = (VALUES + np.array(shift) for shift in ([0.5, -3], [-1, -1], [1, -0.5]))
    outputs = np.concatenate([points, low, high], axis=1).astype(np.float32)
    found = made.evaluation(outputs, VALUES)
    (table,) = found.tables
    assert table.columns[:4] == ("column", "MAE", "RMSE", "R2")
    assert table.columns[-1] == "coverage"
    assert table.rows[0][:3] == ("value", pytest.approx(0.5), pytest.approx(0.5))
    assert table.rows[1][1] == pytest.approx(3, rel=1e-5)
    # The residual is the prediction less the truth.
    assert table.rows[0][4:9] == pytest.approx((0.5,) * 5)
    assert (table.rows[0][9], table.rows[1][9]) == (1.0, 0.0)
    assert found.data["per_column"][1]["residual_0.5"] == pytest.approx(-3, rel=1e-5)
    assert sorted(found.points) == ["residuals.ink", "residuals.value"]
    assert np.array_equal(found.points["residuals.ink"][:, 0], VALUES[:, 1])
    single = task(RawTargets("numbers", VALUES[:, :1], ("value",)))
    alone = single.evaluation(VALUES[:, :1].astype(np.float32), VALUES[:, :1])
    assert alone.points["residuals"].shape == (60, 2)


def test_the_worst_answer_is_the_farthest_in_standard_deviations():
    made = task().with_training(VALUES)
    outputs = VALUES.copy()
    outputs[7, 0] += 5
    outputs[9, 1] -= 30
    worst = made.worst(outputs.astype(np.float32), VALUES, 2)
    assert [item.index for item in worst] == [7, 9]
    assert worst[0].detail["error of value"] == pytest.approx(5, rel=1e-5)


def test_answers_agree_within_a_fifth_of_the_deviation():
    made = task().with_training(VALUES)
    step = np.array(made.fitted.scale)
    expected = np.repeat(VALUES[:1], 3, axis=0)
    got = expected + np.array([[0.19, -0.19], [0.0, 0.21], [np.nan, 0]]) * step
    assert made.agree(expected, got).tolist() == [True, False, False]


def test_other_intervals_are_other_answers():
    made = task(interval=0.9).with_training(VALUES)
    step = np.array(made.fitted.scale)
    expected = np.repeat(np.concatenate([VALUES[0], VALUES[0] - step, VALUES[0] + step])[None], 4, axis=0)
    got = expected.copy()
    got[0, 3] += 0.19 * step[1]
    got[1, 3] -= 0.21 * step[1]
    got[2, 2:4], got[2, 4:] = 900, -900
    got[3, 5] = np.nan
    assert made.agree(expected, got).tolist() == [True, False, False, False]


def test_a_difference_is_not_finer_than_float32():
    far = RawTargets("numbers", np.array([[2000.0], [2001.0], [2002.0]]), ("year",))
    made = task(far)
    rounding = np.spacing(np.float32(2002))
    assert 2 * rounding < 1e-5 * made.scales[0] * 60
    assert made.scale == pytest.approx((2001 + 3 * made.fitted.scale[0]) / 40)
    assert task().scales == pytest.approx(task().fitted.scale)


def test_classes_that_are_numbers_are_read():
    raw = RawTargets("classes", np.array([0, 2, 1]), ("1", "2.5", "-3"))
    made = task(raw)
    assert made.names == ("value",)
    assert made.encode(raw).tolist() == [[1.0], [-3.0], [2.5]]
    words = RawTargets("classes", np.array([0, 1]), ("1", "two"))
    with pytest.raises(ConfigError, match=r"regression needs numbers, or classes whose names are all numbers"):
        task(words)
    assert default_task("numbers") == "regression"
    with pytest.raises(ConfigError, match="no task is known for targets of the kind 'riddles'"):
        default_task("riddles")


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_numbers_must_be_finite(bad):
    values = VALUES.copy()
    values[3, 1] = values[8, 0] = bad
    with pytest.raises(DataError, match=rf"'ink' of item 3 is {bad}, and 1 more; targets must be finite"):
        task(RawTargets("numbers", values, ("value", "ink")))


def test_a_column_without_differences_is_refused():
    values = VALUES.copy()
    values[:, 0] = 3
    with pytest.raises(DataError, match="all 60 items have 3 as 'value': there is nothing to predict"):
        task(RawTargets("numbers", values, ("value", "ink")))


def test_a_column_that_is_constant_in_training_keeps_the_scale_of_all_data():
    made = task()
    assert made.with_training(VALUES[:1]).fitted.scale == made.fitted.scale
    assert made.with_training(VALUES[:0]) is made
    # The computed deviation of three times 0.1 is 1.4e-17.
    assert made.with_training(np.full((3, 2), 0.1)).fitted.scale == made.fitted.scale


def test_columns_are_matched_by_name():
    made = task()
    assert np.array_equal(made.encode(RawTargets("numbers", VALUES[:, ::-1], ("ink", "value"))), VALUES)
    with pytest.raises(DataError, match=r"columns ink; the model predicts value, ink. Missing: value"):
        made.encode(RawTargets("numbers", VALUES[:, :1], ("ink",)))


def test_r_squared():
    predicted = VALUES + RNG.normal(size=VALUES.shape) * [1, 30]
    assert r_squared(predicted, VALUES) == pytest.approx(
        reference.r2_score(VALUES, predicted, multioutput="raw_values")
    )
    constant = np.ones((4, 2))
    assert r_squared(np.array([[1.0, 2.0]] * 4), constant).tolist() == [1.0, 0.0]
    # The computed variance of such constants is above 0.
    assert r_squared(np.array([[0.1, 0.11]] * 3), np.full((3, 2), 0.1)).tolist() == [1.0, 0.0]
    assert np.isnan(r_squared(np.full((4, 1), np.nan), np.ones((4, 1)))).all()


def test_intervals_are_widened_on_validation():
    """One offset for each column, in the last step, and once."""
    made = task(interval=0.8).with_training(VALUES)
    raw = np.zeros((60, 6))
    raw[:, 2:4], raw[:, 4:] = -0.1, 0.1
    once = made.calibrated(made.final(raw), VALUES)
    low, high = once.bounds(once.final(raw))
    inside = (VALUES - low > -1e-3) & (high - VALUES > -1e-3)
    assert (inside.sum(axis=0) == 49).all()  # the 49th of 60 scores: ceil(61 * 0.8)
    assert np.array_equal(once.points(once.final(raw)), made.points(made.final(raw)))
    assert once.fitted.offset[1] > 5 * once.fitted.offset[0] > 0
    again = once.calibrated(once.final(raw), VALUES)
    assert again.fitted.offset == pytest.approx(once.fitted.offset, rel=1e-5)
    assert task().calibrated(VALUES.astype(np.float32), VALUES).fitted.offset == ()


def test_offsets_of_a_bundle_are_checked():
    fields = {"name": "regression", "names": ("ink",), "mean": (3.0,), "scale": (1.5,), "interval": 0.9}
    assert REGRESSION(REGRESSION.Fitted(**fields)).final.shift == (3, 3, 3)
    assert REGRESSION(REGRESSION.Fitted(**fields, offset=(0.5,))).final.shift == (3, 2.5, 3.5)
    for bad in ({"offset": (1.0, 2.0)}, {"offset": (float("nan"),)}, {"offset": (1.0,), "interval": None}):
        with pytest.raises(ValueError, match="offset"):
            REGRESSION.Fitted(**{**fields, **bad})


def test_another_tasks_intervals_come_with_this_ones_scale():
    given = {"name": "regression", "names": ["x"], "interval": 0.9}
    cls = TASKS["regression"]
    own = cls(cls.Fitted(**given, mean=[1.0], scale=[2.0]))
    found = own.tuned_like(cls.Fitted(**given, mean=[5.0], scale=[3.0], offset=[0.25]))
    assert (found.mean, found.scale, found.offset) == ((1.0,), (2.0,), (0.25,))
