// @ts-check
/** Polygon: corner by corner, closed at the first corner or with Enter. Lasso: one free line, closed by itself. */
import { outline } from './outline.js';

/** @typedef {import('../types').Point} Point */

/** How near the first corner closes the polygon, in pixels of the screen. */
const NEAR = 10;

/** @param {import('../types').Bench} bench @returns {import('../types').Tool} */
export function polygon(bench) {
  /** @type {Point[]} */
  let corners = [];

  function show(/** @type {Point | null} */ next) {
    const points = next ? [...corners, next] : corners;
    const radius = 5 / bench.view.scale;
    bench.view.tool(
      ...(points.length > 1 ? outline(bench, points, points.length > 2) : []),
      ...corners.map(([x, y], at) => new Konva.Circle({
        x, y, radius, fill: at ? '#fff' : '#ffd54a', stroke: '#000', strokeWidth: 1.5, strokeScaleEnabled: false,
      })),
    );
  }

  function cancel() {
    corners = [];
    bench.view.tool();
  }

  function close() {
    const points = corners;
    cancel();
    if (points.length > 2) bench.commit({ tool: 'polygon', points, class: bench.klass() });
  }

  return {
    down(point) {
      const first = corners[0];
      const near = first && Math.hypot(point[0] - first[0], point[1] - first[1]) * bench.view.scale < NEAR;
      if (near && corners.length > 2) return close();
      corners.push(point);
      show(null);
    },
    move(point) {
      if (corners.length) show(point);
    },
    up() {},
    key(name) {
      if (!corners.length) return false;
      if (name === 'Enter') close();
      else if (name === 'Backspace') {
        corners.pop();
        show(null);
      } else return false;
      return true;
    },
    cancel,
  };
}

/** @param {import('../types').Bench} bench @returns {import('../types').Tool} */
export function lasso(bench) {
  /** @type {Point[]} */
  let points = [];

  function cancel() {
    points = [];
    bench.view.tool();
  }

  return {
    down(point) {
      points = [point];
    },
    move(point) {
      if (!points.length) return;
      points.push(point);
      bench.view.tool(...outline(bench, points, points.length > 2));
    },
    up() {
      const drawn = points;
      cancel();
      if (drawn.length > 2) bench.commit({ tool: 'lasso', points: drawn, class: bench.klass() });
    },
    key: () => false,
    cancel,
  };
}
