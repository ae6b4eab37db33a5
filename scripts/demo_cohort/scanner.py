"""Where the slices lie, and what a scanner makes of the tissue in them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from demo_cohort.fields import Points

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from demo_cohort.fields import Field, Vector
    from demo_cohort.head import Head

LAYERS = 2
"""Planes averaged over the thickness of a slice: the partial volume effect."""

FULL_SCALE = 4095
"""Largest stored value: 12 bits."""


@dataclass(frozen=True, slots=True)
class Scanner:
    """A make of scanner with its habits.

    Attributes
    ----------
    manufacturer, model, station
        As in the General Equipment module.
    tesla
        Field strength.
    matrix
        Rows and columns of the stored picture.
    sampled
        Share of k-space that is measured along the phase direction; the rest is filled with zeros.
    noise
        Standard deviation in each of the two channels, where fat is 1.
    shading
        Strength of the sensitivity of the coil toward the skin.
    gain
        Stored value of fat.

    """

    manufacturer: str
    model: str
    station: str
    tesla: float
    matrix: int
    sampled: float
    noise: float
    shading: float
    gain: float


@dataclass(frozen=True, slots=True)
class Stack:
    """A stack of parallel slices in the patient coordinate system, mm (PS3.3 C.7.6.2.1.1).

    Attributes
    ----------
    target
        A point on the middle slice.
    tilt
        Angle about the left-right axis by which the slices differ from axial, radians.
    count
        Number of slices.
    field_of_view
        Side of the square picture.
    thickness, spacing
        Slice thickness, and distance between slice centres.

    """

    target: Vector
    tilt: float
    count: int
    field_of_view: float
    thickness: float
    spacing: float

    @property
    def row(self) -> Vector:
        """Unit vector along a row."""
        return 1.0, 0.0, 0.0

    @property
    def column(self) -> Vector:
        """Unit vector down a column."""
        return 0.0, float(np.cos(self.tilt)), float(np.sin(self.tilt))

    @property
    def normal(self) -> Vector:
        """Unit vector from one slice to the next: toward the head."""
        return 0.0, -float(np.sin(self.tilt)), float(np.cos(self.tilt))

    def centre(self, index: int) -> Vector:
        """Return the centre of a slice; within its plane the picture is centred on the head, not on the target."""
        height = float(np.dot(self.target, self.normal)) + (index - (self.count - 1) / 2) * self.spacing
        x, y, z = (height * part for part in self.normal)
        return x, y, z

    def corner(self, index: int, matrix: int) -> Vector:
        """Return ImagePositionPatient: the centre of the first pixel of a slice, mm."""
        half = (matrix - 1) / 2 * self.field_of_view / matrix
        x, y, z = (c - half * (r + d) for c, r, d in zip(self.centre(index), self.row, self.column, strict=True))
        return x, y, z

    def points(self, index: int, matrix: int, lift: float) -> Points:
        """Return the centres of all pixels of a slice, row by row, `lift` mm above its middle."""
        steps = ((np.arange(matrix) + 0.5) / matrix - 0.5) * self.field_of_view
        down, across = np.meshgrid(steps, steps, indexing="ij")
        x, y, z = (
            (centre + lift * up + across * right + down * below).ravel().astype(np.float32)
            for centre, up, right, below in zip(self.centre(index), self.normal, self.row, self.column, strict=True)
        )
        return Points(x, y, z)


@dataclass(frozen=True, slots=True)
class Pose:
    """How the head lies in the scanner: turned by `angles` (radians about x, y, z), then moved by `shift` (mm)."""

    angles: Vector
    shift: Vector

    def matrix(self) -> NDArray[np.float64]:
        """Return the rotation from head axes to patient axes: (3, 3)."""
        (sx, sy, sz), (cx, cy, cz) = np.sin(self.angles), np.cos(self.angles)
        about_x = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
        about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
        about_z = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
        rotation: NDArray[np.float64] = about_z @ about_y @ about_x
        return rotation

    def to_patient(self, point: Vector) -> Vector:
        """Return a point of the head in patient coordinates."""
        x, y, z = (self.matrix() @ np.array(point) + np.array(self.shift)).tolist()
        return x, y, z

    def to_head(self, p: Points) -> Points:
        """Return patient coordinates in the head's own axes."""
        inverse = self.matrix().T.tolist()
        p = p.moved(*(-s for s in self.shift))
        x, y, z = (row[0] * p.x + row[1] * p.y + row[2] * p.z for row in inverse)
        return Points(x, y, z)


@dataclass(frozen=True, slots=True)
class Session:
    """A head in a scanner, and the slices to be taken."""

    scanner: Scanner
    pose: Pose
    stack: Stack

    def slices(
        self, head: Head, sequences: tuple[str, ...], rng: np.random.Generator
    ) -> dict[str, list[NDArray[np.uint16]]]:
        """Return for each sequence the pictures, feet first: (matrix, matrix) uint16 of 12 bits."""
        side = self.scanner.matrix
        taken: dict[str, list[NDArray[np.uint16]]] = {sequence: [] for sequence in sequences}
        for index in range(self.stack.count):
            ideal = self._ideal(head, index, sequences)
            for sequence in sequences:
                taken[sequence].append(_acquired(ideal[sequence].reshape(side, side), self.scanner, rng))
        return taken

    def _ideal(self, head: Head, index: int, sequences: tuple[str, ...]) -> dict[str, Field]:
        """Return the mean of planes spread over the thickness of a slice."""
        pictures = []
        for layer in range(LAYERS):
            lift = ((layer + 0.5) / LAYERS - 0.5) * self.stack.thickness
            p = self.pose.to_head(self.stack.points(index, self.scanner.matrix, lift))
            pictures.append(head.pictures(p, sequences))
        return {sequence: np.mean([picture[sequence] for picture in pictures], axis=0) for sequence in sequences}


def _acquired(ideal: Field, scanner: Scanner, rng: np.random.Generator) -> NDArray[np.uint16]:
    """Return the picture after coil shading, limited sampling of k-space, noise, magnitude and rounding.

    Noise is added in k-space, so that the magnitude is Rician and its grain that of the measured resolution.
    """
    n = scanner.matrix
    axis = np.linspace(-1, 1, n)
    shading = 1 + scanner.shading * (axis[:, np.newaxis] ** 2 + axis**2 + 0.25 * axis[:, np.newaxis] - 0.55)
    k_space = np.fft.fft2(ideal * shading)
    k_space += scanner.noise * n * (rng.normal(size=(n, n)) + 1j * rng.normal(size=(n, n)))
    frequency = np.abs(np.fft.fftfreq(n)) * 2
    # a gentle roll-off at the border of the measured part leaves just a hint of ringing
    phase = np.clip((scanner.sampled - frequency) / 0.18, 0, 1)
    read = np.clip((1.02 - frequency) / 0.12, 0, 1)
    magnitude = np.abs(np.fft.ifft2(k_space * read[:, np.newaxis] * phase))
    return np.clip(np.rint(magnitude * scanner.gain), 0, FULL_SCALE).astype(np.uint16)
