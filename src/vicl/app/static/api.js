// @ts-check
/** The only module that talks to the server. Every other one calls these functions. */

/** @typedef {import('./types').Project} Project */
/** @typedef {import('./types').Item} Item */
/** @typedef {import('./types').Edits} Edits */

/** A refusal, as a sentence for the person. `status` 0: the server was not reached. */
export class ApiError extends Error {
  /** @param {number} status @param {string} detail @param {any} [state] */
  constructor(status, detail, state) {
    super(detail);
    this.status = status;
    this.state = state;
  }
}

/**
 * @param {string} path below /v1
 * @param {RequestInit} [options]
 * @returns {Promise<Response>}
 */
async function ask(path, options) {
  let reply;
  try {
    reply = await fetch(`/v1${path}`, options);
  } catch (cause) {
    if (/** @type {Error} */ (cause).name === 'AbortError') throw cause;
    throw new ApiError(0, 'The vicl server does not answer. Is `vicl app` still running?');
  }
  if (reply.ok) return reply;
  const problem = await reply.json().catch(() => ({}));
  throw new ApiError(reply.status, problem.detail || `The server said ${reply.status}.`, problem.state);
}

/** @param {string} path @param {RequestInit} [options] */
async function askJson(path, options) {
  const reply = await ask(path, options);
  return reply.status === 204 ? null : reply.json();
}

/** @param {string} method @param {unknown} body @param {number | string} [revision] @returns {RequestInit} */
function sending(method, body, revision) {
  /** @type {Record<string, string>} */
  const headers = { 'Content-Type': 'application/json' };
  if (revision !== undefined) headers['If-Match'] = String(revision);
  return { method, headers, body: JSON.stringify(body) };
}

/** @param {Iterable<File>} files @param {string} [field] */
function form(files, field = 'files') {
  const data = new FormData();
  for (const file of files) data.append(field, file, file.name);
  return data;
}

/** @param {string} id */
const image = (id) => `/images/${encodeURIComponent(id)}`;

/** A picture as a bitmap, or null where there is none. @param {string} path @param {AbortSignal} [signal] */
async function bitmap(path, signal) {
  try {
    const reply = await ask(path, { signal });
    return await createImageBitmap(await reply.blob(), { premultiplyAlpha: 'none', colorSpaceConversion: 'none' });
  } catch (problem) {
    if (problem instanceof ApiError && problem.status === 404) return null;
    throw problem;
  }
}

/** @returns {Promise<Project>} */
export const project = () => askJson('/project');
/** @param {object} change @param {number} revision @returns {Promise<Project>} */
export const patchProject = (change, revision) => askJson('/project', sending('PATCH', change, revision));

/** Every image of the project, in pages of 500. @param {'name' | 'unsure'} sort @returns {Promise<Item[]>} */
export async function images(sort) {
  /** @type {Item[]} */
  const items = [];
  for (;;) {
    const page = await askJson(`/images?sort=${sort}&offset=${items.length}&limit=500`);
    items.push(...page.items);
    if (!page.items.length || items.length >= page.total) return items;
  }
}
/** @param {Iterable<File>} files @returns {Promise<{items: Item[]}>} */
export const upload = (files) => askJson('/images', { method: 'POST', body: form(files) });

/** @param {string} id */
export const thumbnailAddress = (id) => `/v1${image(id)}/thumbnail`;
/** @param {string} id @param {AbortSignal} signal */
export const picture = (id, signal) => bitmap(`${image(id)}/picture?max=2048`, signal);
/** @param {string} id @param {AbortSignal} [signal] */
export const marks = (id, signal) => bitmap(`${image(id)}/marks?max=2048`, signal);
/** @param {string} id @param {number} max longest side @param {AbortSignal} [signal] */
export const answer = (id, max, signal) => bitmap(`${image(id)}/answer?max=${max}`, signal);
/** @param {string} id @param {AbortSignal} [signal] */
export const confidence = (id, signal) => bitmap(`${image(id)}/confidence?max=2048`, signal);
/** @param {string} id */
export const canvasSeen = async (id) => (await ask(`${image(id)}/canvas`)).blob();
/** @param {string} id @returns {Promise<import('./types').AnswerFacts>} */
export const answerFacts = (id) => askJson(`${image(id)}/answer.json`);

/** @param {string} id @returns {Promise<Edits>} */
export const edits = (id) => askJson(`${image(id)}/edits`);
/** @param {string} id @param {import('./types').Edit} edit @param {number | '*'} revision */
export const postEdit = (id, edit, revision) => askJson(`${image(id)}/edits`, sending('POST', edit, revision));
/** @param {string} id @param {{status?: string, example?: boolean}} change @param {number | '*'} revision */
export const putStatus = (id, change, revision) => askJson(`${image(id)}/status`, sending('PUT', change, revision));
/** Give an image its output; it is an example then. @param {string} id @param {File} file @returns {Promise<Item>} */
export const putOutput = (id, file) => askJson(`${image(id)}/output`, { method: 'PUT', body: form([file], 'file'), headers: { 'If-Match': '*' } });

/**
 * Three masks for the clicks, best first.
 * @param {string} id
 * @param {{points: import('./types').Point[], labels: number[], box: number[] | null}} clicks
 * @returns {Promise<{candidates: import('./types').Candidate[]}>}
 */
export const candidates = (id, clicks) => askJson(`${image(id)}/candidates`, sending('POST', clicks));

/** @param {'open' | 'all'} scope @param {string | null} first the image that is open */
export const startAnswers = (scope, first) => askJson('/answers', sending('POST', first ? { scope, image: first } : { scope }));
export const cancelAnswers = () => askJson('/answers', { method: 'DELETE' });
/** @param {AbortSignal} [signal] @returns {Promise<import('./types').Score>} */
export const score = (signal) => askJson('/score', { signal });
/** All engines, those that need something among them. @returns {Promise<{engines: import('./types').Engine[]}>} */
export const engines = () => askJson('/engines');
/** What trying all engines would take. */
export const tryEstimate = () => askJson('/engines/try');
export const tryEngines = () => askJson('/engines/try', sending('POST', {}));
export const cancelTry = () => askJson('/engines/try', { method: 'DELETE' });

/** @param {{formats: string[], which: string, prompt: boolean}} wish */
export const exportZip = async (wish) => (await ask('/export', sending('POST', wish))).blob();
export const promptFile = async () => (await ask('/prompt')).blob();
/** @param {File} file */
export const openPrompt = (file) => askJson('/prompt', { method: 'POST', body: form([file], 'file') });
/** @param {Iterable<File>} files @param {'examples' | 'answers'} as */
export const importFiles = (files, as) => askJson(`/import?as=${as}`, { method: 'POST', body: form(files) });
/** @returns {Promise<{samples: import('./types').SampleSet[]}>} */
export const sampleSets = () => askJson('/samples');
/** @param {string} name */
export const useSamples = (name) => askJson('/samples', sending('POST', { name }));

/**
 * News from the server, until the page closes. The browser connects again by itself.
 * @param {(event: any) => void} hear
 * @param {(connected: boolean) => void} connection
 */
export function events(hear, connection) {
  const source = new EventSource('/v1/events');
  source.onopen = () => connection(true);
  source.onerror = () => connection(false);
  source.onmessage = (message) => hear(JSON.parse(message.data));
  return source;
}
