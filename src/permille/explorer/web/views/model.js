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
import { BOUNDARIES, budget, grams, kwh, problem } from "../figures.js";
import { english, say, word } from "../say.js";
import { provenanceWord, REPLICA, replica, sourceName, taskOn, within } from "../shared.js";
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
      h("h1", {}, say`No such model here`),
      h(
        "p",
        {},
        say`Nothing is known of “${clean(model, 80)}”.`,
        " ",
        h("a", { href: app.href({ view: "table", cell: "", model: "" }) }, say`All figures`),
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
      say`${cells.length === 1 ? say`One cell` : say`${cells.length} cells`};
        ${[...new Set(cells.map((c) => word("category", c.category)))].join(say`, `)};
        ${params(cell.params)} parameters${
          cell.architecture ? say`; ${clean(cell.architecture, 60)}` : ""
        }.`,
    ),
    cell.weights === "replica"
      ? h(
          "p",
          { class: "warn" },
          say`This is a ${REPLICA}: its answers mean nothing and its quality is unknown.`,
        )
      : null,
    h(
      "p",
      {},
      h("label", { class: "check" }, picker(app, cell), " ", say`compare this model`),
      " ",
      app.state.m.length > 1
        ? h("a", { href: app.href({ view: "compare" }) }, say`to the comparison`)
        : "",
    ),
    table(
      say`All cells of this model, per 1,000 inferences`,
      [
        [
          say`Task and dataset`,
          (c) =>
            h(
              "a",
              { href: app.href({ cell: c.id, model }), "aria-current": c === cell ? "true" : null },
              name(taskOn(c, 200)),
            ),
        ],
        [say`Study`, (c) => [name(sourceName(c)), replica(c)]],
        [say`Energy`, (c) => energy(kwh(c, setting)?.value), { number: true }],
        [say`95 % interval`, (c) => interval(kwh(c, setting), "kwh"), { number: true }],
        ["CO₂e", (c) => mass(grams(c, setting)?.value), { number: true }],
        [
          say`Quality`,
          (c) => (c.metric ? `${clean(c.metric, 30)} ${qualityInterval(c)}` : NONE),
          { number: true },
        ],
        [say`Time per inference`, (c) => seconds(timeEach(c)), { number: true }],
        [say`Runs`, (c) => number(c.done), { number: true }],
        [say`Provenance`, (c) => provenanceWord(c, setting.boundary)],
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
    h("h2", {}, name(taskOn(cell, 200))),
    table(
      say`Per 1,000 inferences, by what counts`,
      [
        [say`Boundary`, (b) => word("boundary", b)],
        [
          say`Energy`,
          (b) => energy(kwh(cell, { ...setting, boundary: b, net: false })?.value),
          { number: true },
        ],
        [
          term("interval"),
          (b) => interval(kwh(cell, { ...setting, boundary: b, net: false }), "kwh"),
          { number: true },
        ],
        [
          say`Above idle`,
          (b) => energy(kwh(cell, { ...setting, boundary: b, net: true })?.value),
          { number: true },
        ],
        [
          say`95 % interval, above idle`,
          (b) => interval(kwh(cell, { ...setting, boundary: b, net: true }), "kwh"),
          { number: true },
        ],
        [
          "CO₂e",
          (b) => mass(grams(cell, { ...setting, boundary: b, net: false })?.value),
          { number: true },
        ],
        [term("provenance", say`Provenance`), (b) => provenanceWord(cell, b)],
        [
          say`Over ${term("session", say`sessions`)}`,
          (b) =>
            overSessions(
              app.data.evidence,
              kwh(cell, { ...setting, boundary: b, net: false }),
              energy,
            ) ?? "–",
        ],
        [say`Note`, (b) => english(clean(problem(cell, b) ?? "–", 200), "problem")],
      ],
      BOUNDARIES,
    ),
    parts.length
      ? h("p", { class: "note" }, say`Relative uncertainties, each with ${term("k2")}.`)
      : null,
    parts.length
      ? table(
          say`What the interval is made of (${word("boundary", setting.boundary)}, k = 2)`,
          [
            [say`Part`, (p) => p.name],
            [say`Below`, (p) => `−${percent(p.low)}`, { number: true }],
            [say`Above`, (p) => `+${percent(p.high)}`, { number: true }],
          ],
          parts,
        )
      : null,
    sessions(app, cell, setting),
    servingSection(cell, setting),
    h("h2", {}, say`What it rests on`),
    h(
      "dl",
      {},
      [
        [say`Study`, sourceName(cell)],
        [say`Measured by`, cell.source],
        [say`Weights`, cell.weights === "replica" ? REPLICA : say`the model's own, or not stated`],
        [say`Hardware`, cell.device ?? NONE],
        [say`Machine and versions`, say`fingerprint ${cell.fingerprint}`],
        [say`Backend`, cell.backend],
        [say`Batch`, cell.batch_size === null ? say`not stated` : number(cell.batch_size)],
        [
          say`Settings`,
          Object.keys(cell.settings).length ? JSON.stringify(cell.settings) : say`none`,
        ],
        [say`Runs`, say`${cell.done} done, ${cell.failed} failed, ${cell.invalid} invalid`],
        [
          say`Quality`,
          cell.metric
            ? `${clean(cell.metric, 40)} ` +
              qualityInterval(cell) +
              (cell.quality_n ? say`, ${number(cell.quality_n)} samples` : "") +
              (cell.unreadable
                ? say`, ${number(cell.unreadable)} answers unreadable (counted wrong)`
                : "")
            : NONE,
        ],
        [
          say`Latency`,
          cell.latency_p50 === null
            ? say`${seconds(timeEach(cell))} each, by the mean`
            : say`${seconds(cell.latency_p50)} median, ${seconds(cell.latency_p95)} at the 95th
              percentile`,
        ],
        [say`Get it again`, again(cell)],
      ].map(([k, v]) => [h("dt", {}, k), h("dd", {}, typeof v === "string" ? name(v) : v)]),
    ),
    [...cell.reasons, ...cell.notes].map((n) =>
      h("p", { class: "note" }, english(clean(n, 400), "note")),
    ),
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
  const over = words ? say`, ${words}` : "";
  return [
    table(
      machines
        ? say`By session and machine (${within(setting)})`
        : say`By session (${within(setting)})`,
      [
        [say`Session`, (s) => name(s.session.slice(0, 12))],
        ...(machines ? [machineColumn] : []),
        [say`Trials`, (s) => number(s.n), { number: true }],
        [say`Energy`, (s) => energy(s.kwh.value), { number: true }],
        [say`95 % interval, from its trials`, (s) => interval(s.kwh, "kwh"), { number: true }],
      ],
      each,
    ),
    h(
      "p",
      { class: "note", id: "over-sessions" },
      say`All of them: ${energy(all?.value)}, ${interval(all, "kwh")}${over}.`,
    ),
  ];
}

/** @type {Column<SessionFigure>} */
const machineColumn = [say`Machine`, (s) => name(s.machine.slice(0, 40) || say`this one`)];

/** @param {Cell} cell */
function again(cell) {
  if (cell.origin === "shipped")
    return say`permille reproduce prints the paper's tables from these figures; permille import
        power-hungry-2023 PATH reads the runs behind them`;
  if (cell.source !== "permille") return say`permille import ${cell.source} PATH, of the same file`;
  return say`permille run with the same study, on the same machine and versions`;
}

/**
 * @param {App} app
 * @param {Cell} cell
 */
function runs(app, cell) {
  const box = h("div", {}, h("h2", {}, say`Runs`));
  if (cell.origin === "shipped") {
    box.append(
      h(
        "p",
        {},
        say`The ${number(cell.done)} runs behind this cell do not ship with permille; their
          number, mean and deviation do.`,
      ),
    );
    return box;
  }
  const waiting = h("p", {}, say`Reading the runs …`);
  box.append(waiting);
  const arrived = trials(app, cell.id).then(
    (found) => {
      waiting.replaceWith(
        found === null
          ? h("p", {}, say`The runs are not in this file.`)
          : table(
              found.length < cell.done + cell.failed + cell.invalid
                ? say`The newest ${number(found.length)} of
                  ${number(cell.done + cell.failed + cell.invalid)} runs`
                : runsOf(found.length),
              [
                [
                  say`Run`,
                  (t) =>
                    app.inFile && !own(app.data.runs, t.uid)
                      ? say`repeat ${t.repeat}`
                      : h(
                          "a",
                          { href: app.href({ view: "run", uid: t.uid, cell: cell.id }) },
                          say`repeat ${t.repeat}`,
                        ),
                ],
                [say`Status`, (t) => word("status", t.status)],
                [say`Started`, (t) => name(t.started.slice(0, 40))],
                [say`Query`, (t) => seconds(t.seconds), { number: true }],
                [
                  say`Inferences`,
                  (t) => (t.inferences === null ? NONE : number(t.inferences)),
                  { number: true },
                ],
                [say`Reason`, (t) => english(clean(t.reason ?? "–", 200))],
              ],
              found,
            ),
      );
    },
    (error) =>
      waiting.replaceWith(
        h("p", { class: "warn" }, say`The runs cannot be read: ${english(error.message)}`),
      ),
  );
  app.awaited.push(arrived);
  return box;
}

/** @param {number} count */
const runsOf = (count) => (count === 1 ? say`One run` : say`${number(count)} runs`);

/**
 * @param {App} app
 * @param {string} id
 * @returns {Promise<ListedTrial[] | null>}
 */
async function trials(app, id) {
  if (app.inFile) return own(app.data.trials, id) ?? null;
  return (await asked(`/trials/${encodeURIComponent(id)}`)).data;
}
