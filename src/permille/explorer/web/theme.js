// Light, dark, or as the system has it: the choice is kept in the browser.

import { h } from "./dom.js";
import { keep, kept } from "./kept.js";
import { say, word } from "./say.js";

const THEMES = /** @type {const} */ (["system", "light", "dark"]);
const KEPT = "permille-theme";

/** @param {typeof THEMES[number]} theme */
function use(theme) {
  const { dataset } = document.documentElement;
  // Without the attribute, the style sheet's own media query decides, also when the system changes.
  if (theme === "system") delete dataset.theme;
  else dataset.theme = theme;
  keep(KEPT, theme);
}

/**
 * A button that goes from one theme to the next.
 * @param {() => void} changed
 */
export function themeSwitch(changed) {
  /** @type {typeof THEMES[number]} the system's, where the browser keeps nothing */
  let theme = THEMES.find((known) => known === kept(KEPT)) ?? "system";
  use(theme);
  const button = h(
    "button",
    {
      type: "button",
      id: "theme",
      onclick: () => {
        theme = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length];
        use(theme);
        button.textContent = say`Theme: ${word("theme", theme)}`;
        changed();
      },
    },
    say`Theme: ${word("theme", theme)}`,
  );
  return button;
}
