// One workload on every grid: a map of a year, and places by years. A place without a figure of a
// year has none.

import { h, name, replaceChildren, table } from "../dom.js";
import { DAYS, grams } from "../figures.js";
import { mass, NONE, number } from "../format.js";
import { term } from "../glossary.js";
import { english, say, spoken, word } from "../say.js";
import { choice } from "./choice.js";

/** @import { Cell, PagePlace, PageSource } from "../document" */
/** @import { App } from "../main.js" */
/** @import { Column, Estimate } from "../page" */

/** @type {[kind: string, title: string][]} */
const KINDS = [
  ["country", say`Countries`],
  ["state", say`States`],
  ["province", say`Provinces`],
  ["zone", say`Grid zones`],
  ["cloud", say`Cloud regions`],
];

/** @typedef {{ estimate: Estimate; intensity: number; source: PageSource }} YearFigure */
/** @typedef {{ place: PagePlace; years: Map<string, YearFigure> }} PlaceRow */
/**
 * The places of one kind, those of the least figure of a year first; `values` are the figures of
 * all years.
 * @typedef {{ kind: string; rows: PlaceRow[]; years: string[]; year: string;
 *   values: number[] }} Grids
 */

/** @type {typeof import("../map.js").worldMap | null} once its part of the script is loaded */
let drawsMap = null;

/**
 * Map and matrix, which are made when they are opened. `update` makes the matrix anew for other
 * requests a day.
 * @param {App} app
 * @param {Cell} chosen
 * @param {() => number} perDay
 */
export function gridMatrix(app, chosen, perDay) {
  const box = h("div", {}),
    listing = h("div", {});
  /** @type {Grids | null} */
  let grids = null;
  const element = h(
    "details",
    { id: "w-grids", class: "made", ontoggle: open },
    h("summary", {}, say`The same workload on every grid, by year`),
    box,
  );
  function open() {
    // Made when it is opened: hundreds of places, each in every year, are not what most came for.
    if (!element.open || grids) return;
    grids = gridsOf(app, chosen);
    replaceChildren(box, [choices(app, grids), map(app, chosen, grids), listing]);
    update();
  }
  function update() {
    if (grids) replaceChildren(listing, matrix(grids, perDay()));
  }
  return { element, update };
}

/**
 * @param {App} app
 * @param {Cell} chosen
 * @returns {Grids}
 */
function gridsOf(app, chosen) {
  const kind = KINDS.find(([k]) => k === app.state.places)?.[0] ?? "country";
  const rows = app.data.grid.places
    .filter((place) => place.kind === kind)
    .map((place) => rowOf(app, chosen, place));
  const years = [...new Set(rows.flatMap((row) => [...row.years.keys()]))].sort();
  const year = years.includes(app.state.sorted) ? app.state.sorted : usual(rows, years);
  const least = (/** @type {PlaceRow} */ row) => row.years.get(year)?.estimate.value ?? Infinity;
  rows.sort((a, b) =>
    least(a) === least(b)
      ? placeName(a.place).localeCompare(placeName(b.place), spoken())
      : least(a) - least(b),
  );
  const values = rows.flatMap((row) => [...row.years.values()].map((f) => f.estimate.value));
  return { kind, rows, years, year, values };
}

/**
 * The newest year of which half of the places have a figure: of the newest ones, few have.
 * @param {PlaceRow[]} rows
 * @param {string[]} years
 */
function usual(rows, years) {
  const known = (/** @type {string} */ year) => rows.filter((row) => row.years.has(year)).length;
  const newest = [...years].reverse();
  return newest.find((year) => known(year) >= rows.length / 2) ?? newest[0];
}

/**
 * @param {App} app
 * @param {Cell} chosen
 * @param {PagePlace} place
 * @returns {PlaceRow}
 */
function rowOf(app, chosen, place) {
  /** @type {PlaceRow["years"]} */
  const years = new Map();
  for (const [year, [intensity, source]] of Object.entries(place.years)) {
    const estimate = grams(chosen, { ...app.setting, intensity });
    if (estimate) years.set(year, { estimate, intensity, source: app.data.grid.sources[source] });
  }
  return { place, years };
}

/**
 * @param {App} app
 * @param {Grids} grids
 */
const choices = (app, { kind, years, year }) =>
  h(
    "div",
    { class: "fields ask" },
    choice("w-places", say`Places`, KINDS, kind, (places) => app.set({ places, sorted: "" })),
    choice(
      "w-sorted",
      say`Year`,
      years.map((y) => /** @type {[string, string]} */ ([y, y])),
      year,
      (sorted) => app.set({ sorted }),
    ),
  );

/**
 * The map of the countries, whose part of the script is loaded when it is first drawn.
 * @param {App} app
 * @param {Cell} chosen
 * @param {Grids} grids
 */
function map(app, chosen, { kind, rows, year, values }) {
  if (kind !== "country") return h("p", { class: "note" }, say`The map has countries alone.`);
  const box = h("div", {});
  const countries = rows.map(({ place, years }) => ({
    code: place.code,
    name: placeName(place),
    figure: years.get(year) ?? null,
  }));
  const fill = (/** @type {NonNullable<typeof drawsMap>} */ draw) =>
    replaceChildren(box, draw(app, chosen, countries, year, values));
  if (drawsMap) fill(drawsMap);
  else
    app.awaited.push(
      app.parts.map().then(
        (worldMap) => {
          drawsMap = worldMap;
          fill(worldMap);
        },
        (error) => {
          replaceChildren(
            box,
            h("p", { class: "warn" }, say`The map cannot be loaded: ${english(error.message)}`),
          );
        },
      ),
    );
  return box;
}

/**
 * @param {Grids} grids
 * @param {number} perDay
 */
function matrix({ rows, years, year, values }, perDay) {
  const most = Math.max(...values);
  const missing = rows.filter((row) => !row.years.has(year)).length;
  return [
    table(
      say`CO₂e a year of the workload, by place and year`,
      [
        [say`Place`, (row) => name(placeName(row.place))],
        [
          say`Per 1,000, ${year}`,
          (row) => {
            const found = row.years.get(year);
            return found ? mass(found.estimate.value) : h("span", { class: "none" }, NONE);
          },
          { number: true },
        ],
        ...years.map((y) => yearColumn(y, most, perDay)),
        [say`Source`, (row) => sourceOf(row, year)],
      ],
      rows,
    ),
    h(
      "p",
      { class: "note" },
      say`${NONE}: no figure of that year.`,
      " ",
      missing
        ? say`${number(missing)} of ${number(rows.length)} places have none of ${year}.`
        : null,
      " ",
      say`Location-based yearly averages. Those of direct emissions alone are marked: they are lower
        than ${term("lifecycle", say`lifecycle`)} ones.`,
    ),
  ];
}

/**
 * @param {string} year
 * @param {number} most
 * @param {number} perDay
 * @returns {Column<PlaceRow>}
 */
function yearColumn(year, most, perDay) {
  return [
    year,
    (row) => {
      const found = row.years.get(year);
      if (!found) return h("span", { class: "none" }, NONE);
      const { estimate, source } = found;
      const ofYear = (estimate.value * perDay * DAYS) / 1000;
      const cell = h(
        "span",
        {
          class: "shade",
          title: sourceWords(found),
          "data-value": ofYear,
        },
        mass(ofYear),
        source.kind === "lifecycle" ? null : h("small", {}, word("source", source.kind)),
      );
      cell.style.setProperty("--share", `${Math.round((100 * estimate.value) / (most || 1))}%`);
      return cell;
    },
    { number: true },
  ];
}

/** @param {Pick<YearFigure, "intensity" | "source">} figure */
export const sourceWords = ({ intensity, source }) =>
  say`${number(intensity)} gCO₂e/kWh, ${word("source", source.kind)}: ${source.name}`;

/** @param {PagePlace} place */
const placeName = ({ code, name: title }) => word("place", code, title);

/**
 * @param {PlaceRow} row
 * @param {string} year
 */
function sourceOf(row, year) {
  const found = row.years.get(year);
  return found ? name(sourceWords(found)) : say`no figure of ${year}`;
}
