// What stands below a chart that leaves the page, and how to cite it.

import { clean } from "./dom.js";
import { number } from "./format.js";
import { say, word } from "./say.js";
import { DEFAULTS, FILTERS } from "./state.js";

/** @import { App } from "./main.js" */
/** @import { Setting } from "./page" */
/** @import { Filter } from "./state.js" */

/** @type {{ [field in Filter]: string }} */
export const FILTER_NAMES = {
  task: say`task`,
  dataset: say`dataset`,
  search: say`model contains`,
  category: say`category`,
  architecture: say`architecture`,
  provenance: say`provenance`,
  device: say`hardware`,
  study: say`study`,
  origin: say`source`,
  least: say`parameters from`,
  most: say`parameters to`,
};

export const DOI = "10.1145/3630106.3658542";
/* eslint-disable no-restricted-syntax -- references are in English */
const PAPER = {
  bibtex: `@inproceedings{luccioni2024power,
  title = {Power Hungry Processing: Watts Driving the Cost of {AI} Deployment?},
  author = {Luccioni, Sasha and Jernite, Yacine and Strubell, Emma},
  booktitle = {Proceedings of the 2024 {ACM} Conference on Fairness, Accountability, and
    Transparency},
  year = {2024},
  doi = {${DOI}}
}`,
  apa:
    "Luccioni, S., Jernite, Y., & Strubell, E. (2024). Power hungry processing: Watts driving " +
    "the cost of AI deployment? In Proceedings of the 2024 ACM Conference on Fairness, " +
    `Accountability, and Transparency (FAccT '24). https://doi.org/${DOI}`,
};

/* eslint-enable no-restricted-syntax */

/** Today, as a page that is kept says when it was taken. */
export const today = () => new Date().toISOString().slice(0, 10);

/**
 * The grid, its year and its intensity.
 * @param {Setting} setting
 */
export const gridWords = ({ grid, intensity }) =>
  say`${grid.name}${grid.year ? ` ${grid.year}` : ""}, ${number(intensity)} gCO₂e/kWh`;

/** @param {Setting} setting */
export function settingWords(setting) {
  const { boundary, net, pue } = setting;
  const idle = net ? say`above idle` : say`idle included`;
  return say`${word("boundary", boundary)} boundary, ${idle}; grid: ${gridWords(setting)};
    PUE ${number(pue)}`;
}

/**
 * The filters that are set, each with its name.
 * @param {App} app
 */
export function filterWords(app) {
  return FILTERS.filter((f) => app.state[f] !== DEFAULTS[f]).map(
    (f) => `${FILTER_NAMES[f]} ${clean(word(f, app.state[f]), 60)}`,
  );
}

/**
 * The address of the view; a file is named without its folder, which is nobody else's business.
 * @param {App} app
 */
function viewLink(app) {
  if (location.protocol !== "file:") return location.href;
  const file = decodeURIComponent(location.pathname.split("/").at(-1) ?? "");
  return `${clean(file, 80)}${app.href({})}`;
}

/**
 * The lines below a chart: settings, filters, sources with DOI and licence, date and link.
 * @param {App} app
 * @returns {string[]}
 */
export function captionLines(app) {
  const { grid } = app.setting,
    filters = filterWords(app),
    { shipped, stored } = origins(app),
    { published } = app.data;
  const source = grid.source && say`Grid data: ${grid.source.name}, ${grid.source.licence}.`;
  return [
    say`Settings: ${settingWords(app.setting)}.`,
    filters.length ? say`Selected: ${filters.join(say`; `)}.` : "",
    shipped
      ? say`Figures: ${published.citation.replace(`doi ${DOI}`, `https://doi.org/${DOI}`)}.
        Licence: ${published.licence}.`
      : "",
    stored ? say`Figures of the store ${clean(app.data.store ?? "", 80)}.` : "",
    source ?? "",
    `permille ${app.data.permille}, ${today()}. ${viewLink(app)}`,
  ].filter(Boolean);
}

/** @param {App} app */
function origins(app) {
  const cells = app.selection();
  return {
    shipped: cells.some((c) => c.origin === "shipped"),
    stored: cells.some((c) => c.origin === "store"),
  };
}

/* eslint-disable no-restricted-syntax -- references are in English */
/**
 * BibTeX entries for what the view shows: the study where it is in it, and permille.
 * @param {App} app
 */
export function bibtex(app) {
  const [year] = today().split("-"),
    version = app.data.permille;
  const software =
    `@software{permille,\n  title = {permille: energy and carbon of 1,000 inferences, with their ` +
    `uncertainty},\n  author = {{The permille maintainers}},\n  version = {${version}},\n` +
    // Not in a note, where TeX would stop at the & of an address: url is taken as it is (biblatex).
    `  year = {${year}},\n  url = {${texSafe(viewLink(app))}},\n  urldate = {${today()}}\n}`;
  return [origins(app).shipped ? PAPER.bibtex : "", software].filter(Boolean).join("\n\n");
}

/**
 * The same as references in APA style.
 * @param {App} app
 */
export function apa(app) {
  const software =
    `The permille maintainers. (${today().slice(0, 4)}). permille: Energy and carbon of 1,000 ` +
    `inferences, with their uncertainty (Version ${app.data.permille}) [Computer software]. ` +
    `Retrieved ${today()}, from ${viewLink(app)}`;
  return [origins(app).shipped ? PAPER.apa : "", software].filter(Boolean).join("\n\n");
}

/* eslint-enable no-restricted-syntax */

/**
 * An address within BibTeX: a stray brace would end the entry.
 * @param {string} text
 */
const texSafe = (text) => text.replace(/[{}\\]/g, (c) => encodeURIComponent(c));
