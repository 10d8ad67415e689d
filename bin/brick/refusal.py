"""How a step says no."""


class Refusal(Exception):
    """A failure with one of the stable codes of cinderfs-brick."""

    def __init__(self, code, message):
        super().__init__(message)
        self.code = code
