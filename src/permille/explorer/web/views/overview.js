// Energy per 1,000 inferences by task: every cell a point, quartiles and medians, on a log axis.

import { chart, drawing, Plot, room, tall } from "../chart.js";
import { points as dots } from "../cloud.js";
import { clean, h, name, table } from "../dom.js";
import { figure, number } from "../format.js";
import { meanOf, quantiles } from "../figures.js";
import { generalRatios, summary } from "../general.js";
import { term } from "../glossary.js";
import { path } from "../path.js";
import { say, word } from "../say.js";
import {
  axisLabel,
  CATEGORIES,
  categoryLegend,
  COLOUR,
  drawable,
  elsewhere,
  groupBy,
  leftOut,
  pointRows,
  scatter,
  sourceKey,
  sourceName,
  SYMBOL,
  unitName,
  unitTitle,
  words,
} from "../shared.js";
import { decades } from "../ticks.js";

/** @import { Cell } from "../document" */
/** @import { App } from "../main.js" */
/** @import { Column, Point, Setting } from "../page" */

/**
 * A task of one study; `middle` is the median or the mean of the first of its `sides`.
 * @typedef {{ key: string; list: Point[]; sides: Side[]; middle: number }} Task
 * @typedef {typeof CATEGORIES[number]} Category
 */
/**
 * The points of one category, and how they are spread.
 * @typedef {ReturnType<typeof sidesOf>[number]} Side
 * @typedef {{ source: string }} Group
 */

/** @type {Column<Group>} */
const STUDY = [say`Study`, (g) => name(g.source)];

/** @param {App} app */
export function overview(app) {
  const setting = app.setting;
  const selection = app.selection();
  const drawn = tasksOf(selection).map((cells) => drawable(cells, setting));
  const lists = drawn.map(({ points: list }) => list).filter((list) => list.length);
  const left = drawn.reduce((sum, task) => sum + task.left, 0);
  if (!lists.length) return empty(app, left);
  const points = lists.flat();
  const stat = app.state.stat === "mean" ? "mean" : "median";
  const several = new Set(lists.map(([p]) => sourceKey(p.cell))).size > 1;
  /** @param {Cell} cell */
  const label = (cell) =>
    several ? `${word("task", cell.task)} · ${sourceName(cell)}` : word("task", cell.task);
  const tasks = lists
    .map((list) => {
      const sides = sidesOf(list);
      return { key: label(list[0].cell), list, sides, middle: sides[0][stat] };
    })
    .sort((a, b) => a.middle - b.middle);
  const groups = tasks.flatMap((t, row) =>
    t.sides.map((side) => ({
      ...side,
      task: t.key,
      row,
      y: row,
      source: sourceName(t.list[0].cell),
      name: t.list[0].cell.task,
    })),
  );
  for (const g of groups) {
    const there = groups.filter((o) => o.row === g.row);
    const offset = there.length === 1 ? 0 : (there.indexOf(g) / (there.length - 1) - 0.5) * 0.44;
    g.y = g.row + offset;
    const spread = there.length === 1 ? 0.22 : 0.13;
    for (const p of g.list) {
      p.row = g.row;
      p.y = g.y + spread * scatter(p.cell.id);
    }
  }
  const low = Math.min(...groups.map((g) => g.low)) * 0.8,
    high = Math.max(...groups.map((g) => g.high)) * 1.25;
  const draw = drawing(points, (width) => {
    const narrow = width < (several ? 900 : 640);
    // On a phone a task's name stands over its points, which make room for it.
    /** @param {{ row: number; y: number }} thing */
    const at = (thing) => (narrow ? thing.row + 0.18 + (thing.y - thing.row) * 0.72 : thing.y);
    const half = narrow ? 0.15 : 0.2,
      most = narrow ? Math.floor(width / 7.8) : 52;
    const margin = narrow ? 8 : 20 + 6.6 * Math.max(...tasks.map((t) => room(clean(t.key, most))));
    return {
      height: tall(tasks.length, narrow ? 72 : 50, 70),
      marginLeft: margin,
      marginRight: 14,
      marginTop: 24,
      marginBottom: 44,
      x: {
        type: "log",
        domain: [low, high],
        ticks: decades(low, high, (width - margin) / 76),
        tickFormat: (v) => figure(v, setting.unit),
        label: axisLabel(setting),
        grid: true,
      },
      y: {
        domain: [-0.6, tasks.length - 0.45],
        ticks: narrow ? [] : tasks.map((_, i) => i),
        tickFormat: (i) => clean(tasks[i].key, most),
        label: null,
        tickSize: 0,
        reverse: true,
      },
      marks: [
        Plot.ruleY(
          tasks.slice(1).map((_, i) => i + 0.5),
          { stroke: "var(--line)" },
        ),
        narrow
          ? Plot.text(tasks, {
              x: low,
              y: (t) => tasks.indexOf(t) - 0.35,
              text: (t) => clean(t.key, most),
              textAnchor: "start",
              fontWeight: 600,
              fill: "var(--ink)",
              stroke: "var(--ground)",
              strokeWidth: 4,
            })
          : null,
        Plot.link(groups, {
          x1: "q1",
          x2: "q3",
          y1: at,
          y2: at,
          stroke: (g) => COLOUR[g.category],
          strokeWidth: 14,
          strokeOpacity: 0.22,
          strokeLinecap: "butt",
        }),
        dots(points, {
          x: (p) => p.value,
          y: at,
          r: 3.6,
          fill: (p) => COLOUR[p.cell.category],
          fillOpacity: () => 0.75,
          symbol: (p) => SYMBOL[p.cell.category],
        }),
        Plot.link(groups, {
          x1: stat,
          x2: stat,
          y1: (g) => at(g) - half,
          y2: (g) => at(g) + half,
          stroke: "var(--ink)",
          strokeWidth: 2.5,
        }),
      ],
      symbol: { type: "identity" },
      color: { type: "identity" },
    };
  });
  return [
    h("h1", {}, say`What 1,000 inferences cost, by task`),
    chart(
      app,
      setting.unit === "kwh"
        ? say`Energy per 1,000 inferences, by task`
        : say`Carbon per 1,000 inferences, by task`,
      {
        file: "permille-overview",
        draw,
        data: () => pointRows(points, setting),
        describe: (p) => words(p.cell, setting),
        open: (p) => app.href({ view: "model", model: p.cell.model, cell: p.cell.id }),
        legend: [
          ...categoryLegend(points.map((p) => p.cell)),
          [word("stat", stat), "var(--ink)", "line"],
          [say`middle half of the cells`, "var(--c2)", "square"],
        ],
        note: [
          say`Each point is a model on a dataset. The axis is logarithmic: each mark is a
            multiple of the last.`,
          leftOut(left, setting),
        ]
          .filter(Boolean)
          .join(" "),
      },
    ),
    h(
      "p",
      { class: "lead" },
      lead(tasks, setting, stat),
      " ",
      say`Each point is a ${term("cell")}; what counts as its energy is the ${term("boundary")}.`,
      " ",
      against(app, selection),
    ),
    h(
      "div",
      { class: "fields ask" },
      h(
        "div",
        { class: "field" },
        h("label", { for: "o-stat" }, say`The mark of a task is its`),
        h(
          "select",
          { id: "o-stat", onchange: (e) => app.set({ stat: e.target.value }) },
          ["median", "mean"].map((value) =>
            h("option", { value, selected: value === stat }, word("stat", value)),
          ),
        ),
      ),
    ),
    path(app),
    left ? elsewhere(app) : null,
    table(
      say`${unitTitle(setting)} per 1,000 inferences by task and category`,
      [
        [
          say`Task`,
          (g) =>
            h("a", { href: app.href({ task: g.name, view: "table" }) }, name(word("task", g.name))),
        ],
        [say`Category`, (g) => word("category", g.category)],
        ...(several ? [STUDY] : []),
        [say`Cells`, (g) => number(g.list.length), { number: true }],
        [say`Least`, (g) => figure(g.low, setting.unit), { number: true }],
        [say`Median`, (g) => figure(g.median, setting.unit), { number: true }],
        [
          say`Mean`,
          (g) =>
            h(
              "span",
              { "data-mean": g.name, "data-value": String(g.mean) },
              figure(g.mean, setting.unit),
            ),
          { number: true },
        ],
        [say`Most`, (g) => figure(g.high, setting.unit), { number: true }],
      ],
      groups,
    ),
  ];
}

/**
 * A task's points by category.
 * @param {Point[]} points
 */
function sidesOf(points) {
  const sides = groupBy(points, (p) => p.cell.category);
  return CATEGORIES.flatMap((category) => {
    const list = sides.get(category);
    if (!list) return [];
    const values = list.map((p) => p.value);
    const [low, q1, median, q3, high] = quantiles(values, [0, 0.25, 0.5, 0.75, 1]);
    return [{ category, list, low, q1, median, mean: meanOf(values), q3, high }];
  });
}

/** @type {WeakMap<Cell[], Cell[][]>} */
const known = new WeakMap();

/**
 * A selection's cells by the tasks of each study: the same at any setting.
 * @param {Cell[]} cells
 */
function tasksOf(cells) {
  let found = known.get(cells);
  if (!found) {
    found = [...groupBy(cells, (c) => `${sourceKey(c)} ${c.task}`).values()];
    known.set(cells, found);
  }
  return found;
}

/**
 * What the categories take beside each other, with a link to where it stands in full.
 * @param {App} app
 * @param {Cell[]} cells
 */
function against(app, cells) {
  const rows = generalRatios(cells, app.setting);
  if (!rows.length) return null;
  return [
    summary(rows),
    " ",
    say`${h("a", { href: app.href({ view: "compare", m: [] }) }, say`How that is counted`)}.`,
  ];
}

/**
 * @param {Task[]} all
 * @param {Setting} setting
 * @param {string} stat
 */
function lead(all, setting, stat) {
  // Of one study and one category alone: those with the most tasks.
  const alike = [
    ...groupBy(all, (t) =>
      JSON.stringify([sourceKey(t.list[0].cell), t.sides[0].category]),
    ).values(),
  ].sort((a, b) => b.length - a.length);
  const tasks = alike[0];
  const boundary = word("boundary", setting.boundary);
  if (tasks.length < 2)
    return say`Within the ${boundary} boundary. Pick a point to see all of its model.`;
  const first = tasks[0],
    last = tasks[tasks.length - 1],
    [{ category }] = first.sides;
  /** @param {Task} t */
  const task = (t) => clean(word("task", t.list[0].cell.task), 60);
  const of = category === "unknown" ? "" : say`${word("category", category)} `;
  return say`In ${clean(sourceName(first.list[0].cell), 80)}, by the ${word("stat", stat)} of each
    task's ${of}cells, ${task(last)} takes ${number(last.middle / first.middle, 2)} times the
    ${unitName(setting)} of ${task(first)}: ${figure(last.middle, setting.unit)} against
    ${figure(first.middle, setting.unit)} per 1,000, within the ${boundary} boundary.`;
}

/**
 * What a view shows when nothing can be drawn, and the way out.
 * @param {App} app
 * @param {number} left
 */
export function empty(app, left) {
  const boundary = word("boundary", app.setting.boundary);
  return [
    h("h1", {}, say`Nothing to draw`),
    h(
      "p",
      {},
      left
        ? app.setting.net
          ? say`${number(left)} cells match, but none has a figure within the ${boundary} boundary
              above idle (no idle phase was measured).`
          : say`${number(left)} cells match, but none has a figure within the ${boundary} boundary.`
        : say`No cell matches the filters.`,
    ),
    left ? elsewhere(app) : null,
    h(
      "p",
      {},
      h("button", { type: "button", onclick: () => app.reset() }, say`Clear the filters`),
      " ",
      app.setting.net
        ? h("button", { type: "button", onclick: () => app.set({ net: "" }) }, say`Include idle`)
        : null,
    ),
  ];
}
