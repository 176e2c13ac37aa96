"""Where label jobs run: processes of this machine, Dask on this machine, or jobs of a cluster's queue."""
