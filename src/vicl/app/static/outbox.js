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
/** Refusals that pass: of a server that was started anew with another token, or is busy. */
const LATER = [401, 403, 408, 425, 429];

export class Outbox {
  /**
   * @param {object} on
   * @param {(image: string, edits: any, edit: Edit) => void} on.saved
   * @param {(image: string, edit: Edit, problem: api.ApiError) => void} on.refused
   * @param {(problem: api.ApiError) => void} on.failing it is tried again
   * @param {(count: number) => void} on.count
   */
  constructor(on) {
    this.on = on;
    this.place = '';
    /** @type {Waiting[]} */
    this.queue = [];
    /** Last known revision of each image. @type {Map<string, number>} */
    this.revisions = new Map();
    this.busy = false;
    this.count = 0;
  }

  /** Take up what earlier pages of this project could not send. @param {string} place the project's folder */
  resume(place) {
    this.place = place;
    for (const waiting of this.queue) this.keep(waiting); // painted before the project was known
    const known = new Set(this.queue.map((waiting) => waiting.edit.key));
    const kept = Object.keys(localStorage).filter((name) => name.startsWith(`${this.store}:`)).sort().flatMap((name) => {
      try {
        return [/** @type {Waiting} */ (JSON.parse(localStorage.getItem(name) ?? ''))];
      } catch {
        return [];
      }
    });
    this.queue.unshift(...kept.filter((one) => !known.has(one.edit.key)));
    this.on.count(this.queue.length);
    void this.send();
  }

  get store() {
    return `${STORE}:${this.place}`;
  }

  /** @param {string} image @param {Edit} edit */
  add(image, edit) {
    // Sorted by name they are in the order of their making, also those of two tabs.
    const waiting = { image, edit, name: `${String(Date.now()).padStart(15, '0')}-${String(this.count++).padStart(6, '0')}-${edit.key}` };
    this.queue.push(waiting);
    this.keep(waiting);
    this.on.count(this.queue.length);
    void this.send();
  }

  /** Edits of one image that are not acknowledged. @param {string | null} image */
  waiting(image) {
    return this.queue.filter((one) => one.image === image).map((one) => one.edit);
  }

  /** Each edit is kept by itself, so that two tabs do not overwrite each other's. @param {Waiting} waiting */
  keep(waiting) {
    if (!this.place) return;
    try {
      localStorage.setItem(`${this.store}:${waiting.name}`, JSON.stringify(waiting));
    } catch { /* the browser's storage is full: it is sent all the same, and held by this page */ }
  }

  done() {
    const waiting = this.queue.shift();
    if (waiting) localStorage.removeItem(`${this.store}:${waiting.name}`);
    this.on.count(this.queue.length);
  }

  async send() {
    if (this.busy) return;
    this.busy = true;
    try {
      await this.sendAll();
    } finally {
      this.busy = false;
    }
  }

  async sendAll() {
    let pause = PAUSE[0];
    while (this.queue.length) {
      const { image, edit } = this.queue[0];
      let edits;
      try {
        edits = await this.post(image, edit);
      } catch (caught) {
        // A reply that broke off is as none: sent again, a key that the server has is not applied twice.
        const problem = caught instanceof api.ApiError ? caught : new api.ApiError(0, String(caught));
        if (problem.status === 0 || problem.status >= 500 || LATER.includes(problem.status)) {
          this.on.failing(problem);
          await new Promise((wake) => setTimeout(wake, pause));
          pause = Math.min(pause * 2, PAUSE[1]);
        } else {
          this.done();
          this.on.refused(image, edit, problem);
        }
        continue;
      }
      this.done();
      pause = PAUSE[0];
      this.revisions.set(image, edits.revision);
      this.on.saved(image, edits, edit);
    }
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
