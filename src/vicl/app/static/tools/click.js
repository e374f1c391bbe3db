// @ts-check
/**
 * Click: points in (and out, with Shift or the right button) or a dragged box; the segmenter proposes three masks,
 * Tab shows the next one, Enter takes it.
 */
import * as api from '../api.js';
import { css } from '../canvas.js';
import { bitmapOf, maskPicture } from '../pixels.js';

/** @typedef {import('../types').Point} Point */
/** @typedef {import('../types').Candidate} Candidate */

/** A drag shorter than this is a click, in pixels of the screen. */
const DRAG = 6;

/** @param {import('../types').Bench} bench @param {() => boolean} outside is the next point outside the thing? @returns {import('../types').Tool} */
export function click(bench, outside) {
  /** @type {Point[]} */ let points = [];
  /** @type {number[]} */ let labels = [];
  /** @type {[number, number, number, number] | null} */ let box = null;
  /** @type {Point | null} */ let start = null;
  /** @type {{candidate: Candidate, canvas: HTMLCanvasElement}[]} */ let found = [];
  let shown = 0;
  let asked = 0;

  function show() {
    const radius = 6 / bench.view.scale;
    const mask = found[shown]?.canvas;
    const { width, height } = bench.view;
    bench.view.tool(
      ...(mask ? [new Konva.Image({ image: mask, width, height })] : []),
      ...(box ? [rectangle(box)] : []),
      ...points.map(([x, y], at) => new Konva.Circle({
        x, y, radius, fill: labels[at] ? '#16a34a' : '#dc2626', stroke: '#fff', strokeWidth: 2, strokeScaleEnabled: false,
      })),
    );
  }

  function rectangle(/** @type {[number, number, number, number]} */ [x0, y0, x1, y1]) {
    return new Konva.Rect({
      x: x0, y: y0, width: x1 - x0, height: y1 - y0, stroke: css(bench.colour()), strokeWidth: 2, strokeScaleEnabled: false,
    });
  }

  async function ask() {
    const image = bench.image();
    const turn = ++asked;
    found = [];
    show();
    if (!image) return;
    bench.say('Looking for the thing at the click …');
    try {
      const { candidates } = await api.candidates(image, { points, labels, box });
      const masks = await Promise.all(candidates.map(async (candidate) => ({
        candidate,
        canvas: maskPicture(await bitmapOf(candidate.png), bench.klass() ? bench.colour() : [60, 70, 84], 170),
      })));
      if (turn !== asked) return;
      found = masks;
      shown = 0;
      tell();
    } catch (problem) {
      if (turn === asked) bench.say(/** @type {Error} */ (problem).message);
    }
  }

  function tell() {
    show();
    if (!found.length) return bench.say('Nothing found there. Click again, or paint it.');
    const score = Math.round(100 * found[shown].candidate.score);
    bench.say(`Mask ${shown + 1} of ${found.length}, ${score} % sure. Tab: the next one. Enter: take it.`);
  }

  function cancel() {
    asked++;
    points = [];
    labels = [];
    box = start = null;
    found = [];
    bench.view.tool();
    bench.say('');
  }

  return {
    down(point, inside) {
      if (inside) start = point;
    },
    move(point) {
      if (!start || Math.hypot(point[0] - start[0], point[1] - start[1]) * bench.view.scale < DRAG) return;
      box = ordered(start, point);
      show();
    },
    up(point) {
      if (!start) return;
      if (Math.hypot(point[0] - start[0], point[1] - start[1]) * bench.view.scale < DRAG) {
        points.push(start);
        labels.push(outside() ? 0 : 1);
      }
      start = null;
      void ask();
    },
    key(name) {
      if (!found.length) return false;
      if (name === 'Tab') {
        shown = (shown + 1) % found.length;
        tell();
      } else if (name === 'Enter') {
        const { png } = found[shown].candidate;
        cancel();
        bench.commit({ tool: 'mask', points: [], class: bench.klass(), png });
      } else return false;
      return true;
    },
    cancel,
  };
}

/** @param {Point} one @param {Point} other @returns {[number, number, number, number]} */
const ordered = ([x0, y0], [x1, y1]) => [Math.min(x0, x1), Math.min(y0, y1), Math.max(x0, x1), Math.max(y0, y1)];
