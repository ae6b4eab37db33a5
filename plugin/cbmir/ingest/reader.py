"""From an Orthanc id to an open instance and its place in the archive: what indexing and querying share."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from cbmir.errors import NotFound, UnsupportedSlice
from cbmir.instance import Instance, Limits, read
from cbmir.records import Series

if TYPE_CHECKING:
    from cbmir.archive import Archive
    from cbmir.settings import Settings

SERIES_REMEMBERED = 1024
MEGABYTE = 1_000_000


class Reader:
    """Fetches instances from the archive and reads their headers."""

    def __init__(self, archive: Archive, settings: Settings) -> None:
        """Take the archive and the limits of what is decoded."""
        self._archive = archive
        self._limits = Limits(settings.modalities, settings.max_pixels_per_frame, settings.max_frames)
        self._max_bytes = settings.max_instance_megabytes * MEGABYTE
        # an archive's id is a hash of the DICOM identifiers, so what it belongs to never changes
        self._parents = lru_cache(SERIES_REMEMBERED)(archive.parents)

    def study(self, orthanc_id: str) -> str | None:
        """Return the Orthanc id of the study that an instance belongs to; None where the archive has none of this id.

        Raises
        ------
        Unavailable
            The archive does not answer.

        """
        try:
            return self._parents(self._archive.instance(orthanc_id)[0])[0]
        except NotFound:
            return None

    def open(self, orthanc_id: str) -> tuple[Instance, Series]:
        """Return the instance and the series it belongs to.

        Raises
        ------
        NotFound
            The archive no longer has it.
        Unavailable
            Its file cannot be fetched.
        UnsupportedSlice, UnreadableSlice
            As `instance.read`; also where the file is larger than the settings allow.

        """
        series, size = self._archive.instance(orthanc_id)
        if size > self._max_bytes:
            raise UnsupportedSlice("the file is larger than the setting MaxInstanceMegabytes allows")
        instance = read(self._archive.dicom(orthanc_id), self._limits)
        study, patient = self._parents(series)
        return instance, Series(
            orthanc_id=series,
            study_orthanc_id=study,
            patient_orthanc_id=patient,
            # without a PatientID all such patients are one to Orthanc: better treat each study as its own
            patient=patient if instance.names_patient else study,
            study_instance_uid=instance.study_instance_uid,
            series_instance_uid=instance.series_instance_uid,
            facts=instance.facts,
            plane=instance.plane,
        )
