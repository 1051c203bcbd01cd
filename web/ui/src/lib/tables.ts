import { getText, postText, Problem } from './api';
import { current, rows, seconds } from './cycles';
import { standing } from './saying';
import type { Effect, Entry, Name, Order, ProductPlan } from './types';
import { isKey, t } from './words.svelte';

/** What may be said by a file. */
export type TableKind = 'order' | 'ideal_cycle' | 'product';

/** The columns of a file of each kind. */
export const columns: Record<TableKind, string> = {
  order: 'id, line, product, quantity, due, from, to',
  ideal_cycle: 'product, machine, from, cycle',
  product: 'id, name_en, name_zh',
};

/** The largest file that LineTwin takes, in bytes. */
export const most = 1 << 20;

/** What a file says that is new, and what that would change. */
export interface Found {
  taken: Entry[];
  unchanged: number;
  effects?: Effect[];
}

/** A cell, or a line, that is not as it has to be. */
export interface Wrong {
  line: number;
  column: string;
  found: string;
  allowed: string;
}

/** What holds now, as a file that a spreadsheet opens as UTF-8. */
export async function table(kind: TableKind): Promise<Blob> {
  return new Blob(['\uFEFF', await getText('/entries/csv', { kind })], { type: 'text/csv;charset=utf-8' });
}

/** Looks at a file; nothing is kept. */
export function look(kind: TableKind, file: Blob, by: string): Promise<Found> {
  return postText<Found>('/entries/csv', { kind, by: by || 'preview', preview: 'true' }, file);
}

/** Says what is new in a file: all of it or nothing. */
export function take(kind: TableKind, file: Blob, by: string, why: string): Promise<Found> {
  return postText<Found>('/entries/csv', { kind, by, ...(why && { why }) }, file);
}

/** The wrong cells that a file was refused for; none where it was refused for something else. */
export function wrongCells(e: unknown): Wrong[] {
  if (!(e instanceof Problem) || e.status !== 400) return [];
  const all: Wrong[] = [];
  for (const x of e.errors) {
    const place = /^line (\d+)(?:, (.+))?$/.exec(x.location);
    if (!place) return []; // not of the file
    const said = /^(?:missing|found .*?), allowed: (.*)$/s.exec(x.message.replace(JSON.stringify(x.value ?? ''), ''));
    all.push({ line: Number(place[1]), column: place[2] ?? '', found: x.value ?? '', allowed: said?.[1] ?? x.message });
  }
  return all.sort((a, b) => a.line - b.line);
}

// What the server says that it found where that is no cell, by the key of the
// same text.
const foundTexts: [RegExp, string][] = [
  [/^(\d+) cells$/, 'csv.found.cells'],
  [/^more lines$/, 'csv.found.more'],
  [/^bytes of another encoding$/, 'csv.found.bytes'],
  [/^(?:extraneous or missing|bare) "/, 'csv.found.quote'],
];

/** What was found, in the reader's language; a cell stays as it is written. */
export function foundWords(w: Wrong): string {
  if (w.found === '') return t('csv.missing');
  return w.column ? w.found : words(foundTexts, w.found);
}

// What the server says is allowed, by the key of the same text in the pages'
// languages. What a pattern catches is filled in as {a}.
const allowed: [RegExp, string][] = [
  [/^UTF-8 /, 'csv.is.utf8'],
  [/^the columns (.+)$/, 'csv.is.columns'],
  [/^each of the columns (.+) once$/, 'csv.is.once'],
  [/^cells with their quotes/, 'csv.is.quotes'],
  [/^at most (\d+) in one file$/, 'csv.is.fewer'],
  [/^(\d+), as in the header$/, 'csv.is.cells'],
  [/^a time as /, 'csv.is.time'],
  [/^a time after from/, 'csv.is.after'],
  [/^a?\s?whole minutes?$/, 'csv.is.minute'],
  [/^(?:a whole number of pieces|0 pieces or more)/, 'csv.is.count'],
  [/^(?:time per piece with its unit|a time above zero and at most 24h)/, 'csv.is.cycle'],
  [/^one of products: (.*)$/, 'csv.is.oneof'],
  [/^one of the (?:lines|machines): (.*)$/, 'csv.is.oneof'],
  [/^something that line (\d+) does not say already$/, 'csv.is.new'],
  [/^(?:an id|what the entry is about)/, 'csv.is.id'],
  [/^at most (\d+) characters/, 'csv.is.short'],
];

/** What would have been right, in the reader's language; what is not known stays as it is. */
export function allowedWords(text: string): string {
  return words(allowed, text);
}

function words(known: [RegExp, string][], text: string): string {
  for (const [pattern, key] of known) {
    const found = pattern.exec(text);
    if (found && isKey(key)) return t(key, { a: found[1] ?? '' });
  }
  return text;
}

/** One field of what an entry says, as it is and as it would be. */
export interface Field {
  name: 'product' | 'line' | 'quantity' | 'due' | 'from' | 'to' | 'cycle' | 'en' | 'zh';
  before: string | number | null;
  after: string | number | null;
}

/** What an entry would change: all it says where there was nothing. */
export interface Changed {
  key: string;
  isNew: boolean;
  fields: Field[];
}

/** What is known now, which entries are held against. */
export interface Known {
  entries: Entry[];
  products: ProductPlan[];
}

/** What an entry of a file says that is different now. */
export function changed(e: Entry, known: Known): Changed {
  const differ = (isNew: boolean, fields: Field[]): Changed => ({ key: e.key, isNew, fields: fields.filter((f) => f.before !== f.after) });
  if (e.kind === 'order') {
    const before = standing(known.entries).find((k) => k.kind === 'order' && k.key === e.key)?.value as Order | null | undefined;
    const after = e.value as Order;
    const names = ['product', 'line', 'quantity', 'due', 'from', 'to'] as const;
    return differ(!before, names.map((name) => ({ name, before: before?.[name] ?? null, after: after[name] ?? null })));
  }
  if (e.kind === 'product') {
    const before = known.products.find((p) => p.id === e.key)?.name;
    const after = (e.value as { name: Name }).name;
    return differ(!before, [{ name: 'en', before: before?.en || null, after: after.en || null }, { name: 'zh', before: before?.zh || null, after: after.zh || null }]);
  }
  const row = known.products.flatMap(rows).find((r) => r.key === e.key);
  const was = row && current(row, e.from == null ? 0 : Date.parse(e.from));
  const cycle = (e.value as { cycle: string } | null)?.cycle;
  return differ(!row, [{ name: 'cycle', before: seconds(was?.cycle), after: seconds(cycle) }]);
}
