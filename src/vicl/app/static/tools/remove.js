// @ts-check
/** Take a box away: the smallest one that was clicked in. */

/** @param {import('../types').Bench} bench @returns {import('../types').Tool} */
export function remove(bench) {
  return {
    down([x, y]) {
      const under = bench.boxes().map(({ box }) => box).filter(([x0, y0, x1, y1]) => x >= x0 && x <= x1 && y >= y0 && y <= y1);
      const area = (/** @type {number[]} */ [x0, y0, x1, y1]) => (x1 - x0) * (y1 - y0);
      const [box] = under.sort((one, other) => area(one) - area(other));
      if (!box) return;
      // A box of no class takes those away of which it holds the middle.
      const middle = /** @type {import('../types').Point} */ ([(box[0] + box[2]) / 2, (box[1] + box[3]) / 2]);
      const corner = (/** @type {number} */ by) => /** @type {import('../types').Point} */ (middle.map((at) => at + by));
      bench.commit({ tool: 'box', points: [corner(-0.3), corner(0.3)], class: null });
    },
    move() {},
    up() {},
    key: () => false,
    cancel() {},
  };
}
