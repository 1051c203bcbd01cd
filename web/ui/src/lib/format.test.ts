import { describe, expect, test } from 'vitest';
import { bytes, clock, count, date, decimal, moment, parts, percent, reading, signed, timeOfDay } from './format';

const noon = Date.UTC(2026, 2, 2, 4, 5, 6); // 12:05:06 in Shanghai

describe('numbers', () => {
  test.each([
    [null, '–'], [undefined, '–'], [NaN, '–'], [0, '0'], [999, '999'], [5120, '5120'], [18412, '18\u202f412'], [-1806, '−1806'], [1234567, '1\u202f234\u202f567'], [-0.4, '0'],
  ])('count %s', (n, want) => expect(count(n)).toBe(want));
  test.each([[null, '–'], [0, '0'], [12.4, '+12'], [-380, '−380'], [0.2, '0']])('signed %s', (n, want) => expect(signed(n)).toBe(want));
  test.each([[null, '–'], [0, '0.0\u00a0%'], [0.748, '74.8\u00a0%'], [1.0251, '102.5\u00a0%'], [Infinity, '–']])('percent %s', (n, want) => expect(percent(n)).toBe(want));
  test.each([[0, 2, '0'], [1.5, 2, '1.5'], [100, 0, '100'], [-0.126, 2, '−0.13'], [70.04, 1, '70'], [null, 1, '–']])('decimal %s to %s', (n, most, want) => expect(decimal(n, most)).toBe(want));
  test.each([[512, '512\u00a0B'], [81920, '80\u00a0KiB'], [1.5 * 2 ** 30, '1.5\u00a0GiB'], [0, '0\u00a0B']])('bytes %s', (n, want) => expect(bytes(n)).toBe(want));
  test.each([[null, '–'], [true, 'on'], [false, 'off'], ['jam', 'jam'], [0, '0'], [86.4321, '86.432'], [123456.78, '123456.8']])('reading %s', (v, want) => expect(reading(v, 'on', 'off')).toBe(want));
});

describe('time', () => {
  test.each([[0, '00:00:00'], [724, '00:12:04'], [90061, '25:01:01'], [-5, '00:00:00']])('clock %s', (s, want) => expect(clock(s)).toBe(want));
  test.each([
    [0, { unit: 's', values: { s: 0 } }], [59.4, { unit: 's', values: { s: 59 } }], [59.6, { unit: 'min', values: { m: 1 } }], [3900, { unit: 'h', values: { h: 1, m: '05' } }],
    [172800, { unit: 'd', values: { d: 2, h: 0 } }], [-3, { unit: 's', values: { s: 0 } }],
  ])('parts of %s', (s, want) => expect(parts(s)).toEqual(want));
  test('is told in the site’s zone', () => {
    expect(timeOfDay(noon, 'Asia/Shanghai')).toBe('12:05');
    expect(timeOfDay(noon, 'Asia/Shanghai', true)).toBe('12:05:06');
    expect(timeOfDay(null, 'Asia/Shanghai')).toBe('–');
    expect(date(noon, 'America/New_York')).toBe('2026-03-01');
  });
  test('midnight is 00, not 24', () => expect(timeOfDay(Date.UTC(2026, 2, 1, 16), 'Asia/Shanghai')).toBe('00:00'));
  test('has its date where that is not today', () => {
    expect(moment(noon, noon + 3_600_000, 'Asia/Shanghai')).toBe('12:05');
    expect(moment(noon, noon + 86_400_000, 'Asia/Shanghai')).toBe('03-02 12:05');
  });
  test('an unknown zone is told in UTC, and says so', () => expect(timeOfDay(noon, 'Mars/Base')).toContain('04:05'));
});
