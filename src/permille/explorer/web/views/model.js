// A model's page: all of its cells; of one, its boundaries, budget, runs, and how to get it again.

import { bySession } from "../bysession.js";
import { clean, h, name, own, table } from "../dom.js";
import {
  energy,
  interval,
  mass,
  NONE,
  number,
  overSessions,
  params,
  percent,
  qualityInterval,
  seconds,
} from "../format.js";
import { term } from "../glossary.js";
import { BOUNDARIES, budget, grams, kwh, problem, provenance } from "../figures.js";
import { REPLICA, replica, sourceName } from "../shared.js";
import { asked } from "../source.js";
import { servingSection } from "./serving.js";
import { picker, timeEach } from "./table.js";

/** @import { Cell, ListedTrial } from "../document" */
/** @import { App } from "../main.js" */
/** @import { SessionFigure } from "../bysession.js" */
/** @import { Column, Setting } from "../page" */

/** @param {App} app */
export function modelPage(app) {
  const chosen = app.byId.get(app.state.cell);
  const model = chosen?.model ?? app.state.model;
  const cells = app.cells.filter((c) => c.model === model);
  if (!cells.length) {
    return [
      h("h1", {}, "No such model here"),
      h(
        "p",
        {},
        `Nothing is known of “${clean(model, 80)}”. `,
        h("a", { href: app.href({ view: "table", cell: "", model: "" }) }, "All figures"),
      ),
    ];
  }
  const setting = app.setting;
  const cell = chosen ?? cells[0];
  return [
    h("h1", {}, name(model)),
    h(
      "p",
      { class: "lead" },
      `${cells.length === 1 ? "One cell" : `${cells.length} cells`}; ` +
        `${[...new Set(cells.map((c) => c.category))].join(", ")}; ` +
        `${params(cell.params)} ` +
        `parameters${cell.architecture ? `; ${clean(cell.architecture, 60)}` : ""}.`,
    ),
    cell.weights === "replica"
      ? h(
          "p",
          { class: "warn" },
          `This is a ${REPLICA}: its answers mean nothing and its quality is unknown.`,
        )
      : null,
    h(
      "p",
      {},
      h("label", { class: "check" }, picker(app, cell), " compare this model"),
      " ",
      app.state.m.length > 1
        ? h("a", { href: app.href({ view: "compare" }) }, "to the comparison")
        : "",
    ),
    table(
      "All cells of this model, per 1,000 inferences",
      [
        [
          "Task and dataset",
          (c) =>
            h(
              "a",
              { href: app.href({ cell: c.id, model }), "aria-current": c === cell ? "true" : null },
              name(`${c.task} on ${c.dataset}`),
            ),
        ],
        ["Study", (c) => [name(sourceName(c)), replica(c)]],
        ["Energy", (c) => energy(kwh(c, setting)?.value), { number: true }],
        ["95 % interval", (c) => interval(kwh(c, setting), "kwh"), { number: true }],
        ["CO₂e", (c) => mass(grams(c, setting)?.value), { number: true }],
        [
          "Quality",
          (c) => (c.metric ? `${clean(c.metric, 30)} ${qualityInterval(c)}` : NONE),
          { number: true },
        ],
        ["Time each", (c) => seconds(timeEach(c)), { number: true }],
        ["Runs", (c) => number(c.done), { number: true }],
        ["Provenance", (c) => provenance(c, setting.boundary) ?? NONE],
      ],
      cells,
    ),
    one(app, cell, setting),
  ];
}

/**
 * @param {App} app
 * @param {Cell} cell
 * @param {Setting} setting
 */
function one(app, cell, setting) {
  const parts = budget(cell, setting.boundary);
  return h(
    "section",
    {},
    h("h2", {}, name(`${cell.task} on ${cell.dataset}`)),
    table(
      "Per 1,000 inferences, by what counts",
      [
        ["Boundary", (b) => b],
        [
          "Energy",
          (b) => energy(kwh(cell, { ...setting, boundary: b, net: false })?.value),
          { number: true },
        ],
        [
          term("interval"),
          (b) => interval(kwh(cell, { ...setting, boundary: b, net: false }), "kwh"),
          { number: true },
        ],
        [
          "Above idle",
          (b) => energy(kwh(cell, { ...setting, boundary: b, net: true })?.value),
          { number: true },
        ],
        [
          "95 % interval, above idle",
          (b) => interval(kwh(cell, { ...setting, boundary: b, net: true }), "kwh"),
          { number: true },
        ],
        [
          "CO₂e",
          (b) => mass(grams(cell, { ...setting, boundary: b, net: false })?.value),
          { number: true },
        ],
        [term("provenance", "Provenance"), (b) => provenance(cell, b) ?? NONE],
        [
          ["Over ", term("session", "sessions")],
          (b) =>
            overSessions(
              app.data.evidence,
              kwh(cell, { ...setting, boundary: b, net: false }),
              energy,
            ) ?? "–",
        ],
        ["Note", (b) => clean(problem(cell, b) ?? "–", 200)],
      ],
      BOUNDARIES,
    ),
    parts.length
      ? h("p", { class: "note" }, "Relative uncertainties, each with ", term("k2"), ".")
      : null,
    parts.length
      ? table(
          `What the interval is made of (${setting.boundary}, k = 2)`,
          [
            ["Part", (p) => p.name],
            ["Below", (p) => `−${percent(p.low)}`, { number: true }],
            ["Above", (p) => `+${percent(p.high)}`, { number: true }],
          ],
          parts,
        )
      : null,
    sessions(app, cell, setting),
    servingSection(cell, setting),
    h("h2", {}, "What it rests on"),
    h(
      "dl",
      {},
      [
        ["Study", sourceName(cell)],
        ["Measured by", cell.source],
        ["Weights", cell.weights === "replica" ? REPLICA : "the model's own, or not stated"],
        ["Hardware", cell.device ?? NONE],
        ["Machine and versions", `fingerprint ${cell.fingerprint}`],
        ["Backend", cell.backend],
        ["Batch", cell.batch_size === null ? "not stated" : number(cell.batch_size)],
        ["Settings", Object.keys(cell.settings).length ? JSON.stringify(cell.settings) : "none"],
        ["Runs", `${cell.done} done, ${cell.failed} failed, ${cell.invalid} invalid`],
        [
          "Quality",
          cell.metric
            ? `${clean(cell.metric, 40)} ` +
              qualityInterval(cell) +
              (cell.quality_n ? `, ${number(cell.quality_n)} samples` : "") +
              (cell.unreadable
                ? `, ${number(cell.unreadable)} answers unreadable (counted wrong)`
                : "")
            : NONE,
        ],
        [
          "Latency",
          cell.latency_p50 === null
            ? `${seconds(timeEach(cell))} each, by the mean`
            : `${seconds(cell.latency_p50)} median, ${seconds(cell.latency_p95)} at the 95th ` +
              "percentile",
        ],
        ["Get it again", again(cell)],
      ].map(([k, v]) => [h("dt", {}, k), h("dd", {}, name(v))]),
    ),
    [...cell.reasons, ...cell.notes].map((n) => h("p", { class: "note" }, clean(n, 400))),
    runs(app, cell),
  );
}

/**
 * What each session gave, and both intervals over all of them.
 * @param {App} app
 * @param {Cell} cell
 * @param {Setting} setting
 */
function sessions(app, cell, setting) {
  const each = bySession(cell, setting);
  if (!each.length) return null;
  const all = kwh(cell, setting);
  const machines = new Set(each.map((s) => s.machine)).size > 1;
  const words = overSessions(app.data.evidence, all, energy);
  return [
    table(
      `By session${machines ? " and machine" : ""} (${setting.boundary}` +
        `${setting.net ? ", above idle" : ""})`,
      [
        ["Session", (s) => name(s.session.slice(0, 12))],
        ...(machines ? [machineColumn] : []),
        ["Trials", (s) => number(s.n), { number: true }],
        ["Energy", (s) => energy(s.kwh.value), { number: true }],
        ["95 % interval, from its trials", (s) => interval(s.kwh, "kwh"), { number: true }],
      ],
      each,
    ),
    h(
      "p",
      { class: "note", id: "over-sessions" },
      `All of them: ${energy(all?.value)}, ${interval(all, "kwh")}${words ? `, ${words}` : ""}.`,
    ),
  ];
}

/** @type {Column<SessionFigure>} */
const machineColumn = ["Machine", (s) => name(s.machine.slice(0, 40) || "this one")];

/** @param {Cell} cell */
function again(cell) {
  if (cell.origin === "shipped")
    return (
      "permille reproduce prints the paper's tables from these figures; permille " +
      "import power-hungry-2023 PATH reads the runs behind them"
    );
  if (cell.source !== "permille") return `permille import ${cell.source} PATH, of the same file`;
  return "permille run with the same study, on the same machine and versions";
}

/**
 * @param {App} app
 * @param {Cell} cell
 */
function runs(app, cell) {
  const box = h("div", {}, h("h2", {}, "Runs"));
  if (cell.origin === "shipped") {
    box.append(
      h(
        "p",
        {},
        `The ${number(cell.done)} runs behind this cell do not ship with permille; ` +
          "their number, mean and deviation do.",
      ),
    );
    return box;
  }
  const waiting = h("p", {}, "Reading the runs …");
  box.append(waiting);
  const arrived = trials(app, cell.id).then(
    (found) => {
      waiting.replaceWith(
        found === null
          ? h("p", {}, "The runs are not in this file.")
          : table(
              found.length < cell.done + cell.failed + cell.invalid
                ? `The newest ${number(found.length)} of ` +
                    `${number(cell.done + cell.failed + cell.invalid)} runs`
                : runsOf(found.length),
              [
                [
                  "Run",
                  (t) =>
                    app.inFile && !own(app.data.runs, t.uid)
                      ? `repeat ${t.repeat}`
                      : h(
                          "a",
                          { href: app.href({ view: "run", uid: t.uid, cell: cell.id }) },
                          `repeat ${t.repeat}`,
                        ),
                ],
                ["Status", (t) => t.status],
                ["Started", (t) => clean(t.started, 40)],
                ["Query", (t) => seconds(t.seconds), { number: true }],
                [
                  "Inferences",
                  (t) => (t.inferences === null ? NONE : number(t.inferences)),
                  { number: true },
                ],
                ["Reason", (t) => clean(t.reason ?? "–", 200)],
              ],
              found,
            ),
      );
    },
    (error) =>
      waiting.replaceWith(h("p", { class: "warn" }, `The runs cannot be read: ${error.message}`)),
  );
  app.awaited.push(arrived);
  return box;
}

/** @param {number} count */
const runsOf = (count) => (count === 1 ? "One run" : `${number(count)} runs`);

/**
 * @param {App} app
 * @param {string} id
 * @returns {Promise<ListedTrial[] | null>}
 */
async function trials(app, id) {
  if (app.inFile) return own(app.data.trials, id) ?? null;
  return (await asked(`/trials/${encodeURIComponent(id)}`)).data;
}
