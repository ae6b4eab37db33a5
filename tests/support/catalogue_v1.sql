-- The catalogue's schema of version 1, as it was released: what the migration must take.
CREATE TABLE series (
    id INTEGER PRIMARY KEY,
    orthanc_id TEXT NOT NULL UNIQUE,
    study_orthanc_id TEXT NOT NULL,
    patient_orthanc_id TEXT NOT NULL,
    patient TEXT NOT NULL,  -- whose slices these are: the Orthanc patient, or the study where PatientID is empty
    StudyInstanceUID TEXT NOT NULL,
    SeriesInstanceUID TEXT NOT NULL,
    Modality TEXT, BodyPartExamined TEXT, StudyDate TEXT, StudyDescription TEXT, SeriesDescription TEXT, ProtocolName TEXT, SequenceName TEXT, ContrastBolusAgent TEXT, PatientSex TEXT, PatientAge TEXT, Manufacturer TEXT, ManufacturerModelName TEXT, MagneticFieldStrength TEXT, 
    age_in_days REAL
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
CREATE TABLE slice (
    label INTEGER PRIMARY KEY AUTOINCREMENT,  -- never used twice: the index knows a vector by it
    instance INTEGER NOT NULL REFERENCES instance(id) ON DELETE CASCADE,
    frame INTEGER NOT NULL,
    model TEXT NOT NULL,
    vector BLOB NOT NULL,
    UNIQUE (instance, frame)
);
-- Labels of a new catalogue are none that an index of an earlier one knows: for it, a label stands for one vector.
INSERT INTO sqlite_sequence (name, seq) VALUES ('slice', abs(random() >> 16));
CREATE TABLE diagnosis (
    orthanc_id TEXT NOT NULL,  -- of a study or a series
    label TEXT NOT NULL,
    provenance TEXT NOT NULL,
    PRIMARY KEY (orthanc_id, label)
) WITHOUT ROWID;
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
PRAGMA user_version = 1;
