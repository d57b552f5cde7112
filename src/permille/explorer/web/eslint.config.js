import js from "@eslint/js";
import globals from "globals";

/** Two words of a sentence, and a word that begins like a title. */
const PHRASE = "/[A-Za-z]{2,}[,.:;]? [a-z]{2,}/";
const TITLE = "/^(?!Parquet$)[A-Z][a-z]{2,}$/";
/** Where words are not for readers: classes, selectors of elements, errors of the program. */
const ASIDE =
  ":not(Property[key.name='class'], NewExpression[callee.name=/Error$/], " +
  "CallExpression[callee.name='matchMedia'], " +
  "CallExpression[callee.property.name=/^(querySelector|querySelectorAll|closest)$/])";
const message = "What the page says goes through say, so that it has a translation.";

export default [
  js.configs.recommended,
  {
    languageOptions: { ecmaVersion: 2022, sourceType: "module", globals: globals.browser },
    linterOptions: { reportUnusedDisableDirectives: "error" },
    rules: {
      eqeqeq: ["error", "always", { null: "ignore" }],
      "max-len": ["error", { code: 100 }],
      "no-implicit-coercion": "error",
      "no-shadow": "error",
      "no-var": "error",
      "object-shorthand": "error",
      "prefer-const": "error",
    },
  },
  {
    ignores: ["build.js", "world.js", "eslint.config.js", "lean/*.js", "standalone.js"],
    rules: {
      "no-restricted-syntax": [
        "error",
        { selector: `${ASIDE} > Literal[value=${PHRASE}]`, message },
        {
          selector:
            ":matches(ArrayExpression, ConditionalExpression, LogicalExpression, Property, " +
            `CallExpression[callee.name='h']) > Literal[value=${TITLE}]`,
          message,
        },
        {
          selector:
            ":not(TaggedTemplateExpression) > TemplateLiteral > " +
            `TemplateElement[value.raw=${PHRASE}]`,
          message,
        },
      ],
    },
  },
];
