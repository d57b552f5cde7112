// The page from a server: the words of its language, and then the script that says them.

import { begin, chosen } from "./language.js";

async function load() {
  begin(chosen() === "zh" ? (await import("./messages/zh.json")).default : undefined);
  await import("./served.js");
}

load().catch((error) => {
  const said = document.querySelector(".loading");
  // eslint-disable-next-line no-restricted-syntax -- there are no other words
  if (said) said.textContent = `The page cannot be loaded: ${error.message}`;
});
