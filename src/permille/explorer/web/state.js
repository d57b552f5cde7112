// Everything on screen, in the address: the query where served, the hash in a file.

import { asked as askedOf, inFile } from "./address.js";
import { amount } from "./format.js";

/** @import { Setting } from "./page" */

export const DEFAULTS = {
  lang: "",
  view: "overview",
  task: "",
  dataset: "",
  search: "",
  category: "",
  architecture: "",
  provenance: "",
  device: "",
  study: "",
  origin: "",
  least: "",
  most: "",
  boundary: "compute",
  net: "",
  unit: "kwh",
  region: "",
  year: "",
  intensity: "",
  pue: "",
  day: "1000000",
  colour: "category",
  stat: "median",
  training: "",
  sweep: "",
  limit: "",
  within: "",
  errors: "",
  per: "",
  budget: "",
  places: "",
  sorted: "",
  cell: "",
  model: "",
  uid: "",
  m: /** @type {string[]} */ ([]),
  sort: "task",
  dir: "up",
  rows: "",
  hide: "",
};

/**
 * @typedef {typeof DEFAULTS} State
 * @typedef {Exclude<keyof State, "m">} Field
 * @typedef {typeof FILTERS[number]} Filter
 * @typedef {typeof OFFERED[number]} Offered
 */

/**
 * The paper's view: within the node, means, the study's own figures.
 * @type {Partial<State>}
 */
export const PAPER = { view: "overview", boundary: "node", origin: "shipped", stat: "mean" };

/** What narrows the selection. */
export const FILTERS = /** @type {const} */ ([
  "task",
  "dataset",
  "search",
  "category",
  "architecture",
  "provenance",
  "device",
  "study",
  "origin",
  "least",
  "most",
]);

/** Filters that a cell's own column must equal; the page offers its values. */
export const OFFERED = /** @type {const} */ ([
  "task",
  "dataset",
  "category",
  "architecture",
  "device",
  "study",
  "origin",
]);

const fields = /** @type {Field[]} */ (Object.keys(DEFAULTS).filter((field) => field !== "m"));

/** The most models that are compared: as many as Compare has colours. */
export const MOST_COMPARED = 6;

// As permille.explorer.rows.LONGEST: the server refuses a longer value.
const LONGEST = 300;

/** @returns {State} */
export function read() {
  const asked = askedOf();
  const state = { ...DEFAULTS, m: [...new Set(asked.getAll("m"))].slice(0, MOST_COMPARED) };
  for (const field of fields) {
    // An address is foreign and may be of any length; what it says is worded in several places.
    state[field] = (asked.get(field) ?? DEFAULTS[field]).slice(0, 10_000);
  }
  return state;
}

/**
 * @param {State} state
 * @param {(keyof State)[]} [only]
 */
export function query(state, only = /** @type {(keyof State)[]} */ (Object.keys(DEFAULTS))) {
  const asked = new URLSearchParams();
  for (const field of only) {
    const value = state[field];
    if (Array.isArray(value)) value.forEach((v) => asked.append(field, v));
    else if (value !== DEFAULTS[field] && value !== "") asked.set(field, String(value));
  }
  return asked.toString();
}

/**
 * The address of this state with some of it changed: every view is a link.
 * @param {State} state
 * @param {Partial<State>} [changes]
 */
export function href(state, changes = {}) {
  const text = query({ ...state, ...changes });
  return inFile ? `#${text}` : `/${text ? `?${text}` : ""}`;
}

/**
 * What the server is asked for, of this selection: what the page has made of the address, so that
 * both give the same rows. A value too long for the server is cut.
 * @param {State} state
 * @param {Setting} setting
 */
export function rowsQuery(state, setting) {
  const { boundary, pue, grid } = setting;
  const asked = { ...state, m: [], boundary, pue: pue === 1 ? "" : String(pue) };
  for (const field of FILTERS) asked[field] = asked[field].slice(0, LONGEST);
  for (const bound of /** @type {const} */ (["least", "most"]))
    asked[bound] = String(amount(state[bound]) ?? "");
  if (state.year !== grid.year) asked.year = "";
  // An intensity that counts is given in place of a grid's.
  if (grid.place) asked.intensity = "";
  if (state.region !== grid.place?.code) asked.region = "";
  return query(asked, [...FILTERS, "boundary", "net", "region", "year", "intensity", "pue"]);
}

/**
 * The requests a day, of What if and Break-even.
 * @param {State} state
 */
export const perDay = (state) => Math.min(1e12, Math.max(1, Number(state.day) || 1e6));

/** Safari refuses over 100 changes of the address in 30 seconds, and each takes milliseconds. */
const PAUSE_MS = 400;
let written = -Infinity;
/** @type {{ address: string; timer: ReturnType<typeof setTimeout> } | null} */
let waiting = null;

/**
 * @param {State} state
 * @param {{ replace?: boolean }} [options] `replace`: in place of the address before; of many in a
 *   row, as a slider makes them, the first and the last are written
 */
export function write(state, { replace = false } = {}) {
  const address = href(state);
  if (!replace) push(address);
  else {
    if (waiting) clearTimeout(waiting.timer);
    const pause = Math.max(0, written + PAUSE_MS - performance.now());
    waiting = { address, timer: setTimeout(settle, pause) };
    if (!pause) settle();
  }
}

/** Writes the address that a slider has come to. */
export function settle() {
  if (!waiting) return;
  history.replaceState(null, "", waiting.address);
  written = performance.now();
  forget();
}

/** The address is another one now: what was to take the place of the one before is not written. */
export function forget() {
  if (waiting) clearTimeout(waiting.timer);
  waiting = null;
}

/** @param {string} address */
export function push(address) {
  // First: written later, a slider's address would take the place of the new one.
  settle();
  history.pushState(null, "", address);
}
