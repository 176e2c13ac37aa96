"""Lightning's CSV logger for runs that may be interrupted: a resumed run adds to the rows that are there."""

from __future__ import annotations

import csv
from typing import Any

from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.loggers.csv_logs import ExperimentWriter


class CSVLog(CSVLogger):
    """As :class:`lightning.pytorch.loggers.CSVLogger`, which would delete an earlier ``metrics.csv``.

    An epoch that was interrupted may leave rows whose steps come again when the run goes on.
    """

    @property
    def experiment(self) -> Any:
        if self._experiment is None:
            self._experiment = _Continued(log_dir=self.log_dir)
        return self._experiment


class _Continued(ExperimentWriter):
    def _check_log_dir_exists(self) -> None:
        """Take over the columns of a file that is there."""
        if self._fs.isfile(self.metrics_file_path):
            with self._fs.open(self.metrics_file_path, "r", newline="") as file:
                self.metrics_keys = next(csv.reader(file), [])
