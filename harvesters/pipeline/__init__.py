"""Map, serialize and validate records: in this process, in worker processes or on a Dask cluster."""
