// Goodput: the answers per second whose own time is within a limit, as permille.analysis.goodput.

import { meanOf, sdOf, studentT } from "./figures.js";

/** @import { PageAnswerTimes, PageLimit, PageSteps, PageTimedTrial } from "./document" */

/** @typedef {{ value: number; low: number | null; high: number | null }} Bounded */
/**
 * `perS`: answers per second within the limit; `share`: of all requests that were tried; both null
 * for the `reason`.
 * @typedef {{ perS: Bounded | null; share: Bounded | null; reason: string | null }} Goodput
 */

/** The normal quantile of a two-sided 95 % interval. */
const Z95 = 1.959963984540054;

/**
 * @param {PageAnswerTimes} timed
 * @param {string} time "ttft", "tpot" or "latency"
 * @param {number} within seconds
 * @returns {Goodput}
 */
export function goodput({ reasons, trials }, time, within) {
  // eslint-disable-next-line no-restricted-syntax -- a key of the words
  const none = trials.length ? null : "the store has no finished trial of it";
  const missing = reasons[time] ?? none;
  if (missing) return { perS: null, share: null, reason: missing };
  const good = trials.map((trial) => trial.inferences * shareWithin(trial.within[time], within));
  const perS = overTrials(good.map((count, i) => count / trials[i].seconds));
  const share = overTrials(good.map((count, i) => count / trials[i].tried));
  const tried = trials.reduce((sum, trial) => sum + trial.tried, 0);
  const seen = trials.reduce((sum, trial) => sum + seenIn(trial, time), 0);
  const alone = wilson(good.reduce((sum, count) => sum + count, 0) / tried, seen);
  return { perS, share: noNarrower(share, alone), reason: null };
}

/**
 * The requests that the kept answers stand on, with those that failed in the same proportion.
 * @param {PageTimedTrial} trial
 * @param {string} time
 */
function seenIn({ within, tried, inferences }, time) {
  return Math.floor(((within[time].counts.at(-1) ?? 0) * tried) / inferences);
}

/**
 * Which way the goodput may be wrong because permille itself sent requests late: whether answers
 * are so close to the limit that they could be on its other side; null if none is.
 * @param {PageAnswerTimes} timed
 * @param {string} time
 * @param {number} within
 * @param {PageLimit | undefined} promised
 * @returns {"low" | "high" | "both" | null}
 */
export function doubtOf({ trials }, time, within, promised) {
  if (!promised) return null;
  /** @param {number} limit */
  const differs = (limit) =>
    trials.some((t) => shareWithin(t.within[time], limit) !== shareWithin(t.within[time], within));
  const low = differs(within + promised.too_long);
  const high = differs(within - promised.too_short);
  if (low && high) return "both";
  return low ? "low" : high ? "high" : null;
}

/**
 * @param {PageSteps} steps
 * @param {number} within
 */
function shareWithin({ limits_s, counts }, within) {
  const reached = limits_s.filter((limit) => limit <= within).length;
  // Of the answers that were kept: a long trial keeps a sample, which stands for all.
  return reached ? counts[reached - 1] / counts[counts.length - 1] : 0;
}

/**
 * The mean with Student's t interval over the trials.
 * @param {number[]} values
 * @returns {Bounded}
 */
function overTrials(values) {
  const n = values.length,
    value = meanOf(values);
  if (n === 1) return { value, low: null, high: null };
  const half = (studentT(n - 1) * sdOf(values)) / Math.sqrt(n);
  return { value, low: Math.max(0, value - half), high: value + half };
}

/**
 * Wilson's interval of a share of so many independent requests.
 * @param {number} share
 * @param {number} n
 */
function wilson(share, n) {
  const z2 = Z95 * Z95;
  const centre = (share + z2 / (2 * n)) / (1 + z2 / n);
  const half = (Z95 / (1 + z2 / n)) * Math.sqrt((share * (1 - share)) / n + z2 / (4 * n * n));
  return {
    low: share === 0 ? 0 : Math.max(0, Math.min(share, centre - half)),
    high: share === 1 ? 1 : Math.min(1, Math.max(share, centre + half)),
  };
}

/**
 * Trials that all have 100 % agree without knowing.
 * @param {Bounded} share
 * @param {{ low: number; high: number }} alone
 * @returns {Bounded}
 */
function noNarrower({ value, low, high }, alone) {
  if (low === null || high === null) return { value, low, high };
  return { value, low: Math.min(low, alone.low), high: Math.min(1, Math.max(high, alone.high)) };
}
