// @ts-check
/** Fill: the area around the pointer that the marks enclose. */

/** @param {import('../types').Bench} bench @returns {import('../types').Tool} */
export function fill(bench) {
  return {
    down(point, inside) {
      if (inside) bench.commit({ tool: 'fill', points: [point], class: bench.klass() });
    },
    move() {},
    up() {},
    key: () => false,
    cancel() {},
  };
}
