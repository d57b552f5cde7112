// The section of a model's page on tokens, other units of work, and answers under load.

import { clean, h, table } from "../dom.js";
import { perToken, perUnit } from "../figures.js";
import { ends, joule, NONE, number, percent, seconds } from "../format.js";

/** @import { Cell, PageServing } from "../document" */
/** @import { Child, Setting } from "../page" */

/** @typedef {{ low: number | null; high: number | null; value: number }} Bounded */
/** @typedef {[what: string, figure: Bounded | null, form: (value: number) => string]} Line */

/** @type {[unit: string, words: string][]} */
const UNITS = [
  ["image", "Energy of an image"],
  ["audio_second", "Energy of a second of audio"],
  ["embedded_token", "Energy of a token embedded"],
];
/** @type {[time: string, words: string][]} */
const TIMES = [
  ["ttft", "Time to the first token"],
  ["tpot", "Time per output token"],
  ["latency", "Time of a whole answer"],
];
const SHARES = ["p50", "p95", "p99"];

/** @param {number} watts */
const watt = (watts) => `${number(watts)} W`;

/**
 * Null for a cell without such figures.
 * @param {Cell} cell
 * @param {Setting} setting
 * @returns {Child}
 */
export function servingSection(cell, setting) {
  const serving = cell.serving;
  if (!serving) return null;
  const lines = linesOf(cell, serving, setting).filter(([, figure]) => figure !== null);
  if (!lines.length) return null;
  const split = serving.split;
  const energyOf = `${setting.boundary}${setting.net ? ", above idle" : ""}`;
  return [
    h("h2", {}, "Tokens and answers"),
    table(
      `Of one token, unit or answer (energy: ${energyOf})`,
      [
        ["What", ([what]) => what],
        ["Value", ([, figure, form]) => (figure ? form(figure.value) : NONE), { number: true }],
        ["95 % interval", ([, figure, form]) => ends(figure, form), { number: true }],
      ],
      lines,
    ),
    split?.input
      ? h(
          "p",
          { class: "note" },
          "Input and output tokens apart are within compute, idle included, by " +
            (split.method === "phases"
              ? "the energy until the first token and after it."
              : "a regression over windows of the query."),
        )
      : null,
    [split?.warning, split?.problem].map((text) =>
      text
        ? h("p", { class: "note" }, `Input and output tokens apart: ${clean(text, 400)}.`)
        : null,
    ),
  ];
}

/**
 * @param {Cell} cell
 * @param {PageServing} serving
 * @param {Setting} setting
 * @returns {Line[]}
 */
function linesOf(cell, serving, setting) {
  /** @param {string} name */
  const figure = (name) => serving.limits[name]?.figure ?? null;
  return [
    ["Energy per output token", perToken(cell, setting, "output"), joule],
    ["Energy per input or output token", perToken(cell, setting, "all"), joule],
    ...UNITS.map(
      ([unit, words]) => /** @type {Line} */ ([words, perUnit(cell, setting, unit), joule]),
    ),
    ["An input token by itself", serving.split?.input ?? null, joule],
    ["An output token by itself", serving.split?.output ?? null, joule],
    ["Power that depends on neither", serving.split?.rest_w ?? null, watt],
    ["Input tokens of an answer", serving.input_tokens, number],
    ["Output tokens of an answer", serving.output_tokens, number],
    ["Reasoning tokens of an answer", serving.reasoning_tokens, number],
    ["Successful answers per second", serving.inferences_per_s, number],
    ["Output tokens per second", serving.tokens_per_s, number],
    ...TIMES.flatMap(([time, words]) =>
      SHARES.map(
        (share) =>
          /** @type {Line} */ ([`${words}, ${share}`, figure(`${time}_${share}`), seconds]),
      ),
    ),
    ["Failed inferences", figure("error_rate"), percent],
  ];
}
