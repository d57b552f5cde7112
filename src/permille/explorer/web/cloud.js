// Many points: drawn on a canvas below the chart, where an SVG element each would be too slow.

import { dot } from "@observablehq/plot";
import { h } from "./dom.js";

/** @import { Markish, PlotOptions } from "@observablehq/plot" */

/** The most points that are elements of their own. */
export const MANY = 2_000;

/**
 * How points look. `x` and `y` are in the units of the chart's scales.
 * @template Datum
 * @typedef {object} Look
 * @property {(d: Datum) => number} x
 * @property {(d: Datum) => number} y
 * @property {number} r
 * @property {(d: Datum) => string} fill
 * @property {(d: Datum) => number} fillOpacity
 * @property {(d: Datum) => string} [stroke]
 * @property {(d: Datum) => string} symbol
 */

/**
 * Points that a canvas holds.
 * @template Datum
 */
export class Cloud {
  /**
   * @param {Datum[]} data
   * @param {Look<Datum>} look
   */
  constructor(data, look) {
    this.data = data;
    this.look = look;
  }
}

/**
 * The points of a chart, in its marks: elements that can be picked, or a cloud.
 * @template Datum
 * @param {Datum[]} data
 * @param {Look<Datum>} look
 * @param {number} [total] of the points of the whole view
 * @returns {Markish}
 */
export function points(data, look, total = data.length) {
  if (total > MANY) return /** @type {Markish} */ (/** @type {unknown} */ (new Cloud(data, look)));
  const stroke = look.stroke ?? "var(--ground)";
  return dot(data, { ...look, className: "pt", stroke, strokeWidth: look.stroke ? 1 : 0.5 });
}

/**
 * A chart's options without its cloud, and the cloud.
 * @param {PlotOptions} options
 * @returns {[PlotOptions, Cloud<any> | null]}
 */
export function parted({ marks = [], ...options }) {
  const clouds = marks.filter((mark) => mark instanceof Cloud);
  const rest = marks.filter((mark) => !(mark instanceof Cloud));
  return [{ ...options, marks: rest }, clouds[0] ?? null];
}

/** Half the side of a stamp, in pixels: a point and room for its smooth edge. */
const HALF = 6;

/** @type {{ [symbol: string]: (context: CanvasRenderingContext2D, r: number) => void }} */
const SHAPES = {
  // 7 is more than a whole turn, which is drawn as one.
  circle: (context, r) => context.arc(0, 0, r, 0, 7),
  diamond(context, r) {
    context.moveTo(0, -1.3 * r);
    context.lineTo(r, 0);
    context.lineTo(0, 1.3 * r);
    context.lineTo(-r, 0);
  },
  square: (context, r) => context.rect(-r, -r, 2 * r, 2 * r),
};

/**
 * A colour of the page as the browser knows it.
 * @param {string} fill
 */
function resolved(fill) {
  const variable = /^var\((--\w+)\)$/.exec(fill);
  return variable ? getComputedStyle(document.documentElement).getPropertyValue(variable[1]) : fill;
}

/**
 * A point's picture, which is put wherever such a point lies.
 * @param {Mark} mark
 * @param {number} sharp pixels of the screen by one of the page
 * @returns {ImageData}
 */
function stamp({ colour, symbol, r }, sharp) {
  const canvas = h("canvas");
  const side = (canvas.width = canvas.height = Math.ceil(2 * HALF * sharp));
  const context = context2d(canvas);
  context.scale(sharp, sharp);
  context.translate(HALF, HALF);
  context.fillStyle = colour;
  context.beginPath();
  (SHAPES[symbol] ?? SHAPES.circle)(context, r);
  context.fill();
  return context.getImageData(0, 0, side, side);
}

/** @param {HTMLCanvasElement} canvas */
function context2d(canvas) {
  // Pixels are read and written: they stay in memory, and not on a graphics card.
  const context = canvas.getContext("2d", { willReadFrequently: true });
  if (!context) throw new Error("this browser draws no canvas");
  return context;
}

/**
 * A stamp's pixels that have colour, which are a fifth of them: their places, and how much of each
 * is covered, of 1.
 * @typedef {{ colour: number[]; x: Int32Array; y: Int32Array; covered: Float64Array }} Inked
 */

/**
 * @param {ImageData} mark
 * @returns {Inked}
 */
function inked({ data, width: side }) {
  const places = Array.from({ length: side * side }, (_, i) => i).filter((i) => data[4 * i + 3]);
  // The middle is covered whole; at the edge, what is read back of a thin colour is rounded.
  const middle = 4 * (side * (side >> 1) + (side >> 1));
  return {
    colour: [...data.slice(middle, middle + 3)],
    x: Int32Array.from(places, (i) => i % side),
    y: Int32Array.from(places, (i) => Math.floor(i / side)),
    covered: Float64Array.from(places, (i) => data[4 * i + 3] / 255),
  };
}

/**
 * Puts a stamp over what is there. A canvas does the same ten times slower for so many.
 * @param {ImageData} paper
 * @param {Inked} mark
 * @param {number} left
 * @param {number} top
 * @param {number} opacity
 */
function put({ data: to, width, height }, { colour, x, y, covered }, left, top, opacity) {
  const [red, green, blue] = colour;
  for (let i = 0; i < covered.length; i++) {
    const column = left + x[i],
      row = top + y[i];
    if (column < 0 || column >= width || row < 0 || row >= height) continue;
    const j = 4 * (row * width + column);
    // Source-over (Porter and Duff) of colours that ImageData has without their opacity.
    const over = opacity * covered[i],
      alpha = over + (to[j + 3] / 255) * (1 - over),
      share = over / alpha;
    to[j] += (red - to[j]) * share;
    to[j + 1] += (green - to[j + 1]) * share;
    to[j + 2] += (blue - to[j + 2]) * share;
    to[j + 3] = 255 * alpha;
  }
}

/** @typedef {{ colour: string; symbol: string; r: number }} Mark */
/**
 * What is put on a canvas: the corner of each point in pixels of the screen, which mark it is, and
 * its opacity.
 * @typedef {object} Layout
 * @property {number} width
 * @property {number} height
 * @property {Mark[]} marks
 * @property {Int32Array} left
 * @property {Int32Array} top
 * @property {Uint16Array} mark
 * @property {Float32Array} opacity
 */

/**
 * @template Datum
 * @param {Cloud<Datum>} cloud
 * @param {{ x: Float64Array; y: Float64Array; width: number; height: number }} at
 * @param {number} sharp
 * @returns {Layout}
 */
function layout({ data, look }, { x, y, width, height }, sharp) {
  /** @type {Mark[]} */
  const marks = [];
  /** @type {Map<string, Map<string, number>>} the number of a mark, by colour and symbol */
  const numbers = new Map();
  /** @param {Datum} d */
  function markOf(d) {
    const fill = look.fill(d),
      symbol = look.symbol(d);
    let coloured = numbers.get(fill);
    if (!coloured) numbers.set(fill, (coloured = new Map()));
    let number = coloured.get(symbol);
    if (number === undefined) {
      number =
        marks.push({ colour: resolved(fill), symbol, r: Math.min(HALF - 1, 0.7 * look.r) }) - 1;
      coloured.set(symbol, number);
    }
    return number;
  }
  // Whole pixels of the screen: a stamp is copied to its place, not drawn there.
  const corner = (/** @type {number} */ centre) => Math.round((centre - HALF) * sharp);
  return {
    width: Math.floor(width * sharp),
    height: Math.floor(height * sharp),
    mark: Uint16Array.from(data, markOf),
    marks,
    left: Int32Array.from(x, corner),
    top: Int32Array.from(y, corner),
    opacity: Float32Array.from(data, (d) => 0.8 * look.fillOpacity(d)),
  };
}

/**
 * Whether two layouts are the same picture.
 * @param {Layout} a
 * @param {Layout} b
 */
function alike(a, b) {
  return (
    a.width === b.width &&
    a.height === b.height &&
    a.left.length === b.left.length &&
    JSON.stringify(a.marks) === JSON.stringify(b.marks) &&
    /** @type {const} */ (["left", "top", "mark", "opacity"]).every((name) => {
      const other = b[name];
      return a[name].every(
        (/** @type {number} */ value, /** @type {number} */ i) => value === other[i],
      );
    })
  );
}

/** @param {Layout} layout */
function picture({ width, height, marks, left, top, mark, opacity }) {
  const canvas = h("canvas", { class: "cloud", "aria-hidden": "true" });
  canvas.width = width;
  canvas.height = height;
  const context = context2d(canvas),
    paper = context.createImageData(width, height),
    stamps = marks.map((each) => inked(stamp(each, devicePixelRatio || 1)));
  for (let i = 0; i < left.length; i++) put(paper, stamps[mark[i]], left[i], top[i], opacity[i]);
  context.putImageData(paper, 0, 0);
  return canvas;
}

/**
 * The pictures of the view as it was drawn before, and as it is drawn now. Where a setting changes
 * all figures alike, a logarithmic axis changes and the points stay: their picture is kept.
 * @type {{ of: number; before: Picture[]; now: Picture[] }}
 */
const pictures = { of: 0, before: [], now: [] };
/** @typedef {{ layout: Layout; canvas: HTMLCanvasElement }} Picture */

/**
 * Draws a cloud with the scales of its chart.
 * @template Datum
 * @param {Cloud<Datum>} cloud
 * @param {{ scale: (name: "x" | "y") => { apply: (value: any) => any } | undefined }} scales
 * @param {{ width: number; height: number }} size
 * @param {number} drawn how often a view was drawn before
 * @returns {{ canvas: HTMLCanvasElement; x: Float64Array; y: Float64Array }}
 */
export function paint(cloud, scales, { width, height }, drawn) {
  if (drawn !== pictures.of) Object.assign(pictures, { of: drawn, before: pictures.now, now: [] });
  const [toX, toY] = /** @type {const} */ (["x", "y"]).map((name) => scales.scale(name)?.apply);
  if (!toX || !toY) throw new Error("a cloud of points needs both scales");
  // Positions are kept for the pointer, which finds no elements here.
  const { data, look } = cloud;
  const x = Float64Array.from(data, (d) => toX(look.x(d))),
    y = Float64Array.from(data, (d) => toY(look.y(d)));
  const found = layout(cloud, { x, y, width, height }, devicePixelRatio || 1);
  const same = pictures.before.findIndex((each) => alike(each.layout, found));
  const [{ canvas }] = same < 0 ? [{ canvas: picture(found) }] : pictures.before.splice(same, 1);
  pictures.now.push({ layout: found, canvas });
  canvas.style.width = `${width}px`;
  canvas.style.height = `${height}px`;
  return { canvas, x, y };
}
