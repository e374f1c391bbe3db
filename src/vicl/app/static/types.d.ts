// The shapes that the page and the API exchange, for `tsc --checkJs`. No browser loads this file.

export type Colour = [number, number, number];
export type Point = [number, number];

/** A kind of thing that is marked. `id` is its value in index masks; 0 is the ground. */
export interface Class { id: number; name: string; colour: Colour; key: string; locked: boolean }

export interface Engine { name: string; what: string; ready: boolean; needs: string | null; licence: string | null }

export interface Project {
  revision: number; folder: string; place: string; task: string; tasks: string[];
  engine: string | null; engines: Engine[]; classes: Class[];
  /** A question, where its engine waits for the person's yes. */
  asks: string | null;
  settings: Record<string, unknown>;
  counts: Record<string, number>;
}

export type Status = 'open' | 'accepted' | 'skipped' | 'rejected' | 'nothing';

/** One picture of the folder. `broken` is a sentence where it cannot be read. */
export interface Item {
  id: string; name: string; width: number; height: number; bytes: number;
  broken: string | null; status: Status; example: boolean; marked: boolean;
  confidence: number | null; presence: number | null;
  /** A hash of the prompt that answered: only ever compared. */
  answer_revision: string | null; stale: boolean; revision: number; output: boolean;
  /** Do hints of colour answer it? */ hinted: boolean;
}

/** A box of a thing: left, top, right, bottom. */
export interface MarkedBox { class: number; box: [number, number, number, number]; score: number }

export interface Stroke {
  op: 'stroke'; key: string; class: number | null;
  tool: 'brush' | 'box' | 'polygon' | 'lasso' | 'fill' | 'mask' | 'hint' | 'answer';
  points: Point[]; size: number; png?: string;
  /** Of a hint. */ colour?: Colour;
  /** Of an answer of detection that was taken. */ boxes?: MarkedBox[] | null;
}
export type Edit = Stroke | { op: 'undo' | 'redo' | 'clear' | 'take-answer'; key: string };

/** An edit on its way to the server, and the name under which the browser keeps it. */
export interface Waiting { image: string; edit: Edit; name: string }

export interface Edits { revision: number; strokes: Stroke[]; undo: number; redo: number }

export interface Candidate { png: string; score: number; box: [number, number, number, number] }

export interface AnswerFacts {
  confidence: number | null; presence: number | null; objects: number | null;
  seconds: number | null; engine: string | null; prompt_revision: string | null; canvas?: boolean;
  boxes: MarkedBox[];
}

export interface Score {
  needs?: string | null; examples?: number; expected?: number | null; low?: number | null; high?: number | null; copy?: number | null;
  history?: { examples: number; expected: number }[]; seconds?: number | null;
}

export interface SampleSet { name: string; title: string; images?: number; task?: string }

export type ToolName = 'brush' | 'eraser' | 'box' | 'polygon' | 'lasso' | 'fill' | 'click' | 'hint' | 'remove';

/** Konva 10, from vendor/konva.min.js. */
declare global {
  const Konva: any;
}

/** What a tool works with. */
export interface Bench {
  view: import("./canvas.js").View;
  klass(): number;
  colour(): Colour;
  /** The colour of hints. */ hue(): Colour;
  size(): number;
  /** The boxes that are shown, of detection. */
  boxes(): MarkedBox[];
  commit(part: Pick<Stroke, "tool" | "points" | "class"> & { png?: string; colour?: Colour }): void;
  image(): string | null;
  say(sentence: string): void;
}

/** What all tools can be told. Points are in pixels of the image. */
export interface Tool {
  down(point: Point, inside: boolean): void;
  move(point: Point): void;
  up(point: Point): void;
  /** True where the key was for the tool. */
  key(name: string): boolean;
  cancel(): void;
}
