"""Chebyshev recursions of a block of vectors on one region, compiled by numba for CPUs.

A row of a block holds ``PAIRS`` pairs of vectors: for each of up (real, imaginary) and down (real, imaginary) the
``LANES`` numbers of all vectors side by side, first of those that began as up; one hopping amplitude multiplies
4 LANES neighbours in memory.
"""

from __future__ import annotations

import numpy as np

from ...compilation import compiled

PAIRS = 4
LANES = 2 * PAIRS  # each pair is one amplitude for spin up, and the same one for spin down
ROW = 4 * LANES
PARTS = 4  # of the moments of a pair: charge and spin x, y, z
FIELDS = 8  # per site: -dE/dh x, y, z; then from T_m P_i T_m density, spin x, y, z and grand potential


kernel = compiled(error_model="numpy", boundscheck=False, fastmath={"contract", "reassoc"})


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
def forward(pointer, index, value, local, rows, pairs, amplitudes, mixed, moments, ends):
    """Moments Re<r s|T_m|r s'> of each pair, m = 0 .. 2P, and the last vectors alpha_P, alpha_{P-1} of the recursion.

    ``pointer, index, value``: 2 T/a; ``local`` (n, 4): 2/a times diagonal and x, y, z of minus the field on the spin;
    ``rows, pairs, amplitudes``: the vectors r; ``moments`` (2P + 1, PAIRS, PARTS), charge and spin of the matrix in
    s, s' (x and y stay 0 unless ``mixed``), and ``ends`` (2, n, ROW) are written.
    """
    n, half = len(local), (len(moments) - 1) // 2
    now, last = ends[0], ends[1]
    now[:] = 0
    last[:] = 0
    for k in range(len(rows)):
        for spin in range(2):
            lane = (2 * LANES + PAIRS) * spin + pairs[k]
            now[rows[k], lane] = amplitudes[k]
    norm, overlap = np.zeros(2 * ROW, value.dtype), np.zeros(2 * ROW, value.dtype)
    for i in range(n):
        _overlap(now, now, i, mixed, norm)
    _moment(norm, moments[0])
    for m in range(half):
        norm[:], overlap[:] = 0, 0
        for i in range(n):
            _row(pointer, index, value, local, now, last, i, ROW)
            if m == 0:
                for k in range(ROW):
                    last[i, k] *= value.dtype.type(0.5)
            _overlap(last, last, i, mixed, norm)
            _overlap(last, now, i, mixed, overlap)
        now, last = last, now
        _moment(overlap, moments[2 * m + 1])
        _moment(norm, moments[2 * m + 2])
        for pair in range(PAIRS):
            for part in range(PARTS):
                if m > 0:
                    twice = 2 * moments[2 * m + 1, pair, part]
                    moments[2 * m + 1, pair, part] = twice - moments[1, pair, part]
                moments[2 * m + 2, pair, part] = 2 * moments[2 * m + 2, pair, part] - moments[0, pair, part]
    if half % 2:  # alpha_P is in ends[1]
        for i in range(n):
            for k in range(ROW):
                ends[0, i, k], ends[1, i, k] = ends[1, i, k], ends[0, i, k]


@kernel
def _overlap(a, b, i, mixed, sums):
    """Adds site i to a_s* b_s of all vectors, by component, and if ``mixed`` to a_up* b_down."""
    for k in range(ROW):
        sums[k] += a[i, k] * b[i, k]
    if not mixed:
        return
    for c in range(0, ROW, 2 * LANES):
        for k in range(c, c + PAIRS):
            up_re, up_im = a[i, k], a[i, k + LANES]
            down_re, down_im = b[i, k + PAIRS], b[i, k + PAIRS + LANES]
            sums[ROW + k] += up_re * down_re + up_im * down_im
            sums[ROW + k + LANES] += up_re * down_im - up_im * down_re


@kernel
def _moment(sums, out):
    """Charge and spin x, y, z, for each pair, of the matrix whose elements :func:`_overlap` summed."""
    for pair in range(PAIRS):
        up, down, re, im = 0.0, 0.0, 0.0, 0.0
        for c in range(pair, ROW, LANES):
            up += sums[c]
            down += sums[c + PAIRS]
        for c in range(ROW + pair, 2 * ROW, 2 * LANES):
            re += sums[c]
            im += sums[c + LANES]
        out[pair, 0], out[pair, 1], out[pair, 2], out[pair, 3] = up + down, 2 * re, -2 * im, up - down


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
def backward(pointer, index, value, local, ends, weights, densities, fields, bonds):
    """Gradient of E = sum_m c_m mu_m by reverse accumulation, the vectors alpha_m being made again on the way.

    beta_m = dE/d alpha_m obeys beta_m = g_m + 2 H beta_{m+1} - beta_{m+2} with g_m = 2 e_m alpha_m + o_m alpha_{m+1}
    + o_{m-1} alpha_{m-1}; dE = sum_m kappa_m Re<beta_{m+1}|dH|alpha_m>, kappa = 1 for m = 0, else 2.
    ``weights`` (P + 1, 6) hold e_m and o_m of the grand potential, of the Fermi function, and of it for the second
    estimate of the spins; ``fields`` (n, FIELDS), of which all but the first three stay 0 unless ``densities``, and,
    where it is not empty, ``bonds`` (entries,) are written.
    """
    n, half = len(local), len(weights) - 1
    real = value.dtype.type
    now, last = np.empty((n, 2 * ROW), value.dtype), np.zeros((n, 2 * ROW), value.dtype)
    for i in range(n):
        for k in range(ROW):
            first, second = ends[0, i, k], ends[1, i, k]
            last[i, k] = first
            now[i, k] = second
            now[i, k + ROW] = 2 * weights[half, 0] * first + weights[half - 1, 1] * second
    work = np.empty(ROW, value.dtype)
    fields[:] = 0
    bonds[:] = 0
    if densities:
        for i in range(n):
            _densities(last, last, i, weights[half], work, fields)
    for m in range(half - 1, -1, -1):
        kappa = real(2 if m else 1)
        even, odd, next_odd = weights[m, 0], weights[m, 1], weights[m - 1, 1] if m else real(0)
        if len(bonds):
            _bond_gradient(pointer, index, now, kappa, bonds)
        for i in range(n):
            if densities:
                _densities(now, last, i, weights[m], work, fields)
            _bilinear(now[i], ROW, now, i, kappa, fields, 0)
            if m == 0:
                continue
            for k in range(ROW):
                work[k] = 2 * even * now[i, k] + odd * last[i, k]
            _row(pointer, index, value, local, now, last, i, 2 * ROW)
            for k in range(ROW):
                last[i, ROW + k] += work[k] + next_odd * last[i, k]
        now, last = last, now


@kernel
def _densities(now, last, i, weights, work, fields):
    """Adds e_m |alpha_m|^2 + o_m Re alpha_{m+1}* alpha_m at site i: density, spin and grand potential."""
    real = now.dtype.type
    norm, overlap = real(0), real(0)
    for k in range(ROW):
        a, b = now[i, k], last[i, k]
        work[k] = weights[4] * a + weights[5] * b
        norm += a * a
        overlap += a * b
    fields[i, 3] += weights[2] * norm + weights[3] * overlap
    fields[i, 7] += weights[0] * norm + weights[1] * overlap
    _bilinear(work, 0, now, i, real(1), fields, 4)


@kernel
def _bilinear(b, shift, vectors, i, weight, fields, first):
    """Adds weight Re b+ sigma a to three columns from ``first`` on."""
    real = vectors.dtype.type
    x, y, z = real(0), real(0), real(0)
    for k in range(LANES):
        a0, a1, a2, a3 = vectors[i, k], vectors[i, k + LANES], vectors[i, k + 2 * LANES], vectors[i, k + 3 * LANES]
        b0, b1 = b[shift + k], b[shift + k + LANES]
        b2, b3 = b[shift + k + 2 * LANES], b[shift + k + 3 * LANES]
        x += b0 * a2 + b1 * a3 + b2 * a0 + b3 * a1
        y += b0 * a3 - b1 * a2 - b2 * a1 + b3 * a0
        z += b0 * a0 + b1 * a1 - b2 * a2 - b3 * a3
    fields[i, first] += weight * x
    fields[i, first + 1] += weight * y
    fields[i, first + 2] += weight * z


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
