// The world as the map draws it, made of world-atlas (Natural Earth) when the page is built: coarse
// shapes under the codes of the grid table, and a point for each country too small to have one.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { geoArea, geoCentroid } from "d3-geo";
import { feature } from "topojson-client";

/** @import { Position, Topology } from "topojson-client" */

/**
 * Parts of a country's shape that have a grid of their own: the country's number, and a box (west,
 * south, east, north) around the part. Svalbard's has no figure, and is not Norway's.
 * @type {{ [code: string]: [number: string, box: [number, number, number, number]] }}
 */
const APART = {
  GUF: ["250", [-55, 2, -51, 6]],
  GLP: ["250", [-62, 15.7, -60.9, 16.6]],
  MTQ: ["250", [-61.4, 14.3, -60.7, 15]],
  MYT: ["250", [45, -13.1, 45.4, -12.6]],
  REU: ["250", [55.1, -21.5, 55.9, -20.8]],
  SJM: ["578", [10, 74, 35, 81]],
};
/** What a part is called that the grid table does not name. */
const NAMES = /** @type {{ [code: string]: string }} */ ({ SJM: "Svalbard" });
/** A shape without an ISO number, by the name that it has. */
const BY_NAME = /** @type {{ [name: string]: string }} */ ({ Kosovo: "XKX" });
const EMPTY = "ATA"; // Antarctica has no grid, and takes a tenth of the map
const DIGITS = 100; // of a degree: a pixel of the widest map is a third of one

const load = (/** @type {string} */ file) =>
  JSON.parse(readFileSync(createRequire(import.meta.url).resolve(file), "utf8"));

/** @returns {Map<string, string>} codes of three letters, by number */
function codesByNumber() {
  const codes = /** @type {string[][]} */ (load("i18n-iso-countries/codes.json"));
  return new Map(codes.map(([, alpha3, number]) => [number, alpha3]));
}

/**
 * A country of a topology, or what is apart of one: its polygons, and the middle of the largest.
 * @typedef {{ code: string | null; name: string; polygons: unknown[]; area: number;
 *   centre: Position }} Country
 */

/**
 * The countries by their code, or by their name where they have none.
 * @param {Topology} topology
 * @param {Map<string, string>} codes
 * @returns {Map<string, Country>}
 */
function countries(topology, codes) {
  /** @type {Map<string, Country>} */
  const found = new Map();
  for (const { id, type, arcs, properties } of topology.objects.countries.geometries) {
    // Shapes are numbered as in ISO 3166-1, grids have its three letters.
    const whole = codes.get(id ?? "") ?? BY_NAME[properties.name] ?? null;
    for (const rings of type === "Polygon" ? [arcs] : arcs) {
      const shape = feature(topology, { type: "Polygon", arcs: rings, properties });
      const centre = /** @type {Position} */ (geoCentroid(shape).map(rounded));
      const area = geoArea(shape);
      const code = apart(id, centre) ?? whole;
      const key = code ?? properties.name;
      const country = found.get(key) ?? {
        code,
        name: NAMES[key] ?? properties.name,
        polygons: [],
        area: 0,
        centre,
      };
      country.polygons.push(rings);
      if (area > country.area) Object.assign(country, { area, centre });
      found.set(key, country);
    }
  }
  found.delete(EMPTY);
  return found;
}

/** @param {number} degrees */
const rounded = (degrees) => Math.round(degrees * DIGITS) / DIGITS;

/**
 * The code of a country's part that is apart from it.
 * @param {string | undefined} id
 * @param {Position} centre
 */
function apart(id, [x, y]) {
  for (const [code, [number, [west, south, east, north]]] of Object.entries(APART))
    if (number === id && west <= x && x <= east && south <= y && y <= north) return code;
  return null;
}

/** @returns {{ shapes: Topology; points: { [code: string]: Position } }} */
export function world() {
  const codes = codesByNumber();
  const topology = load("world-atlas/countries-110m.json");
  const coarse = countries(topology, codes);
  const geometries = [...coarse.values()].map(({ code, name, polygons, centre }) => ({
    type: "MultiPolygon",
    id: code ?? "",
    arcs: polygons,
    properties: { name, centre },
  }));
  /** @type {{ [code: string]: Position }} */
  const points = {};
  for (const { code, centre } of countries(load("world-atlas/countries-50m.json"), codes).values())
    if (code && !coarse.has(code)) points[code] = centre;
  const objects = { countries: { type: "GeometryCollection", geometries } };
  return { shapes: { ...topology, objects }, points };
}
