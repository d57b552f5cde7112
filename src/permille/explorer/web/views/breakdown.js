// Where the energy goes, and what the study's numbers rest on: the audit as pictures.

import { chart, drawing, entry, Plot, room, tall } from "../chart.js";
import { clean, h, name, table } from "../dom.js";
import { energy, NONE, number, percent } from "../format.js";
import { BOUNDARIES, bounded, meanJoules } from "../figures.js";
import { DEFINITION } from "../general.js";
import { english, say, word } from "../say.js";
import { groupBy, sourceKey, sourceLabel, sourceName } from "../shared.js";
import { FILTERS } from "../state.js";
import { decades } from "../ticks.js";
import { extent } from "./size.js";

/** @import { Audit, Cell, GeneralToSpecific, PageStudy, TaskEnergy } from "../document" */
/** @import { App } from "../main.js" */
/** @import { Column } from "../page" */

/**
 * @typedef {[key: string, label: string, colour: string]} Part
 * @typedef {{ key: string; words: string; task: string; list: Cell[]; of: Bar[];
 *   total: number }} Group
 * `metered`: the number of cells that have the part.
 * @typedef {{ label: string; colour: string; task: string; key: string; share: number | null;
 *   metered: number; from: number; to: number }} Bar
 * @typedef {TaskEnergy & { kwh: number | null }} Task
 * @typedef {TaskEnergy & { kwh: number }} DrawnTask
 */

/* eslint-disable no-restricted-syntax -- keys of the words */
/** @type {Part[]} */
const PARTS = [
  ["active_gpu", "GPUs in use", "var(--c0)"],
  ["idle_gpus", "idle GPUs", "var(--c2)"],
  ["cpu", "CPU", "var(--c1)"],
  ["ram", "DRAM", "var(--c3)"],
  ["other", "other components", "var(--c4)"],
  ["rest_of_node", "rest of the machine", "var(--c5)"],
];
/* eslint-enable no-restricted-syntax */
/** @type {{ [boundary: string]: string }} */
const SHAPE = { accelerator: "circle", compute: "diamond", node: "square", facility: "triangle" };
/** @type {{ [boundary: string]: string }} */
const TONE = {
  accelerator: "var(--c0)",
  compute: "var(--c1)",
  node: "var(--c3)",
  facility: "var(--c4)",
};

/** @param {App} app */
export function breakdown(app) {
  const cells = app.selection();
  return [
    h("h1", {}, say`Where the energy goes`),
    h(
      "p",
      { class: "lead" },
      say`Of the whole machine (node), while it answered: what is metered or estimated of it.
        Below, what each study's numbers rest on, as permille audit prints it.`,
    ),
    shares(app, cells),
    app.studies.map((s) => {
      /** @param {Cell[]} list */
      const count = (list) => list.filter((c) => sourceKey(c) === sourceKey(s)).length;
      const selected = count(cells),
        all = count(app.cells);
      // An audit is of all cells of its study: beside a part of them it would mislead.
      if (selected === all) return audit(app, s);
      return selected ? audited(app, s, selected, all) : null;
    }),
  ];
}

/** @param {Cell} cell */
const runsOf = (cell) => cell.node_n ?? 0;

/**
 * The shares of what cells of one task and study are made of, one behind the other.
 * @param {Cell[]} list
 * @returns {Group}
 */
function group(list) {
  const task = list[0].task;
  const key = `${task} · ${sourceLabel(list[0])}`;
  const words = `${word("task", task)} · ${sourceName(list[0])}`;
  // A part's joules over those of all cells, each counted by its runs, as permille audit has it.
  const total = list.reduce((sum, c) => sum + runsOf(c) * (meanJoules(c, "node", false) ?? 0), 0);
  let end = 0;
  const of = PARTS.map(([k, label, colour]) => {
    const having = list.filter((c) => c[`part_${k}`] !== null);
    const share = having.length
      ? having.reduce((sum, c) => sum + (runsOf(c) * (c[`part_${k}`] ?? 0)) / total, 0)
      : null;
    const from = end;
    end += share ?? 0;
    return { label, colour, task, key, share, metered: having.length, from, to: end };
  });
  return { key, words, task, list, of, total };
}

/**
 * A part's share, and in how many of the cells it is metered if not in all.
 * @param {Group} of
 * @param {Bar | undefined} part
 */
const shareWords = ({ list }, part) =>
  part && part.share !== null && part.metered < list.length
    ? say`${percent(part.share)} (metered in ${number(part.metered)} of ${number(list.length)}
        cells)`
    : percent(part?.share);

/**
 * What parts are that have no meter of their own kind, where there are such.
 * @param {string[]} keys
 */
const unusual = (keys) => [
  keys.includes("rest_of_node")
    ? [
        " ",
        say`Rest of the machine: what a meter of the whole machine reads beyond the components
          that have meters of their own.`,
      ]
    : null,
  keys.includes("other")
    ? [
        " ",
        say`Other components are neither CPU, DRAM nor GPU, such as a neural engine; the page of a
          run has their names.`,
      ]
    : null,
];

/**
 * @param {App} app
 * @param {Cell[]} cells
 */
function shares(app, cells) {
  const known = cells.filter((c) => PARTS.some(([k]) => c[`part_${k}`] !== null));
  const groups = [...groupBy(known, (c) => JSON.stringify([c.task, sourceKey(c)])).values()]
    .map(group)
    .filter((g) => g.total > 0);
  if (!groups.length)
    return h("p", {}, say`No cell of this selection says what its energy is made of.`);
  const several = new Set(cells.map(sourceKey)).size > 1;
  /**
   * @param {Group} g
   * @param {number} [most]
   */
  const label = (g, most = 52) => clean(several ? g.words : word("task", g.task), most);
  const bars = groups.flatMap((g) => g.of.filter((p) => p.share !== null));
  const parts = PARTS.filter(([, l]) => bars.some((b) => b.label === l));
  /** @param {Bar} bar */
  const groupOf = (bar) => /** @type {Group} */ (groups.find((g) => g.key === bar.key));
  const draw = drawing(bars, (width) => {
    const narrow = width < (several ? 900 : 640);
    return {
      height: tall(groups.length, narrow ? 52 : 32, 60),
      marginLeft: narrow
        ? 6
        : Math.min(370, 16 + 6.6 * Math.max(...groups.map((g) => room(label(g))))),
      marginRight: 16,
      marginTop: 8,
      marginBottom: 40,
      x: {
        domain: [0, Math.max(1, ...bars.map((b) => b.to))],
        ticks: 5,
        tickFormat: (v) => percent(v),
        label: say`share of the node's energy →`,
        grid: true,
      },
      y: {
        domain: groups.map((g) => g.key),
        tickFormat: (k) =>
          narrow ? "" : groups.filter((g) => g.key === k).map((g) => label(g))[0],
        tickSize: 0,
        label: null,
        padding: narrow ? 0.5 : 0.25,
      },
      marks: [
        Plot.barX(bars, {
          className: "pt",
          x1: "from",
          x2: "to",
          y: "key",
          fill: "colour",
          insetLeft: 0.5,
          insetRight: 0.5,
        }),
        narrow
          ? Plot.text(groups, {
              x: 0,
              y: "key",
              text: (g) => label(g, Math.floor(width / 7.8)),
              textAnchor: "start",
              dy: -21,
              fontWeight: 600,
              fill: "var(--ink)",
              stroke: "var(--ground)",
              strokeWidth: 4,
            })
          : null,
      ],
      color: { type: "identity" },
    };
  });
  return [
    chart(app, say`Energy of the machine by component`, {
      file: "permille-components",
      draw,
      data: () =>
        bars.map((b) => ({
          group: b.key,
          task: b.task,
          component: b.label,
          share_of_node: b.share,
          cells: groupOf(b).list.length,
          cells_metered: b.metered,
        })),
      describe: (p) => [
        word("part", p.label),
        shareWords(groupOf(p), p),
        groupOf(p).words.slice(0, 120),
      ],
      legend: parts.map(([, l, c]) => entry(word("part", l), c, "square")),
      note: [
        say`A component that no cell of a bar has a meter of is left out. If only some of the cells
          have one, the component counts as 0 in the others: the table says how many have one.
          Provenance differs by component: see About.`,
        unusual(parts.map(([k]) => k)),
      ],
    }),
    table(
      say`Share of the machine's energy by component`,
      [
        [say`Task`, (g) => name(several ? g.words : word("task", g.task))],
        ...parts.map(
          ([, l]) =>
            /** @type {Column<Group>} */ ([
              word("part", l),
              (g) =>
                shareWords(
                  g,
                  g.of.find((p) => p.label === l),
                ),
              { number: true },
            ]),
        ),
        [say`Cells`, (g) => number(g.list.length), { number: true }],
      ],
      groups,
    ),
  ];
}

/**
 * @param {App} app
 * @param {PageStudy} study
 * @param {number} selected
 * @param {number} all
 */
function audited(app, study, selected, all) {
  const { origin } = study;
  const whole = { ...Object.fromEntries(FILTERS.map((f) => [f, ""])), origin, study: study.study };
  return h(
    "p",
    { class: "audit" },
    say`What ${name(sourceName(study))} rests on is known of all its ${number(all)} cells;
      ${number(selected)} match the filters.
      ${h("a", { href: app.href(whole) }, say`Show the whole study`)}.`,
  );
}

/**
 * @param {App} app
 * @param {PageStudy} study
 */
function audit(app, study) {
  const found = study.audit,
    pue = app.setting.pue;
  /** @type {Task[]} */
  const tasks = found.tasks.map((t) => ({
    ...t,
    kwh: t.kwh_per_1000 === null ? null : t.kwh_per_1000 * (t.boundary === "facility" ? pue : 1),
  }));
  const drawnTasks = tasks.flatMap((t) =>
    t.kwh !== null && t.kwh > 0 ? [{ ...t, kwh: t.kwh }] : [],
  );
  const names = [...groupBy(drawnTasks, (t) => t.task)]
    .map(([task, list]) => ({ task, most: Math.max(...list.map((t) => t.kwh)) }))
    .sort((a, b) => a.most - b.most)
    .map(({ task }) => task);
  const r = found.duration_correlation;
  return h(
    "section",
    { class: "audit" },
    h(
      "h2",
      {},
      say`What ${name(sourceName(study))} rests on: ${
        found.cells === 1 ? say`1 cell` : say`${number(found.cells)} cells`
      }, ${found.runs === 1 ? say`1 run` : say`${number(found.runs)} runs`}`,
    ),
    h(
      "p",
      {},
      Object.entries(found.shares)
        .filter(([, s]) => s !== null)
        .map(([k, s]) => `${word("part", PARTS.find(([p]) => p === k)?.[1] ?? k)} ${percent(s)}`)
        .join(say`, `) || say`It is not known what the energy is made of`,
      say`.`,
    ),
    h(
      "p",
      {},
      r === null || found.mean_power_w === null
        ? say`How much of the energy is time cannot be told; the reason is below.`
        : [
            say`Energy and duration correlate at ${r.toFixed(5)}; mean power
              ${number(found.mean_power_w)} W.`,
            " ",
            r > 0.99
              ? say`Energy here is duration times a constant, nearly.`
              : say`Energy is more than duration times a constant.`,
          ],
    ),
    drawnTasks.length ? boundaries(app, names, drawnTasks) : null,
    h(
      "details",
      {},
      h("summary", {}, say`The same in words`),
      table(
        say`kWh per 1,000 by boundary (facility at PUE ${number(pue)})`,
        [
          [say`Task`, (t) => name(word("task", t))],
          ...BOUNDARIES.map(
            (b) =>
              /** @type {Column<string>} */ ([
                word("boundary", b),
                (t) => energy(tasks.find((x) => x.task === t && x.boundary === b)?.kwh),
                { number: true },
              ]),
          ),
          [say`Models`, (t) => modelsOf(tasks.find((x) => x.task === t))],
        ],
        [...new Set(tasks.map((t) => t.task))],
      ),
      found.kendall_tau.map((k) =>
        h(
          "p",
          {},
          say`Ranking of ${k.tasks} tasks, ${word("boundary", k.a)} against
            ${word("boundary", k.b)}: Kendall's tau ${k.tau === null ? NONE : k.tau.toFixed(3)}
            (1: the same order).`,
        ),
      ),
    ),
    found.general_to_specific.length
      ? ratios(app, found)
      : h("p", {}, say`No task has models of both categories: nothing to compare.`),
    found.notes.map((n) => h("p", { class: "note" }, english(n))),
  );
}

/**
 * @param {App} app
 * @param {string[]} names
 * @param {DrawnTask[]} list
 */
function boundaries(app, names, list) {
  // The facility first: at a PUE of 1 the node stands on it.
  const tasks = [...list].sort(
    (a, b) => Number(b.boundary === "facility") - Number(a.boundary === "facility"),
  );
  const x = extent(tasks.map((t) => t.kwh));
  const draw = drawing(tasks, (width) => {
    const narrow = width < 640;
    return {
      height: tall(names.length, narrow ? 44 : 30, 60),
      marginLeft: narrow ? 6 : 170,
      marginRight: 16,
      marginTop: 8,
      marginBottom: 40,
      x: {
        type: "log",
        domain: x,
        ticks: decades(...x, (width - (narrow ? 22 : 186)) / 76),
        tickFormat: (v) => energy(v),
        label: say`Energy per 1,000 (logarithmic) →`,
        grid: true,
      },
      y: {
        type: "point",
        domain: names,
        tickFormat: (n) => (narrow ? "" : clean(word("task", n), 26)),
        tickSize: 0,
        label: null,
      },
      marks: [
        Plot.link(
          names.map((n) => ({ n, list: tasks.filter((t) => t.task === n).map((t) => t.kwh) })),
          {
            x1: (d) => Math.min(...d.list),
            x2: (d) => Math.max(...d.list),
            y1: "n",
            y2: "n",
            stroke: "var(--line)",
            strokeWidth: 2,
          },
        ),
        narrow
          ? Plot.text(names, {
              x: () => x[0],
              y: (n) => n,
              text: (n) => clean(word("task", n), 40),
              textAnchor: "start",
              dy: -14,
              fontWeight: 600,
              fill: "var(--ink)",
              stroke: "var(--ground)",
              strokeWidth: 4,
            })
          : null,
        Plot.dot(tasks, {
          className: "pt",
          x: "kwh",
          y: "task",
          r: (t) => (t.boundary === "facility" ? 8 : 4.5),
          fill: (t) => TONE[t.boundary],
          fillOpacity: 0.85,
          symbol: (/** @type {DrawnTask} */ t) => SHAPE[t.boundary],
        }),
      ],
      r: { type: "identity" },
      color: { type: "identity" },
      symbol: { type: "identity" },
    };
  });
  return chart(app, say`The same tasks by boundary`, {
    file: "permille-boundaries",
    draw,
    data: () =>
      tasks.map((t) => ({
        task: t.task,
        boundary: t.boundary,
        models: t.models,
        kwh_per_1000: t.kwh,
        pue: t.boundary === "facility" ? app.setting.pue : null,
      })),
    describe: (t) => [
      word("task", t.task).slice(0, 80),
      word("boundary", t.boundary),
      say`${energy(t.kwh)} per 1,000, ${modelsOf(t)} models`,
    ],
    legend: BOUNDARIES.map((b) => [word("boundary", b), TONE[b], SHAPE[b]]),
    note: say`At a PUE of 1 facility and node are the same: its mark stands behind the node's.`,
  });
}

/**
 * The categories of a task's models.
 * @param {TaskEnergy | undefined} task
 */
const modelsOf = (task) => (task ? word("models", task.models) : NONE);

const PLAIN = { what: say`ratio of the means`, symbol: "circle", colour: "var(--c0)" };
const EQUAL = { what: say`at equal size`, symbol: "diamond", colour: "var(--c1)" };

/**
 * @param {App} app
 * @param {GeneralToSpecific[]} rows
 */
function ratioChart(app, rows) {
  const points = rows.flatMap((r) => {
    const { value, low, high } = r.at_equal_size;
    return [
      { ...PLAIN, r, value: r.ratio ?? 0, low: null, high: null },
      { ...EQUAL, r, value: value ?? 0, low, high },
    ].filter((p) => p.value > 0);
  });
  if (!points.length) return null;
  /** @param {GeneralToSpecific} r */
  const label = (r) => clean(say`${word("task", r.task)}, ${word("boundary", r.boundary)}`, 52);
  const bars = points.filter(bounded);
  const x = extent([1, ...points.map((p) => p.value), ...bars.flatMap((p) => [p.low, p.high])]);
  const draw = drawing(points, (width) => {
    const narrow = width < 640,
      left = narrow ? 6 : 16 + 6.6 * Math.max(...rows.map((r) => room(label(r))));
    return {
      height: tall(rows.length, narrow ? 44 : 30, 60),
      marginLeft: left,
      marginRight: 16,
      marginTop: 8,
      marginBottom: 40,
      x: {
        type: "log",
        domain: x,
        ticks: decades(...x, (width - left) / 76),
        tickFormat: (v) => `${number(v)} ×`,
        label: say`times the energy of task-specific models (logarithmic) →`,
        grid: true,
      },
      y: {
        type: "point",
        domain: rows.map(label),
        tickFormat: (n) => (narrow ? "" : n),
        tickSize: 0,
        label: null,
      },
      marks: [
        Plot.ruleX([1], { stroke: "var(--ink)", strokeWidth: 1.5, strokeDasharray: "3 3" }),
        narrow
          ? Plot.text(rows, {
              x: () => x[0],
              y: label,
              text: label,
              textAnchor: "start",
              dy: -14,
              fontWeight: 600,
              fill: "var(--ink)",
              stroke: "var(--ground)",
              strokeWidth: 4,
            })
          : null,
        Plot.link(bars, {
          x1: "low",
          x2: "high",
          y1: (p) => label(p.r),
          y2: (p) => label(p.r),
          stroke: "var(--c1)",
          strokeWidth: 2.5,
          className: "interval",
          strokeOpacity: 0.5,
        }),
        Plot.dot(points, {
          className: "pt",
          x: "value",
          y: (p) => label(p.r),
          r: 5,
          fill: "colour",
          symbol: "symbol",
        }),
      ],
      color: { type: "identity" },
      symbol: { type: "identity" },
    };
  });
  return chart(app, say`General-purpose over task-specific models`, {
    file: "permille-audit-ratios",
    draw,
    data: () =>
      rows.map(({ task, boundary, ratio, at_equal_size: equal }) => ({
        task,
        boundary,
        ratio_of_means: ratio,
        ratio_at_equal_size: equal.value,
        ratio_at_equal_size_low: equal.low,
        ratio_at_equal_size_high: equal.high,
        models: equal.models,
      })),
    describe: (p) => [
      label(p.r),
      say`${p.what}: ${number(p.value)} ×`,
      p.low === null
        ? NONE
        : say`${number(p.low)} to ${p.high === null ? say`no bound` : number(p.high)}`,
    ],
    legend: [
      [say`ratio of the means`, "var(--c0)", "circle"],
      [say`at equal size, 95 % interval`, "var(--c1)", "diamond"],
    ],
    note: say`The dashed line is 1: as much energy as the task-specific models.`,
  });
}

/**
 * @param {App} app
 * @param {Audit} found
 */
function ratios(app, found) {
  const rows = found.general_to_specific.filter((r) => r.ratio !== null);
  if (!rows.length)
    return h(
      "p",
      {},
      say`No task has figures of all models of both categories: nothing to compare.`,
    );
  return [
    ratioChart(app, rows),
    table(
      say`General-purpose over task-specific: how many times the energy`,
      [
        [say`Task`, (r) => name(word("task", r.task))],
        [say`Boundary`, (r) => word("boundary", r.boundary)],
        [say`Ratio of the means`, (r) => `${number(r.ratio)} ×`, { number: true }],
        [
          say`At equal size`,
          (r) => (r.at_equal_size.value === null ? NONE : `${number(r.at_equal_size.value)} ×`),
          { number: true },
        ],
        [
          say`95 % interval`,
          (r) =>
            r.at_equal_size.value === null || r.at_equal_size.low === null
              ? english(clean(r.at_equal_size.reason ?? "n/a", 120), "problem")
              : say`${number(r.at_equal_size.low)} to
                ${r.at_equal_size.high === null ? say`no bound` : number(r.at_equal_size.high)}`,
          { number: true },
        ],
        [
          say`Caution`,
          (r) =>
            r.at_equal_size.overlap_warning
              ? h("small", {}, english(r.at_equal_size.overlap_warning))
              : "–",
        ],
      ],
      rows,
    ),
    h(
      "p",
      { class: "note" },
      english(found.method, "method"),
      " ",
      say`These ratios are of a whole task, all its datasets together. Of one task and dataset,
        ${h("a", { href: app.href({ view: "compare", m: [] }) }, say`Compare`)} has ${DEFINITION}.`,
    ),
  ];
}
