"""cass: cross-architectural self-supervision for small medical image collections."""

__version__ = "0.1.0"
