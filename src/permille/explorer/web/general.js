// General-purpose against task-specific models: one ratio for each task and dataset.

import { clean } from "./dom.js";
import { kwh, quantile } from "./figures.js";
import { number } from "./format.js";
import { say } from "./say.js";
import { groupBy, sourceName } from "./shared.js";

/** @import { Cell } from "./document" */
/** @import { Setting } from "./page" */

/**
 * The median of the general-purpose models' energies over that of the task-specific ones, on one
 * task and dataset of one study and machine. `low` and `high` are the least and the most that any
 * one model takes of any other: a range, not an interval.
 * @typedef {object} GeneralRatio
 * @property {string} task
 * @property {string} dataset
 * @property {string} place what its cells have in common
 * @property {string} source
 * @property {number} general how many models
 * @property {number} specific
 * @property {number} value
 * @property {number} low
 * @property {number} high
 */

export const DEFINITION = say`the median energy of the general-purpose models over that of the
  task-specific ones, on the same task and dataset`;

/** @type {WeakMap<Cell[], { list: Cell[]; generals: Cell[]; specifics: Cell[] }[]>} */
const known = new WeakMap();

/**
 * The places that have cells of both categories: the same for a selection at any setting.
 * @param {Cell[]} cells
 */
function sides(cells) {
  let found = known.get(cells);
  if (!found) {
    found = [...groupBy(cells, (c) => c.place).values()]
      .map((list) => ({
        list,
        generals: list.filter((c) => c.category === "general-purpose"),
        specifics: list.filter((c) => c.category === "task-specific"),
      }))
      .filter(({ generals, specifics }) => generals.length && specifics.length);
    known.set(cells, found);
  }
  return found;
}

/**
 * By task and dataset, where both categories have a figure above 0.
 * @param {Cell[]} cells
 * @param {Setting} setting
 * @returns {GeneralRatio[]}
 */
export function generalRatios(cells, setting) {
  return sides(cells).flatMap(({ list, generals, specifics }) => {
    // The energy above idle may be below 0, where it has no ratio.
    /** @param {Cell[]} side */
    const of = (side) => side.map((c) => kwh(c, setting)?.value ?? 0).filter((value) => value > 0);
    const general = of(generals),
      specific = of(specifics);
    if (!general.length || !specific.length) return [];
    return [
      {
        task: list[0].task,
        dataset: list[0].dataset,
        place: list[0].place,
        source: sourceName(list[0]),
        general: general.length,
        specific: specific.length,
        value: quantile(general, 0.5) / quantile(specific, 0.5),
        low: Math.min(...general) / Math.max(...specific),
        high: Math.max(...general) / Math.min(...specific),
      },
    ];
  });
}

/**
 * One sentence: the ratio, or over several tasks and datasets its middle and its range.
 * @param {GeneralRatio[]} rows
 */
export function summary(rows) {
  const values = rows.map((r) => r.value);
  if (rows.length === 1)
    return say`On ${clean(rows[0].dataset, 60)}, general-purpose models take ${number(values[0], 2)}
      times the energy of task-specific ones.`;
  return say`General-purpose models take ${number(quantile(values, 0.5), 2)} times the energy of
      task-specific ones in the median of ${rows.length} tasks and datasets, from
      ${number(Math.min(...values), 2)} to ${number(Math.max(...values), 2)} times.`;
}
