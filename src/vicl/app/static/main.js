// @ts-check
/** The page: puts the parts together. */
import * as api from './api.js';
import { View } from './canvas.js';
import { classPanel } from './classes.js';
import { askEngine, chooseEngine, changeProject, engineDialog, engineTried, exportDialog, helpDialog, importDialog, moreEngines, sampleButtons, seenDialog, triedAll } from './dialogs.js';
import { gallery } from './gallery.js';
import { listen } from './input.js';
import { huePanel, pickHue } from './hues.js';
import { actOf } from './keys.js';
import { again, answerNow, loop } from './loop.js';
import { marking } from './marking.js';
import { at, attempt, complain, drawn, make, note } from './parts.js';
import { sidePane } from './side.js';
import { boxing, colourOf, hinting, openItem, painting, state, takeItems, update, updateItem, watch } from './state.js';
import { makeTools, TOOLS, toolsOf } from './tools/index.js';

/** @typedef {import('./types').Item} Item */

const view = new View(at('stage'));
const side = sidePane(at('side'), view);
view.changed = side.later;
const marks = marking(view, side, again);
const say = (/** @type {string} */ sentence) => (at('hint').textContent = sentence);
const tools = makeTools({
  view, say, klass: () => state.klass, colour: () => colourOf(state.klass), hue: () => state.hue, boxes: () => marks.boxes(), size: () => state.size,
  image: () => state.open, commit: marks.commit,
}, () => input.outside());
const suits = () => toolsOf(state.project?.task).some((tool) => tool.name === state.tool);
const toolOf = () => (suits() && openItem() && !openItem()?.broken ? tools[state.tool] : null);
const ring = () => (suits() && TOOLS.find((tool) => tool.name === state.tool)?.ring ? state.size : 0);
const input = listen(view, { tool: toolOf, ring, size: grow });

function grow(/** @type {number} */ steps) {
  update({ size: Math.min(400, Math.max(1, Math.round(state.size * 1.18 ** steps + 0.6 * steps))) });
}

/** @param {number} by */
function step(by) {
  const whole = state.items.filter((item) => !item.broken);
  const place = whole.findIndex((item) => item.id === state.open);
  const next = whole[Math.min(Math.max(place + by, 0), whole.length - 1)];
  if (next && next.id !== state.open) void marks.open(next.id);
}

/** Give a verdict and go on to the next image that waits for one. @param {import('./types').Status} status */
async function judge(status) {
  const item = openItem();
  if (!item || item.broken) return;
  const wanted = item.status === status ? 'open' : status;
  await attempt(async () => {
    await marks.setStatus(item.id, { status: wanted });
    const place = state.items.findIndex((one) => one.id === item.id);
    const order = [...state.items.slice(place + 1), ...state.items.slice(0, place)];
    const next = order.find((one) => one.status === 'open' && !one.example && !one.broken);
    if (wanted !== 'open' && next) await marks.open(next.id);
  });
}

/** Make the open image an example, its answer taken where nothing is marked; or leave it out again. */
async function promote() {
  const item = openItem();
  if (!item || item.broken) return;
  if (!item.example && painting() && item.answer_revision !== null && !(boxing() && item.marked)) marks.act('take-answer');
  else if (!item.example && painting() && !item.marked) note('Mark a part of it first, or wait for its answer.');
  else await attempt(() => marks.setStatus(item.id, { example: !item.example }).then(() => again()));
}

const LOOKS = /** @type {const} */ (['overlay', 'contours', 'confidence', 'side', 'none']);

/** @type {Record<string, () => unknown>} */
const ACTS = {
  undo: () => (state.edits?.undo === 0 && !state.unsent && openItem()?.marked ? note('No stroke is left to take back: the last 500 of an image can be, what is before them stays.') : marks.act('undo')),
  redo: () => marks.act('redo'),
  smaller: () => grow(-1),
  larger: () => grow(1),
  clear: () => marks.act('clear'),
  escape: () => {
    tools[state.tool].cancel();
    input.lift();
  },
  zoomIn: () => view.zoom(1.25),
  zoomOut: () => view.zoom(0.8),
  fit: () => view.fit(),
  hide: () => update({ look: state.look === 'none' ? 'overlay' : 'none' }),
  look: () => update({ look: LOOKS[(LOOKS.indexOf(state.look) + 1) % LOOKS.length] }),
  fullscreen: () => (document.fullscreenElement ? document.exitFullscreen() : document.documentElement.requestFullscreen()),
  next: () => step(1),
  previous: () => step(-1),
  promote,
  hue: () => hinting() && at('hue').showPicker(),
  once: () => attempt(answerNow),
  cancel: () => attempt(() => api.cancelAnswers().then(() => update({ progress: null }))),
  help: helpDialog,
};

/** @param {string} act */
function perform(act) {
  const [kind, value] = act.split(':');
  if (kind === 'tool') choose(/** @type {import('./types').ToolName} */ (value));
  else if (kind === 'class') (boxing() && value === '0') || update({ klass: Number(value) });
  else if (kind === 'verdict') void judge(/** @type {import('./types').Status} */ (value));
  else ACTS[act]();
}

/** @param {import('./types').ToolName} tool */
function choose(tool) {
  const key = TOOLS.find((one) => one.name === tool)?.key;
  const meant = toolsOf(state.project?.task).find((one) => one.key === key);
  if (!meant) return;
  tools[state.tool].cancel();
  input.lift();
  update({ tool: meant.name });
}

addEventListener('keydown', (event) => {
  const target = /** @type {HTMLElement} */ (event.target);
  if (at('dialog').open || target.matches('input[type="text"], select, textarea')) return;
  const onStage = target === view.container || target === document.body;
  if (onStage && (toolOf()?.key(event.key) || (!event.ctrlKey && !event.metaKey && input.key(event)))) return event.preventDefault();
  if (hinting() && !event.ctrlKey && !event.metaKey && pickHue(event.key)) return event.preventDefault();
  const klass = !event.ctrlKey && !event.metaKey && state.project?.classes.find((one) => one.key && one.key === event.key);
  const act = klass ? `class:${klass.id}` : actOf(event);
  if (!act) return;
  event.preventDefault();
  perform(act);
});

/** Read the project and its images anew, keep the open one open, and have answered what waits. */
async function reload() {
  const [project, items] = await Promise.all([api.project(), list()]);
  update({ project });
  takeItems(items);
  const first = items.find((item) => !item.broken);
  if (!openItem() && first) await marks.open(first.id);
  await showEmpty();
  again();
}

async function showEmpty() {
  const none = !state.items.some((item) => !item.broken);
  at('empty').hidden = !none;
  if (!none) return;
  const broken = state.items.length;
  at('empty').replaceChildren(make('div', {},
    make('h2', {}, broken ? 'No picture here can be read' : 'No pictures yet'),
    make('p', {}, broken ? 'Each tile at the left says why. Add others:' : 'Show one image what you mean; the others are answered by it:'),
    make('ol', {}, make('li', {}, 'Drop pictures on this page, or start vicl app with their folder.'),
      make('li', {}, 'Paint the thing on one of them, and a little of what it is not (class 0).'),
      make('li', {}, 'Look at the answers, correct the worst, take the result out.')),
    make('h3', {}, 'Or begin with a sample'), make('div', { class: 'samples' }, ...(await sampleButtons(reload)))));
}

/** Answers that came while the list was on its way, which may be older. @type {Map<string, Partial<Item>>} */
const heard = new Map();

/** The newest question for the items. @type {Promise<Item[]>} */
let newest = Promise.resolve([]);

/** All items as they are now: whoever asked before somebody else did gets the later answer too. @returns {Promise<Item[]>} */
function list() {
  heard.clear();
  /** @type {Promise<Item[]>} */
  const mine = api.images(state.sort).then((items) =>
    mine === newest ? items.map((item) => ({ ...item, ...heard.get(item.id) })) : newest);
  newest = mine;
  return mine;
}

/** Items again, not more often than once in a while. */
const refresh = (() => {
  let due = false;
  return () => {
    if (due) return;
    due = true;
    setTimeout(async () => {
      due = false;
      await attempt(async () => takeItems(await list()));
    }, 600);
  };
})();

/** @param {any} event */
function hear(event) {
  if (event.kind === 'answer') {
    const { id, revision, confidence, presence } = event;
    const change = { stale: false, answer_revision: revision, confidence, presence };
    heard.set(id, change);
    updateItem({ id, ...change });
    if (id === state.open) void marks.loadAnswer();
    if (state.sort === 'unsure') refresh();
  } else if (event.kind === 'progress') {
    // The list itself is asked for twice a round, not once an answer: how old the others' answers are, files that came or broke.
    if (event.done === 1 || event.done === event.total) refresh();
    update({ progress: event.total ? { done: event.done, total: event.total, seconds: event.seconds_left ?? null } : null });
  } else if (event.kind === 'project') {
    if (event.revision !== state.project?.revision) void attempt(async () => update({ project: await api.project() }));
  } else if (event.kind === 'trial') engineTried(event);
  else if (event.kind === 'trials') triedAll('Done.');
  else if (event.kind === 'error') note(event.detail, 12);
}

function wire() {
  at('strip').replaceChildren(...TOOLS.map(({ name, key, title, what, icon }) => {
    const button = make('button', { type: 'button', 'data-tool': name, 'aria-label': title, title: `${title} (${key.toUpperCase()}): ${what}`, onclick: () => choose(name) });
    button.append(drawn('svg', { viewBox: '0 0 24 24', 'aria-hidden': 'true' }, drawn('path', { d: icon })), make('kbd', { 'aria-hidden': 'true' }, key.toUpperCase()));
    return button;
  }));
  for (const button of document.querySelectorAll('[data-act]')) {
    button.addEventListener('click', () => perform(/** @type {HTMLElement} */ (button).dataset.act ?? ''));
  }
  at('size').addEventListener('input', () => update({ size: Number(at('size').value) }));
  at('opacity').addEventListener('input', () => update({ opacity: at('opacity').value / 100 }));
  at('look').addEventListener('change', () => update({ look: at('look').value }));
  at('sort').addEventListener('change', () => attempt(async () => {
    state.sort = at('sort').value;
    takeItems(await list());
  }));
  at('task').addEventListener('change', () => changeProject({ task: at('task').value }).then(reload));
  at('engine').addEventListener('change', async () => {
    const { value } = at('engine');
    if (value === '?' || value === '+') {
      at('engine').value = state.project?.engine ?? '';
      return value === '?' ? engineDialog() : moreEngines(again);
    }
    await chooseEngine(value || null);
    again();
  });
  at('open-export').addEventListener('click', exportDialog);
  at('open-import').addEventListener('click', () => importDialog(reload));
  at('open-help').addEventListener('click', helpDialog);
  at('seen').addEventListener('click', seenDialog);
  at('output-file').addEventListener('change', () => attempt(uploadOutput));
  at('theme').addEventListener('click', () => {
    const dark = getComputedStyle(document.documentElement).colorScheme === 'dark';
    theme(dark ? 'light' : 'dark');
  });
}

async function uploadOutput() {
  const [file] = at('output-file').files;
  const item = openItem();
  at('output-file').value = '';
  if (!file || !item) return;
  updateItem(await api.putOutput(item.id, file));
  note('This image and its output are an example now.');
  again();
}

/** @param {string} name */
function theme(name) {
  document.documentElement.dataset.theme = name;
  localStorage.setItem('vicl.theme', name);
}

function dropping() {
  let depth = 0;
  const show = (/** @type {number} */ by) => {
    depth = Math.max(0, depth + by);
    at('drop').hidden = !depth;
  };
  addEventListener('dragenter', () => show(1));
  addEventListener('dragleave', () => show(-1));
  addEventListener('dragover', (event) => event.preventDefault());
  addEventListener('drop', (event) => {
    event.preventDefault();
    show(-depth);
    const files = [...(event.dataTransfer?.files ?? [])];
    if (files.length) void attempt(async () => {
      const { items } = await api.upload(files);
      for (const item of items) if (item.broken) note(item.broken, 15);
      await reload();
    });
  });
}

function showing() {
  watch(['tool', 'project', 'open'], () => {
    for (const button of at('strip').children) {
      button.setAttribute('aria-pressed', String(button.dataset.tool === state.tool));
      const of = toolsOf(state.project?.task);
      button.hidden = of.length > 0 && !of.some((tool) => tool.name === button.dataset.tool);
      button.disabled = !of.length;
    }
    view.container.className = !suits() ? '' : ring() ? 'ring' : 'cross';
    const tool = TOOLS.find((one) => one.name === state.tool);
    say(openItem()?.broken ?? (suits() && tool ? `${tool.title}: ${tool.what}` : ''));
    at('classes').hidden = !painting();
    at('hint-part').hidden = !hinting();
    at('output-part').hidden = painting() || !state.open;
    at('output-what').textContent = `For ${state.project?.task}, an example is this image and the picture that should come out. Choose that picture.`;
  });
  watch(['size'], () => {
    at('size').value = state.size;
    at('size-now').textContent = `${state.size} px`;
  });
  watch(['opacity'], () => (at('opacity').value = Math.round(100 * state.opacity)));
  watch(['look'], () => (at('look').value = state.look));
  watch(['edits'], () => {
    for (const op of /** @type {const} */ (['undo', 'redo'])) {
      const button = document.querySelector(`[data-act="${op}"]`);
      if (button instanceof HTMLButtonElement) button.disabled = !state.edits?.[op];
    }
  });
  watch(['unsent', 'connected'], () => {
    at('saved').textContent = state.unsent ? `${state.unsent} to save …` : state.connected ? 'Saved' : 'No connection';
  });
  watch(['project'], showProject);
  let task = '';
  watch(['project'], () => {
    if (!state.project || state.project.task === task) return;
    // A coloured photograph is looked at as it is, and dabs are small.
    const [first] = toolsOf(state.project.task);
    if (hinting()) update({ opacity: 1, size: 12 });
    else if (task === 'colorization') update({ opacity: 0.55, size: 40 });
    task = state.project.task;
    if (boxing() && !state.klass) update({ klass: state.project.classes[0]?.id ?? 1 });
    if (first && !suits()) update({ tool: first.name });
  });
}

function showProject() {
  const { project } = state;
  if (!project) return;
  const name = project.folder.split(/[\\/]/).pop() ?? '';
  at('folder').textContent = name;
  at('folder').title = project.folder;
  document.title = `${name} – vicl`;
  at('task').replaceChildren(...project.tasks.map((task) => make('option', { value: task, selected: task === project.task }, task)));
  at('engine').replaceChildren(make('option', { value: '' }, 'best for the task'),
    ...project.engines.map(({ name, what, ready, needs }) => make('option', { value: name, disabled: !ready, selected: name === project.engine, title: what }, ready ? name.replace(/^\/.*(?=\/)/, '…') : `${name} (${needs})`)),
    make('option', { value: '+' }, 'More engines…'), make('option', { value: '?' }, 'Compare them…'));
  askEngine(again);
  if (state.klass && !project.classes.some((one) => one.id === state.klass)) update({ klass: project.classes[0]?.id ?? 0 });
}

async function start() {
  const kept = localStorage.getItem('vicl.theme');
  if (kept) theme(kept);
  wire();
  showing();
  dropping();
  gallery((id) => void marks.open(id), refresh);
  classPanel();
  huePanel();
  loop((status) => void judge(status));
  await reload();
  marks.outbox.resume(state.project?.place ?? '');
  let was = true;
  api.events(hear, (connected) => {
    if (connected && !was) void attempt(() => reload().then(marks.loadEdits));
    was = connected;
    update({ connected });
  });
}

start().catch(complain);
