import { describe, expect, test } from 'vitest';
import { clockOf, length, minutes, on, week, withDraft, type Calendar, type Version } from './calendar';

const early = { name: 'early', start: '06:00', length: '8h0m0s', breaks: [{ start: '10:00', length: '30m0s' }] };
const night = { name: 'night', start: '22:00', length: '8h', breaks: [{ start: '02:00', length: '30m' }] };
const plain: Calendar = { zone: 'Asia/Shanghai', shifts: [early, night], days: ['mon', 'tue', 'wed', 'thu', 'fri'] };
const names = (c: Calendar, date: string) => on(c, date).blocks.map((b) => b.name).join();

describe('lengths', () => {
  test.each([['8h0m0s', 480], ['30m', 30], ['8h30m', 510], ['90s', 1.5], ['1.5h', 90], ['', NaN], ['x', NaN], ['8', NaN]])('%s is %s min', (text, want) => expect(minutes(text)).toBe(want));
  test.each([[480, '8h'], [510, '8h30m'], [0, '0s'], [1.5, '1m30s']])('%s min are %s', (min, want) => expect(length(min)).toBe(want));
  test('a time past midnight is of the next day', () => expect([clockOf(1560), clockOf(0), clockOf(599)]).toEqual(['02:00', '00:00', '09:59']));
});

describe('a day', () => {
  test('has its shifts with their breaks', () => {
    expect(on(plain, '2026-11-26')).toEqual({
      date: '2026-11-26', off: null, blocks: [
        { name: 'early', kind: 'shift', from: 360, to: 840, breaks: [{ from: 600, to: 630 }] },
        { name: 'night', kind: 'shift', from: 1320, to: 1800, breaks: [{ from: 1560, to: 1590 }] },
      ],
    });
  });
  test('without work says why', () => {
    expect(on(plain, '2026-11-28').off).toBe('weekday');
    expect(on({ ...plain, except: ['2026-11-26'] }, '2026-11-26')).toMatchObject({ off: 'except', blocks: [] });
  });
  test('has overtime also where nothing else is worked', () => {
    const c = { ...plain, except: ['2026-11-26'], overtime: [{ date: '2026-11-26', name: 'extra', start: '08:00', length: '4h' }] };
    expect(on(c, '2026-11-26').blocks).toMatchObject([{ name: 'extra', kind: 'overtime' }]);
  });
  test('of a rotation has the shifts of its week, also before the first one', () => {
    const c = { ...plain, rotation: { start: '2026-11-25', weeks: [['early'], ['night'], []] } };
    expect(names(c, '2026-11-23')).toBe('early');
    expect(names(c, '2026-11-30')).toBe('night');
    expect(on(c, '2026-12-07').off).toBe('week');
    expect(names(c, '2026-12-14')).toBe('early');
    expect(on(c, '2026-11-16').off).toBe('week');
    expect(names(c, '2026-11-09')).toBe('night');
  });
});

describe('a week', () => {
  const settings: Version = { from: null, calendar: plain };
  const later: Version = { from: '2026-11-25T00:00:00.000Z', entry: 7, calendar: { ...plain, shifts: [early] } }; // 08:00 in Shanghai
  test('goes on with the night before', () => {
    const days = week([settings], '2026-11-23', 'Asia/Shanghai');
    expect(days.map((d) => d.date.slice(8)).join()).toBe('23,24,25,26,27,28,29');
    expect(days[1]?.blocks[0]).toEqual({ name: 'night', kind: 'rest', from: 0, to: 360, breaks: [{ from: 120, to: 150 }] });
    expect(days[5]?.blocks.map((b) => b.name)).toEqual(['night']); // of Friday
    expect(days[6]?.blocks).toEqual([]);
  });
  test('has each shift of the version that holds when it starts', () => {
    const shown = week([settings, later], '2026-11-23', 'Asia/Shanghai').map((d) => d.blocks.filter((b) => b.kind !== 'rest').map((b) => b.name).join());
    expect(shown).toEqual(['early,night', 'early,night', 'early', 'early', 'early', '', '']);
  });
  test('shows a draft in the place of what was said of the same time', () => {
    const draft: Version = { from: later.from, calendar: plain };
    expect(withDraft([settings, later], draft)).toEqual([settings, draft]);
    expect(withDraft([settings], { from: null, calendar: plain })).toHaveLength(2);
    expect(withDraft([settings, later], { from: '2026-11-24T00:00:00Z', calendar: plain }).map((v) => v.from)).toEqual([null, '2026-11-24T00:00:00Z', later.from]);
  });
});
