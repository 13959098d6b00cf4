"""The best rates of this machine: operations of matrix products per second, and bytes read per second."""

import os
import time
from collections.abc import Callable

import numpy as np
import onnxruntime
import torch
from onnx import TensorProto, helper, numpy_helper

from tools.measure.bench import tasks

_SIDE = 2048
_ROUNDS = 15
# Much larger than the caches of the processor.
_BUFFER_BYTES = 2**30


def main() -> None:
    """Print the best rates of the libraries on this machine, in operations and bytes per second."""
    operations = 2 * _SIDE**3
    floats = torch.randn(_SIDE, _SIDE)
    buffer = torch.ones(_BUFFER_BYTES // 4)
    rates = {
        "fp32": max(operations / _median(lambda: floats @ floats), operations / _median(_ort_product(integers=False))),
        "int8": operations / _median(_ort_product(integers=True)),
        "bytes": _BUFFER_BYTES / _median(lambda: torch.dot(buffer, buffer)),
    }
    tasks.report(rates)


def _ort_product(*, integers: bool) -> Callable[[], object]:
    rng = np.random.default_rng(0)
    if integers:
        operator, kind, result = "MatMulInteger", TensorProto.UINT8, TensorProto.INT32
        left = rng.integers(0, 255, (_SIDE, _SIDE), np.uint8)
        right = rng.integers(-64, 64, (_SIDE, _SIDE), np.int8)
    else:
        operator, kind, result = "MatMul", TensorProto.FLOAT, TensorProto.FLOAT
        left, right = rng.standard_normal((2, _SIDE, _SIDE), np.float32)
    graph = helper.make_graph(
        [helper.make_node(operator, ["left", "right"], ["product"])],
        "product",
        [helper.make_tensor_value_info("left", kind, left.shape)],
        [helper.make_tensor_value_info("product", result, left.shape)],
        [numpy_helper.from_array(right, "right")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = len(os.sched_getaffinity(0))
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    value = onnxruntime.OrtValue.ortvalue_from_numpy(left)
    return lambda: session.run_with_ort_values(None, {"left": value})


def _median(run: Callable[[], object]) -> float:
    run()
    seconds = []
    for _ in range(_ROUNDS):
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    return float(np.median(seconds))


if __name__ == "__main__":
    main()
