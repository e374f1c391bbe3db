// @ts-check
/** Small helpers for the page's elements, notes to the person and dialogs. */

/** @param {string} id @returns {any} */
export const at = (id) => document.getElementById(id);

/**
 * An element with attributes, listeners (on…) and children; text is only ever text.
 * @param {string} tag @param {Record<string, any>} [attributes] @param {...(Node | string | null | false)} children
 * @returns {any}
 */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else if (name === 'background') element.style.background = value;
    else if (typeof value === 'boolean' && name.startsWith('aria-')) element.setAttribute(name, String(value));
    else if (value === true) element.setAttribute(name, '');
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, String(value));
  }
  element.append(...children.filter((child) => child !== null && child !== false));
  return element;
}

const SVG = 'http://www.w3.org/2000/svg';

/** @param {string} tag @param {Record<string, any>} attributes @param {...Node} children */
export function drawn(tag, attributes, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
  element.append(...children);
  return element;
}

/** A sentence over the page; it goes by itself, or by its button. @param {string} sentence @param {number} [seconds] */
export function note(sentence, seconds = 8) {
  const notes = at('notes');
  if ([...notes.children].some((one) => one.firstChild?.textContent === sentence)) return;
  const line = make('div', {}, make('span', {}, sentence), make('button', { type: 'button', 'aria-label': 'Close this note', onclick: () => line.remove() }, '✕'));
  notes.append(line);
  while (notes.children.length > 3) notes.firstChild.remove();
  setTimeout(() => line.remove(), seconds * 1000);
}

/** Say what went wrong. @param {unknown} problem */
export const complain = (problem) => note(problem instanceof Error ? problem.message : String(problem), 12);

/** Do it, and say what goes wrong (null then). @template T @param {() => Promise<T>} work @returns {Promise<T | null>} */
export async function attempt(work) {
  try {
    return await work();
  } catch (problem) {
    complain(problem);
    return null;
  }
}

/** @param {string} title @param {...(Node | string)} content */
export function showDialog(title, ...content) {
  const dialog = at('dialog');
  dialog.replaceChildren(make('h2', { id: 'dialog-title' }, title), ...content);
  if (!dialog.open) dialog.showModal();
  return dialog;
}

export const closeDialog = () => at('dialog').close();

/** @param {...Node} buttons */
export const ends = (...buttons) => make('div', { class: 'ends' }, ...buttons);

/** Hand a file to the person. @param {Blob} blob @param {string} name */
export function hand(blob, name) {
  const address = URL.createObjectURL(blob);
  make('a', { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
}

/** @param {number} seconds */
export const span = (seconds) => (seconds < 90 ? `${Math.max(1, Math.round(seconds))} s` : `${Math.round(seconds / 60)} min`);

/** @param {number} part of one */
export const percent = (part) => `${Math.round(100 * part)} %`;
