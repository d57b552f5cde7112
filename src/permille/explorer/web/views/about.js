// What is measured, estimated and assumed; sources, how to cite, licences.

import { DOI } from "../cite.js";
import { h, name, own, site, table } from "../dom.js";
import { number } from "../format.js";
import { glossary } from "../glossary.js";
import { path } from "../path.js";

/** @import { App } from "../main.js" */
/** @import { Licence } from "../document" */
/** @import { Child } from "../page" */

const BOUNDARIES = [
  ["accelerator", "The devices in use; on a machine without one, its CPU."],
  ["compute", "The devices in use, the CPU and the DRAM."],
  ["node", "Everything in the box, idle devices too."],
  ["facility", "The node times the PUE of the data centre."],
];
const PROVENANCE = [
  ["measured", "An energy counter was read."],
  ["replayed", "A recorded series of measurements was integrated again."],
  ["modelled", "A power model of the device or tool, fed by measured activity."],
  ["estimated", "Watts from assumed constants and time: right in order of magnitude."],
];

/** @type {{ [licence: string]: string }} */
const LICENCES = {
  "Apache-2.0": "https://www.apache.org/licenses/LICENSE-2.0",
  "CC-BY-4.0": "https://creativecommons.org/licenses/by/4.0/",
  "ODbL-1.0": "https://opendatacommons.org/licenses/odbl/1-0/",
};

/**
 * A text whose repository or arXiv number is a link.
 * @param {string} text
 * @returns {Child}
 */
function linked(text) {
  const match = /(github\.com\/[\w./-]*\w)|arXiv (\d{4}\.\d{4,5})/.exec(text);
  if (!match) return text;
  const address = match[1] ? `https://${match[1]}` : `https://arxiv.org/abs/${match[2]}`;
  return [
    text.slice(0, match.index),
    site(address, match[0]),
    text.slice(match.index + match[0].length),
  ];
}

/** @param {App} app */
export function about(app) {
  const { published, grid, store, studies } = app.data;
  return [
    h("h1", {}, "About the numbers"),
    path(app),
    h(
      "section",
      {},
      h("h2", {}, "What is shown"),
      h(
        "p",
        {},
        "Every figure is the mean energy of 1,000 inferences of one model on one " +
          "dataset, on one machine, by one protocol: a cell. Cells of different " +
          "machines, studies or sources are never pooled. Joules are kept; carbon is " +
          "applied here, from the settings above.",
      ),
      table(
        "Sources of the figures",
        [
          ["Study", (s) => name(s.study)],
          [
            "From",
            (s) => (s.origin === "shipped" ? "shipped with permille" : `the store ${store ?? ""}`),
          ],
          ["Measured by", (s) => name(s.source)],
          ["Cells", (s) => number(s.audit.cells), { number: true }],
          ["Runs", (s) => number(s.audit.runs), { number: true }],
        ],
        studies,
      ),
    ),
    h(
      "section",
      {},
      h("h2", {}, "The shipped study"),
      h("p", {}, published.citation, ": ", site(`https://doi.org/${DOI}`, `doi.org/${DOI}`), "."),
      h("p", {}, "Data: ", linked(published.source), `. Licence: ${published.licence}.`),
      published.notes.map((n) => h("p", {}, `Note: ${n}.`)),
      h(
        "p",
        {},
        "It ran on ",
        Object.entries(published.machine)
          .filter(([k]) => ["gpu_model", "cpu_model", "codecarbon_version"].includes(k))
          .map(([k, v]) => `${k.replaceAll("_", " ")} ${v}`)
          .join("; "),
        ". Its CPU and memory figures are constants times time, not measurements; the " +
          "paper's own tables are those of the node boundary.",
      ),
    ),
    table(
      "Boundaries: what counts",
      [
        ["Boundary", (b) => b[0]],
        ["Holds", (b) => b[1]],
      ],
      BOUNDARIES,
    ),
    table(
      "Provenance: how a figure came to be",
      [
        ["Word", (p) => p[0]],
        ["Means", (p) => p[1]],
      ],
      PROVENANCE,
    ),
    glossary(),
    h(
      "section",
      {},
      h("h2", {}, "Formulas"),
      h(
        "ul",
        {},
        h("li", {}, "kWh = joules / 3,600,000; within facility, times the PUE."),
        h(
          "li",
          {},
          "gCO₂e = kWh × grid intensity × PUE (within facility the PUE is in the kWh " +
            "already): location-based, of the year chosen.",
        ),
        h(
          "li",
          {},
          "Intervals are 95 %: Student's t over the runs and the meters' stated " +
            "uncertainty, combined by root sum of squares. With one run there is none: n/a.",
        ),
        h(
          "li",
          {},
          "Ratios: Welch's interval of the logarithms of two means; a meter's accuracy " +
            "that both sides share cancels. Over several cells, the geometric mean.",
        ),
        h(
          "li",
          {},
          "Above idle: the query's energy less the idle power before the run times its " +
            "length; n/a where no idle was measured.",
        ),
        h("li", {}, "A Pareto front is drawn within one task, dataset and study, never across."),
      ),
    ),
    h(
      "section",
      {},
      h("h2", {}, "Assumed unless you choose"),
      h(
        "ul",
        {},
        h("li", {}, "Grid: the world's average of the newest year."),
        h(
          "li",
          {},
          "PUE 1: the machine's own energy. The industry's mean is " +
            `${number(app.data.mean_pue)} (Uptime Institute, 2025).`,
        ),
        h("li", {}, "A year has 365 days."),
      ),
    ),
    table(
      "Sources of the grids' figures",
      [
        ["Source", (s) => site(s.url, s.name)],
        ["Counts", (s) => s.kind],
        ["Licence", (s) => site(own(LICENCES, s.licence) ?? "", s.licence)],
        ["Attribution", (s) => h("small", {}, s.attribution)],
      ],
      grid.sources,
    ),
    table(
      "Sources of the equivalents",
      [
        ["Like", (e) => e.name],
        ["Factor", (e) => e.factor],
        ["Source", (e) => h("small", {}, linked(e.source))],
      ],
      app.data.equivalents,
    ),
    h(
      "section",
      {},
      h("h2", {}, "Cite and licence"),
      h(
        "p",
        {},
        "Cite the study above for its figures, and permille for what it measured: ",
        h("code", {}, `permille ${app.data.permille}`),
        ". permille is free software under the ",
        site(LICENCES["Apache-2.0"], "Apache License 2.0"),
        ". At each chart, Keep has both as BibTeX and in APA style.",
      ),
      h(
        "p",
        {},
        "The map in What if has the shapes of ",
        site("https://www.naturalearthdata.com", "Natural Earth"),
        ", which are in the public domain.",
      ),
      packages(app),
    ),
  ];
}

/**
 * The packages that the page is built of, with their licences.
 * @param {App} app
 */
function packages(app) {
  const shown = h(
    "details",
    {},
    h("summary", {}, "This page is built of packages of others"),
    h("p", {}, "Reading the licences …"),
  );
  app.licences().then(
    (licences) => shown.lastChild?.replaceWith(...licences.map(licence)),
    (error) =>
      shown.lastChild?.replaceWith(
        h("p", { class: "warn" }, `The licences cannot be read: ${error.message}`),
      ),
  );
  return shown;
}

/** @param {Licence} shipped */
const licence = ({ name: title, version, licence: kind, text }) =>
  h(
    "details",
    {},
    h("summary", {}, `${title} ${version}, ${kind}`),
    h(
      "pre",
      { tabindex: "0" },
      text || "The package has no licence file; its package.json names the licence.",
    ),
  );
