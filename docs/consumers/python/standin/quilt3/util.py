"""Part of the stand-in: the exception, in the same module as in quilt3."""


class QuiltException(Exception):
    pass
