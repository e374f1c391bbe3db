// @ts-check
/** What the page knows, in one object; who shows a part of it listens to that part. */

/** @typedef {import('./types').Item} Item */

export const state = {
  /** @type {import('./types').Project | null} */ project: null,
  /** @type {Item[]} */ items: [],
  /** @type {'name' | 'unsure'} */ sort: 'name',
  /** @type {string | null} The open image. */ open: null,
  /** @type {import('./types').Edits | null} Of the open image. */ edits: null,
  /** @type {import('./types').AnswerFacts | null} Of the open image. */ facts: null,
  /** @type {import('./types').ToolName} */ tool: 'brush',
  /** Class that is painted; 0 is the ground. */ klass: 1,
  /** The colour of hints. @type {import('./types').Colour} */ hue: [200, 70, 50],
  /** Colours of the last hints, the newest first. @type {import('./types').Colour[]} */ hues: [],
  /** Brush diameter, in pixels of the image. */ size: 40,
  live: true,
  /** @type {'overlay' | 'contours' | 'confidence' | 'side' | 'none'} */
  look: /** @type {any} */ ('overlay'),
  /** Opacity of the answer, 0 to 1. */ opacity: 0.55,
  /** @type {{done: number, total: number, seconds: number | null} | null} */ progress: null,
  /** @type {import('./types').Score | null} */ score: null,
  /** Edits that the server has not yet acknowledged. */ unsent: 0,
  connected: true,
};

/** @typedef {keyof typeof state} Part */

/** @type {Map<Part, Set<() => void>>} */
const listeners = new Map();

/** Call `react` whenever one of the parts changes, and once now. @param {Part[]} parts @param {() => void} react */
export function watch(parts, react) {
  for (const part of parts) {
    if (!listeners.has(part)) listeners.set(part, new Set());
    listeners.get(part)?.add(react);
  }
  react();
}

/** Change parts and tell who listens, each listener once. @param {Partial<typeof state>} change */
export function update(change) {
  Object.assign(state, change);
  /** @type {Set<() => void>} */
  const told = new Set();
  for (const part of Object.keys(change)) {
    for (const react of listeners.get(/** @type {Part} */ (part)) ?? []) told.add(react);
  }
  for (const react of told) react();
}

/** The open image's item. @returns {Item | null} */
export const openItem = () => state.items.find((item) => item.id === state.open) ?? null;

/** Take the server's items over; one that says the same stays the same object, so nothing is drawn anew. @param {Item[]} items */
export function takeItems(items) {
  const known = new Map(state.items.map((item) => [item.id, item]));
  update({ items: items.map((item) => {
    const old = known.get(item.id);
    return old && JSON.stringify(old) === JSON.stringify(item) ? old : item;
  }) });
}

/** Put a changed item in its place. @param {Partial<Item> & {id: string}} change */
export function updateItem(change) {
  update({ items: state.items.map((item) => (item.id === change.id ? { ...item, ...change } : item)) });
}

/** Is the task about areas (painted), not about output pictures (uploaded)? */
export const painting = () => state.project?.task === 'segmentation' || boxing();

/** Is it about boxes? */
export const boxing = () => state.project?.task === 'detection';

/** Does the task take dabs of colour? */
export const hinting = () => state.project?.task === 'colorization';

/** @returns {import('./types').Colour} */
export function colourOf(/** @type {number} */ id) {
  return state.project?.classes.find((one) => one.id === id)?.colour ?? [128, 128, 128];
}
