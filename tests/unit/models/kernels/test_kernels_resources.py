"""Primitives are kept and let go, threads share them, memory does not grow, a fork starts clean."""

import multiprocessing
import os
import subprocess
import sys
import threading
import weakref
from pathlib import Path

import kernels_helpers as helpers
import numpy as np
import paddle
import pytest

from paddle_automl.models import kernels
from paddle_automl.models.kernels import layers, primitives
from paddle_automl.models.kernels.primitives import Cache, Layout, Primitive, reorder

pytestmark = helpers.needs("float32")


def copier(size):
    return reorder(Layout.of([size], 3), Layout.of([size], 3))


class TestCache:
    def test_the_least_recently_used_goes_first_and_is_destroyed(self):
        cache = Cache(2)
        first, second = weakref.ref(cache.get(copier, 1)), weakref.ref(cache.get(copier, 2))
        cache.get(copier, 1)
        cache.get(copier, 3)
        assert first() is not None
        assert second() is None
        assert len(cache) == 2

    def test_one_in_use_outlives_the_cache(self):
        cache = Cache(1)
        kept = cache.get(copier, 4)
        cache.get(copier, 5)
        x, y = paddle.arange(4, dtype="float32"), paddle.zeros([4])
        kept(x.data_ptr(), y.data_ptr())
        assert y.tolist() == [0, 1, 2, 3]

    def test_what_cannot_be_made_is_tried_once(self):
        calls = []

        def fail(key):
            calls.append(key)
            raise kernels.UnsupportedError("no")

        cache = Cache(2)
        for _ in range(2):
            with pytest.raises(kernels.UnsupportedError, match="no"):
                cache.get(fail, 1)
        assert calls == [1]

    def test_every_object_of_the_library_is_destroyed(self, monkeypatch):
        alive = {"memory": 0, "primitive": 0, "primitive_desc": 0, "memory_desc": 0}
        lib = primitives.library()
        create = lib.create

        class Counting:
            def __getattr__(self, name):
                function = getattr(lib.dll, name)
                kind = name.removeprefix("dnnl_").removesuffix("_destroy")
                if name.endswith("_destroy") and kind in alive:
                    alive[kind] -= 1
                return function

        class Library:
            dll, engine, stream, check = Counting(), lib.engine, lib.stream, lib.check

            def create(self, function, *arguments):
                made = create(function, *arguments)
                for kind in sorted(alive, key=len, reverse=True):
                    if f"{kind}_create" in function:
                        alive[kind] += 1
                        break
                return made

        counting = Library()
        monkeypatch.setattr(primitives, "library", lambda: counting)
        copy = copier(7)
        assert isinstance(copy, Primitive)
        assert alive["memory"] == 2
        assert alive["primitive"] == 1
        del copy
        assert set(alive.values()) == {0}


class Net(paddle.nn.Layer):
    def __init__(self):
        super().__init__()
        self.body = paddle.nn.Sequential(
            layers.Conv2D(3, 8, 3, padding=1), layers.BatchNorm2D(8), layers.Silu(), layers.MaxPool2D(2),
            layers.Conv2D(8, 8, 3, padding=1, groups=8), layers.ReLU(), layers.AdaptiveAvgPool2D(1),
        )  # fmt: skip

    def forward(self, x):
        y = self.body[:3](x)
        return self.body[3:](layers.add_relu(*layers.fork(y)))


def resident_mb():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 2**20


@pytest.mark.parametrize("dtype", helpers.DTYPES)
@pytest.mark.parametrize(
    ("steps", "backward"),
    [(100, True), (100, False), pytest.param(10_000, True, marks=pytest.mark.slow)],
)
def test_memory_does_not_grow_with_steps_of_varying_shapes(dtype, steps, backward, monkeypatch):
    """An abandoned forward pass (an exception, a look at a value) must be freed too."""
    monkeypatch.setattr(primitives.CACHE, "capacity", 100)
    rng = np.random.default_rng(0)
    net = Net()

    def run(count, largest):
        for _ in range(count):
            batch, height, width = rng.integers(1, largest, 3)
            x = paddle.to_tensor(rng.standard_normal([batch, 3, height + 2, width + 2]).astype("float32"))
            with kernels.use(dtype):
                y = net(x)
            if backward:
                y.sum().backward()
                net.clear_gradients()

    # Enough to fill the library's own cache of 1024 primitives before the first look.
    run(100, 24)
    before = resident_mb()
    run(steps, 24)
    assert len(primitives.CACHE) <= 100
    # A step's feature maps of one layer take 0.6 MB in the mean, its primitives as much.
    assert resident_mb() - before < 25 + 0.004 * steps


@pytest.mark.parametrize("dtype", helpers.DTYPES)
def test_threads_share_primitives(dtype):
    inputs = [paddle.to_tensor(helpers.normal(np.random.default_rng(n), 4, 3, 12, 12)) for n in range(4)]
    nets = [Net() for _ in inputs]
    expected = []
    for net, x in zip(nets, inputs, strict=True):
        with kernels.use(dtype):
            y = net(x)
        y.sum().backward()
        expected.append((y.numpy(), net.body[0].weight.grad.numpy()))
        net.clear_gradients()
        net.body[1].momentum = 1.0
    wrong = []

    def work(index):
        net, x = nets[index], inputs[index]
        for _ in range(30):
            with kernels.use(dtype):
                y = net(x)
            y.sum().backward()
            found = (y.numpy(), net.body[0].weight.grad.numpy())
            wrong.extend(1 for one, other in zip(found, expected[index], strict=True) if (one != other).any())
            net.clear_gradients()

    threads = [threading.Thread(target=work, args=[index]) for index in range(len(inputs))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def in_child(queue):
    kernels.set_threads(1)
    with kernels.use("float32") as dtype:
        y = layers.ReLU()(paddle.to_tensor([[[-1.0, 2.0]]]))
    queue.put((dtype, y.numpy().tolist()))


def test_after_a_fork():
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=in_child, args=[queue])
    child.start()
    assert queue.get(timeout=60) == ("float32", [[[0.0, 2.0]]])
    child.join()
    assert child.exitcode == 0


def test_threads_of_the_library_can_be_set_after_the_start():
    code = (
        "import os, paddle\n"
        "from paddle_automl.models import kernels\n"
        "from paddle_automl.models.kernels import layers\n"
        "def threads():\n"
        "    with kernels.use('float32'): layers.Conv2D(32, 64, 3)(paddle.rand([8, 32, 32, 32]))\n"
        "    return len(os.listdir('/proc/self/task'))\n"
        "kernels.set_threads(1); one = threads(); kernels.set_threads(3); print(threads() - one)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "2"


@pytest.mark.parametrize("limit", ["AVX2", "AVX512_CORE"])
def test_a_processor_with_less(limit):
    """The library limits itself to instruction sets that the variable names; results stay those of Paddle."""
    code = (
        "import numpy as np, paddle\n"
        "from paddle_automl.models import kernels\n"
        "from paddle_automl.models.kernels import layers, mode\n"
        "have = mode.processor_flags()\n"
        "lacking = ('avx512', 'amx') if limit == 'AVX2' else ('avx512_bf16', 'amx')\n"
        "mode.processor_flags = lambda: frozenset(f for f in have if not f.startswith(lacking))\n"
        "net = paddle.nn.Sequential(layers.Conv2D(3, 16, 3), layers.BatchNorm2D(16), layers.ReLU(),\n"
        "    layers.MaxPool2D(2), layers.Conv2D(16, 16, 3, groups=16), layers.AdaptiveAvgPool2D(1))\n"
        "x = paddle.to_tensor(np.random.default_rng(0).standard_normal((4, 3, 12, 12)).astype('float32'))\n"
        "found = []\n"
        "for dtype in ('bfloat16', None):\n"
        "    net.clear_gradients()\n"
        "    with kernels.use(dtype) as real: y = net(x)\n"
        "    y.square().sum().backward()\n"
        "    found.append((real, y.numpy(), net[0].weight.grad.numpy()))\n"
        "fast, plain = found\n"
        "worst = max(abs(a - b).max() / abs(b).max() for a, b in zip(fast[1:], plain[1:]))\n"
        "print(fast[0], plain[0], worst < 1e-4)"
    )
    run = subprocess.run(
        [sys.executable, "-c", f"limit = {limit!r}\n{code}"],
        env={**os.environ, "ONEDNN_MAX_CPU_ISA": limit}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert run.stdout.split() == ["float32", "None", "True"]
