// What if: a workload's kWh, kilograms and equivalents a day and a year, on any grid.

import { chart, drawing, Plot, tall } from "../chart.js";
import { combobox } from "../combobox.js";
import { clean, h, name, replaceChildren, table } from "../dom.js";
import { energy, interval, mass, NONE, number } from "../format.js";
import { grams, kwh } from "../figures.js";
import { term } from "../glossary.js";
import { gridMatrix } from "./grids.js";
import { cellOption, replica, sourceKey, sourceName } from "../shared.js";
import { empty } from "./overview.js";

/** @import { Cell, PageSource } from "../document" */
/** @import { App } from "../main.js" */
/** @import { Estimate, Setting, Unit } from "../page" */
/** @import { State } from "../state.js" */

const DAYS = 365; // of a year, as permille.units counts one
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
  const everywhere = gridMatrix(app, chosen, () => perDayOf(app.state));
  const fill = () => {
    replaceChildren(results, answers(app, cells, chosen, dearest));
    everywhere.update();
  };
  fill();
  return [
    h("h1", {}, "What if it ran every day?"),
    h(
      "p",
      { class: "lead" },
      "Choose a model, a number of requests a day, and above the ",
      term("intensity", "grid"),
      ", the ",
      term("pue"),
      " and the ",
      term("boundary"),
      ". Every figure follows at once.",
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
  return alike[Math.floor((alike.length - 1) / 2)].c;
}

/** @param {State} state */
const perDayOf = (state) => Math.min(1e12, Math.max(1, Number(state.day) || 1e6));

/**
 * @param {App} app
 * @param {Cell[]} cells
 * @param {Cell} chosen
 * @param {Cell[]} dearest
 */
function answers(app, cells, chosen, dearest) {
  const setting = app.setting,
    day = perDayOf(app.state);
  const perDay = times(kwh(chosen, setting), day / 1000),
    perDayGrams = times(grams(chosen, setting), day / 1000);
  return [
    h(
      "p",
      { id: "w-said" },
      name(chosen.model),
      `: ${clean(chosen.task, 60)} on ${clean(chosen.dataset, 60)}, ` +
        `${clean(sourceName(chosen), 80)}; ${number(day)} requests a day; ` +
        `${setting.boundary}, idle ${setting.net ? "left out" : "included"}; ` +
        `${setting.grid.name}${setting.grid.year ? ` ${setting.grid.year}` : ""}, ` +
        `${number(setting.intensity)} gCO₂e/kWh; PUE ${number(setting.pue)}.`,
      replica(chosen),
    ),
    h(
      "div",
      { class: "cards" },
      card("A day", perDay, perDayGrams),
      card("A year", times(perDay, DAYS), times(perDayGrams, DAYS)),
    ),
    equivalents(app, perDay.value, perDayGrams.value),
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
    "Model",
    () => cells.map(cellOption),
    (cell) => app.set({ cell }),
  );
  field.show(chosen.id, chosen.model);
  return h("div", { class: "field wide" }, h("label", { for: "w-model" }, "Model"), field.element);
}

/**
 * @param {App} app
 * @param {() => void} fill
 */
function volume(app, fill) {
  const day = perDayOf(app.state);
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
    "aria-label": "Requests a day, logarithmic",
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
    h("label", { for: "w-day" }, "Requests a day"),
    h("div", { class: "pair" }, slider, typed),
  );
}

/** @param {number} value */
const rounded = (value) => Number(value.toPrecision(2));

/**
 * @param {string} title
 * @param {Estimate} ofEnergy
 * @param {Estimate} ofCarbon
 */
function card(title, ofEnergy, ofCarbon) {
  /**
   * @param {Estimate} estimate
   * @param {Unit} kind
   * @param {(value: number) => string} word
   */
  const line = (estimate, kind, word) =>
    h(
      "div",
      { class: "big", "data-figure": `${title}-${kind}`, "data-value": String(estimate.value) },
      h("strong", {}, word(estimate.value)),
      h(
        "small",
        {},
        term("interval"),
        estimate.low === null ? `: ${NONE} (one run)` : `: ${interval(estimate, kind)}`,
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
 * @param {number} kwhDay
 * @param {number} gramsDay
 */
function equivalents(app, kwhDay, gramsDay) {
  const rows = app.data.equivalents.map((e) => ({
    ...e,
    day: e.per * (e.basis === "energy" ? kwhDay : gramsDay),
  }));
  return [
    table(
      "What that is like",
      [
        ["Like", (e) => e.name],
        ["A day", (e) => `${number(e.day)} ${e.unit}`, { number: true }],
        ["A year", (e) => `${number(e.day * DAYS)} ${e.unit}`, { number: true }],
        ["By", (e) => (e.basis === "energy" ? "energy" : "carbon, which moves with the grid")],
      ],
      rows,
    ),
    h(
      "p",
      { class: "note" },
      "Factors and their sources: ",
      h("a", { href: app.href({ view: "about" }) }, "About the numbers"),
      ".",
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
      place: "the intensity given",
      year: "",
      intensity: setting.intensity,
      source: null,
      mine: true,
      estimate: times(grams(chosen, setting), (day * DAYS) / 1000),
    });
  rows.sort((a, b) => a.estimate.value - b.estimate.value);
  /** @param {string} code */
  const placeOf = (code) => rows.find((r) => r.code === code)?.place ?? code;
  const draw = drawing(rows, (width) => ({
    height: tall(rows.length, 24, 66),
    marginLeft: Math.min(170, width * 0.36),
    marginRight: 74,
    marginTop: 8,
    marginBottom: 42,
    x: {
      label: "CO₂e a year →",
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
    chart(app, "The same workload on other grids, a year", {
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
        r.place,
        `${mass(r.estimate.value)} CO₂e a year`,
        `${number(r.intensity)} gCO₂e/kWh${r.year ? `, ${r.year}` : ""}`,
        r.source ? `${r.source.name}, ${r.source.kind}` : "given",
      ],
      legend: [
        ["the grid chosen above", "var(--c1)", "square"],
        ["others, their newest year", "var(--c0)", "square"],
      ],
      note:
        "Location-based yearly averages. A figure of direct emissions alone is lower " +
        "than a lifecycle one: the table says which is which.",
    }),
    table(
      "The same workload on other grids, a year",
      [
        ["Grid", (r) => name(r.place)],
        ["Year", (r) => r.year],
        [term("intensity", "gCO₂e per kWh"), (r) => number(r.intensity), { number: true }],
        ["CO₂e a year", (r) => mass(r.estimate.value), { number: true }],
        [term("lifecycle", "Counts"), (r) => r.source?.kind ?? "as given"],
      ],
      rows,
    ),
  ];
}

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
    kwh: times(kwh(c, app.setting), day / 1000).value,
    grams: times(grams(c, app.setting), day / 1000).value,
  }));
  return h(
    "details",
    {},
    h(
      "summary",
      {},
      "Every cell of this selection at that volume" +
        (count > MOST ? `: the ${MOST} dearest of ${number(count)}; filters narrow it` : ""),
    ),
    table(
      "Every cell of this selection at that volume",
      [
        [
          "Model",
          ({ c }) => [h("a", { href: app.href({ cell: c.id }) }, name(c.model)), replica(c)],
        ],
        ["Task and dataset", ({ c }) => name(`${c.task} on ${c.dataset}`)],
        ["Study", ({ c }) => name(sourceName(c))],
        ["Energy a year", (r) => energy(r.kwh * DAYS), { number: true }],
        ["CO₂e a year", (r) => mass(r.grams * DAYS), { number: true }],
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
      energy: times(kwh(c, setting), day / 1000).value,
      grams: times(grams(c, setting), day / 1000).value,
    }))
    .sort((a, b) => a.energy - b.energy)
    .slice(0, MOST);
  return table(
    `The same requests answered by other models: ${clean(chosen.task, 60)} on ` +
      `${clean(chosen.dataset, 60)}`,
    [
      [
        "Model",
        ({ c }) => [
          h("a", { href: app.href({ cell: c.id }) }, name(c.model)),
          c === chosen ? " (chosen)" : "",
          replica(c),
        ],
      ],
      ["Category", ({ c }) => c.category],
      ["Energy a day", (r) => energy(r.energy), { number: true }],
      ["CO₂e a day", (r) => mass(r.grams), { number: true }],
      ["Energy a year", (r) => energy(r.energy * DAYS), { number: true }],
      ["CO₂e a year", (r) => mass(r.grams * DAYS), { number: true }],
    ],
    same,
  );
}
