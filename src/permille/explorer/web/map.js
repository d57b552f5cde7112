// A map of the world: each country in the colour of its class. The classes are of the figures of
// all years, so that a colour is the same range in each. It is loaded when it is opened.

import { geoEqualEarth, geoPath } from "d3-geo";
import { feature, mesh } from "topojson-client";
import WORLD from "world-atlas/countries-110m.json";
import { chart, drawing, entry } from "./chart.js";
import { name } from "./dom.js";
import { quantile } from "./figures.js";
import { interval, mass, number } from "./format.js";
import { say } from "./say.js";
import { svgElement } from "./standalone.js";
import { sourceWords } from "./views/grids.js";

/** @import { Cell, PageSource } from "./document" */
/** @import { App } from "./main.js" */
/** @import { Estimate } from "./page" */

/**
 * A country: its figure of the year that is chosen, where there is one.
 * @typedef {object} Country
 * @property {string} code empty where the grid table has no such place
 * @property {string} name
 * @property {Figure | null} figure
 */
/** @typedef {{ estimate: Estimate; intensity: number; source: PageSource }} Figure */

/** A class of figures: those below its end that are in none before. */
/** @typedef {{ to: number; words: string; colour: string }} Class */

const COLOURS = ["var(--m0)", "var(--m1)", "var(--m2)", "var(--m3)", "var(--m4)", "var(--m5)"];
const STEPS = [1, 2, 2.5, 5, 10];
const REST = 0.02; // of the figures, the share that the last class may hold beyond its step
const RADIUS = { wide: 3.5, narrow: 2.5 }; // of a country without a shape
const NARROW = 500;
const HATCH = 5;
const NATURAL_EARTH = say`Shapes: Natural Earth, public domain`;

const { shapes, points } = WORLD;
const { geometries } = shapes.objects.countries;
/** All that is drawn, which the map is fitted to. */
const EXTENT = {
  type: "GeometryCollection",
  geometries: [
    ...geometries.map((shape) => feature(shapes, shape).geometry),
    { type: "MultiPoint", coordinates: Object.values(points) },
  ],
};
let hatches = 0;

/**
 * Equal steps from 0, so large that few figures are above the last one, where the rest is.
 * @param {number[]} values
 * @returns {Class[]}
 */
function classes(values) {
  const most = quantile(values, 1 - REST) || 1;
  const power = 10 ** Math.floor(Math.log10(most / COLOURS.length));
  const step = (STEPS.find((s) => s * power * COLOURS.length >= most) ?? 10) * power;
  const last = COLOURS.length - 1;
  return COLOURS.map((colour, i) => {
    const from = mass(i * step),
      to = mass((i + 1) * step);
    if (i === last) return { to: Infinity, words: say`${from} and more`, colour };
    return { to: (i + 1) * step, words: i ? say`${from} to ${to}` : say`under ${to}`, colour };
  });
}

/**
 * @param {Class[]} list
 * @param {number} grams
 */
const colourOf = (list, grams) => list.find(({ to }) => grams < to)?.colour ?? "";

/**
 * The countries that have a place on the map, and those of the map that are not in the table.
 * @param {Country[]} countries
 * @returns {Country[]}
 */
function placed(countries) {
  const known = new Map(countries.map((country) => [country.code, country]));
  const large = geometries.map(
    ({ id, properties }) =>
      known.get(id ?? "") ?? { code: "", name: properties.name, figure: null },
  );
  const small = Object.keys(points).flatMap((code) => known.get(code) ?? []);
  return [...large, ...small];
}

/**
 * The map of one year; `values` are the figures of all years.
 * @param {App} app
 * @param {Cell} chosen
 * @param {Country[]} countries
 * @param {string} year
 * @param {number[]} values
 */
export function worldMap(app, chosen, countries, year, values) {
  const data = placed(countries);
  const list = classes(values);
  const on = new Set(data.map(({ code }) => code));
  const absent = countries.filter(({ code }) => !on.has(code));
  const title = say`CO₂e per 1,000 inferences on the grid of each country, ${year}`;
  const none = data.some(({ figure }) => !figure);
  return chart(app, title, {
    file: `permille-map-${year}`,
    draw: drawing(data, (width) => drawn(data, list, width)),
    data: () => countries.map((country) => record(app, chosen, country, year)),
    describe: (country) => words(country, year),
    legend: [
      ...list.map((each) => entry(each.words, each.colour, "square")),
      ...(none ? [entry(say`no figure of ${year}`, "var(--soft)", "hatched")] : []),
    ],
    credits: [...credits(countries), say`${NATURAL_EARTH}.`],
    note: [
      say`Location-based yearly averages. Circles: countries too small for a shape.`,
      " ",
      absent.length
        ? say`The table has ${number(absent.length)} more that the map has no place for.`
        : null,
      " ",
      say`Averages of states, provinces, grid zones and cloud regions are in the table alone.`,
      " ",
      say`${NATURAL_EARTH}; its borders are those of who controls an area, not a view of
        permille's.`,
    ],
  });
}

/**
 * @param {Country} country
 * @param {string} year
 */
function words({ name: title, figure }, year) {
  if (!figure) return [name(title), say`no figure of ${year}`];
  const { estimate, intensity, source } = figure;
  return [
    name(title),
    say`${mass(estimate.value)} CO₂e per 1,000 (${interval(estimate, "co2e")}), ${year}`,
    sourceWords({ intensity, source }),
  ];
}

/**
 * @param {App} app
 * @param {Cell} chosen
 * @param {Country} country
 * @param {string} year
 */
function record(app, chosen, { code, name: place, figure }, year) {
  const { boundary, net, pue } = app.setting;
  return {
    code,
    place,
    year,
    intensity_g_per_kwh: figure?.intensity ?? null,
    intensity_source: figure?.source.name ?? null,
    co2e_g_per_1000: figure?.estimate.value ?? null,
    co2e_g_per_1000_low: figure?.estimate.low ?? null,
    co2e_g_per_1000_high: figure?.estimate.high ?? null,
    id: chosen.id,
    model: chosen.model,
    boundary,
    net,
    pue,
  };
}

/**
 * A line for each source of the figures that are drawn.
 * @param {Country[]} countries
 */
function credits(countries) {
  const sources = new Set(countries.flatMap(({ figure }) => figure?.source ?? []));
  return [...sources].map((source) => say`Grids: ${source.name}, ${source.licence}.`);
}

/**
 * @param {Country[]} data
 * @param {Class[]} list
 * @param {number} width
 * @returns {SVGSVGElement}
 */
function drawn(data, list, width) {
  const projection = geoEqualEarth().fitWidth(width, EXTENT),
    path = geoPath(projection);
  const height = Math.ceil(path.bounds(EXTENT)[1][1]);
  const svg = /** @type {SVGSVGElement} */ (
    svgElement("svg", { viewBox: `0 0 ${width} ${height}`, width, height })
  );
  hatches += 1;
  const hatch = `hatch-${hatches}`;
  const marks = svgElement("g", { class: "pt" });
  data.forEach((country, i) => {
    const fill = country.figure ? colourOf(list, country.figure.estimate.value) : `url(#${hatch})`;
    const shape = geometries[i];
    const centre = projection(shape?.properties.centre ?? points[country.code]) ?? [0, 0];
    const mark = shape
      ? outline(path(feature(shapes, shape)) ?? "")
      : circle(centre, width < NARROW ? RADIUS.narrow : RADIUS.wide);
    mark.style.fill = fill;
    if (!shape) mark.style.stroke = "var(--ink)";
    // As Plot binds it, by which chart.js finds the datum.
    marks.append(Object.assign(mark, { __data__: i, centre }));
  });
  // Each border once, over all countries: as the outlines of two, half of it would lie on a
  // neighbour.
  const borders = mesh(shapes, shapes.objects.countries);
  svg.append(pattern(hatch), marks, line(path(borders) ?? ""));
  return svg;
}

/** @param {string} d */
const outline = (d) => /** @type {SVGElement} */ (svgElement("path", { d }));

/**
 * @param {[x: number, y: number]} at
 * @param {number} r
 */
const circle = ([cx, cy], r) => /** @type {SVGElement} */ (svgElement("circle", { cx, cy, r }));

/** @param {string} d */
function line(d) {
  const found = /** @type {SVGElement} */ (
    svgElement("path", { d, fill: "none", class: "border" })
  );
  found.style.stroke = "var(--soft)";
  return found;
}

/**
 * Slanted lines, for what has no figure: it must not look like a little.
 * @param {string} id
 */
function pattern(id) {
  const size = { width: HATCH, height: HATCH, patternUnits: "userSpaceOnUse" };
  const found = svgElement("pattern", { id, ...size, patternTransform: "rotate(45)" });
  const stroke = /** @type {SVGElement} */ (svgElement("rect", { width: 1, height: HATCH }));
  stroke.style.fill = "var(--soft)";
  found.append(stroke);
  return found;
}
