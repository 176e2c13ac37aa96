"""An order of the sites in which neighbours in space lie close in memory."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def spatial_order(positions: ArrayLike, cell: ArrayLike, width: float) -> NDArray[np.int64]:
    """Sites sorted by boxes of about ``width``, row after row of boxes along the first cell vector.

    A gather from the neighbours of one site after the other then reads what the caches still hold.

    Args:
        positions: (N, 3), length.
        cell: (3, 3), one cell vector a row, length.
        width: of the boxes, length; about the range of the neighbours.

    Returns:
        A permutation of 0 .. N - 1: the sites in their new order.
    """
    cell = np.asarray(cell, float)
    fractional = np.asarray(positions, float) @ np.linalg.inv(cell)
    boxes = np.floor(fractional * np.maximum(np.linalg.norm(cell, axis=1) / width, 1)).astype(np.int64)
    return np.lexsort((boxes[:, 0], boxes[:, 1], boxes[:, 2]))
