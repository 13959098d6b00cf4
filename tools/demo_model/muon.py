"""Muon, an optimiser for matrices, in fp32.

torch.optim.Muon computes in bfloat16. Processors without instructions for it need three times as long for a step.
"""

from collections.abc import Iterable

import torch

MOMENTUM = 0.95
# The coefficients of the fifth-order Newton-Schulz iteration, from https://kellerjordan.github.io/posts/muon/
COEFFICIENTS = (3.4445, -4.7750, 2.0315)
ITERATIONS = 5


class Muon(torch.optim.Optimizer):
    """Momentum whose update is made orthogonal, so that all directions of a matrix learn at the same speed."""

    def __init__(self, matrices: Iterable[torch.Tensor], lr: float, weight_decay: float) -> None:
        """`lr` and `weight_decay` are as in torch.optim.Muon."""
        super().__init__(matrices, {"lr": lr, "weight_decay": weight_decay})

    def step(self) -> None:
        """Change each matrix by its gradient."""
        with torch.no_grad():
            for group in self.param_groups:
                for matrix in group["params"]:
                    self._change(matrix, group["lr"], group["weight_decay"])

    def _change(self, matrix: torch.Tensor, lr: float, weight_decay: float) -> None:
        momentum = self.state[matrix].setdefault("momentum", torch.zeros_like(matrix))
        momentum.lerp_(matrix.grad, 1 - MOMENTUM)
        update = _orthogonal(matrix.grad.lerp(momentum, MOMENTUM))
        rows, columns = matrix.shape
        matrix.mul_(1 - lr * weight_decay)
        matrix.add_(update, alpha=-lr * max(1, rows / columns) ** 0.5)


def _orthogonal(matrix: torch.Tensor) -> torch.Tensor:
    """Return a matrix with the same singular vectors whose singular values are all near 1."""
    tall = matrix.shape[0] > matrix.shape[1]
    result = matrix.T if tall else matrix
    result = result / result.norm().clamp(min=1e-7)
    first, third, fifth = COEFFICIENTS
    for _ in range(ITERATIONS):
        gram = result @ result.T
        result = first * result + (third * gram + fifth * gram @ gram) @ result
    return result.T if tall else result
