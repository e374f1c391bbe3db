// @ts-check
/**
 * Pointer, wheel, touch, pen and arrow keys over the view, told to the tool in the image's pixels.
 * Two fingers zoom and pan; once a pen was seen, one finger pans, so that a resting hand paints nothing.
 * While a pen is down, fingers do nothing at all.
 */

/** @typedef {import('./types').Point} Point */
/** @typedef {import('./types').Tool} Tool */

/**
 * @param {import('./canvas.js').View} view
 * @param {object} on
 * @param {() => Tool | null} on.tool null: nothing can be marked now
 * @param {() => number} on.ring diameter of the pointer's ring
 * @param {(steps: number) => void} on.size the brush is to grow (1) or shrink (-1)
 */
export function listen(view, on) {
  const area = view.container;
  /** @type {Map<number, PointerEvent>} */
  const fingers = new Map();
  /** @type {'draw' | 'pan' | null} */
  let doing = null;
  /** Who draws. @type {number | null} */
  let drawer = null;
  let penSeen = false;
  /** The pen that is down. @type {number | null} */
  let pen = null;
  let space = false;
  /** Where the arrow keys have brought the pointer. @type {Point | null} */
  let keyed = null;
  let keyDown = false;
  const modifiers = { outside: false };

  const pans = (/** @type {PointerEvent} */ event) =>
    event.button === 1 || space || (event.pointerType === 'touch' && penSeen) || (event.button === 2 && !event.shiftKey && on.ring() > 0);

  area.addEventListener('pointerdown', (event) => {
    if (event.pointerType === 'touch' && pen !== null) return; // a palm
    if (event.pointerType === 'pen') takePen(event.pointerId);
    area.setPointerCapture(event.pointerId);
    area.focus({ preventScroll: true });
    if (event.pointerType === 'touch') fingers.set(event.pointerId, event);
    modifiers.outside = event.shiftKey || event.button === 2;
    if (fingers.size === 2 || pans(event)) {
      if (doing === 'draw') on.tool()?.cancel();
      doing = 'pan';
      return;
    }
    const point = view.toImage(event);
    const tool = on.tool();
    if (!tool) return;
    doing = 'draw';
    drawer = event.pointerId;
    tool.down(point, view.inside(point));
  });

  /** What a hand began before the pen came is not meant. */
  function takePen(/** @type {number} */ id) {
    penSeen = true;
    pen = id;
    if (doing === 'draw') on.tool()?.cancel();
    doing = null;
    fingers.clear();
  }

  area.addEventListener('pointermove', (event) => {
    if (event.pointerType === 'touch' && !fingers.has(event.pointerId)) return;
    if (doing === 'draw' && event.pointerId !== drawer) return;
    keyed = null;
    if (doing === 'pan') return pan(event);
    const tool = on.tool();
    if (tool) {
      const events = doing === 'draw' && event.getCoalescedEvents ? event.getCoalescedEvents() : [];
      for (const one of events.length ? events : [event]) tool.move(view.toImage(one));
    }
    view.cursor(tool && on.ring() ? view.toImage(event) : null, on.ring());
  });

  function pan(/** @type {PointerEvent} */ event) {
    const before = fingers.get(event.pointerId);
    if (!before) return view.pan(event.movementX, event.movementY);
    if (fingers.size < 2) {
      fingers.set(event.pointerId, event);
      return view.pan(event.clientX - before.clientX, event.clientY - before.clientY);
    }
    const other = [...fingers.values()].find((finger) => finger.pointerId !== event.pointerId);
    if (!other) return;
    const apart = (/** @type {PointerEvent} */ one) => Math.hypot(one.clientX - other.clientX, one.clientY - other.clientY);
    const corner = area.getBoundingClientRect();
    view.pan((event.clientX - before.clientX) / 2, (event.clientY - before.clientY) / 2);
    view.zoom(apart(event) / Math.max(apart(before), 1), {
      x: (event.clientX + other.clientX) / 2 - corner.left, y: (event.clientY + other.clientY) / 2 - corner.top,
    });
    fingers.set(event.pointerId, event);
  }

  for (const end of /** @type {const} */ (['pointerup', 'pointercancel'])) {
    area.addEventListener(end, (event) => {
      fingers.delete(event.pointerId);
      if (pen === event.pointerId) pen = null;
      if (doing === 'draw' && event.pointerId !== drawer) return;
      if (doing === 'draw') {
        const tool = on.tool();
        if (end === 'pointerup') tool?.up(view.toImage(event));
        else tool?.cancel();
      }
      if (!fingers.size) doing = null;
    });
  }
  area.addEventListener('pointerleave', () => view.cursor(null, 0));
  area.addEventListener('contextmenu', (event) => event.preventDefault());

  area.addEventListener('wheel', (event) => {
    event.preventDefault();
    const turned = event.deltaY || event.deltaX;
    if (event.shiftKey || event.altKey) return on.size(turned < 0 ? 1 : -1);
    const corner = area.getBoundingClientRect();
    view.zoom(Math.exp(-turned * (event.ctrlKey ? 0.01 : 0.0015)), { x: event.clientX - corner.left, y: event.clientY - corner.top });
  }, { passive: false });

  /** Arrows move the pointer, Space presses and lifts it. @param {KeyboardEvent} event */
  function key(event) {
    const arrows = /** @type {Record<string, Point>} */ ({ ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] });
    const way = arrows[event.key];
    if (way) {
      const step = (event.shiftKey ? 40 : 8) / view.scale;
      const [x, y] = keyed ?? [view.width / 2, view.height / 2];
      keyed = [clamp(x + way[0] * step, view.width), clamp(y + way[1] * step, view.height)];
      on.tool()?.move(keyed);
    } else if (event.key === ' ') {
      if (!keyed) space = true;
      else press(keyed, event.shiftKey);
    } else return false;
    view.cursor(keyed, on.ring() || 10 / view.scale);
    return true;
  }

  function press(/** @type {Point} */ point, /** @type {boolean} */ shifted) {
    const tool = on.tool();
    modifiers.outside = shifted;
    if (keyDown) tool?.up(point);
    else tool?.down(point, view.inside(point));
    keyDown = !keyDown;
  }

  addEventListener('keyup', (event) => {
    if (event.key === ' ') space = false;
  });
  addEventListener('blur', () => {
    space = false;
  });

  return {
    key,
    /** Was the last press one with Shift or the right button? */
    outside: () => modifiers.outside,
    /** Lift what the keyboard holds down. */
    lift() {
      keyDown = false;
    },
  };
}

/** @param {number} value @param {number} size */
const clamp = (value, size) => Math.min(Math.max(value, 0), size - 1);
