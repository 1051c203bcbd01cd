import { describe, expect, test } from 'vitest';
import { about, after, chosen, cut, lacks, parts, seconds } from './stops';
import type { Entry, Stop } from './types';
import { addDays, clockText, instant, local, monday } from './zone';

const at = (min: number) => new Date(min * 60_000).toISOString();
const stop = (machine: string, from: number, to: number, more: Partial<Stop> = {}): Stop => ({
  id: `${machine}@${at(from)}`, machine, from: at(from), to: at(to), open: false, class: 'stop', small: false, ...more,
});
const shift = { name: 'day', day: '1970-01-01', from: at(0), to: at(480), breaks: [{ from: at(240), to: at(270) }] };

describe('the list of stops', () => {
  const all = [stop('a', 1, 5, { reason: 'jam' }), stop('a', 10, 15), stop('b', 20, 21, { small: true }), stop('b', 30, 40, { class: 'starved' }), stop('a', 240, 270)];
  const missing = (s: Stop) => lacks(s, [shift], 0);
  const ids = (which: 'open' | 'stops' | 'all', machine = '') => chosen(all, which, machine, missing).map((s) => s.id.slice(0, 1) + new Date(s.from ?? 0).getTime() / 60_000);
  test('has those without a reason first, then the newest', () => {
    expect(ids('open')).toEqual(['a10']);
    expect(ids('stops')).toEqual(['a10', 'a240', 'a1']);
    expect(ids('all')).toEqual(['a10', 'a240', 'b30', 'b20', 'a1']);
    expect(ids('all', 'b')).toEqual(['b30', 'b20']);
  });
  test('an open stop lasts until now', () => expect(seconds(stop('a', 1, 2, { open: true }), 300_000)).toBe(240));
  test('names what a stop may be merged with', () => expect(after(all, all[0] as Stop, 1).map((s) => s.id)).toEqual([`a@${at(10)}`]));
});

describe('what was said of a stop', () => {
  const said = (id: number, key: string, more: Partial<Entry> = {}) => ({ id, key, kind: 'stop', value: {}, ...more }) as Entry;
  const s = stop('a', 10, 20);
  test('is all that names an instant of it', () => {
    const all = [said(1, `a@${at(10)}`), said(2, `a@${at(15)}`), said(3, `a@${at(20)}`), said(4, `b@${at(12)}`), said(5, `a@${at(10)}`, { undoes: 1 }), said(6, 'no key')];
    expect(about(all, s, 0).map((e) => e.id)).toEqual([5, 2, 1]);
  });
  test('a correction that began before it counts', () => {
    expect(about([said(1, `a@${at(5)}`, { kind: 'state', value: { to: at(12) } }), said(2, `a@${at(1)}`, { kind: 'state', value: { to: at(9) } })], s, 0).map((e) => e.id)).toEqual([1]);
  });
  test.each([['a@1970-01-01T00:01:00Z', { machine: 'a', at: 60_000 }], ['a', null], ['@1970-01-01T00:01:00Z', null], ['a@x', null]])('key %s', (key, want) => expect(cut(key)).toEqual(want));
});

describe('a divided stop', () => {
  test('has two parts', () => expect(parts(60_000, ['jam', ''])).toEqual([{ reason: 'jam' }, { from: at(1) }]));
  test('keeps the parts that it had', () => {
    const before = [{ reason: 'jam' }, { from: at(5), reason: 'tool', comment: 'x' }, { from: at(9) }];
    expect(parts(7 * 60_000, ['tool', 'drive'], before)).toEqual([{ reason: 'jam' }, { from: at(5), reason: 'tool', comment: 'x' }, { from: at(7), reason: 'drive' }, { from: at(9) }]);
    expect(parts(2 * 60_000, ['', 'drive'], before)[1]).toEqual({ from: at(2), reason: 'drive' });
  });
});

describe('local time', () => {
  test.each([
    ['2026-03-02', '08:00', 'Asia/Shanghai', '2026-03-02T00:00:00.000Z'],
    ['2026-03-02', '08:00:30', 'UTC', '2026-03-02T08:00:30.000Z'],
    ['2026-03-29', '01:30', 'Europe/Berlin', '2026-03-29T00:30:00.000Z'],
    ['2026-03-29', '03:30', 'Europe/Berlin', '2026-03-29T01:30:00.000Z'],
    ['2026-10-25', '02:30', 'Europe/Berlin', '2026-10-25T00:30:00.000Z'], // comes twice: the first
    ['2026-03-29', '02:30', 'Europe/Berlin', '2026-03-29T01:30:00.000Z'], // never comes
    ['2026-01-01', '00:00', 'America/New_York', '2026-01-01T05:00:00.000Z'],
  ])('%s %s in %s', (date, time, zone, want) => expect(new Date(instant(date, time, zone) ?? 0).toISOString()).toBe(want));
  test('nothing is no time', () => expect(instant('', '08:00', 'UTC')).toBeNull());
  test('is what fields show', () => {
    expect(local(Date.UTC(2026, 2, 1, 16, 5, 9), 'Asia/Shanghai')).toEqual({ date: '2026-03-02', time: '00:05', seconds: '00:05:09' });
  });
  test.each([
    ['8:00', false, '08:00'], ['0800', false, '08:00'], ['22：30', false, '22:30'], ['24:00', false, null], ['8', false, null], ['08:00:30', false, null],
    ['08:00:30', true, '08:00:30'], ['8:00', true, '08:00:00'], ['7:60', true, null],
  ])('%s is typed', (typed, withSeconds, want) => expect(clockText(typed, withSeconds)).toBe(want));
  test('weeks begin on Monday', () => {
    expect([monday('2026-11-26'), monday('2026-11-23'), monday('2026-11-29'), addDays('2026-02-28', 1)]).toEqual(['2026-11-23', '2026-11-23', '2026-11-23', '2026-03-01']);
  });
});
