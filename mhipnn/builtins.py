"""What mhipnn itself registers: tables of import paths and plain values, so that listing them loads nothing heavy."""

from __future__ import annotations

from typing import Any

BUILTINS: tuple[tuple[str, str, str], ...] = (
    # kind, name, import path
    ("model", "mhip", "mhipnn.nn.mhip.MHIP"),
    ("model", "mhip_ts", "mhipnn.nn.mhip_ts.MHIPTS"),
    ("model", "mhip_eq", "mhipnn.nn.mhip_eq.MHIPEQ"),
    ("model", "heisenberg", "mhipnn.nn.heisenberg.Heisenberg"),
    ("model", "heisenberg_biquadratic", "mhipnn.nn.heisenberg.HeisenbergBiquadratic"),
    ("model", "bp", "mhipnn.nn.bp.BP"),
    ("dataset", "labelled", "mhipnn.data.datamodule.SpinDataModule"),
    ("dataset", "files", "mhipnn.data.files.FileDataModule"),
    ("reader", "extxyz", "mhipnn.data.readers.extxyz.read_extxyz"),
    ("reader", "deepspin", "mhipnn.data.readers.deepspin.read_deepspin"),
    ("reader", "npz", "mhipnn.data.readers.npz.read_npz"),
    ("reader", "hdf5", "mhipnn.data.readers.hdf5.read_hdf5"),
    ("structure", "random_sites", "mhipnn.structures.disorder.RandomSites"),
    ("structure", "crystal", "mhipnn.structures.crystal.Crystal"),
    ("structure", "displaced_lattice", "mhipnn.structures.crystal.DisplacedLattice"),
    ("structure", "diluted_lattice", "mhipnn.structures.crystal.DilutedLattice"),
    ("structure", "amorphous", "mhipnn.structures.amorphous.Amorphous"),
    ("sampler", "random_spins", "mhipnn.structures.spins.RandomSpins"),
    ("sampler", "ordered", "mhipnn.structures.ordered.OrderedSpins"),
    ("sampler", "boltzmann", "mhipnn.structures.boltzmann.BoltzmannSpins"),
    ("sampler", "quench_snapshots", "mhipnn.dynamics.sampling.QuenchSnapshots"),
    ("sampler", "learned_quench", "mhipnn.dynamics.sampling.LearnedQuench"),
    ("exchange", "exponential", "mhipnn.structures.exchange.ExponentialExchange"),
    ("exchange", "shells", "mhipnn.structures.exchange.ShellExchange"),
    ("hopping", "exponential", "mhipnn.electrons.hopping.ExponentialHopping"),
    ("hopping", "gaussian", "mhipnn.electrons.hopping.GaussianHopping"),
    ("hopping", "power_law", "mhipnn.electrons.hopping.PowerLawHopping"),
    ("hopping", "shells", "mhipnn.electrons.hopping_shells.ShellHopping"),
    ("potential", "sd_model", "mhipnn.electrons.sd_model.SDModel"),
    ("potential", "network", "mhipnn.nn.checkpoint.load_potential"),
    ("potential", "ensemble", "mhipnn.nn.checkpoint.load_ensemble"),
    ("potential", "sum", "mhipnn.dynamics.additive.sum.Sum"),
    ("potential", "zeeman", "mhipnn.dynamics.additive.onsite.Zeeman"),
    ("potential", "uniaxial", "mhipnn.dynamics.additive.onsite.UniaxialAnisotropy"),
    ("potential", "cubic", "mhipnn.dynamics.additive.onsite.CubicAnisotropy"),
    ("potential", "heisenberg", "mhipnn.dynamics.additive.pairs.PairExchange"),
    ("potential", "bonds", "mhipnn.dynamics.additive.pairs.BondExchange"),
    ("potential", "dipolar", "mhipnn.dynamics.additive.dipolar.Dipolar"),
    ("dynamics", "quench", "mhipnn.dynamics.quench.Quench"),
    ("dynamics", "minimise", "mhipnn.dynamics.descent.Minimise"),
    ("observer", "magnetisation", "mhipnn.dynamics.observers.Magnetisation"),
    ("observer", "correlations", "mhipnn.analysis.streaming.Correlations"),
    ("integrator", "heun", "mhipnn.dynamics.integrators.Heun"),
    ("integrator", "rk4", "mhipnn.dynamics.integrators.RK4"),
    ("integrator", "depondt_mertens", "mhipnn.dynamics.integrators.rotation.DepondtMertens"),
    ("integrator", "sib", "mhipnn.dynamics.integrators.midpoint.SIB"),
    ("integrator", "spherical_midpoint", "mhipnn.dynamics.integrators.midpoint.SphericalMidpoint"),
    ("integrator", "dormand_prince", "mhipnn.dynamics.integrators.adaptive.DormandPrince"),
    ("schedule", "constant", "mhipnn.dynamics.schedules.ramps.Constant"),
    ("schedule", "quench", "mhipnn.dynamics.schedules.ramps.Step"),
    ("schedule", "linear", "mhipnn.dynamics.schedules.ramps.Linear"),
    ("schedule", "exponential", "mhipnn.dynamics.schedules.ramps.Exponential"),
    ("schedule", "table", "mhipnn.dynamics.schedules.ramps.Table"),
    ("schedule", "rotating", "mhipnn.dynamics.schedules.drives.Rotating"),
    ("schedule", "pulse", "mhipnn.dynamics.schedules.drives.Pulse"),
    ("schedule", "sweep", "mhipnn.dynamics.schedules.drives.Sweep"),
    ("observable", "energy", "mhipnn.analysis.observables.order.Energy"),
    ("observable", "correlation", "mhipnn.analysis.observables.order.Correlation"),
    ("observable", "structure_factor", "mhipnn.analysis.observables.waves.StructureFactor"),
    ("observable", "spectrum", "mhipnn.analysis.observables.waves.Spectrum"),
    ("observable", "aging", "mhipnn.analysis.observables.glassy.Aging"),
    ("observable", "edwards_anderson", "mhipnn.analysis.observables.glassy.EdwardsAnderson"),
    ("observable", "spin_glass", "mhipnn.analysis.observables.glassy.SpinGlass"),
    ("observable", "topology", "mhipnn.analysis.observables.textures.Topology"),
    ("observable", "domains", "mhipnn.analysis.observables.textures.DomainCount"),
    ("observable", "texture", "mhipnn.analysis.observables.textures.Texture"),
    ("observable", "animation", "mhipnn.analysis.observables.textures.Animation"),
    ("observable", "fields", "mhipnn.analysis.observables.fields.Fields"),
    ("loss", "torque", "mhipnn.training.loss.Torque"),
    ("loss", "huber", "mhipnn.training.loss.TorqueHuber"),
    ("loss", "tangential", "mhipnn.training.loss.Tangential"),
    ("loss", "energy", "mhipnn.training.loss.Energy"),
    ("loss", "field", "mhipnn.training.loss.Field"),
    ("loss", "forces", "mhipnn.training.loss.Forces"),
    ("loss", "hierarchicality", "mhipnn.training.loss.Hierarchicality"),
    ("callback", "llg_rollout", "mhipnn.training.rollout.LLGRollout"),
    ("launcher", "processes", "mhipnn.data.launchers.processes.Processes"),
    ("launcher", "dask_local", "mhipnn.data.launchers.dask_local.DaskLocal"),
    ("launcher", "slurm", "mhipnn.data.launchers.job_queue.Slurm"),
    ("launcher", "pbs", "mhipnn.data.launchers.job_queue.PBS"),
    ("acquisition", "committee", "mhipnn.training.active.acquisition.Committee"),
    ("acquisition", "exact", "mhipnn.training.active.acquisition.Exact"),
    ("acquisition", "random", "mhipnn.training.active.acquisition.Random"),
)

_CRYSTAL: dict[str, Any] = {
    "lattice": "square",  # chain square triangular honeycomb kagome cubic bcc fcc, or the path of a structure file
    "cells": [10, 10],  # along each direction of the lattice
    "pbc": None,  # true or false for each direction; null: all periodic
    "lattice_constant": None,  # length of the first cell vector; null: from the density
    "density": 1.0,  # sites per length, area or volume; null keeps the lengths of a file
    "species": None,  # {fractions: [0.8, 0.2]}: at random on exactly these fractions of the sites
    "sha256": None,  # of the content of a structure file; null: any
}

_N_WORKERS = {"n_workers": "${oc.select:data.n_workers,null}"}  # null: one a core

_PRECISION = {"device": "cpu", "dtype": "float64"}  # in a sum: those of the sum

_QUEUE: dict[str, Any] = {
    "n_workers": 16,  # in all, one a core
    "cores": 8,  # of one job, on one node
    "memory": "16GB",  # of one job
    "walltime": "04:00:00",  # of one job; those that end early are submitted again
    "partition": None,
    "account": None,
    "directives": [],  # more lines for the script's head: ['--constraint=icelake'], [-m n]
    "prologue": [],  # shell lines before the worker starts: ['module load gcc']
    "interface": None,  # that nodes reach the submitting machine by: ib0
    "log_directory": None,
}

CONFIGS: dict[tuple[str, str], dict[str, Any]] = {
    # What `group=name` composes, with the defaults of all arguments; the other names have a file in conf/.
    ("structure", "random_sites"): {
        "n_sites": 100,
        "dimension": 2,
        "r_min": 0.8,  # no pair is closer
        "density": 1.0,
        "species": None,
    },
    ("structure", "crystal"): _CRYSTAL,
    ("structure", "displaced_lattice"): _CRYSTAL
    | {
        "width": 0.1,  # of each component of the displacements, in mean spacings
        "r_min": None,  # smallest distance, by drawing close pairs again; null: any
    },
    # Density and lattice constant are those of the full lattice, the fraction of empty sites is exact.
    ("structure", "diluted_lattice"): _CRYSTAL | {"vacancies": 0.1},
    ("structure", "amorphous"): {
        "path": "???",  # npz, or what ASE reads: every replica takes one of the frames at random
        "density": 1.0,  # every frame is scaled to it; null keeps the lengths of the file
        "species": None,  # in place of those of the file
        "sha256": None,
    },
    ("potential", "sum"): {},  # its terms: +potential@potential.NAME=CHOICE
    ("potential", "zeeman"): {"field": "???"} | _PRECISION,  # three numbers, or {schedule: NAME, ...}
    ("potential", "uniaxial"): {"K": 0.1, "axis": [0.0, 0.0, 1.0]} | _PRECISION,
    ("potential", "cubic"): {"K1": 0.1, "axes": [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]} | _PRECISION,
    ("potential", "heisenberg"): {
        "J": {
            "_target_": "mhipnn.structures.exchange.ExponentialExchange",
            **{"J": 1.0, "r0": 1.0, "xi": 0.5, "r_on": 1.5, "r_cut": 2.5},
        },
        "D": None,  # a function of the distance like J
        "K": None,
        "direction": "bond",  # of D, or interfacial
        "normal": [0.0, 0.0, 1.0],
        "factors": None,  # a symmetric matrix, one row a species
    }
    | _PRECISION,
    ("potential", "bonds"): {"pairs": None, "J": None, "D": None, "K": None, "path": None} | _PRECISION,
    ("potential", "dipolar"): {"strength": 0.01, "cutoff": None, "max_pairs": 4_000_000} | _PRECISION,
    ("dynamics", "minimise"): {
        "tolerance": None,  # largest torque at rest, t0; null: 1e-6, and 1e-4 in single precision
        "max_iterations": 10_000,  # field evaluations of a replica
    },
    ("integrator", "heun"): {},
    ("integrator", "rk4"): {},
    ("integrator", "depondt_mertens"): {},
    ("integrator", "sib"): {},
    ("integrator", "spherical_midpoint"): {"tolerance": 1.0e-12, "max_iterations": 60},
    ("integrator", "dormand_prince"): {"tolerance": 1.0e-6, "max_parts": 1000},
    ("loss", "torque"): {"weight": 1.0},
    ("loss", "huber"): {"weight": 1.0, "delta": 1.0},  # delta in units of the rms torque
    ("loss", "tangential"): {"weight": 1.0},
    ("loss", "energy"): {"weight": 0.02},
    ("loss", "field"): {"weight": 1.0},
    ("loss", "forces"): {"weight": 0.1},
    ("loss", "hierarchicality"): {"weight": 1.0e-4},
    ("launcher", "processes"): _N_WORKERS,
    ("launcher", "dask_local"): _N_WORKERS,
    ("launcher", "slurm"): _QUEUE,
    ("launcher", "pbs"): _QUEUE,
}
