// A cell's figure by session and machine: what each gave by itself.

import { joules, JOULES_PER_KWH, meanOf, overhead, sdOf, studentT } from "./figures.js";

/** @import { Cell } from "./document" */
/** @import { Estimate, Setting } from "./page" */

/** @typedef {{ machine: string; session: string; n: number; kwh: Estimate }} SessionFigure */

/**
 * kWh per 1,000 inferences of each session: the mean of its trials, and the interval that their
 * spread alone gives. Empty where the trials know no sessions, or a stopping rule ended them.
 * @param {Cell} cell
 * @param {Setting} setting
 * @returns {SessionFigure[]}
 */
export function bySession(cell, setting) {
  /** @type {Map<string, { machine: string; session: string; values: number[] }>} */
  const sessions = new Map();
  const blocks = joules(cell, setting.boundary, setting.net)?.blocks ?? [];
  for (const [session, , log, machine] of blocks) {
    // Two machines may have named a session alike.
    const key = JSON.stringify([machine, session]);
    const found = sessions.get(key) ?? { machine, session, values: [] };
    found.values.push((Math.exp(log) * overhead(setting)) / JOULES_PER_KWH);
    sessions.set(key, found);
  }
  return [...sessions.values()].map(({ machine, session, values }) => {
    const n = values.length,
      value = meanOf(values);
    const half = n > 1 ? (studentT(n - 1) * sdOf(values)) / Math.sqrt(n) : null;
    const kwh =
      half === null
        ? { value, low: null, high: null }
        : { value, low: value - half, high: value + half };
    return { machine, session, n, kwh };
  });
}
