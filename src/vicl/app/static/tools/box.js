// @ts-check
/** Box: dragged from corner to corner. */
import { outline } from './outline.js';

/** @typedef {import('../types').Point} Point */

/** @param {import('../types').Bench} bench @returns {import('../types').Tool} */
export function box(bench) {
  /** @type {Point | null} */
  let start = null;

  function stop() {
    start = null;
    bench.view.tool();
  }

  return {
    down(point) {
      start = point;
    },
    move(point) {
      if (!start) return;
      const [x0, y0] = start;
      const [x1, y1] = point;
      bench.view.tool(...outline(bench, [[x0, y0], [x1, y0], [x1, y1], [x0, y1]], true));
    },
    up(point) {
      const from = start;
      stop();
      if (!from || Math.abs(point[0] - from[0]) < 1 || Math.abs(point[1] - from[1]) < 1) return;
      bench.commit({ tool: 'box', points: [from, point], class: bench.klass() });
    },
    key: () => false,
    cancel: stop,
  };
}
