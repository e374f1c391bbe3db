// @ts-check
/** The open image: its picture, marks and answer in the view, and the edits that tools commit. */
import * as api from './api.js';
import { boxesOf, boxesPicture } from './boxes.js';
import { Outbox } from './outbox.js';
import { at, attempt, complain, note } from './parts.js';
import { answerPicture, confidencePicture, marksPicture, values } from './pixels.js';
import { boxing, colourOf, hinting, openItem, painting, state, update, updateItem, watch } from './state.js';

/** @typedef {import('./types').Edit} Edit */
/** @typedef {import('./types').Stroke} Stroke */

/**
 * @param {import('./canvas.js').View} view
 * @param {ReturnType<typeof import('./side.js').sidePane>} side
 * @param {(pause?: number) => void} changed an edit is saved: answer again, if live; `pause` in ms
 */
export function marking(view, side, changed) {
  let leave = new AbortController();
  /** @type {{index: Uint8Array, width: number} | null} Of a task of areas. */ let answer = null;
  /** @type {ImageBitmap | null} The answer as it came. */ let answerBitmap = null;
  /** @type {ImageBitmap | null} */ let sure = null;

  const outbox = new Outbox({
    saved(image, edits, edit) {
      if (hinting()) {
        // What answers this image may be there no more, or be another.
        const adds = edit.op === 'stroke';
        if (adds) updateItem({ id: image, hinted: true });
        if (adds || image !== state.open) changed(0);
        if (image === state.open && !outbox.waiting(image).length) void loadEdits().then(() => adds || changed(0), complain);
        return;
      }
      const first = edit.op === 'stroke' && !state.items.some((item) => item.example);
      const taken = edit.op === 'take-answer' && !edit.key.startsWith(CORRECTS);
      if (first || taken) void promote(image);
      else changed();
      updateItem({ id: image, marked: edits.marked });
      if (image !== state.open) return;
      const before = state.edits?.strokes ?? [];
      const strokes = edit.op === 'stroke' ? [...before, edit] : edit.op === 'undo' ? before.slice(0, -1) : before;
      update({ edits: { ...edits, strokes } });
      if (!outbox.waiting(image).length) void (boxing() ? loadEdits().catch(complain) : loadMarks());
    },
    refused(image, edit, problem) {
      note(problem.state ? 'Another tab changed this image meanwhile; here is its newer state. Look, then do it again.' : problem.message);
      if (image === state.open) void loadEdits();
    },
    failing(problem) {
      if (problem.status) note(`Not saved yet: ${problem.message} It is tried again.`, 12);
    },
    count: (unsent) => update({ unsent }),
  });

  /**
   * @param {string} image
   * @param {{status?: import('./types').Status, example?: boolean}} change
   * @param {number | '*'} revision that it changes
   */
  async function setStatus(image, change, revision = state.items.find((item) => item.id === image)?.revision ?? '*') {
    try {
      const item = await api.putStatus(image, change, revision);
      updateItem({ ...change, ...item, id: image });
    } catch (problem) {
      if (problem instanceof api.ApiError && problem.state) updateItem({ ...problem.state, id: image });
      throw problem;
    }
  }

  /** Images that are becoming examples: a second stroke meanwhile does not ask again. @type {Set<string>} */
  const promoting = new Set();

  /** @param {string} image */
  async function promote(image) {
    if (promoting.has(image)) return;
    promoting.add(image);
    // Nobody's verdict: whatever the status is by now, it is an example.
    await attempt(() => setStatus(image, { example: true }, '*'));
    promoting.delete(image);
    changed();
  }

  async function loadMarks() {
    const id = state.open;
    const signal = leave.signal;
    if (!id) return;
    if (boxing()) {
      const own = ownBoxes();
      view.setMarks(own.length ? boxesPicture(own, view.width, view.height) : null);
      return layAnswer();
    }
    if (!painting()) return drawHints();
    try {
      const bitmap = await api.marks(id, signal);
      if (signal.aborted || outbox.waiting(id).length) return;
      view.setMarks(bitmap && marksPicture(values(bitmap), bitmap.width, colourOf));
    } catch (problem) {
      if (!signal.aborted) complain(problem);
    }
  }

  /** The hints that count; other strokes are of another task. */
  function drawHints() {
    view.setMarks(null);
    const hints = hinting() ? hintsOf(state.edits?.strokes ?? [], view.width) : [];
    for (const stroke of hints) view.drawStroke(stroke, colourOfStroke(stroke));
  }

  const ownBoxes = () => {
    const pending = outbox.waiting(state.open).flatMap((edit) => (edit.op === 'stroke' ? [edit] : []));
    return boxesOf([...(state.edits?.strokes ?? []), ...pending], view.width, view.height);
  };
  /** The boxes that count: a person's alone, where there are any. */
  const boxes = () => {
    const own = ownBoxes();
    return own.length || openItem()?.example ? own : state.facts?.boxes ?? [];
  };

  async function loadEdits() {
    const id = state.open;
    if (!id) return;
    const edits = await api.edits(id);
    if (id !== state.open) return;
    outbox.revisions.set(id, edits.revision);
    update({ edits });
    if (hinting()) {
      const hinted = hintsOf(edits.strokes, view.width).length > 0;
      const gone = !hinted && openItem()?.hinted;
      updateItem({ id, hinted, ...(gone ? { answer_revision: null } : {}) });
      if (gone) await loadAnswer();
    }
    if (boxing()) updateItem({ id, marked: ownBoxes().length > 0 });
    await loadMarks();
    for (const edit of outbox.waiting(id)) if (edit.op === 'stroke') view.drawStroke(edit, colourOfStroke(edit));
  }

  async function loadAnswer() {
    const id = state.open;
    const signal = leave.signal;
    if (!id) return;
    try {
      const [bitmap, facts, confidence] = await Promise.all([
        api.answer(id, 2048, signal), api.answerFacts(id).catch(() => null),
        state.look === 'confidence' ? api.confidence(id, signal).catch(() => null) : null,
      ]);
      if (signal.aborted) return;
      answerBitmap = bitmap;
      answer = bitmap && painting() ? { index: values(bitmap), width: bitmap.width } : null;
      sure = confidence;
      update({ facts: bitmap ? facts : null });
      // The list of images may be older than what is shown.
      if (bitmap && facts && !openItem()?.answer_revision) updateItem({ id, answer_revision: facts.prompt_revision });
      layAnswer();
    } catch (problem) {
      if (!signal.aborted) complain(problem);
    }
  }

  /** Lay the answer over the picture as the person wishes; an outdated one is dimmed. */
  function layAnswer() {
    const { look } = state;
    const dim = openItem()?.stale && !openItem()?.hinted ? 0.45 : 1;
    const beside = look === 'side';
    at('side').hidden = !beside;
    view.container.parentElement?.classList.toggle('beside', beside);
    /** @type {CanvasImageSource | null} */
    let picture = null;
    if (boxing() && look !== 'none' && look !== 'confidence') picture = ownBoxes().length ? null : boxesPicture(boxes(), view.width, view.height);
    else if (look === 'confidence') picture = sure && confidencePicture(values(sure), sure.width);
    else if (look !== 'none' && answer) picture = answerPicture(answer.index, answer.width, colourOf, look === 'contours' ? 'outline' : 'fill');
    else if (look !== 'none') picture = answerBitmap;
    const opacity = dim * (look === 'contours' || boxing() ? 1 : state.opacity);
    view.setAnswer(beside ? null : picture, opacity);
    side.show(beside ? picture : null, painting() ? opacity : 1);
  }

  /** @param {string} id */
  async function open(id) {
    leave.abort();
    leave = new AbortController();
    const { signal } = leave;
    const item = state.items.find((one) => one.id === id);
    answer = answerBitmap = sure = null;
    view.show(null, item?.width || 1, item?.height || 1);
    update({ open: id, edits: null, facts: null });
    view.container.ariaBusy = 'true';
    try {
      if (item && !item.broken) {
        const bitmap = await api.picture(id, signal);
        if (signal.aborted) return;
        view.show(bitmap, item.width, item.height);
        await Promise.all([loadEdits(), loadAnswer()]);
      }
    } catch (problem) {
      if (!signal.aborted) complain(problem);
    }
    if (!signal.aborted) view.container.ariaBusy = 'false';
  }

  /** @param {Omit<Stroke, 'op' | 'key' | 'size'>} part */
  function commit(part) {
    if (!state.open) return;
    // To correct an answer of boxes is to take it, and change it.
    if (boxing() && !ownBoxes().length && boxes().length && !outbox.waiting(state.open).length) send({ op: 'take-answer', key: CORRECTS + freshKey() });
    /** @type {Stroke} */
    const stroke = { op: 'stroke', key: freshKey(), size: state.size, ...part, points: part.points.map(([x, y]) => [tenth(x), tenth(y)]) };
    view.drawStroke(stroke, colourOfStroke(stroke));
    send(stroke);
  }

  /** @param {'undo' | 'redo' | 'clear' | 'take-answer'} op */
  const act = (op) => send({ op, key: freshKey() });

  /** @param {Edit} edit */
  function send(edit) {
    const item = openItem();
    if (!item || item.broken) return;
    outbox.add(item.id, edit);
    if (item.answer_revision !== null) updateItem({ id: item.id, stale: true });
  }

  watch(['look'], () => (state.look === 'confidence' && !sure ? void loadAnswer() : layAnswer()));
  watch(['opacity', 'items'], layAnswerOnce());
  watch(['project'], () => {
    layAnswer();
    void loadMarks();
  });

  /** Lay again only where something about the answer differs. */
  function layAnswerOnce() {
    let last = '';
    return () => {
      const now = `${state.opacity} ${openItem()?.stale}`;
      if (now === last) return;
      last = now;
      layAnswer();
    };
  }

  return { open, commit, act, setStatus, loadAnswer, loadEdits, boxes, outbox };
}

/** Begins the key of an answer that is taken to be corrected: it makes no example. */
const CORRECTS = 'correct-';

/** @param {Stroke} stroke */
const colourOfStroke = (stroke) => stroke.colour ?? colourOf(stroke.class ?? 0);

/** The hints since the image was cleared. @param {Stroke[]} strokes @param {number} width of the image */
function hintsOf(strokes, width) {
  const cleared = strokes.map((one) => one.tool === 'box' && one.class === null && one.points[1][0] === width).lastIndexOf(true);
  return strokes.slice(cleared + 1).filter(({ tool }) => tool === 'hint');
}

/** A key for an edit. `crypto.randomUUID` is not there over plain HTTP from another machine. */
const freshKey = () => [...crypto.getRandomValues(new Uint8Array(16))].map((one) => one.toString(16).padStart(2, '0')).join('');

/** @param {number} value */
const tenth = (value) => Math.round(value * 10) / 10;
