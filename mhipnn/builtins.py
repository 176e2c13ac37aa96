"""What mhipnn itself registers: one table, import paths only, so that listing it loads nothing heavy."""

from __future__ import annotations

BUILTINS: tuple[tuple[str, str, str], ...] = (
    # kind, name, import path
    ("model", "mhip", "mhipnn.nn.mhip.MHIP"),
    ("model", "heisenberg", "mhipnn.nn.heisenberg.Heisenberg"),
    ("dataset", "labelled", "mhipnn.data.datamodule.SpinDataModule"),
    ("structure", "random_sites", "mhipnn.structures.disorder.RandomSites"),
    ("sampler", "random_spins", "mhipnn.structures.spins.RandomSpins"),
    ("sampler", "quench_snapshots", "mhipnn.dynamics.sampling.QuenchSnapshots"),
    ("hopping", "exponential", "mhipnn.electrons.hopping.ExponentialHopping"),
    ("potential", "sd_model", "mhipnn.electrons.sd_model.SDModel"),
    ("potential", "network", "mhipnn.nn.checkpoint.load_potential"),
    ("dynamics", "quench", "mhipnn.dynamics.quench.Quench"),
    ("integrator", "heun", "mhipnn.dynamics.integrators.Heun"),
    ("integrator", "rk4", "mhipnn.dynamics.integrators.RK4"),
    ("loss", "torque", "mhipnn.training.loss.Torque"),
    ("loss", "energy", "mhipnn.training.loss.Energy"),
    ("loss", "field", "mhipnn.training.loss.Field"),
    ("loss", "forces", "mhipnn.training.loss.Forces"),
    ("loss", "hierarchicality", "mhipnn.training.loss.Hierarchicality"),
    ("callback", "llg_rollout", "mhipnn.training.rollout.LLGRollout"),
    ("launcher", "processes", "mhipnn.data.launchers.processes.Processes"),
    ("launcher", "dask_local", "mhipnn.data.launchers.dask_local.DaskLocal"),
    ("launcher", "slurm", "mhipnn.data.launchers.job_queue.Slurm"),
    ("launcher", "pbs", "mhipnn.data.launchers.job_queue.PBS"),
)
