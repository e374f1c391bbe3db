// @ts-check
/** The second pane of "side by side": the same picture under the answer, at the same zoom and place. */
import { pen } from './pixels.js';

/** @param {HTMLCanvasElement} canvas @param {import('./canvas.js').View} view */
export function sidePane(canvas, view) {
  /** @type {CanvasImageSource | null} */
  let content = null;
  let opacity = 1;
  let due = false;

  function draw() {
    due = false;
    const ratio = globalThis.devicePixelRatio || 1;
    const { clientWidth, clientHeight } = canvas;
    if (!clientWidth) return;
    canvas.width = Math.round(clientWidth * ratio);
    canvas.height = Math.round(clientHeight * ratio);
    const context = pen(canvas);
    const { x, y } = view.stage.position();
    context.setTransform(view.scale * ratio, 0, 0, view.scale * ratio, x * ratio, y * ratio);
    const picture = view.picture.image();
    if (picture) context.drawImage(picture, 0, 0, view.width, view.height);
    if (!content) return;
    context.globalAlpha = opacity;
    context.drawImage(content, 0, 0, view.width, view.height);
  }

  function later() {
    if (!due) requestAnimationFrame(draw);
    due = true;
  }

  return {
    /** @param {CanvasImageSource | null} answer @param {number} alpha */
    show(answer, alpha) {
      content = answer;
      opacity = alpha;
      later();
    },
    later,
  };
}
