// The page's language: what the address says, else what was chosen before, else the browser's. It
// stays while the page does; another one loads the page again.

import { asked } from "./address.js";
import { h, own } from "./dom.js";
import { keep, kept } from "./kept.js";
import { say, speak, spoken } from "./say.js";

/** @import { Messages } from "./say.js" */

const KEPT = "permille-language";
/** @type {{ [language: string]: string }} each in its own words */
// eslint-disable-next-line no-restricted-syntax -- each language by its own name
const LANGUAGES = { en: "English", zh: "中文" };

export function chosen() {
  const wanted = [asked().get("lang"), kept(KEPT), ...navigator.languages];
  // zh-Hans-CN is Chinese, too.
  const known = wanted.map((each) => (each ?? "").toLowerCase().split("-")[0]);
  return known.find((each) => own(LANGUAGES, each)) ?? "en";
}

/**
 * Begins to speak it: to be called before the modules that say something are loaded.
 * @param {Messages} [messages]
 */
export function begin(messages) {
  const language = chosen();
  speak(language, messages);
  document.documentElement.lang = language;
  document.querySelector(".loading")?.replaceChildren(say`Loading the figures …`);
}

/**
 * A button that loads the page in the other language.
 * @param {(language: string) => void} load loads what is shown in that language
 */
export function languageSwitch(load) {
  const [other] = Object.keys(LANGUAGES).filter((each) => each !== spoken());
  return h(
    "button",
    {
      type: "button",
      id: "language",
      lang: other,
      onclick: () => {
        keep(KEPT, other);
        load(other);
      },
    },
    LANGUAGES[other],
  );
}
