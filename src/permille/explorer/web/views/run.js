// A run's page: its power over time with its spans, its energy by domain, all that it rests on.

import { chart, COLOURS, drawing, entry, Plot } from "../chart.js";
import { clean, h, name, own, replaceChildren, table } from "../dom.js";
import { energy, NONE, number, percent, seconds } from "../format.js";
import { JOULES_PER_KWH } from "../figures.js";
import { term } from "../glossary.js";
import { REPLICA } from "../shared.js";
import { asked } from "./model.js";

/** @import { PageRun, RunDomain } from "../document" */
/** @import { App } from "../main.js" */

const BANDS = { idle: "var(--c2)", load: "var(--c5)", warmup: "var(--c4)", query: "var(--c3)" };

/** @param {App} app */
export function runPage(app) {
  const { uid } = app.state;
  const box = h("div", {}, h("h1", {}, "A run"), h("p", {}, "Reading the run …"));
  const found = app.inFile
    ? Promise.resolve(own(app.data.runs, uid) ?? null)
    : asked(`/run/${encodeURIComponent(uid.slice(0, 300))}`);
  const arrived = found.then(
    (run) =>
      replaceChildren(
        box,
        run
          ? page(app, run)
          : [
              h("h1", {}, "A run"),
              h("p", {}, "This run is not in this file: permille explore shows it from its store."),
            ],
      ),
    (error) =>
      box.replaceChildren(
        h("h1", {}, "A run"),
        h("p", { class: "warn" }, `The run cannot be read: ${error.message}`),
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
    h("h1", {}, "Run of ", name(run.model)),
    h(
      "p",
      { class: "lead" },
      name(`${run.task} on ${run.dataset}`),
      ", ",
      term("trial", "repeat"),
      ` ${run.repeat}: ${run.status}${run.reason ? `, ${clean(run.reason, 300)}` : ""}. `,
      app.state.cell
        ? h("a", { href: app.href({ view: "model", uid: "" }) }, "All cells of the model")
        : null,
    ),
    run.weights === "replica" ? h("p", { class: "warn" }, `This is a ${REPLICA}.`) : null,
    run.power.some((p) => p.points.length)
      ? trace(app, run)
      : h("p", {}, "This run came without a recording: there is no power over time to draw."),
    table(
      "Energy by phase and domain",
      [
        ["Phase", (r) => r.phase],
        ["Length", (r) => seconds(r.seconds), { number: true }],
        [term("domain", "Domain"), (r) => name(r.domain)],
        [
          "Energy",
          (r) => (r.found ? energy(r.found.energy_j / JOULES_PER_KWH) : "n/a"),
          { number: true },
        ],
        [
          "Mean power",
          (r) => (r.found && r.seconds > 0 ? `${number(r.found.energy_j / r.seconds)} W` : "n/a"),
          { number: true },
        ],
        [
          term("k2", "Accuracy"),
          (r) =>
            r.found
              ? `−${percent(r.found.accuracy_low)} / +${percent(r.found.accuracy_high)}`
              : "n/a",
          { number: true },
        ],
        [
          term("provenance", "Provenance"),
          (r) =>
            r.found
              ? `${r.found.provenance}, ${clean(r.found.meter, 40)}`
              : clean(r.problem ?? NONE, 200),
        ],
      ],
      rowsOf(run),
    ),
    h("h2", {}, "How to get it again"),
    h("p", {}, h("code", {}, clean(run.again, 300))),
    facts("Protocol", run.protocol),
    facts("Settings of the cell", run.settings),
    facts("Machine and versions", run.environment),
    facts("Files of the model (sha256)", run.files),
    run.overhead
      ? facts("What recording it took", {
          "CPU time": seconds(run.overhead.cpu_s),
          "of a recording of": seconds(run.overhead.wall_s),
          readings: number(run.overhead.polls),
          missed: number(run.overhead.missed),
        })
      : null,
    run.notes.map((n) => h("p", { class: "note" }, clean(n, 400))),
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
        h("dt", {}, clean(k, 60)),
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
      label: "since the recording began →",
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
        .filter((s) => (s.to_s - s.from_s) / end > 40 / width)
        .map((s) =>
          Plot.text([s], {
            x: (d) => (d.from_s + d.to_s) / 2,
            y: () => most * 1.08,
            text: (d) => clean(d.name, 20),
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
        fillOpacity: 0,
        stroke: "none",
      }),
    ],
    color: { type: "identity" },
  }));
  return [
    chart(app, "Power over time", {
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
        `${number(p.w)} W at ${number(p.s)} s`,
        p.provenance,
        spans
          .filter((s) => s.from_s <= p.s && p.s < s.to_s)
          .map((s) => s.name)
          .join(", "),
      ],
      legend: [
        ...series.map((p, i) => entry(name(p.domain), COLOURS[i % COLOURS.length], "line")),
        ...[...new Set(spans.map((s) => s.name))].map((s) =>
          entry(clean(s, 30), own(BANDS, s) ?? "var(--c6)", "square"),
        ),
      ],
      note: "Means over equal stretches of the recording; shaded, what the worker was doing.",
    }),
    table(
      "Spans",
      [
        [term("span", "Span"), (s) => name(s.name)],
        ["From", (s) => seconds(s.from_s), { number: true }],
        ["To", (s) => seconds(s.to_s), { number: true }],
        [
          "Mean power by domain",
          (s) =>
            series
              .map((p) => {
                const inside = p.points.filter(([t]) => t >= s.from_s && t < s.to_s);
                const sum = inside.reduce((total, [, w]) => total + w, 0);
                const mean = inside.length ? `${number(sum / inside.length)} W` : NONE;
                return `${clean(p.domain, 30)} ${mean}`;
              })
              .join(", "),
        ],
      ],
      spans,
    ),
  ];
}
