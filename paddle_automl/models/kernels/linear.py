"""Linear layers: matrix products with a bias added in the same pass."""

from __future__ import annotations

from paddle import Tensor

from paddle_automl.models.kernels.library import FORWARD_INFERENCE, FORWARD_TRAINING, library
from paddle_automl.models.kernels.memory import NUMBERS, needs_gradient
from paddle_automl.models.kernels.primitives import CACHE, Description, Layout
from paddle_automl.models.kernels.weighted import Needs, Weighted, run


class InnerProduct(Weighted):
    """Product of [M, in] with Paddle's weights [in, out] for one set of shapes."""

    def __init__(self, shape: tuple[int, ...], out: int, bias: bool, dtype: int, needs: Needs) -> None:
        *outer, width = shape
        rows = 1
        for size in outer:
            rows *= size
        self.source = lambda kind: Layout.of([rows, width], kind)
        self.target = lambda kind: Layout.of([rows, out], kind)
        # The library's order is [out, in]; in memory Paddle's weights are the transpose.
        self.weights_shape, self.weights_order = (out, width), (1, 0)
        self.result_shape = [*outer, out]
        super().__init__(dtype, needs, bias=out if bias else None, gradient_types=(dtype, dtype))

    def describe_forward(  # noqa: D102
        self, x: Layout, weights: Layout, bias: Layout | None, y: Layout, *, training: bool
    ) -> Description:
        kind = FORWARD_TRAINING if training else FORWARD_INFERENCE
        return Description("inner_product_forward", library().engine, kind, x, weights, bias, y, None)

    def describe_backward_data(  # noqa: D102
        self, dx: Layout, weights: Layout, dy: Layout, hint: Description
    ) -> Description:
        return Description("inner_product_backward_data", library().engine, dx, weights, dy, hint, None)

    def describe_backward_weights(  # noqa: D102
        self, x: Layout, dweights: Layout, dbias: Layout | None, dy: Layout, hint: Description
    ) -> Description:
        return Description("inner_product_backward_weights", library().engine, x, dweights, dbias, dy, hint, None)


def linear(x: Tensor, weights: Tensor, bias: Tensor | None) -> Tensor:
    """Return x W + b of `x` [..., in] in the type of `x`; raises UnsupportedError if oneDNN cannot."""
    x = x.contiguous()
    needs = Needs(needs_gradient(x), needs_gradient(weights, bias))
    operation = CACHE.get(InnerProduct, tuple(x.shape), weights.shape[1], bias is not None, NUMBERS[x.dtype], needs)
    return run(operation, x, weights, bias)
