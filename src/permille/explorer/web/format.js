// Numbers for people, by the rules of permille.units.

import { say, spoken, word } from "./say.js";

/** @import { Cell, PageEvidence } from "./document" */
/** @import { Estimate, Unit } from "./page" */

/** @typedef {[size: number, unit: string][]} Scale */

/** @type {Scale} */
const TIME = [
  [1, "s"],
  [1e-3, "ms"],
  [1e-6, "µs"],
  [1e-9, "ns"],
];
/** @type {Scale} */
const ENERGY = [
  [1e6, "GWh"],
  [1e3, "MWh"],
  [1, "kWh"],
  [1e-3, "Wh"],
  [1e-6, "mWh"],
  [1e-9, "µWh"],
];
/** @type {Scale} */
const JOULES = [
  [1e6, "MJ"],
  [1e3, "kJ"],
  [1, "J"],
  [1e-3, "mJ"],
  [1e-6, "µJ"],
];
/** @type {Scale} */
const MASS = [
  [1e6, "t"],
  [1e3, "kg"],
  [1, "g"],
  [1e-3, "mg"],
  [1e-6, "µg"],
];

export const NONE = say`n/a`;

/**
 * Significant digits, thousands apart, no exponent; digits before the point are kept.
 * @param {number | null | undefined} value
 * @param {number} [digits]
 */
export function number(value, digits = 3) {
  if (value === null || value === undefined || !Number.isFinite(value)) return NONE;
  if (value === 0) return "0";
  const exponent = Number(value.toExponential(digits - 1).split("e")[1]);
  const [whole, part] = value.toFixed(Math.min(100, Math.max(0, digits - 1 - exponent))).split(".");
  const apart = whole.replace(/\B(?=(\d{3})+(?!\d))/g, ",");
  const rest = part ? part.replace(/0+$/, "") : "";
  return rest ? `${apart}.${rest}` : apart;
}

/**
 * @param {number} value
 * @param {Scale} scale
 */
function unitOf(value, scale) {
  return (
    // Rounded first: 999.6 Wh are 1 kWh, and not 1,000 Wh.
    scale.find(([size]) => Math.abs(Number((value / size).toExponential(2))) >= 1) ??
    scale[scale.length - 1]
  );
}

/**
 * @param {number | null | undefined} value
 * @param {Scale} scale
 * @param {string} base
 * @param {number} digits
 */
function scaled(value, scale, base, digits) {
  if (value === null || value === undefined || !Number.isFinite(value)) return NONE;
  if (value === 0) return `0 ${base}`;
  const [size, unit] = unitOf(value, scale);
  const shown = value / size;
  if (Math.abs(shown) < 1e-3) return `${shown < 0 ? ">-" : "<"}0.001 ${unit}`;
  return `${number(shown, digits)} ${unit}`;
}

/**
 * @param {number | null | undefined} kwh
 * @param {number} [digits]
 */
export const energy = (kwh, digits = 3) => scaled(kwh, ENERGY, "kWh", digits);
/**
 * @param {number | null | undefined} grams
 * @param {number} [digits]
 */
export const mass = (grams, digits = 3) => scaled(grams, MASS, "g", digits);

/**
 * @param {number | null | undefined} joules
 * @param {number} [digits]
 */
export const joule = (joules, digits = 3) => scaled(joules, JOULES, "J", digits);

/**
 * @param {number | null | undefined} value
 * @param {number} [digits]
 */
export function seconds(value, digits = 3) {
  if (value === null || value === undefined) return NONE;
  if (value < 60) return scaled(value, TIME, "s", digits);
  // Rounded before it is parted: 119.7 s are 2 min 0 s, and not 1 min 60 s.
  const whole = Math.round(value);
  if (whole < 3600) return say`${Math.floor(whole / 60)} min ${whole % 60} s`;
  return say`${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
}

/**
 * [low, high] in the unit of the value; "n/a" where there is no interval, as with one run.
 * @param {Estimate | null | undefined} estimate
 * @param {Unit} kind
 */
export function interval(estimate, kind) {
  if (!estimate || estimate.low === null || estimate.high === null) return NONE;
  const scale = kind === "kwh" ? ENERGY : MASS;
  const [size, unit] = unitOf(estimate.value, scale);
  /** @param {number} x */
  const end = (x) => (Number.isFinite(x) ? number(x / size) : say`no bound`);
  return say`${end(estimate.low)} to ${end(estimate.high)} ${unit}`;
}

/**
 * Both ends of an interval, each with its unit; "n/a" where there is none.
 * @param {{ low: number | null; high: number | null } | null | undefined} estimate
 * @param {(value: number) => string} form
 */
export const ends = (estimate, form) =>
  !estimate || estimate.low === null || estimate.high === null
    ? NONE
    : say`${form(estimate.low)} to ${form(estimate.high)}`;

/**
 * @param {number | null | undefined} value
 * @param {Unit} kind
 * @param {number} [digits]
 */
export const figure = (value, kind, digits = 3) =>
  kind === "kwh" ? energy(value, digits) : mass(value, digits);

/**
 * A great number in the words of a language that is not English: 1.1亿.
 * @param {number} count
 */
export const great = (count) =>
  new Intl.NumberFormat(spoken(), {
    notation: "compact",
    maximumSignificantDigits: 3,
  }).format(count);

/** @param {number | null} count */
export function params(count) {
  if (!count) return NONE;
  if (spoken() !== "en") return great(count);
  if (count >= 1e9) return `${number(count / 1e9)} B`;
  return `${number(count / 1e6)} M`;
}

/** The largest number that a person may type or an address hold: an axis needs an end. */
export const MOST = 1e18;

/** @type {{ [suffix: string]: number }} */
const SUFFIX = { "": 1, k: 1e3, m: 1e6, b: 1e9, g: 1e9, t: 1e12, 万: 1e4, 亿: 1e8 };

/**
 * The number that a person types as 100M, 7b, 1.5 B, 1e8 or 1,000,000; null where it is none.
 * @param {string} text
 */
export function amount(text) {
  // A comma parts thousands or is refused: 1,5 would be read as 15.
  const match = /^(\d+|\d{1,3}(?:,\d{3})+)(\.\d+)?(e\+?\d{1,2})?\s?([kmbgt万亿]?)$/i.exec(
    text.trim(),
  );
  if (!match) return null;
  const [, whole, part = "", exponent = "", suffix] = match;
  const value = Number(whole.replaceAll(",", "") + part + exponent) * SUFFIX[suffix.toLowerCase()];
  return value <= MOST ? value : null;
}

/**
 * The number from `least` to `most` that a text of the address is; null where it is none.
 * @param {string} text
 * @param {number} least
 * @param {number} most
 */
export function numberIn(text, least, most) {
  // To Number, a text of spaces is 0 (ECMA-262, StringToNumber).
  if (text.trim() === "") return null;
  const value = Number(text);
  return value >= least && value <= most ? value : null;
}

/**
 * @param {number | null | undefined} share
 * @param {number} [digits]
 */
export const percent = (share, digits = 3) =>
  share === null || share === undefined ? NONE : say`${number(100 * share, digits)} %`;

/**
 * A cell's quality for people, in the unit that permille.metrics gives it.
 * @param {Cell} cell
 * @param {number | null} [value]
 */
export const quality = (cell, value = cell.quality) =>
  value === null || value === undefined
    ? NONE
    : cell.in_percent
      ? percent(value)
      : number(value, 4);

/**
 * The same with its 95 % interval, where it has one.
 * @param {Cell} cell
 */
export const qualityInterval = (cell) =>
  cell.quality_low === null || cell.quality_high === null
    ? quality(cell)
    : `${quality(cell)} [${quality(cell, cell.quality_low)}, ${quality(cell, cell.quality_high)}]`;

/** @param {Estimate} ratio */
export function times(ratio) {
  if (ratio.low === null || ratio.high === null)
    return say`${number(ratio.value)} × (no interval: ${NONE})`;
  const high = Number.isFinite(ratio.high) ? number(ratio.high) : say`no bound`;
  return `${number(ratio.value)} × [${number(ratio.low)}, ${high}]`;
}

/**
 * What an interval is over, in the command line's words; null where the runs know no sessions.
 * @param {PageEvidence} words
 * @param {Estimate | null} estimate
 * @param {(value: number) => string} form
 */
export function overSessions(words, estimate, form) {
  if (!estimate?.sessions) return null;
  if (estimate.sessions === 1) return word("evidence", words.one);
  const { rerunLow, rerunHigh } = estimate;
  const known = typeof rerunLow === "number" && typeof rerunHigh === "number";
  const several = (estimate.machines ?? 1) > 1 ? words.machines : words.several;
  return word("evidence", known ? several : words.stopped)
    .replace("{sessions}", String(estimate.sessions))
    .replace("{machines}", String(estimate.machines))
    .replace("{low}", known ? form(rerunLow) : "")
    .replace("{high}", known ? form(rerunHigh) : "");
}
