// Load: energy over the load on a server, and the load that a promise and a budget pick.

import { chart, drawing, entry, Plot } from "../chart.js";
import { combobox } from "../combobox.js";
import { clean, h, name, own, replaceChildren, table } from "../dom.js";
import { bounded, kwh, perToken, reach, shown } from "../figures.js";
import {
  ends,
  figure,
  joule,
  MOST,
  NONE,
  number,
  numberIn,
  percent,
  seconds,
  times,
} from "../format.js";
import { labelled, term } from "../glossary.js";
import { doubtOf, goodput } from "../goodput.js";
import { choose, fastestWithin } from "../operating.js";
import { english, say, word } from "../say.js";
import { groupBy, sourceName, taskOn } from "../shared.js";
import { asked as fetched } from "../source.js";
import { decades } from "../ticks.js";
import { choice } from "./choice.js";
import { extent } from "./size.js";

/** @import { Cell, PageAnswerTimes, PageLoad, PageEstimate } from "../document" */
/** @import { App } from "../main.js" */
/** @import { Child, Column, Estimate } from "../page" */
/** @import { Choice, OperatingPoint } from "../operating.js" */

/** @typedef {{ cell: Cell; load: PageLoad }} Loaded */
/** @typedef {{ value: number; low: number | null; high: number | null }} Bounded */
/**
 * The times of the answers by the cell's id, null where a file has none; before they have come, a
 * word instead.
 * @typedef {Map<string, PageAnswerTimes | null> | Child} Timed
 */
/** @typedef {Bounded & { point: OperatingPoint; at: number }} Dot */
/**
 * What the view asks: a figure of waiting within `within` seconds and a share of errors up to
 * `errors` (null: any), energy by `of` within `budget`.
 * @typedef {object} Question
 * @property {string} limit
 * @property {number} within
 * @property {number | null} errors
 * @property {number} budget
 * @property {(cell: Cell) => Estimate | null} of
 * @property {(value: number) => string} form
 * @property {string} per
 * @property {string} column the same for rows to take away
 */

/** @type {[key: string, words: string][]} */
const WAITS = [
  ["ttft", say`to the first token`],
  ["tpot", say`per output token`],
  ["latency", say`to the whole answer`],
];
const ERROR_RATE = "error_rate";
const SHARES = ["p95", "p50", "p99"];
const LIMITS = SHARES.flatMap((share) =>
  WAITS.map(
    ([key, words]) => /** @type {[string, string]} */ ([`${key}_${share}`, `${share} ${words}`]),
  ),
);
/** @type {{ [verdict: string]: [words: string, colour: string, symbol: string] }} */
const VERDICTS = {
  true: [say`promise kept`, "var(--c0)", "circle"],
  false: [say`promise broken`, "var(--c1)", "diamond"],
  null: [say`cannot tell`, "var(--c2)", "square"],
};

/**
 * What late requests may have done to a goodput.
 * @type {{ [doubt: string]: string }}
 */
const LATE = {
  low: say`may be too low: permille itself sent requests late`,
  high: say`may be too high: permille itself sent requests late`,
  both: say`may be too low or too high: permille itself sent requests late`,
};

/** The shares of failed requests that are offered, in percent; any other may be in the address. */
const ERRORS = ["0.1", "0.5", "1", "2", "5", "10"];

/** @param {PageLoad} load */
const loadWords = ({ by, at }) =>
  by === "concurrency"
    ? at === 1
      ? say`${number(at)} client`
      : say`${number(at)} clients`
    : say`${number(at)} requests per second`;

/** @param {App} app */
export function load(app) {
  /** @type {Loaded[]} */
  const loaded = app
    .selection()
    .flatMap((cell) => (cell.serving?.load ? [{ cell, load: cell.serving.load }] : []));
  const sweeps = groupBy(loaded, (each) => each.load.sweep);
  const chosen = sweeps.get(app.state.sweep) ?? longest([...sweeps.values()]);
  if (!chosen) return none();
  const cells = [...chosen].sort((a, b) => a.load.at - b.load.at).map((each) => each.cell);
  const limits = LIMITS.filter(([key]) => cells.some((cell) => waitOf(cell, key)));
  const results = h("div", { id: "l-results" });
  // While a slider is dragged it must not be drawn anew: only what follows from it is.
  /** @type {Timed} */
  let timed = "…";
  const fill = () =>
    replaceChildren(results, answers(app, cells, question(app, cells, limits), timed));
  fill();
  const arrived = timesOf(app, cells).then(
    (found) => {
      timed = found;
      fill();
    },
    (error) => {
      timed = say`cannot be read: ${english(error.message)}`;
      fill();
    },
  );
  app.awaited.push(arrived);
  return [
    h("h1", {}, say`Load and energy`),
    h(
      "p",
      { class: "lead" },
      say`What an answer costs depends on how many a server has to give at once. Choose how
        long people may wait (as ${term("ttft")}, for each further token, or for all of the answer),
        and how much energy there is: the load that fits follows.`,
    ),
    h(
      "div",
      { class: "fields ask" },
      sweepChoice(app, sweeps, chosen),
      choice(
        "l-limit",
        say`Promise`,
        limits,
        app.state.limit,
        (limit) => app.set({ limit, within: "" }),
        "percentile",
      ),
      slider(app, fill, "within", say`Within`, question(app, cells, limits), cells),
      errorChoice(app),
      choice(
        "l-per",
        say`Energy`,
        [
          ["token", say`per output token`],
          ["request", say`per 1,000 requests`],
        ],
        perOf(app, cells),
        (per) => app.set({ per, budget: "" }),
      ),
      slider(app, fill, "budget", say`Budget`, question(app, cells, limits), cells),
    ),
    results,
  ];
}

function none() {
  return [
    h("h1", {}, say`Load and energy`),
    h(
      "p",
      {},
      say`No cell here is of a server under load. A study with a list of loads, such as
        concurrency = [1, 2, 4, 8], makes one for each.`,
    ),
  ];
}

/** @param {Loaded[][]} sweeps */
const longest = (sweeps) =>
  sweeps.reduce(
    (most, each) => (!most || each.length > most.length ? each : most),
    /** @type {Loaded[] | undefined} */ (undefined),
  );

/**
 * The answers' times that were asked for, of one state of the figures.
 * @type {WeakMap<Cell[], Map<string, Promise<PageAnswerTimes | null>>>}
 */
const ASKED = new WeakMap();

/**
 * @param {App} app
 * @param {Cell[]} cells
 */
async function timesOf(app, cells) {
  // After new trials, app.cells is another list: their times are asked for anew.
  const known = ASKED.get(app.cells) ?? new Map();
  ASKED.set(app.cells, known);
  for (const { id } of cells)
    if (!known.has(id))
      known.set(
        id,
        app.inFile
          ? Promise.resolve(own(app.data.answer_times, id) ?? null)
          : fetched(`/answer-times/${encodeURIComponent(id)}`).then(({ data }) => data),
      );
  const found = await Promise.all(cells.map(({ id }) => known.get(id))).catch((error) => {
    ASKED.delete(app.cells); // to be asked for again when the view is drawn anew
    throw error;
  });
  return new Map(cells.map(({ id }, i) => [id, found[i]]));
}

/**
 * A figure of waiting, in seconds.
 * @param {Cell} cell
 * @param {string} limit
 * @returns {PageEstimate | null}
 */
const waitOf = (cell, limit) => cell.serving?.limits[limit]?.figure ?? null;

/**
 * @param {App} app
 * @param {Cell[]} cells
 */
function perOf(app, cells) {
  const counted = cells.some((cell) => perToken(cell, app.setting, "output"));
  return counted && app.state.per !== "request" ? "token" : "request";
}

/**
 * @param {App} app
 * @param {Cell[]} cells
 * @param {[string, string][]} limits
 * @returns {Question}
 */
function question(app, cells, limits) {
  const { setting, state } = app;
  const limit = limits.find(([key]) => key === state.limit)?.[0] ?? limits[0]?.[0] ?? "";
  const token = perOf(app, cells) === "token";
  /** @param {Cell} cell */
  const of = (cell) => (token ? perToken(cell, setting, "output") : shown(cell, setting));
  const waits = cells.map((cell) => waitOf(cell, limit)?.value ?? 0);
  return {
    limit,
    within: amountOf(state.within, waits),
    errors: errorsOf(state.errors),
    budget: amountOf(
      state.budget,
      cells.map((cell) => of(cell)?.value ?? 0),
    ),
    of,
    form: token ? joule : (value) => figure(value, setting.unit),
    per: token ? say`per output token` : say`per 1,000 requests`,
    // eslint-disable-next-line no-restricted-syntax -- rows are in English
    column: `energy ${token ? "per output token" : "per 1,000 requests"}`,
  };
}

/**
 * A share from the percent in the address; null if none is promised.
 * @param {string} text
 */
function errorsOf(text) {
  const most = Number(text);
  return most > 0 && most <= 100 ? most / 100 : null;
}

/** @param {number} value */
const rounded = (value) => Number(value.toPrecision(2));

/**
 * What is in the address or, without it, the middle of the values on a logarithmic scale.
 * @param {string} text
 * @param {number[]} values
 */
function amountOf(text, values) {
  const given = numberIn(text, 0, MOST);
  if (given) return given;
  const [low, high] = range(values);
  return rounded(Math.sqrt(low * high));
}

/**
 * @param {number[]} values
 * @returns {[number, number]}
 */
function range(values) {
  const positive = values.filter((value) => value > 0);
  return positive.length ? [Math.min(...positive), Math.max(...positive)] : [1, 1];
}

// --- what is asked ---------------------------------------------------------------------------

/**
 * @param {App} app
 * @param {Map<string, Loaded[]>} sweeps
 * @param {Loaded[]} chosen
 */
function sweepChoice(app, sweeps, chosen) {
  const options = [...sweeps.values()].map(sweepOption);
  const field = combobox(
    "l-sweep",
    say`Server`,
    () => options,
    (sweep) => app.set({ sweep, within: "", budget: "" }),
  );
  const now = sweepOption(chosen);
  field.show(now.value, `${now.text}, ${now.note}`);
  return h("div", { class: "field wide" }, labelled("l-sweep", say`Server`), field.element);
}

/**
 * A sweep in a list to choose from.
 * @param {Loaded[]} sweep
 */
const sweepOption = ([{ cell, load: first }]) => ({
  value: first.sweep,
  text: first.name,
  note: say`${taskOn(cell, 40)}, ${clean(sourceName(cell), 60)},
    by ${first.by === "concurrency" ? say`clients` : say`rate`}`,
});

/** @param {App} app */
function errorChoice(app) {
  const now = errorsOf(app.state.errors) === null ? "" : String(Number(app.state.errors));
  const offered = now === "" || ERRORS.includes(now) ? ERRORS : [...ERRORS, now];
  return choice(
    "l-errors",
    say`Failed requests`,
    [
      ["", say`any number`],
      ...offered.map((most) => /** @type {[string, string]} */ ([most, say`${most} % at most`])),
    ],
    now,
    (errors) => app.set({ errors }),
  );
}

/**
 * A logarithmic slider, with its value in words beside it.
 * @param {App} app
 * @param {() => void} fill
 * @param {"within" | "budget"} field
 * @param {string} label
 * @param {Question} asked
 * @param {Cell[]} cells
 */
function slider(app, fill, field, label, asked, cells) {
  const form = field === "within" ? seconds : asked.form;
  const values = cells.map((cell) =>
    field === "within" ? waitOf(cell, asked.limit)?.value : asked.of(cell)?.value,
  );
  const [low, high] = range(values.map((value) => value ?? 0));
  const id = `l-${field}`;
  const words = h("output", { for: id }, form(asked[field]));
  const input = h("input", {
    id,
    type: "range",
    min: String(Math.log10(low / 2)),
    max: String(Math.log10(high * 2)),
    step: "any",
    "aria-valuetext": form(asked[field]),
    oninput: () => {
      const value = rounded(10 ** Number(input.value));
      app.quiet({ [field]: String(value) });
      input.setAttribute("aria-valuetext", form(value));
      words.textContent = form(value);
      fill();
    },
    onkeydown: (event) => {
      // With step "any", a browser moves by a whole power of ten or not at all.
      const key = /** @type {KeyboardEvent} */ (/** @type {unknown} */ (event)).key;
      const by = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1 }[key];
      if (!by) return;
      event.preventDefault();
      input.value = String(Number(input.value) + by * 0.05);
      input.dispatchEvent(new Event("input"));
    },
  });
  // After min and max: a browser clamps a value to those that a range has when it is set.
  input.value = String(Math.log10(asked[field]));
  return h(
    "div",
    { class: "field wide" },
    h("label", { for: id }, label),
    h("div", { class: "pair" }, input, words),
  );
}

// --- what follows ----------------------------------------------------------------------------

/**
 * @param {App} app
 * @param {Cell[]} cells
 * @param {Question} asked
 * @param {Timed} timed
 * @returns {Child}
 */
function answers(app, cells, asked, timed) {
  const setting = app.setting;
  const promise = asked.limit ? [{ name: asked.limit, most: asked.within }] : [];
  if (asked.errors !== null) promise.push({ name: ERROR_RATE, most: asked.errors });
  const picked = choose(cells, promise, setting);
  if (!picked)
    return h(
      "p",
      {},
      say`No load of this sweep has a figure within ${word("boundary", setting.boundary)}.`,
    );
  const fast = fastestWithin(cells, asked.limit, asked.of, asked.budget);
  return [
    h("p", { id: "l-said" }, promiseWords(picked, asked)),
    h("p", { id: "l-budget-said" }, budgetWords(fast, asked)),
    energyChart(app, picked, fast, asked),
    waitChart(app, picked, asked),
    listing(app, picked, fast, asked, timed),
  ];
}

/** @param {Cell} cell */
const loadName = (cell) => (cell.serving?.load ? loadWords(cell.serving.load) : "");

/**
 * @param {Bounded | null} estimate
 * @param {(value: number) => string} form
 */
const withEnds = (estimate, form) =>
  estimate ? say`${form(estimate.value)} (${ends(estimate, form)})` : NONE;

/** @param {string} limit */
const limitWords = (limit) => LIMITS.find(([key]) => key === limit)?.[1] ?? limit;

/**
 * @param {Choice} picked
 * @param {Question} asked
 * @returns {Child}
 */
function promiseWords(picked, asked) {
  const wait = asked.limit ? say`${limitWords(asked.limit)} within ${seconds(asked.within)}` : null;
  const errors = asked.errors === null ? null : say`at most ${percent(asked.errors)} failed`;
  const promised = [wait, errors].filter(Boolean).join(say` and `);
  if (!promised) return say`No answer of this sweep was timed, so nothing can be promised.`;
  const { best, cheapest, cost, asCheap, undecided, nearest } = picked;
  const doubt = undecided.length
    ? say` Cannot be told yet: ${undecided.map((p) => loadName(p.cell)).join(say`, `)}.`
    : "";
  if (!best) {
    const near = nearest ? say` Nearest: ${loadName(nearest.cell)}.` : "";
    return [
      h(
        "strong",
        {},
        undecided.length
          ? say`No load is known to keep ${promised}.`
          : say`No load keeps ${promised}.`,
      ),
      near + doubt,
    ];
  }
  return [
    say`${h("strong", {}, say`The cheapest load with ${promised} is ${loadName(best.cell)}`)}:
      ${say`${withEnds(asked.of(best.cell), asked.form)} ${asked.per}`}.`,
    " ",
    cost && cheapest
      ? say`The promise costs ${times(cost)} the energy of the cheapest load,
        ${loadName(cheapest.cell)}.`
      : cheapest && cheapest !== best
        ? say`${loadName(cheapest.cell)} needs less; no ratio can be given, because an energy is
          not above 0.`
        : say`The promise costs nothing: no load is cheaper.`,
    asCheap.length
      ? say` As cheap within error: ${asCheap.map((p) => loadName(p.cell)).join(say`, `)}.`
      : "",
    doubt,
  ];
}

/**
 * @param {Cell | null} fast
 * @param {Question} asked
 * @returns {Child}
 */
function budgetWords(fast, asked) {
  // Without a time no load is the fastest, though each may be within the budget.
  if (!asked.limit) return null;
  const budget = say`${asked.form(asked.budget)} ${asked.per}`;
  if (!fast) return say`No load is within the budget of ${budget} with its whole interval.`;
  return [
    say`${h("strong", {}, say`The fastest load within ${budget} is ${loadName(fast)}`)}:
      ${limitWords(asked.limit)} ${withEnds(waitOf(fast, asked.limit), seconds)}.`,
  ];
}

/**
 * @param {OperatingPoint[]} points
 * @param {(cell: Cell) => Bounded | null} of
 * @returns {Dot[]}
 */
function dots(points, of) {
  return points
    .flatMap((point) => {
      const estimate = of(point.cell),
        at = point.cell.serving?.load?.at ?? 0;
      if (!estimate || estimate.value <= 0) return [];
      const { value, low, high } = estimate;
      return [{ value, low, high, point, at }];
    })
    .sort((a, b) => a.at - b.at);
}

/**
 * @param {App} app
 * @param {Choice} picked
 * @param {Cell | null} fast
 * @param {Question} asked
 */
function energyChart(app, picked, fast, asked) {
  const data = dots(picked.points, asked.of);
  if (!data.length) return null;
  /** @param {Dot} d */
  const ringed = (d) => d.point === picked.best || d.point.cell === fast;
  return overLoad(app, data, {
    title: say`Energy ${asked.per} over the load`,
    file: "permille-load-energy",
    column: asked.column,
    label: say`↑ Energy ${asked.per} (logarithmic)`,
    form: asked.form,
    line: asked.budget,
    ringed,
    describe: (d) => [
      name(d.point.cell.model),
      say`${loadName(d.point.cell)}: ${say`${withEnds(d, asked.form)} ${asked.per}`}`,
      VERDICTS[String(d.point.meets)][0],
    ],
  });
}

/**
 * @param {App} app
 * @param {Choice} picked
 * @param {Question} asked
 */
function waitChart(app, picked, asked) {
  const data = dots(picked.points, (cell) => waitOf(cell, asked.limit));
  if (!data.length) return null;
  return overLoad(app, data, {
    title: say`Time, ${limitWords(asked.limit)}, over the load`,
    file: "permille-load-time",
    column: `${asked.limit}_s`,
    label: say`↑ ${limitWords(asked.limit)} (logarithmic)`,
    form: seconds,
    line: asked.within,
    ringed: (d) => d.point === picked.best,
    describe: (d) => [
      name(d.point.cell.model),
      say`${loadName(d.point.cell)}: ${withEnds(d, seconds)}`,
      VERDICTS[String(d.point.meets)][0],
    ],
  });
}

/**
 * The loads themselves as ticks; some of them if there are more than fit.
 * @param {Dot[]} data
 * @param {number} most
 */
function thinned(data, most) {
  const loads = [...new Set(data.map((d) => d.at))];
  const every = Math.ceil(loads.length / most);
  return loads.filter((_, i) => i % every === 0).map((at) => ({ at }));
}

/**
 * @param {App} app
 * @param {Dot[]} data
 * @param {{
 *   title: string; file: string; column: string; label: string;
 *   form: (value: number) => string; line: number;
 *   ringed: (d: Dot) => boolean; describe: (d: Dot) => Child[];
 * }} how
 */
function overLoad(app, data, how) {
  // Plot names only some ticks of a logarithmic scale: here each load has its name.
  /** @param {{ at: number }} d */
  const x = (d) => Math.log10(d.at);
  const [first, last] = extent(data.map((d) => d.at)),
    y = extent([...data.flatMap(reach), how.line]);
  const by = data[0]?.point.cell.serving?.load?.by;
  /** @param {Dot} d */
  const verdict = (d) => VERDICTS[String(d.point.meets)];
  const draw = drawing(data, (width) => ({
    height: Math.max(260, Math.min(400, width * 0.42)),
    marginLeft: 66,
    marginRight: 14,
    marginTop: 26,
    marginBottom: 44,
    x: {
      domain: [Math.log10(first), Math.log10(last)],
      ticks: thinned(data, Math.max(2, Math.floor((width - 80) / 44))).map(x),
      tickFormat: (v) => number(10 ** v),
      label:
        by === "rate_per_s"
          ? say`Requests per second (logarithmic) →`
          : say`Clients at once (logarithmic) →`,
      grid: true,
    },
    y: {
      type: "log",
      domain: y,
      ticks: decades(...y, 8),
      tickFormat: (v) => how.form(v),
      label: how.label,
      grid: true,
    },
    marks: [
      Plot.ruleY([how.line], { stroke: "var(--soft)", strokeDasharray: "5 4" }),
      Plot.line(data, { x, y: "value", stroke: "var(--soft)", strokeOpacity: 0.5 }),
      Plot.ruleX(data.filter(bounded), {
        x,
        y1: "low",
        y2: "high",
        stroke: (/** @type {Dot} */ d) => verdict(d)[1],
        className: "interval",
        strokeOpacity: 0.6,
        strokeWidth: 2,
      }),
      Plot.dot(data.filter(how.ringed), {
        x,
        y: "value",
        r: 10,
        stroke: "var(--ink)",
        strokeWidth: 1.5,
      }),
      Plot.dot(data, {
        className: "pt",
        x,
        y: "value",
        r: 5,
        fill: (/** @type {Dot} */ d) => verdict(d)[1],
        symbol: (/** @type {Dot} */ d) => verdict(d)[2],
      }),
    ],
    color: { type: "identity" },
    symbol: { type: "identity" },
  }));
  return chart(app, how.title, {
    file: how.file,
    draw,
    data: () =>
      data.map((d) => ({
        model: d.point.cell.model,
        study: d.point.cell.study,
        machine: d.point.cell.fingerprint,
        [by ?? "load"]: d.at,
        [how.column]: d.value,
        [`${how.column}_low`]: d.low,
        [`${how.column}_high`]: d.high,
        keeps_the_promise: d.point.meets,
        boundary: app.setting.boundary,
        net: app.setting.net,
        pue: app.setting.pue,
      })),
    describe: how.describe,
    open: (d) => app.href({ view: "model", model: d.point.cell.model, cell: d.point.cell.id }),
    legend: Object.values(VERDICTS).map(([words, colour, symbol]) => entry(words, colour, symbol)),
    note: say`Bars: ${term("interval", say`95 % intervals`)}. Dashed: the limit that you chose.
        Ringed: the loads that are picked.`,
  });
}

/**
 * @param {App} app
 * @param {Choice} picked
 * @param {Cell | null} fast
 * @param {Question} asked
 * @param {Timed} timed
 */
function listing(app, picked, fast, asked, timed) {
  const setting = app.setting;
  /** @param {OperatingPoint} p */
  const mark = (p) =>
    [
      p === picked.best ? say`cheapest that keeps the promise` : null,
      p.cell === fast ? say`fastest within the budget` : null,
    ]
      .filter(Boolean)
      .join(say`; `);
  /** @param {OperatingPoint} p */
  const energyOfToken = (p) => perToken(p.cell, setting, "output");
  return table(
    say`The loads, cheapest first`,
    [
      [
        say`Load`,
        (p) =>
          h(
            "a",
            { href: app.href({ view: "model", model: p.cell.model, cell: p.cell.id }) },
            loadName(p.cell),
          ),
      ],
      [say`Promise`, (p) => promiseOf(p)],
      [say`Picked`, (p) => mark(p) || "–"],
      [
        asked.limit ? limitWords(asked.limit) : say`Time`,
        (p) => withEnds(waitOf(p.cell, asked.limit), seconds),
        { number: true },
      ],
      [
        say`Failed requests`,
        (p) => withEnds(p.cell.serving?.limits[ERROR_RATE]?.figure ?? null, percent),
        { number: true },
      ],
      [say`Per output token`, (p) => withEnds(energyOfToken(p), joule), { number: true }],
      [
        say`Energy per 1,000`,
        (p) => withEnds(kwh(p.cell, setting), (value) => figure(value, "kwh")),
        { number: true },
      ],
      [
        say`Answers per second`,
        (p) => withEnds(p.cell.serving?.inferences_per_s ?? null, number),
        { number: true },
      ],
      ...(asked.limit ? [goodputColumn(asked, timed)] : []),
    ],
    picked.points,
  );
}

/**
 * The answers per second that are within the limit by their own time, and their share of all.
 * @param {Question} asked
 * @param {Timed} timed
 * @returns {Column<OperatingPoint>}
 */
function goodputColumn(asked, timed) {
  const [time] = asked.limit.split("_");
  /** @param {OperatingPoint} point */
  const words = ({ cell }) => {
    if (!(timed instanceof Map)) return timed;
    const of = timed.get(cell.id);
    if (!of) return say`${NONE}: the answers' times are not in this file`;
    const { perS, share, reason } = goodput(of, time, asked.within);
    if (reason) return say`${NONE}: ${english(clean(reason, 120), "problem")}`;
    const figures = say`${withEnds(perS, number)}; ${withEnds(share, percent)} of the requests`;
    const doubt = LATE[String(doubtOf(of, time, asked.within, cell.serving?.limits[asked.limit]))];
    return doubt ? say`${figures}; ${doubt}` : figures;
  };
  return [say`Goodput per second, within ${seconds(asked.within)}`, words, { number: true }];
}

/** @param {OperatingPoint} point */
function promiseOf(point) {
  const reason = point.checks.find((c) => c.reason)?.reason;
  const words = VERDICTS[String(point.meets)][0];
  return reason && !point.meets ? say`${words}: ${english(clean(reason, 300), "problem")}` : words;
}
