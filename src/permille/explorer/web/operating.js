// The choice of permille.analysis.slo, on the page's aggregates: the cheapest load that keeps a
// promise. Beside it, the fastest load within a budget of energy.

import { joules, ratio } from "./figures.js";

/** @import { Cell, PageEstimate, PageLimit } from "./document" */
/** @import { Estimate, Setting } from "./page" */

/**
 * A figure is at most `most` (seconds, or a share).
 * @typedef {{ name: string; most: number }} Limit
 */
/**
 * `keeps`: null if the trials cannot tell, for the `reason`.
 * @typedef {object} Check
 * @property {Limit} limit
 * @property {PageEstimate | null} figure
 * @property {boolean | null} keeps
 * @property {string | null} reason
 */
/** @typedef {{ cell: Cell; checks: Check[]; meets: boolean | null }} OperatingPoint */
/**
 * `cheapest`: null if no point has a figure of energy.
 * @typedef {object} Choice
 * @property {OperatingPoint[]} points
 * @property {OperatingPoint | null} cheapest
 * @property {OperatingPoint | null} best
 * @property {Estimate | null} cost
 * @property {OperatingPoint[]} asCheap
 * @property {OperatingPoint[]} undecided
 * @property {OperatingPoint | null} nearest
 */

/**
 * The points, cheapest first, and the answer; null if none has a figure of energy, unless every one
 * is known to break the promise.
 * @param {Cell[]} cells
 * @param {Limit[]} promise
 * @param {Setting} setting
 * @returns {Choice | null}
 */
export function choose(cells, promise, setting) {
  /** @param {OperatingPoint} p */
  const spent = (p) => joulesOf(p.cell, setting) ?? Infinity;
  const points = cells
    .map((cell) => check(cell, promise, setting))
    // Infinity - Infinity is NaN, by which nothing is in order.
    .sort((a, b) => (spent(a) === spent(b) ? 0 : spent(a) - spent(b)));
  const known = points.filter((p) => spent(p) < Infinity);
  const cheapest = known[0] ?? null;
  if (!cheapest && !(points.length && points.every((p) => p.meets === false))) return null;
  const best = known.find((p) => p.meets) ?? null;
  if (!best)
    return {
      points,
      cheapest,
      best,
      cost: null,
      asCheap: [],
      undecided: known.filter((p) => p.meets === null),
      nearest: known.reduce(
        (least, p) => (least && excess(least) <= excess(p) ? least : p),
        cheapest,
      ),
    };
  return {
    points,
    cheapest,
    best,
    cost: best === cheapest ? null : ratio(best.cell, cheapest.cell, setting),
    asCheap: known.filter((p) => p.meets && p !== best && !needsLess(best.cell, p.cell, setting)),
    undecided: known.slice(0, known.indexOf(best)).filter((p) => p.meets === null),
    nearest: null,
  };
}

/**
 * @param {Cell} cell
 * @param {Setting} setting
 */
const joulesOf = (cell, setting) => joules(cell, setting.boundary, setting.net)?.value ?? null;

/**
 * One operating point against every limit.
 * @param {Cell} cell
 * @param {Limit[]} promise
 * @param {Setting} setting
 * @returns {OperatingPoint}
 */
function check(cell, promise, setting) {
  const checks = promise.map((limit) => checkOf(cell, limit));
  const verdicts = checks.map((c) => c.keeps);
  let meets = null;
  if (verdicts.includes(false)) meets = false;
  else if (!verdicts.includes(null) && joulesOf(cell, setting) !== null) meets = true;
  return { cell, checks, meets };
}

/** @type {PageLimit} */
const UNKNOWN = {
  figure: null,
  reason: null,
  breaks: false,
  too_long: 0,
  too_short: 0,
  if_late: null,
};

/**
 * @param {Cell} cell
 * @param {Limit} limit
 * @returns {Check}
 */
function checkOf(cell, limit) {
  const promised = cell.serving?.limits[limit.name] ?? UNKNOWN;
  const { figure, reason, breaks, if_late } = promised;
  if (breaks) return { limit, figure, keeps: false, reason };
  if (!figure || figure.low === null || figure.high === null)
    // eslint-disable-next-line no-restricted-syntax -- a key of the words
    return { limit, figure, keeps: null, reason: reason ?? "not recorded" };
  if (figure.low - promised.too_long > limit.most)
    return { limit, figure, keeps: false, reason: null };
  if (figure.low > limit.most) return { limit, figure, keeps: null, reason: if_late };
  const keeps = figure.high <= limit.most && reason === null ? true : null;
  if (keeps && figure.high + promised.too_short > limit.most)
    return { limit, figure, keeps: null, reason: if_late };
  // A trial that failed may have been the one that would have broken the promise.
  if (keeps && cell.failed)
    // eslint-disable-next-line no-restricted-syntax -- a key of the words
    return { limit, figure, keeps: null, reason: "a trial failed and is in no figure" };
  // eslint-disable-next-line no-restricted-syntax -- a key of the words
  const doubt = keeps ? null : (reason ?? "the interval includes the limit, run more trials");
  return { limit, figure, keeps, reason: doubt };
}

/**
 * The largest figure as a multiple of its limit.
 * @param {OperatingPoint} point
 */
const excess = ({ checks }) =>
  Math.max(...checks.map(({ figure, limit }) => (figure ? figure.value / limit.most : Infinity)));

/**
 * As permille.analysis.pareto.needs_less.
 * @param {Cell} a
 * @param {Cell} b
 * @param {Setting} setting
 */
function needsLess(a, b, setting) {
  const times = ratio(a, b, setting);
  if (!times) return (joulesOf(a, setting) ?? Infinity) < (joulesOf(b, setting) ?? -Infinity);
  return (times.high ?? times.value) < 1;
}

/**
 * Of the loads whose energy is within a budget with the whole interval, the one with the smallest
 * figure of this name; null if there is none. A load with a failed trial is left out.
 * @param {Cell[]} cells
 * @param {string} name
 * @param {(cell: Cell) => Estimate | null} energyOf
 * @param {number} budget in the unit of the energy
 * @returns {Cell | null}
 */
export function fastestWithin(cells, name, energyOf, budget) {
  /** @param {Cell} cell */
  const wait = (cell) => cell.serving?.limits[name]?.figure?.value ?? Infinity;
  const within = cells.filter((cell) => {
    const high = energyOf(cell)?.high;
    return typeof high === "number" && high <= budget && !cell.failed && wait(cell) < Infinity;
  });
  if (!within.length) return null;
  return within.reduce((least, cell) => (wait(cell) < wait(least) ? cell : least));
}
