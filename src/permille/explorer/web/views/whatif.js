// What if: a workload's kWh, kilograms and equivalents a day and a year, on any grid.

import { chart, drawing, Plot, tall } from "../chart.js";
import { gridWords } from "../cite.js";
import { combobox } from "../combobox.js";
import { clean, folded, h, name, replaceChildren, table } from "../dom.js";
import { ends, energy, interval, mass, NONE, number } from "../format.js";
import { DAYS, grams, kwh } from "../figures.js";
import { term } from "../glossary.js";
import { say, word } from "../say.js";
import { gridMatrix } from "./grids.js";
import { keepingOpen } from "../place.js";
import { cellOption, replica, sourceKey, sourceName, taskOn } from "../shared.js";
import { perDay } from "../state.js";
import { empty } from "./overview.js";

/** @import { Cell, PageSource } from "../document" */
/** @import { App } from "../main.js" */
/** @import { Column, Estimate, Setting, Unit } from "../page" */

const SIDE_BY_SIDE = [
  "WORLD",
  "SWE",
  "NOR",
  "FRA",
  "CAN",
  "GBR",
  "DEU",
  "USA",
  "JPN",
  "CHN",
  "AUS",
  "POL",
  "IND",
  "ZAF",
];
const MOST = 40;

/**
 * A year of the workload on one grid.
 * @typedef {object} Row
 * @property {string} code
 * @property {string} place
 * @property {string} words the same in the reader's language
 * @property {string} year
 * @property {number} intensity
 * @property {PageSource | null} source
 * @property {boolean} mine
 * @property {Estimate} estimate
 */

/** @param {App} app */
export function whatIf(app) {
  const setting = app.setting;
  const all = app.selection();
  const cells = all.filter((c) => kwh(c, setting));
  if (!cells.length) return empty(app, all.length);
  const chosen = cells.find((c) => c.id === app.state.cell) ?? ordinary(cells, setting);
  // The link names the model from the start: what comes first may be another one tomorrow.
  if (app.state.cell !== chosen.id) app.quiet({ cell: chosen.id });
  const results = h("div", { id: "w-results" });
  // The order of the cells is the same at any volume.
  const dearest = cells
    .map((c) => ({ c, each: kwh(c, setting)?.value ?? 0 }))
    .sort((a, b) => b.each - a.each)
    .slice(0, MOST)
    .map(({ c }) => c);
  // While a slider is dragged it must not be drawn anew: only what follows from it is.
  // It stays, with what a person has opened in it, while a slider draws the results anew.
  const everywhere = gridMatrix(app, chosen, () => perDay(app.state));
  const fill = () => {
    keepingOpen(results, () => replaceChildren(results, answers(app, cells, chosen, dearest)));
    everywhere.update();
  };
  fill();
  return [
    h("h1", {}, say`What if it ran every day?`),
    h(
      "p",
      { class: "lead" },
      say`Choose a model, a number of requests a day, and above the ${term("intensity", say`grid`)},
        the ${term("pue")} and the ${term("boundary")}. Every figure follows at once.`,
    ),
    h("div", { class: "fields ask" }, modelChoice(app, cells, chosen), volume(app, fill)),
    results,
    everywhere.element,
  ];
}

/**
 * The cell of median energy among those that may be compared with the first.
 * @param {Cell[]} cells
 * @param {Setting} setting
 */
function ordinary(cells, setting) {
  const alike = cells
    .filter((c) => c.place === cells[0].place)
    .map((c) => ({ c, each: kwh(c, setting)?.value ?? 0 }))
    .sort((a, b) => a.each - b.each);
  // A cell that there is, and not a mean of two.
  return alike[Math.floor((alike.length - 1) / 2)].c;
}

/**
 * @param {App} app
 * @param {Cell[]} cells
 * @param {Cell} chosen
 * @param {Cell[]} dearest
 */
function answers(app, cells, chosen, dearest) {
  const setting = app.setting,
    day = perDay(app.state);
  const kwhDay = times(kwh(chosen, setting), day / 1000),
    gramsDay = times(grams(chosen, setting), day / 1000);
  return [
    h(
      "p",
      { id: "w-said" },
      say`${name(chosen.model)}: ${taskOn(chosen)}, ${clean(sourceName(chosen), 80)};
        ${number(day)} requests a day; ${word("boundary", setting.boundary)},
        ${setting.net ? say`idle left out` : say`idle included`}; ${gridWords(setting)};
        PUE ${number(setting.pue)}.`,
      replica(chosen),
    ),
    h(
      "div",
      { class: "cards" },
      card(say`A day`, say`A day`, kwhDay, gramsDay),
      card(say`A year`, say`A year`, times(kwhDay, DAYS), times(gramsDay, DAYS)),
    ),
    equivalents(app, kwhDay, gramsDay),
    grids(app, chosen, day),
    others(app, cells, chosen, day),
    every(app, dearest, cells.length, day),
  ];
}

/**
 * The figure of a cell that has one, as every cell of this view does, so many times.
 * @param {Estimate | null} e
 * @param {number} factor
 * @returns {Estimate}
 */
function times(e, factor) {
  if (!e) throw new Error("a cell without a figure is not in this view");
  return {
    value: e.value * factor,
    low: e.low === null ? null : e.low * factor,
    high: e.high === null ? null : e.high * factor,
  };
}

/**
 * @param {App} app
 * @param {Cell[]} cells
 * @param {Cell} chosen
 */
function modelChoice(app, cells, chosen) {
  const field = combobox(
    "w-model",
    say`Model`,
    () => cells.map(cellOption),
    (cell) => app.set({ cell }),
  );
  field.show(chosen.id, chosen.model);
  return h(
    "div",
    { class: "field wide" },
    h("label", { for: "w-model" }, say`Model`),
    field.element,
  );
}

/**
 * @param {App} app
 * @param {() => void} fill
 */
function volume(app, fill) {
  const day = perDay(app.state);
  /**
   * @param {string | number} value
   * @param {HTMLInputElement} other
   * @param {string} shown
   */
  const change = (value, other, shown) => {
    app.quiet({ day: String(value) });
    other.value = shown;
    fill();
  };
  const slider = h("input", {
    id: "w-slide",
    type: "range",
    min: "2",
    max: "10",
    step: "0.05",
    "aria-label": say`Requests a day, logarithmic`,
    "aria-valuetext": number(day),
    oninput: () => {
      const value = rounded(10 ** Number(slider.value));
      slider.setAttribute("aria-valuetext", number(value));
      change(value, typed, String(value));
    },
  });
  const typed = h("input", {
    id: "w-day",
    type: "number",
    min: "1",
    max: "1e12",
    step: "any",
    value: String(day),
    oninput: () => {
      if (Number(typed.value) >= 1)
        change(typed.value, slider, String(Math.log10(Number(typed.value))));
    },
  });
  slider.value = String(Math.log10(day));
  return h(
    "div",
    { class: "field wide" },
    h("label", { for: "w-day" }, say`Requests a day`),
    h("div", { class: "pair" }, slider, typed),
  );
}

/** @param {number} value */
const rounded = (value) => Number(value.toPrecision(2));

/**
 * @param {string} id
 * @param {string} title
 * @param {Estimate} ofEnergy
 * @param {Estimate} ofCarbon
 */
function card(id, title, ofEnergy, ofCarbon) {
  /**
   * @param {Estimate} estimate
   * @param {Unit} kind
   * @param {(value: number) => string} form
   */
  const line = (estimate, kind, form) =>
    h(
      "div",
      { class: "big", "data-figure": `${id}-${kind}`, "data-value": String(estimate.value) },
      h("strong", {}, form(estimate.value)),
      h(
        "small",
        {},
        term("interval"),
        say`: ${estimate.low === null ? say`${NONE} (one run)` : interval(estimate, kind)}`,
      ),
    );
  return h(
    "section",
    { class: "card", "aria-label": title },
    h("h2", {}, title),
    line(ofEnergy, "kwh", energy),
    line(ofCarbon, "co2e", mass),
  );
}

/**
 * @param {App} app
 * @param {Estimate} kwhDay
 * @param {Estimate} gramsDay
 */
function equivalents(app, kwhDay, gramsDay) {
  const rows = app.data.equivalents.map((e) => {
    const day = times(e.basis === "energy" ? kwhDay : gramsDay, e.per);
    return { ...e, day: day.value, year: times(day, DAYS) };
  });
  /** @typedef {(typeof rows)[number]} Alike */
  const count = (/** @type {Alike} */ e, /** @type {number} */ value) =>
    `${number(value)} ${word("unit", e.unit)}`;
  return [
    table(
      say`What that is like`,
      [
        [say`Like`, (e) => word("equivalent", e.name)],
        [say`A day`, (e) => count(e, e.day), { number: true }],
        [say`A year`, (e) => count(e, e.year.value), { number: true }],
        [
          say`95 % interval, a year`,
          (e) => ends(e.year, (value) => count(e, value)),
          { number: true },
        ],
        [
          say`Based on`,
          (e) => (e.basis === "energy" ? say`energy` : say`carbon, which moves with the grid`),
        ],
      ],
      rows,
    ),
    h(
      "p",
      { class: "note" },
      say`Factors and their sources:
        ${h("a", { href: app.href({ view: "about" }) }, say`About the numbers`)}.`,
    ),
  ];
}

/**
 * @param {App} app
 * @param {Cell} chosen
 * @param {number} day
 */
function grids(app, chosen, day) {
  const setting = app.setting,
    own = setting.grid;
  const codes = new Set([...SIDE_BY_SIDE, ...(own.place ? [own.place.code] : [])]);
  /** @type {Row[]} */
  const rows = [...codes].flatMap((code) => {
    const place = app.places.get(code);
    if (!place) return [];
    const years = Object.keys(place.years).sort();
    const newest = years[years.length - 1];
    const year = own.place?.code === code ? (own.year ?? newest) : newest;
    const [intensity, source] = place.years[year];
    return [
      {
        code,
        place: place.name,
        words: word("place", code, place.name),
        year,
        intensity,
        source: app.data.grid.sources[source],
        mine: own.place?.code === code,
        estimate: times(grams(chosen, { ...setting, intensity }), (day * DAYS) / 1000),
      },
    ];
  });
  if (!own.place)
    rows.push({
      code: "",
      // eslint-disable-next-line no-restricted-syntax -- rows are in English
      place: "the intensity given",
      words: say`the intensity given`,
      year: "",
      intensity: setting.intensity,
      source: null,
      mine: true,
      estimate: times(grams(chosen, setting), (day * DAYS) / 1000),
    });
  rows.sort((a, b) => a.estimate.value - b.estimate.value);
  /** @param {string} code */
  const placeOf = (code) => rows.find((r) => r.code === code)?.words ?? code;
  const draw = drawing(rows, (width) => ({
    height: tall(rows.length, 24, 66),
    marginLeft: Math.min(170, width * 0.36),
    marginRight: 74,
    marginTop: 8,
    marginBottom: 42,
    x: {
      label: say`CO₂e a year →`,
      grid: true,
      ticks: Math.max(2, Math.floor(width / 190)),
      tickFormat: (v) => mass(v),
    },
    y: {
      domain: rows.map((r) => r.code),
      tickFormat: (c) => clean(placeOf(c), width < 500 ? 18 : 26),
      label: null,
      tickSize: 0,
    },
    marks: [
      Plot.barX(rows, {
        className: "pt",
        x: (r) => r.estimate.value,
        y: "code",
        fill: (r) => (r.mine ? "var(--c1)" : "var(--c0)"),
      }),
      Plot.text(rows, {
        x: (r) => r.estimate.value,
        y: "code",
        text: (r) => mass(r.estimate.value),
        textAnchor: "start",
        dx: 5,
        fill: "var(--ink)",
      }),
    ],
    color: { type: "identity" },
  }));
  return [
    chart(app, say`The same workload on other grids, a year`, {
      file: "permille-grids",
      draw,
      data: () =>
        rows.map((r) => ({
          code: r.code,
          place: r.place,
          year: r.year,
          intensity_g_per_kwh: r.intensity,
          intensity_source: r.source?.name ?? "given",
          co2e_g_per_year: r.estimate.value,
          co2e_g_per_year_low: r.estimate.low,
          co2e_g_per_year_high: r.estimate.high,
          requests_per_day: day,
          id: chosen.id,
          model: chosen.model,
          boundary: setting.boundary,
          net: setting.net,
          pue: setting.pue,
        })),
      describe: (r) => [
        r.words,
        say`${mass(r.estimate.value)} CO₂e a year`,
        say`95 % interval: ${interval(r.estimate, "co2e")}`,
        say`${number(r.intensity)} gCO₂e/kWh${r.year ? say`, ${r.year}` : ""}`,
        r.source ? say`${r.source.name}, ${word("source", r.source.kind)}` : say`given`,
      ],
      legend: [
        [say`the grid chosen above`, "var(--c1)", "square"],
        [say`others, their newest year`, "var(--c0)", "square"],
      ],
      note: say`Location-based yearly averages. A figure of direct emissions alone is lower than a
          lifecycle one: the table says which is which, and has the intervals.`,
    }),
    table(
      say`The same workload on other grids, a year`,
      [
        [say`Grid`, (r) => name(r.words)],
        [say`Year`, (r) => r.year],
        [term("intensity", say`gCO₂e per kWh`), (r) => number(r.intensity), { number: true }],
        [say`CO₂e a year`, (r) => mass(r.estimate.value), { number: true }],
        [say`95 % interval`, (r) => interval(r.estimate, "co2e"), { number: true }],
        [
          term("lifecycle", say`Counts`),
          (r) => (r.source ? word("source", r.source.kind) : say`as given`),
        ],
      ],
      rows,
    ),
  ];
}

/**
 * Columns of what a year of each row takes, with its interval.
 * @returns {Column<{ kwh: Estimate; grams: Estimate }>[]}
 */
const yearly = () => [
  [say`Energy a year`, (r) => energy(r.kwh.value), { number: true }],
  [say`95 % interval`, (r) => interval(r.kwh, "kwh"), { number: true }],
  [say`CO₂e a year`, (r) => mass(r.grams.value), { number: true }],
  [say`95 % interval`, (r) => interval(r.grams, "co2e"), { number: true }],
];

/**
 * The same volume of each cell that the filters leave, whatever its task.
 * @param {App} app
 * @param {Cell[]} dearest
 * @param {number} count of all cells
 * @param {number} day
 */
function every(app, dearest, count, day) {
  const rows = dearest.map((c) => ({
    c,
    kwh: times(kwh(c, app.setting), (day * DAYS) / 1000),
    grams: times(grams(c, app.setting), (day * DAYS) / 1000),
  }));
  return folded(
    count > MOST
      ? say`Every cell of this selection at that volume: the ${MOST} dearest of ${number(count)};
          filters narrow it`
      : say`Every cell of this selection at that volume`,
    () =>
      table(
        say`Every cell of this selection at that volume`,
        [
          [
            say`Model`,
            ({ c }) => [h("a", { href: app.href({ cell: c.id }) }, name(c.model)), replica(c)],
          ],
          [say`Task and dataset`, ({ c }) => name(taskOn(c, 200))],
          [say`Study`, ({ c }) => name(sourceName(c))],
          ...yearly(),
        ],
        rows,
      ),
  );
}

/**
 * @param {App} app
 * @param {Cell[]} cells
 * @param {Cell} chosen
 * @param {number} day
 */
function others(app, cells, chosen, day) {
  const setting = app.setting;
  const same = cells
    .filter(
      (c) =>
        c.task === chosen.task &&
        c.dataset === chosen.dataset &&
        sourceKey(c) === sourceKey(chosen),
    )
    .map((c) => ({
      c,
      kwh: times(kwh(c, setting), (day * DAYS) / 1000),
      grams: times(grams(c, setting), (day * DAYS) / 1000),
    }))
    .sort((a, b) => a.kwh.value - b.kwh.value)
    .slice(0, MOST);
  return table(
    say`The same requests answered by other models: ${taskOn(chosen)}`,
    [
      [
        say`Model`,
        ({ c }) => [
          h("a", { href: app.href({ cell: c.id }) }, name(c.model)),
          c === chosen ? [" ", say`(chosen)`] : "",
          replica(c),
        ],
      ],
      [say`Category`, ({ c }) => word("category", c.category)],
      [say`Energy a day`, (r) => energy(r.kwh.value / DAYS), { number: true }],
      [say`CO₂e a day`, (r) => mass(r.grams.value / DAYS), { number: true }],
      ...yearly(),
    ],
    same,
  );
}
