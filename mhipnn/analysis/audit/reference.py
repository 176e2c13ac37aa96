"""What an audit compares with: the electrons that the network was trained on, or those that drive the run."""

from __future__ import annotations

from typing import Any

from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from ...dynamics.observers import Observer
from ...errors import ConfigError
from ...potential import Potential
from ...registry import require_registered
from .measure import Audit

MOST_EXACT = 3000
"""Sites up to which one diagonalization is a minute."""


def audit_of(cfg: DictConfig, potential: Potential, n_sites: int) -> Observer:
    """The audit that a configuration asks for.

    Args:
        cfg: of ``simulate``, with ``audit`` (see conf/audit) and ``potential``.
        potential: what drives the run.
        n_sites: of a replica.

    Raises:
        ConfigError: no electrons to compare with, or too many sites for the exact ones.
    """
    node: dict[str, Any] = OmegaConf.to_container(cfg.audit, resolve=True)  # type: ignore[assignment]
    solver, given = node.pop("solver"), node.pop("reference")
    if solver == "exact" and n_sites > MOST_EXACT:
        raise ConfigError(f"audit=exact with {n_sites} sites: one look is a diagonalization, O(N^3); take audit=kpm")
    reference = instantiate(given if given is not None else _electrons(cfg, potential) | {"solver": solver})
    committee = potential if hasattr(potential, "members") else None
    return Audit(reference=reference, committee=committee, **node)


def _electrons(cfg: DictConfig, potential: Potential) -> dict[str, Any]:
    """The node of the s-d model behind a run; what a checkpoint names is imported only if it is registered."""
    own: dict[str, Any] = OmegaConf.to_container(cfg.potential, resolve=True)  # type: ignore[assignment]
    if str(own.get("_target_", "")).endswith(".SDModel"):
        return own
    dataset = getattr(potential, "metadata", {}).get("dataset")
    node = dataset.get("potential") if isinstance(dataset, dict) else None
    if not isinstance(node, dict) or not str(node.get("_target_", "")).endswith(".SDModel"):
        raise ConfigError(
            "audit: the checkpoint does not say which electrons it was trained on; give audit.reference={_target_: "
            "mhipnn.electrons.sd_model.SDModel, J: 3, filling: 1}"
        )
    require_registered(node, "audit: the checkpoint's potential")
    return dict(node)
