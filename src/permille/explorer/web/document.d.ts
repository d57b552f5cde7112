// Written by scripts/build_page_types.py from permille/explorer/shapes.py, and what that imports.

/** A boundary that is metered; facility is the node times the PUE. */
export type Metered = "accelerator" | "compute" | "node";

/** A cell as the page reads it from the columns: parts by component, figures by boundary. */
export type Cell = PageCell & { [part: `part_${string}`]: number | null } & {
  [K in keyof BoundaryColumns as `${Metered}_${K}`]: BoundaryColumns[K];
} & {
  [K in keyof FigureColumns as `${Metered | `${Metered}_net`}_${K}`]: FigureColumns[K];
};

/** The document. `store_exists` is false while the store that is named is not there yet. `studies`, `licences`, `trials`, `answer_times` and `runs` are in a file alone, which can ask no server; there, `cells` has all columns, and from a server those that are not in :class:`Details`. */
export interface Document {
  answer_times?: { [key: string]: PageAnswerTimes };
  answers: { [key: string]: string[][] };
  cells: Columns;
  damage: string[];
  equivalents: PageEquivalent[];
  evidence: PageEvidence;
  grid: Grid;
  licences?: Licence[];
  mean_pue: number;
  permille: string;
  published: ShippedStudy;
  rerun_caution: number;
  runs?: { [key: string]: PageRun | null };
  schema: number;
  store: string | null;
  store_exists: boolean;
  student_t: number[];
  studies?: PageStudy[];
  trials?: { [key: string]: ListedTrial[] };
}

/** Cells by column: a list of numbers, `{"of", "at"}`, `{"all"}`, or `{"as"}`, the name of another that is the same. The last two may be so `from` a cell on, and `before` is a column of those before it. */
export interface Columns {
  columns: { [key: string]: unknown };
  count: number;
}

/** What is loaded when a view needs it: further columns of cells, and the studies' audits. */
export interface Details {
  columns: { [key: string]: unknown };
  studies: PageStudy[];
}

/** A cell, without the columns of its boundaries and components. */
export interface PageCell {
  architecture: string | null;
  asked: number | null;
  backend: string;
  batch_size: number | null;
  category: "general-purpose" | "task-specific" | "unknown";
  dataset: string;
  device: string | null;
  done: number;
  failed: number;
  fingerprint: string;
  id: string;
  in_percent: boolean | null;
  input_length: number | null;
  invalid: number;
  latency_p50: number | null;
  latency_p95: number | null;
  logged_g_per_kwh: number | null;
  lower_is_better: boolean | null;
  metric: string | null;
  model: string;
  notes: string[];
  origin: "shipped" | "store";
  output_length: number | null;
  params: number | null;
  parts: [string, number, number, number, number | null, boolean, number][];
  place: string;
  quality: number | null;
  quality_error: number | null;
  quality_high: number | null;
  quality_low: number | null;
  quality_n: number | null;
  reasons: string[];
  seconds: number | null;
  serving: PageServing | null;
  settings: { [key: string]: unknown };
  source: string;
  study: string;
  task: string;
  unreadable: number | null;
  weights: string | null;
}

/** A figure with its 95 % interval. */
export interface PageEstimate {
  high: number | null;
  low: number | null;
  value: number;
}

/** A figure that can be promised, and why it does not settle a promise, if it does not; with `breaks`, why it breaks every promise. `too_long` and `too_short`: by how much it may be so because permille itself sent requests late, and `if_late`, the reason where that decides. */
export interface PageLimit {
  breaks: boolean;
  figure: PageEstimate | null;
  if_late: string | null;
  reason: string | null;
  too_long: number;
  too_short: number;
}

/** Joules per output token, and per input or output token. */
export interface PageTokenEnergy {
  all: PageEstimate | null;
  output: PageEstimate;
}

/** Input and output tokens apart: joules each, and the watts that depend on neither. */
export interface PageSplit {
  input: PageEstimate | null;
  method: string | null;
  output: PageEstimate | null;
  problem: string | null;
  rest_w: PageEstimate | null;
  warning: string | null;
}

/** The load on a server: so many clients, or requests per second. `sweep` is equal for the cells of one sweep, whose name is `name`. */
export interface PageLoad {
  at: number;
  by: "concurrency" | "rate_per_s";
  name: string;
  sweep: string;
}

/** Figures of tokens, other units of work, and answers. `per_token` and each of `per_unit` are by boundary (`compute`, `compute_net`, …), in joules; `limits` are by the names of the limits of `permille slo`, in seconds or a share. */
export interface PageServing {
  inferences_per_s: PageEstimate | null;
  input_tokens: PageEstimate | null;
  limits: { [key: string]: PageLimit };
  load: PageLoad | null;
  output_tokens: PageEstimate | null;
  per_token: { [key: string]: PageTokenEnergy };
  per_unit: { [key: string]: { [key: string]: PageEstimate } };
  reasoning_tokens: PageEstimate | null;
  split: PageSplit | null;
  tokens_per_s: PageEstimate | null;
}

/** The finished trials of a server's cell with the times of their answers. `reasons`: by waiting time (`ttft`, `tpot`, `latency`), why it is not known of every trial. */
export interface PageAnswerTimes {
  reasons: { [key: string]: string };
  trials: PageTimedTrial[];
}

/** A trial: the requests that were answered and how long that took, those that were tried, and how many of the answers that were kept came within which time. */
export interface PageTimedTrial {
  inferences: number;
  seconds: number;
  tried: number;
  within: { [key: string]: PageSteps };
}

/** How many came within each limit, at which that number changes; the last are all. */
export interface PageSteps {
  counts: number[];
  limits_s: number[];
}

/** The columns of one boundary with idle energy or without it; `compute_mean`, … */
export interface FigureColumns {
  above: number | null;
  below: number | null;
  blocks: [string, number, number, string][] | null;
  edge: number | null;
  front: boolean | null;
  high: number | null;
  low: number | null;
  machines: number | null;
  mean: number | null;
  measured_in: string[] | null;
  ratio_mean: number | null;
  ratio_n: number | null;
  ratio_sd: number | null;
  rerun_high: number | null;
  rerun_low: number | null;
  sessions: number | null;
  widened: number | null;
}

/** The columns of one boundary that are the same with idle energy and without it. */
export interface BoundaryColumns {
  domains: string[];
  n: number | null;
  problem: string | null;
  provenance: string | null;
  spread: number | null;
}

/** Templates of what an interval is over: one session, several, several with a stopping rule. */
export interface PageEvidence {
  machines: string;
  one: string;
  several: string;
  stopped: string;
}

/** One study of one source: what its numbers rest on, and its parity by boundary. */
export interface PageStudy {
  audit: Audit;
  origin: "shipped" | "store";
  parity: { [key: string]: ParityRow[] };
  source: string;
  study: string;
}

/** The shipped study, for the page's About. */
export interface ShippedStudy {
  citation: string;
  licence: string;
  machine: { [key: string]: string };
  name: string;
  notes: string[];
  source: string;
}

/** Grid intensities by place and year. */
export interface Grid {
  places: PagePlace[];
  sources: PageSource[];
}

/** A place; `years` has each year's gCO2e/kWh and the index of its source. */
export interface PagePlace {
  code: string;
  grid: string | null;
  kind: string;
  name: string;
  years: { [key: string]: [number, number] };
}

/** Where intensities come from. */
export interface PageSource {
  attribution: string;
  kind: string;
  licence: string;
  name: string;
  url: string;
}

/** What one kWh or one gram is like. */
export interface PageEquivalent {
  basis: string;
  factor: string;
  name: string;
  per: number;
  source: string;
  unit: string;
}

/** A package that is in the page. */
export interface Licence {
  licence: string;
  name: string;
  text: string;
  version: string;
}

/** A trial as a line of its cell's page. */
export interface ListedTrial {
  inferences: number | null;
  reason: string | null;
  repeat: number;
  seconds: number | null;
  started: string;
  status: "done" | "failed" | "invalid";
  uid: string;
}

/** A trial with its power trace and all that it rests on. */
export interface PageRun {
  again: string;
  backend: string;
  dataset: string;
  device: string | null;
  environment: { [key: string]: unknown };
  files: { [key: string]: string };
  inferences: number | null;
  model: string;
  notes: string[];
  overhead: RunOverhead | null;
  phases: { [key: string]: RunPhase };
  power: Power[];
  protocol: { [key: string]: unknown };
  reason: string | null;
  repeat: number;
  seconds: number | null;
  settings: { [key: string]: unknown };
  source: string;
  spans: RunSpan[];
  started: string;
  status: "done" | "failed" | "invalid";
  study: string;
  task: string;
  uid: string;
  weights: string | null;
}

/** One phase: its energy by domain, and why a domain has none. */
export interface RunPhase {
  domains: { [key: string]: RunDomain };
  inferences: number | null;
  problems: { [key: string]: string };
  seconds: number;
}

/** The energy of one domain over a phase. */
export interface RunDomain {
  accuracy_high: number;
  accuracy_low: number;
  energy_j: number;
  in_use: boolean;
  meter: string;
  provenance: string;
}

/** What recording the trial took. */
export interface RunOverhead {
  cpu_s: number;
  missed: number;
  polls: number;
  wall_s: number;
}

/** A domain's power over time: (seconds from the start, watts). */
export interface Power {
  domain: string;
  points: number[][];
  provenance: string;
}

/** A span, in seconds from the start of the recording. */
export interface RunSpan {
  from_s: number;
  name: string;
  to_s: number;
}

/** What `permille audit --json` prints. `shares` are of the node's energy, by component; the correlations are Pearson's r of energy and duration over the cells' means, linear and logarithmic. Unknown values are null, with a note. */
export interface Audit {
  schema: 1;
  studies: string[];
  cells: number;
  runs: number;
  pue: number;
  shares: { [key: string]: number | null };
  duration_correlation: number | null;
  duration_correlation_log: number | null;
  mean_power_w: number | null;
  tasks: TaskEnergy[];
  kendall_tau: RankCorrelation[];
  general_to_specific: GeneralToSpecific[];
  method: string;
  notes: string[];
}

/** Mean kWh per 1,000 of a task's models in a boundary; null if a cell has none. */
export interface TaskEnergy {
  task: string;
  boundary: "accelerator" | "compute" | "facility" | "node";
  kwh_per_1000: number | null;
  models: "all" | "task-specific";
}

/** Kendall's tau (b) of the tasks' ranking between two boundaries. */
export interface RankCorrelation {
  a: "accelerator" | "compute" | "facility" | "node";
  b: "accelerator" | "compute" | "facility" | "node";
  tau: number | null;
  tasks: number;
}

/** Energy of general-purpose models divided by that of task-specific ones. */
export interface GeneralToSpecific {
  task: string;
  boundary: "accelerator" | "compute" | "facility" | "node";
  ratio: number | null;
  at_equal_size: EqualSize;
}

/** The ratio at equal size. `value` is None if it is unknown; `reason` says why. Only `high` is None if the upper end exceeds the range of a float. `overlap_warning` says that the sizes hardly overlap, so that the line is extrapolated. */
export interface EqualSize {
  value: number | null;
  low: number | null;
  high: number | null;
  overlap_warning: string | null;
  slope: number | null;
  models: number;
  reason: string | null;
}

/** The number of `inferences` that use as much energy as training and fine-tuning; `days` until then, if the traffic is given. `finetuning_kwh`: null if not included. `published_inferences`: what the paper prints for this model (table 5, the whole node). */
export interface ParityRow {
  model: string | null;
  training_kwh: number;
  finetuning_kwh: number | null;
  kwh_per_inference: number;
  kwh_per_inference_low: number | null;
  kwh_per_inference_high: number | null;
  inferences: Interval;
  days: Interval | null;
  published_inferences: number | null;
}

/** A figure with its 95 % interval. All are null if there is no figure; `low` and `high` are null if the uncertainty is unknown (a single trial). */
export interface Interval {
  value: number | null;
  low: number | null;
  high: number | null;
}
