// A run's page: its power over time with its spans, its energy by domain, all that it rests on.

import { chart, COLOURS, drawing, entry, Plot } from "../chart.js";
import { clean, h, name, own, replaceChildren, table } from "../dom.js";
import { energy, NONE, number, percent, seconds } from "../format.js";
import { JOULES_PER_KWH, meanPower } from "../figures.js";
import { term } from "../glossary.js";
import { english, say, word } from "../say.js";
import { REPLICA, taskOn } from "../shared.js";
import { asked } from "../source.js";

/** @import { PageRun, RunDomain } from "../document" */
/** @import { App } from "../main.js" */

const BANDS = { idle: "var(--c2)", load: "var(--c5)", warmup: "var(--c4)", query: "var(--c3)" };

/** @param {App} app */
export function runPage(app) {
  const { uid } = app.state;
  const box = h("div", {}, h("h1", {}, say`A run`), h("p", {}, say`Reading the run …`));
  const found = app.inFile
    ? Promise.resolve(own(app.data.runs, uid) ?? null)
    : asked(`/run/${encodeURIComponent(uid.slice(0, 300))}`).then(({ data }) => data);
  const arrived = found.then(
    (run) =>
      replaceChildren(
        box,
        run
          ? page(app, run)
          : [
              h("h1", {}, say`A run`),
              h(
                "p",
                {},
                say`This run is not in this file: permille explore shows it from its store.`,
              ),
            ],
      ),
    (error) =>
      box.replaceChildren(
        h("h1", {}, say`A run`),
        h("p", { class: "warn" }, say`The run cannot be read: ${english(error.message)}`),
      ),
  );
  app.awaited.push(arrived);
  return [box];
}

/**
 * A domain of a phase: what was found, or why there is nothing.
 * @typedef {{ phase: string; seconds: number; domain: string; found?: RunDomain;
 *   problem?: string }} Row
 */

/**
 * @param {PageRun} run
 * @returns {Row[]}
 */
const rowsOf = (run) =>
  Object.entries(run.phases).flatMap(([phase, { seconds: length, domains, problems }]) => [
    ...Object.entries(domains).map(([domain, found]) => ({
      phase,
      seconds: length,
      domain,
      found,
    })),
    ...Object.entries(problems).map(([domain, problem]) => ({
      phase,
      seconds: length,
      domain,
      problem,
    })),
  ]);

/**
 * @param {App} app
 * @param {PageRun} run
 */
function page(app, run) {
  return [
    h("h1", {}, say`Run of ${name(run.model)}`),
    h(
      "p",
      { class: "lead" },
      say`${name(taskOn(run, 200))}, ${term("trial", say`repeat`)} ${run.repeat}: ${[
        word("status", run.status),
        run.reason ? say`, ${english(clean(run.reason, 300))}` : "",
      ]}.`,
      " ",
      app.state.cell
        ? h("a", { href: app.href({ view: "model", uid: "" }) }, say`All cells of the model`)
        : null,
    ),
    run.weights === "replica" ? h("p", { class: "warn" }, say`This is a ${REPLICA}.`) : null,
    run.power.some((p) => p.points.length)
      ? trace(app, run)
      : h("p", {}, say`This run came without a recording: there is no power over time to draw.`),
    table(
      say`Energy by phase and domain`,
      [
        [say`Phase`, (r) => word("phase", r.phase)],
        [say`Length`, (r) => seconds(r.seconds), { number: true }],
        [term("domain", say`Domain`), (r) => name(r.domain)],
        [
          say`Energy`,
          (r) => (r.found ? energy(r.found.energy_j / JOULES_PER_KWH) : NONE),
          { number: true },
        ],
        [
          say`Mean power`,
          (r) => (r.found && r.seconds > 0 ? `${number(r.found.energy_j / r.seconds)} W` : NONE),
          { number: true },
        ],
        [
          term("k2", say`Accuracy`),
          (r) =>
            r.found
              ? `−${percent(r.found.accuracy_low)} / +${percent(r.found.accuracy_high)}`
              : NONE,
          { number: true },
        ],
        [
          term("provenance", say`Provenance`),
          (r) =>
            r.found
              ? say`${word("provenance", r.found.provenance)}, ${clean(r.found.meter, 40)}`
              : english(clean(r.problem ?? "n/a", 200), "problem"),
        ],
      ],
      rowsOf(run),
    ),
    h("h2", {}, say`How to get it again`),
    h("p", { lang: "en" }, h("code", {}, clean(run.again, 300))),
    facts(say`Protocol`, run.protocol),
    facts(say`Settings of the cell`, run.settings),
    facts(say`Machine and versions`, run.environment),
    facts(say`Files of the model (sha256)`, run.files),
    run.overhead
      ? facts(say`What recording it took`, {
          [say`CPU time`]: seconds(run.overhead.cpu_s),
          [say`of a recording of`]: seconds(run.overhead.wall_s),
          [say`readings`]: number(run.overhead.polls),
          [say`missed`]: number(run.overhead.missed),
        })
      : null,
    run.notes.map((n) => h("p", { class: "note" }, english(clean(n, 400), "note"))),
  ];
}

/**
 * @param {string} title
 * @param {{ [key: string]: unknown }} found
 */
function facts(title, found) {
  const entries = Object.entries(found ?? {});
  if (!entries.length) return null;
  return [
    h("h2", {}, title),
    h(
      "dl",
      {},
      entries.map(([k, v]) => [
        h("dt", {}, name(word("protocol", k).slice(0, 60))),
        h("dd", {}, name(typeof v === "object" ? JSON.stringify(v) : v)),
      ]),
    ),
  ];
}

/**
 * @param {App} app
 * @param {PageRun} run
 */
function trace(app, run) {
  const series = run.power.filter((p) => p.points.length);
  const points = series.flatMap((p, i) =>
    p.points.map(([s, w]) => ({
      s,
      w,
      domain: p.domain,
      provenance: p.provenance,
      colour: COLOURS[i % COLOURS.length],
    })),
  );
  const most = Math.max(...points.map((p) => p.w)),
    end = Math.max(...points.map((p) => p.s), ...run.spans.map((s) => s.to_s));
  // What ended before the first reading has no place on the axis.
  const spans = run.spans.filter((s) => s.to_s > 0);
  const draw = drawing(points, (width) => ({
    height: 340,
    marginLeft: 52,
    marginRight: 14,
    marginTop: 34,
    marginBottom: 42,
    x: {
      domain: [0, end],
      ticks: Math.max(3, Math.floor(width / 110)),
      tickFormat: (v) => `${number(v)} s`,
      label: say`since the recording began →`,
    },
    y: {
      domain: [0, most * 1.08 || 1],
      ticks: 6,
      tickFormat: (v) => `${number(v)} W`,
      label: null,
      grid: true,
    },
    marks: [
      spans.map((s) =>
        Plot.areaY([s.from_s, s.to_s], {
          x: (t) => t,
          y1: 0,
          y2: () => most * 1.08,
          fill: own(BANDS, s.name) ?? "var(--c6)",
          fillOpacity: 0.14,
        }),
      ),
      spans
        // A span of fewer pixels has no room for its name; the table below has it.
        .filter((s) => (s.to_s - s.from_s) / end > 40 / width)
        .map((s) =>
          Plot.text([s], {
            x: (d) => (d.from_s + d.to_s) / 2,
            y: () => most * 1.08,
            text: (d) => clean(word("phase", d.name), 20),
            dy: -8,
            fill: "var(--ink)",
          }),
        ),
      series.map((p, i) =>
        Plot.line(p.points, {
          stroke: COLOURS[i % COLOURS.length],
          strokeWidth: 1.6,
          curve: "step-after",
        }),
      ),
      Plot.dot(points, {
        className: "pt",
        x: "s",
        y: "w",
        r: 3,
        fill: "colour",
        // Not to be seen: what a pointer and the arrow keys find along the lines.
        fillOpacity: 0,
        stroke: "none",
      }),
    ],
    color: { type: "identity" },
  }));
  return [
    chart(app, say`Power over time`, {
      file: "permille-power",
      draw,
      data: () =>
        points.map((p) => ({
          uid: run.uid,
          domain: p.domain,
          provenance: p.provenance,
          seconds: p.s,
          watts: p.w,
        })),
      describe: (p) => [
        name(p.domain),
        say`${number(p.w)} W at ${number(p.s)} s`,
        word("provenance", p.provenance),
        spans
          .filter((s) => s.from_s <= p.s && p.s < s.to_s)
          .map((s) => word("phase", s.name))
          .join(say`, `),
      ],
      legend: [
        ...series.map((p, i) => entry(name(p.domain), COLOURS[i % COLOURS.length], "line")),
        ...[...new Set(spans.map((s) => s.name))].map((s) =>
          entry(clean(word("phase", s), 30), own(BANDS, s) ?? "var(--c6)", "square"),
        ),
      ],
      note: say`Means over equal stretches of the recording; shaded, what the worker was doing.`,
    }),
    table(
      say`Spans`,
      [
        [term("span", say`Span`), (s) => name(word("phase", s.name))],
        [say`From`, (s) => seconds(s.from_s), { number: true }],
        [say`To`, (s) => seconds(s.to_s), { number: true }],
        [
          say`Mean power by domain`,
          (s) =>
            series
              .map((p) => {
                const mean = meanPower(p.points, s.from_s, s.to_s);
                return `${clean(p.domain, 30)} ${mean === null ? NONE : `${number(mean)} W`}`;
              })
              .join(say`, `),
        ],
      ],
      spans,
    ),
  ];
}
