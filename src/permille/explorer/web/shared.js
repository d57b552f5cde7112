// What several views need: the wording of a cell, colours by category, the sentence of settings.

import { h, name } from "./dom.js";
import { figure, interval, NONE, number, params } from "./format.js";
import { BOUNDARIES, problem, provenance, shown } from "./figures.js";

export const CATEGORIES = ["task-specific", "general-purpose", "unknown"];
export const COLOUR = { "task-specific": "var(--c0)", "general-purpose": "var(--c1)", unknown: "var(--c2)" };
export const SYMBOL = { "task-specific": "circle", "general-purpose": "diamond", unknown: "square" };

export const unitName = (setting) => (setting.unit === "kwh" ? "energy" : "carbon");
export const axisLabel = (setting) =>
  `${setting.unit === "kwh" ? "Energy" : "CO₂e"} per 1,000 inferences (logarithmic) →`;

export function categoryLegend(cells) {
  const there = CATEGORIES.filter((c) => cells.some((cell) => cell.category === c));
  return there.map((c) => [c, COLOUR[c], SYMBOL[c]]);
}

/** Where a figure is from, for people: shipped, measured here, or another tool's. */
export function sourceName({ origin, study, source }) {
  if (origin === "shipped") return `${study} (shipped)`;
  if (source === "permille") return study;
  return study === source ? `${study} (imported)` : `${study} (imported, ${source})`;
}

/** What figures of one study have in common: those of two are never pooled, whatever their names. */
export const sourceKey = (cell) => JSON.stringify([cell.origin, cell.study, cell.source]);

/** Said with every figure of a model whose weights are random. */
export const REPLICA = "replica: random weights, energy and time only";
export const replica = (cell) => (cell.weights === "replica" ? h("small", { class: "label" }, REPLICA) : null);

/** Lines that word a cell in a chart. */
export function words(cell, setting) {
  const found = shown(cell, setting);
  const lines = [name(cell.model), `${cell.task} on ${cell.dataset}`.slice(0, 200)];
  if (found) {
    lines.push(`${figure(found.value, setting.unit)} per 1,000 (${interval(found, setting.unit)}, ${runs(cell)})`);
  } else lines.push(`no figure: ${problem(cell, setting.boundary) ?? "unknown"}`);
  lines.push(`${provenance(cell, setting.boundary) ?? NONE}, ${setting.boundary}; ${params(cell.params)} parameters`);
  lines.push(sourceName(cell).slice(0, 120));
  if (cell.weights === "replica") lines.push(REPLICA);
  return lines;
}

export const runs = (cell) => (cell.done === 1 ? "1 run" : `${number(cell.done)} runs`);

/** Cells with a figure that a logarithmic axis can carry, and how many cannot be drawn. */
export function drawable(cells, setting) {
  const points = [];
  let left = 0;
  for (const cell of cells) {
    const found = shown(cell, setting);
    if (found && found.value > 0) points.push({ ...found, cell });
    else left++;
  }
  return { points, left };
}

export const leftOut = (left, setting) => left
  ? `${number(left)} without a figure within ${setting.boundary}${setting.net ? ", above idle" : ""} (or none above 0): not drawn, listed in the table.` : null;

/** Offers the boundary within which the most of those that cannot be drawn have a figure. */
export function elsewhere(app) {
  const setting = app.setting;
  const bare = app.selection().filter((c) => !(shown(c, setting)?.value > 0));
  const counts = BOUNDARIES.filter((b) => b !== "facility").map((b) =>
    [b, bare.filter((c) => shown(c, { ...setting, boundary: b })?.value > 0).length]).sort((a, b) => b[1] - a[1]);
  const [boundary, count] = counts[0];
  if (!count) return null;
  return h("p", {}, `${number(count)} cells have a figure within ${boundary} alone: `,
    h("button", { type: "button", onclick: () => app.set({ boundary }) }, `show ${boundary}`));
}

/** Places of one study apart from those of another. */
export function groupBy(list, key) {
  const groups = new Map();
  for (const each of list) {
    const k = key(each);
    if (!groups.has(k)) groups.set(k, []);
    groups.get(k).push(each);
  }
  return groups;
}

/** A fixed scatter in [-1, 1] from a name: the same point lies at the same place every time. */
export function scatter(text) {
  let hash = 2166136261;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 16777619);
  return ((hash >>> 0) % 2001) / 1000 - 1;
}
