"""Of the stand-in: the exception, where quilt3 has it."""


class QuiltException(Exception):
    pass
