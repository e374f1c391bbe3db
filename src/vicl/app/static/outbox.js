// @ts-check
/**
 * Edits on their way to the server, in order. Each stays in the browser's storage until the server has
 * acknowledged it (it writes to the disk first), so a reload or a killed server loses none; a key in
 * each lets the server know one that is sent twice.
 */
import * as api from './api.js';

/** @typedef {import('./types').Waiting} Waiting */
/** @typedef {import('./types').Edit} Edit */

const STORE = 'vicl.unsent';
/** In ms: the first pause after a failure, and the longest. */
const PAUSE = [500, 8000];

export class Outbox {
  /**
   * @param {object} on
   * @param {(image: string, edits: any, edit: Edit) => void} on.saved
   * @param {(image: string, edit: Edit, problem: api.ApiError) => void} on.refused
   * @param {(count: number) => void} on.count
   */
  constructor(on) {
    this.on = on;
    this.folder = '';
    /** @type {Waiting[]} */
    this.queue = [];
    /** Last known revision of each image. @type {Map<string, number>} */
    this.revisions = new Map();
    this.busy = false;
  }

  /** Take up what an earlier page of this folder could not send. @param {string} folder */
  resume(folder) {
    this.folder = folder;
    const kept = JSON.parse(localStorage.getItem(this.store) ?? '[]');
    const known = new Set(this.queue.map((waiting) => waiting.edit.key));
    this.queue.unshift(...kept.filter((/** @type {Waiting} */ one) => !known.has(one.edit.key)));
    this.keep();
    void this.send();
  }

  get store() {
    return `${STORE}:${this.folder}`;
  }

  /** @param {string} image @param {Edit} edit */
  add(image, edit) {
    this.queue.push({ image, edit });
    this.keep();
    void this.send();
  }

  /** Edits of one image that are not acknowledged. @param {string | null} image */
  waiting(image) {
    return this.queue.filter((one) => one.image === image).map((one) => one.edit);
  }

  keep() {
    if (this.queue.length) localStorage.setItem(this.store, JSON.stringify(this.queue));
    else localStorage.removeItem(this.store);
    this.on.count(this.queue.length);
  }

  async send() {
    if (this.busy) return;
    this.busy = true;
    let pause = PAUSE[0];
    while (this.queue.length) {
      const { image, edit } = this.queue[0];
      try {
        const edits = await this.post(image, edit);
        this.queue.shift();
        this.keep();
        pause = PAUSE[0];
        this.revisions.set(image, edits.revision);
        this.on.saved(image, edits, edit);
      } catch (caught) {
        const problem = caught instanceof api.ApiError ? caught : new api.ApiError(400, String(caught));
        const again = problem.status === 0 || problem.status >= 500 || problem.status === 429;
        if (again) {
          await new Promise((wake) => setTimeout(wake, pause));
          pause = Math.min(pause * 2, PAUSE[1]);
        } else {
          this.queue.shift();
          this.keep();
          this.on.refused(image, edit, problem);
        }
      }
    }
    this.busy = false;
  }

  /**
   * A stroke is right on top of whatever another tab drew, so it is sent once more over the newer
   * state; undo and redo would take back what the person has not seen, so they are refused.
   * @param {string} image @param {Edit} edit
   */
  async post(image, edit) {
    try {
      return await api.postEdit(image, edit, this.revisions.get(image) ?? '*');
    } catch (problem) {
      if (!(problem instanceof api.ApiError) || problem.status !== 409) throw problem;
      const newer = await api.edits(image);
      this.revisions.set(image, newer.revision);
      if (edit.op !== 'stroke') throw problem;
      return api.postEdit(image, edit, newer.revision);
    }
  }
}
