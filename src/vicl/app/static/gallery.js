// @ts-check
/** The images at the left. Pictures of tiles load only when they come into sight. */
import * as api from './api.js';
import { at, make, percent } from './parts.js';
import { answerPicture, pen, values } from './pixels.js';
import { boxing, colourOf, painting, state, watch } from './state.js';

/** @typedef {import('./types').Item} Item */
/** @typedef {{item: Item, button: HTMLButtonElement, image: HTMLImageElement | null, overlay: HTMLCanvasElement, drawn: string | null, near: boolean, says: string}} Tile */

const STATUS = { accepted: 'accepted', skipped: 'skipped', rejected: 'rejected', nothing: 'nothing here', open: '' };

/** @type {Map<string, Tile>} */
const tiles = new Map();
/** Answers of tiles are fetched one at a time, so that the open image comes first. @type {Tile[]} */
const wanted = [];
let fetching = false;

/**
 * @param {(id: string) => void} open
 * @param {() => void} broke a picture did not come: ask what the server says of it
 */
export function gallery(open, broke) {
  const list = at('tiles');
  const sight = new IntersectionObserver((seen) => {
    for (const { target, isIntersecting } of seen) {
      const tile = tiles.get(/** @type {HTMLElement} */ (target).dataset.id ?? '');
      if (!tile) continue;
      tile.near = isIntersecting;
      if (isIntersecting) load(tile);
    }
  }, { root: list, rootMargin: '300px' });

  watch(['items', 'project'], () => {
    const ids = new Set(state.items.map((item) => item.id));
    for (const [id, tile] of tiles) {
      if (ids.has(id)) continue;
      sight.unobserve(tile.button);
      tile.button.parentElement?.remove();
      tiles.delete(id);
    }
    state.items.forEach((item, place) => {
      const tile = tiles.get(item.id) ?? add(item);
      if (tile.item !== item) dress(tile, item);
      const entry = /** @type {HTMLElement} */ (tile.button.parentElement);
      const there = list.children[place] ?? null;
      if (there === entry) return;
      // What goes down is moved itself, not all that it passes.
      if (there?.nextElementSibling === entry) list.append(there);
      else list.insertBefore(entry, there);
    });
    at('count').textContent = state.items.length ? String(state.items.length) : '';
  });

  watch(['open'], () => {
    for (const [id, { button }] of tiles) button.setAttribute('aria-current', String(id === state.open));
    if (state.open) tiles.get(state.open)?.button.scrollIntoView({ block: 'nearest' });
  });

  /** @param {Item} item @returns {Tile} */
  function add(item) {
    const button = make('button', { type: 'button', class: 'tile', 'data-id': item.id, onclick: () => open(item.id), 'aria-current': item.id === state.open });
    const tile = { item: /** @type {any} */ (null), button, image: /** @type {HTMLImageElement | null} */ (null), overlay: make('canvas', { 'aria-hidden': 'true' }), drawn: null, near: false, says: '' };
    tiles.set(item.id, tile);
    list.append(make('li', {}, button));
    dress(tile, item);
    tile.image?.addEventListener('error', broke);
    sight.observe(button);
    return tile;
  }
}

/** @param {Tile} tile @param {Item} item */
function dress(tile, item) {
  tile.item = item;
  clothe(tile, item);
  if (item.answer_revision === null && tile.drawn) {
    tile.drawn = null;
    tile.overlay.width = 0;
  }
  if (tile.near) load(tile);
}

/** What a tile says, written anew only where it says something else. @param {Tile} tile @param {Item} item */
function clothe(tile, item) {
  const badge = item.example ? ['example', 'example'] : STATUS[item.status] ? [item.status, STATUS[item.status]] : null;
  const sure = item.confidence !== null && !item.example ? percent(item.confidence) : '';
  const title = item.broken ? item.broken : `${item.name}, ${item.width} × ${item.height}, ${megabytes(item.bytes)}`;
  const says = JSON.stringify([title, item.name, badge, sure]);
  if (tile.says === says) return;
  tile.says = says;
  tile.image = item.broken ? null : tile.image ?? make('img', { alt: '', decoding: 'async' });
  tile.button.replaceChildren(
    make('span', { class: 'view' }, tile.image, tile.overlay, item.broken ? make('span', { class: 'why' }, item.broken) : null),
    make('span', { class: 'under' }, make('span', { class: 'clip' }, item.name), make('span', { class: 'gap' }),
      badge ? make('span', { class: `badge ${badge[0]}` }, badge[1]) : make('span', { class: 'quiet' }, sure)),
  );
  tile.button.title = title;
}

/** @param {number} bytes */
const megabytes = (bytes) => (bytes < 1e6 ? `${Math.ceil(bytes / 1e3)} kB` : `${(bytes / 1e6).toFixed(1)} MB`);

/** @param {Tile} tile */
function load(tile) {
  const { item, image } = tile;
  if (image && !image.src) image.src = api.thumbnailAddress(item.id);
  if (!item.broken && item.answer_revision !== null && tile.drawn !== item.answer_revision && !wanted.includes(tile)) {
    wanted.push(tile);
    void fetchNext();
  }
}

async function fetchNext() {
  if (fetching) return;
  fetching = true;
  for (let tile = wanted.shift(); tile; tile = wanted.shift()) {
    if (!tile.near) continue;
    const revision = tile.item.answer_revision;
    tile.drawn = revision;
    await api.answer(tile.item.id, 256).then((bitmap) => draw(/** @type {Tile} */ (tile), bitmap)).catch(() => {
      // The next answer or the next look at the tile asks again.
      /** @type {Tile} */ (tile).drawn = null;
    });
  }
  fetching = false;
}

/** @param {Tile} tile @param {ImageBitmap | null} bitmap */
function draw(tile, bitmap) {
  if (!bitmap) return;
  tile.overlay.width = bitmap.width;
  tile.overlay.height = bitmap.height;
  tile.overlay.style.opacity = painting() ? '0.6' : '1';
  pen(tile.overlay).drawImage(painting() ? answerPicture(values(bitmap), bitmap.width, colourOf, boxing() ? 'outline' : 'plain') : bitmap, 0, 0);
}
