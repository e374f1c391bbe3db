// @ts-check
/** The colour of hints: chosen anew, or one of the last; a gray keeps a place gray. */
import { css } from './canvas.js';
import { at, make } from './parts.js';
import { state, update, watch } from './state.js';

/** @typedef {import('./types').Colour} Colour */

const STORE = 'vicl.hues';
const MOST = 9;
/** @type {Colour} */
const GRAY = [128, 128, 128];
/** What there is to begin with: skin, sky, leaf, brick, wood. @type {Colour[]} */
const FIRST = [[214, 160, 130], [110, 160, 215], [90, 130, 60], [176, 70, 50], [135, 95, 60]];

const hex = (/** @type {Colour} */ colour) => `#${colour.map((part) => part.toString(16).padStart(2, '0')).join('')}`;

export function huePanel() {
  const kept = JSON.parse(localStorage.getItem(STORE) ?? 'null') ?? FIRST;
  update({ hues: kept, hue: kept[0] });
  at('hue').addEventListener('change', () => {
    const chosen = /** @type {Colour} */ ([1, 3, 5].map((from) => parseInt(at('hue').value.slice(from, from + 2), 16)));
    const hues = [chosen, ...state.hues.filter((one) => hex(one) !== hex(chosen))].slice(0, MOST);
    localStorage.setItem(STORE, JSON.stringify(hues));
    update({ hue: chosen, hues });
  });
  watch(['hue', 'hues'], () => {
    at('hue').value = hex(state.hue);
    at('hues').replaceChildren(...state.hues.map((one, place) => swatch(one, String(place + 1), hex(one))), swatch(GRAY, '0', 'Gray: stays without colour'));
  });
}

/** @param {Colour} colour @param {string} key @param {string} title */
const swatch = (colour, key, title) => make('li', {}, make('button', {
  type: 'button', title, 'aria-label': title, 'aria-pressed': hex(colour) === hex(state.hue), onclick: () => update({ hue: colour }),
}, make('span', { class: 'swatch', background: css(colour) }), make('kbd', {}, key)));

/** Take the colour of a key, if it is one. @param {string} key */
export function pickHue(key) {
  const hue = key === '0' ? GRAY : state.hues[Number(key) - 1];
  if (!hue) return false;
  update({ hue });
  return true;
}
