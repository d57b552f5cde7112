// For those who do not know what to ask: five steps, each a link to a view.

import { clean, h } from "./dom.js";
import { answers, kwh } from "./figures.js";
import { figure } from "./format.js";
import { keep, kept } from "./kept.js";
import { say, word } from "./say.js";

/** @import { App } from "./main.js" */
/** @import { Child } from "./page" */
/** @import { State } from "./state.js" */

const KEPT = "permille-path";

/**
 * The steps, on a general-purpose model and a task-specific one that is as good.
 * @param {App} app
 * @returns {[question: string, answer: string, to: Partial<State>][]}
 */
function steps(app) {
  const found = answers(app).at(-1);
  if (!found) return [];
  const { general, specific } = found;
  const { task, dataset } = specific;
  const at = { task, dataset };
  const cost = kwh(specific, app.setting);
  const [small, large] = [specific, general].map((cell) => clean(cell.model, 60));
  return [
    [
      say`What does a request cost?`,
      say`1,000 of ${clean(word("task", task), 40)} by ${small} take
        ${cost ? figure(cost.value, "kwh") : say`what no meter told`}; see all models of the
        task.`,
      { view: "overview", task },
    ],
    [
      say`Which models are good enough?`,
      say`Quality against cost on ${clean(dataset, 60)}: nothing below the line is worth its
        energy.`,
      { view: "quality", ...at },
    ],
    [
      say`What would an LLM cost instead?`,
      say`${large} beside ${small}, on the same data.`,
      { view: "compare", m: [specific.model, general.model] },
    ],
    [
      say`How sure is that?`,
      say`What the figure of ${large} rests on, and what its interval is made of.`,
      { view: "model", model: general.model, cell: general.id },
    ],
    [
      say`And at a million a day, here?`,
      say`Kilowatt-hours and CO2e a day and a year; choose your grid in Settings.`,
      { view: "whatif", cell: general.id, day: "1000000", unit: "co2e" },
    ],
  ];
}

/**
 * The five steps, unfolded until somebody has followed one.
 * @param {App} app
 * @returns {Child}
 */
export function path(app) {
  const list = steps(app);
  if (!list.length) return null;
  return h(
    "details",
    { class: "path", open: kept(KEPT) === null },
    h("summary", {}, say`Not sure what to ask? Five steps, from one request to a million a day`),
    h(
      "ol",
      {},
      list.map(([question, answer, to]) =>
        h(
          "li",
          {},
          h("a", { href: app.href(to), onclick: () => keep(KEPT, "followed") }, question),
          ` ${answer}`,
        ),
      ),
    ),
  );
}
