// @ts-check
/** The dialogs: taking results out, bringing things in, comparing engines, what the model saw, help. */
import * as api from './api.js';
import { bindingsByGroup } from './keys.js';
import { at, attempt, closeDialog, complain, ends, hand, make, percent, showDialog, span } from './parts.js';
import { boxing, painting, state, update } from './state.js';

/** @type {[string, string][]} */
const FORMATS = [
  ['masks', 'Masks: black and white'], ['indexed', 'Indexed masks'], ['per-class', 'One mask per class'], ['overlays', 'Overlays to look at'],
  ['coco', 'COCO (JSON)'], ['yolo', 'YOLO (text)'], ['labelme', 'LabelMe (JSON)'], ['voc', 'Pascal VOC (XML)'],
];

/** Of tasks whose answers are pictures. @type {[string, string][]} */
const PICTURES = [['masks', 'Pictures (PNG)']];

const formats = () => (boxing() ? FORMATS.filter(([name]) => !['indexed', 'per-class'].includes(name)) : painting() ? FORMATS : PICTURES);

const cancelButton = () => make('button', { type: 'button', onclick: closeDialog }, 'Close');

/** @param {string} name @param {string} value @param {string} label @param {boolean} checked */
const choice = (name, value, label, checked, type = 'radio') => make('label', {}, make('input', { type, name, value, checked }), label);

export function exportDialog() {
  const accepted = state.items.filter((item) => item.status === 'accepted' || item.status === 'nothing').length;
  const says = make('p', { role: 'status', class: 'quiet' });
  const go = make('button', { type: 'submit', class: 'main' }, 'Export');
  const form = make('form', { onsubmit: send },
    make('fieldset', {}, make('legend', {}, 'Files'), ...formats().map(([value, label], place) => choice('format', value, label, place === 0 || value === 'coco', 'checkbox'))),
    make('fieldset', {}, make('legend', {}, 'Of which images'),
      choice('which', 'accepted', `accepted ones (${accepted})`, accepted > 0), choice('which', 'all', 'all that are answered', accepted === 0)),
    make('label', {}, make('input', { type: 'checkbox', name: 'prompt', checked: true }), 'with the prompt file in the archive'),
    says,
    ends(make('button', { type: 'button', onclick: () => attempt(async () => hand(await api.promptFile(), 'prompt.vicl')) }, 'Only the prompt file'), cancelButton(), go));

  async function send(/** @type {Event} */ event) {
    event.preventDefault();
    const data = new FormData(form);
    const formats = /** @type {string[]} */ (data.getAll('format'));
    if (!formats.length) {
      says.textContent = 'Choose at least one kind of files.';
      return;
    }
    go.disabled = true;
    says.textContent = 'Making the archive …';
    try {
      hand(await api.exportZip({ formats, which: String(data.get('which')), prompt: data.has('prompt') }), 'vicl-export.zip');
      says.textContent = 'Done: vicl-export.zip is among your downloads.';
    } catch (problem) {
      says.textContent = /** @type {Error} */ (problem).message;
    }
    go.disabled = false;
  }

  showDialog('Export', make('p', { class: 'quiet' }, 'One zip with the answers. The prompt file is the examples with all settings: vicl predict --prompt prompt.vicl gives the same answers on any other images.'), form);
}

/** @param {() => Promise<void>} reload */
export function importDialog(reload) {
  const says = make('p', { role: 'status', class: 'quiet' });

  /** @param {string} title @param {string} what @param {string} accept @param {boolean} many @param {(files: File[]) => Promise<any>} bring */
  function source(title, what, accept, many, bring) {
    const input = make('input', { type: 'file', accept, multiple: many, class: 'unseen', onchange: async () => {
      const files = [...input.files];
      if (!files.length) return;
      says.className = 'quiet';
      says.textContent = 'Reading …';
      try {
        const came = await bring(files);
        await reload();
        const broken = (came?.items ?? []).filter((/** @type {import('./types').Item} */ item) => item.broken);
        const wrong = [...broken.map((/** @type {import('./types').Item} */ item) => item.broken), ...(came?.left_out ?? [])];
        says.textContent = wrong.join(' ') || 'Done.';
        says.className = wrong.length ? 'problem' : 'quiet';
      } catch (problem) {
        says.textContent = /** @type {Error} */ (problem).message;
        says.className = 'problem';
      }
      input.value = '';
    } });
    return make('div', {}, make('h3', {}, title), make('p', { class: 'quiet' }, what), make('label', { class: 'button' }, 'Choose…', input));
  }

  showDialog('Import', make('div', { class: 'stack' },
    source('Pictures', 'They are copied into the project. Dropping them on the page does the same.', 'image/*,.tif,.tiff', true, (files) => api.upload(files)),
    source('Marks as examples', boxing() ? 'COCO, YOLO, LabelMe or VOC files, in a zip or one by one.' : 'COCO, YOLO, LabelMe or VOC files, or masks, in a zip or one by one.', '.json,.txt,.xml,.png,.zip', true, (files) => api.importFiles(files, 'examples')),
    source('Marks as answers to correct', 'The same, but you judge each.', '.json,.txt,.xml,.png,.zip', true, (files) => api.importFiles(files, 'answers')),
    source('A prompt file', 'Its examples become images of this project.', '.vicl', false, (files) => api.openPrompt(files[0])),
    says, ends(cancelButton())));
}

/** @param {() => Promise<void>} reload @returns {Promise<HTMLElement[]>} one button for each bundled set */
export async function sampleButtons(reload) {
  const { samples } = await api.sampleSets();
  return samples.map(({ name, title }) => make('button', { type: 'button', class: 'sample', onclick: () => attempt(async () => {
    await api.useSamples(name);
    await reload();
  }) }, title || name));
}

/** Engines beside each other on these very examples. */
export async function engineDialog() {
  const estimate = await attempt(() => api.tryEstimate());
  if (!estimate) return;
  const body = make('tbody', { id: 'tried' });
  const says = make('p', { role: 'status', class: 'quiet', id: 'trying' }, estimate.needs ? `It needs ${estimate.needs}.` : '');
  const stop = make('button', { type: 'button', id: 'stop-trying', hidden: true, onclick: () => attempt(() => api.cancelTry().then(() => triedAll('Stopped.'))) }, 'Stop');
  const go = make('button', { type: 'button', class: 'main', id: 'try-all', disabled: !!estimate.needs, onclick: () => {
    go.disabled = true;
    stop.hidden = false;
    body.replaceChildren();
    says.textContent = 'Trying …';
    api.tryEngines().catch((problem) => triedAll(problem.message));
  } }, 'Try all');
  const parts = estimate.engines.map((/** @type {{name: string, seconds: number, measured: boolean}} */ one) => `${one.name} ${one.measured ? '' : 'perhaps '}${span(one.seconds)}`);
  showDialog('Which engine?',
    make('p', {}, `Each ready engine answers every example by the other ones.${estimate.seconds ? ` This takes about ${span(estimate.seconds)}: ${parts.join(', ')}.` : ''}`),
    make('table', {}, make('thead', {}, make('tr', {}, make('th', {}, 'Engine'), make('th', {}, 'Overlap'), make('th', {}, ''))), body), says, ends(cancelButton(), stop, go));
}

/** Trying is over. @param {string} sentence */
export function triedAll(sentence) {
  if (!at('trying')) return;
  at('trying').textContent = sentence;
  at('stop-trying').hidden = true;
  at('try-all').disabled = false;
}

/** Every engine there is with what it needs, and a place for a folder's or the hub's. @param {() => void} changed */
export async function moreEngines(changed) {
  const found = await attempt(() => api.engines());
  if (!found) return;
  const says = make('p', { role: 'status', class: 'quiet' });
  const field = make('input', { type: 'text', id: 'engine-source', 'aria-label': 'Model folder or hub:owner/name', placeholder: '/folder of a model, or hub:owner/name', maxlength: 4096 });

  /** @param {string} source */
  async function use(source) {
    says.className = 'quiet';
    says.textContent = `Loading ${source} …`;
    try {
      update({ project: await api.patchProject({ engine: source }, state.project?.revision ?? 0) });
      says.textContent = `${source} answers from now on.`;
      changed();
    } catch (problem) {
      says.textContent = /** @type {Error} */ (problem).message;
      says.className = 'problem';
    }
  }

  const row = (/** @type {import('./types').Engine} */ one) => make('tr', {},
    make('td', {}, make('strong', {}, one.name), make('br'), one.what, ...(one.licence ? [make('br'), make('span', { class: 'quiet' }, `Licence: ${one.licence}`)] : [])),
    make('td', { class: 'quiet' }, one.ready ? 'ready' : `needs ${one.needs}`),
    make('td', {}, make('button', { type: 'button', 'aria-label': `Use ${one.name}`, onclick: () => use(one.name) }, 'Use')));
  showDialog('More engines',
    make('p', { class: 'quiet' }, 'Of another\'s model this machine reads the files, or fetches them from the Hugging Face hub, when you choose it; your pictures stay here.'),
    make('form', { onsubmit: (/** @type {Event} */ event) => {
      event.preventDefault();
      if (field.value.trim()) void use(field.value.trim());
    } }, field, ' ', make('button', { type: 'submit', class: 'main' }, 'Load')),
    says, make('table', { id: 'engines' }, make('tbody', {}, ...found.engines.map(row))), ends(cancelButton()));
}

let asked = '';
/** Ask once whether the engine that a project names may be loaded. @param {() => void} changed */
export function askEngine(changed) {
  const { project } = state;
  if (!project?.asks || asked === project.engine) return;
  asked = project.engine ?? '';
  const choose = (/** @type {string | null} */ engine) => async () => {
    closeDialog();
    await chooseEngine(engine);
    changed();
  };
  showDialog('Load this engine?', make('p', {}, project.asks), ends(
    make('button', { type: 'button', onclick: choose(null) }, 'Use the best for the task'),
    make('button', { type: 'button', class: 'main', onclick: choose(asked) }, 'Load it')));
}

/** One engine's result came. @param {{engine: string, expected?: number, low?: number, high?: number, detail?: string}} result */
export function engineTried(result) {
  const figure = result.expected === undefined ? result.detail ?? '' : `${percent(result.expected)}${result.low === undefined ? '' : ` (${percent(result.low)} to ${percent(result.high ?? 1)})`}`;
  at('tried')?.append(make('tr', {}, make('td', {}, result.engine), make('td', {}, figure),
    make('td', {}, make('button', { type: 'button', onclick: () => chooseEngine(result.engine) }, 'Use it'))));
}

/** @param {string | null} engine null: the one that suits the task best */
export const chooseEngine = (engine) => changeProject({ engine });

/** @param {object} change */
export async function changeProject(change) {
  if (!state.project) return;
  try {
    update({ project: await api.patchProject(change, state.project.revision) });
  } catch (problem) {
    complain(problem);
    update({ project: await api.project() });
  }
}

export async function seenDialog() {
  if (!state.open) return;
  const blob = await attempt(() => api.canvasSeen(/** @type {string} */ (state.open)));
  if (!blob) return;
  const address = URL.createObjectURL(blob);
  showDialog('What the model saw', make('img', { class: 'canvas', src: address, alt: 'The canvas with examples and the hole, as the model filled it' }), ends(cancelButton()))
    .addEventListener('close', () => URL.revokeObjectURL(address), { once: true });
}

export function helpDialog() {
  showDialog('Keys', make('div', { class: 'columns' }, ...bindingsByGroup().map(([group, bindings]) => make('div', {}, make('h3', {}, group),
    make('dl', { class: 'keys' }, ...bindings.flatMap(({ show, what }) => [make('dt', {}, make('kbd', {}, show)), make('dd', {}, what)]))))),
  make('p', { class: 'quiet' }, 'Nothing leaves this machine. Everything is saved in the project folder as you draw it.'), ends(cancelButton()));
}
