// What can be taken of a chart: picture, data, link, citation, and a file for an iframe.

import { apa, bibtex, captionLines } from "./cite.js";
import { download, h } from "./dom.js";
import { csv } from "./records.js";
import { say } from "./say.js";
import { frameCode, framed, oneChart, png } from "./standalone.js";

/** @import { App } from "./main.js" */
/** @import { Frame } from "./standalone.js" */

/** Widths at which a chart for an iframe is drawn. */
const EMBEDDED = [360, 640, 960];

/**
 * A chart in the document; `under` is the picture of points that are no elements, and `done` takes
 * it out again.
 * @typedef {{ svg: SVGSVGElement; under: string | null; done: () => void }} Drawn
 */

/**
 * What the menu takes from its chart.
 * @typedef {object} Kept
 * @property {string} title
 * @property {string} file the name of a download, without its suffix
 * @property {() => Record<string, unknown>[]} data
 * @property {string[]} credits lines below what is kept, beside those of every chart
 * @property {(width?: number) => Drawn} drawn the chart, drawn for what is kept
 * @property {() => Frame["legend"]} legend
 */

/**
 * The menu at a chart.
 * @param {App} app
 * @param {Kept} chart
 */
export function keepMenu(app, chart) {
  const { title, file } = chart;
  const out = h("div", { class: "out", "aria-live": "polite" });
  /**
   * Offers a text to be copied: the clipboard is refused to some pages.
   * @param {string} text
   * @param {string} what
   */
  async function offer(text, what) {
    let message = say`${what}:`;
    try {
      await navigator.clipboard.writeText(text);
      message = say`${what}, copied:`;
    } catch (error) {
      // Outside a secure context there is no clipboard (a TypeError); within one it may be refused.
      if (!(error instanceof DOMException || error instanceof TypeError)) throw error;
    }
    out.replaceChildren(h("p", {}, message), h("pre", { tabindex: "0" }, text));
  }
  /** @param {number} [width] */
  function picture(width) {
    const { svg, under, done } = chart.drawn(width);
    const lines = [...captionLines(app), ...chart.credits];
    const found = framed(svg, under, { title, legend: chart.legend(), lines });
    done();
    return found;
  }
  /** @type {[label: string, hint: string, act: () => void][]} */
  const ways = [
    ["PNG", say`a picture`, async () => save(await png(picture()), "image/png", "png")],
    ["SVG", say`a drawing`, () => save(picture().source, "image/svg+xml", "svg")],
    [
      "CSV",
      say`its data`,
      async () => {
        // The number of runs and their deviation are among what is loaded with ratios.
        await app.details();
        save(csv(chart.data()), "text/csv", "csv");
      },
    ],
    [say`Link`, say`to this view`, () => offer(location.href, say`Link to this view`)],
    [
      say`Cite`,
      say`BibTeX and APA`,
      () => offer(`${bibtex(app)}\n\n${apa(app)}`, say`How to cite`),
    ],
    [
      say`Embed`,
      say`for an iframe`,
      () => {
        const drawings = EMBEDDED.map(picture);
        save(oneChart(title, drawings), "text/html", "html");
        // Until the frame tells its height (RESIZE), it must hold the highest of the drawings.
        const height = Math.max(...drawings.map((d) => d.height));
        offer(frameCode(`${file}.html`, title, height), say`Beside the file, in your page`);
      },
    ],
  ];
  /**
   * @param {BlobPart | null} content
   * @param {string} type
   * @param {string} suffix
   */
  function save(content, type, suffix) {
    if (content !== null) download(content, type, `${file}.${suffix}`);
  }
  return h(
    "details",
    { class: "keep" },
    h("summary", {}, say`Keep`, h("span", { class: "hidden" }, " ", say`the chart: ${title}`)),
    h(
      "div",
      { class: "ways" },
      h(
        "ul",
        {},
        ways.map(([label, hint, act]) =>
          h(
            "li",
            {},
            h("button", { type: "button", onclick: act }, label),
            h("small", {}, " ", hint),
          ),
        ),
      ),
      out,
    ),
  );
}
