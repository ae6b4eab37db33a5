"""What the user can put right: shown as one sentence, without a traceback."""


class DemoError(Exception):
    """An option, file or server that cannot be used as asked."""
