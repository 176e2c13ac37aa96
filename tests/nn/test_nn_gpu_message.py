"""The kernels for GPUs against the reference: on a GPU (-m gpu), and without one through Triton's interpreter.

Triton decides at import whether it interprets, so this file runs itself once more in a process where it does; then its
comparisons take CPU tensors. ``TRITON_INTERPRET=1 pytest tests/nn/test_nn_gpu_message.py`` does the same by hand.
"""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from mhipnn.nn.kernels import choice, cpu_message, reference
from mhipnn.nn.neighbourhood import Neighbourhood

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
HAS_TRITON = importlib.util.find_spec("triton") is not None
DEVICES = [pytest.param("cuda", marks=pytest.mark.gpu), *(["cpu"] if INTERPRETED else [])]
PRECISIONS = [(torch.float64, 1e-12), (torch.float32, 1e-5)]
SIZES = [(12, 3, 24, 38), (5, 1, 1, 7), (3, 2, 5, 1), (20, 1, 32, 40), (2, 5, 70, 3), (1, 40, 3, 17)]  # n_nu, n_l, F, K

needs_triton = pytest.mark.skipif(not HAS_TRITON, reason="Triton is not installed: pip install triton (Linux)")
on_devices = pytest.mark.parametrize("device", DEVICES)
in_precisions = pytest.mark.parametrize(("dtype", "tolerance"), PRECISIONS)


@pytest.fixture
def kernels():
    pytest.importorskip("triton")
    from mhipnn.nn.kernels import gpu_message

    return gpu_message


def problem(sizes, dtype, device, n_sites=4):
    """s, P, z, c, index, counts: one site without neighbours, one full; zeros in the empty slots."""
    n_nu, n_l, n_features, n_slots = sizes
    generator = torch.Generator().manual_seed(0)
    rand = partial(torch.randn, generator=generator, dtype=torch.float64)
    counts = torch.randint(0, n_slots + 1, (n_sites,), generator=generator)
    counts[: min(2, n_sites)] = torch.tensor([0, n_slots])[:n_sites]
    filled = (torch.arange(n_slots) < counts[:, None])[:, None]
    s, P = rand(n_sites, n_nu, n_slots) * filled, rand(n_sites, n_l, n_slots) * filled
    z, c = rand(n_sites + 2, n_features), rand(n_sites, n_nu * n_l, n_features)
    index = torch.randint(0, n_sites + 2, (n_sites, n_slots), generator=generator)
    return [x.to(device, dtype) for x in (s, P, z, c)] + [index.to(device), counts.to(device)]


def spoiled(s, P, index, counts):
    """The same with what no sum may use in the empty slots."""
    empty = torch.arange(index.shape[1], device=index.device) >= counts[:, None]
    s, P = (x.masked_fill(empty[:, None], float("nan")) for x in (s, P))
    return s, P, index.masked_fill(empty, 2**40)


def assert_near(given, expected, tolerance):
    assert given.shape == expected.shape
    assert given.dtype == expected.dtype
    scale = expected.abs().max().clamp(min=1e-300) if expected.numel() else 1.0
    assert ((given - expected).abs() / scale <= tolerance).all()


@on_devices
@in_precisions
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_message_sum_and_adjoint_are_the_reference(kernels, sizes, dtype, tolerance, device):
    s, P, z, c, index, counts = problem(sizes, dtype, device)
    bad_s, bad_P, bad_index = spoiled(s, P, index, counts)
    message = kernels.message_sum(bad_s, bad_P, z, bad_index, counts)
    assert_near(message, reference.message_sum(s, P, z, index, counts), tolerance)

    of_z = torch.ones_like(z)
    expected_of_z = of_z.clone()
    given = kernels.adjoint(bad_s, bad_P, z, c, bad_index, counts, True, True, of_z)
    expected = reference.adjoint(s, P, z, c, index, counts, True, True, expected_of_z)
    empty = torch.arange(index.shape[1], device=device) >= counts[:, None]
    for a, b in zip(given, expected, strict=True):
        assert_near(a, b, tolerance)
        assert (a.masked_select(empty[:, None]) == 0).all()
    assert_near(of_z, expected_of_z, tolerance)


@on_devices
@pytest.mark.parametrize("for_s", [False, True])
@pytest.mark.parametrize("for_P", [False, True])
@pytest.mark.parametrize("for_z", [False, True])
def test_each_derivative_for_itself(kernels, for_s, for_P, for_z, device):
    given = problem((3, 2, 9, 5), torch.float32, device)
    of_z, expected_of_z = (torch.zeros_like(given[2]) if for_z else None for _ in range(2))
    results = (*kernels.adjoint(*given, for_s, for_P, of_z), of_z)
    expected = (*reference.adjoint(*given, for_s, for_P, expected_of_z), expected_of_z)
    assert [x is not None for x in results] == [for_s, for_P, for_z]
    for a, b in zip(results, expected, strict=True):
        assert a is b is None or a is not None
        if a is not None:
            assert_near(a, b, 1e-5)


@on_devices
@in_precisions
def test_with_deterministic_algorithms(kernels, dtype, tolerance, device):
    s, P, z, c, index, counts = problem((3, 2, 9, 18), dtype, device)
    bad_s, bad_P, bad_index = spoiled(s, P, index, counts)
    of_z, expected = torch.ones_like(z), torch.ones_like(z)
    reference.adjoint(s, P, z, c, index, counts, False, False, expected)
    torch.use_deterministic_algorithms(True)
    try:
        kernels.adjoint(bad_s, bad_P, z, c, bad_index, counts, False, False, of_z)
        again = torch.ones_like(z)
        kernels.adjoint(bad_s, bad_P, z, c, bad_index, counts, False, False, again)
    finally:
        torch.use_deterministic_algorithms(False)
    assert_near(of_z, expected, tolerance)
    assert torch.equal(of_z, again)


@on_devices
def test_any_strides(kernels, device):
    s, P, z, c, index, counts = problem((3, 2, 9, 5), torch.float64, device)
    s, P, c = (x.transpose(0, 2).contiguous().transpose(0, 2) for x in (s, P, c))
    z, index = z.t().contiguous().t(), index.t().contiguous().t()
    assert_near(kernels.message_sum(s, P, z, index, counts), reference.message_sum(s, P, z, index, counts), 1e-12)
    of_z, expected_of_z = torch.zeros_like(z), torch.zeros_like(z)
    assert not of_z.is_contiguous()
    given = kernels.adjoint(s, P, z, c, index, counts, True, True, of_z)
    expected = reference.adjoint(s, P, z, c, index, counts, True, True, expected_of_z)
    for a, b in zip((*given, of_z), (*expected, expected_of_z), strict=True):
        assert_near(a, b, 1e-12)
    assert of_z.abs().max() > 0


@on_devices
@pytest.mark.parametrize(("n_sites", "n_slots"), [(0, 3), (3, 0), (0, 0), (1, 1)])
def test_nothing_to_sum(kernels, n_sites, n_slots, device):
    s, P, z, c, index, counts = problem((2, 3, 4, n_slots), torch.float32, device, n_sites)
    counts = torch.zeros_like(counts)
    message = kernels.message_sum(s, P, z, index, counts)
    assert message.shape == (n_sites, 6, 4)
    assert (message == 0).all()
    of_z = torch.ones_like(z)
    of_s, of_P = kernels.adjoint(s, P, z, c, index, counts, True, True, of_z)
    assert (of_s.shape, of_P.shape) == (s.shape, P.shape)
    assert all((x == value).all() for x, value in ((of_s, 0), (of_P, 0), (of_z, 1)))


@on_devices
def test_autograd_to_second_derivatives(kernels, device, monkeypatch):
    from mhipnn.nn import message_sum as functions

    monkeypatch.setattr(functions, "message_kernels", lambda _: kernels)
    s, P, z, _, index, counts = problem((2, 2, 1, 2), torch.float64, device, n_sites=2)
    counts[0] = 1
    neighbours = Neighbourhood(index, counts, *[s.new_empty(0)] * 2, index[:, 0])
    inputs = [x.requires_grad_() for x in (s, P, z)]
    # Atomic additions come in any order.
    slack = dict(nondet_tol=1e-12) if device == "cuda" else {}
    call = partial(functions.message_sum, neighbours=neighbours)
    assert torch.autograd.gradcheck(call, inputs, **slack)
    assert torch.autograd.gradgradcheck(call, inputs, fast_mode=True, **slack)


@pytest.mark.gpu
@pytest.mark.parametrize("block_sites", [None, 7])
def test_a_model_on_a_gpu_is_the_one_on_the_cpu(block_sites):
    from mhipnn.data.graph import spin_graph
    from mhipnn.nn.mhip import MHIP
    from mhipnn.nn.neighbourhood import neighbourhood
    from mhipnn.structures import random_sites

    torch.manual_seed(0)
    model = MHIP(cutoff=2.2, n_features=9, n_sensitivities=5, n_onsite=1).in_precision(torch.float64)
    graph = spin_graph(random_sites(30, 2, rng=0), 2.2, torch.float64)

    def terms_and_field(device):
        placed, on_device = model.to(device), graph.to(device)
        assert choice.message_kernels(on_device.spins).__name__.endswith(
            {"cuda": "gpu", "cpu": "cpu"}[device] + "_message"
        )
        around = neighbourhood(on_device, on_device.positions, block_sites)
        with torch.no_grad():
            couplings = placed.couplings(around)
        spins = on_device.spins.clone().requires_grad_()
        terms = placed.site_terms(spins, around, couplings)
        return terms.detach().cpu(), torch.autograd.grad(terms.sum(), spins)[0].cpu()

    for on_cpu, on_gpu in zip(terms_and_field("cpu"), terms_and_field("cuda"), strict=True):
        assert_near(on_gpu, on_cpu, 1e-12)


class Recorder:
    """Stands in for a kernel and keeps what it is launched with."""

    def __init__(self, kernel, launches):
        self.kernel, self.launches = kernel, launches

    def __getitem__(self, grid):
        return lambda *args, **options: self.launches.append((self.kernel, args, options))


def compiled(kernel, args, options, capability):
    """As Triton compiles a launch at its first call: ones are constants, memory is aligned to 16 bytes."""
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    values = dict(zip(kernel.arg_names, args, strict=False)) | options
    launch_options = {name: value for name, value in options.items() if name not in kernel.arg_names}
    pointers = {torch.float32: "*fp32", torch.float64: "*fp64", torch.int64: "*i64"}
    signature, constants, aligned = {}, {}, {}
    for place, parameter in enumerate(kernel.params):
        value = values[parameter.name]
        if isinstance(value, torch.Tensor):
            signature[parameter.name], aligned[place,] = pointers[value.dtype], [["tt.divisibility", 16]]
        elif parameter.is_constexpr or value == 1:
            signature[parameter.name], constants[place,] = "constexpr", value
        else:
            signature[parameter.name] = "i32"
    source = ASTSource(kernel, signature, constants, aligned)
    return triton.compile(source, target=GPUTarget("cuda", capability, 32), options=launch_options)


@needs_triton
@pytest.mark.skipif(INTERPRETED, reason="nothing is compiled where Triton interprets")
@pytest.mark.parametrize(("sizes", "dtype"), [((12, 3, 24, 38), torch.float32), ((20, 1, 6, 1), torch.float64)])
def test_kernels_compile_for_a_gpu_that_is_not_there(kernels, sizes, dtype, monkeypatch, tmp_path):
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    launches = []
    for name in ("_message_sum", "_adjoint_of_weights", "_adjoint_of_features"):
        monkeypatch.setattr(kernels, name, Recorder(getattr(kernels, name), launches))
    s, P, z, c, index, counts = problem(sizes, dtype, "cpu")
    kernels.message_sum(s, P, z, index, counts)
    kernels.adjoint(s, P, z, c, index, counts, True, True, torch.zeros_like(z))
    assert len(launches) == 3
    for launch in launches:
        binary = compiled(*launch, capability=90)
        assert {"ptx", "cubin"} <= set(binary.asm)
        assert binary.metadata.shared <= 48 * 1024  # every GPU has so much for a block
        assert "mma" not in binary.asm["ptx"]  # TF32 only for who asks


@pytest.mark.skipif(not HAS_TRITON, reason="nothing to hide")
def test_without_triton_gpus_get_the_reference_and_cpus_miss_nothing():
    script = """
import sys
sys.modules["triton"] = None  # cannot be imported
from types import SimpleNamespace
import torch, mhipnn
from mhipnn.nn.kernels import choice, cpu_message, reference
for dtype in (torch.float16, torch.float32):
    assert choice.message_kernels(SimpleNamespace(device=torch.device("cuda"), dtype=dtype)) is reference
assert choice.message_kernels(torch.zeros(1)) is cpu_message
"""
    subprocess.run([sys.executable, "-c", script], check=True)


@needs_triton
def test_choice(kernels):
    def chosen(device, dtype):
        return choice.message_kernels(SimpleNamespace(device=torch.device(device), dtype=dtype))

    for dtype in (torch.float32, torch.float64):
        assert chosen("cuda", dtype) is kernels
        assert chosen("cpu", dtype) is cpu_message
        assert chosen("meta", dtype) is reference
    assert chosen("cuda", torch.bfloat16) is chosen("cpu", torch.bfloat16) is reference


@needs_triton
@pytest.mark.skipif(INTERPRETED, reason="runs the others of this file through the interpreter, as this process does")
def test_through_the_interpreter():
    environment = os.environ | {"TRITON_INTERPRET": "1", "OMP_NUM_THREADS": "1"}
    root = Path(__file__).parents[2]
    command = [sys.executable, "-m", "pytest", "-q", "-rs", "-n", "0", "-p", "no:cacheprovider", __file__]
    done = subprocess.run(command, env=environment, cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert int(re.search(r"(\d+) passed", done.stdout)[1]) > 25, done.stdout
