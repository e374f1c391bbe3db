// @ts-check
/** The tools, in the order of the strip: one line each. */
import { box } from './box.js';
import { brush } from './brush.js';
import { click } from './click.js';
import { fill } from './fill.js';
import { lasso, polygon } from './polygon.js';
import { remove } from './remove.js';

/** @typedef {import('../types').ToolName} ToolName */

/**
 * `icon` is an SVG path in a square of 24. `ring`: the pointer is a ring as large as the brush.
 * `tasks`: which it is for, segmentation unless it says so.
 * @type {{name: ToolName, key: string, title: string, what: string, icon: string, ring?: boolean, tasks?: string[]}[]}
 */
export const TOOLS = [
  { name: 'brush', key: 'b', title: 'Brush', what: 'paint', ring: true, icon: 'M4 20c3 0 5-1 5-4a3 3 0 0 1 3 3c0 0-2 3-8 1zM11 14 20 4l1 1-8 11z' },
  { name: 'eraser', key: 'e', title: 'Eraser', what: 'take marks away', ring: true, icon: 'M4 15 14 5l6 6-9 9H8zM9 10l6 6M11 20h9' },
  { name: 'box', key: 'r', title: 'Box', what: 'drag from corner to corner', tasks: ['segmentation', 'detection'], icon: 'M4 6h16v12H4z' },
  { name: 'polygon', key: 'p', title: 'Polygon', what: 'corner by corner; Enter closes, Backspace takes one back', icon: 'M12 3 21 10 18 20H6L3 10z' },
  { name: 'lasso', key: 'l', title: 'Lasso', what: 'draw around it', icon: 'M12 4c5 0 9 2 9 6s-4 6-9 6-9-2-9-6 4-6 9-6zM7 15c-2 1-2 4 0 4s2 3 0 3' },
  { name: 'fill', key: 'f', title: 'Fill', what: 'the area that marks enclose', icon: 'M5 12 12 5l7 7-7 7zM9 8 5 4M20 16c2 3 2 4 0 5-2-1-2-2 0-5z' },
  { name: 'click', key: 'c', title: 'Click', what: 'click the thing (Shift: not this), or drag a box; Tab: next mask, Enter: take it', icon: 'M6 3v15l4-4 3 7 2-1-3-7h6z' },
  { name: 'hint', key: 'h', title: 'Hint', what: 'dab a colour; it spreads over what is alike', ring: true, tasks: ['colorization'], icon: 'M12 3c4 5 6 8 6 11a6 6 0 0 1-12 0c0-3 2-6 6-11zM9 15a3 3 0 0 0 3 3' },
  { name: 'remove', key: 'e', title: 'Take a box away', what: 'click in it', tasks: ['detection'], icon: 'M4 6h16v12H4zM8 9l8 6M16 9l-8 6' },
];

/** The tools of a task. @param {string | undefined} task */
export const toolsOf = (task) => TOOLS.filter((tool) => (tool.tasks ?? ['segmentation']).includes(task ?? ''));

/**
 * @param {import('../types').Bench} bench @param {() => boolean} outside
 * @returns {Record<ToolName, import('../types').Tool>}
 */
export function makeTools(bench, outside) {
  return {
    brush: brush(bench, 'marks'), eraser: brush(bench, 'erases'), hint: brush(bench, 'hints'), remove: remove(bench), box: box(bench), polygon: polygon(bench),
    lasso: lasso(bench), fill: fill(bench), click: click(bench, outside),
  };
}
