"""Stage 7: cases as the JSON that the viewer reads. The schema is openapi.json."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote_plus

from cbmir.answering.scale import NO_SCALE, Scale
from cbmir.archive import ABSENT
from cbmir.errors import NotFound
from cbmir.sequences import kind_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cbmir.archive import Archive, Study
    from cbmir.cases import Case, Hit, Match
    from cbmir.catalogue import Catalogue
    from cbmir.classifier import Prediction
    from cbmir.records import CataloguedSlice, Feedback, IndexHealth, Label, Quality, Series
    from cbmir.reports.studies import Reports

DISCLAIMER = "For finding reference cases. Not for diagnosis."
DECIMALS = 4
"""Digits of a similarity that are shown."""

THUMBNAIL_SIDE = 192
"""In pixels: twice that of the viewer's cards, for sharp displays. A small picture is sent and shown sooner."""

_RENDERED = f"rendered?width={THUMBNAIL_SIDE}&height={THUMBNAIL_SIDE}&smooth=1"

_ON_PATIENT = ("PatientSex", "PatientAge")
_IDENTIFYING = ("StudyDate",)


def prediction(predicted: Prediction) -> dict[str, Any]:
    """Return what a slice looks most like to the network, as JSON. Worded so that it is not read as a diagnosis."""
    return {
        "looksMostLike": predicted.label,
        "noneOfThese": predicted.label is None,
        "classes": [
            {"label": label, "probability": round(share, DECIMALS)} for label, share in predicted.probabilities.items()
        ],
    }


def feedback(said: Feedback) -> dict[str, Any]:
    """Return what a reader said, as JSON."""
    return {
        "query": said.query,
        "queryFrame": said.query_frame,
        "hit": said.hit,
        "hitFrame": said.hit_frame,
        "verdict": said.verdict,
        "model": said.model,
        "time": said.time,
    }


def index_health(health: IndexHealth | None) -> dict[str, Any] | None:
    """Return what the index finds of what it should, as JSON; None before it was first looked at."""
    if health is None:
        return None
    return {"recallAt10": round(health.recall, DECIMALS), "sample": health.sample, "time": health.time}


def quality(measured: Quality) -> dict[str, Any]:
    """Return how often similar cases shared a diagnosis on a day, as JSON."""
    return {
        "date": measured.date,
        "slices": measured.slices,
        "diagnoses": measured.diagnoses,
        "patients": measured.patients,
        "sample": measured.sample,
        "precisionAt1": round(measured.p1, DECIMALS),
        "precisionAt5": round(measured.p5, DECIMALS),
        "precisionAt10": round(measured.p10, DECIMALS),
        "chance": round(measured.chance, DECIMALS),
    }


def kind(series: Series) -> dict[str, str | None]:
    """Return the sequence and plane of a series, as JSON."""
    return kind_of(series)._asdict()


def _study(case: Case) -> str:
    return case.best.slice.series.study_orthanc_id


def _match(match: Match) -> dict[str, Any]:
    return {
        "query": match.query,
        "orthancId": match.series.orthanc_id,
        "SeriesInstanceUID": match.series.series_instance_uid,
        "StudyInstanceUID": match.series.study_instance_uid,
        **kind(match.series),
        "similarity": round(match.similarity, DECIMALS),
        "agreement": round(match.agreement, DECIMALS),
        "slices": [{**place(hit.slice), "similarity": round(hit.similarity, DECIMALS)} for hit in match.hits],
    }


def place(found: CataloguedSlice) -> dict[str, Any]:
    """Return what names a slice, as JSON."""
    return {"orthancId": found.orthanc_id, "SOPInstanceUID": found.sop_instance_uid, "frame": found.frame}


def _picture(found: CataloguedSlice) -> str:
    """Return the route of Orthanc that shows a frame as a viewer first does: without a window, all of its values."""
    if found.window is None:
        return "preview"
    # of the signs in a number, only the plus of 1e+16 means something else there
    center, width = (str(value).replace("+", "%2B") for value in found.window)
    return f"{_RENDERED}&window-center={center}&window-width={width}"


def urls(found: CataloguedSlice, *, viewer: bool) -> dict[str, str]:
    """Return where a slice is seen small, and where it is opened: in OHIF, or else in Orthanc Explorer."""
    return {
        "thumbnailUrl": f"/instances/{found.orthanc_id}/frames/{found.frame - 1}/{_picture(found)}",
        "viewerUrl": _in_viewer(found) if viewer else f"/app/explorer.html#instance?uuid={found.orthanc_id}",
    }


def _in_viewer(found: CataloguedSlice) -> str:
    series = found.series
    return (
        f"/ohif/viewer?StudyInstanceUIDs={_quoted(series.study_instance_uid)}"
        f"&initialSeriesInstanceUID={_quoted(series.series_instance_uid)}"
        f"&initialSOPInstanceUID={_quoted(found.sop_instance_uid)}"
    )


def _quoted(uid: str) -> str:
    """Return a UID for a query. There are hundreds in an answer, hardly ever with anything to be quoted."""
    return uid if uid.isascii() and uid.replace(".", "").isdigit() else quote_plus(uid)


class Answers:
    """Writes slices and cases of one answer as JSON, with what only the archive knows: names, what is still there."""

    def __init__(  # noqa: PLR0913 - what it writes from
        self,
        archive: Archive,
        catalogue: Catalogue,
        reports: Reports,
        *,
        anonymize: bool,
        viewer: bool,
        scale: Scale = NO_SCALE,
    ) -> None:
        """Take where facts come from, whether to leave out who the patients are, and whether OHIF is served.

        `scale` tells where similarities lie.
        """
        self._archive = archive
        self._reports = reports
        self._catalogue = catalogue
        self._anonymize = anonymize
        self._viewer = viewer
        self._scale = scale
        self._studies: dict[str, Study] = {}

    def query(self, query: CataloguedSlice, *, indexed: bool) -> dict[str, Any]:
        """Return the facts of the slice that was asked about. Raises NotFound where its study has gone."""
        orthanc_id = query.series.study_orthanc_id
        study = self._asked({orthanc_id}).get(orthanc_id)
        if study is None:
            raise NotFound(ABSENT)
        return {
            "orthancId": query.orthanc_id,
            "frame": query.frame,
            "numberOfFrames": query.number_of_frames,
            "indexed": indexed,
            "SOPInstanceUID": query.sop_instance_uid,
            **self._series(query, study, self._catalogue.labels_of(query)),
            **urls(query, viewer=self._viewer),
        }

    def cases(self, cases: Sequence[Case], query: CataloguedSlice | None = None) -> list[dict[str, Any]]:
        """Return the cases that are still in the archive, with ranks without gaps.

        Where there is a `query` to be told of too, Orthanc is asked about it along with them.
        """
        # one that was deleted a moment ago, the worker will hear of
        studies = self._asked({_study(case) for case in cases} | ({query.series.study_orthanc_id} if query else set()))
        there = [case for case in cases if _study(case) in studies]
        reported = self._reported(there, studies)
        said = self._catalogue.labels_of_each([case.best.slice for case in there])
        shown = []
        for rank, (case, labels) in enumerate(zip(there, said, strict=True), start=1):
            series = case.best.slice.series
            shown.append(
                {
                    "rank": rank,
                    "similarity": round(case.similarity, DECIMALS),
                    "percentile": self._scale.percentile(case.similarity),
                    "patientOrthancId": series.patient_orthanc_id,
                    "studyOrthancId": series.study_orthanc_id,
                    "seriesOrthancId": series.orthanc_id,
                    **self._series(case.best.slice, studies[_study(case)], labels),
                    "reportUrl": f"/cbmir/report/{_study(case)}" if _study(case) in reported else None,
                    "slices": [self._slice(hit) for hit in case.hits],
                    **({"match": [_match(one) for one in case.matches]} if case.matches else {}),
                }
            )
        return shown

    def _asked(self, orthanc_ids: set[str]) -> dict[str, Study]:
        """Return those of the studies that are there, perhaps with more; about one that is, Orthanc is asked once."""
        unknown = orthanc_ids - self._studies.keys()
        self._studies |= self._archive.studies(unknown)
        return self._studies

    def _reported(self, cases: Sequence[Case], studies: dict[str, Study]) -> set[str]:
        """Return the studies that may have a report; none in anonymous mode, as a report may say whose it is."""
        if self._anonymize:
            return set()
        # a series of indexed pictures is no report, and most studies hold no other
        others = frozenset[str]().union(*(study.series for study in studies.values()))
        others -= self._catalogue.series_among(others)
        uids = {
            case.best.slice.series.study_instance_uid
            for case in cases
            if not others.isdisjoint(studies[_study(case)].series)
        }
        return self._reports.held(uids)

    def _slice(self, hit: Hit) -> dict[str, Any]:
        return {
            "orthancId": hit.slice.orthanc_id,
            "SOPInstanceUID": hit.slice.sop_instance_uid,
            "SeriesInstanceUID": hit.slice.series.series_instance_uid,
            "StudyInstanceUID": hit.slice.series.study_instance_uid,
            "frame": hit.slice.frame,
            "similarity": round(hit.similarity, DECIMALS),
            "percentile": self._scale.percentile(hit.similarity),
            **urls(hit.slice, viewer=self._viewer),
        }

    def _series(self, found: CataloguedSlice, study: Study, labels: Sequence[Label]) -> dict[str, Any]:
        series = found.series
        hidden = (*_ON_PATIENT, *(_IDENTIFYING if self._anonymize else ()))
        return {
            "SeriesInstanceUID": series.series_instance_uid,
            "StudyInstanceUID": series.study_instance_uid,
            **{keyword: text for keyword, text in series.facts.items() if keyword not in hidden},
            "labels": [{"label": one.label, "provenance": one.provenance} for one in labels],
            **self._patient(series, study),
        }

    def _patient(self, series: Series, study: Study) -> dict[str, Any]:
        """Return who the patient is; nothing in anonymous mode."""
        if self._anonymize:
            return {}
        facts = {keyword: series.facts[keyword] for keyword in _ON_PATIENT if keyword in series.facts}
        return {"patient": {**study.patient, **facts}}
