// The page: reads the figures and the address, draws a view, and writes the address back.

import { inFile } from "./address.js";
import { captionLines, filterWords } from "./cite.js";
import * as columns from "./columns.js";
import { controls } from "./controls.js";
import { chosen, languageSwitch } from "./language.js";
import { english, say, spoken, word } from "./say.js";
import { themeSwitch } from "./theme.js";
import { clean, h, name, own, replaceChildren, unfold } from "./dom.js";
import * as figures from "./figures.js";
import { amount, number, numberIn } from "./format.js";
import { live } from "./live.js";
import { keepingOpen, wordsOf } from "./place.js";
import { asked, figuresOfPage, newest } from "./source.js";
import { DEFAULTS, FILTERS, forget, href, OFFERED, push, read, settle, write } from "./state.js";
/** @import { Cell, Details, Document, Licence, PagePlace, PageStudy } from "./document" */
/** @import { Boundary, Child, GridChoice, Setting } from "./page" */
/** @import { Found } from "./source.js" */
/** @import { Filter, Offered, State } from "./state.js" */

/** @typedef {(app: App) => Child} View */

/**
 * Parts of views that are not loaded with them.
 * @typedef {{ map: () => Promise<typeof import("./map.js").worldMap> }} Parts
 */

/**
 * Each view's title; null if it has no place in the navigation.
 * @type {{ [view: string]: string | null }}
 */
const TITLES = {
  overview: say`Overview`,
  size: say`Size`,
  quality: say`Quality`,
  compare: say`Compare`,
  whatif: say`What if`,
  load: say`Load`,
  breakeven: say`Break-even`,
  breakdown: say`Where it goes`,
  table: say`Table`,
  about: say`About`,
  model: null,
  run: null,
};

/** Views that ratios, budgets, components or audits are in, for which more is loaded. */
const DETAILED = new Set(["compare", "load", "breakeven", "breakdown", "model"]);

/** What of the state multiplies all figures alike. */
const FACTORS = new Set(["pue", "region", "year", "intensity"]);

const DAMAGE_SHOWN = 5;

/**
 * What of the store could not be read, above every view. Each line
 * names the commands that find and repair it.
 * @param {Document} data
 */
function damageOf({ damage, store }) {
  // A file is made by reading its store several times, each of which reports the same.
  const lines = [...new Set(damage)];
  if (!lines.length) return null;
  const more = lines.length - DAMAGE_SHOWN;
  return h(
    "section",
    { class: "damage", role: "alert" },
    h(
      "p",
      {},
      h("strong", {}, say`The store ${name(store ?? "")} is damaged.`),
      " ",
      say`Could not be read:`,
    ),
    h(
      "ul",
      {},
      lines
        .slice(0, DAMAGE_SHOWN)
        .map((line) => h("li", {}, h("bdi", { lang: "en" }, clean(line, 2000)))),
      more > 0 ? h("li", {}, say`… and ${number(more)} more like it`) : null,
    ),
  );
}

/**
 * What puts the focus back where a person is once it was drawn anew: on the element of the same id
 * or the same words, else on the next filter that is set, or on the view.
 * @param {Element | null} at
 * @returns {((main: HTMLElement) => void) | null}
 */
function placeOf(at) {
  const part = at?.closest("nav, .bar, main");
  if (!at || !part || at === part) return null;
  const words = wordsOf(at);
  return (main) => {
    // Most of what is drawn has no id: its words tell it from the rest.
    const alike = [...part.querySelectorAll("a, button, summary")].find(
      (each) => each.localName === at.localName && wordsOf(each) === words,
    );
    const filter =
      part === main
        ? null
        : (part.querySelector(".chips button") ??
          part.querySelector(".box:last-of-type > summary"));
    const again = (at.id && document.getElementById(at.id)) || alike || filter || main;
    if (again instanceof HTMLElement) again.focus({ preventScroll: true });
  };
}

const root = () => /** @type {HTMLElement} */ (document.getElementById("app"));

export class App {
  /**
   * @param {Found} found
   * @param {{ [view: string]: () => Promise<View> }} views
   * @param {Parts} parts
   */
  constructor(found, views, parts) {
    this.views = views;
    this.parts = parts;
    /** @type {Cell[]} */
    this.cells = [];
    /** @type {Map<string, Cell>} */
    this.byId = new Map();
    /** @type {Map<string, PagePlace>} */
    this.places = new Map();
    this.damage = h("div", {});
    /** @type {Promise<unknown>[]} what the view on screen still asks the server for */
    this.awaited = [];
    /** @type {(() => void) | null} how the view on screen shows other factors, if not drawn anew */
    this.follow = null;
    /** @type {Promise<void> | null} */
    this.detailed = null;
    /** @type {PageStudy[]} what the numbers of each study rest on: part of the details */
    this.studies = [];
    /** @type {Omit<Document, "cells">} */
    this.data = found.data;
    this.tag = found.tag;
    this.take(found);
    /** @type {Map<string, View>} the views that were opened before */
    this.loaded = new Map();
    this.inFile = inFile;
    this.state = read();
    const { lang } = this.state;
    this.nav = h("nav", { "aria-label": say`Views` });
    this.panel = h("section", { class: "panel", "aria-label": say`Settings and filters` });
    this.main = h("main", { id: "main", tabindex: "-1" });
    this.said = h("p", { class: "said", role: "status" });
    this.refused = h("p", { class: "said", role: "alert" });
    replaceChildren(root(), [
      h(
        "a",
        {
          class: "skip",
          href: "#main",
          onclick: (e) => {
            e.preventDefault();
            this.main.focus();
          },
        },
        say`Skip to the figures`,
      ),
      h(
        "header",
        { class: "top" },
        h(
          "a",
          { class: "brand", href: href({ ...DEFAULTS, lang }) },
          "permille",
          h("span", { "aria-hidden": "true" }, " ‰"),
        ),
        this.nav,
        live(this),
        languageSwitch((other) => {
          // Both: in a file, a new hash alone loads nothing, and modules keep the words that they
          // have made.
          push(this.href({ lang: other }));
          location.reload();
        }),
        themeSwitch(() => this.render()),
      ),
      this.damage,
      this.panel,
      this.said,
      this.refused,
      this.main,
      h(
        "footer",
        {},
        `permille ${this.data.permille}. `,
        say`${h(
          "a",
          { href: href(DEFAULTS, { lang, view: "about" }), class: "to-about" },
          say`About the numbers, sources and licences`,
        )}.`,
      ),
    ]);
    this.printed = h("p", { class: "printed note" });
    this.main.after(this.printed);
    this.printing = false;
    this.drawn = 0;
    this.controls = controls(this);
    this.panel.replaceChildren(this.controls.element);
    const reread = () => {
      forget();
      if (chosen() !== spoken()) {
        location.reload();
        return;
      }
      this.state = read();
      this.render();
    };
    addEventListener("popstate", reread);
    addEventListener("hashchange", reread);
    // The last move of a slider may still wait to be written.
    addEventListener("pagehide", settle);
    document.addEventListener("click", (event) => this.followed(event));
    // A canvas keeps the colours that it was drawn with.
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.render());
    addEventListener("beforeprint", () => this.print());
    this.render();
  }

  /**
   * Takes in figures; whoever calls draws.
   * @param {Found} found
   */
  take({ data, tag, details }) {
    const { cells, ...beside } = data;
    // The lists that the columns were sent as are not kept.
    this.data = beside;
    this.tag = tag;
    this.cells = columns.cells(cells);
    this.detailed = details ? Promise.resolve() : null;
    this.studies = data.studies ?? [];
    if (details) this.takeDetails(details);
    /** @type {boolean | null} */
    this.loads = null;
    this.byId = new Map(this.cells.map((c) => [c.id, c]));
    this.places = new Map(data.grid.places.map((p) => [p.code, p]));
    figures.useIntervals(data);
    /** @type {{ state: State; setting: Setting } | null} */
    this.resolved = null;
    /** @type {{ key: string; cells: Cell[]; offered: { [field in Offered]: Set<string | null> } }
     *   | null} */
    this.sifted = null;
    replaceChildren(this.damage, damageOf(data));
  }

  /** @param {Details} details */
  takeDetails({ columns: more, studies }) {
    columns.fill(this.cells, more);
    this.studies = studies;
  }

  /**
   * A link to another view of this page does not load it again.
   * @param {MouseEvent} event
   */
  followed(event) {
    const link = event.target instanceof Element ? event.target.closest("a[href]") : null;
    if (
      !(link instanceof HTMLAnchorElement) ||
      link.target ||
      link.hasAttribute("download") ||
      event.defaultPrevented ||
      event.button ||
      event.metaKey ||
      event.ctrlKey ||
      event.shiftKey
    )
      return;
    // A slider's address may still wait to be written: the link is compared with it and follows it.
    settle();
    const to = new URL(link.href),
      here = new URL(location.href);
    if (to.origin !== here.origin || to.pathname !== here.pathname) return;
    // In a file, a hash is a view, and an address without one is the file itself.
    if (inFile && !to.hash) return;
    event.preventDefault();
    if (to.href !== here.href) this.go(to.href);
  }

  /**
   * Opens a state of the page without loading it again.
   * @param {string} address
   */
  go(address) {
    const view = this.state.view;
    push(address);
    this.state = read();
    this.render();
    if (this.state.view !== view) {
      scrollTo(0, 0);
      this.main.focus({ preventScroll: true });
    }
  }

  /**
   * Draws all of the view for paper, in light colours, and what it rests on below it, until it is
   * printed. What is made when it is opened stays shut.
   */
  print() {
    this.printing = true;
    const { dataset } = document.documentElement;
    const { theme } = dataset;
    dataset.theme = "light"; // a canvas keeps the colours that it was drawn with
    this.render();
    const shut = [...this.main.querySelectorAll("details")].filter(
      (part) => !part.open && !part.matches(".keep, .made"),
    );
    for (const part of shut) unfold(part);
    this.printed.textContent = captionLines(this).join(" ");
    addEventListener(
      "afterprint",
      () => {
        this.printing = false;
        if (theme === undefined) delete dataset.theme;
        else dataset.theme = theme;
        for (const part of shut) part.open = false;
        this.render();
      },
      { once: true },
    );
  }

  /** The key of the view that the state asks for. */
  get view() {
    return own(this.views, this.state.view) ? this.state.view : "overview";
  }

  /** The view and its filters, for the window's title. */
  get title() {
    const { view, model } = this.state;
    if (view === "run") return say`Run`;
    if (view === "model") return clean(model || say`Model`, 80);
    const filters = filterWords(this).join(say`, `);
    const title = own(TITLES, view) ?? TITLES.overview;
    return filters ? say`${title}: ${clean(filters, 120)}` : `${title}`;
  }

  /**
   * What the numbers rest on, resolved: the grid's intensity as `permille` would resolve it.
   * @returns {Setting}
   */
  get setting() {
    if (this.resolved?.state !== this.state)
      this.resolved = { state: this.state, setting: this.resolve() };
    return this.resolved.setting;
  }

  /** @returns {Setting} */
  resolve() {
    const s = this.state;
    const pue = numberIn(s.pue, 1, 10) ?? 1;
    const boundary = figures.BOUNDARIES.find((b) => b === s.boundary) ?? "compute";
    const grid = this.grid();
    return {
      boundary,
      net: s.net === "1",
      unit: s.unit === "co2e" ? "co2e" : "kwh",
      pue,
      intensity: grid.intensity,
      grid,
    };
  }

  /** @returns {GridChoice} */
  grid() {
    const { intensity, region, year } = this.state;
    const given = numberIn(intensity, 0, 1e5);
    if (given !== null)
      return {
        intensity: given,
        name: say`given`,
        year: null,
        place: null,
        source: null,
        years: [],
      };
    const place = /** @type {PagePlace} */ (this.places.get(region) ?? this.places.get("WORLD"));
    const years = Object.keys(place.years).sort();
    const yearOf = years.includes(year) ? year : years[years.length - 1];
    const [value, source] = place.years[yearOf];
    return {
      intensity: value,
      name: word("place", place.code, place.name),
      year: yearOf,
      place,
      source: this.data.grid.sources[source],
      years,
      asked: region && !this.places.has(region) ? region : null,
      askedYear: year && year !== yearOf ? year : null,
    };
  }

  /**
   * Loads what ratios, budgets, audits and downloads need beside the document.
   * @returns {Promise<void>}
   */
  details() {
    // What failed is asked for again when a view that needs it is opened again.
    this.detailed ??= this.loadDetails().catch((error) => {
      this.detailed = null;
      throw error;
    });
    return this.detailed;
  }

  async loadDetails() {
    if (this.inFile) return;
    const { data, tag } = await asked("/details.json");
    // The store may have changed since: columns of two states would be other cells' figures.
    if (tag === this.tag) this.takeDetails(data);
    else this.take(await newest(true));
  }

  /** @returns {Promise<Licence[]>} */
  async licences() {
    return this.data.licences ?? (await asked("/licences.json")).data;
  }

  /** Whether a server was measured under load. */
  get hasLoads() {
    this.loads ??= this.cells.some((cell) => cell.serving?.load);
    return this.loads;
  }

  /** The cells that the filters leave. */
  selection() {
    return this.sift().cells;
  }

  /**
   * The values of a column among the cells that all other filters leave.
   * @param {Offered} field
   */
  offered(field) {
    return this.sift().offered[field];
  }

  /**
   * One pass over all cells for each change of the filters. A cell that fails one filter alone is
   * what that filter offers.
   */
  sift() {
    const s = this.state,
      boundary = this.setting.boundary;
    // Of all filters only the provenance is by boundary; without it, another boundary leaves the
    // same.
    const key = JSON.stringify([s.provenance ? boundary : "", ...FILTERS.map((f) => s[f])]);
    if (this.sifted?.key === key) return this.sifted;
    const tests = this.tests(boundary).filter(([field]) => s[field] !== "");
    /** @type {Cell[]} */
    const cells = [];
    const offered = /** @type {{ [field in Offered]: Set<string | null> }} */ (
      Object.fromEntries(OFFERED.map((f) => [f, new Set()]))
    );
    for (const c of this.cells) {
      /** @type {Filter | null} */
      let failed = null;
      let count = 0;
      for (const [field, passes] of tests)
        if (!passes(c)) {
          failed = field;
          if (++count > 1) break;
        }
      if (!count) {
        cells.push(c);
        for (const field of OFFERED) offered[field].add(c[field]);
      } else if (count === 1)
        for (const field of OFFERED) if (field === failed) offered[field].add(c[field]);
    }
    this.sifted = { key, cells, offered };
    return this.sifted;
  }

  /**
   * What each filter asks of a cell.
   * @param {Boundary} boundary
   * @returns {[field: Filter, passes: (c: Cell) => boolean][]}
   */
  tests(boundary) {
    const s = this.state,
      search = s.search.toLowerCase().split(" "),
      least = amount(s.least),
      most = amount(s.most);
    return [
      ...OFFERED.map(
        (field) =>
          /** @type {[Filter, (c: Cell) => boolean]} */ ([field, (c) => c[field] === s[field]]),
      ),
      ["provenance", (c) => figures.provenance(c, boundary) === s.provenance],
      [
        "search",
        ({ model }) => {
          const found = model.toLowerCase();
          return search.every((part) => found.includes(part));
        },
      ],
      ["least", (c) => least === null || (c.params !== null && c.params >= least)],
      ["most", (c) => most === null || (c.params !== null && c.params <= most)],
    ];
  }

  /**
   * Change the state: the address and the view follow.
   * @param {Partial<State>} changes
   * @param {{ replace?: boolean }} [options]
   */
  set(changes, { replace = false } = {}) {
    this.state = { ...this.state, ...changes };
    write(this.state, { replace });
    this.render({ follow: Object.keys(changes).every((field) => FACTORS.has(field)) });
  }

  /**
   * Change the state and the address alone: who calls draws what follows from it.
   * @param {Partial<State>} changes
   */
  quiet(changes) {
    this.state = { ...this.state, ...changes };
    write(this.state, { replace: true });
  }

  reset() {
    this.set(Object.fromEntries(FILTERS.map((f) => [f, DEFAULTS[f]])));
  }

  /** @param {Partial<State>} changes */
  href(changes) {
    return href(this.state, changes);
  }

  /** @param {{ follow?: boolean }} [options] whether only factors have changed */
  render({ follow = false } = {}) {
    const person = placeOf(document.activeElement);
    const view = this.view;
    this.nav.replaceChildren(
      h(
        "ul",
        {},
        Object.entries(TITLES)
          .filter(([key, title]) => title && (key !== "load" || this.hasLoads))
          .map(([key, title]) =>
            h(
              "li",
              {},
              h(
                "a",
                {
                  href: this.href({ view: key, cell: "", model: "", uid: "" }),
                  "aria-current":
                    key === view ? "page" : key === "table" && !TITLES[view] ? "true" : null,
                },
                title,
              ),
            ),
          ),
      ),
    );
    if (view !== this.main.dataset.view)
      this.nav
        .querySelector("[aria-current]")
        ?.scrollIntoView?.({ block: "nearest", inline: "nearest" });
    this.controls.update();
    this.refused.textContent = "";
    document.title = `${this.title} – permille`;
    const draw = this.loaded.get(view);
    if (follow && this.follow && view === this.main.dataset.view) this.follow();
    else if (draw) this.draw(view, draw);
    else this.load(view);
    // The body gets the focus of an element that is taken away.
    if (document.activeElement === document.body) person?.(this.main);
  }

  /**
   * Loads a view, and then draws the one that is asked for by then.
   * @param {string} view
   */
  load(view) {
    this.main.setAttribute("aria-busy", "true");
    Promise.all([this.views[view](), DETAILED.has(view) ? this.details() : null]).then(
      ([draw]) => {
        this.loaded.set(view, draw);
        this.render();
      },
      (error) => {
        // Another view may be loading or drawn by now.
        if (this.view !== view) return;
        this.main.removeAttribute("aria-busy");
        replaceChildren(this.refused, say`This view cannot be loaded: ${english(error.message)}`);
      },
    );
  }

  /**
   * @param {string} view
   * @param {View} draw
   */
  draw(view, draw) {
    // Details of another view that have the same words are not the ones that a person opened.
    const again = view === this.main.dataset.view;
    this.drawn += 1;
    this.awaited = [];
    this.follow = null;
    this.main.dataset.view = view;
    const change = () => replaceChildren(this.main, draw(this));
    if (again) keepingOpen(this.main, change);
    else change();
    this.main.removeAttribute("aria-busy");
    // For tests and screenshots, which wait for it.
    this.main.dataset.drawn = String(this.drawn);
  }
}

/**
 * Reads the figures and draws the page.
 * @param {{ [view: string]: () => Promise<View> }} views what loads each view
 * @param {Parts} parts what loads each part
 */
export function start(views, parts) {
  figuresOfPage().then(
    (found) => {
      // For tests, which read and change the state.
      Object.assign(window, { permille: new App(found, views, parts) });
    },
    (error) => {
      root().replaceChildren(
        h(
          "p",
          { class: "failed", role: "alert" },
          say`The figures cannot be read: ${english(error.message)}`,
        ),
      );
    },
  );
}
