"""The precisions that a model can be exported in, and the gate that a reduced one must pass."""

import logging
import os
from dataclasses import dataclass
from pathlib import Path

import onnx
from onnx import helper
from onnxruntime.quantization import QuantType, quantize_dynamic
from transformers import BlipForConditionalGeneration

from tools.exporter import graphs
from tools.exporter.parity import Parity

# The precision of the weights of each graph, from the slowest to the fastest: see docs/benchmarks.md.
LADDER = {
    "fp32": {"encoder": "fp32", "decoder": "fp32"},
    "int8-decoder": {"encoder": "fp32", "decoder": "int8"},
    "int8": {"encoder": "int8", "decoder": "int8"},
}


@dataclass(frozen=True)
class Gate:
    """The conditions for using a reduced precision instead of fp32. The terms are explained at Parity."""

    agreement: float = 0.95
    token_edit_distance: float = 0.02

    def passes(self, parity: Parity) -> bool:
        return parity.agreement >= self.agreement and parity.token_edit_distance <= self.token_edit_distance


def write_weights(model: BlipForConditionalGeneration, precisions: list[str], folder: Path) -> None:
    """Write the graphs of `model` that `precisions` need, to `folder/fp32` and `folder/int8`."""
    for weights in ("fp32", "int8"):
        (folder / weights).mkdir(parents=True)
    graphs.write_graphs(model, folder / "fp32")
    reduced = {graph for name in precisions for graph, weights in LADDER[name].items() if weights == "int8"}
    for graph in sorted(reduced):
        write_int8(folder / "fp32" / f"{graph}.onnx", folder / "int8" / f"{graph}.onnx")
    for path in folder.glob("*/*.onnx"):
        graphs.fuse(path)


def write_int8(fp32: Path, path: Path) -> None:
    """Quantise the weights of products to 8 bits. Activations are quantised while the graph runs.

    Weights are signed, because the fastest kernels need that. Each output channel has a scale. Weights use only 7 of
    their 8 bits: a CPU without VNNI adds two products of 8 bits in 16 bits, and 2 * 255 * 64 fits there.
    """
    # The quantiser recommends a pre-processing that changes nothing in these graphs.
    logging.getLogger().addFilter(_no_advice)
    try:
        quantize_dynamic(
            fp32,
            path,
            op_types_to_quantize=["MatMul", "Gemm"],
            per_channel=True,
            reduce_range=True,
            weight_type=QuantType.QInt8,
            use_external_data_format=True,
        )
    finally:
        logging.getLogger().removeFilter(_no_advice)
    model = onnx.load(path)
    path.unlink()
    path.with_name(f"{path.name}.data").unlink()
    _share_embedding(model.graph)
    graphs.save(model, path)


def assemble(written: Path, precision: str, folder: Path) -> None:
    """Put the graphs of `precision`, written by `write_weights`, into one `folder`, without copying them."""
    folder.mkdir()
    for graph, weights in LADDER[precision].items():
        for name in (f"{graph}.onnx", f"{graph}.onnx.data"):
            os.link(written / weights / name, folder / name)


def _share_embedding(graph: onnx.GraphProto) -> None:
    """Let the graph read token embeddings from the quantised output projection, if the two have the same weights.

    Otherwise the graph would also contain the embedding in fp32, which is the largest tensor.
    """
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    for node in [node for node in graph.node if node.op_type == "Gather"]:
        columns, scales = (f"{node.input[0]}_Transposed_{part}" for part in ("quantized", "scale"))
        if columns not in tensors:
            continue
        token, embedding = node.input[1], node.output[0]
        read = [
            # Reading (hidden size, vocabulary) at tokens (1, 1) gives (hidden size, 1, 1).
            helper.make_node("Gather", [columns, token], ["embedding_column"], axis=1),
            helper.make_node("Transpose", ["embedding_column"], ["embedding_row"], perm=[1, 2, 0]),
            helper.make_node("Cast", ["embedding_row"], ["embedding_float"], to=onnx.TensorProto.FLOAT),
            helper.make_node("Gather", [scales, token], ["embedding_scale"], axis=0),
            helper.make_node("Mul", ["embedding_float", "embedding_scale"], [embedding]),
        ]
        graph.initializer.remove(tensors[node.input[0]])
        graph.node.remove(node)
        # A node must come before the nodes that read it. These nodes read only the token and weights.
        for new in reversed(read):
            graph.node.insert(0, new)


def _no_advice(record: logging.LogRecord) -> bool:
    return "pre-processing" not in record.getMessage()
