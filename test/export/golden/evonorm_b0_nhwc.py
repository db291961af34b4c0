"""EvoNorm-B0.

    y = gamma * (x / max(v1 * x + std[wh](x), std[bwh](x))) + beta

id: 0123456789abcdef
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn


def _wide(a: Tensor) -> Tensor:
    """Moments are taken in single precision at least."""
    return a.float() if a.dtype in (torch.float16, torch.bfloat16) else a


def _variance(a: Tensor, dims: tuple[int, ...]) -> Tensor:
    return _wide(a).var(dims, correction=0, keepdim=True)


class EvoNormB0(nn.Module):
    """Input and output: (N, H, W, C).

    Moments over the batch read moving statistics in evaluation:
    s = decay * s + (1 - decay) * statistic of the batch, its variance biased.
    """

    moving_variance_0: Tensor

    def __init__(self, channels: int, *, eps: float = 1e-5, decay: float = 0.9) -> None:
        super().__init__()
        self.eps = eps
        self.decay = decay
        self.v1 = nn.Parameter(torch.ones(channels))
        self.gamma = nn.Parameter(torch.ones(channels))
        self.beta = nn.Parameter(torch.zeros(channels))
        self.register_buffer("moving_variance_0", torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        channels = self.gamma.numel()
        if x.dim() != 4 or x.size(3) != channels:
            raise ValueError(f"expected (N, H, W, {channels}), not {tuple(x.shape)}")
        v1 = self.v1.view(1, 1, 1, -1)
        gamma = self.gamma.view(1, 1, 1, -1)
        beta = self.beta.view(1, 1, 1, -1)
        variance_wh = _variance(x, (1, 2))
        std_wh = torch.sqrt(variance_wh + self.eps)
        variance_bwh = self._over_batch(x, _variance, self.moving_variance_0)
        std_bwh = torch.sqrt(variance_bwh + self.eps)
        out = x / torch.maximum(v1 * x + std_wh, std_bwh)
        return (gamma * out + beta).to(x.dtype)

    def _over_batch(
        self,
        a: Tensor,
        statistic: Callable[[Tensor, tuple[int, ...]], Tensor],
        moving: Tensor,
    ) -> Tensor:
        """The statistic of this batch in training, the moving one in evaluation."""
        if not self.training:
            return moving.view(1, 1, 1, -1)
        batch = statistic(a, (0, 1, 2))
        with torch.no_grad():
            moving.lerp_(batch.flatten().to(moving.dtype), 1 - self.decay)
        return batch
