"""Every error the library raises on purpose. Messages hold ids and keywords, never values of DICOM attributes."""


class CbmirError(Exception):
    """Base of all errors below."""


class SettingsError(CbmirError):
    """The section "Cbmir" of orthanc.json has an unknown key or a value out of range."""


class UnsupportedSlice(CbmirError):
    """The object holds no picture that is indexed: another modality, no pixels, no decoder, nothing but one grey."""


class UnreadableSlice(CbmirError):
    """The object claims to hold a picture but cannot be read: damaged, truncated, contradictory."""


class ModelError(CbmirError):
    """The model is missing, altered, of another shape, or its runtime cannot be loaded."""


class CatalogueError(CbmirError):
    """The catalogue is of a later version of the plugin."""


class CatalogueDamaged(CbmirError):
    """The file of the catalogue is no longer what was written to it."""

    def __init__(self) -> None:
        """Say what helps."""
        super().__init__("the catalogue is damaged: restart Orthanc, and everything is indexed anew")


class IndexUnusable(CbmirError):
    """A snapshot of the index does not fit its manifest or the catalogue, and must be rebuilt."""


class BadRequest(CbmirError):
    """A request parameter is outside its range or form; the message says what is allowed."""


class NotFound(CbmirError):
    """No such instance, frame or route."""


class Hidden(NotFound):
    """What is named is there, but not for this caller, who must not be told apart from one who asks for nothing."""


class Forbidden(CbmirError):
    """The caller may not do this."""


class Unavailable(CbmirError):
    """The answer can be had later: the plugin is starting, disabled or busy."""
