"""A model's energy as a CycloneDX 1.7 ML-BOM: the environmental considerations of its model card.

cyclonedx-python-lib writes the document and validates it. It has no classes for model cards, so the
card is added as JSON, by ``bom-1.7.schema.json``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence, Set
from typing import Any

from permille.analysis.results import ResultRow, Results
from permille.errors import PermilleError
from permille.exporters import Export, ExportRequest, basis
from permille.exporters.single import check_of_one_model, finished_of, named, shown, whole_rows
from permille.extras import extra
from permille.records.cell import ModelFacts
from permille.units import t_from_g

_REF = "model"
_SHA256 = re.compile(r"[0-9a-f]{64}")


class MlBom:
    """One model with the energy of each of its rows. Rows without an interval are left out, with a
    note."""

    def refusal(self, given: Set[str]) -> str | None:
        """Every option is supported."""
        return None

    def export(self, request: ExportRequest) -> Export:
        """The document as JSON.

        Raises:
            UsageError: cyclonedx-python-lib is not installed, or the rows are of several models or
            of replica weights.
            PermilleError: the document is not valid.
        """
        results = request.results()
        check_of_one_model(results, "an ML-BOM")
        rows, notes = whole_rows(results)
        if not rows:
            return Export(b"", 0, notes)
        facts = _facts(rows, request)
        bom = _document(named(rows[0]), facts)
        bom["metadata"]["component"]["modelCard"] = _card(rows, results, facts)
        text = json.dumps(bom, indent=2, ensure_ascii=False, allow_nan=False)
        _validate(text)
        return Export(text.encode() + b"\n", len(rows), notes)


exporter = MlBom()


def _facts(rows: Sequence[ResultRow], request: ExportRequest) -> list[ModelFacts]:
    """Those of the newest finished trial of each row."""
    trials = list(request.trials())
    of_rows = [list(finished_of(row, trials)) for row in rows]
    return [finished[-1].facts for finished in of_rows if finished]


def _document(name: str, facts: Sequence[ModelFacts]) -> dict[str, Any]:
    """The document with the model and the digests of its files: a file that differs between the
    rows, such as that of another revision, once for each digest."""
    with extra("cyclonedx", "export cyclonedx"):
        from cyclonedx.model import HashAlgorithm, HashType
        from cyclonedx.model.bom import Bom
        from cyclonedx.model.component import Component, ComponentType
        from cyclonedx.output.json import JsonV1Dot7

    files = [
        Component(
            name=shown(file),
            type=ComponentType.FILE,
            # Not by its name, which is untrusted: references must be unique in a document.
            bom_ref=f"file-{at}",
            hashes=[HashType(alg=HashAlgorithm.SHA_256, content=digest)],
        )
        for at, (file, digest) in enumerate(sorted({f for one in facts for f in one.files.items()}))
        # One that is none, in a foreign store, would make the whole document invalid.
        if _SHA256.fullmatch(digest)
    ]
    model = Component(
        name=name, type=ComponentType.MACHINE_LEARNING_MODEL, bom_ref=_REF, components=files
    )
    bom = Bom()
    bom.metadata.component = model
    document: dict[str, Any] = json.loads(JsonV1Dot7(bom).output_as_string())
    return document


def _card(rows: list[ResultRow], results: Results, facts: Sequence[ModelFacts]) -> dict[str, Any]:
    architectures = {one.architecture for one in facts if one.architecture}
    datasets = dict.fromkeys(shown(row.dataset) for row in rows)
    # The schema has room for one task and one architecture. The properties of a figure say of which
    # task it is.
    tasks = {shown(row.task) for row in rows}
    parameters = {
        **({"task": tasks.pop()} if len(tasks) == 1 else {}),
        **({"modelArchitecture": shown(architectures.pop())} if len(architectures) == 1 else {}),
        "datasets": [{"type": "dataset", "name": name} for name in datasets],
    }
    consumptions = [_consumption(row, results) for row in rows]
    return {
        "modelParameters": parameters,
        "quantitativeAnalysis": {
            "performanceMetrics": [metric for row in rows for metric in _quality(row)]
        },
        "considerations": {"environmentalConsiderations": {"energyConsumptions": consumptions}},
    }


def _quality(row: ResultRow) -> list[dict[str, Any]]:
    """The score on the row's dataset, if there is one."""
    score = row.quality
    if score is None:
        return []
    # As text, which the schema has for a value and its bounds (performanceMetric).
    metric = {"type": shown(score.metric), "value": f"{score.value}", "slice": shown(row.dataset)}
    if score.low is None or score.high is None:
        return [metric]
    ends = {"lowerBound": f"{score.low}", "upperBound": f"{score.high}"}
    return [{**metric, "confidenceInterval": ends}]


def _consumption(row: ResultRow, results: Results) -> dict[str, Any]:
    """The energy (kWh) and carbon (t) of 1,000 inferences. Who supplied the energy is unknown."""
    kwh, grams = row.kwh_per_1000, row.co2e_g_per_1000
    described: dict[str, Any] = {
        "inferences": 1000,
        "kwh_low": kwh.low,
        "kwh_high": kwh.high,
        "interval": "95 %",
        "task": shown(row.task),
        "dataset": shown(row.dataset),
        **basis.counted_energy(row, results),
        **basis.measuring(row),
    }
    consumption: dict[str, Any] = {
        "activity": "inference",
        # Required by bom-1.7.schema.json, and empty is what is known.
        "energyProviders": [],
        "activityEnergyCost": {"value": kwh.value, "unit": "kWh"},
    }
    if grams.value is not None and grams.low is not None and grams.high is not None:
        consumption["co2CostEquivalent"] = {"value": t_from_g(grams.value), "unit": "tCO2eq"}
        described |= {
            "tco2eq_low": t_from_g(grams.low),
            "tco2eq_high": t_from_g(grams.high),
            **basis.grid(results),
        }
    return {**consumption, "properties": list(_properties(described))}


def _properties(described: dict[str, Any]) -> Iterable[dict[str, str]]:
    """Named values as the format has them: text."""
    for name, value in described.items():
        if value is not None:
            text = str(value).lower() if isinstance(value, bool) else str(value)
            # Names of properties have a namespace, by CycloneDX's convention
            # (github.com/CycloneDX/cyclonedx-property-taxonomy).
            yield {"name": f"permille:{name}", "value": text}


def _validate(text: str) -> None:
    """Raises PermilleError unless CycloneDX's own schema accepts the document."""
    with extra("cyclonedx", "export cyclonedx"):
        from cyclonedx.exception import MissingOptionalDependencyException
        from cyclonedx.schema import SchemaVersion
        from cyclonedx.validation.json import JsonStrictValidator

    try:
        fault = JsonStrictValidator(SchemaVersion.V1_7).validate_str(text)
    except MissingOptionalDependencyException as error:
        raise PermilleError(
            "the validator of cyclonedx-python-lib is incomplete: pip install 'permille[cyclonedx]'"
        ) from error
    if fault is not None:
        raise PermilleError(f"the ML-BOM would not be valid CycloneDX 1.7: {fault}")
