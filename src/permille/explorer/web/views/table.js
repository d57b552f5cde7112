// The table: every cell that the filters leave, sortable; what every chart draws, in words.

import { clean, download, h, name, own, replaceChildren, setText } from "../dom.js";
import { figure, interval, NONE, number, params, qualityInterval, seconds } from "../format.js";
import { grams, kwh, provenance } from "../figures.js";
import { asParquet, csv, record } from "../records.js";
import { english, say, word } from "../say.js";
import { refusal } from "../source.js";
import { MOST_COMPARED, rowsQuery } from "../state.js";
import { provenanceWord, replica, sourceName } from "../shared.js";

/** @import { Cell } from "../document" */
/** @import { App } from "../main.js" */
/** @import { Child, Estimate, Setting, Unit } from "../page" */
/** @import { State } from "../state.js" */

const PAGE = 100;

/**
 * Heading, what is shown of a cell, what it is sorted by, and whether that is a number.
 * @typedef {[
 *   heading: string,
 *   shown: (c: Cell, setting: Setting) => Child,
 *   sorted: (c: Cell, setting: Setting) => string | number | null,
 *   isNumber?: boolean,
 * ]} TableColumn
 */

/** @param {unknown} value */
const text = (value) => (value === null || value === undefined ? "" : String(value));
/**
 * The columns that follow the PUE and the grid.
 * @type {{ [key: string]: { of: typeof kwh; unit: Unit } }}
 */
const FIGURES = { energy: { of: kwh, unit: "kwh" }, carbon: { of: grams, unit: "co2e" } };
/** @type {{ [key: string]: TableColumn }} */
const COLUMNS = {
  energy: [
    say`Energy per 1,000`,
    (c, s) => withInterval(kwh(c, s), "kwh"),
    (c, s) => kwh(c, s)?.value ?? null,
    true,
  ],
  carbon: [
    say`CO₂e per 1,000`,
    (c, s) => withInterval(grams(c, s), "co2e"),
    (c, s) => grams(c, s)?.value ?? null,
    true,
  ],
  task: [say`Task`, (c) => name(word("task", c.task)), (c) => c.task],
  dataset: [say`Dataset`, (c) => name(c.dataset), (c) => c.dataset],
  category: [say`Category`, (c) => word("category", c.category), (c) => c.category],
  params: [say`Parameters`, (c) => params(c.params), (c) => c.params, true],
  quality: [
    say`Quality`,
    (c) => (c.metric ? `${clean(c.metric, 30)} ${qualityInterval(c)}` : NONE),
    (c) => c.quality,
    true,
  ],
  latency: [say`Time per inference`, (c) => seconds(timeEach(c)), (c) => timeEach(c), true],
  runs: [
    say`Runs`,
    (c) => number(c.done) + (c.failed + c.invalid ? say` (+${c.failed + c.invalid} not)` : ""),
    (c) => c.done,
    true,
  ],
  provenance: [
    say`Provenance`,
    (c, s) => provenanceWord(c, s.boundary),
    (c, s) => provenance(c, s.boundary),
  ],
  architecture: [
    say`Architecture`,
    (c) => (c.architecture === null ? NONE : name(c.architecture)),
    (c) => c.architecture,
  ],
  device: [say`Hardware`, (c) => name(c.device ?? NONE), (c) => c.device],
  study: [say`Study`, (c) => name(sourceName(c)), (c) => sourceName(c)],
};

/**
 * @param {Cell} c
 * @returns {number | null}
 */
export const timeEach = (c) => c.latency_p50 ?? (c.seconds === null ? null : c.seconds / 1000);

/**
 * @param {Estimate | null} estimate
 * @param {Unit} kind
 * @returns {Child}
 */
function withInterval(estimate, kind) {
  if (!estimate) return NONE;
  const value = h("span", { class: "value" }),
    ends = h("small", {});
  reword(value, ends, estimate, kind);
  return [value, " ", ends];
}

/**
 * Writes a figure and its interval into the elements that hold them.
 * @param {HTMLElement} value
 * @param {HTMLElement} ends
 * @param {Estimate} estimate
 * @param {Unit} kind
 */
function reword(value, ends, estimate, kind) {
  value.dataset.value = String(estimate.value);
  value.dataset.low = String(estimate.low);
  setText(value, figure(estimate.value, kind));
  setText(ends, interval(estimate, kind));
}

/** @param {App} app */
export function tableView(app) {
  const setting = app.setting,
    state = app.state;
  const boundary = word("boundary", setting.boundary);
  const rows = sorted(app.selection(), state, setting);
  const shown = app.printing ? Infinity : Math.max(PAGE, Number(state.rows) || PAGE);
  const most = Math.min(rows.length, shown);
  const hidden = hiddenColumns(state);
  const columns = Object.entries(COLUMNS).filter(([key]) => !hidden.has(key));
  /**
   * @param {string} key
   * @param {string} title
   * @param {boolean} [number_]
   */
  const head = (key, title, number_) =>
    h(
      "th",
      {
        scope: "col",
        class: number_ ? "number" : null,
        "aria-sort":
          state.sort === key ? (state.dir === "down" ? "descending" : "ascending") : "none",
      },
      h(
        "button",
        {
          type: "button",
          id: `sort-${key}`,
          onclick: () =>
            app.set({ sort: key, dir: state.sort === key && state.dir !== "down" ? "down" : "up" }),
        },
        title,
        h(
          "span",
          { "aria-hidden": "true" },
          state.sort === key ? (state.dir === "down" ? " ▾" : " ▴") : "",
        ),
      ),
    );
  /** @param {Cell} c */
  const line = (c) =>
    h(
      "tr",
      { "data-cell": c.id },
      h("th", { scope: "row" }, h("a", { href: modelLink(app, c) }, name(c.model)), replica(c)),
      columns.map(([key, [, cell, , number_]]) =>
        h("td", { class: number_ ? "number" : null, "data-column": key }, cell(c, setting)),
      ),
      h("td", {}, picker(app, c)),
    );
  const lines = rows.slice(0, most),
    body = h("tbody", {}, lines.map(line));
  let taken = downloads(app, rows);
  // All figures are multiplied by the same: their order stays.
  app.follow = () => {
    lines.forEach((c, i) => refigure(app, c, body.rows[i]));
    const now = downloads(app, rows);
    taken.replaceWith(now);
    taken = now;
  };
  return [
    h("h1", {}, say`All figures`),
    h(
      "p",
      { class: "lead" },
      setting.net
        ? say`${number(rows.length)} cells, per 1,000 inferences, within the ${boundary} boundary,
            above idle; small, the 95 % interval (n/a where there was but one run).`
        : say`${number(rows.length)} cells, per 1,000 inferences, within the ${boundary} boundary;
            small, the 95 % interval (n/a where there was but one run).`,
    ),
    taken,
    columnChoice(app, hidden),
    h(
      "div",
      { class: "scroll", tabindex: "0", role: "region", "aria-label": say`All figures` },
      h(
        "table",
        { class: "all" },
        h("caption", { class: "hidden" }, say`All figures that the filters leave`),
        h(
          "thead",
          {},
          h(
            "tr",
            {},
            head("model", say`Model`),
            columns.map(([key, [title, , , n]]) => head(key, title, n)),
            h("th", { scope: "col" }, say`Compare`),
          ),
        ),
        body,
      ),
    ),
    rows.length > most
      ? h(
          "p",
          {},
          h(
            "button",
            { type: "button", id: "more", onclick: () => app.set({ rows: String(most + 400) }) },
            say`Show more (${number(rows.length - most)} left)`,
          ),
        )
      : null,
  ];
}

/**
 * Writes what the PUE and the grid change into a row that stands: most of the time of drawing a
 * table anew is its layout.
 * @param {App} app
 * @param {Cell} c
 * @param {HTMLTableRowElement} row
 */
function refigure(app, c, row) {
  row.querySelector("a")?.setAttribute("href", modelLink(app, c));
  for (const [key, { of, unit }] of Object.entries(FIGURES)) {
    const [value, ends] = row.querySelectorAll(`[data-column=${key}] > *`),
      estimate = of(c, app.setting);
    if (estimate && value instanceof HTMLElement && ends instanceof HTMLElement)
      reword(value, ends, estimate, unit);
  }
}

/**
 * @param {App} app
 * @param {Cell} c
 */
const modelLink = (app, c) => app.href({ view: "model", model: c.model, cell: c.id });

/**
 * The columns that the address hides; names that are none are left out.
 * @param {State} state
 */
const hiddenColumns = (state) =>
  new Set(state.hide.split(",").filter((key) => own(COLUMNS, key) !== undefined));

/**
 * Which columns are shown. The model always is.
 * @param {App} app
 * @param {Set<string>} hidden
 */
function columnChoice(app, hidden) {
  /** @param {string} key */
  const toggled = (key) =>
    Object.keys(COLUMNS)
      .filter((each) => hidden.has(each) !== (each === key))
      .join(",");
  const count = Object.keys(COLUMNS).length;
  return h(
    "details",
    { class: "columns" },
    h("summary", {}, say`Columns (${count - hidden.size} of ${count})`),
    h(
      "ul",
      { class: "checks" },
      Object.entries(COLUMNS).map(([key, [title]]) =>
        h(
          "li",
          {},
          h(
            "label",
            { class: "check" },
            h("input", {
              type: "checkbox",
              id: `column-${key}`,
              checked: !hidden.has(key),
              onchange: () => app.set({ hide: toggled(key) }),
            }),
            title,
          ),
        ),
      ),
      hidden.size
        ? h(
            "li",
            {},
            h("button", { type: "button", onclick: () => app.set({ hide: "" }) }, say`Show all`),
          )
        : null,
    ),
  );
}

/**
 * Adds a model to, or takes it from, those that are compared.
 * @param {App} app
 * @param {Cell} cell
 */
export function picker(app, cell) {
  const { m } = app.state;
  const picked = m.includes(cell.model);
  return h("input", {
    type: "checkbox",
    id: `pick-${cell.id}`,
    checked: picked,
    disabled: !picked && m.length >= MOST_COMPARED,
    "aria-label": say`compare ${cell.model.slice(0, 80)}`,
    onchange: () => app.set({ m: picked ? m.filter((x) => x !== cell.model) : [...m, cell.model] }),
  });
}

/**
 * @param {Cell[]} cells
 * @param {State} state
 * @param {Setting} setting
 */
function sorted(cells, state, setting) {
  /** @type {TableColumn[2]} */
  const key =
    state.sort === "model" ? (c) => c.model : (own(COLUMNS, state.sort)?.[2] ?? COLUMNS.task[2]);
  const sign = state.dir === "down" ? -1 : 1;
  const keyed = cells.map((c) => ({ c, by: key(c, setting) }));
  // Texts repeat: they are put in order once, and then compared by their rank.
  const texts = [...new Set(keyed.flatMap(({ by }) => (typeof by === "string" ? [by] : [])))].sort(
    new Intl.Collator("en").compare,
  );
  const ranks = new Map(texts.map((each, i) => [each, i]));
  /** @param {string | number | null} by */
  const rank = (by) => ranks.get(text(by)) ?? 0;
  // What is missing comes last, whichever way.
  keyed.sort(({ by: a }, { by: b }) => {
    if (a === null || b === null) return Number(a === null) - Number(b === null);
    const order = typeof a === "number" && typeof b === "number" ? a - b : rank(a) - rank(b);
    return sign * order;
  });
  return keyed.map(({ c }) => c);
}

// --- downloads -------------------------------------------------------------------------------

/**
 * A download of the server; a browser would drop its refusal without a word.
 * @param {App} app
 * @param {EventTarget | null} link
 */
async function save(app, link) {
  if (!(link instanceof HTMLAnchorElement)) return;
  const { href, download: file } = link;
  app.refused.textContent = "";
  try {
    const answer = await fetch(href);
    if (!answer.ok) throw new Error(await refusal(answer));
    download(await answer.arrayBuffer(), answer.headers.get("content-type") ?? "", file);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    replaceChildren(app.refused, say`${file} was not written: ${english(clean(reason, 300))}`);
  }
}

/**
 * @param {App} app
 * @param {Cell[]} rows
 */
function downloads(app, rows) {
  const setting = app.setting;
  if (!app.inFile) {
    const asked = rowsQuery(app.state, setting);
    return h(
      "p",
      { class: "take" },
      say`Take this selection away, with the settings above applied and named: `,
      ["csv", "json", "parquet"].map((kind) => {
        const address = `/rows.${kind}${asked ? `?${asked}` : ""}`;
        return [
          h(
            "a",
            {
              class: "button",
              href: address,
              download: `permille.${kind}`,
              onclick: (e) => {
                e.preventDefault();
                save(app, e.target);
              },
            },
            kind === "parquet" ? "Parquet" : kind.toUpperCase(),
          ),
          " ",
        ];
      }),
    );
  }
  const records = () => rows.map((c) => record(c, setting));
  return h(
    "p",
    { class: "take" },
    say`Take this selection away, with the settings above applied and named: `,
    h(
      "button",
      { type: "button", onclick: () => download(csv(records()), "text/csv", "permille.csv") },
      "CSV",
    ),
    " ",
    h(
      "button",
      {
        type: "button",
        onclick: () =>
          download(
            JSON.stringify({ schema: 1, rows: records() }, null, 1),
            "application/json",
            "permille.json",
          ),
      },
      "JSON",
    ),
    " ",
    h(
      "button",
      {
        type: "button",
        onclick: () =>
          download(
            asParquet(records(), Object.keys(record(app.cells[0], setting))),
            "application/vnd.apache.parquet",
            "permille.parquet",
          ),
      },
      "Parquet",
    ),
  );
}
