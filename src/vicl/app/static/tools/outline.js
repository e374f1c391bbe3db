// @ts-check
/** How an area that is being drawn looks: filled in the class's colour, with a line seen on any picture. */
import { css } from '../canvas.js';

/** @param {import('../types').Bench} bench @param {import('../types').Point[]} points @param {boolean} closed */
export function outline(bench, points, closed) {
  const flat = points.flat();
  const line = { points: flat, closed, strokeScaleEnabled: false, lineJoin: 'round' };
  const colour = bench.klass() ? bench.colour() : /** @type {import('../types').Colour} */ ([60, 70, 84]);
  return [
    new Konva.Line({ ...line, fill: closed ? css(colour, 0.4) : undefined, stroke: 'rgba(0,0,0,.75)', strokeWidth: 4 }),
    new Konva.Line({ ...line, stroke: css(colour), strokeWidth: 2 }),
  ];
}
