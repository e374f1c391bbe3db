// @ts-check
/**
 * The view of one image: a Konva stage whose coordinates are the image's own pixels, so that zoom and
 * pan are the stage's scale and position and no tool has to know of them. Layers, from below: picture,
 * answer, marks, tool. Everything is drawn in the browser's next frame.
 */
import { blank, pen } from './pixels.js';

/** @typedef {import('./types').Point} Point */
/** @typedef {import('./types').Colour} Colour */
/** @typedef {import('./types').Stroke} Stroke */

const MARGIN = 24;
const MOST = 40;

/** @param {Colour} colour @param {number} [alpha] */
export const css = ([red, green, blue], alpha = 1) => `rgba(${red}, ${green}, ${blue}, ${alpha})`;

export class View {
  /** @param {HTMLDivElement} container */
  constructor(container) {
    this.container = container;
    this.width = 1;
    this.height = 1;
    /** Has the person zoomed or panned? If not, a new window size fits again. */
    this.moved = false;
    /** Called after zoom, pan and new content. */
    this.changed = () => {};
    this.stage = new Konva.Stage({ container, width: 10, height: 10, listening: false });
    const layers = Array.from({ length: 3 }, () => new Konva.Layer({ listening: false }));
    const image = () => new Konva.Image({ image: undefined, visible: false });
    this.picture = image();
    this.answer = image();
    this.marks = image();
    this.shapes = new Konva.Group();
    this.cursorShape = this.cursorRing();
    layers[0].add(this.picture);
    layers[1].add(this.answer, this.marks);
    layers[2].add(this.shapes, this.cursorShape);
    this.stage.add(...layers);
    for (const layer of layers.slice(0, 2)) layer.imageSmoothingEnabled(true);
    new ResizeObserver(() => this.resize()).observe(container);
    this.resize();
  }

  cursorRing() {
    const ring = new Konva.Group({ visible: false });
    ring.add(new Konva.Circle({ stroke: 'rgba(0,0,0,.8)', strokeWidth: 3, strokeScaleEnabled: false }));
    ring.add(new Konva.Circle({ stroke: '#fff', strokeWidth: 1.5, strokeScaleEnabled: false }));
    return ring;
  }

  resize() {
    const { clientWidth, clientHeight } = this.container;
    if (!clientWidth || !clientHeight) return;
    this.stage.size({ width: clientWidth, height: clientHeight });
    if (this.moved) this.changed();
    else this.fit();
  }

  /**
   * Show another picture. It may be smaller than the image, whose size counts.
   * @param {ImageBitmap | null} bitmap @param {number} width @param {number} height
   */
  show(bitmap, width, height) {
    this.width = width;
    this.height = height;
    this.put(this.picture, bitmap, 1);
    this.setMarks(null);
    this.put(this.answer, null, 1);
    this.fit();
  }

  /** @param {any} node @param {CanvasImageSource | null} content @param {number} opacity */
  put(node, content, opacity) {
    node.setAttrs({ image: content ?? undefined, visible: !!content, width: this.width, height: this.height, opacity });
    node.getLayer().batchDraw();
  }

  /** @param {HTMLCanvasElement | null} canvas */
  setMarks(canvas) {
    this.marksCanvas = canvas;
    this.put(this.marks, canvas, 1);
  }

  /** @param {CanvasImageSource | null} content @param {number} opacity */
  setAnswer(content, opacity) {
    this.put(this.answer, content, opacity);
    this.changed();
  }

  /**
   * Draw a stroke at once, before the server has it; its own drawing replaces this one.
   * @param {Pick<Stroke, 'tool' | 'points' | 'class' | 'size'>} stroke @param {Colour} colour
   */
  drawStroke(stroke, colour) {
    if (stroke.tool === 'fill' || stroke.tool === 'mask' || stroke.tool === 'answer') return;
    const shrink = Math.min(1, 2048 / Math.max(this.width, this.height));
    const canvas = this.marksCanvas ?? blank(Math.round(this.width * shrink), Math.round(this.height * shrink));
    const context = pen(canvas);
    context.save();
    context.scale(canvas.width / this.width, canvas.height / this.height);
    const hint = stroke.tool === 'hint';
    // The edge of a hint is seen on any colour.
    const paints = hint ? ['#000', 'rgba(255,255,255,.9)', css(colour)] : stroke.class === null ? ['#000'] : ['#000', stroke.class ? css(colour, 0.69) : 'rgba(40,48,58,.55)'];
    paints.forEach((paint, pass) => {
      context.globalCompositeOperation = pass ? 'source-over' : 'destination-out';
      context.fillStyle = context.strokeStyle = paint;
      trace(context, hint && pass < 2 ? { ...stroke, size: stroke.size + 3 / this.scale } : stroke);
    });
    context.restore();
    this.setMarks(canvas);
  }

  get scale() {
    return this.stage.scaleX();
  }

  /** @param {number} scale @param {number} x @param {number} y of the stage's corner, on the screen */
  place(scale, x, y) {
    this.stage.scale({ x: scale, y: scale });
    this.stage.position({ x, y });
    this.marks.getLayer().imageSmoothingEnabled(scale < 3);
    this.stage.batchDraw();
    this.changed();
  }

  fit() {
    const { width, height } = this.stage.size();
    const scale = Math.min((width - 2 * MARGIN) / this.width, (height - 2 * MARGIN) / this.height, 8);
    this.moved = false;
    this.place(Math.max(scale, 0.005), (width - this.width * scale) / 2, (height - this.height * scale) / 2);
  }

  /** @param {number} factor @param {{x: number, y: number}} [around] on the screen, from the view's corner */
  zoom(factor, around) {
    const { width, height } = this.stage.size();
    const { x, y } = around ?? { x: width / 2, y: height / 2 };
    const before = this.scale;
    const least = 0.5 * Math.min(width / this.width, height / this.height, 1);
    const after = Math.min(Math.max(before * factor, least), MOST);
    const corner = this.stage.position();
    this.moved = true;
    this.place(after, x - ((x - corner.x) * after) / before, y - ((y - corner.y) * after) / before);
  }

  /** @param {number} dx @param {number} dy in pixels of the screen */
  pan(dx, dy) {
    const { x, y } = this.stage.position();
    this.moved = true;
    this.place(this.scale, x + dx, y + dy);
  }

  /** Where on the image an event is. @param {{clientX: number, clientY: number}} event @returns {Point} */
  toImage(event) {
    const box = this.container.getBoundingClientRect();
    const { x, y } = this.stage.position();
    return [(event.clientX - box.left - x) / this.scale, (event.clientY - box.top - y) / this.scale];
  }

  /** @param {Point} point */
  inside([x, y]) {
    return x >= 0 && y >= 0 && x < this.width && y < this.height;
  }

  /** The ring that shows where and how large the brush is. @param {Point | null} point @param {number} diameter of the image's pixels */
  cursor(point, diameter) {
    this.cursorShape.visible(!!point);
    if (point) {
      this.cursorShape.position({ x: point[0], y: point[1] });
      for (const ring of this.cursorShape.getChildren()) ring.radius(Math.max(diameter / 2, 2 / this.scale));
    }
    this.shapes.getLayer().batchDraw();
  }

  /** Replace what the tool shows. @param {any[]} shapes Konva shapes, in the image's pixels */
  tool(...shapes) {
    this.shapes.destroyChildren();
    if (shapes.length) this.shapes.add(...shapes);
    this.shapes.getLayer().batchDraw();
  }
}

/** @param {CanvasRenderingContext2D} context @param {Pick<Stroke, 'tool' | 'points' | 'size'>} stroke */
function trace(context, { tool, points, size }) {
  context.beginPath();
  if (tool === 'box') {
    const [[x0, y0], [x1, y1]] = points;
    context.rect(Math.min(x0, x1), Math.min(y0, y1), Math.abs(x1 - x0), Math.abs(y1 - y0));
    context.fill();
    return;
  }
  for (const [x, y] of points) context.lineTo(x, y);
  if (tool === 'brush' || tool === 'hint') {
    if (points.length === 1) context.lineTo(points[0][0] + 0.01, points[0][1]);
    context.lineCap = context.lineJoin = 'round';
    context.lineWidth = size;
    context.stroke();
  } else context.fill();
}
