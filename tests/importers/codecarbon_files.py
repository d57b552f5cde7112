"""CodeCarbon's columns, release by release, and small files of each, written by hand."""

from __future__ import annotations

_HEAD = "timestamp,project_name,run_id,{experiment}duration,emissions,emissions_rate,"
_ENERGY = "cpu_power,gpu_power,ram_power,cpu_energy,gpu_energy,ram_energy,energy_consumed,"
_PLACE = "country_name,country_iso_code,region,cloud_provider,cloud_region,os,python_version,"
_MACHINE = (
    "cpu_count,cpu_model,gpu_count,gpu_model,longitude,latitude,ram_total_size,tracking_mode,"
)
_LOAD = "cpu_utilization_percent,gpu_utilization_percent,ram_utilization_percent,ram_used_gb,"

_V1 = _HEAD.format(experiment="") + _ENERGY
_V2 = _HEAD.format(experiment="experiment_id,") + _ENERGY
_VERSION = "codecarbon_version,"

RUN_COLUMNS = {
    "2.0.0": _V1 + _PLACE + _MACHINE + "on_cloud",
    "2.1.3": _V1 + _PLACE + _VERSION + _MACHINE + "on_cloud",
    "2.3.1": _V1 + _PLACE + _VERSION + _MACHINE + "on_cloud,pue",
    "2.8.3": _V2 + _PLACE + _VERSION + _MACHINE + "on_cloud,pue",
    "3.0.0": _V2 + _PLACE + _VERSION + _MACHINE + "on_cloud,pue",
    "3.1.0": _V2 + "water_consumed," + _PLACE + _VERSION + _MACHINE + "on_cloud,pue,wue",
    "3.3.2": _V2 + "water_consumed," + _PLACE + _VERSION + _MACHINE + _LOAD + "on_cloud,pue,wue",
}
TASK_COLUMNS = {
    "2.3.1": "task_name," + _V1 + _PLACE + _VERSION + _MACHINE + "on_cloud",
    "2.8.3": "task_name," + _V1 + _PLACE + _VERSION + _MACHINE + "on_cloud",
    "3.1.0": "task_name," + _V1 + "water_consumed," + _PLACE + _VERSION + _MACHINE + "on_cloud",
    "3.3.2": "task_name,"
    + _V1
    + "water_consumed,"
    + _PLACE
    + _VERSION
    + _MACHINE
    + _LOAD
    + "on_cloud",
}

PLAIN = {
    "timestamp": "2024-02-03T04:05:06",
    "project_name": "distilbert-base-uncased",
    "run_id": "run-1",
    "experiment_id": "experiment-1",
    "duration": "20.0",
    "emissions": "0.0003",
    "emissions_rate": "1.5e-05",
    "cpu_energy": "0.0002",
    "gpu_energy": "0.0010",
    "ram_energy": "0.0003",
    "energy_consumed": "0.0015",
    "water_consumed": "0.0",
    "country_name": "France",
    "country_iso_code": "FRA",
    "os": "Linux-5.15",
    "python_version": "3.11.7",
    "cpu_count": "8",
    "cpu_model": "Some CPU",
    "gpu_count": "1",
    "gpu_model": "1 x Some GPU",
    "ram_total_size": "64.0",
    "tracking_mode": "machine",
    "on_cloud": "N",
    "pue": "1.0",
}


def row(columns: str, **changed: str) -> str:
    """One line of these columns, with the plain values but for what is changed. The watts are
    those of the energies and the duration, unless they are given."""
    values = {**PLAIN, **changed}
    for part in ("cpu", "gpu", "ram"):
        values |= {f"{part}_power": _watts(values, part)} | changed
    return ",".join(values.get(name, "") for name in columns.split(",")) + "\n"


def _watts(values: dict[str, str], part: str) -> str:
    try:
        return str(float(values[f"{part}_energy"]) * 3.6e6 / float(values["duration"]))
    except (ValueError, ZeroDivisionError):
        return ""


def file(version: str, *rows: dict[str, str], tasks: bool = False) -> str:
    """A file of a version with these rows (each: what differs from the plain one)."""
    columns = (TASK_COLUMNS if tasks else RUN_COLUMNS)[version]
    version_column = {"codecarbon_version": version}
    return columns + "\n" + "".join(row(columns, **version_column, **r) for r in rows)
