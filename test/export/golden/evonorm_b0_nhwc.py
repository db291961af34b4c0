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
    """Input and output: (N, H, W, C), or (N, L, C).

    momentum: of the moving statistics, which evaluation reads in place of moments over the
        batch: s = (1 - momentum) * s + momentum * statistic of the batch, its variance biased.
    affine: whether the output is scaled by gamma and shifted by beta, per channel.
    zero_init: gamma starts at 0, for the last layer of a residual branch.
    """

    moving_variance_0: Tensor

    def __init__(
        self,
        channels: int,
        *,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = True,
        zero_init: bool = False,
    ) -> None:
        super().__init__()
        self.channels = channels
        self.eps = eps
        self.momentum = momentum
        self.v1 = nn.Parameter(torch.ones(channels))
        if affine:
            initial = torch.zeros(channels) if zero_init else torch.ones(channels)
            self.gamma = nn.Parameter(initial)
            self.beta = nn.Parameter(torch.zeros(channels))
        else:
            self.register_parameter("gamma", None)
            self.register_parameter("beta", None)
        self.register_buffer("moving_variance_0", torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        if x.dim() == 3:
            return self.forward(x.unsqueeze(2)).squeeze(2)
        if x.dim() != 4 or x.size(3) != self.channels:
            wanted = f"(N, H, W, {self.channels})"
            raise ValueError(f"expected {wanted}, not {tuple(x.shape)}")
        v1 = self.v1.view(1, 1, 1, -1)
        variance_wh = _variance(x, (1, 2))
        std_wh = torch.sqrt(variance_wh + self.eps)
        variance_bwh = self._over_batch(x, _variance, self.moving_variance_0)
        std_bwh = torch.sqrt(variance_bwh + self.eps)
        out = x / torch.maximum(v1 * x + std_wh, std_bwh)
        if self.gamma is not None:
            out = self.gamma.view(1, 1, 1, -1) * out + self.beta.view(1, 1, 1, -1)
        return out.to(x.dtype)

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
            moving.lerp_(batch.flatten().to(moving.dtype), self.momentum)
        return batch


# What the reference computes: `name value value ...;`, images in the order of this module.
_GOLDEN = """
v1 0.55 0.87 1.27 1.06;
gamma 0.71 1.08 0.85 0.95;
beta 0.18 0.67 -0.53 0.96;
first.x 1.64 -0.49 0.93 0.33 -0.94 -1.38 -1.52 -0.52 -1.28 1.03 0.53 -0.28 -0.75 1.2
1.92 -1.09 -0.46 2.13 -0.25 0.39 0.06 2.18 1.7 1.05 2.03 2.1 -1.18 -0.31 0.94 -1.15 0.17
-1.1 0.57 1.69 -0.48 -1.72 2 -0.88 1.53 -1.7 -0.26 -1.61 -0.42 -1.28 1.44 -0.17 -1.21
0.64;
first.dy 0.59 0.87 -0.98 -0.94 1 0.61 -0.09 -0.22 0.34 0.93 0.47 -0.02 -0.17 -0.71 0.8
0.49 0.27 0.16 0.08 -0.9 -0.16 0.13 0.89 -0.33 0.55 -0.45 0.82 0.88 -0.14 -0.14 -0.29
-0.96 0.32 0.5 -0.12 0 0.68 -0.44 -1 -0.3 0.32 -0.84 -0.41 -0.57 -0.51 0.55 0 0.23;
first.y 0.80649183 0.29670746 -0.19434028 1.2600605 -0.40942413 -0.38131369 -1.6674769
0.40476305 -0.62262009 1.1741896 -0.28609936 0.66102626 -0.29028521 1.2205025
-0.078218237 -0.20386207 -0.1084416 1.3972123 -0.71708502 1.2942689 0.21762282 1.4041869
-0.096451912 1.5117179 0.92783854 1.3699417 -1.4130413 0.62899336 0.6826406 -0.20609474
-0.4041186 -0.21453971 0.53741676 1.3029654 -0.88920324 -0.87655299 0.92314902
-0.00040293073 -0.077668836 -0.85519773 0.016967794 -0.55653263 -0.84430284 -0.40673711
0.81788861 0.54049034 -1.4354915 1.3608897;
first.dx 0.11316531 0.69596401 -0.16012699 -0.65857228 0.57876737 0.52584207
-0.076630192 -0.30210328 0.15892791 0.25578416 0.14950169 -0.094994571 -0.15153105
-0.2011702 0.087657834 0.47131311 0.12947743 -0.026479701 0.063790262 -0.57531033
-0.13099391 -0.032787684 0.10414187 -0.17600323 0.1280882 -0.09768818 0.54296988
0.90417928 -0.010107326 -0.078780325 -0.1588378 -0.90809956 0.23380118 0.067099638
-0.11578304 0.23656286 0.14986396 -0.31232341 0.0064963655 -0.087624523 0.2282847
-0.60354261 -0.32897137 -0.45694648 -0.07535505 0.42874061 -0.072584141 -0.13909911;
first.dv1 -0.94622247 -0.14425221 -0.045787642 0.26177045;
first.dgamma 0.12186977 0.64997092 -0.49480704 1.0999471;
first.dbeta 3.09 1.17 0.17 -2.64;
second.x 0.51 2.13 0.12 -0.61 2.15 1.08 0.71 0 0.61 -1.33 1.96 1.5 -1.76 -1.03 0.45
-1.73 0.45 0.1 0.02 -0.03 -1.72 0.92 2.01 1.15 0.23 1.43 -0.4 0.75 2.07 -0.61 1.32 0.54
0.52 -1.24 -1.7 0.45 1.54 -1.47 -1.64 2.04 -0.9 -0.51 -0.63 -0.06 1.2 -0.48 -0.84 -1.39;
second.dy 0.39 0.35 0.05 -0.03 -0.23 -0.97 0.4 -0.83 0.73 0.3 0.23 -0.04 0.41 -0.52 0.36
-0.3 -0.23 0.23 0.51 0.6 0.97 0.6 -0.39 0.69 -0.8 0.3 -0.92 -0.86 -0.62 0.49 -0.39 0.33
0.68 -0.16 0.66 -0.2 0.24 -0.88 0.19 -0.36 -0.04 -0.76 -1 -0.78 0.81 -0.23 0.2 0;
second.y 0.39745689 1.4206304 -0.44437591 0.4141422 0.77462652 1.2122281 -0.17822265
0.96 0.43177926 -0.57744837 -0.02562132 1.4948392 -0.81988569 -0.29606904 -0.25390123
-0.58808851 0.37575316 0.75317135 -0.51572932 0.93315453 -0.79716101 1.1638556
-0.022510753 1.4363769 0.31066688 1.3793629 -0.81541363 1.3524429 0.87802728 0.097862024
-0.11159283 1.2820438 0.47465163 -0.49303457 -1.7430079 1.2454661 0.78275464 -0.70875873
-1.7001959 1.568869 -0.33130518 0.19165513 -0.97952647 0.90630907 0.70366154 0.21979307
-1.1293686 -0.28383991;
second.dx 0.14174829 -0.19060868 0.056002935 0.017931642 0.080143567 -0.40005394
0.11314854 -0.72480475 0.2527792 0.416339 0.031176825 -0.084291616 0.082779609
-0.38522078 0.14941782 -0.15821982 -0.08547041 0.15872901 0.3844315 0.54778867
0.40363198 0.085484996 -0.0073130911 0.075814131 -0.44043597 -0.13271026 -0.66662134
-0.25953961 -0.033902179 0.51851085 0.003178534 0.11960872 0.31899774 -0.012266723
0.41564974 -0.092892636 0.098350119 -0.65878052 0.082370853 -0.041707945 -0.038183062
-0.6664233 -0.73168556 -0.70414772 0.24947882 -0.17307589 0.11726789 -0.0054743902;
second.dv1 -0.057526182 -0.19527857 0.039134635 0.10825228;
second.dgamma -1.4347151 1.8326553 -0.49895991 0.32249261;
second.dbeta 2.31 -1.25 -0.1 -1.78;
inference.x -0.58 0.19 2.01 -1.44 -0.69 1.34 0.17 0.11 1.19 1.68 -0.02 0.88 -1.03 0.62
-1.26 2.17 -0.36 -0.59 -0.78 -1.41 -0.87 -0.3 1.9 1.24 -1.17 1.24 0.75 0.35 -0.4 1.35
-0.25 0.26 -0.82 -0.28 0.59 0.87 -0.26 1.09 0.7 0.69 1.3 1.32 2.14 1.42 1.99 -0.43 0.41
-0.79;
inference.dy -0.63 -0.13 -0.23 0.24 0.12 -0.47 0.9 -0.77 0.59 -0.78 0.69 -0.19 -0.72
0.52 -0.31 0.52 0.36 -0.23 -0.24 0.81 0.62 -0.9 0.37 -0.13 0.72 -0.63 -0.34 0.39 0.96
0.32 0.67 0.03 0.66 -0.13 0.02 -0.67 0.52 0.61 0.74 -0.03 -0.27 0.48 -0.71 -0.99 0.43
0.76 -0.54 -0.02;
inference.y -0.21596494 0.86359579 -0.079287921 -0.41215231 -0.29106174 1.3987124
-0.43060998 1.0319865 0.78696728 1.4651726 -0.54401983 1.3286291 -0.52317912 1.1625091
-1.5663292 1.5270843 -0.065771343 0.068834114 -1.1715371 -0.38356581 -0.41394741
0.36432243 -0.087651598 1.4046186 -0.61875686 1.3973911 -0.14780447 1.2770098
-0.09307927 1.422788 -0.73562088 1.2077497 -0.3798125 0.38470094 -0.18763113 1.476542
0.0024984746 1.3581795 -0.15916667 1.4251366 0.67653507 1.4161139 -0.00018816526
1.577939 0.81121493 0.23186215 -0.24808641 0.207222;
inference.dx -0.41905357 -0.14806116 -0.032844848 0.22662164 0.099365278 -0.061352785
0.44963795 -0.46361147 0.067580181 -0.070818749 0.49722666 -0.046095999 -0.45433416
0.25594887 -0.23970139 0.052236962 0.24402719 -0.29051599 -0.18671766 0.76980184
0.45117926 -0.95811504 0.01425908 -0.022291644 0.5006829 -0.18840508 -0.073483539
0.21714742 0.6590177 0.027426695 0.52047564 0.0088429754 0.45721521 -0.065388643
0.0014787603 -0.129994 0.35762818 0.14634755 0.17408243 0.011608219 -0.072003542
0.067462272 0.0078885869 -0.042697952 0.056217494 0.85156611 -0.22475136 -0.13911108;
inference.dv1 -0.45368965 0.19678803 0.18008179 0.43408204;
inference.dgamma -0.79024655 -0.049768701 0.1178415 -2.2438584;
inference.dbeta 3.36 -0.58 1.02 -0.81;
moving_variance_0 1.0815714 1.1234636 1.06802 0.9939469;
"""


def _self_test() -> None:
    """Two training steps and one in evaluation, against a reference in double precision."""
    layer = EvoNormB0(4).double()
    for name, parameter in layer.named_parameters():
        parameter.data = _golden(name)
    for step in ("first", "second", "inference"):
        layer.train(step != "inference")
        layer.zero_grad()
        x = _golden(f"{step}.x").view(2, 2, 3, 4).requires_grad_()
        y = layer(x)
        y.backward(_golden(f"{step}.dy").view_as(y))
        _check(f"{step}.y", y)
        _check(f"{step}.dx", x.grad)
        for name, parameter in layer.named_parameters():
            _check(f"{step}.d{name}", parameter.grad)
    for name, buffer in layer.named_buffers():
        _check(name, buffer)


def _golden(name: str) -> Tensor:
    vectors = (vector.split() for vector in _GOLDEN.split(";"))
    words = next(words for words in vectors if words[:1] == [name])
    values = [float(word) for word in words[1:]]
    return torch.tensor(values, dtype=torch.float64)


def _check(name: str, actual: Tensor | None) -> None:
    expected = _golden(name)
    actual = torch.zeros_like(expected) if actual is None else actual.detach().flatten()
    scale = max(1.0, expected.abs().max().item())
    difference = (actual - expected).abs().max().item() / scale
    print(f"{name}: {expected.numel()} values, off by {difference:.1e} at most")
    if not difference < 1e-6:
        raise SystemExit(f"{name} is {actual.tolist()}, not {expected.tolist()}")


if __name__ == "__main__":
    _self_test()
