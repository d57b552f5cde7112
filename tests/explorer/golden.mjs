// Computes the page's figures for the cases that test_golden.py writes:
// node golden.mjs FIGURES FORMAT GENERAL CASES

import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const [figures, words, categories, path] = process.argv.slice(2);
const page = await import(pathToFileURL(figures));
const text = await import(pathToFileURL(words));
const general = await import(pathToFileURL(categories));
const { document, settings, pairs } = JSON.parse(readFileSync(path, "utf8"));
page.useIntervals(document);
const cells = page.cells(document.cells);
const byId = new Map(cells.map((c) => [c.id, c]));

const found = settings.map((setting) => {
  const ratios = pairs.map(([a, b]) => page.ratio(byId.get(a), byId.get(b), setting));
  const known = ratios.filter(Boolean);
  return {
    cells: Object.fromEntries(cells.map((c) => [c.id, {
      kwh: page.kwh(c, setting), grams: page.grams(c, setting), front: page.onFront(c, setting),
      budget: setting.net ? null : page.budget(c, setting.boundary), place: page.place(c),
      over: text.overSessions(document.evidence, page.kwh(c, setting), text.energy),
    }])),
    ratios,
    overall: known.length ? page.overall(known) : null,
    mean: page.meanOfCells(cells.flatMap((c) => page.joules(c, setting.boundary, false) ?? [])),
    general: general.generalRatios(cells, setting),
    answers: page.answers({ setting, data: document, byId }).map((p) => [p.general.id, p.specific.id]),
  };
});
process.stdout.write(JSON.stringify(found));
