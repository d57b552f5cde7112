// The page in a file: all in one script.

import "./inside.js";
import { start } from "./main.js";
import { worldMap } from "./map.js";
import { overview } from "./views/overview.js";
import { size } from "./views/size.js";
import { quality } from "./views/quality.js";
import { compare } from "./views/compare.js";
import { whatIf } from "./views/whatif.js";
import { load } from "./views/load.js";
import { breakEven } from "./views/breakeven.js";
import { breakdown } from "./views/breakdown.js";
import { tableView } from "./views/table.js";
import { about } from "./views/about.js";
import { modelPage } from "./views/model.js";
import { runPage } from "./views/run.js";

start(
  {
    overview: async () => overview,
    size: async () => size,
    quality: async () => quality,
    compare: async () => compare,
    whatif: async () => whatIf,
    load: async () => load,
    breakeven: async () => breakEven,
    breakdown: async () => breakdown,
    table: async () => tableView,
    about: async () => about,
    model: async () => modelPage,
    run: async () => runPage,
  },
  { map: async () => worldMap },
);
