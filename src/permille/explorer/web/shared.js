// What several views need: the wording of a cell, colours by category, the sentence of settings.

import { clean, h, name } from "./dom.js";
import { figure, interval, NONE, number, params } from "./format.js";
import { chartRows } from "./records.js";
import { METERED, problem, provenance, shown } from "./figures.js";
import { english, say, word } from "./say.js";

/** @import { Cell } from "./document" */
/** @import { App } from "./main.js" */
/** @import { Child, LegendEntry, Point, Setting } from "./page" */

/** @typedef {Pick<Cell, "origin" | "study" | "source">} Source */

export const CATEGORIES = /** @type {const} */ (["task-specific", "general-purpose", "unknown"]);
/** @type {{ [category: string]: string }} */
export const COLOUR = {
  "task-specific": "var(--c0)",
  "general-purpose": "var(--c1)",
  unknown: "var(--c2)",
};
/** @type {{ [category: string]: string }} */
export const SYMBOL = {
  "task-specific": "circle",
  "general-purpose": "diamond",
  unknown: "square",
};

/** @param {Setting} setting */
export const unitName = (setting) => (setting.unit === "kwh" ? say`energy` : say`carbon`);

/**
 * How a title or an axis begins.
 * @param {Setting} setting
 */
export const unitTitle = (setting) => (setting.unit === "kwh" ? say`Energy` : say`CO₂e`);

/** @param {Setting} setting */
export const axisLabel = (setting) =>
  say`${unitTitle(setting)} per 1,000 inferences (logarithmic) →`;

/**
 * @param {Cell[]} cells
 * @returns {LegendEntry[]}
 */
export function categoryLegend(cells) {
  const there = CATEGORIES.filter((c) => cells.some((cell) => cell.category === c));
  return there.map((c) => [word("category", c), COLOUR[c], SYMBOL[c]]);
}

/**
 * Where a figure is from, for people: shipped, measured here, or another tool's.
 * @param {Source} source
 */
export function sourceName({ origin, study, source }) {
  if (origin === "shipped") return say`${study} (shipped)`;
  if (source === "permille") return study;
  return study === source ? say`${study} (imported)` : say`${study} (imported, ${source})`;
}

/**
 * The same in rows to take away, which are in English in every language.
 * @param {Source} source
 */
export function sourceLabel({ origin, study, source }) {
  if (origin === "shipped") return `${study} (shipped)`;
  if (source === "permille") return study;
  return study === source ? `${study} (imported)` : `${study} (imported, ${source})`;
}

/**
 * The boundary, and whether idle is left out.
 * @param {Setting} setting
 */
export const within = ({ boundary, net }) =>
  net ? say`${word("boundary", boundary)}, above idle` : word("boundary", boundary);

/**
 * @param {Cell} cell
 * @param {Setting["boundary"]} boundary
 */
export const provenanceWord = (cell, boundary) =>
  word("provenance", provenance(cell, boundary) ?? NONE);

/**
 * What a cell is of.
 * @param {{ task: string; dataset: string }} cell
 * @param {number} [most] the most characters of each
 */
export const taskOn = ({ task, dataset }, most = 60) =>
  say`${clean(word("task", task), most)} on ${clean(dataset, most)}`;

/** @type {WeakMap<Source, string>} */
const sourceKeys = new WeakMap();

/**
 * What figures of one study have in common: those of two are never pooled, whatever their names.
 * @param {Source} cell
 */
export function sourceKey(cell) {
  let key = sourceKeys.get(cell);
  if (key === undefined) {
    key = JSON.stringify([cell.origin, cell.study, cell.source]);
    sourceKeys.set(cell, key);
  }
  return key;
}

/** Said with every figure of a model whose weights are random. */
export const REPLICA = say`replica: random weights, energy and time only`;
/** @param {Cell} cell */
export const replica = (cell) =>
  cell.weights === "replica" ? h("small", { class: "label" }, REPLICA) : null;

/**
 * Lines that word a cell in a chart.
 * @param {Cell} cell
 * @param {Setting} setting
 * @returns {Child[]}
 */
export function words(cell, setting) {
  const found = shown(cell, setting);
  /** @type {Child[]} */
  const lines = [
    name(cell.model),
    say`${word("task", cell.task)} on ${cell.dataset}`.slice(0, 200),
  ];
  if (found) {
    lines.push(
      say`${figure(found.value, setting.unit)} per 1,000 (${interval(found, setting.unit)},
        ${runs(cell)})`,
    );
  } else
    lines.push(say`no figure: ${english(problem(cell, setting.boundary) ?? "unknown", "problem")}`);
  lines.push(
    say`${provenanceWord(cell, setting.boundary)}, ${word("boundary", setting.boundary)};
      ${params(cell.params)} parameters`,
  );
  lines.push(sourceName(cell).slice(0, 120));
  if (cell.weights === "replica") lines.push(REPLICA);
  return lines;
}

/**
 * A cell in a list to choose from.
 * @param {Cell} cell
 */
export const cellOption = (cell) => ({
  value: cell.id,
  text: cell.model,
  note: say`${taskOn(cell, 40)}, ${clean(sourceName(cell), 60)}`,
});

/** @param {Cell} cell */
export const runs = (cell) => (cell.done === 1 ? say`1 run` : say`${number(cell.done)} runs`);

/**
 * Cells with a figure that a logarithmic axis can carry, and how many cannot be drawn.
 * @param {Cell[]} cells
 * @param {Setting} setting
 * @returns {{ points: Point[]; left: number }}
 */
export function drawable(cells, setting) {
  /** @type {Point[]} */
  const points = [];
  let left = 0;
  for (const cell of cells) {
    const found = shown(cell, setting);
    // Not a copy: this is done for each of 15,000 cells at every move of a slider.
    if (found && found.value > 0) points.push(Object.assign(found, { cell, row: 0, y: 0 }));
    else left++;
  }
  return { points, left };
}

/**
 * A chart's points as rows to take away.
 * @param {Point[]} points
 * @param {Setting} setting
 */
export const pointRows = (points, setting) =>
  chartRows(
    points.map((p) => p.cell),
    setting,
  );

/**
 * @param {number} left
 * @param {Setting} setting
 */
export const leftOut = (left, setting) =>
  left
    ? say`${number(left)} without a figure within ${within(setting)} (or none above 0):
        not drawn, listed in the table.`
    : null;

/**
 * Offers the boundary within which the most of those that cannot be drawn have a figure.
 * @param {App} app
 */
export function elsewhere(app) {
  const setting = app.setting;
  const positive = (/** @type {Cell} */ c, /** @type {Setting} */ at) =>
    (shown(c, at)?.value ?? 0) > 0;
  const bare = app.selection().filter((c) => !positive(c, setting));
  // Not the facility: it has a figure where the node has one.
  const counts = METERED.map((boundary) => ({
    boundary,
    count: bare.filter((c) => positive(c, { ...setting, boundary })).length,
  }));
  const [{ boundary, count }] = counts.sort((a, b) => b.count - a.count);
  if (!count) return null;
  return h(
    "p",
    {},
    say`${number(count)} cells have a figure within ${word("boundary", boundary)} alone:`,
    " ",
    h(
      "button",
      { type: "button", onclick: () => app.set({ boundary }) },
      say`show ${word("boundary", boundary)}`,
    ),
  );
}

/**
 * Places of one study apart from those of another.
 * @template Item
 * @param {Item[]} list
 * @param {(item: Item) => string} key
 * @returns {Map<string, Item[]>}
 */
export function groupBy(list, key) {
  /** @type {Map<string, Item[]>} */
  const groups = new Map();
  for (const each of list) {
    const k = key(each);
    const group = groups.get(k);
    if (group) group.push(each);
    else groups.set(k, [each]);
  }
  return groups;
}

/**
 * A fixed scatter in [-1, 1] from a name: the same point lies at the same place every time.
 * @param {string} text
 */
export function scatter(text) {
  // FNV-1a; imul keeps the product to 32 bits, which a double would round.
  let hash = 2166136261;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 16777619);
  return ((hash >>> 0) % 2001) / 1000 - 1;
}
