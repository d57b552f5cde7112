// The page from a server: the script of a view is loaded when the view is opened.

import { start } from "./main.js";

start(
  {
    overview: async () => (await import("./views/overview.js")).overview,
    size: async () => (await import("./views/size.js")).size,
    quality: async () => (await import("./views/quality.js")).quality,
    compare: async () => (await import("./views/compare.js")).compare,
    whatif: async () => (await import("./views/whatif.js")).whatIf,
    load: async () => (await import("./views/load.js")).load,
    breakeven: async () => (await import("./views/breakeven.js")).breakEven,
    breakdown: async () => (await import("./views/breakdown.js")).breakdown,
    table: async () => (await import("./views/table.js")).tableView,
    about: async () => (await import("./views/about.js")).about,
    model: async () => (await import("./views/model.js")).modelPage,
    run: async () => (await import("./views/run.js")).runPage,
  },
  { map: async () => (await import("./map.js")).worldMap },
);
