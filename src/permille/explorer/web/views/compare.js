// Two to six models side by side: ratios with intervals, on the same data, machine and study.

import { chart, drawing, entry, Plot, tall } from "../chart.js";
import { combobox } from "../combobox.js";
import { clean, h, name, table } from "../dom.js";
import {
  figure,
  interval,
  NONE,
  number,
  overSessions,
  params,
  qualityInterval,
  times,
} from "../format.js";
import { term } from "../glossary.js";
import {
  answers,
  bounded,
  domains,
  joules,
  ofOneSession,
  overall,
  place,
  problem,
  provenance,
  ratio,
  reach,
  shown,
} from "../figures.js";
import { DEFINITION, generalRatios, summary } from "../general.js";
import { english, say, word } from "../say.js";
import {
  elsewhere,
  groupBy,
  provenanceWord,
  replica,
  REPLICA,
  sourceKey,
  sourceName,
  taskOn,
  within,
} from "../shared.js";
import { MOST_COMPARED } from "../state.js";
import { decades } from "../ticks.js";
import { timeEach } from "./table.js";

/** @import { Cell, PageEvidence } from "../document" */
/** @import { App } from "../main.js" */
/** @import { Boundary, Estimate, Setting } from "../page" */

const COLOURS = ["var(--c0)", "var(--c1)", "var(--c3)", "var(--c4)", "var(--c5)", "var(--c7)"];
const SHAPES = ["circle", "diamond", "square", "triangle", "circle", "diamond"];

/**
 * @typedef {{ model: string; a: Cell; b: Cell; where: string }} Shared
 * @typedef {Shared & { ratio: Estimate }} Row
 */

/** @param {App} app */
export function compare(app) {
  const all = app.selection();
  const models = [...new Set(all.map((c) => c.model))].sort();
  const chosen = app.state.m
    .filter((m) => app.cells.some((c) => c.model === m))
    .slice(0, MOST_COMPARED);
  const suggestion = suggested(app, all);
  const shownModels = chosen.length ? chosen : suggestion;
  return [
    h("h1", {}, say`Compare models`),
    h(
      "p",
      { class: "lead" },
      chosen.length
        ? [
            say`Each is set against the first, on the same task, dataset, study and machine, within
              ${term("block", say`blocks`)} where there are any.`,
          ]
        : shownModels.length
          ? say`No model is chosen yet; here is a general-purpose one against the cheapest
            task-specific one that is as good on the same data. Choose two to six.`
          : say`Choose two to six models.`,
    ),
    h(
      "div",
      { class: "fields ask" },
      Array.from({ length: Math.min(MOST_COMPARED, Math.max(2, shownModels.length + 1)) }, (_, i) =>
        slot(app, i, shownModels, models),
      ),
    ),
    ...(shownModels.length < 2
      ? [h("p", {}, say`One more model makes a comparison.`)]
      : results(app, shownModels, all)),
    categories(app, all),
    pairs(app, all),
  ];
}

/**
 * @param {App} app
 * @param {number} i
 * @param {string[]} chosen
 * @param {string[]} models
 */
function slot(app, i, chosen, models) {
  const id = `c-model-${i}`,
    value = chosen[i] ?? "",
    label = i ? say`Model ${i + 1}` : say`Set against (the first)`;
  const offered = value && !models.includes(value) ? [value, ...models] : models;
  const field = combobox(
    id,
    label,
    () => [
      { value: "", text: say`none` },
      ...offered.map((m) => ({
        value: m,
        text: m,
        disabled: chosen.includes(m) && m !== value,
      })),
    ],
    (model) => {
      const next = [...chosen];
      next[i] = model;
      app.set({ m: [...new Set(next.filter(Boolean))] });
    },
    "–",
  );
  field.show(value, value);
  return h("div", { class: "field" }, h("label", { for: id }, label), field.element);
}

/**
 * The two models of the first answer of this selection.
 * @param {App} app
 * @param {Cell[]} cells
 * @returns {string[]}
 */
function suggested(app, cells) {
  const best = bestPairs(app, cells)[0];
  return best ? [best.specific.model, best.general.model] : [];
}

/**
 * @param {App} app
 * @param {Cell[]} cells
 */
function bestPairs(app, cells) {
  const there = new Set(cells);
  return answers(app).filter(({ general, specific }) => there.has(general) && there.has(specific));
}

/**
 * @param {App} app
 * @param {string[]} models
 * @param {Cell[]} all
 */
function results(app, models, all) {
  const setting = app.setting,
    [first, ...rest] = models;
  const cells = all.filter((c) => models.includes(c.model));
  const groups = [...groupBy(cells, place).values()]
    .map((g) => groupBy(g, (c) => c.model))
    .filter((g) => g.has(first));
  /** @type {Row[]} */
  const good = [];
  /** @type {Shared[]} */
  const bare = [];
  for (const group of groups) {
    for (const model of rest) {
      // One model may have several cells in one place (another backend or setting): each is a row.
      for (const b of group.get(first) ?? [])
        for (const a of group.get(model) ?? []) {
          const where = taskOn(b);
          const found = ratio(a, b, setting);
          if (found) good.push({ model, a, b, where, ratio: found });
          else bare.push({ model, a, b, where });
        }
    }
  }
  const never = rest.filter((m) => ![...good, ...bare].some((r) => r.model === m));
  return [
    never.map((m) =>
      h(
        "p",
        { class: "warn" },
        say`No ratio of ${name(m)} to ${name(first)}: ${whyNot(cells, m, first)}`,
      ),
    ),
    bare.length
      ? h(
          "p",
          { class: "warn" },
          say`${bare.length} of the cells that they share have no figure within
            ${within(setting)}: ${whyBare(bare[0], setting)}.`,
          " ",
          elsewhere(app),
        )
      : null,
    good.length ? ratioChart(app, models, good) : null,
    good.length
      ? table(
          say`Times the energy of the first: 95 % intervals`,
          [
            [say`Model`, (r) => name(r.model)],
            [
              say`Ratio`,
              (r) =>
                h(
                  "span",
                  {
                    "data-ratio": r.model,
                    "data-value": String(r.ratio.value),
                    "data-low": String(r.ratio.low),
                    "data-high": String(r.ratio.high),
                  },
                  times(r.ratio),
                ),
              { number: true },
            ],
            [say`Task and dataset`, (r) => r.where],
            [say`Study`, (r) => name(sourceName(r.a))],
            [say`Interval`, (r) => overSessions(app.data.evidence, r.ratio, number) ?? "–"],
            [say`Caution`, (r) => warnings(r, setting, app.data.evidence).join(say`; `) || "–"],
          ],
          good,
        )
      : null,
    good.length
      ? table(
          say`Over all shared tasks and datasets: geometric mean`,
          [
            [say`Model`, (r) => name(r.model)],
            [
              say`Times the energy of the first`,
              (r) =>
                h(
                  "span",
                  { "data-overall": r.model, "data-value": String(r.all.value) },
                  times(r.all),
                ),
              { number: true },
            ],
            [say`Study`, (r) => name(r.study)],
            [say`Cells`, (r) => number(r.list.length), { number: true }],
            [say`Interval`, (r) => overSessions(app.data.evidence, r.all, number) ?? "–"],
          ],
          [
            // By machine, too: a mean over two machines would be of neither.
            ...groupBy(good, (r) =>
              JSON.stringify([r.model, sourceKey(r.a), r.a.fingerprint]),
            ).values(),
          ].map((list) => ({
            model: list[0].model,
            study: sourceName(list[0].a),
            list,
            all: overall(list.map((r) => r.ratio)),
          })),
        )
      : null,
    table(
      say`Side by side`,
      [
        [
          say`Model`,
          (c) => [
            h(
              "a",
              { href: app.href({ view: "model", model: c.model, cell: c.id }) },
              name(c.model),
            ),
            replica(c),
          ],
        ],
        [say`Task and dataset`, (c) => taskOn(c)],
        [say`Category`, (c) => word("category", c.category)],
        [say`Parameters`, (c) => params(c.params), { number: true }],
        [
          say`Per 1,000`,
          (c) => {
            const found = shown(c, setting);
            return found
              ? figure(found.value, setting.unit)
              : say`${NONE}: ${whyNone(c, setting.boundary)}`;
          },
          { number: true },
        ],
        [say`95 % interval`, (c) => interval(shown(c, setting), setting.unit), { number: true }],
        [
          say`Quality`,
          (c) => (c.metric ? `${clean(c.metric, 30)} ${qualityInterval(c)}` : NONE),
          { number: true },
        ],
        [
          say`Time per inference`,
          (c) => {
            const each = timeEach(c);
            return each === null ? NONE : say`${number(1000 * each)} ms`;
          },
          { number: true },
        ],
        [
          say`Batch`,
          (c) => (c.batch_size === null ? say`not stated` : number(c.batch_size)),
          { number: true },
        ],
        [say`Boundary`, () => word("boundary", setting.boundary)],
        [say`Provenance`, (c) => provenanceWord(c, setting.boundary)],
        [say`Hardware`, (c) => name(c.device ?? NONE)],
      ],
      [...cells].sort(
        (a, b) =>
          (a.task + a.dataset).localeCompare(b.task + b.dataset, "en") ||
          models.indexOf(a.model) - models.indexOf(b.model),
      ),
    ),
  ];
}

/**
 * @param {Cell} cell
 * @param {Boundary} boundary
 */
const whyNone = (cell, boundary) =>
  // eslint-disable-next-line no-restricted-syntax -- a key of the words
  english(clean(problem(cell, boundary) ?? "no idle phase", 80), "problem");

/**
 * Why one of two cells has no figure.
 * @param {Shared} shared
 * @param {Setting} setting
 */
const whyBare = ({ a, b }, { boundary }) =>
  english(
    // eslint-disable-next-line no-restricted-syntax -- a key of the words
    clean(problem(a, boundary) ?? problem(b, boundary) ?? "one has no idle phase", 160),
    "problem",
  );

/**
 * Why two models have no cell in common, as permille compare words it.
 * @param {Cell[]} cells
 * @param {string} a
 * @param {string} b
 */
function whyNot(cells, a, b) {
  /** @param {string} model */
  const of = (model) => cells.filter((c) => c.model === model);
  const shared = of(a).flatMap((x) =>
    of(b)
      .filter((y) => x.task === y.task && x.dataset === y.dataset)
      .map((y) => [x, y]),
  );
  if (!shared.length)
    return say`they were never run on the same task and dataset in this selection.`;
  const tools = shared.filter(([x, y]) => x.source === y.source && x.origin === y.origin);
  if (!tools.length) return say`they were measured by different tools, which are never compared.`;
  if (!tools.some(([x, y]) => x.study === y.study))
    return say`they belong to different studies, which may have other protocols: put both into one
        study file.`;
  if (!tools.some(([x, y]) => (x.weights === "replica") === (y.weights === "replica")))
    return say`one is a replica, which is compared with replicas alone.`;
  const [x, y] = tools.find(([p, q]) => p.study === q.study) ?? tools[0];
  return say`they were measured on different machines or versions:
      ${clean(x.device ?? say`hardware not stated`, 60)} (${clean(x.fingerprint, 20)}) and
      ${clean(y.device ?? say`hardware not stated`, 60)} (${clean(y.fingerprint, 20)}).`;
}

/**
 * @param {Row} options
 * @param {Setting} setting
 * @param {PageEvidence} words
 */
function warnings({ a, b, ratio: of }, setting, words) {
  const found = ofOneSession(a, b, of, setting).map(
    (c) => `${clean(c.model, 40)}: ${word("evidence", words.one)}`,
  );
  const [da, db] = [a, b].map((c) => (domains(c, setting.boundary) ?? []).join(say`, `));
  if (da !== db)
    found.push(say`the boundary holds other meters: ${clean(da, 60)} against ${clean(db, 60)}`);
  for (const c of [a, b])
    if (c.weights === "replica") found.push(say`${clean(c.model, 40)}: ${REPLICA}`);
  if (a.device !== b.device) found.push(say`different hardware`);
  if (a.batch_size !== b.batch_size)
    found.push(
      say`batch ${a.batch_size ?? say`not stated`} against ${b.batch_size ?? say`not stated`}`,
    );
  const [p, q] = [provenance(a, setting.boundary), provenance(b, setting.boundary)];
  if (p !== q)
    found.push(say`one is ${provenanceWord(a, setting.boundary)}, the other
      ${provenanceWord(b, setting.boundary)}`);
  for (const c of [a, b])
    if (joules(c, setting.boundary, setting.net)?.n === 1)
      found.push(say`${clean(c.model, 40)}: a single run, so no interval`);
  if (a.metric !== b.metric && (a.metric || b.metric))
    found.push(say`quality by different metrics`);
  return found;
}

/**
 * @param {App} app
 * @param {string[]} models
 * @param {Row[]} rows
 */
function ratioChart(app, models, rows) {
  const { boundary, net } = app.setting;
  const places = [...new Set(rows.map((r) => r.where))];
  const all = [1, ...rows.flatMap((r) => reach(r.ratio))];
  /** @type {[number, number]} */
  const x = [Math.min(...all) / 1.3, Math.max(...all) * 1.3];
  /** @param {Row} r */
  const index = (r) => models.indexOf(r.model) - 1,
    count = models.length - 1;
  /** @param {Row} r */
  const at = (r) =>
    places.indexOf(r.where) + (count > 1 ? (index(r) / (count - 1) - 0.5) * 0.5 : 0) + 0.14;
  const draw = drawing(rows, (width) => ({
    height: tall(places.length, 40 + 14 * count, 64),
    marginLeft: 10,
    marginRight: 14,
    marginTop: 10,
    marginBottom: 42,
    x: {
      type: "log",
      domain: x,
      ticks: decades(...x, width / 70),
      tickFormat: (v) => `${number(v)} ×`,
      label: say`times the energy of the first (logarithmic) →`,
      grid: true,
    },
    y: { domain: [-0.6, places.length - 0.4], ticks: [], label: null, reverse: true },
    marks: [
      // It leaves out the labels, which begin at the left of each row.
      Plot.ruleX(places, {
        x: () => 1,
        y1: (p) => places.indexOf(p) - 0.28,
        y2: (p) => places.indexOf(p) + 0.4,
        stroke: "var(--ink)",
        strokeWidth: 1.5,
        strokeDasharray: "3 3",
      }),
      Plot.text(places, {
        x: () => x[0],
        y: (p) => places.indexOf(p) - 0.42,
        text: (p) => clean(p, Math.floor(width / 8)),
        textAnchor: "start",
        fontWeight: 600,
        fill: "var(--ink)",
        stroke: "var(--ground)",
        strokeWidth: 4,
      }),
      Plot.ruleY(
        rows.filter((r) => bounded(r.ratio)),
        {
          y: at,
          x1: (r) => r.ratio.low,
          x2: (r) => r.ratio.high,
          stroke: (r) => COLOURS[index(r)],
          strokeWidth: 2.5,
          className: "interval",
          strokeOpacity: 0.6,
        },
      ),
      Plot.dot(rows, {
        className: "pt",
        x: (r) => r.ratio.value,
        y: at,
        r: 5,
        fill: (r) => COLOURS[index(r)],
        symbol: (/** @type {Row} */ r) => SHAPES[index(r)],
      }),
    ],
    color: { type: "identity" },
    symbol: { type: "identity" },
  }));
  return chart(app, say`Times the energy of ${clean(models[0], 60)}`, {
    file: "permille-compare",
    draw,
    data: () =>
      rows.map((r) => ({
        model: r.model,
        against: r.b.model,
        task: r.b.task,
        dataset: r.b.dataset,
        study: r.a.study,
        source: r.a.source,
        ratio: r.ratio.value,
        ratio_low: r.ratio.low,
        ratio_high: r.ratio.high,
        id: r.a.id,
        id_against: r.b.id,
        n: joules(r.a, boundary, net)?.ratioN ?? null,
        n_against: joules(r.b, boundary, net)?.ratioN ?? null,
        batch_size: r.a.batch_size,
        batch_size_against: r.b.batch_size,
        boundary,
        net,
      })),
    describe: (r) => [name(r.model), times(r.ratio), r.where, sourceName(r.a).slice(0, 120)],
    legend: models
      .slice(1)
      .map((model, i) => ({ model, line: entry(name(model), COLOURS[i], SHAPES[i]) }))
      .filter(({ model }) => rows.some((r) => r.model === model))
      .map(({ line }) => line),
    note: say`The dashed line is the first model itself. Ratios are of energy within the boundary
        chosen; on one grid those of carbon are the same.`,
  });
}

/**
 * The ratio of the categories by task and dataset, and how the page's other ratios differ from it.
 * @param {App} app
 * @param {Cell[]} all
 */
function categories(app, all) {
  const setting = app.setting;
  const rows = generalRatios(all, setting).sort((a, b) => b.value - a.value);
  if (!rows.length) return null;
  return h(
    "section",
    { id: "general" },
    h("h2", {}, say`General-purpose against task-specific`),
    h(
      "p",
      {},
      summary(rows),
      " ",
      say`This is ${DEFINITION}, within ${within(setting)}. Two other ratios answer other questions:
        what the cheapest model that is as good would save is in the next table, and what a whole
        task takes, all datasets together and at equal size, is in
        ${h("a", { href: app.href({ view: "breakdown" }) }, say`Where it goes`)}.`,
    ),
    table(
      say`General-purpose over task-specific, by task and dataset`,
      [
        [
          say`Task and dataset`,
          (r) =>
            h(
              "a",
              { href: app.href({ view: "overview", task: r.task, dataset: r.dataset }) },
              taskOn(r),
            ),
        ],
        [say`Study`, (r) => name(r.source)],
        [say`General-purpose`, (r) => number(r.general), { number: true }],
        [say`Task-specific`, (r) => number(r.specific), { number: true }],
        [
          say`Median over median`,
          (r) =>
            h(
              "span",
              { "data-general": `${r.task} on ${r.dataset}`, "data-value": String(r.value) },
              `${number(r.value)} ×`,
            ),
          { number: true },
        ],
        [
          say`Range over the models`,
          (r) => say`${number(r.low)} to ${number(r.high)} ×`,
          { number: true },
        ],
      ],
      rows,
    ),
    h(
      "p",
      { class: "note" },
      say`The range is from the cheapest general-purpose model over the dearest task-specific
        one to the dearest over the cheapest.`,
    ),
  );
}

/**
 * @param {App} app
 * @param {Cell[]} all
 */
function pairs(app, all) {
  const setting = app.setting,
    best = bestPairs(app, all);
  if (!best.length) return null;
  return table(
    say`General-purpose beside the cheapest task-specific one that is as good, on the same data`,
    [
      [
        say`Task and dataset`,
        ({ general: g, specific }) =>
          h("a", { href: app.href({ m: [specific.model, g.model] }) }, taskOn(g)),
      ],
      [say`Task-specific`, ({ specific }) => name(specific.model)],
      [say`Quality`, ({ specific: s }) => qualityInterval(s), { number: true }],
      [say`General-purpose`, ({ general }) => name(general.model)],
      [say`Quality `, ({ general: g }) => qualityInterval(g), { number: true }],
      [
        say`Times the energy`,
        ({ general, specific }) => {
          const found = ratio(general, specific, setting);
          return found ? times(found) : NONE;
        },
        { number: true },
      ],
    ],
    best,
  );
}
