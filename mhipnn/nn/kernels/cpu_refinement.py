"""What a block does on a site after its message, on CPUs: some sites at a time pass all layers, and stay in the cache.

z' = OnSite(f(message + W z + b)), term = readout(z'). The parameters come as one flat array, each matrix (outputs,
inputs): W, b; of every on-site layer W1, b1, W2, b2; the readout's.
"""

from __future__ import annotations

import numpy as np
from numba import prange

from .compiled import bounds, inlined, kernel, shared_out, shares
from .cpu_silu import silu, silu_adjoint
from .tile import dot, gemm

_GROUP = 32  # sites that pass through all layers together


def refine(message, z, parameters, x, out, terms):  # type: ignore[no-untyped-def]
    """The features ``out`` (N, F) and the term (N,) from the message (N, F) and the features z (N, F_in) before it.

    ``x`` (1 + n_onsite, N, F) keeps what every SiLU was given, for the adjoint.
    """
    _refine(message, z, parameters, x, out, terms, shares(len(message)))


def adjoint(of_out, parameters, x, of_message, of_z):  # type: ignore[no-untyped-def]
    """Derivatives of sum of_out out + sum terms by the message (N, F) and by z (N, F_in).

    ``of_out`` and ``of_z`` may have no rows: no such sum, and not wanted.
    """
    _adjoint(of_out, parameters, x, of_message, of_z, shares(len(of_message)))


@shared_out
def _refine(message, z, parameters, x, out, terms, n_shares):
    n_layers, n_sites, n = x.shape
    n_in = z.shape[1]
    turned = _transposed(parameters, n_in, n, n_layers - 1)
    readout, one = len(parameters) - n - 1, np.ones(1, x.dtype)
    flat_message, flat_z, flat_x, flat_out = message.reshape(-1), z.reshape(-1), x.reshape(-1), out.reshape(-1)
    for share in prange(n_shares):
        start, stop = bounds(share, n_shares, len(message))
        hidden = np.empty(_GROUP * n, x.dtype)
        for first in range(start, stop, _GROUP):
            rows = min(_GROUP, stop - first)
            here, size = first * n, rows * n
            flat_x[here : here + size] = flat_message[here : here + size]
            _bias(flat_x, here, parameters, n_in * n, n, rows, one, True)
            gemm(flat_x, here, n, flat_z, first * n_in, n_in, 1, turned, 0, n, rows, n, n_in, True)
            silu(flat_out, here, flat_x, here, size)
            for layer in range(1, n_layers):
                given, at = layer * n_sites * n + here, _onsite_at(layer, n_in, n)
                _bias(flat_x, given, parameters, at + n * n, n, rows, one, False)
                gemm(flat_x, given, n, flat_out, here, n, 1, turned, at, n, rows, n, n, True)
                silu(hidden, 0, flat_x, given, size)
                at += n * (n + 1)
                _bias(flat_out, here, parameters, at + n * n, n, rows, one, True)
                gemm(flat_out, here, n, hidden, 0, n, 1, turned, at, n, rows, n, n, True)
            for row in range(rows):
                terms[first + row] = dot(flat_out, here + row * n, parameters, readout, n) + parameters[readout + n]


@shared_out
def _adjoint(of_out, parameters, x, of_message, of_z, n_shares):
    n_layers, n_sites, n = x.shape
    n_in = of_z.shape[1]
    readout, one, flat_given = len(parameters) - n - 1, np.ones(1, x.dtype), of_out.reshape(-1)
    flat_x, flat_message, flat_z = x.reshape(-1), of_message.reshape(-1), of_z.reshape(-1)
    for share in prange(n_shares):
        start, stop = bounds(share, n_shares, len(of_message))
        gradient, hidden = np.empty(_GROUP * n, x.dtype), np.empty(_GROUP * n, x.dtype)
        for first in range(start, stop, _GROUP):
            rows = min(_GROUP, stop - first)
            here, size = first * n, rows * n
            if len(of_out):
                gradient[:size] = flat_given[here : here + size]
            _bias(gradient, 0, parameters, readout, n, rows, one, len(of_out) > 0)
            for layer in range(n_layers - 1, 0, -1):
                at = _onsite_at(layer, n_in, n)
                gemm(hidden, 0, n, gradient, 0, n, 1, parameters, at + n * (n + 1), n, rows, n, n, False)
                silu_adjoint(hidden, 0, hidden, 0, flat_x, layer * n_sites * n + here, size)
                gemm(gradient, 0, n, hidden, 0, n, 1, parameters, at, n, rows, n, n, True)
            silu_adjoint(flat_message, here, gradient, 0, flat_x, here, size)
            if len(of_z):
                gemm(flat_z, first * n_in, n_in, flat_message, here, n, 1, parameters, 0, n_in, rows, n_in, n, False)


@kernel
def _onsite_at(layer, n_in, n):
    """Where the parameters of an on-site layer (1, 2, ...) start."""
    return n * (n_in + 1) + 2 * (layer - 1) * n * (n + 1)


@kernel
def _transposed(parameters, n_in, n, n_onsite):
    """The parameters with every matrix as (inputs, outputs)."""
    turned, at = np.empty_like(parameters), 0
    for matrix in range(1 + 2 * n_onsite):
        inputs = n if matrix else n_in
        for row in range(n):
            for column in range(inputs):
                turned[at + column * n + row] = parameters[at + row * inputs + column]
        at += n * (inputs + 1)
    return turned


@inlined
def _bias(out, out_at, parameters, at, n, rows, one, accumulate):
    """out[r, c] (+)= parameters[at + c]."""
    gemm(out, out_at, n, one, 0, 0, 0, parameters, at, n, rows, n, 1, accumulate)
