// A chart: drawn by Observable Plot as SVG to the width there is, its points named on hover, tap
// and by the arrow keys, with PNG and SVG to take away. A table always says the same.

import { paint, parted } from "./cloud.js";
import {
  areaY,
  axisX,
  axisY,
  barX,
  dot,
  gridX,
  gridY,
  line,
  link,
  plot,
  ruleX,
  ruleY,
  text,
  tickX,
} from "@observablehq/plot";
import { h, own } from "./dom.js";
import { keepMenu } from "./keep.js";
import { say } from "./say.js";
import { svgElement } from "./standalone.js";

/**
 * What a chart is made of: `draw(width)` gives Plot's options, or a drawing of its own; elements
 * drawn with className "pt" are points, whose datum `describe` words as a list of lines and whose
 * page `open` gives the address of.
 * @template Datum
 * @typedef {object} ChartOptions
 * @property {string} file
 * @property {Draw<Datum>} draw
 * @property {() => Record<string, unknown>[]} data what is drawn, as rows to take away
 * @property {(datum: Datum) => Child[]} [describe]
 * @property {(datum: Datum) => string} [open]
 * @property {LegendEntry[]} [legend]
 * @property {string[]} [credits] lines on whose figures these are, below what is kept of it
 * @property {Child} [note]
 */

/** @import { PlotOptions } from "@observablehq/plot" */
/** @import { App } from "./main.js" */
/** @import { Child, Draw, LegendEntry } from "./page" */

/** The marks that the views use: named one by one, so that the bundle holds no others. */
export const Plot = { areaY, barX, dot, line, link, ruleX, ruleY, text, tickX };
export const COLOURS = [
  "var(--c0)",
  "var(--c1)",
  "var(--c2)",
  "var(--c3)",
  "var(--c4)",
  "var(--c5)",
  "var(--c6)",
  "var(--c7)",
];
/**
 * Options whose logarithmic axes label all of their ticks: d3 leaves out some of those that it is
 * given.
 * @param {PlotOptions} options
 * @returns {PlotOptions}
 */
function labelled(options) {
  const marks = [...(options.marks ?? [])];
  /** @type {PlotOptions} */
  const found = { ...options, marks };
  for (const name of /** @type {const} */ (["x", "y"])) {
    const { ticks, tickFormat, label, grid, ...scale } = options[name] ?? {};
    if (scale.type !== "log" || !Array.isArray(ticks) || typeof tickFormat !== "function") continue;
    found[name] = { ...scale, axis: null };
    const text_ = (/** @type {any} */ tick) => tickFormat(tick, 0);
    const look = { text: text_, label };
    marks.unshift(name === "x" ? axisX(ticks, look) : axisY(ticks, look));
    if (grid) marks.unshift(name === "x" ? gridX(ticks) : gridY(ticks));
  }
  return found;
}

/**
 * The points of a drawn chart, wherever they are drawn.
 * @template Datum
 * @typedef {object} Spots
 * @property {number} count
 * @property {(i: number) => [x: number, y: number]} centre in pixels from the chart's corner
 * @property {(i: number) => Datum | undefined} datum
 * @property {(i: number, picked: boolean) => void} pick
 * @property {(target: EventTarget | null) => number} under the point that is this element, or -1
 */

/** @type {Spots<any>} */
const NOWHERE = {
  count: 0,
  centre: () => [0, 0],
  datum: () => undefined,
  pick: () => {},
  under: () => -1,
};

/** @type {{ [key: string]: number }} */
const STEPS = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 };
/**
 * A line of a chart's legend.
 * @param {Child} label
 * @param {string} colour
 * @param {string} [symbol]
 * @returns {LegendEntry}
 */
export const entry = (label, colour, symbol) => [label, colour, symbol];

const REACH = 22; // pixels from a point at which it answers a pointer or a finger
const HIGHEST = 1200;
const PAPER = 700; // pixels of width between the margins

/**
 * @template Datum
 * @param {App} app
 * @param {string} title
 * @param {ChartOptions<Datum>} options
 */
export function chart(app, title, { file, draw, data, describe, open, legend, credits, note }) {
  const canvas = h("div", { class: "canvas" });
  const tip = h("div", { class: "tip", "aria-live": "polite", hidden: true });
  const stage = h(
    "div",
    {
      class: "stage",
      tabindex: describe ? "0" : null,
      role: "group",
      "aria-label": describe
        ? say`${title}. Arrow keys go from point to point, Enter opens one; the table holds the
            same.`
        : title,
    },
    canvas,
    tip,
  );
  const marks = legend
    ? h(
        "ul",
        { class: "legend" },
        legend.map(([label, colour, symbol]) => h("li", {}, mark(colour, symbol), label)),
      )
    : null;
  const keep = keepMenu(app, {
    title,
    file,
    data,
    credits: credits ?? [],
    drawn(width) {
      const { svg, under } = rendered(width ?? drawn);
      // In the document, out of sight: outside it, an element has no computed style to be kept.
      const aside = h("div", { class: "canvas aside" }, svg);
      stage.append(aside);
      return { svg, under: under?.canvas.toDataURL() ?? null, done: () => aside.remove() };
    },
    legend: () =>
      [...(marks?.children ?? [])].map((item) => {
        const path = /** @type {SVGPathElement} */ (item.querySelector("path"));
        return {
          text: item.textContent ?? "",
          colour: getComputedStyle(path).fill,
          path: path.getAttribute("d") ?? "",
        };
      }),
  });
  const figure = h(
    "figure",
    { class: "chart" },
    h("figcaption", {}, h("h2", {}, title), keep),
    marks,
    stage,
    note ? h("p", { class: "note" }, note) : null,
  );
  /** @type {Spots<Datum>} */
  let spots = NOWHERE;
  let drawn = 0,
    at = -1;

  /** @param {number} width */
  function rendered(width) {
    const made = draw(width);
    if (made instanceof SVGSVGElement) {
      // The arrow keys and the table say what is drawn: hundreds of labelled points are noise to a
      // screen reader.
      made.setAttribute("aria-hidden", "true");
      return { svg: made, under: null };
    }
    const [options, cloud] = parted(labelled(made));
    const look = /** @type {const} */ ({ background: "none", fontSize: "12px" });
    const drawing_ = plot({ width, ...options, style: look });
    const svg = /** @type {SVGSVGElement} */ (/** @type {unknown} */ (drawing_));
    // Plot brings a style element of its own, which the page's policy refuses: style.css has it.
    for (const style of svg.querySelectorAll("style")) style.remove();
    svg.setAttribute("aria-hidden", "true");
    const { height } = svg.viewBox.baseVal;
    return { svg, under: cloud && paint(cloud, drawing_, { width, height }, app.drawn) };
  }

  function redraw(width = Math.round(stage.clientWidth)) {
    // The observer also tells of the height, which changes with every drawing; a view that is not
    // shown has no width yet.
    if (!width || width === drawn) return;
    drawn = width;
    const { svg, under } = rendered(width);
    canvas.replaceChildren(...(under ? [under.canvas] : []), svg);
    spots = !describe ? NOWHERE : under ? inCloud(under, svg) : inSvg(svg);
    at = -1;
    tip.hidden = true;
  }

  /**
   * Points that are elements.
   * @param {SVGSVGElement} svg
   * @returns {Spots<Datum>}
   */
  function inSvg(svg) {
    const found = [...svg.querySelectorAll(".pt > *")];
    return {
      count: found.length,
      centre(i) {
        // Of a country, not the middle of the box around all of its islands.
        const { centre } = /** @type {Element & { centre?: [number, number] }} */ (found[i]);
        if (centre) return centre;
        const box = found[i].getBoundingClientRect(),
          base = stage.getBoundingClientRect();
        return [box.x + box.width / 2 - base.x, box.y + box.height / 2 - base.y];
      },
      // Plot binds the index of its datum to each element that it draws.
      datum: (i) =>
        draw.data?.[/** @type {Element & { __data__?: number }} */ (found[i]).__data__ ?? -1],
      pick: (i, picked) => found[i]?.classList.toggle("at", picked),
      under: (target) =>
        target instanceof Element ? found.indexOf(target.closest(".pt > *") ?? svg) : -1,
    };
  }

  /**
   * Points of a canvas: the picked one is drawn over it.
   * @param {{ x: Float64Array; y: Float64Array }} under
   * @param {SVGSVGElement} svg
   * @returns {Spots<Datum>}
   */
  function inCloud({ x, y }, svg) {
    const ring = svgElement("circle", { r: 6, fill: "none", stroke: "var(--ink)" });
    ring.setAttribute("stroke-width", "2");
    return {
      count: x.length,
      centre: (i) => [x[i], y[i]],
      datum: (i) => draw.data?.[i],
      pick(i, picked) {
        ring.remove();
        if (!picked) return;
        ring.setAttribute("cx", String(x[i]));
        ring.setAttribute("cy", String(y[i]));
        svg.append(ring);
      },
      under: () => -1,
    };
  }

  /** @param {number} index */
  function show(index) {
    if (at >= 0) spots.pick(at, false);
    at = index;
    const datum = index < 0 ? undefined : spots.datum(index);
    if (datum === undefined || !describe) {
      tip.hidden = true;
      return;
    }
    spots.pick(index, true);
    const lines = describe(datum).map((text_, i) => h(i ? "div" : "strong", {}, text_));
    if (open) lines.push(h("div", {}, h("a", { href: open(datum) }, say`Open`)));
    tip.replaceChildren(...lines);
    tip.hidden = false;
    const [x, y] = spots.centre(index);
    const left = Math.max(
      4,
      Math.min(x - tip.offsetWidth / 2, stage.clientWidth - tip.offsetWidth - 4),
    );
    const above = y - tip.offsetHeight - 10;
    tip.style.left = `${left}px`;
    tip.style.top = `${above < -30 ? y + 12 : above}px`;
  }

  /**
   * Opens a point's page; false where it has none.
   * @param {number} index
   */
  function follow(index) {
    const datum = spots.datum(index);
    if (!open || datum === undefined) return false;
    app.go(open(datum));
    return true;
  }

  /**
   * The point at a pointer: what is under it, else the nearest within reach.
   * @param {MouseEvent} event
   */
  function nearest(event) {
    const under = spots.under(event.target);
    if (under >= 0) return under;
    const base = stage.getBoundingClientRect();
    let best = -1,
      least = REACH;
    for (let i = 0; i < spots.count; i++) {
      const [x, y] = spots.centre(i);
      const away = Math.hypot(event.clientX - base.x - x, event.clientY - base.y - y);
      if (away < least) {
        least = away;
        best = i;
      }
    }
    return best;
  }

  /** The points from left to right. */
  function inOrder() {
    return Array.from({ length: spots.count }, (_, i) => ({ i, x: spots.centre(i)[0] }))
      .sort((a, b) => a.x - b.x)
      .map(({ i }) => i);
  }

  /** @param {KeyboardEvent} event */
  function keyed(event) {
    const step = own(STEPS, event.key);
    if (step && spots.count) {
      const order = inOrder();
      const now = order.indexOf(at);
      show(order[(now + step + order.length) % order.length]);
    } else if (event.key === "Home" || event.key === "End")
      show(inOrder().at(event.key === "Home" ? 0 : -1) ?? -1);
    else if (event.key === "Escape") show(-1);
    else if (event.key !== "Enter" || at < 0 || !follow(at)) return;
    event.preventDefault();
  }

  if (describe) {
    let asked = false;
    stage.addEventListener("pointermove", (event) => {
      // Once a frame: a mouse may tell of its moves many times in one, and each looks at every
      // point.
      if (asked) return;
      asked = true;
      requestAnimationFrame(() => {
        asked = false;
        show(nearest(event));
      });
    });
    stage.addEventListener("pointerleave", () => show(-1));
    // A machine may have a mouse and a screen to touch: what counts is what this click was made by.
    let by = "";
    stage.addEventListener("pointerdown", ({ pointerType }) => {
      by = pointerType;
    });
    stage.addEventListener("click", (event) => {
      if (event.target instanceof Element && event.target.closest("a")) return;
      const index = nearest(event);
      // A mouse has shown the name already: its click opens. A finger's first tap shows the name.
      // detail is 0 for a click that no pointer made (UI Events, click): it asks for the name
      // first.
      if (index >= 0 && index === at && event.detail && by !== "touch" && follow(index)) return;
      show(index);
    });
    stage.addEventListener("keydown", keyed);
    stage.addEventListener("focusout", (event) => {
      if (!(event.relatedTarget instanceof Node && stage.contains(event.relatedTarget))) show(-1);
    });
  }
  new ResizeObserver(() => redraw()).observe(stage);
  // A printer takes the page before its parts have been measured.
  if (app.printing) queueMicrotask(() => redraw(PAPER));
  return figure;
}

const MARK = { viewBox: "-2 -2 14 14", width: "14", height: "14", "aria-hidden": "true" };
/** @type {{ [name: string]: string }} */
const SYMBOLS = {
  circle: "M5 0a5 5 0 1 0 .01 0z",
  diamond: "M5 -1L11 5L5 11L-1 5z",
  square: "M1 1h8v8h-8z",
  line: "M-1 4h12v2.5h-12z",
  triangle: "M5 0L10 9H0z",
  hatched: "M0 0h11v11h-11zM1 1v9h9v-9zM1 4l3-3h2l-5 5zM1 8l7-7h2l-9 9zM5 10l5-5v2l-3 3z",
};

/**
 * @param {string} colour
 * @param {string} [symbol]
 */
function mark(colour, symbol = "circle") {
  const svg = svgElement("svg", MARK);
  const path = /** @type {SVGPathElement} */ (svgElement("path", { d: SYMBOLS[symbol] }));
  path.style.fill = colour;
  svg.append(path);
  return svg;
}

/**
 * `draw` with the data that its points index.
 * @template Datum
 * @param {Datum[]} data
 * @param {(width: number) => PlotOptions | SVGSVGElement} draw
 * @returns {Draw<Datum>}
 */
export function drawing(data, draw) {
  return Object.assign(draw, { data });
}

/**
 * @param {number} rows
 * @param {number} each
 * @param {number} extra
 */
export const tall = (rows, each, extra) => Math.min(HIGHEST, rows * each + extra);

/**
 * The columns that a label takes: a Chinese character is as wide as two others.
 * @param {string} text_
 */
export const room = (text_) => text_.length + (text_.match(/[\u2e80-\uffef]/g)?.length ?? 0);
