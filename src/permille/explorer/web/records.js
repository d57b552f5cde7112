// What is taken out of the page: rows as the server gives them, CSV, Parquet, a chart's data.

import { grams, joules, JOULES_PER_KWH, kwh, overhead, provenance } from "./figures.js";
import { parquet } from "./parquet.js";

/** @import { Cell } from "./document" */
/** @import { Setting } from "./page" */
/** @import { Kind } from "./parquet.js" */

/**
 * A row of the selection in the server's columns (permille.explorer.rows).
 * @param {Cell} c
 * @param {Setting} setting
 * @returns {Record<string, unknown>}
 */
export function record(c, setting) {
  const energy = kwh(c, setting),
    carbon = grams(c, setting),
    grid = setting.grid;
  return {
    origin: c.origin,
    source: c.source,
    study: c.study,
    task: c.task,
    dataset: c.dataset,
    model: c.model,
    category: c.category,
    architecture: c.architecture,
    weights: c.weights,
    backend: c.backend,
    device: c.device,
    params: c.params,
    provenance: provenance(c, setting.boundary),
    done: c.done,
    failed: c.failed,
    invalid: c.invalid,
    seconds: c.seconds,
    latency_p50: c.latency_p50,
    latency_p95: c.latency_p95,
    metric: c.metric,
    quality: c.quality,
    kwh_per_1000: energy?.value ?? null,
    kwh_per_1000_low: energy?.low ?? null,
    kwh_per_1000_high: energy?.high ?? null,
    co2e_g_per_1000: carbon?.value ?? null,
    co2e_g_per_1000_low: carbon?.low ?? null,
    co2e_g_per_1000_high: carbon?.high ?? null,
    boundary: setting.boundary,
    net: setting.net,
    region: grid.place?.code ?? null,
    year: grid.year === null ? null : Number(grid.year),
    intensity_g_per_kwh: setting.intensity,
    // eslint-disable-next-line no-restricted-syntax -- rows are in English
    intensity_source: grid.source?.name ?? "given on the command line",
    pue: setting.pue,
  };
}

/**
 * CSV; a text that a spreadsheet would take for a formula gets a ' before it.
 * @param {Record<string, unknown>[]} records
 */
export function csv(records) {
  if (!records.length) return "";
  /** @param {unknown} value */
  const safe = (value) => {
    if (value === null || value === undefined) return "";
    if (typeof value !== "string") return String(value);
    const plain = isFormula(value) ? `'${value}` : value;
    return /[",\r\n]/.test(plain) ? `"${plain.replaceAll('"', '""')}"` : plain;
  };
  return [Object.keys(records[0]), ...records.map(Object.values)]
    .map((row) => row.map(safe).join(",") + "\r\n")
    .join("");
}

/**
 * As permille.escaping.inert.
 * @param {string} text
 */
function isFormula(text) {
  if (/^[\t\r\n]/.test(text)) return true;
  // Some spreadsheets look behind spaces and characters that are not seen, and take a full-width
  // sign for a plain one.
  const first = /[^\p{C}\p{Z}]/u.exec(text)?.[0].normalize("NFKC")[0];
  return first !== undefined && "=+-@".includes(first);
}

const LONG = ["params", "done", "failed", "invalid", "year"];
const DOUBLE = /^(seconds|latency_|quality$|kwh_|co2e_|intensity_g|pue)/;

/**
 * The rows in Parquet, by the types of the server's file.
 * @param {Record<string, unknown>[]} records
 * @param {string[]} fields
 */
export function asParquet(records, fields) {
  /**
   * @param {string} field
   * @returns {Kind}
   */
  const kind = (field) =>
    LONG.includes(field)
      ? "long"
      : field === "net"
        ? "boolean"
        : DOUBLE.test(field)
          ? "double"
          : "text";
  return parquet(
    fields.map((f) => [f, kind(f), records.map((r) => r[f])]),
    records.length,
  );
}

/**
 * The cells of a chart: a row as of a download, with what a statistician asks for next. `n` and the
 * deviation are of the draws of which ratios are made: runs, or sessions where there are several.
 * @param {Cell[]} cells
 * @param {Setting} setting
 */
export function chartRows(cells, setting) {
  return cells.map((c) => {
    const found = joules(c, setting.boundary, setting.net);
    const sd = found?.ratioSd ?? null;
    return {
      id: c.id,
      ...record(c, setting),
      n: found?.ratioN ?? null,
      kwh_per_1000_sd: sd === null ? null : (sd * overhead(setting)) / JOULES_PER_KWH,
      quality_n: c.quality_n,
      quality_error: c.quality_error,
      quality_low: c.quality_low,
      quality_high: c.quality_high,
      batch_size: c.batch_size,
      fingerprint: c.fingerprint,
    };
  });
}
