// What is measured, estimated and assumed; sources, how to cite, licences.

import { DOI } from "../cite.js";
import { h, name, own, site, table } from "../dom.js";
import { number } from "../format.js";
import { glossary } from "../glossary.js";
import { path } from "../path.js";
import { english, say, word } from "../say.js";
import { groupBy, sourceKey } from "../shared.js";

/** @import { App } from "../main.js" */
/** @import { Licence } from "../document" */
/** @import { Child } from "../page" */

const BOUNDARIES = [
  [word("boundary", "accelerator"), say`The devices in use; on a machine without one, its CPU.`],
  [word("boundary", "compute"), say`The devices in use, the CPU and the DRAM.`],
  [word("boundary", "node"), say`Everything in the box, idle devices too.`],
  [word("boundary", "facility"), say`The node times the PUE of the data centre.`],
];
const PROVENANCE = [
  [word("provenance", "measured"), say`An energy counter was read.`],
  [word("provenance", "replayed"), say`A recorded series of measurements was integrated again.`],
  [
    word("provenance", "modelled"),
    say`A power model of the device or tool, fed by measured activity.`,
  ],
  [
    word("provenance", "estimated"),
    say`Watts from assumed constants and time: right in order of magnitude.`,
  ],
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
  if (!match) return english(text);
  const address = match[1] ? `https://${match[1]}` : `https://arxiv.org/abs/${match[2]}`;
  return [
    english(text.slice(0, match.index)),
    site(address, name(match[0])),
    english(text.slice(match.index + match[0].length)),
  ];
}

/** @param {App} app */
export function about(app) {
  const { published, grid, store } = app.data;
  const studies = [...groupBy(app.cells, sourceKey).values()];
  const machine = Object.entries(published.machine)
    .filter(([k]) => ["gpu_model", "cpu_model", "codecarbon_version"].includes(k))
    .map(([k, v]) => `${k.replaceAll("_", " ")} ${v}`)
    .join("; ");
  return [
    h("h1", {}, say`About the numbers`),
    path(app),
    h(
      "section",
      {},
      h("h2", {}, say`What is shown`),
      h(
        "p",
        {},
        say`Every figure is the mean energy of 1,000 inferences of one model on one dataset, on
          one machine, by one protocol: a cell. Cells of different machines, studies or sources
          are never pooled. Joules are kept; carbon is applied here, from the settings above.`,
      ),
      table(
        say`Sources of the figures`,
        [
          [say`Study`, ([c]) => name(c.study)],
          [
            say`Where from`,
            ([c]) =>
              c.origin === "shipped" ? say`shipped with permille` : say`the store ${store ?? ""}`,
          ],
          [say`Measured by`, ([c]) => name(c.source)],
          [say`Cells`, (list) => number(list.length), { number: true }],
          [say`Runs`, (list) => number(list.reduce((sum, c) => sum + c.done, 0)), { number: true }],
        ],
        studies,
      ),
    ),
    h(
      "section",
      {},
      h("h2", {}, say`The shipped study`),
      h(
        "p",
        {},
        english(published.citation),
        ": ",
        site(`https://doi.org/${DOI}`, `doi.org/${DOI}`),
        ".",
      ),
      h("p", {}, say`Data: ${linked(published.source)}. Licence: ${english(published.licence)}.`),
      published.notes.map((n) => h("p", {}, say`Note: ${english(n, "note")}.`)),
      h(
        "p",
        {},
        say`It ran on ${english(machine)}. Its CPU and memory figures are constants times time, not
          measurements; the paper's own tables are those of the node boundary.`,
      ),
    ),
    table(
      say`Boundaries: what counts`,
      [
        [say`Boundary`, (b) => b[0]],
        [say`Holds`, (b) => b[1]],
      ],
      BOUNDARIES,
    ),
    table(
      say`Provenance: how a figure came to be`,
      [
        [say`Word`, (p) => p[0]],
        [say`Means`, (p) => p[1]],
      ],
      PROVENANCE,
    ),
    glossary(),
    h(
      "section",
      {},
      h("h2", {}, say`Formulas`),
      h(
        "ul",
        {},
        h("li", {}, say`kWh = joules / 3,600,000; within facility, times the PUE.`),
        h(
          "li",
          {},
          say`gCO₂e = kWh × grid intensity × PUE (within facility the PUE is in the kWh
            already): location-based, of the year chosen.`,
        ),
        h(
          "li",
          {},
          say`Intervals are 95 %: Student's t over the runs, or over the sessions or machines where
            there are several, and the meters' stated uncertainty, combined by root sum of squares.
            With one run there is none: n/a.`,
        ),
        h(
          "li",
          {},
          say`Ratios: Student's t over the differences of logarithms within blocks or, without
            blocks, Welch's interval of the logarithms of two means; a meter's accuracy that both
            sides share cancels. Over several cells, the geometric mean.`,
        ),
        h(
          "li",
          {},
          say`Above idle: the query's energy less the idle power before the run times its
            length; n/a where no idle was measured.`,
        ),
        h("li", {}, say`A Pareto front is drawn within one task, dataset and study, never across.`),
      ),
    ),
    h(
      "section",
      {},
      h("h2", {}, say`Assumed unless you choose`),
      h(
        "ul",
        {},
        h("li", {}, say`Grid: the world's average of the newest year.`),
        h(
          "li",
          {},
          say`PUE 1: the machine's own energy. The industry's mean is
            ${number(app.data.mean_pue)} (Uptime Institute, 2025).`,
        ),
        h("li", {}, say`A year has 365 days.`),
      ),
    ),
    table(
      say`Sources of the grids' figures`,
      [
        [say`Source`, (s) => site(s.url, name(s.name))],
        [say`Counts`, (s) => word("source", s.kind)],
        [say`Licence`, (s) => site(own(LICENCES, s.licence) ?? "", name(s.licence))],
        [say`Attribution`, (s) => h("small", {}, english(s.attribution))],
      ],
      grid.sources,
    ),
    table(
      say`Sources of the equivalents`,
      [
        [say`Like`, (e) => word("equivalent", e.name)],
        [say`Factor`, (e) => english(e.factor, "factor")],
        [say`Source`, (e) => h("small", {}, linked(e.source))],
      ],
      app.data.equivalents,
    ),
    h(
      "section",
      {},
      h("h2", {}, say`Cite and licence`),
      h(
        "p",
        {},
        say`Cite the study above for its figures, and permille for what it measured:
          ${h("code", {}, `permille ${app.data.permille}`)}. permille is free software under the
          ${site(LICENCES["Apache-2.0"], "Apache License 2.0")}. At each chart, Keep has both as
          BibTeX and in APA style.`,
      ),
      h(
        "p",
        {},
        say`The map in What if has the shapes of
          ${site("https://www.naturalearthdata.com", "Natural Earth")}, which are in the public
          domain.`,
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
    h("summary", {}, say`This page is built of packages of others`),
    h("p", {}, say`Reading the licences …`),
  );
  app.licences().then(
    (licences) => shown.lastChild?.replaceWith(...licences.map(licence)),
    (error) =>
      shown.lastChild?.replaceWith(
        h("p", { class: "warn" }, say`The licences cannot be read: ${english(error.message)}`),
      ),
  );
  return shown;
}

/** @param {Licence} shipped */
const licence = ({ name: title, version, licence: kind, text }) =>
  h(
    "details",
    {},
    h("summary", {}, name(`${title} ${version}, ${kind}`)),
    h(
      "pre",
      { tabindex: "0", lang: "en" },
      text || say`The package has no licence file; its package.json names the licence.`,
    ),
  );
