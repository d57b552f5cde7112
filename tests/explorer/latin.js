// The page's texts that are English and are neither names nor marked: an expression for the page.

() => {
  const { data, cells } = window.permille;
  const plain = text => String(text).replace(/[\p{C}\p{Zl}\p{Zp}]/gu, " ");
  const columns = ["model", "dataset", "study", "source", "task", "device", "fingerprint",
    "backend", "architecture", "metric", "uid"];
  const names = new Set(cells.flatMap(cell => columns.map(name => cell[name] ?? "")));
  for (const cell of cells) {
    names.add(JSON.stringify(cell.settings));
    if (cell.serving?.load) names.add(cell.serving.load.name);
    for (const part of cell.parts ?? []) names.add(part[0]);
  }
  for (const source of data.grid.sources) for (const key of ["name", "licence"])
    names.add(source[key]);
  for (const place of data.grid.places) if (["zone", "cloud"].includes(place.kind))
    names.add(place.name);
  for (const of of Object.values(data.published)) if (typeof of === "string") names.add(of);
  names.add(data.published.citation.replace("doi 10.", "https://doi.org/10."));
  names.add(data.store ?? "").add(location.href).add(decodeURI(location.href));
  names.add(location.pathname.split("/").at(-1) + location.hash).add(`permille ${data.permille}`);
  for (const value of Object.values(permille.state).flat()) names.add(value);
  for (const run of Object.values(data.runs ?? {})) for (const phase of Object.values(run.phases))
    for (const domain of Object.values(phase.domains)) names.add(domain.meter);
  const sorted = [...names].map(plain).filter(name => /[A-Za-z]{2}/.test(name))
    .sort((a, b) => b.length - a.length);
  const alone = name => new RegExp(`(?<![A-Za-z])${escape(name)}(?![A-Za-z])`, "g");
  const escape = text => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
  function without(text) {
    let left = plain(text);
    for (const name of sorted)
      left = name.length > 12 ? left.replaceAll(name, " ") : left.replace(alone(name), " ");
    // A long name may be cut.
    for (const name of sorted.filter(each => each.length > 12)) {
      for (let at; (at = left.indexOf(name.slice(0, 12))) >= 0;) {
        let end = 12;
        while (end < name.length && left[at + end] === name[end]) end++;
        left = left.slice(0, at) + " " + left.slice(at + end);
      }
    }
    return left;
  }
  const ALLOWED = new RegExp("(?<![A-Za-z])(?:" + [
    "[GMkmµ]?Wh", "[Mkmµ]?J", "[kmµ]?g", "[mµn]s", "km", "W", "g?CO[₂2]e?", "PUE", "CPU", "GPU",
    "DRAM", "LED", "(?:cpu|dram|gpu):0", "BibTeX", "APA", "PNG", "SVG", "CSV", "JSON", "Parquet", "iframe",
    "tau", "sha256", "HC3", "p50", "p95", "p99", "lm", "Uptime Institute", "Apache License",
    "package\\.json", "concurrency", "permille", "PATH",
    "--fresh", "rate_per_s", "meter",
    "https?://\\S+", "doi\\.org/\\S+", "[a-z]+\\.(?:html|csv|json|parquet)",
    "power-hungry-2023", "Natural Earth",
  ].join("|") + ")(?![A-Za-z])", "g");
  const COMMAND = /permille (?:audit|run|explore|reproduce|import)/g;
  const english = text =>
    /[A-Za-z]{2}/.test(without(text.replace(COMMAND, " ")).replace(ALLOWED, " "));
  const found = new Set();
  const apart = "bdi, code, pre, script, style, noscript, body [lang=en]";
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node; (node = walker.nextNode());)
    if (!node.parentElement.closest(apart) && english(node.data)) found.add(node.data.trim());
  for (const element of document.body.querySelectorAll("*"))
    for (const name of ["aria-label", "title", "placeholder", "aria-valuetext", "alt"]) {
      const value = element.getAttribute(name);
      if (value && !element.closest("body [lang=en], [aria-hidden=true]") && english(value))
        found.add(`${name}: ${value}`);
    }
  if (english(document.title)) found.add(`title: ${document.title}`);
  return [...found].map(text => text.slice(0, 300));
}
