// @ts-check
/** Boxes of detection: which of the edits count, and how they look. */
import { css } from './canvas.js';
import { blank, pen } from './pixels.js';
import { colourOf } from './state.js';

/** @typedef {import('./types').MarkedBox} MarkedBox */

/**
 * The boxes that strokes leave, as the server counts them.
 * @param {import('./types').Stroke[]} strokes @param {number} width of the image @param {number} height
 */
export function boxesOf(strokes, width, height) {
  /** @type {MarkedBox[]} */
  let found = [];
  for (const stroke of strokes) {
    if (stroke.tool === 'answer') found = [...found, ...(stroke.boxes ?? [])];
    if (stroke.tool !== 'box') continue;
    const [x0, x1] = ordered(stroke.points.map(([x]) => clamp(x, width)));
    const [y0, y1] = ordered(stroke.points.map(([, y]) => clamp(y, height)));
    if (stroke.class === null) {
      found = found.filter(({ box }) => {
        const [x, y] = [(box[0] + box[2]) / 2, (box[1] + box[3]) / 2];
        return x < x0 || x > x1 || y < y0 || y > y1;
      });
    } else if (stroke.class && x1 - x0 >= 1 && y1 - y0 >= 1) found.push({ class: stroke.class, box: [x0, y0, x1, y1], score: 1 });
  }
  return found;
}

/** @param {MarkedBox[]} boxes @param {number} width of the image @param {number} height */
export function boxesPicture(boxes, width, height) {
  const scale = Math.min(1, 2048 / Math.max(width, height));
  const canvas = blank(Math.round(width * scale), Math.round(height * scale));
  const context = pen(canvas);
  const thick = Math.max(1.5, canvas.width / 260);
  for (const { class: id, box } of boxes) {
    const [x0, y0, x1, y1] = box.map((at) => at * scale);
    for (const [paint, line] of /** @type {[string, number][]} */ ([['rgba(0,0,0,.75)', 2 * thick], [css(colourOf(id)), thick]])) {
      context.strokeStyle = paint;
      context.lineWidth = line;
      context.strokeRect(x0, y0, x1 - x0, y1 - y0);
    }
  }
  return canvas;
}

/** @param {number[]} values */
const ordered = (values) => values.sort((one, other) => one - other);
/** @param {number} value @param {number} most */
const clamp = (value, most) => Math.min(Math.max(value, 0), most);
