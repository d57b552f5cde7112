// The words of the page in a file: imported before everything that says something.

import { begin, chosen } from "./language.js";
import zh from "./messages/zh.json";

begin(chosen() === "zh" ? zh : undefined);
