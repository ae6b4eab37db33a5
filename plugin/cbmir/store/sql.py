"""The text of the catalogue's SQL: its schema, and conditions as WHERE clauses. Pure: opens no database."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cbmir.records import FACTS

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from cbmir.answering.matching import Condition

SCHEMA_VERSION = 3

VARIABLES = 900
"""Values in one IN (…) list; SQLite's oldest limit is 999."""

_SLICE = """
CREATE TABLE slice (
    label INTEGER PRIMARY KEY AUTOINCREMENT,  -- never used twice: the index knows a vector by it
    instance INTEGER NOT NULL REFERENCES instance(id) ON DELETE CASCADE,
    frame INTEGER NOT NULL,
    model TEXT NOT NULL,
    vector BLOB NOT NULL,
    window_center REAL,  -- of the grey values that a viewer first shows; NULL for colour
    window_width REAL,
    UNIQUE (instance, frame, model)
);
CREATE INDEX slice_model ON slice(model);
"""
_ANSWERING = """
CREATE TABLE answering (  -- one row at most
    model TEXT NOT NULL,  -- whose vectors answer; those of another are on their way to take over
    folder TEXT NOT NULL  -- where its network was when it began to
);
"""
_DAY = """
CREATE TABLE day (  -- what the worker finds out about its own work
    kind TEXT NOT NULL,
    model TEXT NOT NULL,
    date TEXT NOT NULL,  -- YYYY-MM-DD, UTC: of a day, the last measurement
    figures TEXT NOT NULL,  -- a JSON object
    PRIMARY KEY (kind, model, date)
) WITHOUT ROWID;
"""
_DIAGNOSIS = """
CREATE TABLE diagnosis (
    orthanc_id TEXT NOT NULL,  -- of a study, a series or an instance
    label TEXT NOT NULL,
    provenance TEXT NOT NULL,
    PRIMARY KEY (orthanc_id, label, provenance)
) WITHOUT ROWID;
"""
_SKETCH = """
CREATE TABLE sketch (
    label INTEGER PRIMARY KEY REFERENCES slice(label) ON DELETE CASCADE,
    greys BLOB NOT NULL  -- 64 bytes: what the slice looks like from afar
);
"""

SCHEMA = f"""
CREATE TABLE series (
    id INTEGER PRIMARY KEY,
    orthanc_id TEXT NOT NULL UNIQUE,
    study_orthanc_id TEXT NOT NULL,
    patient_orthanc_id TEXT NOT NULL,
    patient TEXT NOT NULL,  -- whose slices these are: the Orthanc patient, or the study where PatientID is empty
    StudyInstanceUID TEXT NOT NULL,
    SeriesInstanceUID TEXT NOT NULL,
    {"".join(f"{keyword} TEXT, " for keyword in FACTS)}
    age_in_days REAL,
    plane TEXT  -- of all its slices: axial, coronal, sagittal, mixed; NULL where unknown
);
CREATE INDEX series_study ON series(study_orthanc_id);
CREATE INDEX series_patient ON series(patient);
CREATE TABLE instance (
    id INTEGER PRIMARY KEY AUTOINCREMENT,  -- grows with arrival, so the newest pending ones are found by it
    orthanc_id TEXT NOT NULL UNIQUE,
    state TEXT NOT NULL CHECK (state IN ('pending', 'indexed', 'skipped', 'failed')),
    reason TEXT,
    series INTEGER REFERENCES series(id),
    SOPInstanceUID TEXT,
    number_of_frames INTEGER
);
CREATE INDEX instance_state ON instance(state, id);
CREATE INDEX instance_sop ON instance(SOPInstanceUID);
CREATE INDEX instance_series ON instance(series, state);
{_SLICE}
{_SKETCH}
-- Labels of a new catalogue are none that an index of an earlier one knows: for it, a label stands for one vector.
INSERT INTO sqlite_sequence (name, seq) VALUES ('slice', abs(random() >> 16));
{_ANSWERING}
{_DIAGNOSIS}
CREATE TABLE feedback (
    id INTEGER PRIMARY KEY,
    query TEXT NOT NULL,  -- Orthanc ids: what a reader said outlives the sending of the same images once more
    query_frame INTEGER NOT NULL,
    hit TEXT NOT NULL,
    hit_frame INTEGER NOT NULL,
    verdict TEXT NOT NULL CHECK (verdict IN ('similar', 'different')),
    model TEXT NOT NULL,
    time TEXT NOT NULL,  -- ISO 8601, UTC
    UNIQUE (query, query_frame, hit, hit_frame)
);
CREATE INDEX feedback_hit ON feedback(hit);
CREATE TABLE quality (
    date TEXT NOT NULL,  -- YYYY-MM-DD, UTC: of a day, the last measurement
    model TEXT NOT NULL,
    slices INTEGER NOT NULL,
    diagnoses INTEGER NOT NULL,
    patients INTEGER NOT NULL,
    sample INTEGER NOT NULL,
    p1 REAL NOT NULL,
    p5 REAL NOT NULL,
    p10 REAL NOT NULL,
    chance REAL NOT NULL,
    PRIMARY KEY (model, date)
) WITHOUT ROWID;
{_DAY}
PRAGMA user_version = {SCHEMA_VERSION};
"""
"""Columns that hold DICOM attributes have their keywords as names."""

MIGRATIONS = {
    1: f"""
ALTER TABLE slice RENAME TO slice_1;
{_SLICE}
INSERT INTO slice (label, instance, frame, model, vector) SELECT label, instance, frame, model, vector FROM slice_1;
DELETE FROM sqlite_sequence WHERE name = 'slice';
UPDATE sqlite_sequence SET name = 'slice' WHERE name = 'slice_1';
DROP TABLE slice_1;
{_ANSWERING}
INSERT INTO answering SELECT model, '' FROM slice GROUP BY model ORDER BY count(*) DESC LIMIT 1;
PRAGMA user_version = 2;
""",
    2: f"""
ALTER TABLE diagnosis RENAME TO diagnosis_2;
{_DIAGNOSIS}
INSERT INTO diagnosis SELECT orthanc_id, label, provenance FROM diagnosis_2;
DROP TABLE diagnosis_2;
{_DAY}
{_SKETCH}
ALTER TABLE series ADD COLUMN plane TEXT;
PRAGMA user_version = 3;
""",
}
"""Version → what makes the next one of it. From 2 on, an instance may have vectors of two models; from 3 on, a label
may be said on several grounds, series have planes, slices have sketches, and there are figures by day of any kind."""


_SAID = (
    "SELECT 1 FROM diagnosis"
    " WHERE diagnosis.orthanc_id IN (series.orthanc_id, series.study_orthanc_id, instance.orthanc_id)"
)
"""What is said of a slice: of its study, its series and itself."""


def clause(condition: Condition) -> tuple[str, list[Any]]:
    """Return the SQL of a condition and the values it binds."""
    if condition.kind == "other":
        label, *grounds = condition.values
        lowered = ", ".join("lower(?)" for _ in grounds)
        verified = f"EXISTS ({_SAID} AND lower(provenance) IN ({lowered}))"
        return f"{verified} AND NOT EXISTS ({_SAID} AND lower(label) = lower(?))", [*grounds, label]
    if condition.keyword == "label":
        inner, values = _comparison("diagnosis.label", condition)
        return f"EXISTS ({_SAID} AND {inner})", values
    return _comparison("age_in_days" if condition.keyword == "PatientAge" else f"series.{condition.keyword}", condition)


def clauses(conditions: Iterable[Condition], patient: str | None = None) -> tuple[list[str], list[Any]]:
    """Return the SQL of every condition, and that a series is of the patient if one is named, with what they bind."""
    found = [clause(condition) for condition in conditions]
    if patient is not None:
        found.append(("series.patient = ?", [patient]))
    return [text for text, _ in found], [value for _, values in found for value in values]


def _comparison(column: str, condition: Condition) -> tuple[str, list[Any]]:
    values = list(condition.values)
    if condition.kind == "among":
        return f"lower({column}) IN ({', '.join('lower(?)' for _ in values)})", values
    if condition.kind == "like":
        escaped = str(values[0]).replace("!", "!!").replace("%", "!%").replace("_", "!_")
        return f"lower({column}) LIKE lower(?) ESCAPE '!'", [escaped.replace("*", "%").replace("?", "_")]
    clauses = [f"{column} {sign} ?" for sign, end in zip((">=", "<="), values, strict=True) if end is not None]
    return " AND ".join(clauses), [end for end in values if end is not None]


def marks(values: Collection[Any]) -> str:
    """Return one question mark a value."""
    return ", ".join(["?"] * len(values))


def portions(values: Sequence[Any]) -> Iterator[list[Any]]:
    """Yield the values in lists that SQLite can bind, to be looked for: the last one fills up lists of a few lengths.

    A statement with as many marks is known to the database then, where one of each length would have to be prepared.
    """
    for start in range(0, len(values), VARIABLES):
        some = list(values[start : start + VARIABLES])
        length = min(VARIABLES, 1 << (len(some) - 1).bit_length())
        yield some + some[-1:] * (length - len(some))


def upsert(table: str, columns: Sequence[str], key: Sequence[str], merged: Mapping[str, str] | None = None) -> str:
    """Return a statement that inserts a row in place of the one with the same key.

    `merged` holds the columns whose new value depends on the old one, with the SQL for it.
    """
    updates = ", ".join(
        f"{name} = {(merged or {}).get(name, f'excluded.{name}')}" for name in columns if name not in key
    )
    return (
        f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks(columns)})"
        f" ON CONFLICT ({', '.join(key)}) DO UPDATE SET {updates}"
    )
