// @ts-check
/** Brush, eraser and hint: a line as thick as the brush, from where the pointer goes down to where it goes up. */
import { css } from '../canvas.js';

/** @typedef {import('../types').Point} Point */

/** @param {import('../types').Bench} bench @param {'marks' | 'erases' | 'hints'} how @returns {import('../types').Tool} */
export function brush(bench, how) {
  /** @type {Point[] | null} */
  let points = null;
  /** @type {any} */
  let line = null;

  function ink() {
    if (how === 'hints') return css(bench.hue());
    if (how === 'erases') return 'rgba(255,255,255,.65)';
    return bench.klass() ? css(bench.colour(), 0.69) : 'rgba(40,48,58,.6)';
  }

  function start(/** @type {Point} */ point) {
    points = [point];
    line = new Konva.Line({
      points: [...point, ...point],
      stroke: ink(), strokeWidth: bench.size(), lineCap: 'round', lineJoin: 'round', perfectDrawEnabled: false,
    });
    bench.view.tool(line);
  }

  function stop() {
    points = null;
    bench.view.tool();
  }

  return {
    down: start,
    move(point) {
      if (!points) return;
      const [x, y] = points[points.length - 1];
      // Steps below half a pixel of the image and of the screen say nothing.
      if (Math.hypot(point[0] - x, point[1] - y) < 0.5 * Math.max(1, 1 / bench.view.scale)) return;
      points.push(point);
      line.points(points.flat());
      line.getLayer().batchDraw();
    },
    up() {
      if (!points) return;
      const drawn = points;
      stop();
      if (how === 'hints') bench.commit({ tool: 'hint', points: drawn, class: null, colour: bench.hue() });
      else bench.commit({ tool: 'brush', points: drawn, class: how === 'erases' ? null : bench.klass() });
    },
    key: () => false,
    cancel: stop,
  };
}
