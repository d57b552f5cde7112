// Where the figures are from: the file that the page is, or its server.

import { clean } from "./dom.js";

/** @import { Details, Document } from "./document" */

/**
 * `tag`: the server's name of the state of its figures; null in a file, which has all of them.
 * `details`: what not every view needs, where it was asked for.
 * @typedef {object} Found
 * @property {Document} data
 * @property {string | null} tag
 * @property {Details | null} details
 */

const TRIES = 5;

/** The server gave no answer. */
export class NoAnswer extends Error {}

/** @param {string} path */
export const answerTo = (path) =>
  fetch(path).catch((error) => {
    // What fetch rejects with is a TypeError, as is many a fault of the page itself.
    throw new NoAnswer(error.message);
  });

/**
 * What the server answers, and the state of the store that it is of.
 * @param {string} path
 */
export async function asked(path) {
  const answer = await answerTo(path);
  if (!answer.ok) throw new Error(await refusal(answer));
  return { data: await answer.json(), tag: answer.headers.get("etag") };
}

/**
 * Why the server gives no figures: the reason it sends as JSON, else its status and plain text.
 * @param {Response} answer
 * @returns {Promise<string>}
 */
export async function refusal(answer) {
  if (answer.headers.get("content-type")?.startsWith("application/json"))
    return (await answer.json()).error;
  // eslint-disable-next-line no-restricted-syntax -- errors are in English
  return `the server answered ${answer.status}: ${clean((await answer.text()).trim(), 200)}`;
}

/** @returns {Promise<Found>} */
export async function figuresOfPage() {
  const inside = document.getElementById("document");
  if (inside) return { data: JSON.parse(inside.textContent ?? ""), tag: null, details: null };
  return newest(false);
}

/**
 * The server's figures, with the details of the same state where they are asked for.
 * @param {boolean} detailed
 * @returns {Promise<Found>}
 */
export async function newest(detailed) {
  for (let i = 0; i < TRIES; i++) {
    const { data, tag } = await asked("/document.json");
    if (!detailed) return { data, tag, details: null };
    const more = await asked("/details.json");
    if (more.tag === tag) return { data, tag, details: more.data };
  }
  throw new Error("the store changes all the time; open the view again");
}
