"""Readers of labelled configurations that others made: one file a format, one table of formats.

A reader takes (path, keys, units) and returns :class:`FileContents`; more of them come through
``mhipnn.registry.register("reader", name, ...)`` and are chosen by ``data.format=name``.
"""

from __future__ import annotations

from .contents import FileContents
from .formats import read_files

__all__ = ["FileContents", "read_files"]
