"""Operators of ONNX Runtime that are not part of ONNX, for the exported graphs."""

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

OPERATORS = "com.microsoft"
_ATTENTION = f"{OPERATORS}::MultiHeadAttention"

# torch has no public types for the graph of its exporter.
Graph = Any
Value = Any


class Attention(torch.autograd.Function):
    """Multi-head attention over states (1, length, hidden size). It does not write the scores to memory."""

    @staticmethod
    def forward(_: object, query: Tensor, key: Tensor, value: Tensor, heads: int) -> Tensor:
        query, key, value = (_split_heads(states, heads) for states in (query, key, value))
        return _merge_heads(scaled_dot_product_attention(query, key, value))

    @staticmethod
    def symbolic(graph: Graph, query: Value, key: Value, value: Value, heads: int) -> Value:
        return graph.op(_ATTENTION, query, key, value, num_heads_i=heads).setType(query.type())


class CachedAttention(torch.autograd.Function):
    """Multi-head attention of one token. Adds its key and value to those of the earlier tokens, and returns them too.

    Keys and values are (1, heads, tokens, head size).
    """

    @staticmethod
    def forward(
        _: object, query: Tensor, key: Tensor, value: Tensor, past_key: Tensor, past_value: Tensor, heads: int
    ) -> tuple[Tensor, ...]:
        keys = torch.cat([past_key, _split_heads(key, heads)], dim=2)
        values = torch.cat([past_value, _split_heads(value, heads)], dim=2)
        return _merge_heads(scaled_dot_product_attention(_split_heads(query, heads), keys, values)), keys, values

    @staticmethod
    def symbolic(
        graph: Graph, query: Value, key: Value, value: Value, past_key: Value, past_value: Value, heads: int
    ) -> tuple[Value, ...]:
        absent = graph.op("prim::Constant").setType(torch._C.OptionalType.ofTensor())  # noqa: SLF001
        unused = [absent] * 3  # bias, padding mask, attention bias
        context, keys, values = graph.op(
            _ATTENTION, query, key, value, *unused, past_key, past_value, num_heads_i=heads, outputs=3
        )
        return context.setType(query.type()), keys, values


def _split_heads(states: Tensor, heads: int) -> Tensor:
    return states.view(1, states.shape[1], heads, -1).transpose(1, 2)


def _merge_heads(states: Tensor) -> Tensor:
    return states.transpose(1, 2).flatten(2)
