// The sentences that the page's modules say, as their catalogue names them: node said.mjs FOLDER

import { readdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

const [folder] = process.argv.slice(2);
const { parse } = createRequire(join(folder, "package.json"))("acorn");

/** As keyOf in say.js. */
const keyOf = (texts) =>
  texts
    .map((text, i) => (i ? `{${i - 1}}${text}` : text))
    .join("")
    .replace(/\s*\n\s*/g, " ");

const found = new Set();
function walk(node) {
  if (Array.isArray(node)) node.forEach(walk);
  else if (node && typeof node === "object") {
    if (node.type === "TaggedTemplateExpression" && node.tag.name === "say")
      found.add(keyOf(node.quasi.quasis.map((quasi) => quasi.value.cooked)));
    Object.values(node).forEach(walk);
  }
}
for (const at of ["", "views"])
  for (const name of readdirSync(join(folder, at)).filter((each) => each.endsWith(".js")))
    walk(parse(readFileSync(join(folder, at, name), "utf8"), {
      ecmaVersion: 2022, sourceType: "module",
    }));
process.stdout.write(JSON.stringify([...found]));
