// One workload on every grid: places by years. A place without a figure of a year has none.

import { h, name, replaceChildren, table } from "../dom.js";
import { grams } from "../figures.js";
import { mass, NONE, number } from "../format.js";
import { choice } from "./choice.js";
import { say, spoken, word } from "../say.js";

/** @import { Cell, PagePlace, PageSource } from "../document" */
/** @import { App } from "../main.js" */
/** @import { Column } from "../page" */

const DAYS = 365; // of a year, as permille.units counts one
/** @type {[kind: string, title: string][]} */
const KINDS = [
  ["country", say`Countries`],
  ["state", say`States`],
  ["province", say`Provinces`],
  ["zone", say`Grid zones`],
  ["cloud", say`Cloud regions`],
];

/** @typedef {{ grams: number; intensity: number; source: PageSource }} YearFigure */
/** @typedef {{ place: PagePlace; years: Map<string, YearFigure> }} PlaceRow */

/**
 * The matrix, which is made when it is opened. `update` makes it anew for other requests a day.
 * @param {App} app
 * @param {Cell} chosen
 * @param {() => number} perDay
 */
export function gridMatrix(app, chosen, perDay) {
  const box = h("div", {});
  const element = h(
    "details",
    { id: "w-grids", ontoggle: () => update() },
    h("summary", {}, say`The same workload on every grid, by year`),
    box,
  );
  function update() {
    if (element.open) replaceChildren(box, matrix(app, chosen, perDay()));
  }
  return { element, update };
}

/**
 * @param {App} app
 * @param {Cell} chosen
 * @param {number} day
 */
function matrix(app, chosen, day) {
  const kind = KINDS.find(([k]) => k === app.state.places)?.[0] ?? "country";
  const rows = app.data.grid.places
    .filter((place) => place.kind === kind)
    .map((place) => rowOf(app, chosen, place, day));
  const years = [...new Set(rows.flatMap((row) => [...row.years.keys()]))].sort();
  const year = years.includes(app.state.sorted) ? app.state.sorted : years[years.length - 1];
  const least = (/** @type {PlaceRow} */ row) => row.years.get(year)?.grams ?? Infinity;
  rows.sort((a, b) =>
    least(a) === least(b)
      ? placeName(a.place).localeCompare(placeName(b.place), spoken())
      : least(a) - least(b),
  );
  const most = Math.max(...rows.flatMap((row) => [...row.years.values()].map((f) => f.grams)));
  const missing = rows.filter((row) => !row.years.has(year)).length;
  return [
    h(
      "div",
      { class: "fields ask" },
      choice("w-places", say`Places`, KINDS, kind, (places) => app.set({ places, sorted: "" })),
      choice(
        "w-sorted",
        say`Sorted by`,
        years.map((y) => /** @type {[string, string]} */ ([y, y])),
        year,
        (sorted) => app.set({ sorted }),
      ),
    ),
    table(
      say`CO₂e a year of the workload, by place and year`,
      [
        [say`Place`, (row) => name(placeName(row.place))],
        ...years.map((y) => yearColumn(y, most)),
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
        than lifecycle ones.`,
    ),
  ];
}

/**
 * @param {App} app
 * @param {Cell} chosen
 * @param {PagePlace} place
 * @param {number} day
 * @returns {PlaceRow}
 */
function rowOf(app, chosen, place, day) {
  /** @type {PlaceRow["years"]} */
  const years = new Map();
  for (const [year, [intensity, source]] of Object.entries(place.years)) {
    const each = grams(chosen, { ...app.setting, intensity });
    if (each)
      years.set(year, {
        grams: (each.value * day * DAYS) / 1000,
        intensity,
        source: app.data.grid.sources[source],
      });
  }
  return { place, years };
}

/**
 * @param {string} year
 * @param {number} most
 * @returns {Column<PlaceRow>}
 */
function yearColumn(year, most) {
  return [
    year,
    (row) => {
      const found = row.years.get(year);
      if (!found) return h("span", { class: "none" }, NONE);
      const { source } = found;
      const cell = h(
        "span",
        {
          class: "shade",
          title: sourceWords(found),
          "data-value": found.grams,
        },
        mass(found.grams),
        source.kind === "lifecycle" ? null : h("small", {}, word("source", source.kind)),
      );
      cell.style.setProperty("--share", `${Math.round((100 * found.grams) / (most || 1))}%`);
      return cell;
    },
    { number: true },
  ];
}

/** @param {YearFigure} figure */
const sourceWords = ({ intensity, source }) =>
  say`${number(intensity)} gCO₂e/kWh, ${word("source", source.kind)}: ${source.name}`;

/** @param {PagePlace} place */
const placeName = ({ code, name: english }) => word("place", code, english);

/**
 * @param {PlaceRow} row
 * @param {string} year
 */
function sourceOf(row, year) {
  const found = row.years.get(year);
  return found ? name(sourceWords(found)) : say`no figure of ${year}`;
}
