// @ts-check
/** The loop: verdicts on the open image, answering live or once, progress, and the score that says when to stop. */
import * as api from './api.js';
import { at, attempt, drawn, make, percent, span } from './parts.js';
import { hinting, openItem, painting, state, update, watch } from './state.js';

/** A pause after the last edit before answering again, in ms: quick strokes are one question. */
const PAUSE = 120;
/** The score is worked out only after this long without a new edit, in ms. */
const CALM = 2500;

/** @type {[import('./types').Status, string, string][]} */
export const VERDICTS = [['accepted', 'Accept', 'a'], ['skipped', 'Skip', 's'], ['rejected', 'Reject', 'x'], ['nothing', 'Nothing here', 'n']];

/** @param {(status: import('./types').Status) => void} judge */
export function loop(judge) {
  at('verdicts').replaceChildren(...VERDICTS.map(([status, title, key]) =>
    make('button', { type: 'button', 'data-status': status, onclick: () => judge(status) }, title, make('kbd', {}, key.toUpperCase()))));
  watch(['items', 'open', 'facts', 'project'], showImage);
  watch(['progress', 'project', 'items'], showProgress);
  watch(['score'], showScore);
  watch(['items'], () => {
    const accepted = state.items.filter((item) => item.status === 'accepted').length;
    const all = state.items.filter((item) => !item.broken).length;
    at('accepted').textContent = all ? `${accepted} of ${all} images accepted` : '';
  });
  at('live').checked = state.live;
  at('live').addEventListener('change', () => {
    update({ live: at('live').checked });
    if (state.live) again();
  });
}

function showImage() {
  const item = openItem();
  at('this').hidden = !item || !!item.broken;
  at('seen').hidden = !item || !state.facts?.canvas;
  if (!item) return;
  for (const button of at('verdicts').children) button.setAttribute('aria-pressed', String(button.dataset.status === item.status));
  at('this-facts').replaceChildren(...facts(item));
  at('example').hidden = !painting() && !hinting() && !item.output;
  at('example').setAttribute('aria-pressed', String(item.example));
  at('example').replaceChildren(item.example ? 'Is an example: leave it out' : item.answer_revision !== null && painting() ? 'Make it an example, with the answer' : 'Make it an example', ' ', make('kbd', {}, 'M'));
}

/** @param {import('./types').Item} item */
function facts(item) {
  const found = state.facts;
  if (item.example) return [hinting() ? 'An example: the other images are coloured as this one is.' : 'An example: what is marked here is what the other images are answered by.'];
  if (!found) return ['No answer yet.'];
  if (item.hinted) return [`By your hints${found.seconds === null ? '' : `, in ${found.seconds.toFixed(2)} s`}.`];
  const parts = [];
  if (found.confidence !== null) parts.push(make('strong', { class: found.confidence < 0.5 ? 'unsure' : '' }, `${percent(found.confidence)} sure`));
  if (painting() && found.presence !== null && found.presence < 0.5) parts.push(', probably nothing here');
  else if (found.objects) parts.push(`, ${found.objects} object${found.objects > 1 ? 's' : ''}`);
  if (found.seconds !== null) parts.push(`, in ${found.seconds.toFixed(2)} s`);
  if (item.stale) parts.push(make('span', { class: 'quiet' }, ' (of the marks before)'));
  return parts.length ? parts : ['Answered.'];
}

function showProgress() {
  const { progress } = state;
  const busy = !!progress && progress.done < progress.total;
  at('cancel').hidden = at('progress').hidden = !busy;
  if (progress) at('progress').value = progress.total ? progress.done / progress.total : 1;
  const line = progressLine();
  if (at('progress-text').textContent !== line) at('progress-text').textContent = line;
}

function progressLine() {
  const { progress } = state;
  if (progress && progress.done < progress.total) return `${progress.done} of ${progress.total}${progress.seconds ? `, ${span(progress.seconds)} left` : ''}`;
  // A page that is opened again has heard of no round, but there are answers.
  const answered = progress?.total ?? state.items.filter((item) => item.answer_revision !== null && !item.stale).length;
  if (progress || answered) return `${answered} answered`;
  return hinting() ? 'Dab a colour where you know it; it spreads. M makes the result an example for the other images.' : 'Mark one image; the others are answered.';
}

/** @type {ReturnType<typeof setTimeout> | undefined} */
let timer;
/** @type {ReturnType<typeof setTimeout> | undefined} */
let scoreTimer;
/** @type {AbortController | undefined} */
let scoring;

/** Answer again after an edit: the open image first, then all others that wait for a verdict. @param {number} [pause] in ms */
export function again(pause = PAUSE) {
  clearTimeout(scoreTimer);
  scoring?.abort();
  scoreTimer = setTimeout(() => void measure(), CALM);
  if (!state.live) return;
  clearTimeout(timer);
  timer = setTimeout(() => void attempt(answerNow), pause);
}

/** Is an image an example of the task as it is now? @param {import('./types').Item} item */
const teaches = (item) => item.example && (painting() || item.output || state.project?.task === 'colorization');

export async function answerNow() {
  if (!state.items.some((item) => teaches(item) || (hinting() && item.hinted))) return;
  await api.startAnswers('all', state.open);
}

/** Leave one example out in turn: how well would it have been answered? */
async function measure() {
  const examples = state.items.filter(teaches).length;
  if (examples < 2) return update({ score: { needs: 'two examples' } });
  scoring = new AbortController();
  const { signal } = scoring;
  try {
    update({ score: await api.score(signal) });
  } catch (problem) {
    if (!signal.aborted) at('score').replaceChildren(make('p', { class: 'problem' }, /** @type {Error} */ (problem).message));
  }
}

function showScore() {
  const { score } = state;
  if (!score || typeof score.expected !== 'number') {
    return at('score').replaceChildren(make('p', { class: 'quiet' }, 'With two examples or more, each is left out in turn and answered by the others: that is the score to expect.'));
  }
  const history = score.history ?? [];
  const last = history.length > 1 ? history[history.length - 1].expected - history[history.length - 2].expected : null;
  at('score').replaceChildren(
    make('p', {}, make('span', { class: 'figure' }, percent(score.expected)), ' expected overlap'),
    make('p', { class: 'quiet' }, `${percent(score.low ?? 0)} to ${percent(score.high ?? 1)} by ${score.examples} examples; copying an example's marks: ${percent(score.copy ?? 0)}`),
    ...(last === null ? [] : [make('p', {}, advice(last)), curve(history, score.copy ?? 0)]));
}

/** @param {number} change by the last example */
function advice(change) {
  const points = Math.round(100 * change);
  if (points > 1) return `The last example added ${points} points: one more pays.`;
  return points < -1 ? `The last example took ${-points} points: look whether its marks are right.` : 'The last example changed little: you can stop here.';
}

/** @param {{examples: number, expected: number}[]} history @param {number} copy */
function curve(history, copy) {
  const x = (/** @type {number} */ place) => 6 + (188 * place) / (history.length - 1);
  const y = (/** @type {number} */ value) => 50 - 46 * value;
  const points = history.map(({ expected }, place) => `${x(place)},${y(expected)}`).join(' ');
  return drawn('svg', { class: 'history', viewBox: '0 0 200 54', role: 'img', 'aria-label': `Score by number of examples: ${history.map((one) => percent(one.expected)).join(', ')}` },
    drawn('line', { class: 'copy', x1: 0, x2: 200, y1: y(copy), y2: y(copy) }),
    drawn('polyline', { class: 'line', points }),
    ...history.map(({ expected }, place) => drawn('circle', { class: 'dot', cx: x(place), cy: y(expected), r: 3 })));
}
