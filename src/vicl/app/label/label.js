/**
 * Labelling figures: a key a figure.
 * @typedef {{total: number, done: number, wanted: number, coming: number[], undoable: boolean}} Progress
 */

/** @template {HTMLElement} T @param {string} id @param {new () => T} kind @returns {T} */
function part(id, kind) {
  const found = document.getElementById(id);
  if (!(found instanceof kind)) throw new Error(`no ${id} on the page`);
  return found;
}

const shown = part("figure", HTMLImageElement);
const buttons = {
  yes: part("yes", HTMLButtonElement),
  no: part("no", HTMLButtonElement),
  undo: part("undo", HTMLButtonElement),
};
const note = part("note", HTMLParagraphElement);

/** Figures that were asked for before they are shown. @type {Map<number, HTMLImageElement>} */
const loaded = new Map();

/** @type {Progress | null} */
let progress = null;
/** While it is set nothing can be said: the figure that it would be said of is not seen yet. */
let busy = true;

/** @param {number} number */
function load(number) {
  let image = loaded.get(number);
  if (!image) {
    image = new Image();
    image.src = `/figures/${number}`;
    loaded.set(number, image);
  }
  return image;
}

/** @param {string} path @param {unknown} [body] @returns {Promise<Progress>} */
async function ask(path, body) {
  const post = { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body ?? {}) };
  const reply = await fetch(path, path === "/progress" ? {} : post);
  const said = await reply.json();
  if (!reply.ok) throw new Error(said.detail);
  return said;
}

function allow() {
  const figure = progress !== null && progress.coming.length > 0;
  buttons.yes.disabled = buttons.no.disabled = busy || !figure;
  buttons.undo.disabled = busy || !progress?.undoable;
}

/** @param {Progress} now */
async function show(now) {
  progress = now;
  const bar = part("bar", HTMLProgressElement);
  bar.max = now.total;
  bar.value = now.done;
  part("counts", HTMLParagraphElement).textContent =
    `${now.done} of ${now.total}: ${now.wanted} yes, ${now.done - now.wanted} no`;
  const [number, ...next] = now.coming;
  shown.hidden = number === undefined;
  if (number === undefined) {
    note.textContent = "All figures have a label. This page can be closed.";
    return;
  }
  const image = load(number);
  try {
    await image.decode();
    shown.src = image.src;
    await shown.decode();
  } catch {
    shown.hidden = true;
    note.textContent = "This figure cannot be read; n leaves it out.";
  }
  for (const known of loaded.keys()) if (!now.coming.includes(known)) loaded.delete(known);
  next.forEach(load);
}

/** @param {() => Promise<Progress>} change */
async function change(change) {
  busy = true;
  allow();
  note.textContent = "";
  try {
    await show(await change());
  } catch (error) {
    note.textContent = error instanceof TypeError
      ? "vicl does not answer; start it again with the same command, then reload this page."
      : String(error instanceof Error ? error.message : error);
  }
  busy = false;
  allow();
}

/** @param {keyof typeof buttons} what */
function say(what) {
  if (buttons[what].disabled || !progress) return;
  const figure = progress.coming[0];
  change(() => (what === "undo" ? ask("/undo") : ask("/label", { figure, wanted: what === "yes" })));
}

buttons.yes.onclick = () => say("yes");
buttons.no.onclick = () => say("no");
buttons.undo.onclick = () => say("undo");
document.addEventListener("keydown", (event) => {
  if (event.repeat || event.ctrlKey || event.metaKey || event.altKey) return;
  const what = { y: "yes", n: "no", u: "undo" }[event.key.toLowerCase()];
  if (what) say(/** @type {keyof typeof buttons} */ (what));
});
change(() => ask("/progress"));
