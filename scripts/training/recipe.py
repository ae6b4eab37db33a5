"""A training recipe: one TOML file, every key known, every value in range."""

from __future__ import annotations

import tomllib
from dataclasses import asdict, dataclass, field, fields, replace
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import _library  # noqa: F401 - before cbmir
from cbmir.network import Architecture
from training.augmentation import Strength

if TYPE_CHECKING:
    from pathlib import Path


class RecipeError(Exception):
    """The recipe has an unknown key or a value that makes no sense; the message names it."""


@dataclass(frozen=True, slots=True)
class Network:
    """What is trained; see cbmir.network.Architecture. `name` is that of a trunk with "-gem", or of a baseline.

    With "-fitted" nothing is trained: see cbmir.fitted; of several trunks the names stand with "+" between them.
    `side` is that of the last stage of the schedule: what it learnt last is what it takes.
    """

    name: str = "googlenet-gem"
    dim: int = 256
    stride: int = 16
    side: int = 224
    guided: bool = True

    @property
    def fitted(self) -> bool:
        """Whether it is fitted rather than trained."""
        return self.name.endswith("-fitted")

    @property
    def trunks(self) -> list[str]:
        """Names of its trunks."""
        return self.name.removesuffix("-fitted").removesuffix("-gem").split("+")

    def architecture(self, labels: tuple[str, ...]) -> Architecture:
        """Return what the plugin needs to know to build it for these classes."""
        return Architecture(
            labels, self.dim, self.stride, self.side, self.guided, "+".join(self.trunks), fitted=self.fitted
        )


@dataclass(frozen=True, slots=True)
class Schedule:
    """How long and how fast.

    `stages` are pairs (side in pixels, epochs), in order. The learning rate rises during `warm_up` epochs, then falls
    along half a cosine to nothing. `ema` is what the averaged weights keep at each step. `trunk_pace` is the share of
    the learning rate at which the trunk moves: less than 1 keeps more of the weights that it started from. Its first
    `frozen` layers do not move at all: what they bring along stays, and no time is spent on their gradients.
    """

    stages: tuple[tuple[int, int], ...] = ((224, 100),)
    batch: int = 32
    learning_rate: float = 1e-3
    warm_up: int = 2
    weight_decay: float = 0.05
    ema: float = 0.995
    trunk_pace: float = 1.0
    frozen: int = 0

    @property
    def epochs(self) -> int:
        """Epochs of all stages."""
        return sum(epochs for _, epochs in self.stages)

    def side(self, epoch: int) -> int:
        """Return the side of the pictures in this epoch, counted from 0."""
        ends = accumulate(epochs for _, epochs in self.stages)
        for (side, _), end in zip(self.stages, ends, strict=True):
            if epoch < end:
                return side
        return self.stages[-1][0]


@dataclass(frozen=True, slots=True)
class Loss:
    """What is minimised: cross-entropy + metric_weight * metric loss + lesion_weight * lesion map.

    Where readers' verdicts are learnt from, pair_weight * what is amiss with their pairs is added.
    """

    label_smoothing: float = 0.05
    metric: str = "multi_similarity"
    metric_weight: float = 0.3
    lesion_weight: float = 1.0
    pair_weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything that a training depends on besides its data and its seed."""

    network: Network = field(default_factory=Network)
    schedule: Schedule = field(default_factory=Schedule)
    loss: Loss = field(default_factory=Loss)
    augmentation: Strength = field(default_factory=Strength)

    def sections(self) -> dict[str, dict[str, Any]]:
        """Return it as `of_sections` takes it, without what a fit has no use for."""
        whole = asdict(self)
        return {name: whole[name] for name in ("network", "schedule")} if self.network.fitted else whole


NETWORKS = (
    "googlenet-gem",
    "efficientnet-lite0-gem",
    "efficientnet-lite2-gem",
    "qayyum2017",
    "googlenet-fitted",
    "efficientnet-lite0+efficientnet-lite2-fitted",
)

SECTIONS: dict[str, type] = {"network": Network, "schedule": Schedule, "loss": Loss, "augmentation": Strength}


def parse(text: str) -> Recipe:
    """Return the recipe of a TOML text. Raises RecipeError."""
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(f"the recipe is no TOML: {error}") from error
    return of_sections(content)


def of_sections(content: dict[str, Any]) -> Recipe:
    """Return the recipe of a dictionary of sections; what is missing is as by default. Raises RecipeError."""
    unknown = content.keys() - SECTIONS.keys()
    if unknown:
        raise RecipeError(f"unknown section {min(unknown)!r}; known: {', '.join(SECTIONS)}")
    made = Recipe(**{name: _section(name, content.get(name, {})) for name in SECTIONS})
    side, last = content.get("network", {}).get("side"), made.schedule.stages[-1][0]
    if side not in (None, last):
        raise RecipeError(f"the network takes {side} pixels, its last stage has {last}: leave out 'side' in [network]")
    return with_stages(made, made.schedule.stages)


def with_stages(recipe: Recipe, wanted: tuple[tuple[int, int], ...]) -> Recipe:
    """Return the recipe with other stages; its network takes pictures as the last of them has."""
    network = replace(recipe.network, side=wanted[-1][0])
    return replace(recipe, network=network, schedule=replace(recipe.schedule, stages=wanted))


def load(path: Path) -> Recipe:
    """Return the recipe of a file. Raises RecipeError."""
    try:
        return parse(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RecipeError(f"{path} cannot be read") from error


def _section(name: str, values: dict[str, Any]) -> Any:
    kind = SECTIONS[name]
    known = {item.name for item in fields(kind)}
    for key in values.keys() - known:
        raise RecipeError(f"unknown key {key!r} in [{name}]; known: {', '.join(sorted(known))}")
    if name == "network" and values.get("name", NETWORKS[0]) not in NETWORKS:
        raise RecipeError(f"unknown network {values['name']!r}; known: {', '.join(NETWORKS)}")
    if "stages" in values:
        values = {**values, "stages": _checked(tuple(tuple(stage) for stage in values["stages"]))}
    return kind(**values)


def stages(text: str) -> tuple[tuple[int, int], ...]:
    """Return the stages of a text such as "96:12,128:8". Raises RecipeError."""
    try:
        return _checked(tuple(tuple(map(int, stage.split(":"))) for stage in text.split(",")))
    except ValueError as error:
        raise RecipeError(f"stages are written as 96:12,128:8, not {text!r}") from error


def _checked(wanted: tuple[tuple[int, ...], ...]) -> tuple[tuple[int, int], ...]:
    if not wanted or any(len(stage) != 2 or min(stage) < 1 for stage in wanted):
        raise RecipeError("stages must be pairs [side in pixels, epochs], none less than 1")
    return tuple((side, epochs) for side, epochs in wanted)
