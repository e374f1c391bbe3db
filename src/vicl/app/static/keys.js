// @ts-check
/** Every key of the page in one table, which the help sheet shows and the page listens by. */
import { TOOLS } from './tools/index.js';

/** @typedef {{key: string, show: string, what: string, group: string, act: string}} Binding `act`: name of what is done */

/** @param {string} group @param {[string, string, string, string][]} rows key, as shown, what, act @returns {Binding[]} */
const grouped = (group, rows) => rows.map(([key, show, what, act]) => ({ key, show, what, group, act }));

/** Keys are names of `KeyboardEvent.key`, lower case; "ctrl+" stands for the command key too. */
export const BINDINGS = [
  ...grouped('Tools', TOOLS.map(({ name, key, title, what }) => [key, key.toUpperCase(), `${title}: ${what}`, `tool:${name}`])),
  ...grouped('Marking', [
    ['', '1 – 9', 'the class with this key', ''], ['0', '0', 'the ground: none of the classes', 'class:0'],
    ['g', 'G', 'colorization: choose the colour of hints (1 – 9: one of the last, 0: gray)', 'hue'],
    ['[', '[ and ]', 'smaller and larger brush (also Shift and wheel)', 'smaller'], [']', '', '', 'larger'],
    ['ctrl+z', 'Ctrl Z', 'undo', 'undo'], ['ctrl+shift+z', 'Ctrl Shift Z', 'redo', 'redo'], ['ctrl+y', '', '', 'redo'],
    ['delete', 'Del', 'take all marks of the image away (undo brings them back)', 'clear'],
    ['', 'Arrows', 'move the pointer (Shift: far)', ''], ['', 'Space', 'press the pointer, and again: lift it', ''],
    ['escape', 'Esc', 'let go of what is begun', 'escape'],
  ]),
  ...grouped('View', [
    ['+', '+ and −', 'zoom (also the wheel)', 'zoomIn'], ['=', '', '', 'zoomIn'], ['-', '', '', 'zoomOut'], ['v', 'V', 'fit', 'fit'],
    ['', 'Space drag', 'pan (also the middle button)', ''], ['o', 'O', 'hide and show the answer', 'hide'],
    ['shift+f', 'Shift F', 'full screen', 'fullscreen'], ['t', 'T', 'next way of showing the answer', 'look'],
  ]),
  ...grouped('The loop', [
    ['j', 'J and K', 'next and previous image', 'next'], ['k', '', '', 'previous'], ['pagedown', '', '', 'next'], ['pageup', '', '', 'previous'],
    ['a', 'A', 'accept the answer, go on', 'verdict:accepted'], ['s', 'S', 'skip', 'verdict:skipped'],
    ['x', 'X', 'reject', 'verdict:rejected'], ['n', 'N', 'nothing here', 'verdict:nothing'],
    ['m', 'M', 'make it an example, with the answer', 'promote'], ['u', 'U', 'answer now', 'once'],
    ['?', '?', 'this sheet', 'help'],
  ]),
];

/** @returns {[string, Binding[]][]} only what is shown */
export function bindingsByGroup() {
  const groups = [...new Set(BINDINGS.map(({ group }) => group))];
  return groups.map((group) => [group, BINDINGS.filter((one) => one.group === group && one.show)]);
}

/** @param {KeyboardEvent} event @returns {string | null} what is to be done */
export function actOf(event) {
  if (event.altKey) return null;
  const ctrl = event.ctrlKey || event.metaKey ? 'ctrl+' : '';
  const letter = event.key.toLowerCase();
  // Shift is part of signs like "?" and "+", and of its own with letters.
  const shift = event.shiftKey && /^[a-z]$/.test(letter) ? 'shift+' : '';
  return BINDINGS.find((one) => one.key && one.key === ctrl + shift + letter)?.act ?? null;
}
