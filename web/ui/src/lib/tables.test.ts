import { render } from 'svelte/server';
import { describe, expect, test } from 'vitest';
import CsvFound from '../parts/CsvFound.svelte';
import { Problem } from './api';
import { allowedWords, changed, foundWords, wrongCells, type Found, type Known, type Wrong } from './tables';
import type { Entry, Order, ProductPlan } from './types';
import { language } from './words.svelte';

const order = (more: Partial<Order> = {}): Order => ({ id: '1', line: 'l', product: 'p', quantity: 5, due: null, from: null, to: null, ...more });
const entry = (kind: Entry['kind'], key: string, value: unknown, more: Partial<Entry> = {}) => ({ id: 1, kind, key, value, from: null, ...more }) as Entry;
const plan: ProductPlan = {
  id: 'p', name: { en: 'Pin', zh: '' }, cycles: [
    { machine: 'm', from: null, cycle: '2s' },
    { machine: 'm', from: '2026-03-02T00:00:00Z', entry: 7, cycle: '1.5s' },
  ],
};
const known: Known = { entries: [entry('order', '1', order())], products: [plan] };
const refused = (...errors: { location: string; message: string; value?: string }[]) => new Problem(400, 'wrong', errors);

describe('a refused file', () => {
  test('names its wrong cells', () => {
    expect(wrongCells(refused(
      { location: 'line 5', message: 'found "2 cells", allowed: 7, as in the header', value: '2 cells' },
      { location: 'line 3, quantity', message: 'found "ma\\"ny, allowed: x", allowed: a whole number of pieces, as in 5000', value: 'ma"ny, allowed: x' },
      { location: 'line 4', message: 'missing, allowed: 7, as in the header' },
    ))).toEqual([
      { line: 3, column: 'quantity', found: 'ma"ny, allowed: x', allowed: 'a whole number of pieces, as in 5000' },
      { line: 4, column: '', found: '', allowed: '7, as in the header' },
      { line: 5, column: '', found: '2 cells', allowed: '7, as in the header' },
    ]);
  });
  test('was refused for something else', () => {
    expect(wrongCells(refused({ location: 'query.by', message: 'missing, allowed: who says so' }))).toEqual([]);
    expect(wrongCells(new Problem(503, 'away'))).toEqual([]);
  });
  test.each([
    ['one of products: C16, C32', 'C16, C32 之一'], ['whole minutes', '整分钟'], ['a whole minute', '整分钟'], ['7, as in the header', '7 个单元格，与首行一致'],
    ['something that line 2 does not say already', '第 2 行没有写过的内容'], ['a time above zero and at most 24h, as in 1.83s', '大于零并带单位的时间，如 1.83s，或 none（无）'], ['sunshine', 'sunshine'],
  ])('says what is allowed: %s', (text, want) => {
    language.now = 'zh';
    expect(allowedWords(text)).toBe(want);
    language.now = 'en';
  });
});

test('what was found is told, and a cell as it is written', () => {
  const found = (text: string, column = '') => foundWords({ line: 1, column, found: text, allowed: '' });
  language.now = 'zh';
  expect([found('2 cells'), found('2 cells', 'line'), found(''), found('extraneous or missing " in quoted-field')]).toEqual(['2 个单元格', '2 cells', '空', '引号不成对']);
  language.now = 'en';
});

describe('what a file changes', () => {
  test('of an order that there is', () => {
    expect(changed(entry('order', '1', order({ quantity: 6, from: '2026-03-02T00:00:00Z' })), known)).toEqual({
      key: '1', isNew: false, fields: [{ name: 'quantity', before: 5, after: 6 }, { name: 'from', before: null, after: '2026-03-02T00:00:00Z' }],
    });
  });
  test('of an order that is new, or was taken away', () => {
    const gone = { entries: [entry('order', '1', null, { id: 2 }), ...known.entries], products: [] };
    for (const c of [changed(entry('order', '2', order({ id: '2' })), known), changed(entry('order', '1', order()), gone)]) {
      expect(c.isNew).toBe(true);
      expect(c.fields.map((f) => f.name)).toEqual(['product', 'line', 'quantity']);
    }
  });
  test('of an ideal cycle: what held from then on', () => {
    const at = (from: string | null, cycle: string | null, key = 'p/m') => changed(entry('ideal_cycle', key, cycle && { cycle }, { from }), known);
    expect(at('2026-03-03T00:00:00Z', '1.2s').fields).toEqual([{ name: 'cycle', before: 1.5, after: 1.2 }]);
    expect(at('2026-03-01T00:00:00Z', null).fields).toEqual([{ name: 'cycle', before: 2, after: null }]);
    expect(at(null, '900ms', 'p/other')).toEqual({ key: 'p/other', isNew: true, fields: [{ name: 'cycle', before: null, after: 0.9 }] });
  });
  test('of a product’s name', () => {
    expect(changed(entry('product', 'p', { name: { en: 'Pin', zh: '销' } }), known)).toEqual({ key: 'p', isNew: false, fields: [{ name: 'zh', before: null, after: '销' }] });
    expect(changed(entry('product', 'q', { name: { en: 'Q', zh: '' } }), known).isNew).toBe(true);
  });
});

describe('what is shown of a file', () => {
  const show = (found: Found | null, wrong: Wrong[] = []) =>
    render(CsvFound, { props: { file: 'week.csv', found, wrong, known } }).body.replace(/<!--.*?-->/g, '').replace(/<[^>]*>/g, ' ').replace(/\s+/g, ' ');

  test('each wrong cell with its line and column', () => {
    expect(show(null, [{ line: 3, column: 'quantity', found: 'many', allowed: 'a whole number of pieces, as in 5000' }])).toContain('Line 3, quantity many allowed: a whole number of pieces, 0 or more');
    expect(show(null, Array.from({ length: 53 }, (_, i) => ({ line: i + 2, column: '', found: '', allowed: 'x' })))).toContain('and 3 more');
  });
  test('what is new, what was, and what is as it was', () => {
    const text = show({ taken: [entry('order', '1', order({ quantity: 6000 })), entry('order', '2', order({ id: '2' }))], unchanged: 4, effects: [] });
    expect(text).toContain('New in week.csv: 2');
    expect(text).toContain('1 quantity 5 → 6000');
    expect(text).toContain('2 new product Pin line l quantity 5');
    expect(text).toContain('Lines that hold already: 4');
  });
  test('that nothing is new', () => expect(show({ taken: [], unchanged: 9 })).toContain('week.csv says nothing new. Lines that hold already: 9.'));
});
