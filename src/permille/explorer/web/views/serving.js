// The section of a model's page on tokens, other units of work, and answers under load.

import { clean, h, table } from "../dom.js";
import { perToken, perUnit } from "../figures.js";
import { ends, joule, NONE, number, percent, seconds } from "../format.js";
import { joined, say } from "../say.js";
import { within } from "../shared.js";

/** @import { Cell, PageServing } from "../document" */
/** @import { Child, Setting } from "../page" */

/** @typedef {{ low: number | null; high: number | null; value: number }} Bounded */
/** @typedef {[what: string, figure: Bounded | null, form: (value: number) => string]} Line */

/** @type {[unit: string, words: string][]} */
const UNITS = [
  ["image", say`Energy of an image`],
  ["audio_second", say`Energy of a second of audio`],
  ["embedded_token", say`Energy of a token embedded`],
];
/** @type {[time: string, words: string][]} */
const TIMES = [
  ["ttft", say`Time to the first token`],
  ["tpot", say`Time per output token`],
  ["latency", say`Time of a whole answer`],
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
  const energyOf = within(setting);
  return [
    h("h2", {}, say`Tokens and answers`),
    table(
      say`Of one token, unit or answer (energy: ${energyOf})`,
      [
        [say`What`, ([what]) => what],
        [say`Value`, ([, figure, form]) => (figure ? form(figure.value) : NONE), { number: true }],
        [say`95 % interval`, ([, figure, form]) => ends(figure, form), { number: true }],
      ],
      lines,
    ),
    split?.input
      ? h(
          "p",
          { class: "note" },
          split.method === "phases"
            ? say`Input and output tokens apart are within compute, idle included, by the energy
                until the first token and after it.`
            : say`Input and output tokens apart are within compute, idle included, by a regression
                over windows of the query.`,
        )
      : null,
    [split?.warning, split?.problem].map((text) =>
      text
        ? h(
            "p",
            { class: "note" },
            say`Input and output tokens apart: ${joined(clean(text, 400), "problem")}.`,
          )
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
    [say`Energy per output token`, perToken(cell, setting, "output"), joule],
    [say`Energy per input or output token`, perToken(cell, setting, "all"), joule],
    ...UNITS.map(
      ([unit, words]) => /** @type {Line} */ ([words, perUnit(cell, setting, unit), joule]),
    ),
    [say`An input token by itself`, serving.split?.input ?? null, joule],
    [say`An output token by itself`, serving.split?.output ?? null, joule],
    [say`Power that depends on neither`, serving.split?.rest_w ?? null, watt],
    [say`Input tokens of an answer`, serving.input_tokens, number],
    [say`Output tokens of an answer`, serving.output_tokens, number],
    [say`Reasoning tokens of an answer`, serving.reasoning_tokens, number],
    [say`Successful answers per second`, serving.inferences_per_s, number],
    [say`Output tokens per second`, serving.tokens_per_s, number],
    ...TIMES.flatMap(([time, words]) =>
      SHARES.map(
        (share) =>
          /** @type {Line} */ ([say`${words}, ${share}`, figure(`${time}_${share}`), seconds]),
      ),
    ),
    [say`Failed inferences`, figure("error_rate"), percent],
  ];
}
