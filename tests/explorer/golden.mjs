// Computes the page's figures for the cases that test_golden.py writes:
// node golden.mjs FOLDER CASES, with the page's modules in FOLDER

import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const [folder, path] = process.argv.slice(2);
const module = (name) => import(pathToFileURL(`${folder}/${name}.js`));
const [page, columns, text, general, operating, sessions, goodput] = await Promise.all(
  ["figures", "columns", "format", "general", "operating", "bysession", "goodput"].map(module),
);
const { document, settings, pairs, means, groups, load, overloads, answers, limits } = JSON.parse(readFileSync(path, "utf8"));
page.useIntervals(document);
const cells = columns.cells(document.cells);
const byId = new Map(cells.map((c) => [c.id, c]));

const found = settings.map((setting, number) => {
  const ratios = pairs.map(([a, b]) => page.ratio(byId.get(a), byId.get(b), setting));
  const known = ratios.filter(Boolean);
  return {
    cells: Object.fromEntries(cells.map((c) => [c.id, {
      kwh: page.kwh(c, setting), grams: page.grams(c, setting), front: page.onFront(c, setting),
      budget: setting.net ? null : page.budget(c, setting.boundary), place: page.place(c),
      sessions: sessions.bySession(c, setting),
      over: text.overSessions(document.evidence, page.kwh(c, setting), text.energy),
    }])),
    ratios,
    alone: pairs.map(([a, b], i) => ratios[i]
      && page.ofOneSession(byId.get(a), byId.get(b), ratios[i], setting).map((c) => c.model)),
    overall: known.length ? page.overall(known) : null,
    means: means[number].map((of) => page.overall(of.map((i) => ratios[i]))),
    mean: page.meanOfCells(cells.flatMap((c) => page.joules(c, setting.boundary, false) ?? [])),
    groups: groups[number].map((ids) =>
      page.meanOfCells(ids.map((id) => page.joules(byId.get(id), setting.boundary, false)))),
    general: general.generalRatios(cells, setting),
    answers: page.answers({ setting, data: document, byId }).map((p) => [p.general.id, p.specific.id]),
  };
});
const loads = columns.cells(load.document.cells);
const names = (points) => points.map((p) => p.cell.model);
const choiceOf = (of, promise, setting) => {
  const picked = operating.choose(of, promise, setting);
  return picked && {
    points: picked.points.map(({ cell, meets, checks }) => ({
      model: cell.model, meets, keeps: checks.map((c) => c.keeps),
      figures: checks.map((c) => c.figure), energy: page.kwh(cell, setting),
      token: page.perToken(cell, setting, "output"), all: page.perToken(cell, setting, "all"),
    })),
    cheapest: picked.cheapest?.cell.model ?? null, best: picked.best?.cell.model ?? null, cost: picked.cost,
    asCheap: names(picked.asCheap), undecided: names(picked.undecided),
    nearest: picked.nearest?.cell.model ?? null,
  };
};
const choices = settings.flatMap((setting) =>
  load.promises.map((promise) => choiceOf(loads, promise, setting)));
const hopeless = choiceOf(columns.cells(overloads.document.cells), overloads.promise, settings[0]);
const good = answers.flatMap((timed) => ["ttft", "tpot", "latency"].flatMap((time) =>
  limits.map((within) => goodput.goodput(timed, time, within))));
process.stdout.write(JSON.stringify({ figures: found, choices, hopeless, goodput: good }));
