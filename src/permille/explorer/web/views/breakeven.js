// Break-even: after how many inferences use has cost as much energy as training.

import { chart, COLOURS, decades, drawing, entry, Plot } from "../chart.js";
import { clean, h, name, table } from "../dom.js";
import { energy, NONE, number } from "../format.js";
import { kwh } from "../figures.js";
import { sourceName } from "../shared.js";

/** @import { PageParity } from "../document" */
/** @import { App } from "../main.js" */
/** @import { Setting } from "../page" */

/**
 * Training against use; `said` is the row of a study that states the training.
 * @typedef {object} Use
 * @property {string} model
 * @property {string} study
 * @property {number} training
 * @property {number} each
 * @property {number | null} low
 * @property {number | null} high
 * @property {PageParity} [said]
 * @property {number | null} [node] break-even within the whole node
 */

/** @param {App} app */
export function breakEven(app) {
  const setting = { ...app.setting, net: false };
  const boundary = setting.boundary === "facility" ? "node" : setting.boundary;
  const overhead = setting.boundary === "facility" ? setting.pue : 1;
  const stated = app.data.studies.flatMap((s) =>
    s.parity[boundary].map((row) => ({
      model: row.model ?? NONE,
      study: sourceName(s),
      training: row.training_kwh + (row.finetuning_kwh ?? 0),
      said: row,
      node: nodes(s.parity.node, row.model),
      each: row.kwh_per_inference * overhead,
      low: row.kwh_per_inference_low === null ? null : row.kwh_per_inference_low * overhead,
      high: row.kwh_per_inference_high === null ? null : row.kwh_per_inference_high * overhead,
    })),
  );
  /** @type {Use | null} */
  const own = ownRow(app, setting);
  /** @type {(Use & ReturnType<typeof parity>)[]} */
  const rows = [...stated, ...(own ? [own] : [])].map((r) => ({ ...r, ...parity(r) }));
  const day = Math.min(1e12, Math.max(1, Number(app.state.day) || 1e6));
  return [
    h("h1", {}, "When use outweighs training"),
    h(
      "p",
      { class: "lead" },
      `Energy of training over energy per inference, within the ${setting.boundary} ` +
        "boundary, idle included. The energy of an inference is the mean over the " +
        "model's cells, each dataset weighing the same, with its 95 % interval, the meter's " +
        "uncertainty included; the training energy has no interval.",
    ),
    form(app, setting),
    rows.length
      ? [
          lines(rows),
          table(
            "Inferences until use has cost as much as training",
            [
              ["Model", (r) => name(r.model)],
              ["Study", (r) => name(r.study)],
              [
                "Training",
                (r) => [
                  energy(r.training),
                  r.said?.finetuning_kwh ? h("small", {}, " with fine-tuning") : "",
                ],
                { number: true },
              ],
              ["Each inference", (r) => energy(r.each), { number: true }],
              [
                "Break-even",
                (r) =>
                  h(
                    "span",
                    {
                      "data-parity": r.model,
                      "data-value": String(r.value),
                      "data-low": String(r.from),
                      "data-high": String(r.to),
                    },
                    inferences(r.value),
                  ),
                { number: true },
              ],
              [
                "95 % interval",
                (r) =>
                  r.from === null
                    ? NONE
                    : `${inferences(r.from)} to ${r.to === null ? "no bound" : inferences(r.to)}`,
                { number: true },
              ],
              ["Within node", (r) => (r.node ? inferences(r.node) : NONE), { number: true }],
              [
                "The paper prints",
                (r) => {
                  const printed = r.said?.published_inferences;
                  return printed ? inferences(printed) : NONE;
                },
                { number: true },
              ],
              [`At ${number(day)} a day`, (r) => days(r.value / day), { number: true }],
            ],
            rows,
          ),
        ]
      : h("p", {}, "No training energy is known here: give one above."),
    h(
      "p",
      { class: "note" },
      "The training energies are those that the paper states in its table 5, with the number " +
        "of inferences that it prints. That number is for the whole node, from an energy per " +
        "inference rounded to two digits; “within node” has the same from the study's data. " +
        "The number a day is that of What if.",
    ),
  ];
}

/**
 * @param {PageParity[]} rows
 * @param {string | null} model
 */
const nodes = (rows, model) => {
  const row = rows.find((r) => r.model === model);
  return row ? (row.training_kwh + (row.finetuning_kwh ?? 0)) / row.kwh_per_inference : null;
};

/** @param {Use} r */
const parity = (r) => ({
  value: r.training / r.each,
  from: r.high === null ? null : r.training / r.high,
  to: r.low === null || r.low <= 0 ? null : r.training / r.low,
});

/** @param {number} count */
export function inferences(count) {
  if (count >= 1e9) return `${number(count / 1e9)} billion`;
  if (count >= 1e6) return `${number(count / 1e6)} million`;
  return number(count);
}

/** @param {number} count */
function days(count) {
  return count >= 730 ? `${number(count / 365)} years` : `${number(count)} days`;
}

/**
 * @param {App} app
 * @param {Setting} setting
 * @returns {Use | null}
 */
function ownRow(app, setting) {
  const training = Number(app.state.training),
    cell = app.byId.get(app.state.cell);
  const each = cell && kwh(cell, setting);
  if (!(training > 0) || !each || each.value <= 0) return null;
  const inNode = kwh(cell, { ...setting, boundary: "node" });
  return {
    model: cell.model,
    study: `${sourceName(cell)}: ${cell.task} on ${cell.dataset}`,
    training,
    each: each.value / 1000,
    low: each.low === null ? null : each.low / 1000,
    high: each.high === null ? null : each.high / 1000,
    node: inNode && inNode.value > 0 ? (1000 * training) / inNode.value : null,
  };
}

/**
 * @param {App} app
 * @param {Setting} setting
 */
function form(app, setting) {
  const cells = app.selection().filter((c) => (kwh(c, setting)?.value ?? 0) > 0);
  return h(
    "div",
    { class: "fields ask" },
    h(
      "div",
      { class: "field" },
      h("label", { for: "b-cell" }, "Your own: a model"),
      h(
        "select",
        { id: "b-cell", onchange: (e) => app.set({ cell: e.target.value }) },
        h("option", { value: "" }, "–"),
        cells.map((c) =>
          h(
            "option",
            { value: c.id, selected: c.id === app.state.cell },
            `${clean(c.model, 60)}: ${clean(c.task, 40)} on ${clean(c.dataset, 40)}`,
          ),
        ),
      ),
    ),
    h(
      "div",
      { class: "field" },
      h("label", { for: "b-training" }, "and what its training took, kWh"),
      h("input", {
        id: "b-training",
        type: "number",
        min: "0",
        step: "any",
        value: app.state.training,
        onchange: (e) => app.set({ training: e.target.value }),
      }),
    ),
  );
}

/** @param {(Use & ReturnType<typeof parity>)[]} rows */
function lines(rows) {
  const most = Math.max(...rows.map((r) => r.value)),
    least = Math.min(...rows.map((r) => r.value));
  /** @type {[number, number]} */
  const x = [least / 100, most * 10];
  /** @type {[number, number]} */
  const y = [
    Math.min(...rows.map((r) => r.each * x[0])),
    Math.max(...rows.map((r) => Math.max(r.training, r.each * x[1]))),
  ];
  const used = rows.map((r, i) => ({ ...r, colour: COLOURS[[0, 1, 3, 4, 5, 6, 7][i % 7]] }));
  const draw = drawing(used, (width) => ({
    height: Math.max(320, Math.min(480, width * 0.5)),
    marginLeft: 62,
    marginRight: 16,
    marginTop: 24,
    marginBottom: 42,
    x: {
      type: "log",
      domain: x,
      ticks: decades(...x, width / 110),
      tickFormat: inferences,
      label: "Inferences (logarithmic) →",
      grid: true,
    },
    y: {
      type: "log",
      domain: y,
      ticks: decades(...y, 8),
      tickFormat: (v) => energy(v),
      label: "↑ Energy (logarithmic)",
      grid: true,
    },
    marks: [
      used.map((r) =>
        Plot.line(
          [
            [x[0], r.each * x[0]],
            [x[1], r.each * x[1]],
          ],
          { stroke: r.colour, strokeWidth: 2 },
        ),
      ),
      used.map((r) =>
        Plot.line(
          [
            [x[0], r.training],
            [r.value, r.training],
          ],
          { stroke: r.colour, strokeWidth: 1.5, strokeDasharray: "4 4" },
        ),
      ),
      used
        .filter((r) => r.from !== null && r.to !== null)
        .map((r) =>
          Plot.ruleY([r], {
            y: "training",
            x1: "from",
            x2: "to",
            stroke: r.colour,
            strokeWidth: 6,
            strokeOpacity: 0.5,
          }),
        ),
      Plot.dot(used, {
        className: "pt",
        x: "value",
        y: "training",
        r: 6,
        fill: "colour",
        stroke: "var(--ground)",
      }),
    ],
    color: { type: "identity" },
  }));
  return chart("Energy of use against energy of training", {
    file: "permille-break-even",
    draw,
    describe: (r) => [
      name(r.model),
      `break-even after ${inferences(r.value)} inferences`,
      r.from === null
        ? `interval: ${NONE}`
        : `${inferences(r.from)} to ${r.to === null ? "no bound" : inferences(r.to)}`,
      `training ${energy(r.training)}, each ${energy(r.each)}`,
    ],
    legend: [
      ...used.map((r) => entry(name(r.model), r.colour, "circle")),
      ["use", "var(--soft)", "line"],
      ["training: dashed", "var(--soft)", "line"],
    ],
  });
}
