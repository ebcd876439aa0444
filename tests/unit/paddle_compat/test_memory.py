import paddle
import pytest

from paddle_automl.paddle_compat.memory import empty_on_cpu


@pytest.mark.parametrize("dtype", [paddle.float32, paddle.bfloat16, paddle.uint8])
def test_empty_memory_is_an_ordinary_tensor(dtype):
    found = empty_on_cpu([2, 3], dtype)
    assert found.shape == [2, 3]
    assert found.dtype == dtype
    assert found.place.is_cpu_place()
    assert found.stop_gradient
    assert found.is_contiguous()
    assert found.data_ptr()
