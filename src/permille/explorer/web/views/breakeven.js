// Break-even: after how many inferences use has cost as much energy as training.

import { chart, COLOURS, drawing, entry, Plot } from "../chart.js";
import { combobox } from "../combobox.js";
import { h, name, table } from "../dom.js";
import { energy, great, MOST, NONE, number, numberIn } from "../format.js";
import {
  DAYS,
  inferencesToParity,
  joules,
  JOULES_PER_KWH,
  kwh,
  meanOfCells,
  overhead,
  times as scaled,
} from "../figures.js";
import { say, spoken, word } from "../say.js";
import { cellOption, groupBy, sourceKey, sourceLabel, sourceName, taskOn } from "../shared.js";
import { perDay } from "../state.js";
import { decades } from "../ticks.js";

/** @import { Cell, PageStudy, ParityRow } from "../document" */
/** @import { App } from "../main.js" */
/** @import { Estimate, Setting } from "../page" */

/**
 * Training against use; `said` is the row of a study that states the training.
 * @typedef {object} Use
 * @property {string} model
 * @property {string} study
 * @property {string} label the same in rows to take away
 * @property {number} training
 * @property {number} each
 * @property {number | null} low
 * @property {number | null} high
 * @property {number} used cells of the model that match the filters
 * @property {number} all cells of the model in its study
 * @property {ParityRow} [said]
 * @property {number | null} [node] break-even within the whole node
 */

/** @param {App} app */
export function breakEven(app) {
  const setting = { ...app.setting, net: false };
  /** @type {Use | null} */
  const own = ownRow(app, setting);
  const stated = app.studies.flatMap((s) => ofStudy(app, s, setting));
  /** @type {(Use & ReturnType<typeof parity>)[]} */
  const rows = [...stated, ...(own ? [own] : [])].map((r) => ({ ...r, ...parity(r) }));
  const day = perDay(app.state);
  return [
    h("h1", {}, say`When use outweighs training`),
    h(
      "p",
      { class: "lead" },
      say`Energy of training over energy per inference, within the
        ${word("boundary", setting.boundary)} boundary, idle included. The energy of an inference
        is the mean over those of the model's cells that match the filters, each weighing the
        same, with its 95 % interval, the meter's uncertainty included; the training energy has no
        interval.`,
    ),
    form(app, setting),
    rows.length
      ? [
          lines(app, rows),
          table(
            say`Inferences until use has cost as much as training`,
            [
              [say`Model`, (r) => name(r.model)],
              [say`Study`, (r) => name(r.study)],
              [
                say`Cells`,
                (r) => (r.used === r.all ? number(r.all) : say`${r.used} of ${number(r.all)}`),
                { number: true },
              ],
              [
                say`Training`,
                (r) => [
                  energy(r.training),
                  r.said?.finetuning_kwh ? h("small", {}, " ", say`with fine-tuning`) : "",
                ],
                { number: true },
              ],
              [say`Each inference`, (r) => energy(r.each), { number: true }],
              [
                say`Break-even`,
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
                say`95 % interval`,
                (r) =>
                  r.from === null
                    ? NONE
                    : say`${inferences(r.from)} to
                      ${r.to === null ? say`no bound` : inferences(r.to)}`,
                { number: true },
              ],
              [say`Within node`, (r) => (r.node ? inferences(r.node) : NONE), { number: true }],
              [
                say`The paper prints`,
                (r) => {
                  const printed = r.said?.published_inferences;
                  return printed ? inferences(printed) : NONE;
                },
                { number: true },
              ],
              [say`At ${number(day)} a day`, (r) => days(r.value / day), { number: true }],
            ],
            rows,
          ),
        ]
      : h(
          "p",
          {},
          say`No training energy is known of the models that match the filters: give one above.`,
        ),
    h(
      "p",
      { class: "note" },
      say`The training energies are those that the paper states in its table 5, with the number
        of inferences that it prints. That number is for the whole node and all of the model's
        cells, from an energy per inference rounded to two digits; “within node” has it from the
        study's data. The number a day is that of What if.`,
    ),
  ];
}

/**
 * The models of a study whose training is known, each over its cells that match the filters.
 * @param {App} app
 * @param {PageStudy} study
 * @param {Setting} setting
 * @returns {Use[]}
 */
function ofStudy(app, study, setting) {
  const stated = new Map(
    Object.values(study.parity)
      .flat()
      .map((row) => [row.model, row]),
  );
  if (!stated.size) return [];
  const selected = new Set(app.selection());
  const cells = app.cells.filter((c) => sourceKey(c) === sourceKey(study) && stated.has(c.model));
  return [...groupBy(cells, (c) => c.model)].flatMap(([model, all]) => {
    const row = stated.get(model),
      used = all.filter((c) => selected.has(c));
    const each = perInference(used, setting);
    if (!row || !each) return [];
    const training = row.training_kwh + (row.finetuning_kwh ?? 0);
    const inNode = perInference(used, { ...setting, boundary: "node" });
    return [
      {
        model,
        study: sourceName(study),
        label: sourceLabel(study),
        training,
        used: used.length,
        all: all.length,
        said: row,
        node: inNode && training / inNode.value,
        each: each.value,
        low: each.low,
        high: each.high,
      },
    ];
  });
}

/**
 * kWh of one inference over several cells; none if a cell has no figure: the rest is not the whole.
 * @param {Cell[]} cells
 * @param {Setting} setting
 * @returns {Estimate | null}
 */
function perInference(cells, setting) {
  const found = cells.flatMap((c) => joules(c, setting.boundary, false) ?? []);
  if (!found.length || found.length < cells.length) return null;
  const mean = scaled(meanOfCells(found), overhead(setting) / JOULES_PER_KWH / 1000);
  return mean.value > 0 ? mean : null;
}

/** @param {Use} r */
const parity = (r) => inferencesToParity(r.training, { value: r.each, low: r.low, high: r.high });

/** @param {number} count */
export function inferences(count) {
  if (spoken() !== "en" && count >= 1e4) return great(count);
  if (count >= 1e9) return say`${number(count / 1e9)} billion`;
  if (count >= 1e6) return say`${number(count / 1e6)} million`;
  return number(count);
}

/** @param {number} count */
function days(count) {
  return count >= 2 * DAYS ? say`${number(count / DAYS)} years` : say`${number(count)} days`;
}

/**
 * @param {App} app
 * @param {Setting} setting
 * @returns {Use | null}
 */
function ownRow(app, setting) {
  const training = numberIn(app.state.training, 0, MOST),
    cell = app.selection().find((c) => c.id === app.state.cell);
  const each = cell && perInference([cell], setting);
  if (!training || !each) return null;
  const inNode = perInference([cell], { ...setting, boundary: "node" });
  return {
    model: cell.model,
    study: say`${sourceName(cell)}: ${taskOn(cell)}`,
    label: `${sourceLabel(cell)}: ${cell.task} on ${cell.dataset}`,
    training,
    used: 1,
    all: 1,
    each: each.value,
    low: each.low,
    high: each.high,
    node: inNode && training / inNode.value,
  };
}

/**
 * @param {App} app
 * @param {Setting} setting
 */
function form(app, setting) {
  const cells = app.selection().filter((c) => (kwh(c, setting)?.value ?? 0) > 0);
  const chosen = cells.find((c) => c.id === app.state.cell);
  const model = combobox(
    "b-cell",
    say`Your own: a model`,
    () => [{ value: "", text: say`none` }, ...cells.map(cellOption)],
    (cell) => app.set({ cell }),
    "–",
  );
  model.show(chosen?.id ?? "", chosen?.model ?? "");
  return h(
    "div",
    { class: "fields ask" },
    h(
      "div",
      { class: "field" },
      h("label", { for: "b-cell" }, say`Your own: a model`),
      model.element,
    ),
    h(
      "div",
      { class: "field" },
      h("label", { for: "b-training" }, say`and what its training took, kWh`),
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

/**
 * @param {App} app
 * @param {(Use & ReturnType<typeof parity>)[]} rows
 */
function lines(app, rows) {
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
      label: say`Inferences (logarithmic) →`,
      grid: true,
    },
    y: {
      type: "log",
      domain: y,
      ticks: decades(...y, 8),
      tickFormat: (v) => energy(v),
      label: say`↑ Energy (logarithmic)`,
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
            className: "interval",
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
  return chart(app, say`Energy of use against energy of training`, {
    file: "permille-break-even",
    draw,
    data: () =>
      used.map((r) => ({
        model: r.model,
        study: r.label,
        cells: r.used,
        cells_of_model: r.all,
        training_kwh: r.training,
        kwh_per_inference: r.each,
        kwh_per_inference_low: r.low,
        kwh_per_inference_high: r.high,
        inferences: r.value,
        inferences_low: r.from,
        inferences_high: r.to,
        inferences_in_node: r.node ?? null,
        inferences_published: r.said?.published_inferences ?? null,
        boundary: app.setting.boundary,
        pue: app.setting.pue,
      })),
    describe: (r) => [
      name(r.model),
      say`break-even after ${inferences(r.value)} inferences`,
      r.from === null
        ? say`interval: ${NONE}`
        : say`${inferences(r.from)} to ${r.to === null ? say`no bound` : inferences(r.to)}`,
      say`training ${energy(r.training)}, each ${energy(r.each)}`,
    ],
    legend: [
      ...used.map((r) => entry(name(r.model), r.colour, "circle")),
      [say`use`, "var(--soft)", "line"],
      [say`training: dashed`, "var(--soft)", "line"],
    ],
  });
}
