// @ts-check
/** Index masks and confidence as pictures to lay over a photograph. */

/** @typedef {import('./types').Colour} Colour */

/** In an index mask: nobody said. */
export const UNKNOWN = 255;

/** @param {number} width @param {number} height */
export function blank(width, height) {
  const canvas = document.createElement('canvas');
  canvas.width = width;
  canvas.height = height;
  return canvas;
}

/** @param {HTMLCanvasElement} canvas @returns {CanvasRenderingContext2D} */
export function pen(canvas) {
  return /** @type {CanvasRenderingContext2D} */ (canvas.getContext('2d', { willReadFrequently: true }));
}

/** The red channel of a gray picture: its values. @param {ImageBitmap} bitmap */
export function values(bitmap) {
  const canvas = blank(bitmap.width, bitmap.height);
  const context = pen(canvas);
  context.drawImage(bitmap, 0, 0);
  const pixels = context.getImageData(0, 0, bitmap.width, bitmap.height).data;
  const out = new Uint8Array(bitmap.width * bitmap.height);
  for (let i = 0; i < out.length; i++) out[i] = pixels[4 * i];
  return out;
}

/** One pixel in memory order (RGBA read as a little-endian word). @param {Colour} colour @param {number} alpha */
const word = ([red, green, blue], alpha) => ((alpha << 24) | (blue << 16) | (green << 8) | red) >>> 0;

/**
 * @param {Uint8Array} index @param {number} width
 * @param {(value: number, at: number) => number} paint the word of one pixel
 */
function painted(index, width, paint) {
  const height = index.length / width;
  const canvas = blank(width, height);
  const picture = new ImageData(width, height);
  const words = new Uint32Array(picture.data.buffer);
  for (let i = 0; i < words.length; i++) words[i] = paint(index[i], i);
  pen(canvas).putImageData(picture, 0, 0);
  return canvas;
}

/**
 * Marks: classes in their colours, the ground as stripes (told apart without colour), unknown clear.
 * @param {Uint8Array} index @param {number} width @param {(id: number) => Colour} colourOf
 */
export function marksPicture(index, width, colourOf) {
  const table = new Uint32Array(256);
  for (let id = 1; id < UNKNOWN; id++) table[id] = word(colourOf(id), 175);
  const stripe = word([20, 26, 34], 150);
  const gap = word([235, 240, 245], 80);
  return painted(index, width, (value, at) => {
    if (value) return table[value];
    return (((at % width) + Math.floor(at / width)) >> 3) & 1 ? stripe : gap;
  });
}

/**
 * Is a pixel at the edge of its area, at a distance up to `reach`?
 * @param {Uint8Array} index @param {number} width @param {number} at @param {number} reach
 */
function atEdge(index, width, at, reach) {
  const value = index[at];
  const x = at % width;
  return (
    x < reach || x >= width - reach ||
    index[at - reach] !== value || index[at + reach] !== value ||
    index[at - reach * width] !== value || index[at + reach * width] !== value
  );
}

/**
 * Areas of an answer: filled with a light edge, so that they are seen on a thing of the same colour, or only outlined.
 * @param {Uint8Array} index @param {number} width @param {(id: number) => Colour} colourOf
 * @param {'fill' | 'outline' | 'plain'} how plain: without an edge
 */
export function answerPicture(index, width, colourOf, how) {
  const fill = new Uint32Array(256);
  for (let id = 1; id < UNKNOWN; id++) fill[id] = word(colourOf(id), 255);
  const reach = Math.max(1, Math.round(width / 700));
  const light = word([255, 255, 255], 255);
  if (how === 'plain') return painted(index, width, (value) => fill[value]);
  return painted(index, width, (value, at) => {
    if (!value || value === UNKNOWN) return 0;
    if (!atEdge(index, width, at, reach)) return how === 'fill' ? fill[value] : 0;
    return how === 'fill' ? light : fill[value];
  });
}

/** Confidence 0 to 255 as a veil: sure is clear, unsure is dark violet. @param {Uint8Array} sure @param {number} width */
export function confidencePicture(sure, width) {
  const table = Uint32Array.from({ length: 256 }, (_, value) => word([76, 29, 149], Math.round((255 - value) * 0.95)));
  return painted(sure, width, (value) => table[value]);
}

/** A mask of two values as a picture in one colour. @param {ImageBitmap} bitmap @param {Colour} colour @param {number} alpha */
export function maskPicture(bitmap, colour, alpha) {
  const on = word(colour, alpha);
  return painted(values(bitmap), bitmap.width, (value) => (value ? on : 0));
}

/** @param {string} base64 of a PNG */
export async function bitmapOf(base64) {
  const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
  return createImageBitmap(new Blob([bytes], { type: 'image/png' }), { colorSpaceConversion: 'none' });
}
