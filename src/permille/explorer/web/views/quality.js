// Quality against cost, one small chart for each task, dataset and study: never across.

import { chart, drawing, Plot } from "../chart.js";
import { MANY, points as dots } from "../cloud.js";
import { clean, folded, h, name, table } from "../dom.js";
import {
  figure,
  interval,
  number,
  percent,
  quality as worded,
  qualityInterval,
} from "../format.js";
import { term } from "../glossary.js";
import { bounded, onFront } from "../figures.js";
import { say, word } from "../say.js";
import {
  categoryLegend,
  COLOUR,
  drawable,
  groupBy,
  pointRows,
  replica,
  sourceName,
  SYMBOL,
  taskOn,
  words,
} from "../shared.js";
import { decades } from "../ticks.js";
import { span } from "./size.js";

/** @import { App } from "../main.js" */
/** @import { Point, Setting } from "../page" */

const MOST = 24;

/**
 * A point with the quality of its cell and its interval.
 * @typedef {Point & { quality: number; from: number | null; to: number | null }} Scored
 */

/**
 * The point as it is drawn; none where its quality is not known.
 * @param {Point} point
 * @returns {Scored[]}
 */
function scored(point) {
  const { metric, quality: value, quality_low: from, quality_high: to } = point.cell;
  return metric && value !== null ? [{ ...point, quality: value, from, to }] : [];
}

/** @param {App} app */
export function quality(app) {
  const setting = app.setting;
  const points = drawable(app.selection(), setting).points.flatMap(scored);
  const groups = [
    ...groupBy(points, (p) => JSON.stringify([p.cell.place, p.cell.metric])).values(),
  ];
  const enough = groups.filter((g) => g.length > 1),
    shown = enough.slice(0, MOST),
    total = shown.reduce((sum, g) => sum + g.length, 0);
  return [
    h("h1", {}, say`Quality for the cost`),
    h(
      "div",
      { class: "multiples" },
      shown.map((g) => one(app, g, setting, total)),
    ),
    h(
      "p",
      { class: "lead" },
      enough.length
        ? [
            say`Up and to the left is better. The line joins the models of the ${term("pareto")}: no
              other needs less energy and is as good, beyond what the intervals leave open. Each
              chart is one task on one dataset; a front across tasks would mean nothing.`,
          ]
        : say`No two models of this selection have a quality on the same task and dataset:
          nothing to set side by side.`,
    ),
    enough.length > MOST
      ? h("p", {}, say`The first ${MOST} of ${enough.length}; choose a task to see the others.`)
      : null,
  ];
}

/**
 * @param {App} app
 * @param {Scored[]} points
 * @param {Setting} setting
 * @param {number} total of the points of all charts
 */
function one(app, points, setting, total) {
  const { task, dataset, metric } = points[0].cell;
  const lower = points[0].cell.lower_is_better;
  const best = new Set(
    points.filter((p) => onFront(p.cell, setting)).sort((a, b) => a.value - b.value),
  );
  const x = span(points),
    values = points.flatMap((p) => [p.quality, p.from ?? p.quality, p.to ?? p.quality]);
  const share = points.every((p) => p.cell.in_percent);
  // Where all have one quality, the axis still needs two ends.
  const pad = (Math.max(...values) - Math.min(...values)) * 0.12 || 0.05;
  const y = [Math.min(...values) - pad, Math.max(...values) + pad];
  const title = taskOn({ task, dataset });
  const barred = total > MANY ? [] : points;
  const draw = drawing(points, (width) => ({
    height: 300,
    marginLeft: 52,
    marginRight: 16,
    marginTop: 24,
    marginBottom: 42,
    x: {
      type: "log",
      domain: x,
      ticks: decades(...x, (width - 68) / 76),
      tickFormat: (v) => figure(v, setting.unit),
      label: say`Per 1,000 (logarithmic) →`,
      grid: true,
    },
    y: {
      domain: y,
      ticks: 5,
      tickFormat: (v) => (share ? percent(v) : number(v)),
      label: lower ? say`↑ ${clean(metric, 40)} (lower is better)` : `↑ ${clean(metric, 40)}`,
      grid: true,
    },
    marks: [
      Plot.line([...best], {
        x: "value",
        y: "quality",
        // In steps: a straight line between two models would promise others that do not exist.
        curve: "step-after",
        stroke: "var(--soft)",
        strokeWidth: 1.5,
        strokeDasharray: "5 4",
      }),
      Plot.ruleX(
        barred.filter((p) => p.from !== null),
        {
          x: "value",
          className: "spread",
          y1: "from",
          y2: "to",
          stroke: (p) => COLOUR[p.cell.category],
          strokeOpacity: 0.35,
        },
      ),
      Plot.ruleY(barred.filter(bounded), {
        y: "quality",
        x1: "low",
        x2: "high",
        className: "interval",
        stroke: (p) => COLOUR[p.cell.category],
        strokeOpacity: 0.35,
      }),
      dots(
        points,
        {
          x: (p) => p.value,
          y: (p) => p.quality,
          r: 4.5,
          fill: (p) => COLOUR[p.cell.category],
          fillOpacity: (p) => (best.has(p) ? 1 : 0.45),
          stroke: (p) => (best.has(p) ? "var(--ink)" : COLOUR[p.cell.category]),
          symbol: (p) => SYMBOL[p.cell.category],
        },
        total,
      ),
    ],
    color: { type: "identity" },
    symbol: { type: "identity" },
    opacity: { type: "identity" },
  }));
  return h(
    "div",
    {},
    chart(app, title, {
      file: `permille-quality-${task}-${dataset}`.replace(/[^A-Za-z0-9-]/g, "_").slice(0, 80),
      draw,
      data: () => pointRows(points, setting),
      describe: (p) => [
        ...words(p.cell, setting),
        `${clean(metric, 40)} ${qualityInterval(p.cell)}`,
      ],
      open: (p) => app.href({ view: "model", model: p.cell.model, cell: p.cell.id }),
      legend: [
        ...categoryLegend(points.map((p) => p.cell)),
        [say`Pareto front`, "var(--soft)", "line"],
      ],
      note: sourceName(points[0].cell).slice(0, 140),
    }),
    folded(say`The same in words: ${points.length} models`, () =>
      table(
        title,
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
          [say`Category`, (p) => word("category", p.cell.category)],
          [clean(metric, 30), (p) => worded(p.cell), { number: true }],
          [say`Per 1,000`, (p) => figure(p.value, setting.unit), { number: true }],
          [say`95 % interval`, (p) => interval(p, setting.unit), { number: true }],
          [say`On the front`, (p) => (best.has(p) ? say`yes` : say`no`)],
        ],
        [...points].sort((a, b) => (lower ? 1 : -1) * (a.quality - b.quality)),
      ),
    ),
  );
}
