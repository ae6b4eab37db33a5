r"""Make DICOM files to try the plugin with, and send them to an Orthanc.

Invented patients, computed: no picture of a real patient is needed, and each run writes the same bytes.

    .venv/bin/python scripts/demo.py --out demo
    .venv/bin/python scripts/demo.py --out demo --send http://localhost:8042 --user NAME:PASSWORD

Your own files (whatever is not DICOM is skipped; a labels.csv in the folder sets diagnoses):

    .venv/bin/python scripts/demo.py --dicom FOLDER --send http://localhost:8042

Real pictures: the brain tumour dataset of J. Cheng (figshare article 1512427, CC BY 4.0), as zip, folder or URL:

    .venv/bin/python scripts/demo.py --out figshare --limit 300 \
        --figshare https://figshare.com/ndownloader/articles/1512427/versions/5

Any table of pictures, with the columns file and label, and one that names the patient:

    .venv/bin/python scripts/demo.py --table pictures/index.csv --group patient --out pictures-dicom

Each --out folder gets a labels.csv, as scripts/labels.py takes it.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tqdm import tqdm

from demo_cohort import cohort, figshare, table
from demo_cohort.download import cache_file, download
from demo_cohort.errors import DemoError
from demo_cohort.folder import LABELS, Folder, Made
from demo_cohort.mr import mr_objects
from demo_cohort.sending import files_under, send_files, send_labels, summary
from sources import label_table
from sources.csv_table import TableError
from sources.orthanc_client import Orthanc, OrthancError

if TYPE_CHECKING:
    from collections.abc import Iterator

PROVENANCE = "synthetic"
"""Provenance of the diagnoses of invented patients."""


def main(arguments: list[str] | None = None) -> int:
    """Return the exit code: 0 done, 1 something could not be used as asked."""
    parser = _parser()
    options = parser.parse_args(arguments)
    _check(parser, options)
    try:
        if options.dicom:
            files, labels = _own_files(options.dicom)
        else:
            folder = Folder(options.out)
            folder.write(_made(options))
            files, labels = folder.files, options.out / LABELS
            print(f"{len(files)} files in {options.out}, diagnoses in {labels}")
        if options.send:
            _send(options, files, labels)
    except (DemoError, TableError, OrthancError) as error:
        print(f"demo.py: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    head, _, examples = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        description=head, epilog=examples, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="write DICOM files and labels.csv here")
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--figshare", metavar="SOURCE", help="wrap the figshare set: a zip, a folder or a URL")
    source.add_argument("--table", type=Path, metavar="CSV", help="wrap the pictures listed in a table")
    source.add_argument("--dicom", type=Path, metavar="DIR", help="take the DICOM files in this folder")
    parser.add_argument(
        "--patients",
        type=_positive,
        default=cohort.DEFAULT_PATIENTS,
        metavar="N",
        help="invented patients (default %(default)s)",
    )
    parser.add_argument("--seed", type=int, default=1, help="another number, other patients (default %(default)s)")
    parser.add_argument("--limit", type=_positive, metavar="N", help="wrap only N pictures, evenly chosen")
    filing = parser.add_mutually_exclusive_group()
    filing.add_argument("--group", metavar="COLUMN", help="column of the table that names the patient")
    filing.add_argument("--patient-per-image", action="store_true", help="make each picture a patient of its own")
    parser.add_argument("--source", metavar="TEXT", help="where the pictures of a table are from (default its folder)")
    parser.add_argument("--send", metavar="URL", help="send the files to the Orthanc here, then set the diagnoses")
    parser.add_argument("--user", metavar="NAME:PASSWORD", help="how to log in there")
    return parser


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError("a number from 1 on is needed")
    return int(text)


def _check(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    """End with a hint where options do not go together."""
    if options.dicom and not options.send:
        parser.error("--dicom needs --send URL: where shall the files go?")
    if not options.dicom and not options.out:
        parser.error("--out DIR is needed: where shall the files go?")
    if options.table and not (options.group or options.patient_per_image):
        parser.error("--table needs --group COLUMN or --patient-per-image: whose picture is it?")
    if options.user and ":" not in options.user:
        parser.error("--user takes NAME:PASSWORD")


def _made(options: argparse.Namespace) -> Iterator[Made]:
    """Yield the objects that the options ask for, with a progress bar."""
    if options.figshare:
        with figshare.opened(_local(options.figshare), options.limit) as chosen:
            yield from tqdm(figshare.objects(chosen), desc="wrap", total=len(chosen), unit="file")
    elif options.table:
        lines = table.rows(options.table, options.group, options.limit)
        source = options.source or options.table.resolve().parent.name
        yield from tqdm(table.objects(lines, source, options.group), desc="wrap", total=len(lines), unit="file")
    else:
        for patient in tqdm(cohort.patients(options.patients, options.seed), desc="scan", unit="patient"):
            for study in cohort.studies(patient, options.seed):
                for name, one in mr_objects(study, options.seed):
                    yield Made(name, one, patient.diagnosis, PROVENANCE)


def _local(source: str) -> Path:
    """Return the path of a zip or folder, after downloading it where a URL is given."""
    if source.startswith(("https://", "http://")):
        return download(source, cache_file(source))
    return Path(source)


def _own_files(root: Path) -> tuple[list[Path], Path]:
    if not root.is_dir():
        raise DemoError(f"{root} is not a folder")
    return files_under(root), root / LABELS


def _send(options: argparse.Namespace, files: list[Path], labels: Path) -> None:
    name, _, password = (options.user or "").partition(":")
    with Orthanc(options.send, (name, password) if name else None) as orthanc:
        orthanc.wait(10)
        print(summary(send_files(orthanc, files)))
        if labels.exists():
            print(f"{send_labels(orthanc, label_table.read(labels)):7d}  studies labelled")


if __name__ == "__main__":
    sys.exit(main())
