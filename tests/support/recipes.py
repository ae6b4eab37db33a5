"""Recipes of trainings that tests can wait for."""

from __future__ import annotations

_CHANGES = (
    *("flip", "rotate", "scale", "shift", "shear", "elastic"),
    *("gamma", "contrast", "bias_field", "noise", "cutout"),
)

FITTED = """
[network]
name = "googlenet-fitted"
guided = false
[schedule]
stages = [[64, 1]]
"""
"""Nothing is trained, at the smallest size that does."""


def still(side: int, epochs: int, more: str = "", *, batch: int = 12) -> str:
    """Return a recipe of a tiny network that sees its pictures as they are."""
    changes = "\n".join(f"{change} = 0.0" for change in _CHANGES)
    return f"""
[network]
dim = 16
stride = 32
side = {side}
guided = false
[schedule]
stages = [[{side}, {epochs}]]
batch = {batch}
warm_up = 1
ema = 0.7
[augmentation]
{changes}
{more}
"""
