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
    """Input and output: (N, C, H, W), or (N, C, L).

    groups: the largest divisor of `channels` that is at most this is taken.
    affine: whether the output is scaled by gamma and shifted by beta, per channel.
    zero_init: gamma starts at 0, for the last layer of a residual branch.
    """

    def __init__(
        self,
        channels: int,
        *,
        groups: int = 32,
        eps: float = 1e-5,
        affine: bool = True,
        zero_init: bool = False,
    ) -> None:
        super().__init__()
        self.channels = channels
        sizes = range(min(groups, channels), 0, -1)
        self.groups = next(g for g in sizes if channels % g == 0)
        self.group_size = channels // self.groups
        self.eps = eps
        self.v1 = nn.Parameter(torch.ones(channels))
        if affine:
            initial = torch.zeros(channels) if zero_init else torch.ones(channels)
            self.gamma = nn.Parameter(initial)
            self.beta = nn.Parameter(torch.zeros(channels))
        else:
            self.register_parameter("gamma", None)
            self.register_parameter("beta", None)

    def forward(self, x: Tensor) -> Tensor:
        if x.dim() == 3:
            return self.forward(x.unsqueeze(3)).squeeze(3)
        if x.dim() != 4 or x.size(1) != self.channels:
            wanted = f"(N, {self.channels}, H, W)"
            raise ValueError(f"expected {wanted}, not {tuple(x.shape)}")
        v1 = self.v1.view(1, -1, 1, 1)
        variance_whcg = self._over_groups(x, _variance)
        std_whcg = torch.sqrt(variance_whcg + self.eps)
        out = x * torch.sigmoid(v1 * x) / std_whcg
        if self.gamma is not None:
            out = self.gamma.view(1, -1, 1, 1) * out + self.beta.view(1, -1, 1, 1)
        return out.to(x.dtype)

    def _over_groups(
        self,
        a: Tensor,
        statistic: Callable[[Tensor, tuple[int, ...]], Tensor],
    ) -> Tensor:
        """The statistic over space and a group, repeated for the channels of the group."""
        groups = a.unflatten(1, (self.groups, self.group_size))
        moment = statistic(groups, (2, 3, 4))
        return moment.expand(-1, -1, self.group_size, -1, -1).flatten(1, 2)


# What the reference computes: `name value value ...;`, images in the order of this module.
_GOLDEN = """
v1 0.55 0.87 1.27 1.06;
gamma 0.71 1.08 0.85 0.95;
beta 0.18 0.67 -0.53 0.96;
first.x 1.64 -0.94 -1.28 -0.75 -0.46 0.06 -0.49 -1.38 1.03 1.2 2.13 2.18 0.93 -1.52 0.53
1.92 -0.25 1.7 0.33 -0.52 -0.28 -1.09 0.39 1.05 2.03 0.94 0.57 2 -0.26 1.44 2.1 -1.15
1.69 -0.88 -1.61 -0.17 -1.18 0.17 -0.48 1.53 -0.42 -1.21 -0.31 -1.1 -1.72 -1.7 -1.28
0.64;
first.dy 0.59 1 0.34 -0.17 0.27 -0.16 0.87 0.61 0.93 -0.71 0.16 0.13 -0.98 -0.09 0.47
0.8 0.08 0.89 -0.94 -0.22 -0.02 0.49 -0.9 -0.33 0.55 -0.14 0.32 0.68 0.32 -0.51 -0.45
-0.14 0.5 -0.44 -0.84 0.55 0.82 -0.29 -0.12 -1 -0.41 0 0.88 -0.96 0 -0.3 -0.57 0.23;
first.y 0.83476981 -0.01707721 -0.057736565 0.012335659 0.06715583 0.19711525 0.50475628
0.39741379 1.2944624 1.4277241 2.2420287 2.2882654 0.071161407 -0.69270689 -0.23349833
0.96181775 -0.61897751 0.75755743 1.1427687 0.78050112 0.84728471 0.7135049 1.1816459
1.7062306 1.0271285 0.50619277 0.36241882 1.0111984 0.1131279 0.72900747 2.1942437
0.40948962 1.8278719 0.43462453 0.40179189 0.6036647 -0.72415391 -0.44518807 -0.68228285
0.67566941 -0.6698971 -0.72296484 0.8293445 0.69686023 0.71918325 0.7176058 0.69609773
1.3874935;
first.dx 0.27521439 0.16016338 0.057094578 -0.013114319 0.067753728 -0.043507356
0.22914215 0.034543755 0.69808887 -0.58502522 0.11845649 0.090325855 -0.87484071
0.18310039 0.29661294 0.57980593 0.074220805 0.68295229 -0.60224574 0.028277858
0.047264247 0.14744037 -0.60793973 -0.37658479 0.2207381 -0.076633979 0.11539686
0.28972318 0.11602887 -0.28557449 -0.4847417 0.075050131 0.38134434 0.014170262
0.12338639 0.23319908 -0.077686865 -0.097939173 -0.0143671 -0.81039019 -0.077184816
-0.049743168 0.32230344 -0.066436362 -0.090551237 -0.065560332 -0.046062575 0.28699994;
first.dv1 0.75400496 -0.040609018 0.16312806 -0.46081124;
first.dgamma 1.1917646 0.38564699 0.68621649 -0.24997389;
first.dbeta 3.09 1.17 0.17 -2.64;
second.x 0.51 2.15 0.61 -1.76 0.45 -1.72 2.13 1.08 -1.33 -1.03 0.1 0.92 0.12 0.71 1.96
0.45 0.02 2.01 -0.61 0 1.5 -1.73 -0.03 1.15 0.23 2.07 0.52 1.54 -0.9 1.2 1.43 -0.61
-1.24 -1.47 -0.51 -0.48 -0.4 1.32 -1.7 -1.64 -0.63 -0.84 0.75 0.54 0.45 2.04 -0.06
-1.39;
second.dy 0.39 -0.23 0.73 0.41 -0.23 0.97 0.35 -0.97 0.3 -0.52 0.23 0.6 0.05 0.4 0.23
0.36 0.51 -0.39 -0.03 -0.83 -0.04 -0.3 0.6 0.69 -0.8 -0.62 0.68 0.24 -0.04 0.81 0.3 0.49
-0.16 -0.88 -0.76 -0.23 -0.92 -0.39 0.66 0.19 -1 0.2 -0.86 0.33 -0.2 -0.36 -0.78 0;
second.y 0.33769864 1.0732244 0.37306608 -0.082979319 0.31716548 -0.081120319 2.1903398
1.3111576 0.40733403 0.42350099 0.71307763 1.194174 -0.47722296 -0.1171707 0.94943961
-0.29490265 -0.52172171 0.99436634 0.76842224 0.96 2.0982992 0.74222067 0.9465136
1.7709922 0.2562039 1.157184 0.36506761 0.85182831 -0.032439359 0.67307909 1.7224378
0.45581443 0.37170725 0.36654494 0.48101174 0.48929289 -0.64225396 0.30071144
-0.66143305 -0.66572144 -0.67589885 -0.69065108 1.3913884 1.2482428 1.1918322 2.4875129
0.93574844 0.74364312;
second.dx 0.13696709 -0.11132553 0.26572432 0.0077562783 -0.0762232 0.036603859
0.32318264 -0.72296815 -0.001099654 -0.051811529 0.10278865 0.43070539 0.038834333
0.28207246 0.13984139 0.227427 0.23350484 -0.41942876 0.042472755 -0.35849688
-0.084863369 0.11986102 0.28736556 0.59119945 -0.28463809 -0.46470576 0.25406777
0.06527458 0.04320632 0.35777497 0.22142854 0.15054302 0.058375082 0.07687054
-0.17427344 -0.034972944 -0.19494027 -0.21015266 -0.15614267 -0.11765893 -0.13825865
-0.041131907 -0.55623689 0.25877665 -0.081811137 -0.17987127 -0.30009268 -0.08699938;
second.dv1 0.34114873 -0.22557956 0.045843649 -0.15676079;
second.dgamma -0.51760283 0.92104576 -0.25537915 -0.29072298;
second.dbeta 2.31 -1.25 -0.1 -1.78;
inference.x -0.58 -0.69 1.19 -1.03 -0.36 -0.87 0.19 1.34 1.68 0.62 -0.59 -0.3 2.01 0.17
-0.02 -1.26 -0.78 1.9 -1.44 0.11 0.88 2.17 -1.41 1.24 -1.17 -0.4 -0.82 -0.26 1.3 1.99
1.24 1.35 -0.28 1.09 1.32 -0.43 0.75 -0.25 0.59 0.7 2.14 0.41 0.35 0.26 0.87 0.69 1.42
-0.79;
inference.dy -0.63 0.12 0.59 -0.72 0.36 0.62 -0.13 -0.47 -0.78 0.52 -0.23 -0.9 -0.23 0.9
0.69 -0.31 -0.24 0.37 0.24 -0.77 -0.19 0.52 0.81 -0.13 0.72 0.96 0.66 0.52 -0.27 0.43
-0.63 0.32 -0.13 0.61 0.48 0.76 -0.34 0.67 0.02 0.74 -0.71 -0.54 0.39 0.03 -0.67 -0.03
-0.99 -0.02;
inference.y -0.013565102 -0.04224901 0.80085276 -0.11566479 0.051366939 -0.083919524
0.79402289 1.9020961 2.3147944 1.1423341 0.40357389 0.51256777 0.7006183 -0.46787454
-0.53651544 -0.66965426 -0.66938856 0.6208059 0.77039461 1.0029283 1.4257898 2.4146939
0.76944517 1.6809144 -0.10094759 0.055851534 -0.042436856 0.095843418 0.78855324
1.219377 1.651267 1.7636398 0.53953656 1.5030987 1.7327035 0.48416759 0.11916557
-0.65632904 -0.049464396 0.065028244 1.8778839 -0.22150075 1.2376271 1.1581392 1.7944775
1.5844777 2.5178244 0.64007762;
inference.dx -0.23459433 -0.044270829 0.49104335 -0.2402959 0.073523517 0.040251959
-0.077252537 -0.42249251 -0.81027068 0.53202121 -0.13469478 -0.43776494 -0.21945079
0.36450726 0.23165563 0.05928562 0.02122818 0.21926651 0.045409394 -0.31123046
-0.1449697 0.36405716 0.028346448 -0.12560009 0.15029669 0.28740975 0.16890306
0.17678117 -0.18439177 0.23594638 -0.66141608 0.30119489 -0.030302158 0.56805611
0.46434216 0.28242703 -0.27635491 -0.24681973 0.017111321 0.85694583 0.023230143
-0.59970631 0.20452743 -0.18183076 -0.64099365 0.025215379 -0.87225811 -0.86087508;
inference.dv1 0.49030208 -0.31488219 -0.22899767 -0.19496853;
inference.dgamma 0.3311382 -0.74424536 -1.7184624 -1.745422;
inference.dbeta 3.36 -0.58 1.02 -0.81;
"""


def _self_test() -> None:
    """Two training steps and one in evaluation, against a reference in double precision."""
    layer = EvoNormS0(4, groups=2).double()
    for name, parameter in layer.named_parameters():
        parameter.data = _golden(name)
    for step in ("first", "second", "inference"):
        layer.train(step != "inference")
        layer.zero_grad()
        x = _golden(f"{step}.x").view(2, 4, 2, 3).requires_grad_()
        y = layer(x)
        y.backward(_golden(f"{step}.dy").view_as(y))
        _check(f"{step}.y", y)
        _check(f"{step}.dx", x.grad)
        for name, parameter in layer.named_parameters():
            _check(f"{step}.d{name}", parameter.grad)


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
