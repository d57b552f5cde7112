// The formulas of permille.analysis.rows, compare, intervals and budget, on the page's aggregates.

import { say } from "./say.js";

/** @import { BoundaryColumns, Cell, FigureColumns, Metered } from "./document" */
/** @import { App } from "./main.js" */
/** @import { Boundary, Estimate, Joules, Paired, Ratio, Setting } from "./page" */

/**
 * @typedef {{ general: Cell; specific: Cell }} Answer
 * @typedef {{ name: string; low: number; high: number }} Share
 */

export const JOULES_PER_KWH = 3.6e6;
/** Of a year, as permille.units counts one. */
export const DAYS = 365;
export const BOUNDARIES = /** @type {const} */ (["accelerator", "compute", "node", "facility"]);
/** @type {readonly Metered[]} */
export const METERED = ["accelerator", "compute", "node"];
export const PROVENANCES = ["measured", "replayed", "modelled", "estimated"];

/** @type {(boundary: Boundary) => Metered} */
export const metered = (boundary) => (boundary === "facility" ? "node" : boundary);

/**
 * What is kept of a cell for each boundary.
 * @template {keyof BoundaryColumns} Name
 * @param {Cell} cell
 * @param {Boundary} boundary
 * @param {Name} name
 * @returns {BoundaryColumns[Name]}
 */
const column = (cell, boundary, name) => /** @type {any} */ (cell)[`${metered(boundary)}_${name}`];

/**
 * The name of a boundary's figures, with idle energy or above it.
 * @param {{ boundary: Boundary; net: boolean }} setting
 */
const columnOf = ({ boundary, net }) => `${metered(boundary)}${net ? "_net" : ""}`;

/**
 * What is kept of a cell for each boundary, with idle energy and above it.
 * @template {keyof FigureColumns} Name
 * @param {Cell} cell
 * @param {{ boundary: Boundary; net: boolean }} setting
 * @param {Name} name
 * @returns {FigureColumns[Name]}
 */
const within = (cell, { boundary, net }, name) =>
  /** @type {any} */ (cell)[`${columnOf({ boundary, net })}_${name}`];

/**
 * The mean of {@link joules} alone.
 * @param {Cell} cell
 * @param {Boundary} boundary
 * @param {boolean} net
 */
export const meanJoules = (cell, boundary, net) => within(cell, { boundary, net }, "mean") ?? null;

/**
 * Joules per 1,000 of a cell within a boundary; null where there is no figure.
 * @param {Cell} cell
 * @param {Boundary} boundary
 * @param {boolean} net
 * @returns {Joules | null}
 */
export function joules(cell, boundary, net) {
  const at = { boundary, net };
  const value = within(cell, at, "mean");
  if (value === null || value === undefined) return null;
  // Where there is a mean, there is all that follows from the same runs.
  const known = (/** @type {number | null} */ figure) => /** @type {number} */ (figure);
  return {
    n: column(cell, boundary, "n"),
    spread: column(cell, boundary, "spread"),
    value,
    low: within(cell, at, "low"),
    high: within(cell, at, "high"),
    blocks: within(cell, at, "blocks"),
    measuredIn: within(cell, at, "measured_in"),
    ratioN: known(within(cell, at, "ratio_n")),
    ratioMean: known(within(cell, at, "ratio_mean")),
    ratioSd: within(cell, at, "ratio_sd"),
    below: known(within(cell, at, "below")),
    above: known(within(cell, at, "above")),
    edge: known(within(cell, at, "edge")),
    sessions: within(cell, at, "sessions"),
    machines: within(cell, at, "machines"),
    rerunLow: within(cell, at, "rerun_low"),
    rerunHigh: within(cell, at, "rerun_high"),
    widened: known(within(cell, at, "widened")),
  };
}

/**
 * @param {Cell} cell
 * @param {Boundary} boundary
 */
export const provenance = (cell, boundary) => column(cell, boundary, "provenance");
/**
 * @param {Cell} cell
 * @param {Boundary} boundary
 */
export const domains = (cell, boundary) => column(cell, boundary, "domains");
/**
 * @param {Cell} cell
 * @param {Boundary} boundary
 */
export const problem = (cell, boundary) => column(cell, boundary, "problem");

/**
 * @param {Estimate} estimate
 * @param {number} factor
 * @returns {Estimate}
 */
export function times(estimate, factor) {
  /** @param {number | null | undefined} end */
  const scaled = (end) => (end === null || end === undefined ? null : end * factor);
  return {
    value: estimate.value * factor,
    low: scaled(estimate.low),
    high: scaled(estimate.high),
    sessions: estimate.sessions,
    machines: estimate.machines,
    rerunLow: scaled(estimate.rerunLow),
    rerunHigh: scaled(estimate.rerunHigh),
  };
}

/** @type {{ [where: string]: { [of in keyof Estimate]-?: string } }} */
const ESTIMATES = Object.fromEntries(
  METERED.flatMap((boundary) => [boundary, `${boundary}_net`]).map((where) => [
    where,
    {
      value: `${where}_mean`,
      low: `${where}_low`,
      high: `${where}_high`,
      sessions: `${where}_sessions`,
      machines: `${where}_machines`,
      rerunLow: `${where}_rerun_low`,
      rerunHigh: `${where}_rerun_high`,
    },
  ]),
);

/**
 * A cell's figure times a factor. Every view does this for every cell at each move of a slider.
 * @param {Cell} cell
 * @param {Setting} setting
 * @param {number} factor
 * @returns {Estimate | null}
 */
function figureOf(cell, { boundary, net }, factor) {
  const names = ESTIMATES[net ? `${metered(boundary)}_net` : metered(boundary)],
    columns = /** @type {any} */ (cell);
  const value = columns[names.value];
  if (value === null || value === undefined) return null;
  /** @param {number | null | undefined} end */
  const scaled = (end) => (end === null || end === undefined ? null : end * factor);
  return {
    value: value * factor,
    low: scaled(columns[names.low]),
    high: scaled(columns[names.high]),
    sessions: columns[names.sessions],
    machines: columns[names.machines],
    rerunLow: scaled(columns[names.rerunLow]),
    rerunHigh: scaled(columns[names.rerunHigh]),
  };
}

/**
 * What the energy is multiplied by: within facility, the PUE.
 * @param {Setting} setting
 */
export const overhead = ({ boundary, pue }) => (boundary === "facility" ? pue : 1);

/**
 * kWh per 1,000 inferences: within facility, times the PUE.
 * @param {Cell} cell
 * @param {Setting} setting
 * @returns {Estimate | null}
 */
export const kwh = (cell, setting) => figureOf(cell, setting, overhead(setting) / JOULES_PER_KWH);

/**
 * gCO2e per 1,000 inferences: the PUE counts once, within facility too.
 * @param {Cell} cell
 * @param {Setting} setting
 * @returns {Estimate | null}
 */
export const grams = (cell, setting) =>
  figureOf(cell, setting, (setting.pue * setting.intensity) / JOULES_PER_KWH);

/**
 * Joules of one token: of the output, or of input and output alike ("all").
 * @param {Cell} cell
 * @param {Setting} setting
 * @param {"output" | "all"} which
 * @returns {Estimate | null}
 */
export function perToken(cell, setting, which) {
  const found = cell.serving?.per_token[columnOf(setting)]?.[which];
  return found ? times(found, overhead(setting)) : null;
}

/**
 * Joules of one unit of work, such as an image.
 * @param {Cell} cell
 * @param {Setting} setting
 * @param {string} unit
 * @returns {Estimate | null}
 */
export function perUnit(cell, setting, unit) {
  const found = cell.serving?.per_unit[unit]?.[columnOf(setting)];
  return found ? times(found, overhead(setting)) : null;
}

/**
 * @param {Cell} cell
 * @param {Setting} setting
 * @returns {Estimate | null}
 */
export const shown = (cell, setting) =>
  setting.unit === "kwh" ? kwh(cell, setting) : grams(cell, setting);

/**
 * Whether a logarithmic axis can carry its interval.
 * @template {Estimate} Each
 * @param {Each} estimate
 * @returns {estimate is Each & { low: number; high: number }}
 */
export const bounded = (estimate) =>
  estimate.low !== null &&
  estimate.low > 0 &&
  estimate.high !== null &&
  Number.isFinite(estimate.high);

/**
 * How far it reaches on a logarithmic axis.
 * @param {Estimate} estimate
 */
export const reach = (estimate) =>
  [estimate.value, estimate.low ?? 0, estimate.high ?? Infinity].filter(
    (end) => end > 0 && Number.isFinite(end),
  );

// --- ratios ----------------------------------------------------------------------------------

/** @type {number[]} */
let series = [];
let caution = 1;
/**
 * What intervals are computed with: Student's t, and the factor on the rerun interval.
 * @param {{ student_t: number[]; rerun_caution: number }} sent
 */
export function useIntervals({ student_t, rerun_caution }) {
  series = student_t;
  caution = rerun_caution;
}

/**
 * Two-sided 95 % quantile of Student's t, df ≥ 1: a Chebyshev series (Clenshaw, 1955).
 * @param {number} df
 */
export function studentT(df) {
  // All df, from 1 to infinity, become the interval from 1 to -1, on which a Chebyshev series is.
  const u = 2 / df - 1;
  let after = 0,
    next = 0;
  for (let k = series.length - 1; k > 0; k--)
    [next, after] = [2 * u * next - after + series[k], next];
  return Math.exp(u * next - after + series[0]);
}

/** @param {number[]} values */
export const meanOf = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;

/** @param {number[]} values */
export const sdOf = (values) => {
  const mean = meanOf(values);
  const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  return Math.sqrt(squares / (values.length - 1));
};

/**
 * Half of the interval of one more session, on one more machine if there are several (see
 * analysis/rerun.py).
 * @param {number[]} units the means of the machines, or of one machine's sessions
 * @param {number[][]} means of each machine's sessions
 */
function rerunHalf(units, means) {
  const among = sdOf(units) ** 2 * (1 + 1 / units.length);
  const several = means.length > 1 ? means.filter((group) => group.length > 1) : [];
  const df = several.reduce((sum, group) => sum + group.length - 1, 0);
  const squares = several.reduce((sum, group) => sum + (group.length - 1) * sdOf(group) ** 2, 0);
  const rest = df ? (squares / df) * (1 - meanOf(means.map((group) => 1 / group.length))) : 0;
  const total = among + rest;
  // Means that are all alike have no degrees of freedom: 0 / 0.
  if (!total) return 0;
  // The degrees of freedom of two variances together, by Welch and Satterthwaite (GUM, G.4.1).
  const freedom = total ** 2 / (among ** 2 / (units.length - 1) + (rest ? rest ** 2 / df : 0));
  return caution * studentT(freedom) * Math.sqrt(total);
}

/**
 * A map of lists with one more value in the list of a key.
 * @template Key, Value
 * @param {Map<Key, Value[]>} lists
 * @param {Key} key
 * @param {Value} value
 */
function append(lists, key, value) {
  const known = lists.get(key);
  if (known) known.push(value);
  else lists.set(key, [value]);
  return lists;
}

/**
 * The ratio over sessions, of the blocks that have both; null where there are no two of them.
 * @param {Joules} a
 * @param {Joules} b
 * @returns {Ratio | null}
 */
function pairedRatio(a, b) {
  if (!a.blocks || !b.blocks) return null;
  const other = new Map(b.blocks.map(([session, block, log]) => [`${session}/${block}`, log]));
  /** @type {Map<string, Map<string, number[]>>} */
  const machines = new Map();
  for (const [session, block, log, machine] of a.blocks) {
    const against = other.get(`${session}/${block}`);
    if (against === undefined) continue;
    const sessions = machines.get(machine) ?? new Map();
    machines.set(machine, append(sessions, session, log - against));
  }
  const groups = [...machines.values()].map((sessions) => [...sessions.values()]);
  const sessions = groups.flat();
  if (sessions.flat().length < 2) return null;
  const means = new Map(
    [...machines].flatMap(([machine, of]) =>
      [...of].map(([session, logs]) => [session, { mean: meanOf(logs), machine }]),
    ),
  );
  const widened = Math.max(a.widened, b.widened);
  const over = overSessions({ means, widened });
  // Of a single session, its blocks are the draws.
  const half = sessions.length === 1 ? widened * meanHalf(sessions[0]) : over.half;
  const value = Math.exp(over.value);
  return { ...withRerun(onLogScale(value, half, half), over), paired: { means, widened } };
}

/**
 * The mean over sessions with half the widths of its interval and of that of one more session.
 * @param {Paired} paired
 */
function overSessions({ means, widened }) {
  /** @type {Map<string, number[]>} */
  const machines = new Map();
  for (const { mean, machine } of means.values()) append(machines, machine, mean);
  const groups = [...machines.values()];
  const units = groups.length === 1 ? groups[0] : groups.map(meanOf);
  return {
    value: meanOf(units),
    half: widened * meanHalf(units),
    next: means.size > 1 ? widened * rerunHalf(units, groups) : null,
    sessions: means.size,
    machines: groups.length,
  };
}

/** @param {number[]} units */
const meanHalf = (units) => (studentT(units.length - 1) * sdOf(units)) / Math.sqrt(units.length);

/**
 * A ratio with what it is over, and where one more session's would lie.
 * @param {Estimate} plain
 * @param {ReturnType<typeof overSessions>} over
 * @returns {Estimate}
 */
function withRerun(plain, { sessions, machines, next }) {
  const rerun = next === null ? null : onLogScale(plain.value, next, next);
  return {
    ...plain,
    sessions,
    machines,
    rerunLow: rerun && rerun.low,
    rerunHigh: rerun && rerun.high,
  };
}

/**
 * @param {Joules} a
 * @param {Joules} b
 * @returns {Ratio}
 */
function plainRatio(a, b) {
  const paired = pairedRatio(a, b);
  if (paired) return paired;
  const value = a.ratioMean / b.ratioMean;
  if (a.ratioN === 1 || b.ratioN === 1 || a.ratioSd === null || b.ratioSd === null)
    return { value, low: null, high: null };
  const ua = (a.ratioSd / a.ratioMean) ** 2 / a.ratioN,
    ub = (b.ratioSd / b.ratioMean) ** 2 / b.ratioN;
  // Likewise of two models whose trials are all alike.
  if (ua + ub === 0) return { value, low: value, high: value };
  const share = ua / (ua + ub);
  const df = 1 / (share ** 2 / (a.ratioN - 1) + (1 - share) ** 2 / (b.ratioN - 1));
  const half = studentT(df) * Math.sqrt(ua + ub);
  return onLogScale(value, half, half);
}

// The least normal double.
const LEAST = 2.2250738585072014e-308;

/**
 * The interval of a ratio whose logarithm may lie so far below and above:
 * 0 < low ≤ value ≤ high.
 * @param {number} value
 * @param {number} below
 * @param {number} above
 * @returns {Estimate}
 */
function onLogScale(value, below, above) {
  return {
    value,
    low: Math.min(value, Math.max(value * Math.exp(-below), LEAST)),
    // e^710 is Infinity, which would read as no bound.
    high: Math.max(value, Math.min(value * Math.exp(Math.min(above, 700)), Number.MAX_VALUE)),
  };
}

/**
 * Per coefficient that two cells have in common: its share of each one's energy, and how wrong it
 * may be below and above; null where they do not stand on the same meters.
 * @param {Cell} x
 * @param {Cell} y
 * @param {Boundary} boundary
 * @returns {number[][] | null}
 */
function coefficients(x, y, boundary) {
  /** @param {Cell} cell */
  const metersOf = (cell) => {
    const known = new Map((cell.parts ?? []).map((part) => [part[0], part]));
    const list = domains(cell, boundary).map((domain) => known.get(domain));
    return list.every((part) => part !== undefined) ? list : [];
  };
  const a = metersOf(x),
    b = metersOf(y);
  if (
    !a.length ||
    a.length !== b.length ||
    a.some((part, i) => part[0] !== b[i][0]) ||
    provenance(x, boundary) !== provenance(y, boundary) ||
    ![...a, ...b].every((part) => part[5])
  )
    return null;
  /** @param {Cell["parts"]} parts */
  const total = (parts) => parts.reduce((sum, part) => sum + part[1], 0);
  const ta = total(a),
    tb = total(b);
  if (!(ta > 0 && tb > 0)) return null;
  return a.flatMap(([, ja, la, ha, wa, , ca], i) => {
    const [, jb, lb, hb, wb, , cb] = b[i];
    const low = Math.max(la, lb),
      high = Math.max(ha, hb);
    // A constant error may be all of its part, on both sides alike.
    const constant = ca || cb ? [[Math.min(1, ca / ta), Math.min(1, cb / tb), 1, 1]] : [];
    if (wa === null || wb === null) return [...constant, [ja / ta, jb / tb, low, high]];
    return [
      ...constant,
      [wa / ta, wb / tb, low, high],
      [(ja - wa) / ta, (jb - wb) / tb, low, high],
    ];
  });
}

/**
 * What the accuracy of the meters alone adds, relative.
 * @param {Joules} of
 * @param {"below" | "above"} side
 * @returns {number}
 */
const withoutEdges = (of, side) => Math.sqrt(Math.max(0, of[side] ** 2 - of.edge ** 2));

/**
 * @param {Cell} x
 * @param {Cell} y
 * @param {Joules} a
 * @param {Joules} b
 * @param {Setting} setting
 * @returns {[number, number]}
 */
function systematic(x, y, a, b, setting) {
  const pairs = coefficients(x, y, setting.boundary);
  if (!pairs) {
    /** @param {Joules} side */
    // What may be too high by all of itself may be 0, which has no logarithm.
    const least = (side) => Math.log1p(-Math.min(withoutEdges(side, "below"), 0.99));
    /** @param {Joules} side */
    const most = (side) => Math.log1p(withoutEdges(side, "above"));
    return [most(b) - least(a), most(a) - least(b)];
  }
  const moved = pairs.map(([p, q, low, high]) =>
    [-Math.min(low, 0.99), high].map((f) => Math.log1p(f * p) - Math.log1p(f * q)),
  );
  return [
    Math.hypot(...moved.map((m) => Math.max(0, -Math.min(...m)))),
    Math.hypot(...moved.map((m) => Math.max(0, ...m))),
  ];
}

/**
 * Energy of x over that of y, with what does not cancel between them; null without a figure.
 * @param {Cell} x
 * @param {Cell} y
 * @param {Setting} setting
 * @returns {Ratio | null}
 */
export function ratio(x, y, setting) {
  const a = joules(x, setting.boundary, setting.net),
    b = joules(y, setting.boundary, setting.net);
  if (!a || !b || a.ratioMean <= 0 || b.ratioMean <= 0) return null;
  const plain = plainRatio(a, b);
  // Single runs have no interval: one of the meters alone would read as theirs.
  if (plain.low === null || plain.high === null) return plain;
  const [low, high] = systematic(x, y, a, b, setting);
  const edges = Math.hypot(a.edge, b.edge);
  return {
    ...plain,
    ...onLogScale(
      plain.value,
      Math.hypot(Math.log(plain.value) - Math.log(plain.low), low, edges),
      Math.hypot(Math.log(plain.high) - Math.log(plain.value), high, edges),
    ),
    shared: [low, high],
    edge: edges,
    names: plain.paired ? [...plain.paired.means.keys()].sort() : ofEither(a, b),
  };
}

/**
 * The sides of a ratio whose interval lacks what another session would shift, as
 * permille.analysis.compare.of_one_session.
 * @param {Cell} x
 * @param {Cell} y
 * @param {Estimate} of
 * @param {Setting} setting
 */
export function ofOneSession(x, y, of, setting) {
  if (of.sessions != null || of.low === null) return [];
  return [x, y].filter((c) => {
    const energy = joules(c, setting.boundary, setting.net);
    return energy && namesOf(energy).length === 1;
  });
}

/**
 * The sessions of both sides of a ratio that is not paired; none if each side has its own one.
 * @param {Joules} a
 * @param {Joules} b
 */
function ofEither(a, b) {
  const sides = [namesOf(a), namesOf(b)];
  const names = [...new Set(sides.flat())].sort();
  return names.length === 1 || sides.some((of) => of.length > 1) ? names : [];
}

/**
 * Geometric mean of ratios, as permille.analysis.across_cells: over the sessions of cells that have
 * the same ones, otherwise of their logarithmic half-widths. What the meters add is the same error
 * in every cell.
 * @param {Ratio[]} ratios
 * @returns {Estimate}
 */
export function overall(ratios) {
  if (ratios.length === 1) return ratios[0];
  const k = ratios.length;
  const value = Math.exp(ratios.reduce((sum, r) => sum + Math.log(r.value), 0) / k);
  if (!ratios.every((r) => r.low && r.high)) return { value, low: null, high: null };
  const groups = bySessions(ratios, sessionsOf, (r) => Boolean(r.paired));
  const own = acrossGroups(
    groups.map((group) => ({
      sessions: sessionsOf(group[0]),
      half: halfOfSum(group),
      scale: group.length,
      draws: drawsOf([...(group[0].paired?.means.values() ?? [])].map(({ machine }) => machine)),
    })),
  );
  const [below, above] = [0, 1].map((side) =>
    Math.hypot(own / k, sumOf(ratios.map((r) => r.shared?.[side] ?? 0)) / k),
  );
  const mean = onLogScale(value, below, above);
  return groups.length === 1 && ratios[0].paired
    ? withRerun(mean, overSessions(together(ratios)))
    : mean;
}

/**
 * Cells of the same sessions with half of the width of their sum, what a change of all of them by
 * 100 % adds to it, and the sessions or machines that it is over; null: not over several.
 * @typedef {{ sessions: string[]; half: number; scale: number; draws: number | null }} GroupHalf
 */

/**
 * Half of the width of a sum over groups of cells. Those of groups that share a session, directly
 * or through other groups, are added; the sums are independent and combine in quadrature.
 * @param {GroupHalf[]} groups
 */
function acrossGroups(groups) {
  // How far one session may shift a cell, relative: a mean over draws varies less than these.
  const shift = Math.max(
    ...groups.map(({ half, scale, draws }) => (draws ? (half / scale) * Math.sqrt(draws) : 0)),
  );
  const shared = groups
    .filter((of) => of.sessions.length)
    // What one session shifts in all of its cells, their blocks do not show.
    .map((of) => (of.sessions.length > 1 ? of : { ...of, half: of.scale * shift }));
  /** @type {Map<string, string>} */
  const parents = new Map();
  for (const { sessions } of shared)
    for (const name of sessions) parents.set(root(parents, name), root(parents, sessions[0]));
  /** @type {Map<string, number[]>} */
  const linked = new Map();
  for (const { sessions, half } of shared) append(linked, root(parents, sessions[0]), half);
  const independent = groups.flatMap((of) => (of.sessions.length > 1 ? [] : [of.half]));
  return Math.hypot(...independent, ...[...linked.values()].map(sumOf));
}

/**
 * The machines or, of one machine, the sessions that an interval is over; null if there are no two.
 * @param {string[]} machines of each session
 */
function drawsOf(machines) {
  const several = new Set(machines).size;
  const n = several > 1 ? several : machines.length;
  return n > 1 ? n : null;
}

/**
 * The session that stands for all those linked with this one.
 * @param {Map<string, string>} parents
 * @param {string} name
 */
function root(parents, name) {
  for (;;) {
    const parent = parents.get(name) ?? name;
    if (parent === name) return name;
    // Halves the path, or a long chain of groups would take quadratic time.
    const above = parents.get(parent) ?? parent;
    parents.set(name, above);
    name = above;
  }
}

/** @param {number[]} values */
const sumOf = (values) => values.reduce((total, value) => total + value, 0);

/** @param {Ratio} of */
const sessionsOf = (of) => of.names ?? [];

/**
 * Cells by their sessions and whether their intervals are over these; one whose sessions are
 * unknown is by itself.
 * @template {object} Each
 * @param {Each[]} list
 * @param {(of: Each) => string[]} sessions
 * @param {(of: Each) => boolean} isOver
 */
function bySessions(list, sessions, isOver) {
  /** @type {Map<string | Each, Each[]>} */
  const groups = new Map();
  for (const each of list) {
    const names = sessions(each);
    append(groups, names.length ? JSON.stringify([names, isOver(each)]) : each, each);
  }
  return [...groups.values()];
}

/**
 * Half of the width of the sum of the logarithms of ratios of the same sessions, without what is
 * one error of all cells.
 * @param {Ratio[]} group
 */
function halfOfSum(group) {
  const several = group.length > 1 && sessionsOf(group[0]).length > 1;
  if (several && group[0].paired)
    return Math.hypot(
      group.length * overSessions(together(group)).half,
      ...group.map((r) => r.edge ?? 0),
    );
  const halves = group.map(ownHalf);
  return several ? sumOf(halves) : Math.hypot(...halves);
}

/**
 * The wider side: they only differ where the range of a float has cut off an end.
 * @param {Ratio} ratio
 */
function ownHalf({ value, low, high, shared }) {
  const halves = [Math.log(value / (low ?? value)), Math.log((high ?? value) / value)];
  return Math.max(
    ...halves.map((half, side) => Math.sqrt(Math.max(0, half ** 2 - (shared?.[side] ?? 0) ** 2))),
  );
}

/**
 * The mean of ratios of the same sessions in each of these.
 * @param {Ratio[]} group
 * @returns {Paired}
 */
function together(group) {
  const all = group.flatMap((each) => each.paired ?? []);
  const means = new Map(
    [...all[0].means].map(([session, { machine }]) => [
      session,
      { machine, mean: meanOf(all.map((paired) => paired.means.get(session)?.mean ?? NaN)) },
    ]),
  );
  return { means, widened: Math.max(...all.map((paired) => paired.widened)) };
}

/**
 * The mean of several cells' joules, as permille.analysis.parity.mean_of_cells: what a session
 * changes, and the meter's error, is common to all of its cells.
 * @param {Joules[]} list
 * @returns {Estimate}
 */
export function meanOfCells(list) {
  if (list.length === 1) return list[0];
  const k = list.length;
  const value = meanOf(list.map((e) => e.value));
  if (value <= 0 || list.some((e) => e.spread === null)) return { value, low: null, high: null };
  const groups = bySessions(list, namesOf, (of) => Boolean(of.blocks));
  const halves = groups.map((group) => ({
    sessions: namesOf(group[0]),
    half: spreadOf(group),
    scale: sumOf(group.map((of) => Math.abs(of.value))),
    draws: drawsOf([...machinesOf(group[0]).values()]),
  }));
  const half = acrossGroups(halves) / k;
  const [below, above] = /** @type {const} */ (["below", "above"]).map(
    (side) => list.reduce((sum, e) => sum + e.value * e[side], 0) / k,
  );
  return {
    value,
    low: Math.max(0, value - Math.hypot(half, below)),
    high: value + Math.hypot(half, above),
  };
}

/**
 * The sessions that its trials were measured in.
 * @param {Joules} of
 */
const namesOf = (of) =>
  of.measuredIn ?? [...new Set((of.blocks ?? []).map(([session]) => session))].sort();

/**
 * Half of the width of the sum of cells of the same sessions, from the spread alone.
 * @param {Joules[]} group
 */
function spreadOf(group) {
  const halves = group.map((e) => (e.spread ?? 0) * e.value);
  if (group.length === 1 || namesOf(group[0]).length < 2) return Math.hypot(...halves);
  if (!group[0].blocks) return sumOf(halves);
  const each = group.map(bySession);
  const means = new Map(
    [...machinesOf(group[0])].map(([session, machine]) => {
      const mean = meanOf(each.map((of) => meanOf(of.get(session) ?? [])));
      return [session, { mean: Math.log(mean), machine }];
    }),
  );
  const { half } = overSessions({ means, widened: Math.max(...group.map((e) => e.widened)) });
  const total = sumOf(group.map((e) => e.value));
  return (onLogScale(total, half, half).high ?? total) - total;
}

/**
 * The machine of each session that a cell's interval is over.
 * @param {Joules} of
 */
const machinesOf = (of) =>
  new Map((of.blocks ?? []).map(([session, , , machine]) => [session, machine]));

/**
 * The joules of a cell's trials by session.
 * @param {Joules} of
 */
function bySession(of) {
  /** @type {Map<string, number[]>} */
  const sessions = new Map();
  for (const [session, , log] of of.blocks ?? []) append(sessions, session, Math.exp(log));
  return sessions;
}

/**
 * How many inferences use as much as training, as permille.analysis.parity.inferences; both in kWh.
 * @param {number} training
 * @param {{ value: number; low: number | null; high: number | null }} each
 */
export function inferencesToParity(training, { value, low, high }) {
  const most = low === null || low <= 0 ? Infinity : training / low;
  return {
    value: training / value,
    from: high === null ? null : training / high,
    to: Number.isFinite(most) ? most : null,
  };
}

/**
 * What must be the same for two cells to be compared.
 * @param {Cell} c
 */
export const place = (c) => c.place;

// --- the rest --------------------------------------------------------------------------------

/**
 * Parts of a cell's interval, relative (k = 2): as permille results --explain.
 * @param {Cell} cell
 * @param {Boundary} boundary
 */
export function budget(cell, boundary) {
  const e = joules(cell, boundary, false);
  if (!e || e.value <= 0) return [];
  /** @type {Share[]} */
  const found = [];
  if (e.spread !== null) {
    const half = e.spread;
    const rule = cell.asked === null ? say`Student t` : say`asked for ±${100 * cell.asked} %`;
    const sessions = cell.asked === null ? (e.sessions ?? 1) : 1;
    const above =
      (e.machines ?? 1) > 1 ? say`${String(e.machines)} machines` : say`${sessions} sessions`;
    const units = sessions > 1 ? above : say`${String(e.n)} trials`;
    found.push({ name: say`spread of ${units} (${rule})`, low: half, high: half });
  }
  found.push({ name: say`edges, ticks and resolution`, low: e.edge, high: e.edge });
  found.push({
    name:
      provenance(cell, boundary) === "estimated" ? say`the estimate's model` : say`meter accuracy`,
    low: withoutEdges(e, "below"),
    high: withoutEdges(e, "above"),
  });
  return found;
}

/**
 * Whether a cell lies on the Pareto front of its place, as permille.analysis.pareto says.
 * @param {Cell} cell
 * @param {Setting} setting
 */
export const onFront = (cell, setting) => within(cell, setting, "front") === true;

/**
 * The general-purpose and the task-specific cell of each answer, by permille.analysis.answer.
 * @param {Pick<App, "setting" | "data" | "byId">} app
 * @returns {Answer[]}
 */
export function answers(app) {
  const { boundary, net } = app.setting;
  const ids = app.data.answers[net ? `${metered(boundary)}_net` : metered(boundary)] ?? [];
  return ids.flatMap((pair) => {
    const [general, specific] = pair.map((id) => app.byId.get(id));
    return general && specific ? [{ general, specific }] : [];
  });
}

/**
 * The mean power of a trace within a span, in watts; null where no stretch lies within it.
 * @param {number[][]} points of each stretch of the trace, its begin in seconds and its mean
 * @param {number} from
 * @param {number} to
 */
export function meanPower(points, from, to) {
  // power_trace makes stretches of one length, and the page is not sent where the last one ends.
  const length = points.length > 1 ? points[1][0] - points[0][0] : Infinity;
  // A stretch that reaches into another span has that one's power, too: of a short span, such as
  // the idle one, it could be half of all there is.
  const inside = points.filter(([begin]) => begin >= from && begin + length <= to);
  return inside.length ? meanOf(inside.map(([, watts]) => watts)) : null;
}

/**
 * @param {number[]} values
 * @param {number} q
 */
export const quantile = (values, q) => quantiles(values, [q])[0];

/**
 * @param {number[]} values
 * @param {number[]} shares
 */
export function quantiles(values, shares) {
  // A typed array is sorted as numbers, any other as text.
  const sorted = Float64Array.from(values).sort();
  return shares.map((q) => {
    const at = (sorted.length - 1) * q,
      below = Math.floor(at);
    return sorted[below] + (at - below) * ((sorted[below + 1] ?? sorted[below]) - sorted[below]);
  });
}
