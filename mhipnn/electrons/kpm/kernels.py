"""Chebyshev recursions of a block of vectors on one region, compiled by numba for CPUs.

A row of a block holds ``PAIRS`` pairs of vectors: for each of up (real, imaginary) and down (real, imaginary) the
``LANES`` numbers of all vectors side by side, so that one hopping amplitude multiplies 4 LANES neighbours in memory.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

PAIRS = 4
LANES = 2 * PAIRS  # each pair is one amplitude for spin up, and the same one for spin down
ROW = 4 * LANES
FIELDS = 8  # per site: gradient x, y, z; then density, spin x, y, z and grand potential from T_m P_i T_m


def kernel(function: Any) -> Any:
    """Compile for this CPU at the first call; kept on disk for the next process where a place is writable."""
    options: Any = {"nogil": True, "error_model": "numpy", "boundscheck": False, "fastmath": {"contract", "reassoc"}}
    try:
        return numba.njit(cache=True, **options)(function)
    except RuntimeError:  # neither the package's folder nor the user's cache can be written
        return numba.njit(**options)(function)


@kernel
def localise(sites, pointer, index, value, where):
    """Rows and columns ``sites`` of a sparse matrix: its pointer, columns, values, and which entries they were.

    ``where`` (N,) is scratch full of -1, and is so again afterwards.
    """
    count = 0
    for row in range(len(sites)):
        where[sites[row]] = row
        count += pointer[sites[row] + 1] - pointer[sites[row]]
    own_pointer = np.empty(len(sites) + 1, np.int64)
    columns, values, entries = np.empty(count, np.int64), np.empty(count, value.dtype), np.empty(count, np.int64)
    at = 0
    for row in range(len(sites)):
        own_pointer[row] = at
        for entry in range(pointer[sites[row]], pointer[sites[row] + 1]):
            column = where[index[entry]]
            if column >= 0:
                columns[at], values[at], entries[at] = column, value[entry], entry
                at += 1
    own_pointer[len(sites)] = at
    for row in range(len(sites)):
        where[sites[row]] = -1
    return own_pointer, columns[:at], values[:at], entries[:at]


@kernel
def forward(pointer, index, value, local, rows, pairs, amplitudes, moments, ends):
    """Moments mu_m = sum_r <r|T_m|r>, m = 0 .. 2P, and the last two vectors alpha_P, alpha_{P-1} of the recursion.

    ``pointer, index, value``: 2 T/a; ``local`` (n, 4): 2/a times diagonal and x, y, z of the field on the spin;
    ``rows, pairs, amplitudes``: the vectors r; ``moments`` (2P + 1,) and ``ends`` (2, n, ROW) are written.
    """
    n, half = len(local), (len(moments) - 1) // 2
    now, last = ends[0], ends[1]
    now[:] = 0
    last[:] = 0
    for k in range(len(rows)):
        for spin in range(2):
            lane = 2 * LANES * spin + 2 * pairs[k] + spin
            now[rows[k], lane] = amplitudes[k, 0]
            now[rows[k], lane + LANES] = amplitudes[k, 1]
    norm, overlap = np.zeros(ROW, value.dtype), np.zeros(ROW, value.dtype)
    _overlaps(now, now, norm, overlap)
    moments[0] = norm.sum()
    for m in range(half):
        norm[:], overlap[:] = 0, 0
        for i in range(n):
            _row(pointer, index, value, local, now, last, i, ROW)
            if m == 0:
                for k in range(ROW):
                    last[i, k] *= value.dtype.type(0.5)
            for k in range(ROW):
                norm[k] += last[i, k] * last[i, k]
                overlap[k] += last[i, k] * now[i, k]
        now, last = last, now
        if m == 0:
            moments[1], moments[2] = overlap.sum(), 2 * norm.sum() - moments[0]
        else:
            moments[2 * m + 1], moments[2 * m + 2] = 2 * overlap.sum() - moments[1], 2 * norm.sum() - moments[0]
    if half % 2:  # alpha_P is in ends[1]
        for i in range(n):
            for k in range(ROW):
                ends[0, i, k], ends[1, i, k] = ends[1, i, k], ends[0, i, k]


@kernel
def _overlaps(a, b, norm, overlap):
    for i in range(len(a)):
        for k in range(ROW):
            norm[k] += a[i, k] * a[i, k]
            overlap[k] += a[i, k] * b[i, k]


@kernel
def _row(pointer, index, value, local, now, last, i, width):
    """last_i <- (2 H now)_i - last_i for the ``width`` / ROW blocks side by side."""
    d, x, y, z = local[i, 0], local[i, 1], local[i, 2], local[i, 3]
    up, down = d + z, d - z
    for block in range(0, width, ROW):
        for k in range(block, block + LANES):
            a, b, c, e = now[i, k], now[i, k + LANES], now[i, k + 2 * LANES], now[i, k + 3 * LANES]
            last[i, k] = up * a + x * c + y * e - last[i, k]
            last[i, k + LANES] = up * b + x * e - y * c - last[i, k + LANES]
            last[i, k + 2 * LANES] = x * a - y * b + down * c - last[i, k + 2 * LANES]
            last[i, k + 3 * LANES] = x * b + y * a + down * e - last[i, k + 3 * LANES]
    entry, stop = pointer[i], pointer[i + 1]
    while entry + 4 <= stop:  # four neighbours at a time: the sum is loaded and stored a quarter as often
        t0, t1, t2, t3 = value[entry], value[entry + 1], value[entry + 2], value[entry + 3]
        j0, j1 = np.uint64(index[entry]), np.uint64(index[entry + 1])
        j2, j3 = np.uint64(index[entry + 2]), np.uint64(index[entry + 3])
        for k in range(width):
            last[i, k] += (t0 * now[j0, k] + t1 * now[j1, k]) + (t2 * now[j2, k] + t3 * now[j3, k])
        entry += 4
    while entry < stop:
        t0, j0 = value[entry], np.uint64(index[entry])
        for k in range(width):
            last[i, k] += t0 * now[j0, k]
        entry += 1


@kernel
def backward(pointer, index, value, local, ends, energy, occupation, fields, bonds):
    """Gradient of E = sum_m c_m mu_m by reverse accumulation, the vectors alpha_m being made again on the way.

    beta_m = dE/d alpha_m obeys beta_m = g_m + 2 H beta_{m+1} - beta_{m+2} with g_m = 2 e_m alpha_m + o_m alpha_{m+1}
    + o_{m-1} alpha_{m-1}; dE = sum_m kappa_m Re<beta_{m+1}|dH|alpha_m>, kappa = 1 for m = 0, else 2.
    ``energy, occupation`` (P + 1, 2) hold e_m and o_m of the grand potential and of the Fermi function;
    ``fields`` (n, FIELDS) and, where it is not empty, ``bonds`` (entries,) are written.
    """
    n, half = len(local), len(energy) - 1
    real = value.dtype.type
    now, last = np.empty((n, 2 * ROW), value.dtype), np.zeros((n, 2 * ROW), value.dtype)
    for i in range(n):
        for k in range(ROW):
            first, second = ends[0, i, k], ends[1, i, k]
            last[i, k] = first
            now[i, k] = second
            now[i, k + ROW] = 2 * energy[half, 0] * first + energy[half - 1, 1] * second
    work = np.empty(ROW, value.dtype)
    fields[:] = 0
    bonds[:] = 0
    for i in range(n):  # m = P has no successor
        for k in range(ROW):
            work[k] = occupation[half, 0] * last[i, k]
        _bilinear(work, 0, last, i, real(1), fields, 3, 4)
        for k in range(ROW):
            fields[i, 7] += energy[half, 0] * last[i, k] * last[i, k]
    for m in range(half - 1, -1, -1):
        kappa = real(2 if m else 1)
        even, odd, next_odd = energy[m, 0], energy[m, 1], energy[m - 1, 1] if m else real(0)
        even_f, odd_f = occupation[m, 0], occupation[m, 1]
        if len(bonds):
            _bond_gradient(pointer, index, now, kappa, bonds)
        for i in range(n):
            total = real(0)
            for k in range(ROW):
                a, b = now[i, k], last[i, k]
                work[k] = even_f * a + odd_f * b
                total += (even * a + odd * b) * a
            fields[i, 7] += total
            _bilinear(work, 0, now, i, real(1), fields, 3, 4)
            _bilinear(now[i], ROW, now, i, kappa, fields, -1, 0)
            if m == 0:
                continue
            for k in range(ROW):
                work[k] = 2 * even * now[i, k] + odd * last[i, k]
            _row(pointer, index, value, local, now, last, i, 2 * ROW)
            for k in range(ROW):
                last[i, ROW + k] += work[k] + next_odd * last[i, k]
        now, last = last, now


@kernel
def _bilinear(b, shift, vectors, i, weight, fields, charge, spin):
    """Adds weight Re b+ a to column ``charge`` (if >= 0) and weight Re b+ sigma a to three columns from ``spin`` on."""
    real = vectors.dtype.type
    n_up, n_down, x, y = real(0), real(0), real(0), real(0)
    for k in range(LANES):
        a0, a1, a2, a3 = vectors[i, k], vectors[i, k + LANES], vectors[i, k + 2 * LANES], vectors[i, k + 3 * LANES]
        b0, b1 = b[shift + k], b[shift + k + LANES]
        b2, b3 = b[shift + k + 2 * LANES], b[shift + k + 3 * LANES]
        n_up += b0 * a0 + b1 * a1
        n_down += b2 * a2 + b3 * a3
        x += b0 * a2 + b1 * a3 + b2 * a0 + b3 * a1
        y += b0 * a3 - b1 * a2 - b2 * a1 + b3 * a0
    if charge >= 0:
        fields[i, charge] += weight * (n_up + n_down)
    fields[i, spin] += weight * x
    fields[i, spin + 1] += weight * y
    fields[i, spin + 2] += weight * (n_up - n_down)


@kernel
def _bond_gradient(pointer, index, now, kappa, bonds):
    """Adds kappa Re sum_s beta_is* alpha_js for every entry (i, j)."""
    for i in range(len(now)):
        for entry in range(pointer[i], pointer[i + 1]):
            j = np.uint64(index[entry])
            total = now.dtype.type(0)
            for k in range(ROW):
                total += now[i, k + ROW] * now[j, k]
            bonds[entry] += kappa * total
