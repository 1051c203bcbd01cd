import { expect, test } from 'vitest';
import { current, rows, seconds } from './cycles';

test.each([['1.83s', 1.83], ['950ms', 0.95], ['1m2.5s', 62.5], ['2m', 120], [null, null], ['', null], ['soon', null]])('a cycle of %s is %s s', (text, want) => expect(seconds(text)).toBe(want));

test('a machine has the version that holds', () => {
  const version = (from: string | null, cycle: string | null) => ({ machine: 'press', from, cycle });
  const [row] = rows({ id: 'C16', name: { en: '', zh: '' }, cycles: [version(null, '2s'), version('2026-03-02T00:00:00Z', '1.5s'), version('2026-04-01T00:00:00Z', null), { machine: 'pack', from: null, cycle: '3s' }] });
  if (!row) throw new Error('no row');
  expect(row.key).toBe('C16/press');
  expect(['2026-03-01', '2026-03-02', '2026-05-01'].map((d) => current(row, Date.parse(d))?.cycle)).toEqual(['2s', '1.5s', null]);
});
