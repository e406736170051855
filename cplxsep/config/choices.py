"""Named options of networks and losses, as the configuration and the code know them."""

from typing import Literal

Network = Literal["complex", "real", "conv-tasnet", "dual-path"]
Level = Literal["mixture", "network"]
Norm = Literal["channel", "layer", "batch"]
Activation = Literal["crelu", "zrelu", "modrelu", "cardioid", "clip-modulus", "clip-quadrant"]
Clipping = Literal["clip-modulus", "clip-quadrant", "clip-parts"]
Down = Literal["stride", "max", "average", "spectral"]
Order = Literal["widen-first", "downsample-first"]
Init = Literal["rayleigh", "rayleigh-unscaled", "unitary"]
Criterion = Literal["he", "glorot"]
Mask = Literal["unbounded", "polar"]
DropoutOf = Literal["mixture", "transformation", "mask"]
FilmOffset = Literal["0", "1", "1+1i"]
InitOf = Literal["first", "all"]
Combine = Literal["mean", "learned"]
Linearity = Literal["real", "complex"]
Per = Literal["mixture", "batch"]  # what shares one order of the talkers
