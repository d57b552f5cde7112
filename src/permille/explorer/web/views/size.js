// Size: parameters against energy or carbon, both logarithmic.

import { chart, COLOURS, drawing, entry, Plot } from "../chart.js";
import { MANY, points as dots } from "../cloud.js";
import { h, name, own, table } from "../dom.js";
import { bounded, reach } from "../figures.js";
import { figure, interval, number, params } from "../format.js";
import { say, word } from "../say.js";
import {
  CATEGORIES,
  drawable,
  elsewhere,
  leftOut,
  pointRows,
  replica,
  sourceName,
  SYMBOL,
  unitTitle,
  words,
} from "../shared.js";
import { decades } from "../ticks.js";
import { empty } from "./overview.js";

/** @import { App } from "../main.js" */
/** @import { Estimate, Point } from "../page" */

const GROUPS = {
  category: say`Category`,
  architecture: say`Architecture`,
  task: say`Task`,
  study: say`Study`,
};
const LISTED = 50;
const NOT_STATED = "";
/** @type {[string, string]} */
const OTHERS = [say`others, or not stated`, "var(--c2)"];

/** @param {App} app */
export function size(app) {
  const setting = app.setting;
  const drawn = drawable(app.selection(), setting);
  /** @param {Point} p */
  const paramsOf = (p) => p.cell.params ?? 0;
  const points = drawn.points.filter((p) => paramsOf(p) > 0);
  const unknown = drawn.points.length - points.length;
  if (!points.length) return empty(app, drawn.points.length + drawn.left);
  const by = /** @type {keyof typeof GROUPS} */ (
    own(GROUPS, app.state.colour) ? app.state.colour : "category"
  );
  const { keys, colourOf } = palette(points, by);
  const x = extent(points.map(paramsOf)),
    y = span(points);
  const draw = drawing(points, (width) => ({
    height: Math.max(320, Math.min(560, width * 0.55)),
    marginLeft: 62,
    marginRight: 14,
    marginTop: 26,
    marginBottom: 44,
    x: {
      type: "log",
      domain: x,
      ticks: decades(...x, (width - 76) / 76),
      tickFormat: params,
      label: say`Parameters (logarithmic) →`,
      grid: true,
    },
    y: {
      type: "log",
      domain: y,
      ticks: decades(...y, 9),
      tickFormat: (v) => figure(v, setting.unit),
      label: say`↑ ${unitTitle(setting)} per 1,000 (logarithmic)`,
      grid: true,
    },
    marks: [
      points.length > MANY
        ? null
        : Plot.ruleX(points.filter(bounded), {
            x: paramsOf,
            y1: "low",
            y2: "high",
            stroke: colourOf,
            className: "interval",
            strokeOpacity: 0.28,
            strokeWidth: 1.5,
          }),
      dots(points, {
        x: paramsOf,
        y: (p) => p.value,
        r: 4.2,
        fill: colourOf,
        fillOpacity: () => 0.8,
        symbol: (p) => SYMBOL[p.cell.category],
      }),
    ],
    color: { type: "identity" },
    symbol: { type: "identity" },
  }));
  const several = new Set(points.map((p) => p.cell.task)).size > 1;
  return [
    h("h1", {}, say`Size and cost`),
    chart(app, say`Parameters against cost per 1,000 inferences`, {
      file: "permille-size",
      draw,
      data: () => pointRows(points, setting),
      describe: (p) => words(p.cell, setting),
      open: (p) => app.href({ view: "model", model: p.cell.model, cell: p.cell.id }),
      legend: [
        ...keys.map(([k, c]) => entry(word(by, k), c, by === "category" ? SYMBOL[k] : "circle")),
        ...(by === "category"
          ? []
          : CATEGORIES.filter((c) => points.some((p) => p.cell.category === c)).map((c) =>
              entry(word("category", c), "var(--soft)", SYMBOL[c]),
            )),
      ],
      note:
        [
          points.length > MANY ? say`Intervals are drawn of up to ${number(MANY)} points.` : null,
          leftOut(drawn.left, setting),
          unknown ? say`${unknown} of unknown size are not drawn.` : null,
        ]
          .filter(Boolean)
          .join(" ") || null,
    }),
    h(
      "p",
      { class: "lead" },
      several
        ? say`Bigger is not always dearer: what a model is asked to do weighs more. Choose one
          task in the filters to compare like with like.`
        : say`Both axes are logarithmic; the bars are 95 % intervals.`,
    ),
    h(
      "div",
      { class: "fields ask" },
      h(
        "div",
        { class: "field" },
        h("label", { for: "s-colour" }, say`Colour by`),
        h(
          "select",
          { id: "s-colour", onchange: (e) => app.set({ colour: e.target.value }) },
          Object.entries(GROUPS).map(([k, t]) => h("option", { value: k, selected: k === by }, t)),
        ),
      ),
    ),
    drawn.left ? elsewhere(app) : null,
    table(
      points.length > LISTED
        ? say`The ${LISTED} largest of ${points.length} points; the Table has all`
        : say`The same, in words`,
      [
        [
          say`Model`,
          (p) => [
            h(
              "a",
              { href: app.href({ view: "model", model: p.cell.model, cell: p.cell.id }) },
              name(p.cell.model),
            ),
            replica(p.cell),
          ],
        ],
        [say`Task`, (p) => name(word("task", p.cell.task))],
        [say`Dataset`, (p) => name(p.cell.dataset)],
        [say`Study`, (p) => name(sourceName(p.cell))],
        [say`Parameters`, (p) => params(p.cell.params), { number: true }],
        [say`Per 1,000`, (p) => figure(p.value, setting.unit), { number: true }],
        [say`95 % interval`, (p) => interval(p, setting.unit), { number: true }],
      ],
      largest(points, paramsOf),
    ),
  ];
}

/**
 * The LISTED of them that have the most parameters, without putting all in order.
 * @param {Point[]} points
 * @param {(p: Point) => number} paramsOf
 */
function largest(points, paramsOf) {
  const least = Float64Array.from(points, paramsOf).sort().at(-LISTED) ?? 0;
  return points
    .filter((p) => paramsOf(p) >= least)
    .sort((a, b) => paramsOf(b) - paramsOf(a))
    .slice(0, LISTED);
}

/**
 * Colours by group: the seven greatest, and one for the rest.
 * @param {Point[]} points
 * @param {keyof typeof GROUPS} by
 * @returns {{ keys: [string, string][]; colourOf: (p: Point) => string }}
 */
function palette(points, by) {
  /** @param {Point} p */
  const of = (p) => p.cell[by] ?? NOT_STATED;
  /** @type {Map<string, number>} */
  const counts = new Map();
  for (const p of points) counts.set(of(p), (counts.get(of(p)) ?? 0) + 1);
  /** @type {string[]} */
  const named =
    by === "category"
      ? CATEGORIES.filter((c) => counts.has(c))
      : [...counts]
          .filter(([k]) => k !== NOT_STATED)
          .sort((a, b) => b[1] - a[1])
          .slice(0, 7)
          .map(([k]) => k);
  /** @type {readonly string[]} */
  const categories = CATEGORIES;
  // The third colour is that of OTHERS, so that no group may have it.
  const order = by === "category" ? COLOURS : COLOURS.filter((_, i) => i !== 2);
  const colours = new Map(
    named.map((k, i) => [k, by === "category" ? COLOURS[categories.indexOf(k)] : order[i]]),
  );
  const rest = [...counts.keys()].some((k) => !colours.has(k));
  return {
    keys: [
      ...[...colours].map(([k, c]) => /** @type {[string, string]} */ ([k.slice(0, 60), c])),
      ...(rest ? [OTHERS] : []),
    ],
    colourOf: (p) => colours.get(of(p)) ?? "var(--c2)",
  };
}

/**
 * @param {number[]} values
 * @param {number} [room]
 * @returns {[number, number]}
 */
export function extent(values, room = 1.25) {
  let low = Infinity,
    high = -Infinity;
  // Not Math.min(...values): what is spread has to fit on the stack.
  for (const v of values) {
    if (v < low) low = v;
    if (v > high) high = v;
  }
  return [low / room, high * room];
}

/**
 * The axis that holds estimates with their intervals.
 * @param {Estimate[]} estimates
 */
export function span(estimates) {
  let low = Infinity,
    high = -Infinity;
  for (const estimate of estimates)
    for (const end of reach(estimate)) {
      low = Math.min(low, end);
      high = Math.max(high, end);
    }
  return extent([low, high]);
}
