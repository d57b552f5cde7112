// Settings (boundary, grid, PUE) and filters: kept across redraws, so that focus and typing stay.

import { FILTER_NAMES, gridWords } from "./cite.js";
import { combobox } from "./combobox.js";
import { clean, h, own } from "./dom.js";
import { amount, number } from "./format.js";
import { PROVENANCES } from "./figures.js";
import { labelled } from "./glossary.js";
import { say, spoken, word } from "./say.js";
import { DEFAULTS, FILTERS, href, PAPER } from "./state.js";

/** @import { App } from "./main.js" */
/** @import { Option } from "./combobox.js" */
/** @import { Term } from "./glossary.js" */
/** @import { Attributes, FieldEvent } from "./page" */

/** The kinds of places in the order of the list, and what each is called in it. */
const KINDS = [
  ["world", ""],
  ["country", say`country`],
  ["state", say`state`],
  ["province", say`province`],
  ["zone", say`grid zone`],
  ["cloud", say`cloud region`],
];
/** Filters with so many values that they are searched. */
const SEARCHED = /** @type {const} */ (["task", "dataset", "architecture", "device", "study"]);
/** Filters with few values. */
const LISTED = /** @type {const} */ (["category", "origin"]);
const WORLD = say`World (assumed)`;
/** What is typed. */
const TYPED = /** @type {const} */ (["search", "least", "most", "intensity"]);
const PAPER_TITLE = say`Means within the node, as in the paper's table 2`;

/** @param {App} app */
export function controls(app) {
  /** @type {{ [name: string]: HTMLInputElement | HTMLSelectElement }} */
  const fields = {};
  let viewed = "";

  /**
   * @param {string} name
   * @param {string} label
   * @param {HTMLInputElement | HTMLSelectElement} input
   * @param {Term} [about] the word that explains it
   */
  function field(name, label, input, about) {
    input.id = `f-${name}`;
    fields[name] = input;
    return h("div", { class: "field" }, labelled(input.id, label, about), input);
  }
  /**
   * @param {string} name
   * @param {string} label
   * @param {[value: string, text: string][]} options
   * @param {Term} [about]
   */
  function choice(name, label, options, about) {
    return field(
      name,
      label,
      h(
        "select",
        { onchange: (e) => app.set({ [name]: e.target.value }) },
        options.map(([value, text]) => h("option", { value }, text)),
      ),
      about,
    );
  }
  /**
   * @param {string} name
   * @param {string} label
   * @param {Attributes} attributes
   * @param {Term} [about]
   */
  function typed(name, label, attributes, about) {
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    let waiting;
    // What is typed at one visit to the field is one step of the history.
    let begun = false;
    /** @param {FieldEvent} e */
    const change = (e) => {
      clearTimeout(waiting);
      const value = e.target.value.trim();
      waiting = setTimeout(() => {
        app.set({ [name]: value }, { replace: begun });
        begun = true;
      }, 150);
    };
    return field(
      name,
      label,
      h("input", {
        autocomplete: "off",
        spellcheck: "false",
        oninput: change,
        onfocus: () => {
          begun = false;
        },
        ...attributes,
      }),
      about,
    );
  }

  /** @type {{ [name: string]: ReturnType<typeof combobox> }} */
  const combos = {};
  /**
   * @param {string} name
   * @param {string} label
   * @param {() => Option[]} options
   * @param {(value: string) => void} change
   * @param {string} [placeholder]
   */
  function searched(name, label, options, change, placeholder) {
    combos[name] = combobox(`f-${name}`, label, options, change, placeholder);
    const { element } = combos[name];
    return h("div", { class: "field" }, h("label", { for: `f-${name}` }, label), element);
  }
  /**
   * A filter with the values that the others leave: a dataset is offered of the chosen task.
   * @param {typeof SEARCHED[number]} name
   * @param {string} label
   */
  const filter = (name, label) =>
    searched(
      name,
      label,
      () => [
        { value: "", text: say`all` },
        ...valuesOf(app.offered(name), app.state[name]).map((v) => ({
          value: v,
          text: word(name, v),
        })),
      ],
      (value) => app.set({ [name]: value }),
      say`all`,
    );
  const year = h("select", { onchange: (e) => app.set({ year: e.target.value }) });
  const chips = h("ul", { class: "chips", "aria-label": say`Filters that are set` });
  const settingsNow = h("span", { class: "now" });
  const filtersNow = h("span", { class: "now" });
  const pueNumber = h("output", { for: "f-pue" });
  const settings = h(
    "details",
    { class: "box" },
    h("summary", {}, h("span", { class: "what" }, say`Settings`), settingsNow),
    h(
      "div",
      { class: "fields" },
      choice("unit", say`Show`, [
        ["kwh", say`Energy`],
        ["co2e", say`Carbon (CO₂e)`],
      ]),
      choice(
        "boundary",
        say`Boundary`,
        [
          ["accelerator", say`accelerator: devices in use`],
          ["compute", say`compute: devices in use, CPU, DRAM`],
          ["node", say`node: the whole machine`],
          ["facility", say`facility: node × PUE`],
        ],
        "boundary",
      ),
      choice(
        "net",
        say`Idle`,
        [
          ["", say`included`],
          ["1", say`left out (above idle)`],
        ],
        "idle",
      ),
      searched(
        "region",
        say`Grid`,
        () => placesOf(app),
        // The year and the intensity were those of the grid before.
        (region) => app.set({ region, year: "", intensity: "" }),
      ),
      field("year", say`Year`, year),
      typed(
        "intensity",
        say`or gCO₂e per kWh`,
        { type: "number", min: "0", step: "any", placeholder: say`of the grid` },
        "intensity",
      ),
      h(
        "div",
        { class: "field" },
        labelled("f-pue", ["PUE ", pueNumber], "pue"),
        (fields.pue = h("input", {
          id: "f-pue",
          type: "range",
          min: "1",
          max: "2.5",
          step: "0.01",
          oninput: (e) =>
            // An address says only what differs from what is assumed.
            app.set({ pue: Number(e.target.value) === 1 ? "" : e.target.value }, { replace: true }),
        })),
      ),
      h(
        "div",
        { class: "field end" },
        h(
          "a",
          {
            class: "button",
            href: href(DEFAULTS, { ...PAPER, lang: app.state.lang }),
            title: PAPER_TITLE,
          },
          say`The paper's view`,
        ),
      ),
    ),
  );

  const filters = h(
    "details",
    { class: "box" },
    h("summary", {}, h("span", { class: "what" }, say`Filters`), filtersNow),
    h(
      "div",
      { class: "fields" },
      filter("task", say`Task`),
      filter("dataset", say`Dataset`),
      typed("search", say`Model contains`, { type: "search", maxlength: "300" }),
      choice("category", say`Category`, [], "category"),
      filter("architecture", say`Architecture`),
      typed("least", say`Parameters from`, { maxlength: "40", placeholder: "100M" }),
      typed("most", say`Parameters to`, { maxlength: "40", placeholder: "7B" }),
      choice(
        "provenance",
        say`Provenance`,
        PROVENANCES.map((p) => [p, word("provenance", p)]),
        "provenance",
      ),
      filter("device", say`Hardware`),
      filter("study", say`Study`),
      choice("origin", say`Source`, []),
      h(
        "div",
        { class: "field end" },
        h("button", { type: "button", onclick: () => app.reset() }, say`Clear the filters`),
      ),
    ),
  );

  const WORDS = { shipped: say`shipped with permille`, store: say`the store` };
  /**
   * @param {HTMLSelectElement} select
   * @param {Set<string | null>} values
   * @param {string} chosen
   */
  function offer(select, values, chosen) {
    const all = valuesOf(values, chosen);
    const key = JSON.stringify(all);
    if (select.dataset.key !== key) {
      select.dataset.key = key;
      select.replaceChildren(
        h("option", { value: "" }, say`all`),
        ...all.map((v) =>
          h("option", { value: v }, own(WORDS, v) ?? clean(word("category", v), 70)),
        ),
      );
    }
    select.value = chosen;
  }
  fields.provenance.prepend(h("option", { value: "" }, say`all`));

  function update() {
    const s = app.state,
      setting = app.setting,
      grid = setting.grid;
    for (const name of SEARCHED) combos[name].show(s[name], word(name, s[name]));
    for (const name of LISTED) {
      offer(/** @type {HTMLSelectElement} */ (fields[name]), app.offered(name), s[name]);
    }
    fields.provenance.value = s.provenance;
    fields.unit.value = setting.unit;
    fields.boundary.value = setting.boundary;
    fields.net.value = setting.net ? "1" : "";
    // The world stands first in the list as what is assumed, with an empty value.
    const place = app.places.has(s.region) && s.region !== "WORLD" ? s.region : "";
    combos.region.show(place, place ? grid.name : WORLD);
    const years = grid.years.join();
    if (year.dataset.key !== years) {
      year.dataset.key = years;
      year.replaceChildren(
        ...(grid.years.length
          ? [...grid.years].reverse().map((y) => h("option", { value: y }, y))
          : [h("option", { value: "" }, say`given`)]),
      );
    }
    year.value = grid.year ?? "";
    year.disabled = !grid.years.length;
    fields.pue.value = String(setting.pue);
    pueNumber.textContent = number(setting.pue);
    for (const name of TYPED) {
      // What is being typed is ahead of the state, which takes it after a pause.
      if (document.activeElement !== fields[name]) fields[name].value = s[name];
    }
    // What if is asked with the settings: they are in sight when it opens.
    if (s.view === "whatif" && viewed !== "whatif") settings.open = true;
    viewed = s.view;
    const idle = setting.net ? say`above idle` : say`idle included`;
    settingsNow.textContent = say`${word("boundary", setting.boundary)}, ${idle} ·
      ${gridWords(setting)} · PUE ${number(setting.pue)}`;
    const count = app.selection().length;
    filtersNow.textContent = say`${number(count)} of ${number(app.cells.length)} cells`;
    chips.replaceChildren(
      ...FILTERS.filter((f) => s[f] !== DEFAULTS[f]).map((f) =>
        h(
          "li",
          {},
          h(
            "button",
            { type: "button", id: `chip-${f}`, onclick: () => app.set({ [f]: DEFAULTS[f] }) },
            say`${FILTER_NAMES[f]}: ${own(WORDS, s[f]) ?? clean(word(f, s[f]), 40)} `,
            h("span", { "aria-hidden": "true" }, "×"),
            h("span", { class: "hidden" }, say`, remove`),
          ),
        ),
      ),
    );
    app.said.textContent = notice(app, count);
  }
  return { element: h("div", { class: "bar" }, settings, filters, chips), update };
}

/**
 * What a filter offers: the values that there are, and what is chosen though it is none of them.
 * @param {Set<string | null>} values
 * @param {string} chosen
 */
function valuesOf(values, chosen) {
  const all = [...values].flatMap((v) => v || []).sort();
  return !chosen || all.includes(chosen) ? all : [...all, chosen];
}

/**
 * The grids, by kind and name.
 * @param {App} app
 * @returns {Option[]}
 */
function placesOf(app) {
  return KINDS.flatMap(([kind, note]) =>
    app.data.grid.places
      .filter((p) => p.kind === kind)
      .map((p) => ({ ...p, name: word("place", p.code, p.name) }))
      .sort((a, b) => a.name.localeCompare(b.name, spoken()))
      .map((p) =>
        p.code === "WORLD" ? { value: "", text: WORLD } : { value: p.code, text: p.name, note },
      ),
  );
}

/**
 * What of the settings and filters could not be taken as it was given.
 * @param {App} app
 * @param {number} count
 */
function notice(app, count) {
  const grid = app.setting.grid;
  const bounds = [app.state.least, app.state.most].filter((v) => v && amount(v) === null);
  if (bounds.length)
    return say`“${clean(bounds[0], 40)}” is not a number of parameters, and no limit is set by it:
        write 100M, 7B or 1e9.`;
  if (grid.asked)
    return say`There is no grid called “${clean(grid.asked, 40)}” here: the world's average is
      used.`;
  if (grid.askedYear)
    return say`There is no figure of ${grid.name} for ${clean(grid.askedYear, 10)} here: that of
        ${grid.year ?? ""} is used.`;
  return count ? "" : say`Nothing matches these filters.`;
}
