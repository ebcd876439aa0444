"""Tables of which a batch uses few rows: updates, clipping, averages."""

import numpy as np
import paddle
import pytest
from paddle import nn

from paddle_automl.models.kinds import parameter_kinds
from paddle_automl.models.tables import RowTable
from paddle_automl.paddle_compat.memory import rows_of, set_rows
from paddle_automl.training.tables import TablesConfig, TableUpdates

ROWS, WIDTH = 6, 3


class Net(nn.Layer):
    def __init__(self):
        super().__init__()
        self.table = RowTable(ROWS, WIDTH, deviation=0.5, bias=True, rate=2.0)

    def forward(self, numbers, weights):
        return self.table(numbers, weights)


def batch(*rows):
    return paddle.to_tensor(np.array(rows))


def step(net, updates, numbers, weights, wanted, limit=None):
    updates.watch()
    loss = ((net(numbers, weights) - wanted) ** 2).sum()
    loss.backward()
    updates.clip(net.parameters(), limit)
    updates.step(1.0)
    gradient = net.table.bias.grad.numpy().copy()
    net.clear_gradients()
    return gradient


def test_it_is_adam_on_the_rows_that_are_used_and_leaves_the_others():
    paddle.seed(0)
    net = Net()
    numbers, weights = batch([1, 2, 0], [2, 4, 0]), paddle.to_tensor([[1.0, 0.5, 0.0], [1.0, 2.0, 0.0]])
    wanted = paddle.to_tensor([[1.0, 0.0, 2.0], [0.0, 1.0, 0.0]])
    before = net.table.weight.numpy().copy()
    twin = paddle.create_parameter([ROWS, WIDTH], "float32")
    twin.set_value(before)
    # A first step that uses all rows would hide that Adam of Paddle moves unused rows too: here none is unused.
    adam = paddle.optimizer.Adam(0.02, beta1=0.9, beta2=0.99, parameters=[twin])
    updates = TableUpdates(net, TablesConfig())
    net.train()
    for _ in range(3):
        step(net, updates, numbers, weights, wanted)
        sums = paddle.matmul(weights.unsqueeze(1), nn.functional.embedding(numbers, twin)).squeeze(1)
        ((sums - wanted) ** 2).sum().backward()
        adam.step()
        adam.clear_grad()
    after, used = net.table.weight.numpy(), [1, 2, 4]
    np.testing.assert_allclose(after[used], twin.numpy()[used], atol=1e-5)
    assert np.abs(after[used] - before[used]).min() > 0.01
    np.testing.assert_array_equal(after[[0, 3, 5]], before[[0, 3, 5]])
    assert not after[0].any()


def test_unwatched_and_evaluated_tables_are_ordinary_layers():
    net, numbers, weights = Net(), batch([1, 2, 2]), paddle.ones([1, 3])
    net.train()
    net(numbers, weights).sum().backward()
    assert net.table.weight.grad.numpy()[2].tolist() == [2.0] * WIDTH
    net.clear_gradients()
    updates = TableUpdates(net, TablesConfig())
    updates.watch()
    trained = net(numbers, weights).numpy()
    assert len(net.table.used) == 1
    net.eval()
    np.testing.assert_array_equal(net(numbers, weights).numpy(), trained)
    assert len(net.table.used) == 1
    updates.step(1.0)
    updates.forget()
    assert net.table.used is None
    assert parameter_kinds(net) == {"table.weight": "table", "table.bias": "bias"}


def test_several_uses_in_a_step_add_up():
    paddle.seed(0)
    one, two = Net(), Net()
    two.set_state_dict(one.state_dict())
    joined, first, second = batch([1, 2], [2, 3]), batch([1, 2]), batch([2, 3])
    for net, parts in ((one, [joined]), (two, [first, second])):
        updates = TableUpdates(net, TablesConfig())
        net.train()
        updates.watch()
        paddle.add_n([net(part, paddle.ones(part.shape)).square().sum() for part in parts]).backward()
        updates.step(1.0)
    np.testing.assert_allclose(one.table.weight.numpy(), two.table.weight.numpy(), atol=1e-6)


def test_clipping_counts_the_gradients_of_all_parameters():
    paddle.seed(0)
    net = Net()
    net.train()
    numbers, weights, wanted = batch([1, 2]), paddle.ones([1, 2]), paddle.full([1, WIDTH], 50.0)
    updates = TableUpdates(net, TablesConfig())
    bias = step(net, updates, numbers, weights, wanted, limit=1.0)
    # Of equal size are the gradients of the bias and of both rows, so each has a third of the squared norm.
    assert np.square(bias).sum() == pytest.approx(1 / 3, rel=1e-4)


def test_a_frozen_or_solved_table_does_not_change():
    for change in ("frozen", "solved"):
        net = Net()
        net.train()
        net.table.solved = change == "solved"
        net.table.weight.stop_gradient = change == "frozen"
        before = net.table.weight.numpy().copy()
        step(net, TableUpdates(net, TablesConfig()), batch([1, 2]), paddle.ones([1, 2]), paddle.ones([1, WIDTH]))
        np.testing.assert_array_equal(net.table.weight.numpy(), before)


def test_rows_are_read_and_written_in_place():
    table = paddle.to_tensor(np.arange(12, dtype=np.float32).reshape(4, 3))
    address = table.data_ptr()
    numbers = np.array([3, 1])
    assert rows_of(table, numbers).tolist() == [[9, 10, 11], [3, 4, 5]]
    set_rows(table, numbers, np.zeros((2, 3), dtype=np.float32))
    assert table.numpy()[[1, 3]].sum() == 0
    assert table.numpy()[[0, 2]].sum() == 24
    assert table.data_ptr() == address
    with pytest.raises(TypeError, match="contiguous float32"):
        rows_of(table.astype("float64"), numbers)


def test_mixup_blends_what_tables_give_with_the_targets():
    net, plain = Net(), Net()
    plain.set_state_dict(net.state_dict())
    paddle.seed(0)
    updates = TableUpdates(net, TablesConfig(mixup=0.4))
    numbers, weights = batch([1, 2], [3, 0], [4, 5]), batch([1.0, 0.5], [2.0, 0.0], [1.0, 1.0]).astype("float32")
    targets = paddle.eye(3)
    updates.watch()
    with updates.mixing(targets) as mixed:
        blend = net.table.blend
        found = net(numbers, weights)
        embedded = net.table.blended(net.table.rows(numbers))
    assert net.table.blend is None
    assert 0 < blend.weight < 1
    np.testing.assert_allclose(mixed.sum(axis=1).numpy(), np.ones(3), rtol=1e-6)
    order, share = blend.partners.numpy(), blend.weight
    bias = plain.table.bias.numpy()
    sums, rows = plain(numbers, weights).numpy() - bias, plain.table.rows(numbers).numpy()
    np.testing.assert_allclose(found.numpy(), share * sums + (1 - share) * sums[order] + bias, rtol=1e-5)
    np.testing.assert_allclose(embedded.numpy(), share * rows + (1 - share) * rows[order], rtol=1e-5)
    np.testing.assert_allclose(mixed.numpy(), share * np.eye(3) + (1 - share) * np.eye(3)[order], rtol=1e-5)
    # The gradient reaches the rows of partners, too.
    found.sum().backward()
    assert set(net.table.used[0].numbers.tolist()) == {0, 1, 2, 3, 4, 5}
    assert np.abs(net.table.used[0].values.grad.numpy()[1:]).min() > 0


def test_without_mixup_targets_and_random_numbers_stay():
    net, targets = Net(), paddle.eye(3)
    paddle.seed(0)
    expected = paddle.rand([1]).item()
    paddle.seed(0)
    with TableUpdates(net, TablesConfig()).mixing(targets) as same:
        assert same is targets
        assert net.table.blend is None
    assert paddle.rand([1]).item() == expected
