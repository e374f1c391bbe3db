// @ts-check
/** The classes: names, colours, keys, locks. Class 0, the ground, is always there. */
import * as api from './api.js';
import { at, attempt, closeDialog, drawn, ends, make, showDialog } from './parts.js';
import { css } from './canvas.js';
import { boxing, state, update, watch } from './state.js';

/** @typedef {import('./types').Class} Class */

/** Colours that are told apart with any colour vision (Okabe and Ito), then more. @type {import('./types').Colour[]} */
const COLOURS = [[230, 110, 20], [86, 180, 233], [0, 158, 115], [240, 228, 66], [204, 90, 167], [0, 100, 190], [213, 60, 50], [140, 110, 220], [120, 180, 60]];
const MOST = 200;

const LOCKED = 'M6 11h12v9H6zM8 11V8a4 4 0 0 1 8 0v3';
const UNLOCKED = 'M6 11h12v9H6zM8 11V7a4 4 0 0 1 7-2';
const PENCIL = 'M4 20l1-5L16 4l4 4L9 19zM13 7l4 4';
/** @param {string} path */
const icon = (path) => drawn('svg', { viewBox: '0 0 24 24', 'aria-hidden': 'true' }, drawn('path', { d: path }));

export function classPanel() {
  at('add-class').addEventListener('click', () => edit(null));
  watch(['project', 'klass'], () => {
    const classes = state.project?.classes ?? [];
    at('class-list').replaceChildren(...(boxing() ? [] : [row(null)]), ...classes.map(row));
  });
}

/** @param {Class | null} one null: the ground */
function row(one) {
  const id = one?.id ?? 0;
  const key = one ? one.key : '0';
  return make('li', {},
    make('button', { type: 'button', class: 'pick', 'aria-pressed': state.klass === id, 'data-class': id, onclick: () => update({ klass: id }) },
      make('span', { class: one ? 'swatch' : 'swatch ground', background: one ? css(one.colour) : null }),
      make('span', { class: 'clip' }, one ? one.name : 'Ground (none of them)'), make('span', { class: 'gap' }), key ? make('kbd', {}, key) : null),
    one && make('button', { type: 'button', class: 'icon', 'aria-pressed': one.locked, 'aria-label': `Lock ${one.name}`, title: 'Locked: other strokes do not paint over it', onclick: () => change(one.id, { locked: !one.locked }) }, icon(one.locked ? LOCKED : UNLOCKED)),
    one && make('button', { type: 'button', class: 'icon', 'aria-label': `Change ${one.name}`, title: 'Name, colour, key', onclick: () => edit(one) }, icon(PENCIL)));
}

/** @param {Class[]} classes */
export async function saveClasses(classes) {
  if (!state.project) return;
  const { revision } = state.project;
  try {
    update({ project: await api.patchProject({ classes }, revision) });
  } catch (problem) {
    if (problem instanceof api.ApiError && problem.status === 409) update({ project: await api.project() });
    throw problem;
  }
}

/** @param {number} id @param {Partial<Class>} part */
const change = (id, part) => attempt(() => saveClasses((state.project?.classes ?? []).map((one) => (one.id === id ? { ...one, ...part } : one))));

/** @param {Class | null} one null: a new class */
function edit(one) {
  const classes = state.project?.classes ?? [];
  const id = one?.id ?? Math.max(0, ...classes.map((other) => other.id)) + 1;
  if (id > MOST) return;
  const free = '123456789'.split('').find((digit) => !classes.some((other) => other.key === digit)) ?? '';
  const [red, green, blue] = one?.colour ?? COLOURS[(id - 1) % COLOURS.length];
  const hex = `#${[red, green, blue].map((part) => part.toString(16).padStart(2, '0')).join('')}`;
  const name = make('input', { type: 'text', id: 'class-name', value: one?.name ?? '', required: true, maxlength: 60 });
  const colour = make('input', { type: 'color', id: 'class-colour', value: hex });
  const key = make('input', { type: 'text', id: 'class-key', value: one?.key ?? free, maxlength: 1, size: 2, pattern: '[1-9]' });

  async function save(/** @type {Event} */ event) {
    event.preventDefault();
    /** @type {Class} */
    const made = {
      id, name: name.value.trim(), key: key.value, locked: one?.locked ?? false,
      colour: /** @type {import('./types').Colour} */ ([1, 3, 5].map((from) => parseInt(colour.value.slice(from, from + 2), 16))),
    };
    const others = classes.filter((other) => other.id !== id).map((other) => (other.key === made.key ? { ...other, key: '' } : other));
    await attempt(async () => {
      await saveClasses([...others, made].sort((a, b) => a.id - b.id));
      update({ klass: id });
      closeDialog();
    });
  }

  showDialog(one ? 'Change the class' : 'A new class', make('form', { onsubmit: save },
    make('label', {}, 'Name ', name), make('label', {}, 'Colour ', colour), make('label', {}, 'Key (1 to 9) ', key),
    ends(make('button', { type: 'button', onclick: closeDialog }, 'Cancel'), make('button', { type: 'submit', class: 'main' }, 'Save'))));
  name.focus();
}
