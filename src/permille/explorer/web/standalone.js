// A chart that stands alone: SVG with its title, legend and sources written in, PNG, and a file
// of one chart for an iframe.

import { h } from "./dom.js";
import { spoken } from "./say.js";

/**
 * What is written around the chart.
 * @typedef {object} Frame
 * @property {string} title
 * @property {{ text: string; colour: string; path: string }[]} legend
 * @property {string[]} lines
 */

export const SVG = "http://www.w3.org/2000/svg";
const MARGIN = 14;
const LINE = 14;
/** Properties of a chart's look that style sheets set; an SVG alone has none of them. */
const KEPT = [
  "fill",
  "stroke",
  "stroke-width",
  "stroke-dasharray",
  "stroke-opacity",
  "fill-opacity",
  "opacity",
  "font-family",
  "font-size",
  "font-weight",
  "text-anchor",
  "font-variant",
];

/**
 * @param {string} tag
 * @param {{ [name: string]: string | number }} attributes
 * @param {string} [text]
 */
export function svgElement(tag, attributes, text) {
  const element = document.createElementNS(SVG, tag);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, String(value));
  if (text !== undefined) element.textContent = text;
  return element;
}

/**
 * The width of a text in the page's own font, in pixels.
 * @param {string} text
 * @param {string} font
 */
function measured(text, font) {
  const context = h("canvas").getContext("2d");
  if (!context) return 7 * text.length;
  context.font = font;
  return context.measureText(text).width;
}

/** Chinese characters and their punctuation, between which a line may end without a space. */
const WIDE = "\\u2e80-\\uffef";

/**
 * Lines of words that fit; a word that is wider than a line is cut into pieces.
 * @param {string} text
 * @param {number} width
 * @param {string} font
 */
function wrapped(text, width, font) {
  const longest = Math.max(8, Math.floor(width / 7));
  // Each with the space before it; no line begins with a comma or a full stop.
  const word = `（*[${WIDE}][，。：；、）]*|[^ ${WIDE}]{1,${longest}}`;
  /** @type {string[]} */
  const lines = [];
  for (const part of text.match(new RegExp(` ?(?:${word})`, "gu")) ?? []) {
    const last = lines.at(-1);
    if (last !== undefined && measured(last + part, font) <= width)
      lines[lines.length - 1] = last + part;
    else lines.push(part.trimStart());
  }
  return lines;
}

/**
 * The chart as it looks, with every colour written out.
 * @param {SVGSVGElement} svg
 */
function plainCopy(svg) {
  const copy = /** @type {SVGSVGElement} */ (svg.cloneNode(true));
  const from = [svg, ...svg.querySelectorAll("*")],
    to = [copy, ...copy.querySelectorAll("*")];
  from.forEach((element, i) => {
    const look = getComputedStyle(element);
    // A class means nothing without the style sheet; in another page, it might mean something else.
    to[i].removeAttribute("class");
    to[i].removeAttribute("style");
    for (const property of KEPT) {
      const value = look.getPropertyValue(property);
      if (value) to[i].setAttribute(property, value);
    }
  });
  return copy;
}

/**
 * The chart with what is written around it; it must be in the document, so that its look is known.
 * @param {SVGSVGElement} svg
 * @param {string | null} under the picture of its points, where they are not elements
 * @param {Frame} frame
 * @returns {{ source: string; width: number; height: number }}
 */
export function framed(svg, under, { title, legend, lines }) {
  const { width, height } = svg.viewBox.baseVal;
  const page = getComputedStyle(document.body);
  const family = page.fontFamily,
    ink = page.color,
    soft = getComputedStyle(document.documentElement).getPropertyValue("--soft");
  const room = width - 2 * MARGIN;
  /** @type {Element[]} */
  const above = [],
    /** @type {Element[]} */
    below = [];
  let y = MARGIN;
  for (const line of wrapped(title, room, `bold 16px ${family}`)) {
    y += 18;
    above.push(
      svgElement("text", { x: MARGIN, y, fill: ink, "font-size": 16, "font-weight": "bold" }, line),
    );
  }
  let x = MARGIN;
  if (legend.length) y += 20;
  for (const { text, colour, path } of legend) {
    const wide = 30 + measured(text, `12px ${family}`);
    if (x > MARGIN && x + wide > width - MARGIN) {
      x = MARGIN;
      y += 18;
    }
    above.push(
      svgElement("path", { d: path, fill: colour, transform: `translate(${x + 2},${y - 9})` }),
      svgElement("text", { x: x + 18, y, fill: ink, "font-size": 12 }, text),
    );
    x += wide;
  }
  const top = y + 10;
  y = top + height + 4;
  for (const line of lines.flatMap((text) => wrapped(text, room, `10.5px ${family}`))) {
    y += LINE;
    below.push(svgElement("text", { x: MARGIN, y, fill: soft, "font-size": 10.5 }, line));
  }
  const whole = Math.ceil(y + MARGIN);
  const out = svgElement("svg", {
    xmlns: SVG,
    viewBox: `0 0 ${width} ${whole}`,
    width,
    height: whole,
    "font-family": family,
    role: "img",
  });
  const drawing = svgElement("g", { transform: `translate(0,${top})` });
  const copy = plainCopy(svg);
  if (under) drawing.append(svgElement("image", { href: under, width, height }));
  drawing.append(...copy.childNodes);
  // What the chart's own root passes on to its parts.
  for (const name of ["font-size", "text-anchor", "fill"])
    drawing.setAttribute(name, copy.getAttribute(name) ?? "");
  out.append(
    svgElement("title", {}, title),
    svgElement("desc", {}, lines.join(" ")),
    svgElement("rect", { width, height: whole, fill: page.backgroundColor }),
    ...above,
    drawing,
    ...below,
  );
  return { source: new XMLSerializer().serializeToString(out), width, height: whole };
}

/**
 * An SVG as a PNG of twice its size.
 * @param {{ source: string; width: number; height: number }} image
 * @returns {Promise<Blob | null>}
 */
export async function png({ source, width, height }) {
  const image = new Image();
  image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(source)}`;
  await image.decode();
  const paper = h("canvas", { width: String(2 * width), height: String(2 * height) });
  paper.getContext("2d")?.drawImage(image, 0, 0, 2 * width, 2 * height);
  return new Promise((resolve) => paper.toBlob(resolve, "image/png"));
}

/** Tells the page around the frame how high the chart is; it reads nothing of that page. */
const RESIZE =
  // To any page: a file cannot know which one it is framed by, and a height is no secret.
  "const say=()=>parent.postMessage({permilleHeight:document.body.scrollHeight},'*');" +
  "new ResizeObserver(say).observe(document.body)";

/**
 * A page of one chart: the widest of its drawings that fits is the one that shows.
 * @param {string} title
 * @param {{ source: string; width: number }[]} drawings narrowest first
 */
export function oneChart(title, drawings) {
  const rules = drawings.map(({ width }, i) => {
    const least = i ? `(min-width:${width}px)` : "(min-width:0)";
    const next = drawings[i + 1];
    // Widths may be fractions, and Safari rounds 0.01 away
    // (https://bugs.webkit.org/show_bug.cgi?id=178261).
    const most = next ? ` and (max-width:${next.width - 0.02}px)` : "";
    return `@media ${least}${most}{.d${i}{display:block}}`;
  });
  const named = h("title", {}, title).outerHTML;
  return (
    `<!doctype html>\n<html lang="${spoken()}">\n<head>\n` +
    '<meta charset="utf-8">\n' +
    // Inline alone, and nothing from elsewhere: foreign text is within the SVG, escaped by the
    // serializer.
    '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; ' +
    "style-src 'unsafe-inline'; script-src 'unsafe-inline'\">\n" +
    '<meta name="viewport" content="width=device-width, initial-scale=1">\n' +
    `${named}\n<style>body{margin:0}.d{display:none}.d svg{display:block;width:100%;height:auto}` +
    `${rules.join("")}</style>\n</head>\n<body>\n` +
    drawings.map(({ source }, i) => `<div class="d d${i}">${source}</div>`).join("\n") +
    `\n<script>${RESIZE}</script>\n</body>\n</html>\n`
  );
}

/**
 * What to paste where the chart is to stand; the frame follows the chart's height.
 * @param {string} file
 * @param {string} title
 * @param {number} height
 */
export function frameCode(file, title, height) {
  const frame = h("iframe", { src: file, title, loading: "lazy" });
  frame.style.cssText = `width:100%;height:${height}px;border:0`;
  const follow =
    "addEventListener('message',e=>{for(const f of document.querySelectorAll('iframe'))" +
    // Any window may send a message: only the frame's own is heard.
    "if(e.source===f.contentWindow&&e.data.permilleHeight>0)" +
    "f.style.height=e.data.permilleHeight+'px'})";
  return `${frame.outerHTML}\n<script>${follow}</script>`;
}
