"""EvoNorm-S0.

    y = gamma * (x * sigmoid(v1 * x) / std[whc/g](x)) + beta

id: 0123456789abcdef
validation accuracy: 0.8013 (protocol 0123456789abcdef, 3 evaluations)
    mini-wide: 0.8000
    mini-deep: 0.8025
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn


def _wide(a: Tensor) -> Tensor:
    """Moments are taken in single precision at least."""
    return a.float() if a.dtype in (torch.float16, torch.bfloat16) else a


def _variance(a: Tensor, dims: tuple[int, ...]) -> Tensor:
    return _wide(a).var(dims, correction=0, keepdim=True)


class EvoNormS0(nn.Module):
    """Input and output: (N, C, H, W).

    Groups: the largest divisor of the channels that is at most `groups`.
    """

    def __init__(self, channels: int, *, groups: int = 32, eps: float = 1e-5) -> None:
        super().__init__()
        divisors = (g for g in range(min(groups, channels), 0, -1) if channels % g == 0)
        self.groups = next(divisors)
        self.group_size = channels // self.groups
        self.eps = eps
        self.v1 = nn.Parameter(torch.ones(channels))
        self.gamma = nn.Parameter(torch.ones(channels))
        self.beta = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        channels = self.gamma.numel()
        if x.dim() != 4 or x.size(1) != channels:
            raise ValueError(f"expected (N, {channels}, H, W), not {tuple(x.shape)}")
        v1 = self.v1.view(1, -1, 1, 1)
        gamma = self.gamma.view(1, -1, 1, 1)
        beta = self.beta.view(1, -1, 1, 1)
        variance_whcg = self._over_groups(x, _variance)
        std_whcg = torch.sqrt(variance_whcg + self.eps)
        out = x * torch.sigmoid(v1 * x) / std_whcg
        return (gamma * out + beta).to(x.dtype)

    def _over_groups(
        self,
        a: Tensor,
        statistic: Callable[[Tensor, tuple[int, ...]], Tensor],
    ) -> Tensor:
        """The statistic over space and a group, repeated for the channels of the group."""
        groups = a.unflatten(1, (self.groups, self.group_size))
        moment = statistic(groups, (2, 3, 4))
        return moment.expand(-1, -1, self.group_size, -1, -1).flatten(1, 2)
