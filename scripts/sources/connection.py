"""Command-line options that lead to an Orthanc."""

from __future__ import annotations

import argparse
import os
import ssl

from sources.orthanc_client import Orthanc, OrthancError

USER_VARIABLE, PASSWORD_VARIABLE = "ORTHANC_USERNAME", "ORTHANC_PASSWORD"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Give a command line the options that say how to log in at an Orthanc and whom to trust."""
    add = parser.add_argument
    add(
        "--user",
        type=login,
        metavar="NAME:PASSWORD",
        help=f"how to log in there (others see a command line: rather set {USER_VARIABLE} and {PASSWORD_VARIABLE})",
    )
    add("--ca", metavar="PEM", help="who vouches for its https certificate (default: the system's authorities)")
    add("--insecure", action="store_true", help="believe any https certificate")


def login(text: str) -> tuple[str, str]:
    """Return name and password. Raises ArgumentTypeError."""
    name, colon, password = text.partition(":")
    if not colon:
        raise argparse.ArgumentTypeError("NAME:PASSWORD is needed")
    return name, password


def connect(url: str, options: argparse.Namespace) -> Orthanc:
    """Return a client for the Orthanc under a URL, which is there and lets us in.

    Raises
    ------
    OrthancError
        It does not answer, wants another password, or the file of --ca cannot be used.

    """
    name = os.environ.get(USER_VARIABLE)
    auth = options.user or ((name, os.environ.get(PASSWORD_VARIABLE, "")) if name else None)
    orthanc = Orthanc(url, auth, verify=_trust(options.ca, insecure=options.insecure))
    try:
        orthanc.get("/system")
    except ValueError:
        orthanc.close()
        raise OrthancError(f"{orthanc.url} answers, but is no Orthanc") from None
    except OrthancError:
        orthanc.close()
        raise
    return orthanc


def _trust(authority: str | None, *, insecure: bool) -> ssl.SSLContext | bool:
    if insecure:
        return False
    try:
        return ssl.create_default_context(cafile=authority)
    except (OSError, ssl.SSLError) as error:
        raise OrthancError(f"--ca {authority} holds no certificates: {error}") from None
